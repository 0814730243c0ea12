"""What the table of a suite says: which runs count, what is marked, what is told in the notes."""

import random
from dataclasses import replace
from functools import partial
from statistics import fmean
from typing import Any

import pytest

from nerbert.data.catalogue import known_data
from nerbert.finetuning.settings import FinetuneSettings
from nerbert_bench.cells import Cell, CellKey, State
from nerbert_bench.render.benchmark import notes_of
from nerbert_bench.suite import Published, Suite, SystemSettings, Target
from nerbert_bench.tables.results import COLUMNS, ERRORS, BenchmarkTable, Entry, figures_of, pool
from nerbert_bench.tables.table import make_table
from tests.bench.tables.made_up import (
    all_done,
    cells_of,
    entry,
    grid_of,
    made_up_cells,
    made_up_suite,
    scores_of,
    small,
)

pytestmark = pytest.mark.extras  # scipy
SUITE = made_up_suite()
CELLS = made_up_cells(SUITE)


def test_a_cell_is_mean_and_spread_over_seeds() -> None:
    suite = small("a")
    table = make_table(suite, cells_of(suite, {("MiniLM", "a"): [0.50, 0.60, 0.55], ("BERT", "a"): [0.7]}))
    assert entry(table, ("a", "all"), "MiniLM") == Entry("55.00 ± 5.00", "[42.58, 67.42]")
    assert entry(table, ("a", "all"), "BERT") == Entry("70.00 (1/3)")
    assert entry(table, ("a", "all"), "MiniLM, pre-trained") == Entry("–")
    assert len(grid_of(table, "scores").rows) == 1, "one target has no mean"


def test_groups_of_targets_have_means_without_tests() -> None:
    published = (Published(name="P", of="a paper", f1={"a": 50.0, "b": 60.0}, precision={"a": 40.0}),)
    suite = small("a", "b", "c", means={"first two": ("a", "b")}).model_copy(update={"published": published})
    f1s = {(name, target): [f1] * 3 for name in suite.systems for target, f1 in (("a", 0.5), ("b", 0.7), ("c", 0.9))}
    table = make_table(suite, cells_of(suite, f1s))
    means = [row[0].text for row in grid_of(table, "scores").rows]
    assert means == ["a", "b", "c", "first two, mean of 2 targets", "mean of 3 targets"]
    row = partial(entry, table, ("first two, mean of 2 targets", "all"))
    assert (row("BERT").text[:5], row("P").text) == ("60.00", "55.00")
    assert entry(table, ("a", "all", "P (published)"), "precision", "figures").text == "40.00"
    assert table.grids[1:] == make_table(suite.model_copy(update={"means": {}}), cells_of(suite, f1s)).grids[1:]
    del f1s["BERT", "b"]
    table = make_table(suite, cells_of(suite, f1s))
    assert entry(table, ("first two, mean of 1 of 2 targets", "all"), "MiniLM").text[:5] == "50.00"


def test_zero_shot_figures_have_means_over_groups_of_targets() -> None:
    targets = tuple(Target(data=name, sizes=("0",)) for name in "abc")
    published = (Published(name="P", of="a paper", f1={}, token_f1={"a": 50.0, "b": 60.0}, size="0"),)
    suite = made_up_suite(targets=targets, published=published, seeds=(1,), means={"two": ("a", "b")})
    own = {"a": {"f1": 0.5, "span": {"f1": 0.6}}, "b": {"f1": 0.7}}
    cells = [
        Cell(
            place,
            State.DONE,
            scores=scores_of(0.5) | {"at_own_threshold": own[place.target]},
            facts={"own_threshold": 0.3},
        )
        for place in suite.cell_keys()
        if place.target in own
    ]
    table = make_table(suite, cells)
    mean = partial(entry, table, ("two, mean of 2 targets", "BERT"))
    assert mean("F1 at its own threshold", "zero_shot").text == "60.00"
    assert mean("its own threshold", "zero_shot").text == "–"
    assert mean("span F1 at its own threshold", "zero_shot_spans").text == "60.00 (1/2)"
    paper = entry(table, ("two, mean of 2 targets", "P (published)"), "token F1", "zero_shot")
    assert paper.text == "55.00"


def test_best_is_bold_only_where_every_run_is_there() -> None:
    table = make_table(SUITE, CELLS)
    assert entry(table, ("politics", "all"), "MiniLM, pre-trained").best
    assert not entry(table, ("politics", "all"), "MiniLM").best
    assert not entry(table, ("defense", "all"), "MiniLM, pre-trained").best, "BERT has two runs of three there"
    suite = small("a")
    table = make_table(suite, cells_of(suite, {(name, "a"): [0.5, 0.5, 0.50001] for name in suite.systems}))
    assert all(entry(table, ("a", "all"), name).best for name in suite.systems), "equal as shown"


def test_failed_cells_say_which_and_why() -> None:
    table = make_table(SUITE, CELLS)
    failed, part = entry(table, ("ai", "all"), "BERT"), entry(table, ("defense", "all"), "BERT")
    assert failed.text == "failed"
    assert "(2/3)" in part.text
    assert failed.notes[0].startswith("BERT on ai, all, failed at draw/seed 1/2: out of memory")
    assert "1/3" in part.notes[0]
    assert any("104 are done, 2 failed, 11 not run" in note for note in notes_of(table))


def test_mean_is_over_the_same_targets_for_all() -> None:
    suite = small("a", "b", "c")
    f1s = {(name, target): [0.5, 0.6, 0.7] for name in suite.systems for target in ("a", "b")}
    f1s["MiniLM", "c"] = [0.9, 0.9, 0.9]
    table = make_table(suite, cells_of(suite, f1s))
    for name in suite.systems:
        assert entry(table, ("mean of 2 of 3 targets", "all"), name).text.startswith("60.00 ± 7.07")
    empty = make_table(suite, [])
    assert entry(empty, ("mean of 0 of 3 targets", "all"), "MiniLM") == Entry("–")


def test_a_system_without_cells_on_a_target_does_not_restrict_the_mean() -> None:
    suite = small("a", "b", "c", means={"two": ("a", "b")})
    rest = suite.targets[2].model_copy(update={"systems": ("MiniLM", "MiniLM, pre-trained")})
    suite = suite.model_copy(update={"targets": (*suite.targets[:2], rest)})
    table = make_table(suite, made_up_cells(suite, all_done))
    for names, drawn in (("mean of 3 targets", False), ("two, mean of 2 targets", True)):
        assert entry(table, (names, "all"), "MiniLM").text != "–"
        assert (entry(table, (names, "all"), "BERT").text != "–") is drawn


def test_a_target_of_many_sizes_counts_once_in_the_mean() -> None:
    suite = made_up_suite(targets=(Target(data="a", sizes=("10", "20", "all")), Target(data="b")), published=())
    cells = [
        Cell(place, State.DONE, scores={"micro": {"f1": 0.3 if place.target == "a" else 0.9}})
        for place in suite.cell_keys()
    ]
    table = make_table(suite, cells)
    assert entry(table, ("mean of 2 targets", "each at its size"), "BERT").text == "60.00 ± 0.00"
    assert entry(table, ("mean of 2 targets", "all"), "BERT").text == "60.00 ± 0.00"


def figures(scores: dict[str, Any]) -> dict[tuple[str, str], float]:
    return figures_of(Cell(CellKey("s", "t", "all", 1, 1, "p"), State.DONE, scores=scores))


def test_pooled_figures_are_those_of_all_entities_together() -> None:
    one, other = scores_of(0.5, left_out=3), scores_of(0.7, gold=500, left_out=2)
    both = pool([figures(one), figures(other)])
    right, gold = (one["micro"][key] + other["micro"][key] for key in ("right", "gold"))
    assert both["micro.recall", ""] == right / gold
    assert both["without.left_out", ""] == 5
    assert both["errors.missed", ""] == one["errors"]["missed"] + other["errors"]["missed"]
    assert both["by_type.gold", "person"] == 750
    assert both["macro.f1", ""] == fmean(both["by_type.f1", name] for name in ("person", "party", "election"))
    sure = [(each["calibration"]["entities"], each["calibration"]["ece"]) for each in (one, other)]
    assert both["calibration.ece", ""] == pytest.approx(sum(n * ece for n, ece in sure) / sum(n for n, _ in sure))
    assert ("interval.low", "") not in both
    assert pool([figures(one)]) == figures(one)


def test_other_figures_stand_beside() -> None:
    table = make_table(SUITE, CELLS)
    defense = ("defense", "all", "BERT")
    assert entry(table, defense, "duplicates", "figures").text == "8"
    assert entry(table, defense, "seen F1", "figures").text == "–"
    assert "–" in entry(table, defense, "test set's interval", "figures").text
    done = [cell for cell in CELLS if (cell.place.target, cell.place.system) == ("defense", "BERT") and cell.scores]
    error = fmean(cell.scores["calibration"]["ece"] for cell in done)
    assert entry(table, defense, "ECE", "errors").text == f"{100 * error:.2f}"
    shares = [float(entry(table, defense, kind, "errors").text) for kind in ERRORS]
    assert sum(shares) == pytest.approx(100, abs=0.05)
    types = next(grid for grid in table.grids if "types" in grid.key and "ai" in grid.title)
    assert [row[0].text for row in types.rows] == ["person", "party", "election"], "most gold first"
    none_seen = {**scores_of(0.5), "seen": {"right": 0, "predicted": 0, "gold": 0, "f1": 0.0}}
    suite = small("a")
    bare = make_table(suite, [Cell(place, State.DONE, scores=none_seen) for place in suite.cell_keys()])
    assert entry(bare, ("a", "all", "BERT"), "seen F1", "figures").text == "–", "nothing to find isn't 0"


def test_protocols_are_named_where_there_are_several() -> None:
    suite = small("a", protocols={"fixed": FinetuneSettings(), "dev": FinetuneSettings(select="dev", epochs=5)})
    table = make_table(suite, made_up_cells(suite, all_done))
    assert entry(table, ("a", "all"), "BERT", title="percent, dev").text != "–"
    assert sum(grid.key == "scores" for grid in table.grids) == 2, "one a protocol"
    assert "Protocol dev: epochs = 5.0, select = 'dev'." in notes_of(table)
    assert {row[2].text for row in grid_of(table, "tests").rows} >= {"BERT, dev", "BERT, fixed"}


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("device", "cuda", "cuda (1 cell)"),
        ("precision", "bf16", "precision"),
        ("machine", "other", "machine"),
        ("versions", {"nerbert": "0.1.0", "torch": "2.9.1"}, "differ in torch: 2.8.0 (103 cells); 2.9.1 (1 cell)"),
    ],
)
def test_cells_made_in_different_ways_are_told_of(key: str, value: object, told: str) -> None:
    assert not any("differ in" in note for note in notes_of(make_table(SUITE, CELLS)))
    first, *others = CELLS
    notes = notes_of(make_table(SUITE, [replace(first, facts={**first.facts, key: value}), *others]))
    assert any("differ in" in note and told in note for note in notes)
    notes = notes_of(make_table(SUITE, [replace(first, scores={**first.scores, "rules": "strict IOB2"}), *others]))
    assert any("Not comparable" in note and "strict IOB2 (1 cell)" in note for note in notes)


def test_facts_for_making_it_again() -> None:
    facts = make_table(SUITE, CELLS).facts
    assert facts["versions"] == "nerbert 0.1.0, torch 2.8.0"
    assert facts["encoders"].startswith("MiniLM abababababab,")
    assert facts["made"] == "2026-01-01T10:00:00 to 2026-01-03T10:00:00"
    assert facts["CPU-hours"] == "2.60"
    assert make_table(SUITE, []).facts["cells"] == "0 of 117 done"


def test_records_hold_every_cell_and_figure() -> None:
    heads, *rows = make_table(SUITE, CELLS).records()
    assert heads == COLUMNS
    records = [dict(zip(heads, each, strict=True)) for each in rows]
    place = ("system", "protocol", "target", "size", "draw", "seed")
    assert len({tuple(r[name] for name in place) for r in records if r["draw"]}) == len(CELLS)
    first = next(r for r in records if r["metric"] == "micro.f1")
    assert float(first["value"]) == CELLS[0].scores["micro"]["f1"]
    failed = [r for r in records if r["state"] == "failed"]
    assert [(r["metric"], r["value"], r["why"][:13]) for r in failed] == [("", "", "out of memory")] * 2
    assert [r["value"] for r in records if r["state"] == "published"] == ["0.6656", "0.5037"]


def test_a_type_has_a_column_of_its_own_in_the_records() -> None:
    scores = scores_of(0.5)
    scores["by_type"] = {"a.b": scores["by_type"]["person"], "a": {"b": {"f1": 0.25}}}
    suite = small("a")
    records = [*make_table(suite, [Cell(place, State.DONE, scores=scores) for place in suite.cell_keys()]).records()]
    assert len({record[:9] for record in records}) == len(records), "nothing is listed twice"
    assert {record[8] for record in records if record[7] == "by_type.f1"} == {"a.b"}


DRAWN = (
    Target(data="a", sizes=("10", "5%", "all")),
    Target(data="b", sizes=("10",), draws=3),
    Target(data="c", sizes=("50",)),
)
SOURCED = {"systems": {"A": SystemSettings(), "B": SystemSettings(source="conll2003")}, "baseline": "A"}


@pytest.mark.parametrize(
    ("suite", "note"),
    [
        (made_up_suite(targets=DRAWN), "Only one draw at a, 10; a, 5%; c, 50: there ± doesn't show how much"),
        (small("a", **SOURCED), "Trained on conll2003 first: B. Each seed"),
        (small("a", split="dev"), "Scored on dev, for model selection"),
    ],
)
def test_notes_of_a_suite(suite: Suite, note: str) -> None:
    table = make_table(suite, [])
    assert len([each for each in notes_of(table) if each.startswith(note)]) == 1
    assert grid_of(table, "scores").title.startswith(f"Entity F1 on {suite.split} in percent")
    assert not [each for each in notes_of(make_table(small("a"), [])) if each.startswith(note[:12])]


def test_greedy_tags_stand_beside_what_users_get() -> None:
    suite = small("a", "b")
    cells = [
        replace(cell, scores=cell.scores | {"greedy": {"f1": 0.25, "strict": {"f1": 0.125}}})
        for cell in made_up_cells(suite, all_done)
    ]
    table = make_table(suite, cells)
    for target in ("a", "mean of 2 targets"):
        assert entry(table, (target, "all"), "BERT").below.endswith("], greedy 25.00")
    assert entry(table, ("a", "all", "BERT"), "greedy F1", "figures").text == "25.00"
    assert entry(table, ("a", "all", "BERT"), "greedy strict F1", "figures").text == "12.50"
    assert entry(table, ("a", "all", "BERT"), "CPU seconds a run", "figures").text == "90"


def test_the_order_of_cells_does_not_matter() -> None:
    mixed = CELLS[:]
    random.Random(3).shuffle(mixed)
    assert make_table(SUITE, mixed) == make_table(SUITE, CELLS)


def test_what_the_training_sentences_lack_is_told() -> None:
    suite = made_up_suite(targets=(Target(data="a", sizes=("k=4", "10")),), published=())
    facts = {
        "k=4": {"reached": {"person": 6, "party": 2}, "unknown_types": []},
        "10": {"reached": {"person": 9}, "unknown_types": ["party", "election"]},
    }
    cells = [Cell(place, State.DONE, scores=scores_of(0.5), facts=facts[place.size]) for place in suite.cell_keys()]
    notes = notes_of(make_table(suite, cells))
    assert any(note.endswith("counted as missed: a, 10: election, party.") for note in notes)
    assert any(note.endswith("over types and draws: a, k=4: 2–6, too few of party (2).") for note in notes)
    assert not any("counted as missed" in note or "reached" in note for note in notes_of(make_table(SUITE, CELLS)))


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
        f"{MUS}: published figures are, or may be, of other sentences or types: {known_data()[MUS].split}"
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
