"""What stands in a benchmark's folder is whole, fits, or is made anew."""

import errno
import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nerbert.errors import InputError, OutputExists
from nerbert.evaluation.benchmark.cells import Cell, CellKey, Predictions, State
from nerbert.evaluation.benchmark.store import MARKER, Store
from nerbert.formats.conll import example_of
from tests.raised import raises

PLACE = CellKey("A", "one", "all", 1, 1, "p")
SECONDS = {"train": {"wall": 2.5, "cpu": 2}}
DONE = Cell(PLACE, State.DONE, "", {"micro": {"f1": 0.5}}, {"seconds": SECONDS})
TEST = [example_of(["The", "Margarethe"], ["O", "B-ship"]), example_of(["sank"], ["O"])]
GREEDY = [["O", "I-big ship"], ["O"]]
FOUND = Predictions(
    [[(1, 2, "big ship", 0.25)], []],
    {"steps": 3, "seconds": SECONDS},
    GREEDY,
    {"best_on_dev": [[], [(0, 1, "x", None)]]},
)


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
    assert store.read_cell("k", other, retry=True) == replace(DONE, place=other)
    path = store.cells / "k.json"
    path.write_text(json.dumps(unsummed(path)))
    assert store.read_cell("k", PLACE) == DONE, "earlier versions wrote no checksum"
    assert not store.notes


def by_hand(f1: str = "0.5", facts: str = '{"seconds": {}}') -> str:
    text = '{"format": 4, "state": "done", "why": "", "scores": {"micro": {"f1": %s}}, "facts": %s}'
    return text % (f1, facts)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "not JSON"), ("{", "not JSON"), ("[" * 900, "not JSON"), ("[]", ""), ("null", ""), ("{}", "state"),
        ('{"format": 4, "state": "lost"}', "state"),
        ('{"format": 9, "state": "failed", "why": "", "facts": {}}', "format = 9"),
        ('{"format": 4, "state": "not_run", "why": "", "scores": {}, "facts": {}}', "state"),
        ('{"format": 4, "state": "failed", "why": 1, "scores": {}, "facts": {}}', "why = 1"),
        ('{"format": 4, "state": "done", "scores": {}, "facts": {"seconds": {}}}', "scores.micro is missing"),
        ('{"format": 4, "state": "done", "scores": {"micro": 1}, "facts": {"seconds": {}}}', "scores.micro = 1"),
        *((by_hand(f1=f1), "scores.micro.f1 = ") for f1 in (
            "1" + "0" * 400, "NaN", "Infinity", '"0.5"', "1.1", "-1", "true", "null")),
        *((by_hand(facts=facts), "facts") for facts in (
            "{}", "[]", '{"seconds": []}', '{"seconds": {"train": 3}}', '{"seconds": {"train": {"wall": "x"}}}',
            '{"seconds": {"read": {"wall": -1, "cpu": 0}}}', '{"seconds": {"read": {"wall": NaN, "cpu": 0}}}')),
    ],
)  # fmt: skip
def test_a_broken_cell_is_none_and_told(store: Store, content: str, told: str) -> None:
    (store.cells / "k.json").write_text(content)
    assert store.read_cell("k", PLACE) is None
    (note,) = store.notes
    assert note.count("k.json") == 1
    assert told in note
    assert note.endswith("; so its cell is run again")


def test_a_file_says_what_it_is(store: Store) -> None:
    store.write_cell("k", DONE)
    store.write_predictions("k", PLACE, FOUND)
    for folder in (store.cells, store.predictions):
        file = json.loads((folder / "k.json").read_text())
        assert list(file)[1:7] == list(CellKey._fields)
        assert (file["system"], file["target"], file["seed"]) == ("A", "one", 1)
    assert file["entities"][0] == [[1, 2, "big ship", 0.25]]


def unsummed(path: Path) -> dict[str, Any]:
    """Return a stored file's content, as earlier versions wrote it."""
    content: dict[str, Any] = json.loads(path.read_text())
    del content["checksum"]
    return content


@pytest.mark.parametrize(("one", "other"), [("0.5", "0.7"), ("2.5", "3.5"), ('"B-ship"', '"C-ship"')])
def test_a_cell_whose_figure_changed_is_run_again(store: Store, one: str, other: str) -> None:
    cell = replace(DONE, scores=DONE.scores | {"by_type": {"B-ship": {"f1": 0.25}}})
    store.write_cell("k", cell)
    assert store.read_cell("k", PLACE) == cell
    path = store.cells / "k.json"
    path.write_text(path.read_text().replace(one, other))
    assert store.read_cell("k", PLACE) is None
    (note,) = store.notes
    assert note == f"{path}: is damaged: it has another checksum than it says; so its cell is run again"


def test_a_flipped_bit_is_noticed_or_changes_nothing(store: Store) -> None:
    """A bit of each byte; some are of what no reader looks at, such as blanks."""
    store.write_cell("k", DONE)
    store.write_predictions("k", PLACE, FOUND)
    for path, read in (
        (store.cells / "k.json", lambda: store.read_cell("k", PLACE)),
        (store.predictions / "k.json", lambda: store.read_predictions("k", TEST)),
    ):
        content, whole = path.read_bytes(), read()
        for place in range(0, 8 * len(content), 7):
            path.write_bytes((int.from_bytes(content) ^ 1 << place).to_bytes(len(content)))
            assert read() in (None, whole), place


def test_predictions_come_back(store: Store) -> None:
    assert store.read_predictions("k", TEST) is None
    store.write_predictions("k", PLACE, FOUND)
    found = store.read_predictions("k", TEST)
    assert found == FOUND == store.read_predictions("k")
    assert list(found.facts) == list(FOUND.facts), "a cell that is scored again has its facts in the same order"
    path = store.predictions / "k.json"
    content = unsummed(path)
    content["tuned"] = content.pop("others")["best_on_dev"]
    path.write_text(json.dumps(content))
    assert store.read_predictions("k", TEST) == FOUND, "earlier versions had one further reading, and no checksum"


SPOILED: dict[str, Callable[[Any], object]] = {
    "sentence": lambda content: content["entities"].pop(),
    "word": lambda content: content["greedy"][0].pop(),
    "confidence": lambda content: content["entities"][0][0].__setitem__(3, "much"),
    "endless": lambda content: content["entities"][0][0].__setitem__(3, math.nan),
    "sure": lambda content: content["entities"][0][0].__setitem__(3, 5e300),
    "tag": lambda content: content["greedy"][0].__setitem__(0, "X-ship"),
    "place": lambda content: content["entities"][0][0].__setitem__(1, 3),
    "others": lambda content: content["others"]["best_on_dev"][1][0].__setitem__(0, 1),
    "format": lambda content: content.update(format=0),
    "facts": lambda content: content.update(facts={}),
}


@pytest.mark.parametrize("change", ["cut", *SPOILED])
def test_predictions_that_do_not_fit_are_removed(store: Store, change: str) -> None:
    store.write_predictions("k", PLACE, FOUND)
    path = store.predictions / "k.json"
    content = unsummed(path)
    SPOILED.get(change, bool)(content)
    path.write_text(json.dumps(content)[: 20 if change == "cut" else None])
    assert store.read_predictions("k", TEST) is None
    assert not path.exists()


def test_one_run_at_a_time(store: Store) -> None:
    with store.hold(), raises(OutputExists, words="another benchmark is using it"), Store(store.folder).hold():
        pass
    with store.hold():
        pass


def test_what_a_killed_run_left_under_way_is_removed(store: Store) -> None:
    (store.scratch / "k").mkdir(parents=True)
    (store.cells / ".k.json.123.partial").touch()
    (store.cells / ".my.partial").touch()
    with store.hold():
        assert store.scratch.is_dir()
        assert not list(store.scratch.iterdir())
    assert not store.scratch.exists()
    assert [path.name for path in store.cells.iterdir()] == [".my.partial"]


@pytest.mark.parametrize("theirs", [".benchmark/x", ".scratch/x", "cells/.my.partial", "thesis.tex"])
def test_a_folder_of_someone_else_is_left_alone(tmp_path: Path, theirs: str) -> None:
    path = tmp_path / theirs
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    with raises(OutputExists, words="no benchmark.json, so it is not a benchmark's folder; name a new or"):
        Store(tmp_path).hold().__enter__()
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_of_a_newer_version_is_left_alone(store: Store) -> None:
    """Its files would be damaged ones here, and be removed."""
    (store.folder / MARKER).write_text('{"format": 5, "more": []}')
    with raises(OutputExists, words="made by a newer version of nerbert (format 5, this one has 4); upgrade"):
        store.hold().__enter__()


@pytest.mark.parametrize("content", ["{", "[]", '{"format": "4"}', '{"format": 3, "made_by": "nerbert benchmark"}'])
def test_a_damaged_or_older_marker_is_written_again(store: Store, content: str) -> None:
    marker = store.folder / MARKER
    whole = marker.read_bytes()
    marker.write_text(content)
    with store.hold():
        assert marker.read_bytes() == whole


def test_a_marker_that_the_disk_refuses_stays(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be of a newer version."""
    marker, opened = store.folder / MARKER, Path.open
    marker.write_text('{"format": 5}')

    def refuse(path: Path, *arguments: Any, **more: Any) -> Any:
        if path == marker:
            raise OSError(errno.EIO, "Input/output error", f"{path}")
        return opened(path, *arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        with raises(InputError, words="can't be made or read: Input/output error"):
            store.hold().__enter__()
    assert marker.read_text() == '{"format": 5}'


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    with Store(tmp_path).hold():
        assert (tmp_path / MARKER).is_file()


@pytest.mark.parametrize("name", ["cells", "predictions", "sources", ".benchmark", MARKER])
def test_links_are_refused(store: Store, tmp_path: Path, name: str) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / ".k.json.1.partial").touch()
    place = store.folder / name
    if place.is_dir():
        place.rmdir()
    place.unlink(missing_ok=True)
    place.symlink_to(theirs)
    with raises(OutputExists, words="is a link"):
        store.hold().__enter__()
    assert (theirs / ".k.json.1.partial").exists()


def test_a_file_in_a_folders_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with raises(InputError, words="out: can't be made"):
        Store(tmp_path / "out").hold().__enter__()


COST = {"wall": 3.0, "cpu": 2.5}


@pytest.fixture
def made(tmp_path: Path) -> Path:
    folder = tmp_path / "made"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def test_a_source_comes_back_with_its_cost(store: Store, made: Path) -> None:
    assert store.source_cost("k") is None
    store.keep_source("k", made, COST, {"data": "far"})
    assert store.source_cost("k") == store.source_cost("k", whole=True) == COST
    assert (store.source("k") / "model.safetensors").read_bytes() == b"weights"
    assert json.loads((store.sources / "k.json").read_text())["data"] == "far"


DAMAGES: dict[str, Callable[[Path, Path], object]] = {
    "cut": lambda folder, _: (folder / "model.safetensors").write_bytes(b"weig"),
    "bytes": lambda folder, _: (folder / "model.safetensors").write_bytes(b"WEIGHTS"),
    "file": lambda folder, _: (folder / "config.json").unlink(),
    "folder": lambda folder, _: shutil.rmtree(folder),
    "mark": lambda _, mark: mark.unlink(),
    "cost": lambda _, mark: mark.write_text(mark.read_text().replace("2.5", '"x"')),
    "figure": lambda _, mark: mark.write_text(mark.read_text().replace("2.5", "3.5")),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_broken_source_is_made_anew(store: Store, made: Path, damage: str) -> None:
    store.keep_source("k", shutil.copytree(made, made.with_name("first")), COST, {})
    DAMAGES[damage](store.source("k"), store.sources / "k.json")
    assert store.source_cost("k", whole=True) is None
    store.keep_source("k", made, COST, {"data": "far"})
    assert store.source_cost("k", whole=True) == COST
