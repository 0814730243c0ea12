"""Mentions after `fit` follow the target; what can't be reached is told, and never runs on or away."""

from collections import Counter

import numpy as np
import pytest

from nerbert.corpus.balance import PATIENCE, TOLERANCE, Multiset, draw


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
    rates, after = draw(histogram, method="fit", **how), Counter[str]()
    for key, number in histogram.items():
        for name in key:
            after[name] += number * rates.expected(key)  # type: ignore[assignment]
    return dict(after)


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
    rates = draw(histogram, method="fit", alpha=1)
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
