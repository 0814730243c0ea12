"""Fewer layers: what is left computes what it did, and is a folder that loads again."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nerbert.errors import SettingsError
from nerbert.model.backbone import save_model
from nerbert.model.forward import Batch, logits_at
from nerbert.model.fresh import freeze, keep_layers, layers_of, train_tokenizer
from nerbert.model.windows import Window, Windows
from nerbert.training.batches import collate
from tests.encoder.backbones import load_mlm_model, load_tagging_model, tiny_mlm, tiny_tagging

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
def test_what_is_left_computes_what_it_did(make: Callable[..., Any], kind: str, batch: Batch) -> None:
    model = made(make, kind)
    before = states(model, batch)
    keep_layers(model, 3)
    assert len(before) == 4
    after = states(model, batch)
    assert len(after) == 3
    for one, other in zip(before, after, strict=False):
        assert torch.equal(one, other)


def test_the_head_reads_the_last_layer_that_is_left(batch: Batch) -> None:
    model = made(tiny_tagging, "bert")
    with torch.no_grad():
        hidden = model(batch.ids, batch.mask, output_hidden_states=True).hidden_states[2]
        wanted = model.classifier(hidden)[batch.rows, batch.columns]
        keep_layers(model, 2)
        torch.testing.assert_close(logits_at(model, batch), wanted)


@BOTH
@pytest.mark.parametrize("kind", KINDS)
def test_the_saved_folder_loads_again(make: Callable[..., Any], kind: str, batch: Batch, tmp_path: Path) -> None:
    model = made(make, kind)
    keep_layers(model, 2)
    save_model(tmp_path, model, train_tokenizer(["a b c d"], 60))
    config = json.loads((tmp_path / "config.json").read_text())
    assert config.get("num_hidden_layers", config.get("n_layers")) == 2
    assert all(len(config[name]) == 2 for name in ("layer_types", "attention_window") if config.get(name))
    again = load_tagging_model(str(tmp_path)) if make is tiny_tagging else load_mlm_model(str(tmp_path), 1)
    again.eval()
    with torch.no_grad():
        torch.testing.assert_close(logits_at(again, batch), logits_at(model, batch))


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


def test_no_more_than_there_are(batch: Batch) -> None:
    model = made(tiny_tagging, "bert")
    with pytest.raises(SettingsError, match="setting num_layers = 5: the backbone has 4 layers"):
        keep_layers(model, 5)
    keep_layers(model, 2)
    with pytest.raises(SettingsError, match="setting num_frozen_layers = 3: the backbone has 2 layers"):
        freeze(model, 3)
    assert len(states(model, batch)) == 2


@pytest.mark.parametrize("kind", ["albert", "xlm"])
def test_layers_that_are_no_list_are_refused(kind: str) -> None:
    """ALBERT has one layer, used twice; XLM keeps the parts of its layers in several lists."""
    with pytest.raises(SettingsError, match=f"num_layers = 1: {kind} has no list of 2 layers .* take 0"):
        keep_layers(tiny_tagging(kind), 1)


def test_what_could_not_be_loaded_again_is_refused() -> None:
    """ESM's contact head is as wide as it has layers and heads."""
    with pytest.raises(SettingsError, match=r"num_layers = 1: a esm has more parts .* take 0"):
        keep_layers(tiny_tagging("esm"), 1)
