"""Episodes: F1 of all together, and what chance is shown of it."""

from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert_bench.cells import Cell, State
from nerbert_bench.render.benchmark import notes_of
from nerbert_bench.suite import Target
from nerbert_bench.tables.results import ColumnKey, Layout, RowKey
from nerbert_bench.tables.scores import compare
from nerbert_bench.tables.statistics import pooled_f1, units_of
from nerbert_bench.tables.table import make_table
from tests.bench.tables.made_up import entry, made_up_suite, scores_of

pytestmark = pytest.mark.extras  # scipy
COUNTS = st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50)).map(
    lambda c: (c[0], 2 * c[0] + c[1] + c[2])
)


def test_episodes_are_pooled_before_f1() -> None:
    suite = made_up_suite(targets=(Target(data="a", sizes=("5 way 1 shot",), draws=2),), seeds=(1,), published=())
    counts = {1: (1, 2, 2), 2: (9, 10, 30)}
    cells = []
    for place in suite.cell_keys():
        right, predicted, gold = counts[place.draw]
        scores = {"micro": {"right": right, "predicted": predicted, "gold": gold, "f1": 2 * right / (predicted + gold)}}
        cells.append(Cell(place, State.DONE, scores=scores))
    table = make_table(suite, cells)
    assert entry(table, ("a", "5 way 1 shot"), "BERT").text == f"{100 * 20 / 44:.2f} ± 1.17"
    mean = fmean(cell.scores["micro"]["f1"] for cell in cells)
    assert f"{100 * mean:.2f}" != f"{100 * 20 / 44:.2f}"
    assert any("summed before F1" in note for note in notes_of(table))


@given(st.dictionaries(st.tuples(st.integers(1, 6), st.integers(1, 3)), COUNTS, min_size=1))
def test_the_observations_mean_is_the_f1_of_all(runs: dict[tuple[int, int], tuple[int, int]]) -> None:
    seen = pooled_f1(runs, units_of(runs, by_draw=True))
    right, both = (sum(column) for column in zip(*runs.values(), strict=True))
    assert fmean(seen.values()) == pytest.approx(2 * right / both if both else 0.0)
    assert {draw for _, draw in seen} == {f"{draw}" for draw, _ in runs}


def test_a_tables_test_of_episodes_is_over_draws() -> None:
    suite = made_up_suite(targets=(Target(data="a", sizes=("5 way 1 shot",), draws=5),), seeds=(1, 2, 3), published=())
    cells = [
        Cell(place, State.DONE, scores=scores_of(0.3 + 0.05 * place.draw + 0.01 * (place.system == "BERT")))
        for place in suite.cell_keys()
    ]
    test = compare(Layout(suite, cells))[ColumnKey("BERT", "default"), RowKey("a", "5 way 1 shot")].test
    assert test.n == 5
    table = make_table(suite, cells)
    types = next(grid for grid in table.grids if grid.key == "types")
    assert [row[2].text for row in types.rows] == ["2,500", "1,500", "1,000"], "of all draws"
    errors = sum(sum(cell.scores["errors"].values()) for cell in cells if cell.place.system == "BERT")
    told = entry(table, ("a", "5 way 1 shot", "BERT"), "errors", "errors").text
    assert told == f"{errors / 3:,.1f}".removesuffix(".0"), "a seed's, of all draws"
