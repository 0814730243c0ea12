"""Folders of GLiNER 2.5 ("boundary") that are as they should be, and such as are not: one clear line each."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from nerbert.errors import InputError
from nerbert.model.folder import ModelFolder
from nerbert.model.gliner.folder import load_gliner
from nerbert.model.gliner2.boundary import BoundarySpans
from nerbert.records import Example
from nerbert.tagger.tagger import Tagger
from nerbert.words import split_words

from .conftest import BOUNDARY, Make
from .test_folder import CONFIG, LABELS, TEXT, WEIGHTS, change, found


def head(folder: Path, **settings: Any) -> None:
    kept = {**json.loads((folder / CONFIG).read_text())["boundary_head"], **settings}
    change(folder / CONFIG, boundary_head={name: value for name, value in kept.items() if value is not ...})


def scores(folder: Path, text: str, labels: list[str], **how: Any) -> np.ndarray[Any, Any]:
    asked: Any = Tagger.load(folder, device="cpu", **how).with_labels(labels).head
    windows = asked.pieces.windows([Example(text, split_words(text, "gliner2-words-1"))], asked.prompt)
    every: list[np.ndarray[Any, Any]] = [each for _, each in sorted(asked.scores(windows), key=lambda each: each[0])]
    assert len(every) == len(windows) == 1
    return every[0]


def test_a_folder_is_read(make_boundary: Make) -> None:
    folder = make_boundary()
    model = load_gliner(folder).model
    assert isinstance(model, BoundarySpans)
    assert (model.config.max_types, model.config.max_len, model.config.max_width) == (25, 384, 8)
    assert ModelFolder.open(folder).card["head"] == "gliner"
    assert found(folder)
    assert found(folder, "A ship left. " * 60)


def test_a_text_of_one_word_and_of_none(make_boundary: Make) -> None:
    folder = make_boundary(abstention_threshold=1.0)
    assert [each.text for each in found(folder, "Stockholm", 0.0)] == ["Stockholm"]
    assert found(folder, "") == found(folder, "  ") == []


def test_a_span_has_any_length_and_never_the_added_stop(make_boundary: Make) -> None:
    folder = make_boundary()
    with_stop, without = (scores(folder, text, LABELS[:1]) for text in (TEXT + ".", TEXT))
    assert len(with_stop) == len(without) + 1
    np.testing.assert_allclose(with_stop[:-1, :1], without[:, :1], atol=1e-5)
    inside = np.argwhere(np.isfinite(without))[:, :2]
    assert inside.sum(1).max() < len(without)
    assert inside[:, 1].max() >= 4


def test_labels_compete_for_the_spans_that_are_scored(make_boundary: Make) -> None:
    folder, text = make_boundary(pool_size=12), "The ship left the port of Stockholm and sank in the harbour of Oslo ."
    alone, together = (scores(folder, text, ["ship", "port", "city", "mayor"][:count])[..., 0] for count in (1, 4))
    assert np.isfinite(alone).sum() == np.isfinite(together).sum() == 12
    width = min(alone.shape[1], together.shape[1])
    assert (np.isfinite(alone[:, :width]) != np.isfinite(together[:, :width])).any()


def test_no_pair_may_be_left(make_boundary: Make) -> None:
    folder = make_boundary(pool_boundary_top_k=1)
    words = [f"the ship {number} left the port" for number in range(12)]
    assert any(not found(folder, each, 0.0) for each in words)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_choices_are_made_in_fp32(make_boundary: Make, precision: str) -> None:
    model = load_gliner(make_boundary()).model
    words, labels = torch.randn(20, 16, dtype=torch.bfloat16), torch.randn(3, 16, dtype=torch.bfloat16)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        given = model.scores((words,), (labels,))
    with torch.inference_mode():
        exact = model.scores((words.float(),), (labels.float(),))
    assert given.dtype == torch.float32
    assert torch.equal(given, exact)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"candidate_pool": ...}, "boundary_head.candidate_pool is missing; nerbert reads GLiNER 2.5's models in the"),
        (
            {"candidate_pool": "per_query"},
            "boundary_head.candidate_pool = 'per_query': must be 'shared'; nerbert reads",
        ),
        ({"candidate_attention_layers": ...}, "boundary_head.candidate_attention_layers is missing"),
        ({"query_attention_layers": 1}, "boundary_head.query_attention_layers = 1: must be 0"),
        ({"adaptive_threshold": True}, "boundary_head.adaptive_threshold = True: must be False"),
        ({"content_soft_max_pool": True}, "boundary_head.content_soft_max_pool = True: must be False"),
        ({"enable_span_content": ...}, "boundary_head.enable_span_content is missing"),
        ({"use_inside_evidence": False}, "boundary_head.use_inside_evidence = False: must be True"),
        ({"enable_abstention": False}, "boundary_head.enable_abstention = False: must be True"),
        ({"boundary_attention_heads": 3}, "boundary_dim = 16: must be a multiple of boundary_attention_heads = 3"),
        ({"boundary_dim": 10**9}, r"boundary_head.boundary_dim = 1000000000: must be less than or equal to"),
        ({"boundary_ffn_multiplier": 1e9}, r"boundary_head.boundary_ffn_multiplier = 1000000000.0: must be less"),
        ({"boundary_refinement_layers": 65}, r"boundary_head.boundary_refinement_layers = 65: must be less"),
        ({"boundary_attention_layers": 3}, r"[0-9]+ of [0-9]+ weights are missing for a boundary span model on 'bert'"),
        ({"pool_boundary_top_k": 0}, r"boundary_head.pool_boundary_top_k = 0: must be greater than or equal to 1"),
        ({"pool_size": 1 << 20}, r"boundary_head.pool_size = 1048576: must be less than or equal to 4096"),
        ({"min_pool_per_query": -1}, r"boundary_head.min_pool_per_query = -1: must be greater"),
        ({"pair_temperature": 0}, r"boundary_head.pair_temperature = 0: must be greater than 0"),
        ({"pair_temperature": math.nan}, r"boundary_head.pair_temperature = nan: must be"),
        ({"pair_temperature": math.inf}, r"boundary_head.pair_temperature = inf: must be"),
        ({"abstention_threshold": 1.5}, r"boundary_head.abstention_threshold = 1.5: must be less than or equal to 1"),
        ({"boundary_attention_window": -1}, r"boundary_head.boundary_attention_window = -1: must be greater"),
        ({"pair_dim": 24}, r"config.json and weights don't belong together: boundary_head.shared_pool_scorer"),
        ({"content_dim": 9}, r"don't belong together: boundary_head.shared_pool_scorer.content_"),
        ({"boundary_attention_heads": "2"}, "boundary_head.boundary_attention_heads = '2': must be a valid integer"),
    ],
)
def test_other_settings_are_refused(make_boundary: Make, settings: dict[str, Any], message: str) -> None:
    folder = make_boundary()
    head(folder, **settings)
    with pytest.raises(InputError, match=message) as caught:
        Tagger.load(folder, device="cpu")
    assert "\n" not in str(caught.value)


def test_refusals_come_before_weights_are_read(make_boundary: Make) -> None:
    folder = make_boundary()
    (folder / WEIGHTS).write_bytes(b"none")
    for settings in (..., {}, {**BOUNDARY, "adaptive_threshold": True}):
        change(folder / CONFIG, boundary_head=settings)
        with pytest.raises(InputError, match="boundary_head"):
            ModelFolder.open(folder, "tagger").check()


def test_what_has_no_effect_is_not_refused(make_boundary: Make, make: Make) -> None:
    folder = make_boundary()
    expected = found(folder)
    assert expected
    head(folder, rotary_base="?", start_top_k=-1)
    change(folder / CONFIG, max_width=1, span_head={"max_width": 1})
    assert found(folder) == expected
    assert found(make("span", boundary_head={"candidate_pool": "per_query"}))


def test_missing_weights_are_named(make_boundary: Make) -> None:
    folder = make_boundary()
    weights = load_file(folder / WEIGHTS)
    for name in ("boundary_head.null_projection.bias", "boundary_head.shared_pool_builder.end_projection.weight"):
        save_file({other: each for other, each in weights.items() if other != name}, folder / WEIGHTS)
        with pytest.raises(InputError, match=f"1 of [0-9]+ weights are missing for a boundary span model.*say {name}:"):
            Tagger.load(folder)
