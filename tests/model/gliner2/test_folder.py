"""GLiNER2 folders that are as they should be, and such as are not: one clear line each."""

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from nerbert.errors import InputError
from nerbert.model.backbone import Backbone
from nerbert.model.folder import ModelFolder, TransformersKind, embedded
from nerbert.model.gliner.folder import load_gliner
from nerbert.model.gliner2.config import read_extractor
from nerbert.model.gliner2.kind import Gliner2Kind
from nerbert.model.gliner2.layers import CountedSpans
from nerbert.records import EntityLabel, Example
from nerbert.tagger.tagger import Tagger
from nerbert.words import split_words

from .conftest import Make

TEXT = "The ship left the port of Stockholm"
LABELS = ["ship", "port: where ships call"]
CONFIG, ENCODER, WEIGHTS = "config.json", "encoder_config/config.json", "model.safetensors"


def found(folder: Path, text: str = TEXT, threshold: float = 1e-4) -> list[Any]:
    return list(Tagger.load(folder, device="cpu", thresholds=threshold).tag(text, labels=LABELS))


def change(path: Path, **values: Any) -> None:
    kept = {**json.loads(path.read_text()), **values}
    path.write_text(json.dumps({name: value for name, value in kept.items() if value is not ...}))


@pytest.mark.parametrize("counting", ["count_lstm", "count_lstm_v2", "count_lstm_moe"])
def test_each_layer_of_counts_is_read(make: Make, counting: str) -> None:
    model = load_gliner(make(counting=counting)).model
    assert isinstance(model, CountedSpans)
    assert (model.config.max_types, model.config.max_len, model.config.max_width) == (25, 384, 3)


def test_a_folder_is_recognised_and_copied(make: Make, tmp_path: Path) -> None:
    folder = make()
    opened = ModelFolder.open(folder)
    assert opened.kind is Gliner2Kind
    assert (opened.head_name, opened.labels_at_run_time, opened.backend) == ("gliner", True, "torch")
    assert opened.card["word_splitter"] == "gliner2-words-1"
    expected = found(folder)
    assert expected
    tagger = Tagger.load(folder, device="cpu", thresholds=1e-4).with_labels(LABELS)
    tagger.save_pretrained(tmp_path / "saved")
    assert found(tmp_path / "saved") == expected == list(pickle.loads(pickle.dumps(tagger)).tag(TEXT))
    change(folder / ENCODER, layer_norm_eps=1e-3)
    assert ModelFolder.open(folder).fingerprint != ModelFolder.open(tmp_path / "saved").fingerprint


def test_pickled_weights_are_read_as_numbers_alone(make: Make, tmp_path: Path) -> None:
    folder = make()
    expected = found(folder)
    assert expected
    torch.save(load_file(folder / WEIGHTS), folder / "pytorch_model.bin")
    (folder / WEIGHTS).unlink()
    assert found(folder) == expected
    torch.save({"classifier.0.weight": Path.touch}, folder / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"pytorch_model.bin: damaged, or holds more than weights \(pickled code\)"):
        Tagger.load(folder)


def test_without_instances_there_is_nothing(make: Make) -> None:
    assert not found(make(instances=0), threshold=0.0)


@pytest.mark.parametrize("max_types", [25, 1])
def test_labels_are_asked_for_in_groups(make: Make, max_types: int) -> None:
    loaded = load_gliner(make())
    object.__setattr__(loaded.model.config, "max_types", max_types)
    labels = [EntityLabel(f"type {number}", "described") for number in range(40)]
    groups = loaded.pieces.groups(labels)
    assert len(groups) == (40 if max_types == 1 else 18)
    prompts = [loaded.pieces.prompt(labels[each]) for each in groups]
    assert all(len(each.before) <= loaded.pieces.room // 2 + 8 for each in prompts)
    with pytest.raises(InputError, match=r"40 labels take [0-9]+ pieces of the 160 that the model has room for"):
        loaded.pieces.prompt(labels)


def test_what_looks_like_a_mark_is_plain_text(make: Make) -> None:
    pieces = load_gliner(make()).pieces
    mark = pieces.tokenizer.convert_tokens_to_ids("[E]")
    prompt = pieces.prompt([EntityLabel("a [E] b [P]", "an [E] [DESCRIPTION]"), EntityLabel("ship")])
    assert (
        [prompt.before[place] for place in prompt.places[1:]]
        == [mark, mark]
        == [each for each in prompt.before if each == mark]
    )


@pytest.mark.parametrize(
    ("text", "stop"), [("a ship", 1), ("a ship!", 0), ("a ship. ", 1), ("a ship… ", 1), ("a ship?", 0), ("Dr. No", 1)]
)
def test_a_text_gets_a_full_stop_that_is_no_word(make: Make, text: str, stop: int) -> None:
    pieces = load_gliner(make()).pieces
    prompt = pieces.prompt([EntityLabel("ship")])
    (window,) = pieces.windows([Example(text, split_words(text, "gliner2-words-1"))], prompt)
    size = len(window.ids) - len(prompt.before)
    assert size == sum(map(len, pieces.pieces([text[a:b].lower() for a, b in split_words(text)]))) + stop
    assert pieces.pieces(["."])[0] == prompt.after


def test_windows_of_long_texts_end_with_a_full_stop_each(make: Make) -> None:
    pieces = load_gliner(make()).pieces
    text = "A ship left. " * 60
    prompt = pieces.prompt([EntityLabel("ship")])
    windows = pieces.windows([Example(text, split_words(text, "gliner2-words-1"))], prompt)
    assert len(windows) > 1
    assert all(each.ids[-1:] == prompt.after and len(each.ids) <= pieces.room for each in windows)
    assert found(make("long"), text)


def test_what_a_configuration_may_leave_out(make: Make) -> None:
    folder = make(counting="count_lstm", instances=1)
    expected = found(folder)
    assert expected
    change(folder / CONFIG, architecture=..., counting_layer=..., token_pooling=..., span_head=..., max_width=3)
    change(folder / ENCODER, vocab_size=5, dtype="float16", auto_map={"AutoModel": "evil.Evil"})
    assert found(folder) == expected


def test_a_tokenizer_without_the_marks_gets_them(make: Make, tokenizers: dict[str, Any]) -> None:
    folder = make()
    expected = found(folder)
    assert expected
    tokenizers["wordpiece"].save_pretrained(folder)
    assert found(folder) == expected


def test_another_models_folder_stays_its_own(make: Make, tmp_path: Path) -> None:
    plain = Path(shutil.copytree(embedded("embedded"), tmp_path / "plain"))
    shutil.copytree(make() / "encoder_config", plain / "encoder_config")
    assert ModelFolder(str(plain)).check().kind is TransformersKind
    named = make("named", architectures=["ExtractorForEntities"])
    assert ModelFolder(str(named)).check().kind is Gliner2Kind


def test_words_of_a_model_of_single_words_are_not_joined(make: Make) -> None:
    config = read_extractor(make(span_head={"max_width": 1}))
    assert (config.max_width, config.joins_words) == (1, False)


def test_surplus_weights_and_names_change_nothing(make: Make) -> None:
    folder = make()
    weights = load_file(folder / "model.safetensors")
    save_file({**weights, "adapter.embeddings.word_embeddings.weight": torch.ones(3, 3)}, folder / "model.safetensors")
    assert Tagger.load(folder, device="cpu")
    (folder / "model.safetensors").unlink()
    torch.save({1: torch.zeros(2)}, folder / "pytorch_model.bin")
    with pytest.raises(InputError, match="holds no weights by name"):
        Tagger.load(folder, device="cpu")


def test_no_training_starts_from_it_whatever_its_card_says(make: Make) -> None:
    folder = make()
    (folder / "nerbert.json").write_text(json.dumps({"format": 1, "kind": "encoder", "head": "linear",
                                                     "word_splitter": "gliner2-words-1"}))  # fmt: skip
    with pytest.raises(InputError, match="a GLiNER2 model, which nerbert doesn't train"):
        ModelFolder(str(folder)).check_trainable()


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        (CONFIG, {"architecture": "lattice"}, "a GLiNER2 model with architecture 'lattice', which nerbert doesn't"),
        (CONFIG, {"architecture": "nerbert.evil:Evil"}, "with architecture 'nerbert.evil:evil', which nerbert doesn't"),
        (CONFIG, {"counting_layer": "count_9"}, "with counting_layer 'count_9', which nerbert doesn't support"),
        (CONFIG, {"span_head": {"max_width": 10**9}}, r"span_head.max_width = 1000000000: must be less than or equal"),
        (CONFIG, {"max_len": 0}, "max_len = 0: must be greater than or equal to 1"),
        (CONFIG, {"span_head": {"max_width": 2**8}}, ""),
        (ENCODER, {"model_type": "t5"}, "a zero-shot model on 't5', which nerbert doesn't support"),
        (ENCODER, {"hidden_size": 10**9}, "hidden_size = 1000000000"),
        (ENCODER, {"hidden_size": 18}, "config.json and weights don't belong together"),
        (ENCODER, {"num_hidden_layers": 2}, "weights are missing for a markerV0 span model"),
        (ENCODER, {"num_attention_heads": 3}, "can't be built|can't be computed"),
    ],
)
def test_hostile_configurations_are_refused(make: Make, name: str, values: dict[str, Any], message: str) -> None:
    folder = make()
    change(folder / name, **values)
    if not message:  # a width without weights of its own
        assert Tagger.load(folder, device="cpu")
        return
    with pytest.raises(InputError, match=message) as caught:
        Tagger.load(folder, device="cpu")
    assert "\n" not in str(caught.value)


def test_damaged_folders_are_refused(make: Make, tmp_path: Path) -> None:
    folder = make()
    for name in (CONFIG, ENCODER):
        shutil.copytree(folder, tmp_path / "cut", dirs_exist_ok=True)
        (tmp_path / "cut" / name).write_text("{")
        with pytest.raises(InputError, match=f"{name}.*not JSON"):
            Tagger.load(tmp_path / "cut")
    whole = (folder / WEIGHTS).read_bytes()
    shutil.copytree(folder, tmp_path / "cut", dirs_exist_ok=True)
    (tmp_path / "cut" / WEIGHTS).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"model.safetensors: can't be read as weights"):
        Tagger.load(tmp_path / "cut")
    (tmp_path / "cut" / WEIGHTS).unlink()
    with pytest.raises(InputError, match=r"holds config.json, but neither model.safetensors nor pytorch_model.bin"):
        Tagger.load(tmp_path / "cut")
    weights = load_file(folder / WEIGHTS)
    save_file({**weights, "count_pred.2.bias": torch.zeros(7)}, folder / WEIGHTS)
    with pytest.raises(InputError, match=r"config.json and weights don't belong together: count_pred.2.bias is \(7,\)"):
        Tagger.load(folder)
    weights["encoder.embeddings.word_embeddings.weight"] = weights["encoder.embeddings.word_embeddings.weight"][:40]
    save_file(weights, folder / WEIGHTS)
    with pytest.raises(InputError, match=r"the tokenizer gives piece [0-9]+, the model knows 40"):
        Tagger.load(folder)


def test_no_training_starts_from_it(make: Make) -> None:
    with pytest.raises(InputError, match=r"a GLiNER2 model, which nerbert doesn't train: tag with it \(`nerbert tag"):
        Backbone.of(str(make()), 0)
