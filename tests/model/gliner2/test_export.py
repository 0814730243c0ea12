"""GLiNER2's models as graphs: the same scores and entities as torch, also where graphs choose the spans they score."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nerbert.errors import InputError, NerbertError
from nerbert.model.gliner.config import COUNTING
from nerbert.model.gliner.folder import MARKS
from nerbert.records import EntityLabel
from nerbert.tagger.export import export
from nerbert.tagger.gliner_export import _check_odds
from nerbert.tagger.tagger import Tagger
from tests.model.gliner.test_export import (
    LABELS,
    TEXT,
    after,
    check_entities,
    check_without_torch,
    compared,
    doubled,
    graph_of,
    renamed,
)
from tests.raised import raises

from .conftest import Make

pytestmark = pytest.mark.extras
MANY = [EntityLabel(f"type {number}") for number in range(30)]


@pytest.mark.parametrize("counting", COUNTING)
@pytest.mark.parametrize("instances", [0, 2])
def test_scores_are_torchs(make: Make, capfd: pytest.CaptureFixture[str], counting: str, instances: int) -> None:
    """And none where the prompt's mark predicts none."""
    folder = make(counting=counting, instances=instances)
    export(folder, int8=True)
    assert capfd.readouterr() == ("", "")
    for labels in (LABELS, LABELS[:1], MANY):
        spread = compared(folder, labels)
        assert (np.std(spread) > 0.1) if instances else not spread


@pytest.mark.parametrize("settings", [{}, {"boundary_attention_window": 0, "boundary_refinement_layers": 0}])
def test_scores_of_chosen_spans_are_torchs(
    make_boundary: Make, capfd: pytest.CaptureFixture[str], settings: dict[str, Any]
) -> None:
    folder, spread = make_boundary(**settings), list[float]()
    export(folder)
    assert capfd.readouterr() == ("", "")
    for labels in (LABELS, LABELS[:1], MANY):
        spread += compared(folder, labels)
    assert 0.3 < np.std(spread) < 10  # the test can fail


def test_entities_are_torchs(make_boundary: Make) -> None:
    folder = make_boundary(abstention_threshold=1.0)
    export(folder, int8=True)
    check_entities(folder, ["ship", "city"])


def test_no_pair_may_be_left(make_boundary: Make) -> None:
    folder = make_boundary(pool_boundary_top_k=1)
    export(folder)
    texts = [f"the ship {number} left the port" for number in range(12)]
    torch, onnx = (
        [
            len(spans)
            for spans in Tagger.load(folder, backend=each, device="cpu", thresholds=0.0).tag_many(texts, ["ship"])
        ]
        for each in ("torch", "onnx")
    )
    assert torch == onnx
    assert not all(torch)


def test_without_torch(make: Make, make_boundary: Make, tmp_path: Path) -> None:
    for folder in (make("counted"), make_boundary("boundary", abstention_threshold=1.0)):
        check_without_torch(export(folder, output=tmp_path / "light" / folder.name).folder)


@pytest.mark.parametrize(
    ("marks", "words"),
    [
        ({"<<ENT>>": [1], "<<SEP>>": [2]}, "belongs to another model than config.json"),
        (dict.fromkeys(MARKS, ()), "own: marks."),
    ],
)
def test_marks_of_another_model_are_refused(make: Make, marks: dict[str, Any], words: str) -> None:
    folder = make()
    export(folder)
    path = folder / "onnx" / "nerbert-onnx.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"own": {"marks": marks}}))
    with raises(InputError, words):
        Tagger.load(folder, backend="onnx")


def shifted(output: int, by: int) -> Callable[[Any], None]:
    """Add a number to an output of a graph."""

    def change(model: Any) -> None:
        import onnx

        model.graph.initializer.append(onnx.helper.make_tensor("more", onnx.TensorProto.INT64, [1], [by]))
        after(model, output, "Add", "more")

    return change


def swapped(model: Any) -> None:
    kept = list(model.graph.output)
    del model.graph.output[:]
    model.graph.output.extend([kept[2], kept[0], kept[1]])


def test_hostile_graphs_are_refused(make_boundary: Make) -> None:
    folder = make_boundary()
    export(folder)
    whole = (folder / "onnx" / "scores.onnx").read_bytes()
    for change in (renamed, doubled, swapped, shifted(0, -1000), shifted(0, 1 << 40), shifted(1, 1 << 40)):
        (folder / "onnx" / "scores.onnx").write_bytes(whole)
        graph_of(folder, "scores.onnx", change)
        with pytest.raises(NerbertError, match=r"scores\.onnx"):
            Tagger.load(folder, backend="onnx").tag(TEXT, ["ship", "city"])


def test_few_spans_may_be_chosen_on_one_back_end_alone() -> None:
    ours = np.arange(1000.0)
    theirs = ours.copy()
    theirs[:5] = -np.inf
    _check_odds("m", ours, theirs)
    theirs[:50] = -np.inf
    with raises(InputError, "m: its graph chooses other spans than torch"):
        _check_odds("m", ours, theirs)
    with raises(InputError, "differs from torch's by"):
        _check_odds("m", ours, ours * 1.1)
