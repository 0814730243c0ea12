"""Means, intervals, tests and their correction: against scipy, against sums done by hand, by property."""

import math
from collections.abc import Callable
from itertools import product
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from nerbert.errors import InputError
from nerbert.evaluation.tables import statistics
from nerbert.evaluation.tables.statistics import (
    Summary,
    holm,
    mean_of,
    observations,
    paired_t,
    sign_flip,
    summary,
    together,
)

FIGURES = st.floats(-1, 1).map(lambda value: round(value, 4))


def test_runs_that_share_a_draw_are_one_observation() -> None:
    crossed = {(1, 1): 0.4, (1, 2): 0.6, (2, 1): 0.7, (2, 2): 0.9}
    assert observations(crossed) == {("draw", 1, 0): 0.5, ("draw", 2, 0): pytest.approx(0.8)}
    paired = {(1, 1): 0.4, (2, 2): 0.6, (3, 3): 0.8}
    assert observations(paired) == {("run", 1, 1): 0.4, ("run", 2, 2): 0.6, ("run", 3, 3): 0.8}
    assert len(observations({(1, 1): 0.4, (1, 2): 0.6, (1, 3): 0.7})) == 3, "one draw: its seeds are all there is"
    assert len(observations({(1, 1): 0.4, (2, 1): 0.6, (2, 2): 0.7})) == 2, "draws count, whole or not"
    assert observations({}) == {}


def test_mean_spread_and_interval_by_hand() -> None:
    seen = summary([0.50, 0.60, 0.55])
    assert (seen.n, seen.mean, seen.sd) == pytest.approx((3, 0.55, 0.05))
    assert seen.high == pytest.approx(0.55 + 4.30265 * 0.05 / math.sqrt(3), abs=1e-6), "t(2) at 97.5 % is 4.30265"
    assert summary([0.5]) == Summary(1, 0.5, None, None, None)
    with pytest.raises(InputError, match="at least one"):
        summary([])


@given(st.lists(FIGURES, min_size=3, max_size=12))
def test_interval_is_scipys(values: list[float]) -> None:
    seen = summary(values)
    error = np.std(values, ddof=1) / math.sqrt(len(values))
    if error > 1e-9:
        low, high = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=error)
        assert (seen.low, seen.high) == pytest.approx((low, high))


@given(st.lists(FIGURES, min_size=3, max_size=10), st.lists(FIGURES, min_size=2, max_size=10))
def test_mean_over_two_targets_has_welchs_interval(one: list[float], other: list[float]) -> None:
    flipped = [-value for value in other]
    if min(np.std(one), np.std(other)) < 1e-3:
        return
    seen = mean_of([summary(one), summary(flipped)])
    low, high = stats.ttest_ind(one, other, equal_var=False).confidence_interval(0.95)
    assert (seen.low, seen.high) == pytest.approx((low / 2, high / 2))
    assert seen.mean == pytest.approx((fmean(one) - fmean(other)) / 2)


def test_mean_over_targets_without_a_spread_has_none() -> None:
    seen = mean_of([summary([0.5]), summary([0.7, 0.8])])
    assert (seen.sd, seen.low) == (None, None)
    assert seen.mean == pytest.approx(0.625)
    same = mean_of([summary([0.5, 0.5]), summary([0.7, 0.7])])
    assert (same.sd, same.low, same.high) == pytest.approx((0.0, 0.6, 0.6))
    with pytest.raises(InputError, match="at least one"):
        mean_of([])


@given(st.lists(st.lists(FIGURES, min_size=3, max_size=3), min_size=2, max_size=4))
def test_sizes_of_a_target_are_never_thought_independent(parts: list[list[float]]) -> None:
    """The truth, from the runs themselves, whatever they have in common, is never wider."""
    seen, true = (
        together([summary(part) for part in parts]),
        summary([fmean(round_) for round_ in zip(*parts, strict=True)]),
    )
    assert seen.mean == pytest.approx(true.mean, abs=1e-12)
    assert seen.sd is not None
    assert true.sd is not None
    assert seen.sd >= true.sd - 1e-9


@given(st.lists(st.lists(FIGURES, min_size=2, max_size=9), min_size=2, max_size=4))
def test_sizes_with_different_numbers_of_runs_are_never_too_narrow(parts: list[list[float]]) -> None:
    """Wholly dependent, sizes are all high or all low at once: their mean then spreads as much as they do."""
    known = [summary(part) for part in parts]
    seen = together(known)
    spreads = [(each.sd, each.low, each.high) for each in known]
    sd, low, high = (fmean(end or 0.0 for end in ends) for ends in zip(*spreads, strict=True))
    assert seen.n == min(map(len, parts))
    assert (seen.sd or 0.0) >= sd - 1e-9
    assert (seen.low or 0.0) <= low + 1e-9
    assert (seen.high or 0.0) >= high - 1e-9
    assert mean_of([seen, seen]).sd == pytest.approx((seen.sd or 0.0) / math.sqrt(2), abs=1e-9)


@given(st.lists(st.tuples(FIGURES, FIGURES), min_size=3, max_size=10))
def test_paired_t_is_scipys(pairs: list[tuple[float, float]]) -> None:
    ours, theirs = zip(*pairs, strict=True)
    differences = [one - other for one, other in pairs]
    if np.std(differences) > 1e-3:
        test, known = paired_t(differences), stats.ttest_rel(ours, theirs)
        assert test.n == len(pairs)
        assert test.p == pytest.approx(known.pvalue, abs=1e-12)
        assert test.low == pytest.approx(known.confidence_interval(0.95).low)


def test_what_paired_t_cannot_say() -> None:
    assert (paired_t([]).p, paired_t([0.1]).p, paired_t([0.1, 0.2]).p) == (None, None, None)
    assert "2 pairs, 3 needed" in paired_t([0.1, 0.2]).why
    assert paired_t([0.0, 0.0, 0.0]).p == 1.0
    same = paired_t([0.1 + 0.2, 0.3, 0.3])
    assert same.p is None, "the differences differ by rounding alone"
    assert "equal" in same.why


def brute(parts: list[float]) -> float:
    whole = abs(sum(parts))
    signs = list(product((1, -1), repeat=len(parts)))
    return fmean(abs(sum(s * p for s, p in zip(each, parts, strict=True))) >= whole - 1e-12 for each in signs)


@given(st.lists(FIGURES, min_size=3, max_size=8))
def test_sign_flip_goes_through_all_signs(parts: list[float]) -> None:
    test = sign_flip(parts)
    assert test.p == brute(parts)
    assert test.difference == pytest.approx(sum(parts))
    assert test.p >= test.least_p == 2 / 2 ** len(parts)


def test_sign_flip_is_scipys() -> None:
    parts = [0.02, 0.05, -0.01, 0.03, 0.015, 0.04, -0.002, 0.01]
    known = stats.permutation_test((parts,), np.sum, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip(parts).p == pytest.approx(known.pvalue)


def test_sign_flip_reaches_its_least_p_and_no_less() -> None:
    assert sign_flip([0.01] * 12).p == 2 / 2**12
    assert sign_flip([-0.01] * 12).p == 2 / 2**12
    assert sign_flip([0.01] * 30).p == pytest.approx(2 / 2**30)
    assert sign_flip([0.0] * 30).p == 1.0
    assert sign_flip([0.1, 0.1]).p is None


def test_up_to_twenty_observations_are_exact() -> None:
    parts = [0.01 + place / 3000 for place in range(17)] + [-0.03]
    assert sign_flip(parts).p == brute(parts)
    assert statistics.EXACT == 20


PARTS = st.lists(st.integers(-12, 12).map(lambda number: number / 700), min_size=6, max_size=12)


@given(PARTS)
def test_the_grids_p_is_never_too_small(parts: list[float]) -> None:
    """Ties above all: sums that are as far as the observed one but for rounding count as far."""
    assert statistics._on_a_grid(parts) >= statistics._all_signs(parts) - 1e-12


def test_ties_beyond_the_exact_count_as_far() -> None:
    """0.1 + 0.2 − 0.3 is a tie by sense: thirty such parts, against their exact share in whole numbers."""
    whole = [1, 2, 3, 7, 11] * 6
    signs = [1, 1, -1, 1, 1] * 6
    shares = {0: 1.0}
    for part in whole:
        shares = {total: (shares.get(total - part, 0) + shares.get(total + part, 0)) / 2
                  for total in {each + sign * part for each in shares for sign in (1, -1)}}  # fmt: skip
    observed = sum(sign * part for sign, part in zip(signs, whole, strict=True))
    exact = sum(share for total, share in shares.items() if abs(total) >= abs(observed))
    seen = sign_flip([sign * part / 70_000 for sign, part in zip(signs, whole, strict=True)]).p
    assert seen is not None
    assert exact - 1e-12 <= seen <= exact * 1.1


@given(st.lists(FIGURES, min_size=9, max_size=12))
def test_the_grid_agrees_with_all_signs(parts: list[float]) -> None:
    """To the share of signs whose sum is as near to the observed as the grid's rounding."""
    reach, whole = sum(map(abs, parts)), abs(sum(parts))
    sums = np.abs(
        [sum(s * p for s, p in zip(each, parts, strict=True)) for each in product((1, -1), repeat=len(parts))]
    )
    near = np.mean(np.abs(sums - whole) <= 4 * len(parts) * reach / 40_000 + 1e-9)
    assert abs(statistics._on_a_grid(parts) - statistics._all_signs(parts)) <= near


def test_holm_by_hand() -> None:
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}) == pytest.approx(
        {"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02}
    )
    assert holm({}) == {}
    assert holm({"a": 0.7, "b": 0.6}) == {"a": 1.0, "b": 1.0}


@given(st.dictionaries(st.integers(), st.floats(0, 1), max_size=12))
def test_holm_never_helps_and_keeps_the_order(raw: dict[int, float]) -> None:
    corrected = holm(raw)
    assert list(corrected) == list(raw)
    assert all(raw[name] <= corrected[name] <= min(1.0, len(raw) * raw[name]) for name in raw)
    ranked = sorted(raw, key=lambda name: raw[name])
    assert [corrected[name] for name in ranked] == sorted(corrected.values())


@pytest.mark.parametrize(
    ("draw", "fewest"), [(lambda r: r.normal(0, 0.01, 12), 0.02), (lambda r: r.laplace(0, 1, 12), 0.02)]
)
def test_false_alarms_are_as_rare_as_said(draw: Callable[[np.random.Generator], list[float]], fewest: float) -> None:
    source = np.random.default_rng(7)
    alarms = fmean((sign_flip(list(draw(source))).p or 0) < 0.05 for _ in range(400))
    assert fewest < alarms < 0.08
