from collections import Counter
from random import Random
from statistics import mean

import pytest

from nerbert.chance import coin
from nerbert.corpus.balance import draw_copies, draw_rates, expected_copies
from nerbert.corpus.filters import count_categories


def sentences() -> list[list[str]]:
    random = Random(1)
    names = [f"c{n}" for n in range(12)]
    weights = [2.0**-n for n in range(12)]
    return [random.choices(names, weights, k=random.randint(1, 4)) for _ in range(6000)]


def test_expectations_sum_to_the_total() -> None:
    some = sentences()
    rates = draw_rates(*count_categories(some), alpha=0.7, total=5000)
    assert sum(expected_copies(each, rates) for each in some) == pytest.approx(5000)


def test_copies_follow_the_expectation_in_every_bin() -> None:
    some = sentences()
    rates = draw_rates(*count_categories(some), alpha=0.7, total=len(some))
    bins: dict[int, list[tuple[float, int]]] = {}
    for number, each in enumerate(some):
        expected = expected_copies(each, rates)
        bins.setdefault(min(int(2 * expected), 4), []).append(
            (expected, draw_copies(expected, coin(1, "copies", str(number))))
        )
    for rows in bins.values():
        if len(rows) > 200:
            assert mean(copies for _, copies in rows) == pytest.approx(mean(r for r, _ in rows), abs=0.08)


def test_rare_categories_gain_and_frequent_ones_lose() -> None:
    some = sentences()
    mentions, holding = count_categories(some)
    rates = draw_rates(mentions, holding, 0.7, len(some))
    drawn: Counter[str] = Counter()
    for number, each in enumerate(some):
        for name in each:
            drawn[name] += draw_copies(expected_copies(each, rates), coin(1, "copies", str(number)))
    before = {name: count / mentions.total() for name, count in mentions.items()}
    after = {name: count / drawn.total() for name, count in drawn.items()}
    assert after["c0"] < before["c0"]
    assert all(after[f"c{n}"] > before[f"c{n}"] for n in range(5, 12) if mentions[f"c{n}"] > 20)


def test_alpha_one_draws_a_sentence_of_one_category_once() -> None:
    some = [["A"]] * 30 + [["B"]] * 10
    rates = draw_rates(*count_categories(some), alpha=1.0, total=40)
    assert expected_copies(["A"], rates) == pytest.approx(1)
    assert expected_copies(["A", "A"], rates) == pytest.approx(1)
    assert expected_copies(["unseen"], rates) == 0


@pytest.mark.parametrize(
    ("expected", "chance", "copies"), [(0.0, 0.0, 0), (2.3, 0.29, 3), (2.3, 0.3, 2), (1.0, 0.0, 1)]
)
def test_draw(expected: float, chance: float, copies: int) -> None:
    assert draw_copies(expected, chance) == copies
