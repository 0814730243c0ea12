"""Published figures stand apart, and marked where they are of other sentences."""

from dataclasses import replace

import pytest

from nerbert.evaluation.benchmark.suite import Published, Suite, Target
from nerbert.evaluation.datasets.load import known_data
from nerbert.evaluation.tables.results import BenchmarkTable
from nerbert.evaluation.tables.table import make_table
from tests.evaluation.tables.made_up import all_done, entry, grid_of, made_up_cells, made_up_suite

pytestmark = pytest.mark.extras  # scipy
SUITE = made_up_suite()
CELLS = made_up_cells(SUITE)
POL, MUS, SCI = "crossner_politics", "crossner_music", "crossner_science"


def test_published_figures_stand_apart_and_only_where_they_belong() -> None:
    table = make_table(SUITE, CELLS)
    assert entry(table, ("politics", "all"), "BERT-base").text == "66.56"
    assert entry(table, ("btc", "10 sentences"), "BERT-base").text == "–"
    (head,) = (head for head in grid_of(table, "scores").heads if head.text == "BERT-base (published)")
    assert head.notes == ("BERT-base: A paper, Table 2",)
    suite = made_up_suite(targets=(Target(data="politics"), Target(data="ai")))
    means = make_table(suite, made_up_cells(suite, all_done))
    assert entry(means, ("mean of 2 targets", "all"), "BERT-base").text == f"{(66.56 + 50.37) / 2:.2f}"


def known_suite(*names: str) -> Suite:
    paper = Published(name="P", of="a paper", f1=dict.fromkeys(names, 50.0))
    return made_up_suite(targets=tuple(Target(data=name) for name in names), published=(paper,))


def known_table(*names: str, wrong: str = "") -> BenchmarkTable:
    """Cells made from the registry's own files; one target's from another."""
    suite, cells = known_suite(*names), []
    for cell in made_up_cells(suite, all_done):
        files = {f"{split}.conll": each.sha256 for split, each in known_data()[cell.place.target].splits.items()}
        files |= {"test.conll": "ab" * 32} if cell.place.target == wrong else {}
        cells.append(replace(cell, facts={**cell.facts, "data": files}))
    return make_table(suite, cells)


def marked(table: BenchmarkTable, *names: str) -> list[str]:
    return [*entry(table, names, "P").notes]


def test_a_split_that_is_not_the_papers_is_marked() -> None:
    table = known_table(POL, MUS, SCI)
    assert marked(table, POL, "all") == []
    assert marked(table, MUS, "all") == [
        f"{MUS}: published figures are, or may be, of other sentences: {known_data()[MUS].split}"
    ]
    assert marked(table, "mean of 3 targets", "all") == marked(table, MUS, "all")
    assert marked(known_table(POL, SCI), "mean of 2 targets", "all") == []


def test_files_that_are_not_the_registrys_are_marked() -> None:
    table = known_table(POL, SCI, wrong=SCI)
    assert marked(table, POL, "all") == []
    assert "test.conll: not as the registry knows crossner_science" in marked(table, SCI, "all")[0]
    assert marked(table, "mean of 2 targets", "all") == marked(table, SCI, "all")


def test_a_data_set_that_nobody_knows_is_marked() -> None:
    (note,) = entry(make_table(SUITE, CELLS), ("politics", "all"), "BERT-base").notes
    assert "not a data set that the registry knows" in note
    assert marked(make_table(known_suite(POL), []), POL, "all") == [], "no cell, nothing against it"
