"""What stands in a benchmark's folder is whole, fits, or is made anew."""

import json
from pathlib import Path

import pytest

from nerbert.errors import OutputExists
from nerbert.evaluation.benchmark.cells import Cell, Place, State
from nerbert.evaluation.benchmark.parts import Found
from nerbert.evaluation.benchmark.store import Store
from nerbert.formats.conll import example_of

PLACE = Place("A", "one", "all", 1, 1, "p")
DONE = Cell(PLACE, State.DONE, "", {"micro": {"f1": 0.5}}, {"seconds": {}})
TEST = [example_of(["The", "Margarethe"], ["O", "B-ship"]), example_of(["sank"], ["O"])]
FOUND = Found([["O", "B-big ship"], ["O"]], [[0.5, 0.25], [1.0]], {"steps": 3})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "deep" / "out")
    with made.hold():
        pass
    return made


def test_a_cell_comes_back_at_any_place(store: Store) -> None:
    assert store.read_cell("k", PLACE) is None
    store.write_cell("k", DONE)
    assert store.read_cell("k", PLACE) == DONE
    other = PLACE._replace(system="B")
    found = store.read_cell("k", other, retry=True)
    assert found is not None
    assert found.place == other
    assert not store.notes


@pytest.mark.parametrize(
    "content",
    [
        "", "{", "[]", "null", "{}", '{"format": 2}', '{"format": 1, "state": "lost"}',
        '{"format": 1, "state": "done", "why": "", "scores": {}, "facts": {}}',
        '{"format": 1, "state": "done", "why": "", "scores": {"micro": {"f1": "x"}}, "facts": {}}',
        '{"format": 1, "state": "done", "why": "", "scores": {"micro": 1}, "facts": {}}',
        '{"format": 1, "state": "done", "why": "", "scores": {"micro": {"f1": 1}}, "facts": 1}',
        '{"format": 1, "state": "not_run", "why": "", "scores": {}, "facts": {}}',
        '{"format": 1, "state": "failed", "why": 1, "scores": {}, "facts": {}}',
    ],
)  # fmt: skip
def test_a_broken_cell_is_none_and_told(store: Store, content: str) -> None:
    (store.cells / "k.json").write_text(content)
    assert store.read_cell("k", PLACE) is None
    (note,) = store.notes
    assert "k.json: can't be used, so its cell is run again" in note


def test_predictions_come_back(store: Store) -> None:
    assert store.read_predictions("k", TEST) is None
    store.write_predictions("k", FOUND)
    assert store.has_predictions("k")
    assert store.read_predictions("k", TEST) == FOUND


@pytest.mark.parametrize("change", ["cut", "sentence", "word", "confidence", "number", "name", "format"])
def test_predictions_that_do_not_fit_are_removed(store: Store, change: str) -> None:
    store.write_predictions("k", FOUND)
    path = store.predictions / "k.json"
    content = json.loads(path.read_text())
    match change:
        case "sentence":
            content["tags"].pop()
        case "word":
            content["tags"][0].pop()
        case "confidence":
            content["confidences"][1] = ["much"]
        case "number":
            content["tags"][0][0] = 7
        case "name":
            content["names"][0] = "X-ship"
        case "format":
            content["format"] = 0
    path.write_text(json.dumps(content)[: 20 if change == "cut" else None])
    assert store.read_predictions("k", TEST) is None
    assert not path.exists()


def test_one_run_at_a_time(store: Store) -> None:
    with store.hold(), pytest.raises(OutputExists, match="another benchmark works there"), Store(store.folder).hold():
        pass
    with store.hold():
        pass


def test_what_a_killed_run_left_under_way_is_removed(store: Store) -> None:
    (store.scratch / "k").mkdir(parents=True)
    (store.cells / ".k.json.123.partial").touch()
    with store.hold():
        assert store.scratch.is_dir()
        assert not list(store.scratch.iterdir())
    assert not store.scratch.exists()
    assert not list(store.cells.iterdir())
