"""A cell's file comes back as it was written or is refused; a folder of someone else is left alone."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from nerbert.artifacts import publish_job
from nerbert.errors import InputError, OutputExists
from nerbert_bench.cells import (
    CELLS,
    SOURCES,
    Cell,
    CellKey,
    Predictions,
    State,
    cell_path,
    check_folder,
    read_cell,
    write_cell,
)
from tests.raised import raises

PLACE = CellKey("A", "ships", "all", 1, 1, "p")
FOUND = Predictions([[(0, 1, "ship", 0.5)], [(1, 2, "x", None)]], {}, [["B-ship"], ["O", "O"]], {"own": [[], []]})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = cell_path(tmp_path, "k")
    path.parent.mkdir()
    return path


def test_a_cell_and_its_predictions_come_back(path: Path) -> None:
    assert read_cell(path) is None
    cell = Cell(PLACE, State.DONE, "", {"micro": {"f1": 0.5}}, {"seconds": {}, "text": "é\u2028\x85"})
    write_cell(path, "scored", cell, FOUND)
    file = read_cell(path)
    assert file is not None
    assert (file.cell(PLACE), file.predictions, file.scored) == (cell, FOUND, "scored")
    assert file.place == PLACE._asdict()
    assert file.cell(PLACE._replace(protocol="q")).place.protocol == "q"
    failed = Cell(PLACE, State.FAILED, "torn")
    write_cell(path, "scored", failed)
    file = read_cell(path)
    assert file is not None
    assert (file.cell(PLACE), file.predictions) == (failed, None)


@pytest.mark.parametrize("damage", [lambda text: text[:-9], lambda _: "", lambda _: "{}", lambda text: f"[{text}]"])
def test_a_damaged_file_is_refused(path: Path, damage: Callable[[str], str]) -> None:
    write_cell(path, "scored", Cell(PLACE, State.DONE), FOUND)
    path.write_text(damage(path.read_text()))
    with raises(InputError, path=path):
        read_cell(path)


def test_one_run_at_a_time(tmp_path: Path) -> None:
    grown = partial(publish_job, tmp_path / "out", None, keep=(CELLS, SOURCES))
    with grown(), raises(OutputExists, words="out: another run is making it"), grown():
        pass
    with grown() as draft:
        assert (draft.path / CELLS).is_dir()


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (
            "thesis.txt",
            "out: holds 'thesis.txt' but no cells, so it is not a benchmark's folder; name a new or an empty",
        ),
        (
            "predictions/",
            "out: was made by an earlier version of nerbert, whose cells this one doesn't read; name a new",
        ),
        ("cells -> elsewhere", "out/cells: is a link"),
    ],
)
def test_other_folders_are_left_alone(tmp_path: Path, made: str, told: str) -> None:
    out, (name, _, target) = tmp_path / "out", made.partition(" -> ")
    out.mkdir()
    (tmp_path / "elsewhere").mkdir()
    if target:
        (out / name).symlink_to(tmp_path / target)
    elif name.endswith("/"):
        (out / name).mkdir()
    else:
        (out / name).touch()
    with raises(OutputExists, words=told):
        check_folder(out)
        with publish_job(out, None, keep=(CELLS, SOURCES)):
            pass
    assert len(list(out.iterdir())) == 1
