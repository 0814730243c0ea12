import pickle
from collections import Counter
from math import isfinite
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.corpus import balance as module
from nerbert.corpus.balance import PATIENCE, TOLERANCE, Multiset, draw, draw_copies, exponent, tabulate
from nerbert.errors import SettingsError
from tests.raised import raises

METHODS = ("literal", "fit")


def sentences(number: int = 6000, categories: int = 12) -> list[list[str]]:
    random = Random(1)
    names = [f"c{n}" for n in range(categories)]
    weights = [1 / (n + 1) ** 1.5 for n in range(categories)]
    return [random.choices(names, weights, k=random.randint(1, 4)) for _ in range(number)]


def counted(some: list[list[str]]) -> Counter[Multiset]:
    return Counter(tuple(sorted(each)) for each in some)


@given(
    st.lists(st.lists(st.sampled_from("ABCDEF"), min_size=1, max_size=7), min_size=1, max_size=25),
    st.sampled_from(METHODS),
    st.sampled_from([0.0, 0.3, 0.7, 1.0, 5.0]),
    st.floats(1e-3, 20),
)
def test_expectations_sum_to_the_total(some: list[list[str]], method: str, alpha: float, share: float) -> None:
    total = share * len(some)
    rates = draw(counted(some), method=method, alpha=alpha, total=total)
    each = [rates.expect_copies(categories) for categories in some]
    assert sum(each) == pytest.approx(total, rel=1e-9)
    assert min(each) >= 0
    assert max(each) == pytest.approx(rates.largest)
    assert isfinite(rates.residual)
    assert rates.exponent is None or isfinite(rates.exponent)


def test_literal_is_the_papers_draw_simulated() -> None:
    """T times a category by p ∝ |E|^0.7, then one of the sentences that hold it, each alike."""
    some, total = sentences(400), 400_000
    rates = draw(counted(some), method="literal", alpha=0.7, total=total)
    mentions = Counter(name for each in some for name in each)
    names = sorted(mentions)
    p = np.array([mentions[name] ** 0.7 for name in names])
    random, drawn = np.random.default_rng(7), np.zeros(len(some))
    for name, times in zip(names, random.multinomial(total, p / p.sum()), strict=True):
        holders = [number for number, each in enumerate(some) if name in each]
        drawn += np.bincount(random.choice(holders, times), minlength=len(some))
    expected = np.array([rates.expect_copies(each) for each in some])
    errors = (drawn - expected) / np.sqrt(expected)
    assert np.abs(errors).max() < 4.5
    assert 0.8 < np.mean(errors**2) < 1.2


@pytest.mark.parametrize("method", METHODS)
def test_rates_depend_on_no_order_and_travel(method: str) -> None:
    some = sentences(1000)
    rates = draw(counted(some), method=method, alpha=0.7)
    assert rates == draw(counted(some[::-1]), method=method, alpha=0.7)
    assert pickle.loads(pickle.dumps(rates)) == rates
    one = ["c3", "c0", "c0", "c7", "c1"]
    assert {rates.expect_copies(Random(n).sample(one, 5)) for n in range(50)} == {rates.expect_copies(one)}


@pytest.mark.parametrize("method", METHODS)
def test_unseen_categories_count_as_not_there(method: str) -> None:
    rates = draw(counted([["A"], ["A", "B"]]), method=method, alpha=0.7)
    assert rates.expect_copies(["A", "unseen"]) == rates.expect_copies(["A"]) > 0
    assert rates.expect_copies(["unseen"]) == rates.expect_copies([]) == 0


@pytest.mark.parametrize("method", METHODS)
def test_rates_of_few_sentences(method: str) -> None:
    """Without a total as many copies as sentences; no exponent where all categories are equally frequent."""
    rates = draw(counted([["A"], ["B"]]), method=method, alpha=0.7)
    assert (rates.method, rates.alpha, rates.total, rates.exponent) == (method, 0.7, 2, None)
    assert rates.expect_copies(["A"]) + rates.expect_copies(["B"]) == pytest.approx(2, rel=1e-12)
    assert rates.residual == pytest.approx(0)
    with raises(SettingsError, "nothing to draw from"):
        draw(counted([[], []]), method=method, alpha=0.7)
    alone = draw(counted([["A"]] * 30 + [["B"]] * 10), method="literal", alpha=1)
    assert [alone.expect_copies(["A"]), alone.expect_copies(["A", "A"])] == pytest.approx([1, 1])


def test_exponent_weighs_categories_alike_and_leaves_out_what_one_side_lacks() -> None:
    before = {"A": 1, "B": 10, "C": 100, "gone": 50, "none": 0, "not after": 9}
    after = {"A": 1.0, "B": 10.0, "C": 10.0, "gone": 0.0, "none": 3.0}
    assert exponent(before, after) == pytest.approx(0.5)
    assert exponent({"A": 5}, {"A": 5}) is None


@pytest.mark.parametrize(
    ("expected", "chance", "copies"), [(0.0, 0.0, 0), (2.3, 0.29, 3), (2.3, 0.3, 2), (1.0, 0.0, 1)]
)
def test_draw(expected: float, chance: float, copies: int) -> None:
    assert draw_copies(expected, chance) == copies


@pytest.mark.parametrize("rows", [1, 2, 3, 100])
def test_sums_over_rows_and_categories_whatever_the_blocks(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROWS", rows)
    counts = counted([["A"], ["A", "A", "B"], ["B", "C", "C", "C"], ["A", "C"], ["A"], ["E"], []])
    table, keys = tabulate(counts), sorted(filter(None, counts))
    values = {"A": 1.0, "B": 10.0, "C": 100.0, "E": 1000.0}
    column, row = np.array(list(values.values())), np.arange(1.0, len(keys) + 1)
    assert table.names == tuple(values)
    assert table.sums(column).tolist() == [sum(values[name] for name in set(key)) for key in keys]
    assert table.means(column).tolist() == [sum(values[name] for name in key) / len(key) for key in keys]
    for distinct in (True, False):
        wanted = [
            sum(
                number * (min(key.count(name), 1) if distinct else key.count(name))
                for number, key in enumerate(keys, 1)
            )
            for name in values
        ]
        assert table.by_category(row, distinct=distinct).tolist() == wanted


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
            after[name] += number * rates.expect_copies(key)  # type: ignore[assignment]
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
    some = {key: rates.expect_copies(key) for key in histogram}
    assert some["B",] / some["A",] == pytest.approx(0.1**-0.3)
    assert some["C", "C"] / some["A",] == pytest.approx(0.01**-0.3)


def test_alpha_one_draws_every_sentence_exactly_once() -> None:
    histogram = wiki_like(2, 1.2, 5)
    rates = draw(histogram, method="fit", alpha=1)
    assert {rates.expect_copies(key) for key in histogram} == {1.0}
    assert rates.iterations == 0


def test_a_target_that_a_shared_category_blocks_is_approached_and_told() -> None:
    """Ten categories that only occur beside P would need more of P than P may have."""
    histogram = Counter[Multiset]({("P",): 500} | {(f"x{n}", "P"): 20 for n in range(10)})
    rates = draw(histogram, method="fit", alpha=0.2)
    assert PATIENCE < rates.iterations < PATIENCE + 8
    assert rates.residual > 0.1
    assert rates.largest < 10
    before, after = mentions_before(histogram), mentions_after(histogram, alpha=0.2)
    assert sum(rates.expect_copies(key) * number for key, number in histogram.items()) == pytest.approx(700)
    assert after["x0"] / after["P"] > 3 * before["x0"] / before["P"]
