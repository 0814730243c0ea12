"""A part of a suite, and how long it will take."""

from pathlib import Path
from typing import Any

import pytest

from nerbert.errors import SettingsError
from nerbert.evaluation.benchmark.cells import Cell, CellKey, State
from nerbert.evaluation.benchmark.selection import Selection, cpu_seconds_left
from nerbert.evaluation.benchmark.suite_file import read_suite
from tests.raised import raises

SUITE = """
title = "T"
about = "a"
seeds = [1, 2]
[systems."NER-BERT"]
encoder = "embedded"
[systems."NER-BERT, int8"]
encoder = "embedded-mlm"
[[targets]]
data = "ships"
sizes = [5, 20, "all"]
draw_by_seed = true
"""


@pytest.fixture
def suite(tmp_path: Path) -> Any:
    (tmp_path / "t.toml").write_text(SUITE)
    return read_suite(tmp_path / "t.toml")


@pytest.mark.parametrize(
    ("only", "count"),
    [
        ((), 12), (("size=5,all",), 8), (("size=5", "size=20"), 8), (("size=5", "seed=2"), 2),
        (("system=NER-BERT, int8",), 6), (("system=NER-BERT", "system=NER-BERT, int8", "size=all"), 4),
    ],
)  # fmt: skip
def test_what_is_selected(suite: Any, only: tuple[str, ...], count: int) -> None:
    selection = Selection(suite, only)
    assert sum(place in selection for place in suite.places()) == count


@pytest.mark.parametrize(
    ("only", "why"),
    [
        ("seats", "--only seats: must be one of system=…, target=…, size=…"), ("sise=5", "did you mean 'size=…'?"),
        ("size=1", "--only size=1: the suite has no size '1': must be one of 20, 5, all"),
        ("system=NERBERT", "the suite has no system 'NERBERT': did you mean 'NER-BERT'?"), ("size=", "no size ''"),
        ("draw=2 size=all", "--only draw=2, size=all: selects no cell of the suite"),
    ],
)  # fmt: skip
def test_what_the_suite_does_not_have_is_refused(suite: Any, only: str, why: str) -> None:
    with raises(SettingsError, words=why):
        Selection(suite, only.split())


def test_time_is_that_of_cells_that_are_most_alike() -> None:
    def place(system: str, target: str, size: str) -> CellKey:
        return CellKey(system, target, size, 1, 1, "default")

    def done(*where: str, **facts: float) -> Cell:
        return Cell(place(*where), State.DONE, facts=facts)

    cells = [done("A", "ships", "5", cpu_seconds=10), done("A", "cars", "5", cpu_seconds=30), done("A", "ships", "20")]
    assert cpu_seconds_left([place("A", "ships", "5")], cells) == (10, 0)
    assert cpu_seconds_left([place("A", "news", "5"), place("A", "ships", "5")], cells) == (30, 0)
    assert cpu_seconds_left([place("A", "ships", "20"), place("B", "ships", "5")], cells) == (0, 2)
