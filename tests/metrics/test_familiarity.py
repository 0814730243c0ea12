"""Familiarity against values computed by hand, and against the definition written out mention by mention."""

import numpy as np
import pytest

from nerbert.errors import InputError
from nerbert.metrics.familiarity import cosines, familiarity
from tests.raised import raises


def by_mention(similarities: list[float], counts: list[int], first: int) -> float:
    """The definition: a list of all mentions, sorted, cut off, weighted by 1/rank."""
    mentions = sorted((max(0.0, one) for one, many in zip(similarities, counts, strict=True) for _ in range(many)))
    kept = [*reversed(mentions)][:first]
    weights = [1 / rank for rank in range(1, first + 1)]
    return sum(weight * one for weight, one in zip(weights, kept, strict=False)) / sum(weights)


def test_values_by_hand() -> None:
    """The first three of: one mention at 1, two at 0.5, one at -0.2."""
    (figure,) = familiarity([[0.5, 1.0, -0.2, 0.9]], [2, 1, 1, 0], first=3)
    assert figure == pytest.approx((1 * 1.0 + 0.5 * 0.5 + 0.5 / 3) / (1 + 1 / 2 + 1 / 3))
    (few,) = familiarity([[1.0]], [1], first=2)
    assert few == pytest.approx(1 / 1.5), "the mention that is lacking counts as 0"
    assert familiarity([[1.0, 0.9], [-1.0, -0.5]], [1000, 5]).tolist() == pytest.approx([1.0, 0.0])


def test_it_is_the_definition_mention_by_mention() -> None:
    draw = np.random.default_rng(4)
    similarities, counts = draw.uniform(-1, 1, (5, 8)), draw.integers(0, 60, 8)
    wanted = [by_mention(row, counts.tolist(), 100) for row in similarities.tolist()]
    assert familiarity(similarities, counts, first=100).tolist() == pytest.approx(wanted)
    order = draw.permutation(8)
    assert familiarity(similarities[:, order], counts[order], first=100).tolist() == pytest.approx(wanted)


def test_cosines_are_clipped_and_of_any_length() -> None:
    assert cosines([[2, 0], [0, 0]], [[0.1, 0.0], [-1.0, 0.0], [1.0, 1.0]]).tolist() == [
        [1.0, 0.0, pytest.approx(0.5**0.5)], [0.0, 0.0, 0.0],
    ]  # fmt: skip
    assert cosines([[1.0, 1.0, 1.0]], [[1.0, 1.0, 1.0]]).tolist() == [[1.0]], "no more, whatever rounding does"


@pytest.mark.parametrize(("similarities", "counts"), [([[1.0]], [1, 2]), ([1.0], [1]), ([[1.0]], [-1])])
def test_shapes_that_do_not_fit_are_refused(similarities: list[list[float]], counts: list[int]) -> None:
    with raises(InputError, words="familiarity: "):
        familiarity(similarities, counts)
