"""GLiNER 2.5's models as graphs, which choose the spans that they score: the same ones as torch."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nerbert.errors import InputError, NerbertError
from nerbert.records import EntityLabel
from nerbert.tagger.export import export
from nerbert.tagger.gliner_export import _check
from nerbert.tagger.tagger import Tagger
from tests.model.gliner.test_export import (
    CHILD,
    EXAMPLES,
    LABELS,
    TEXT,
    compared,
    doubled,
    graph_of,
    renamed,
    row,
)

from .conftest import Make


@pytest.mark.parametrize("settings", [{}, {"boundary_attention_window": 0, "boundary_refinement_layers": 0}])
def test_scores_are_torchs(make_boundary: Make, capfd: pytest.CaptureFixture[str], settings: dict[str, Any]) -> None:
    folder = make_boundary(**settings)
    export(folder)
    assert capfd.readouterr() == ("", "")
    spread = list[float]()
    for labels in (LABELS, LABELS[:1], [EntityLabel(f"type {number}") for number in range(30)]):
        spread += compared(folder, labels)
    assert 0.3 < np.std(spread) < 10  # the test can fail


def test_entities_are_torchs_and_int8_finds_some(make_boundary: Make) -> None:
    folder, texts = make_boundary(abstention_threshold=1.0), [each.text for each in EXAMPLES]
    export(folder, int8=True)
    found = [
        [*Tagger.load(folder, backend=backend, precision=precision, device="cpu").tag_many(texts, ["ship", "city"])]
        for backend, precision in (("torch", "fp32"), ("onnx", "fp32"), ("onnx", "int8"))
    ]
    assert sum(map(len, found[0])) > 5
    assert [list(map(row, each)) for each in found[0]] == [list(map(row, each)) for each in found[1]]
    assert any(found[2])


def test_no_pair_may_be_left(make_boundary: Make) -> None:
    folder = make_boundary(pool_boundary_top_k=1)
    export(folder)
    texts = [f"the ship {number} left the port" for number in range(12)]
    found = [
        [*Tagger.load(folder, backend=each, device="cpu", thresholds=0.0).tag_many(texts, ["ship"])]
        for each in ("torch", "onnx")
    ]
    assert list(map(len, found[0])) == list(map(len, found[1]))
    assert not all(found[0])


def test_without_torch(make_boundary: Make, tmp_path: Path) -> None:
    light = export(make_boundary(abstention_threshold=1.0), output=tmp_path / "light").folder
    wanted = [list(row(each)) for each in Tagger.load(light).tag(TEXT, ["ship", "city"])]
    assert wanted
    run = [sys.executable, "-W", "error", "-c", CHILD, str(light), TEXT]
    name, found = json.loads(subprocess.run(run, capture_output=True, text=True, check=True).stdout)
    assert (name, found) == ("onnx fp32 cpu", wanted)


def shifted(output: int, by: int) -> Callable[[Any], None]:
    """Add so much to an output of a graph."""

    def change(model: Any) -> None:
        import onnx

        last = model.graph.output[output]
        for node in model.graph.node:
            for place, name in enumerate(node.output):
                if name == last.name:
                    node.output[place] = "inner"
            for place, name in enumerate(node.input):
                if name == last.name:
                    node.input[place] = "inner"
        model.graph.initializer.append(onnx.helper.make_tensor("more", onnx.TensorProto.INT64, [1], [by]))
        model.graph.node.append(onnx.helper.make_node("Add", ["inner", "more"], [last.name]))

    return change


def swapped(model: Any) -> None:
    kept = list(model.graph.output)
    del model.graph.output[:]
    model.graph.output.extend([kept[2], kept[0], kept[1]])


def other_places(model: Any) -> None:
    """Give the labels' log-odds as the last words."""
    for node in model.graph.node:
        for place, name in enumerate(node.output):
            if name in ("ends", "scores"):
                node.output[place] = {"ends": "scores", "scores": "ends"}[name]
    first, second = model.graph.output[1], model.graph.output[2]
    kinds = first.type.__class__(), second.type.__class__()
    kinds[0].CopyFrom(second.type)
    kinds[1].CopyFrom(first.type)
    first.type.CopyFrom(kinds[0])
    second.type.CopyFrom(kinds[1])


@pytest.mark.parametrize(
    "change", [renamed, doubled, swapped, other_places, shifted(0, -1000), shifted(0, 1 << 40), shifted(1, 1 << 40)]
)
def test_hostile_graphs_are_one_line(make_boundary: Make, change: Callable[[Any], None]) -> None:
    folder = make_boundary()
    export(folder)
    graph_of(folder, "scores.onnx", change)
    with pytest.raises(NerbertError, match=r"scores\.onnx") as caught:
        Tagger.load(folder, backend="onnx").tag(TEXT, ["ship", "city"])
    assert "\n" not in str(caught.value)


def test_few_spans_may_be_chosen_on_one_back_end_alone() -> None:
    ours = np.arange(1000.0)
    theirs = ours.copy()
    theirs[:5] = -np.inf
    _check("m", ours, theirs)
    theirs[:50] = -np.inf
    with pytest.raises(InputError, match="m: its graph chooses other spans than torch"):
        _check("m", ours, theirs)
    with pytest.raises(InputError, match="differs from torch's by"):
        _check("m", ours, ours * 1.1)
