"""Mentions after `fit` follow the target; what can't be reached is told, and never runs on or away."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.corpus.balance import PATIENCE, TOLERANCE, Multiset, draw, level


def wiki_like(seed: int, zipf: float, topics: int) -> Counter[Multiset]:
    """Sentences of 1 to 5 mentions, their categories by Zipf's law, drawn within topics."""
    random = np.random.default_rng(seed)
    shares = 1 / np.arange(1, 61) ** zipf
    mixed = random.dirichlet(20 * shares / shares.sum(), topics)
    lengths = random.integers(1, 6, 5000)
    return Counter(
        tuple(sorted(f"c{number}" for number in random.choice(60, length, p=mixed[random.integers(topics)])))
        for length in lengths
    )


def mentions_before(histogram: Counter[Multiset]) -> Counter[str]:
    return sum((Counter(key * number) for key, number in histogram.items()), Counter[str]())


def mentions_after(histogram: Counter[Multiset], **how: float) -> dict[str, float]:
    rates, after = draw(histogram, method="fit", **how), Counter[str]()  # type: ignore[arg-type]
    for key, number in histogram.items():
        for name in key:
            after[name] += number * rates.expected(key)  # type: ignore[assignment]
    return dict(after)


@given(
    st.lists(st.tuples(st.floats(1e-6, 1e6), st.integers(1, 1000)), min_size=1, max_size=30),
    st.floats(1e-3, 1),
    st.integers(1, 9),
)
def test_level_fills_up_to_the_total(values: list[tuple[float, int]], share: float, cap: int) -> None:
    heights, counts = np.array([v for v, _ in values]), np.array([float(n) for _, n in values])
    total = share * cap * counts.sum()
    found = level(heights, counts, total, cap)
    assert counts @ np.minimum(cap, found * heights) == pytest.approx(total, rel=1e-12)
    assert level(heights, counts, total, 0) == pytest.approx(total / (counts @ heights))


def test_level_ends_where_all_values_reach_the_cap() -> None:
    """Rounding alone decides whether the last value is above it, or moves the border to and fro."""
    low, high = 9.09090361322644e-11, 9.090903613226441e-11
    counts = np.array([4000001963.0, 1807.0, 2000001172.0, 5000001686.0])
    assert level(np.array([low, high, high, low]), counts, counts.sum(), 1) * low == pytest.approx(1, rel=1e-12)
    random = np.random.default_rng(1)
    for size in random.integers(1, 6, 200).tolist():
        heights, counts = 10.0 ** random.uniform(-6, 6, size), random.integers(1, 1000, size).astype(float)
        found = level(heights, counts, 3 * counts.sum(), 3)
        assert counts @ np.minimum(3, found * heights) == pytest.approx(3 * counts.sum(), rel=1e-12)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 0.7, 1.5])
def test_mentions_themselves_follow_the_target(alpha: float) -> None:
    histogram = wiki_like(6, 1.0, 100)
    before, after = mentions_before(histogram), mentions_after(histogram, alpha=alpha)
    shares = {name: count**alpha for name, count in before.items()}
    for name, share in shares.items():
        assert after[name] / sum(after.values()) == pytest.approx(share / sum(shares.values()), rel=2 * TOLERANCE)


def test_sentences_of_one_category_have_a_closed_form() -> None:
    """With nothing shared, all sentences of a category get ∝ |E|^(alpha - 1), at once."""
    histogram = Counter[Multiset]({("A",): 1000, ("B",): 100, ("C", "C"): 5})
    rates = draw(histogram, method="fit", alpha=0.7, total=1105)
    assert rates.iterations == 1
    some = {key: rates.expected(key) for key in histogram}
    assert some["B",] / some["A",] == pytest.approx(0.1**-0.3)
    assert some["C", "C"] / some["A",] == pytest.approx(0.01**-0.3)


def test_alpha_one_draws_every_sentence_exactly_once() -> None:
    histogram = wiki_like(2, 1.2, 5)
    for cap in (0, 1, 3):
        rates = draw(histogram, method="fit", alpha=1, cap=cap)
        assert {rates.expected(key) for key in histogram} == {1.0}
        assert rates.iterations == 0


def test_a_target_that_a_shared_category_blocks_is_approached_and_told() -> None:
    """Ten categories that only occur beside P would need more of P than P may have."""
    histogram = Counter[Multiset]({("P",): 500} | {(f"x{n}", "P"): 20 for n in range(10)})
    rates = draw(histogram, method="fit", alpha=0.2)
    assert PATIENCE < rates.iterations < PATIENCE + 8
    assert rates.residual > 0.1
    assert rates.largest < 10
    before, after = mentions_before(histogram), mentions_after(histogram, alpha=0.2)
    assert sum(rates.expected(key) * number for key, number in histogram.items()) == pytest.approx(700)
    assert after["x0"] / after["P"] > 3 * before["x0"] / before["P"]


def test_a_category_too_rare_for_the_cap_gets_all_that_the_cap_allows() -> None:
    histogram = Counter[Multiset]({("A",): 10_000, ("B",): 3_000, ("C",): 1})
    rates = draw(histogram, method="fit", alpha=0.5, cap=4)
    assert rates.expected(["C"]) == pytest.approx(4)
    assert (rates.worst, rates.iterations) == ("C", 1), "what is out of reach isn't tried for"
    after = mentions_after(histogram, alpha=0.5, cap=4)
    assert after["A"] / after["B"] == pytest.approx((10 / 3) ** 0.5, rel=2 * TOLERANCE)


def test_a_cap_within_reach_changes_sentences_not_mentions() -> None:
    histogram = wiki_like(3, 1.0, 20)
    free, capped = (draw(histogram, method="fit", alpha=0.7, cap=cap) for cap in (0, 4))
    assert free.largest > 5
    assert capped.largest == pytest.approx(4)
    assert capped.exponent == pytest.approx(0.7, abs=0.02)
    assert capped.residual < 2 * TOLERANCE
