"""Fewer layers, and frozen ones: what is left computes what it did, and what is frozen stays."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nerbert.encoder.objectives.mlm import Mlm
from nerbert.errors import SettingsError
from nerbert.model.backbone import save_model
from nerbert.model.forward import Batch, logits_at
from nerbert.model.fresh import freeze, keep_layers, layers_of, train_tokenizer
from nerbert.model.windows import Window, Windows
from nerbert.training.batches import collate
from nerbert.training.tagging import TokenClassification
from tests.encoder.backbones import load_mlm_model, load_tagging_model, tiny_mlm, tiny_tagging
from tests.raised import raises

KINDS = (
    "bert", "roberta", "distilbert", "deberta", "deberta-v2", "electra", "mpnet", "modernbert", "mobilebert",
    "longformer", "big_bird", "roformer", "camembert", "xlm-roberta",
)  # fmt: skip
BOTH = pytest.mark.parametrize("make", [tiny_tagging, tiny_mlm], ids=["tagger", "mlm"])


@pytest.fixture
def batch() -> Batch:
    """Two sentences, one of them padded."""
    rows = [Window(0, (2, 7, 8, 9, 3), (0, 1, 2), (1, 2, 3), (0, 1, 1)), Window(1, (2, 11, 3), (0,), (1,), (0,))]
    return collate(Windows.pack(rows), np.arange(2), 0)


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
    keep_layers(model, 2)
    after = states(model, batch)
    assert (len(before), len(after)) == (4, 2)
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=False))
    save_model(tmp_path, model, train_tokenizer(["a b c d"], 60))
    config = json.loads((tmp_path / "config.json").read_text())
    assert config.get("num_hidden_layers", config.get("n_layers")) == 2
    assert all(len(config[name]) == 2 for name in ("layer_types", "attention_window") if config.get(name))
    again = load_tagging_model(str(tmp_path)) if make is tiny_tagging else load_mlm_model(str(tmp_path), 1)
    again.eval()
    with torch.no_grad():
        torch.testing.assert_close(logits_at(again, batch), logits_at(model, batch))


def test_the_head_reads_the_last_layer_that_is_left(batch: Batch) -> None:
    model = made(tiny_tagging, "bert")
    with torch.no_grad():
        hidden = model(batch.ids, batch.mask, output_hidden_states=True).hidden_states[2]
        wanted = model.classifier(hidden)[batch.rows, batch.columns]
        keep_layers(model, 2)
        torch.testing.assert_close(logits_at(model, batch), wanted)


def test_layers_of_kinds_in_turn_stay_what_they_were() -> None:
    model = made(tiny_tagging, "modernbert")
    before = list(model.config.layer_types)
    keep_layers(model, 3)
    assert model.config.layer_types == before[:3]
    assert len(set(before[:3])) == 2


def test_0_and_all_of_them_change_nothing(batch: Batch) -> None:
    model = made(tiny_tagging, "bert")
    before = states(model, batch)
    for count in (0, 4):
        keep_layers(model, count)
        assert model.config.num_hidden_layers == 4
        assert all(torch.equal(one, other) for one, other in zip(before, states(model, batch), strict=True))


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("bert", "num_layers = 3: the backbone has 2 layers"),
        ("albert", "num_layers = 1: albert has no list of 2 layers"),  # one layer, used twice
        ("xlm", "num_layers = 1: xlm has no list of 2 layers"),  # the parts of its layers are in several lists
        ("esm", "num_layers = 1: a esm has more parts "),  # a contact head as wide as it has layers and heads
    ],
)
def test_layers_that_can_not_be_cut_are_refused(kind: str, words: str) -> None:
    with raises(SettingsError, words):
        keep_layers(tiny_tagging(kind), 3 if kind == "bert" else 1)


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


@pytest.mark.parametrize(("kind", "count"), [("bert", 3), ("albert", 1), ("xlm", 1)])
def test_layers_that_can_not_be_frozen_are_refused(kind: str, count: int) -> None:
    with raises(SettingsError, f"num_frozen_layers = {count}: "):
        freeze(tiny_tagging(kind), count)
