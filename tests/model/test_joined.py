"""Taggers that read two layers: what they compute, that they come back, and that nobody else takes them for plain."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from nerbert.errors import InputError, SettingsError
from nerbert.model.backbone import Backbone, load_tagger_model, save_model
from nerbert.model.folder import write_card
from nerbert.model.forward import Batch, logits_at
from nerbert.model.surgery import train_tokenizer
from nerbert.training.tagging import TaggingSettings, TokenClassification
from tests.encoder.backbones import load_mlm_model, load_tagging_model, tiny_tagging
from tests.raised import raises

KINDS = ("albert", "bert", "deberta-v2", "distilbert", "electra", "modernbert", "roberta", "xlm-roberta")
LAYERS = 4


@pytest.fixture
def encoder(tmp_path: Path) -> Callable[..., str]:
    """Write an encoder of a type, with weights that are no first ones."""

    def make(kind: str = "bert") -> str:
        model = tiny_tagging(kind, num_hidden_layers=LAYERS)
        with torch.no_grad():
            for each in model.parameters():
                each.add_(torch.randn_like(each) * 0.1)
        save_model(tmp_path / "encoder", model, train_tokenizer(["a b c d"], 60))
        return str(tmp_path / "encoder")

    return make


def joined(source: str, layer: int = 2, seed: int = 1, layers: int = 0, types: str = "xy") -> Any:
    """A new tagger."""
    own = TaggingSettings(joined_layer=layer)
    return TokenClassification(types, own).make_model(Backbone(source, None, seed, layers)).eval()


def saved(model: Any, folder: Path) -> str:
    save_model(folder, model, train_tokenizer(["a b c d"], 60))
    return str(folder)


@pytest.mark.parametrize("kind", KINDS)
def test_the_head_reads_both_layers_and_comes_back(
    kind: str, encoder: Callable[..., str], batch: Batch, tmp_path: Path
) -> None:
    from transformers import AutoModel, AutoModelForTokenClassification

    source = encoder(kind)
    model = joined(source)
    seen = list[int]()
    model.classifier.register_forward_hook(lambda _m, inputs, _o: seen.append(inputs[0].shape[:-1].numel()))
    with torch.no_grad():
        logits = logits_at(model, batch)
        plain = AutoModel.from_pretrained(source).eval()
        found = plain(input_ids=batch.ids, attention_mask=batch.mask, output_hidden_states=True)
        states = torch.cat([found.last_hidden_state, found.hidden_states[2]], -1)[batch.rows, batch.columns]
        torch.testing.assert_close(logits, states @ model.classifier.weight.T + model.classifier.bias)
        whole = model(input_ids=batch.ids, attention_mask=batch.mask).logits
        torch.testing.assert_close(logits, whole[batch.rows, batch.columns], rtol=1e-4, atol=1e-5)
        assert seen == [len(batch.rows), batch.ids.numel()]

        folder = saved(model, tmp_path / "tagger")
        again = load_tagger_model(folder).eval()
        torch.testing.assert_close(logits_at(again, batch), logits)
    assert [path.name for path in Path(folder).glob("*.safetensors")] == ["model.safetensors"]
    with pytest.raises((RuntimeError, ValueError), match="mismatch"):
        AutoModelForTokenClassification.from_pretrained(folder)


@pytest.mark.parametrize("kind", ["bert", "modernbert"])
def test_a_step_teaches_head_and_body(kind: str, encoder: Callable[..., str], batch: Batch) -> None:
    model = joined(encoder(kind)).train()
    TokenClassification("xy").loss(model, batch)["loss"].backward()  # type: ignore[no-untyped-call]
    untaught = [name for name, each in model.named_parameters() if each.grad is None or not each.grad.any()]
    assert not [name for name in untaught if "bias" not in name and "token_type" not in name and "norm" not in name]
    head = model.classifier.weight.grad
    assert head[:, :32].any()
    assert head[:, 32:].any()


def test_the_heads_weights_follow_from_the_seed(encoder: Callable[..., str]) -> None:
    source = encoder()
    model, same, other = (joined(source, seed=seed) for seed in (1, 1, 2))
    head = model.classifier
    assert head.weight.equal(same.classifier.weight)
    assert not head.weight.equal(other.classifier.weight)
    assert head.weight.shape == (5, 64)
    assert 0.01 < float(head.weight.detach().std()) < 0.03
    assert not head.bias.any()
    (drop,) = model.drops
    assert drop.p == joined(source, 0).dropout.p > 0, "units drop out as in the type's own head"


def test_its_body_is_a_backbone_of_any_training(encoder: Callable[..., str], tmp_path: Path) -> None:
    model = joined(encoder())
    folder = saved(model, tmp_path / "tagger")
    body = model.base_model.state_dict()
    plain, mlm = load_tagging_model(folder, ["O", "B-x", "I-x"]), load_mlm_model(folder, 1)
    for other in (plain, mlm, joined(folder, 1)):
        found = other.base_model.state_dict()
        assert all(found[name].equal(each) for name, each in body.items())
    assert plain.classifier.weight.shape == (3, 32)
    for number, other in enumerate((plain, mlm)):
        saved(other, tmp_path / str(number))
        assert "joined" not in (tmp_path / str(number) / "config.json").read_text().lower()


def test_minus_1_is_the_highest_layer_that_was_frozen(encoder: Callable[..., str]) -> None:
    source = encoder()
    write_card(Path(source), "encoder", word_splitter="unicode-words-1", num_frozen_layers=3)
    assert joined(source, -1).config.nerbert_joined_layer == 3


@pytest.mark.parametrize(
    ("layer", "layers", "frozen", "words"),
    [
        (2, 2, None, "= 2: layer 2 isn't below the last one of 2,"),
        (LAYERS, 0, None, f"= {LAYERS}: layer {LAYERS} isn't below the last one of {LAYERS},"),
        (99, 0, None, "= 99: layer 99 isn't below the last one of "),
        (-1, 0, None, "names no frozen layers (num_frozen_layers)"),
        (-1, 0, 0, "= -1: "),
        (-1, 0, LAYERS, "= -1: "),
    ],
)
def test_messages(encoder: Callable[..., str], layer: int, layers: int, frozen: int | None, words: str) -> None:
    source = encoder()
    if frozen is not None:
        write_card(Path(source), "encoder", word_splitter="unicode-words-1", num_frozen_layers=frozen)
    with raises(SettingsError, words, setting="tagging.joined_layer"):
        joined(source, layer, layers=layers)


def test_encoders_that_can_not_be_joined_are_refused(encoder: Callable[..., str], tmp_path: Path) -> None:
    from transformers import CLIPTextConfig, CLIPTextModel

    shape = CLIPTextConfig(vocab_size=60, hidden_size=32, num_hidden_layers=2, num_attention_heads=2)
    with raises(InputError, "a clip_text_model has no tagging class"):
        joined(saved(CLIPTextModel(shape), tmp_path / "clip"), 1)
    source = encoder()
    write_card(Path(source), "encoder", word_splitter="unicode-words-1", num_frozen_layers="3 of them")
    with raises(InputError, "num_frozen_layers"):
        joined(source, -1)


@pytest.mark.parametrize("layer", [-1, LAYERS, True, 1.5, "2", [1]])
def test_a_folder_that_names_no_layer_is_refused(encoder: Callable[..., str], tmp_path: Path, layer: object) -> None:
    folder = saved(joined(encoder()), tmp_path / "tagger")
    config = json.loads((tmp_path / "tagger" / "config.json").read_text())
    assert config["nerbert_joined_layer"] == 2
    (tmp_path / "tagger" / "config.json").write_text(json.dumps(config | {"nerbert_joined_layer": layer}))
    with raises(InputError, ", not a layer below the last of 4"):
        load_tagger_model(folder)


def test_weights_and_configuration_must_belong_together(encoder: Callable[..., str], tmp_path: Path) -> None:
    source = encoder()
    folders = [saved(joined(source, layer), tmp_path / str(layer)) for layer in (0, 2)]
    plain, wide = (Path(each, "config.json").read_text() for each in folders)
    body = saved(joined(source).base_model, tmp_path / "body")
    for folder, config, words in (
        (folders[0], wide, "can't be loaded as a model"),
        (folders[1], plain, "can't be loaded as a model"),
        (body, wide, "not a tagger: its weights hold no head"),
    ):
        Path(folder, "config.json").write_text(config)
        with raises(InputError, words):
            load_tagger_model(folder)
