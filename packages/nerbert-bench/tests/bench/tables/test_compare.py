"""Comparisons with the baseline: which runs and targets count, what is corrected together, what idle systems change."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from nerbert.finetuning.settings import FinetuneSettings
from nerbert_bench.cells import Cell
from nerbert_bench.render.benchmark import notes_of
from nerbert_bench.suite import SystemSettings, Target
from nerbert_bench.tables.results import WHOLE, ColumnKey, Layout, RowKey
from nerbert_bench.tables.scores import compare, p_text
from nerbert_bench.tables.table import make_table
from tests.bench.tables.made_up import all_done, cells_of, entry, grid_of, made_up_cells, made_up_suite, small

stats = pytest.importorskip("scipy.stats")
pytestmark = pytest.mark.extras
BERT = ColumnKey("BERT", "default")


def test_comparisons_take_only_runs_that_both_have() -> None:
    suite = small("a", seeds=(1, 2, 3, 4))
    f1s = {("MiniLM", "a"): [0.50, 0.52, 0.51, 0.90], ("BERT", "a"): [0.55, 0.56, 0.57]}
    test = compare(Layout(suite, cells_of(suite, f1s)))[BERT, RowKey("a", "all")].test
    known = stats.ttest_rel([0.55, 0.56, 0.57], [0.50, 0.52, 0.51])
    assert (test.n, test.difference, test.p) == pytest.approx((3, 0.05, known.pvalue))


def test_each_family_is_corrected_for_its_own_number() -> None:
    protocols = {"dev": FinetuneSettings(select="dev"), "fixed": FinetuneSettings()}
    suite = made_up_suite(protocols=protocols)
    tests = compare(Layout(suite, made_up_cells(suite, all_done)))
    numbers = {}
    for protocol in protocols:
        for whole in (False, True):
            family = [tests[key] for key in tests if (key[0].protocol, key[1].target == WHOLE) == (protocol, whole)]
            known = [each for each in family if each.test.p is not None]
            assert all(each.corrected is not None and each.corrected >= (each.test.p or 0) for each in known)
            smallest = min(known, key=lambda each: each.test.p or 0)
            assert smallest.corrected == pytest.approx(min(1, len(known) * (smallest.test.p or 0)))
            numbers[protocol, whole] = len(known)
    assert numbers["dev", False] > numbers["dev", True] > 1
    assert not any(maker.system == "MiniLM" for maker, _ in tests), "the baseline isn't tested against itself"


def test_over_all_targets_each_target_weighs_the_same() -> None:
    suite = small("a", "b")
    f1s = {
        ("MiniLM", "a"): [0.5, 0.6, 0.7],
        ("MiniLM", "b"): [0.2, 0.2, 0.2],
        ("BERT", "a"): [0.6, 0.71, 0.79],
        ("BERT", "b"): [0.21, 0.22, 0.23],
    }
    f1s |= {("MiniLM, pre-trained", target): [0.5, 0.5, 0.5] for target in "ab"}
    each = compare(Layout(suite, cells_of(suite, f1s)))[BERT, RowKey(WHOLE, "all")]
    assert each.test.difference == pytest.approx((0.1 + 0.02) / 2)
    assert (each.test.n, each.ahead) == (6, (2, 2))
    known = stats.ttest_ind([0.10, 0.11, 0.09], [-0.01, -0.02, -0.03], equal_var=False)
    assert each.test.p == pytest.approx(known.pvalue), "Welch's, of the sum of both"


def test_sizes_of_a_target_are_not_thought_independent() -> None:
    suite = made_up_suite(targets=(Target(data="a", sizes=("10", "20"), draws=3), Target(data="b")), published=())
    each = compare(Layout(suite, made_up_cells(suite, all_done)))[BERT, RowKey(WHOLE, "")]
    assert each.test.n == 6, "three draws of a, three seeds of b"


def pretrained(cells: Sequence[Cell], *systems: str, count: int = 5) -> list[Cell]:
    """The same cells, those of some systems from encoders that were pre-trained, in turn by seed."""
    return [
        replace(each, facts={"pretrained": True, "encoder": f"{each.place.system} {each.place.seed % count}"})
        if each.place.system in systems
        else each
        for each in cells
    ]


def test_encoders_are_the_observations() -> None:
    """Targets and seeds are averaged within an encoder, and the t-test is over the five."""
    chance = np.random.default_rng(3)
    suite = small("a", "b", seeds=tuple(range(1, 11)))
    f1s = {(name, target): chance.normal(0.5, 0.01, 10) for name in ("MiniLM", "BERT") for target in "ab"}
    f1s["BERT", "a"] += 0.2
    cells = cells_of(suite, {key: each.tolist() for key, each in f1s.items()})
    tests = compare(Layout(suite, pretrained(cells, "BERT")))
    differences = (f1s["BERT", "a"] - f1s["MiniLM", "a"] + f1s["BERT", "b"] - f1s["MiniLM", "b"]) / 2
    known = stats.ttest_1samp(differences.reshape(2, 5).mean(0), 0)
    whole = tests[BERT, RowKey(WHOLE, "all")]
    assert whole.test.n == 5
    assert whole.test.difference == pytest.approx(differences.mean())
    assert whole.test.p == pytest.approx(known.pvalue)
    assert (whole.mark, whole.no_stars) == ("***", "")
    assert tests[BERT, RowKey("a", "all")].test.n == 5
    few = compare(Layout(suite, pretrained(cells, "BERT", count=4)))[BERT, RowKey(WHOLE, "all")]
    assert (few.mark, few.test.p is None) == ("", False), "four say how far it may be, and no star"
    assert "4 encoders, pre-trained or trained on a source domain: an interval needs 3, stars 5;" in few.no_stars


def test_a_table_says_why_there_are_no_stars() -> None:
    suite = small("a", "b")
    f1s = {("MiniLM", each): [0.50, 0.51, 0.52] for each in "ab"} | {("BERT", each): [0.6, 0.62, 0.61] for each in "ab"}
    cells = cells_of(suite, f1s)
    assert entry(make_table(suite, cells), ("a", "all"), "BERT").mark
    for count in (1, 2, 3):
        table = make_table(suite, pretrained(cells, "BERT", count=count))
        shown = entry(table, ("mean of 2 targets", "all"), "BERT")
        assert (shown.mark, bool(shown.below)) == ("", count == 3)
        told = entry(table, ("a", "all", "BERT"), "p", "tests")
        assert [note.partition(":")[0] for note in told.notes] == [
            f"{count} encoder{'s' if count > 1 else ''}, pre-trained or trained on a source domain"
        ]
        assert entry(table, ("a", "all", "BERT"), "n", "tests").text.startswith(f"{count} encoder")
        (heads,) = {grid.heads for grid in table.grids if grid.key == "scores"}
        noted = [head.text for head in heads if head.notes]
        assert noted == ([] if count == 3 else ["BERT"])


def test_two_runs_on_one_target_take_the_stars_from_the_mean() -> None:
    """Whatever is pooled: two runs on b say nothing of its chance, though a has five."""
    suite = small("a", "b", seeds=(1, 2, 3, 4, 5))
    f1s = {
        (name, "a"): [level, level + 0.001, level + 0.002, level, level + 0.001]
        for name, level in (("MiniLM", 0.5), ("BERT", 0.7))
    }
    f1s |= {("MiniLM", "b"): [0.5, 0.51], ("BERT", "b"): [0.7, 0.72]}
    tests = compare(Layout(suite, cells_of(suite, f1s)))
    assert tests[BERT, RowKey("a", "all")].test.p is None, "equal differences"
    whole = tests[BERT, RowKey(WHOLE, "all")]
    assert (whole.mark, whole.test.interval) == ("", None)
    assert whole.no_stars.startswith("2 runs on a target")


IDLE = {"MiniLM": SystemSettings(), "BERT": SystemSettings(), "yours": SystemSettings()}


def test_a_system_without_a_run_holds_nothing_up() -> None:
    suite = small("a", "b", systems=IDLE)
    f1s = {
        ("MiniLM", "a"): [0.50, 0.51, 0.52],
        ("MiniLM", "b"): [0.2, 0.21, 0.22],
        ("BERT", "a"): [0.6, 0.62, 0.61],
        ("BERT", "b"): [0.31, 0.33, 0.33],
    }
    two = small("a", "b", systems={name: IDLE[name] for name in ("MiniLM", "BERT")})
    table, without = (make_table(each, cells_of(each, f1s)) for each in (suite, two))
    for names in (("a", "all"), ("mean of 2 targets", "all")):
        assert entry(table, names, "BERT") == entry(without, names, "BERT")
        assert entry(table, names, "BERT").best
        assert entry(table, names, "yours").text == "–"
    assert grid_of(table, "tests") == grid_of(without, "tests"), "no row for what hasn't run"
    assert any(note.startswith("Without a finished run: yours.") for note in notes_of(table))
    assert not any(note.startswith("Without a finished") for note in notes_of(without))


def test_two_systems_are_compared_on_the_targets_that_they_share() -> None:
    suite = small("a", "b", "c", systems=IDLE)
    runs = [0.50, 0.51, 0.52]
    f1s = {("MiniLM", each): runs for each in "abc"} | {("BERT", each): [0.6, 0.62, 0.61] for each in "abc"}
    f1s |= {("yours", each): [0.7, 0.72, 0.71] for each in "ab"}
    table = make_table(suite, cells_of(suite, f1s))
    tests = compare(Layout(suite, cells_of(suite, f1s)))
    assert entry(table, ("all 3 targets", "all", "BERT"), "n", "tests").text == "9"
    assert entry(table, ("2 of 3 targets", "all", "yours"), "n", "tests").text == "6"
    assert entry(table, ("2 of 3 targets", "all", "yours"), "ahead on", "tests").text == "2 of 2"
    mean = ("mean of 2 of 3 targets", "all")
    assert tests[BERT, RowKey(WHOLE, "all")].mark
    assert not entry(table, mean, "BERT").mark, "its test is over other targets than the mean"


@pytest.mark.parametrize(
    ("p", "told"),
    [
        (0.0499, "0.0499"),
        (0.05, "0.0500"),
        (0.04996, "0.04996"),
        (0.05004, "0.0500"),
        (0.25, "0.250"),
        (0.0009999, "0.0009999"),
        (0.000123456, "0.000123"),
        (None, "–"),
        (1.0, "1.000"),
        (2 / 2**30, "1.86e-09"),
    ],
)
def test_a_p_is_shown_on_its_side_of_a_level(p: float | None, told: str) -> None:
    assert p_text(p) == told
