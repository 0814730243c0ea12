"""Means, intervals, tests and their correction: against scipy, against sums done by hand, by property."""

import math
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert_bench.tables.statistics import (
    Summary,
    Unit,
    average,
    holm,
    mean_of,
    observations,
    summary,
    t_test,
    together,
    units_of,
)

FIGURES = st.floats(-1, 1).map(lambda value: round(value, 4))


def observed(runs: dict[tuple[int, int], float]) -> dict[tuple[str, ...], float]:
    return observations(runs, units_of(runs))


def test_runs_that_share_a_draw_are_one_observation() -> None:
    crossed = {(1, 1): 0.4, (1, 2): 0.6, (2, 1): 0.7, (2, 2): 0.9}
    assert observed(crossed) == {("draw", "1"): 0.5, ("draw", "2"): pytest.approx(0.8)}
    paired = {(1, 1): 0.4, (2, 2): 0.6, (3, 3): 0.8}
    assert observed(paired) == {("run", "1", "1"): 0.4, ("run", "2", "2"): 0.6, ("run", "3", "3"): 0.8}
    assert len(observed({(1, 1): 0.4, (1, 2): 0.6, (1, 3): 0.7})) == 3, "one draw: its seeds are all there is"
    assert len(observed({(1, 1): 0.4, (2, 1): 0.6, (2, 2): 0.7})) == 2, "draws count, whole or not"
    assert observed({}) == {}
    assert set(units_of([(1, 1), (1, 2)], by_draw=True).values()) == {("draw", "1")}


def test_runs_that_share_an_encoder_of_either_system_are_one_observation() -> None:
    runs = [(draw, seed) for draw in (1, 2) for seed in range(6)]
    three, two = ({(draw, seed): f"{seed % count}" for draw, seed in runs} for count in (3, 2))
    none = dict.fromkeys(runs, "")
    assert len(set(units_of(runs, three).values())) == len(set(units_of(runs, none, three).values())) == 3
    assert units_of(runs, three)[1, 0] == units_of(runs, three)[2, 3]
    assert len(set(units_of(runs, three, two).values())) == 1, "seeds 0, 3 share one, 3 and 1 the other, and so on"
    six = {(draw, seed): f"{seed}" for draw, seed in runs}
    assert len(set(units_of(runs, six, three).values())) == 3
    assert len(set(units_of(runs, dict.fromkeys(runs, "a"), six).values())) == 1, "one for all"
    assert units_of(runs, none, none) == units_of(runs)


@pytest.mark.extras
def test_one_and_two_observations_have_no_interval() -> None:
    assert summary([0.5]) == Summary(1, 0.5)
    two = summary([0.5, 0.6])
    assert two.sd == pytest.approx(0.1 / math.sqrt(2))
    assert two.interval is None, "two say too little for an interval"


@pytest.mark.extras
@given(st.lists(FIGURES, min_size=3, max_size=10), st.lists(FIGURES, min_size=3, max_size=10))
def test_mean_over_two_targets_has_welchs_interval(one: list[float], other: list[float]) -> None:
    from scipy import stats

    flipped = [-value for value in other]
    if min(np.std(one), np.std(other)) < 1e-3:
        return
    seen = mean_of([summary(one), summary(flipped)])
    known = stats.ttest_ind(one, other, equal_var=False)
    assert seen.interval == pytest.approx(tuple(each / 2 for each in known.confidence_interval(0.95)))
    assert t_test(seen).p == pytest.approx(known.pvalue)
    assert seen.mean == pytest.approx((fmean(one) - fmean(other)) / 2)


@pytest.mark.extras
def test_mean_over_targets_without_a_spread_has_none() -> None:
    seen = mean_of([summary([0.5]), summary([0.7, 0.8, 0.9])])
    assert seen.mean == pytest.approx(0.65)
    assert (seen.n, seen.sd, seen.interval) == (4, None, None)
    same = mean_of([summary([0.5] * 3), summary([0.7] * 3)])
    assert (same.sd, *(same.interval or ())) == pytest.approx((0.0, 0.6, 0.6))


@pytest.mark.extras
def test_targets_and_sizes_are_averaged_within_an_encoder() -> None:
    one, two, three = (Unit((name,)) for name in ("e1", "e2", "e3"))
    a = [{one: 0.1, two: 0.2, three: 0.3}, {one: 0.3, two: 0.4, three: 0.5}]
    b = [{one: 0.6, two: 0.8}]
    assert average([a, b], by_encoder=True) == summary([(0.2 + 0.6) / 2, (0.3 + 0.8) / 2])
    apart = average([a, [{Unit(("e4",)): 0.5}]], by_encoder=True)
    assert apart.mean == pytest.approx(0.4)
    assert (apart.n, apart.interval) == (4, None)
    assert average([[a[0]], [{Unit((name,)): 0.5 for name in "xyz"}]], by_encoder=True).interval, "an encoder by target"
    assert average([[a[0]], b, [{two: 0.2, three: 0.1}]], by_encoder=True).n == 1, "some are shared"
    alone = average([[b[0] | {three: 0.7}]], by_encoder=False)
    assert alone.interval == pytest.approx(summary([0.6, 0.8, 0.7]).interval)


@pytest.mark.extras
@given(st.lists(st.lists(FIGURES, min_size=3, max_size=9), min_size=2, max_size=4))
def test_sizes_with_different_numbers_of_runs_are_never_too_narrow(parts: list[list[float]]) -> None:
    """Wholly dependent, sizes are all high or all low at once: their mean then spreads as much as they do."""
    known = [summary(part) for part in parts]
    seen = together(known)
    spreads = [(each.sd, *(each.interval or ())) for each in known]
    sd, low, high = (fmean(end or 0.0 for end in ends) for ends in zip(*spreads, strict=True))
    assert seen.n == min(map(len, parts))
    assert seen.mean == pytest.approx(fmean(each.mean for each in known), abs=1e-12)
    assert (seen.sd or 0.0) >= sd - 1e-9
    assert seen.interval is not None
    assert seen.interval[0] <= low + 1e-9
    assert seen.interval[1] >= high - 1e-9
    assert mean_of([seen, seen]).sd == pytest.approx((seen.sd or 0.0) / math.sqrt(2), abs=1e-9)


@pytest.mark.extras
@given(st.lists(st.tuples(FIGURES, FIGURES), min_size=3, max_size=10))
def test_t_test_is_scipys(pairs: list[tuple[float, float]]) -> None:
    from scipy import stats

    ours, theirs = zip(*pairs, strict=True)
    differences = [one - other for one, other in pairs]
    if np.std(differences) > 1e-3:
        test, known = t_test(summary(differences)), stats.ttest_rel(ours, theirs)
        assert test.n == len(pairs)
        assert test.p == pytest.approx(known.pvalue, abs=1e-12)
        assert test.interval == pytest.approx(tuple(known.confidence_interval(0.95)))


@pytest.mark.extras
def test_what_a_t_test_cannot_say() -> None:
    assert (t_test(summary([0.1])).p, t_test(summary([0.1, 0.2])).p) == (None, None)
    assert "2 observed, 3 needed" in t_test(summary([0.1, 0.2])).why
    assert t_test(summary([0.0, 0.0, 0.0])).p == 1.0
    same = t_test(summary([0.1 + 0.2, 0.3, 0.3]))
    assert same.p is None, "the differences differ by rounding alone"
    assert "equal" in same.why


def test_holm_by_hand() -> None:
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}) == pytest.approx(
        {"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02}
    )
    assert holm({}) == {}
    assert holm({"a": 0.7, "b": 0.6}) == {"a": 1.0, "b": 1.0}
