import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from nerbert.encoder.objectives.mlm import Mlm
from nerbert.errors import SettingsError
from nerbert.model.forward import Batch
from nerbert.model.fresh import freeze
from nerbert.model.windows import Window, Windows
from nerbert.training.batches import collate
from nerbert.training.tagging import TokenClassification
from tests.encoder.backbones import tiny_mlm, tiny_tagging

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


@pytest.fixture
def batch() -> Batch:
    return collate(Windows.pack([Window(0, (2, 7, 8, 9, 3), (0, 1, 2), (1, 2, 3), (0, 1, 1))]), np.arange(1), 0)


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
def test_exactly_the_lowest_stay(batch: Batch, kind: str) -> None:
    model = tiny_tagging(kind, num_labels=3)
    model.train()
    freeze(model, 1)
    assert model.training
    names = {name for name, _ in model.named_parameters()}
    low = {name for name in names if re.match(LOWEST[kind], name)}
    assert {name for name, each in model.named_parameters() if not each.requires_grad} == low
    assert moved(model, lambda: TokenClassification().loss(model, batch)["loss"]) == names - low


@pytest.mark.parametrize("kind", LOWEST)
def test_what_a_frozen_layer_gives_stays_bit_for_bit(batch: Batch, kind: str) -> None:
    model = tiny_tagging(kind, num_labels=3)
    freeze(model, 1)

    def states() -> tuple[torch.Tensor, ...]:
        with torch.no_grad():
            return tuple(model(batch.ids, batch.mask, output_hidden_states=True).hidden_states)

    before = states()
    moved(model, lambda: TokenClassification().loss(model, batch)["loss"])
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


def test_nothing_is_left_behind() -> None:
    model = tiny_tagging("bert")
    freeze(model, 1)
    assert all(each.grad is None for each in model.parameters())
    assert not any(each._forward_hooks for each in model.modules())


def test_more_layers_than_there_are_is_refused() -> None:
    with pytest.raises(SettingsError, match="num_frozen_layers = 3: the backbone has 2 layers"):
        freeze(tiny_tagging("bert"), 3)


@pytest.mark.parametrize("kind", ["albert", "xlm"])
def test_layers_that_are_no_list_are_refused(kind: str) -> None:
    """ALBERT has one layer, used twice; XLM keeps the parts of its layers in several lists."""
    with pytest.raises(SettingsError, match=f"num_frozen_layers = 1: {kind} has no list of 2 layers"):
        freeze(tiny_tagging(kind), 1)
