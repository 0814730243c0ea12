"""Fewer layers, and frozen ones: what is left computes what it did, and what is frozen stays."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from nerbert.encoder.objectives.mlm import Mlm
from nerbert.errors import SettingsError
from nerbert.model.backbone import save_model
from nerbert.model.forward import Batch, logits_at
from nerbert.model.surgery import freeze, keep_layers, layers_of, train_tokenizer
from nerbert.training.tagging import TokenClassification
from tests.encoder.backbones import load_mlm_model, load_tagging_model, tiny_mlm, tiny_tagging
from tests.raised import raises

KINDS = (
    "bert",
    "roberta",
    "distilbert",
    "deberta",
    "deberta-v2",
    "electra",
    "mpnet",
    "modernbert",
    "mobilebert",
    "longformer",
    "big_bird",
    "roformer",
    "camembert",
    "xlm-roberta",
)
BOTH = pytest.mark.parametrize("make", [tiny_tagging, tiny_mlm], ids=["tagger", "mlm"])


def made(make: Callable[..., Any], kind: str) -> Any:
    """A model of four layers."""
    more = {"attention_window": [8, 16, 8, 16]} if kind == "longformer" else {}
    return make(kind, num_hidden_layers=4, **more)


def states(model: Any, batch: Batch) -> list[torch.Tensor]:
    """What each layer gives, whatever comes after the last one."""
    seen: list[torch.Tensor] = []
    stack = layers_of(model, "num_layers", 1)
    handles = [
        each.register_forward_hook(lambda _m, _i, out: seen.append(out[0] if isinstance(out, tuple) else out))
        for each in stack
    ]
    with torch.no_grad():
        model(input_ids=batch.ids, attention_mask=batch.mask)
    for handle in handles:
        handle.remove()
    return seen


@BOTH
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_left_computes_what_it_did_and_loads_again(
    make: Callable[..., Any], kind: str, batch: Batch, tmp_path: Path
) -> None:
    model = made(make, kind)
    before = states(model, batch)
    lists = {name: list(getattr(model.config, name, None) or ()) for name in ("layer_types", "attention_window")}
    keep_layers(model, 3)
    after = states(model, batch)
    assert (len(before), len(after)) == (4, 3)
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=False))
    save_model(tmp_path, model, train_tokenizer(["a b c d"], 60))
    config = json.loads((tmp_path / "config.json").read_text())
    assert config.get("num_hidden_layers", config.get("n_layers")) == 3
    assert all(config[name] == value[:3] for name, value in lists.items() if value)
    again = load_tagging_model(str(tmp_path)) if make is tiny_tagging else load_mlm_model(str(tmp_path), 1)
    again.eval()
    with torch.no_grad():
        torch.testing.assert_close(logits_at(again, batch), logits_at(model, batch))


def test_0_and_all_of_them_change_nothing(batch: Batch) -> None:
    model = made(tiny_tagging, "bert")
    before = states(model, batch)
    for count in (0, 4):
        keep_layers(model, count)
        assert model.config.num_hidden_layers == 4
        assert all(torch.equal(one, other) for one, other in zip(before, states(model, batch), strict=True))


LOWEST = {
    "bert": r"bert\.(embeddings|encoder\.layer\.0)\.",
    "roberta": r"roberta\.(embeddings|encoder\.layer\.0)\.",
    "distilbert": r"distilbert\.(embeddings|transformer\.layer\.0)\.",
    "electra": r"electra\.(embeddings|embeddings_project|encoder\.layer\.0)\.",
    "modernbert": r"model\.(embeddings|layers\.0)\.",
    "deberta-v2": r"deberta\.(embeddings|encoder\.layer\.0|encoder\.rel_embeddings)\.",
    "mpnet": r"mpnet\.(embeddings|encoder\.layer\.0|encoder\.relative_attention_bias)\.",
}
"""Kind → the names of what one frozen layer stops: relative positions are shared by all layers, the lowest too."""


def moved(model: Any, step: Callable[[], torch.Tensor]) -> set[str]:
    """The parameters that two updates of all that is trained change."""
    before = {name: each.detach().clone() for name, each in model.named_parameters()}
    optimizer = torch.optim.AdamW([each for each in model.parameters() if each.requires_grad], 0.01, weight_decay=0.1)
    for _ in range(2):
        step().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
    return {name for name, each in model.named_parameters() if not torch.equal(before[name], each)}


@pytest.mark.parametrize("kind", LOWEST)
def test_exactly_the_lowest_stay_and_give_the_same_bit_for_bit(batch: Batch, kind: str) -> None:
    model = tiny_tagging(kind, num_labels=3)

    def states() -> tuple[torch.Tensor, ...]:
        with torch.no_grad():
            return tuple(model.eval()(batch.ids, batch.mask, output_hidden_states=True).hidden_states)

    model.train()
    freeze(model, 1)
    assert model.training
    assert not any(each._forward_hooks for each in model.modules())
    assert all(each.grad is None for each in model.parameters())
    names = {name for name, _ in model.named_parameters()}
    low = {name for name in names if re.match(LOWEST[kind], name)}
    assert {name for name, each in model.named_parameters() if not each.requires_grad} == low
    before = states()
    assert moved(model.train(), lambda: TokenClassification().loss(model, batch)["loss"]) == names - low
    same = [torch.equal(one, other) for one, other in zip(before, states(), strict=True)]
    assert same == [True, True, False]


@pytest.mark.parametrize("kind", ["bert", "modernbert"])
def test_a_tied_decoder_is_frozen_with_the_embeddings(batch: Batch, kind: str) -> None:
    model, mlm = tiny_mlm(kind), Mlm(1, 1.0, 4, 60, (0, 1, 2, 3))
    freeze(model, 1)
    decoder = model.get_output_embeddings()
    assert not decoder.weight.requires_grad
    changed = moved(model, lambda: mlm.loss(model, mlm.prepare(batch, 1))["loss"])
    assert not any(re.match(LOWEST[kind], name) for name in changed)
    assert decoder.bias.requires_grad
    assert any("head" in name or "transform" in name for name in changed)


def test_0_freezes_nothing_and_all_leaves_the_head(batch: Batch) -> None:
    model = tiny_tagging("bert", num_labels=3)
    freeze(model, 0)
    assert all(each.requires_grad for each in model.parameters())
    freeze(model, 1)
    freeze(model, 2)
    assert moved(model, lambda: TokenClassification().loss(model, batch)["loss"]) == {
        "classifier.weight",
        "classifier.bias",
    }


@pytest.mark.parametrize(
    ("act", "kind", "count", "words"),
    [
        (keep_layers, "bert", 3, "num_layers = 3: the backbone has 2 layers"),
        (keep_layers, "albert", 1, "num_layers = 1: albert has no list of 2 layers"),  # one layer, used twice
        (keep_layers, "xlm", 1, "num_layers = 1: xlm has no list of 2 layers"),  # a layer's parts are in several lists
        (keep_layers, "esm", 1, "num_layers = 1: a esm has more parts "),  # a contact head as wide as it has layers
        *(
            (freeze, kind, count, f"num_frozen_layers = {count}: ")
            for kind, count in (("bert", 3), ("albert", 1), ("xlm", 1))
        ),
    ],
)
def test_messages(act: Callable[[Any, int], None], kind: str, count: int, words: str) -> None:
    with raises(SettingsError, words):
        act(tiny_tagging(kind), count)
