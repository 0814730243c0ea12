from statistics import mean

import numpy as np
import pytest

from nerbert.rng import Array, uniform, uniforms

MANY = np.arange(200_000)
EXPECTED = [0.6203119386163523, 0.2421597320274378, 0.6117730412798799]


def test_uniform_and_apart_by_step_and_seed() -> None:
    draws = {step: [uniform(1, step, str(n)) for n in range(4000)] for step in ("a", "b")}
    draws["seed"] = [uniform(2, "a", str(n)) for n in range(4000)]
    for some in draws.values():
        assert abs(mean(some) - 0.5) < 0.02
        assert all(0 <= each < 1 for each in some)
    for other in ("b", "seed"):
        both = mean((x < 0.5) == (y < 0.5) for x, y in zip(draws["a"], draws[other], strict=True))
        assert abs(both - 0.5) < 0.03


def test_numbers_are_the_same_everywhere() -> None:
    assert uniform(1, "split", "enwiki:12") == 0.8579569966971418
    assert uniforms(1, "order", np.arange(3)).tolist() == EXPECTED
    first, second, third = EXPECTED
    assert uniforms(1, "order", np.array([[2, 0], [1, 2]])).tolist() == [[third, first], [second, third]]
    assert uniforms(1, "order", np.array([], np.int64)).tolist() == []


@pytest.mark.parametrize("numbers", [MANY, MANY << 20, np.uint64(2**64 - 1) - MANY.astype(np.uint64)])
def test_many_at_once_are_uniform_and_apart(numbers: Array) -> None:
    draws = [uniforms(seed, step, numbers) for seed, step in ((1, "a"), (1, "b"), (2, "a"))]
    for some in draws:
        counts, _ = np.histogram(some, 50, (0, 1))
        assert counts.sum() == len(numbers)
        assert abs(counts - 4000).max() < 5 * 4000**0.5
        assert abs(np.corrcoef(some[:-1], some[1:])[0, 1]) < 0.012
    for other in draws[1:]:
        assert abs(np.corrcoef(draws[0], other)[0, 1]) < 0.012
