from statistics import mean

from nerbert.chance import coin


def test_the_same_everywhere() -> None:
    assert coin(1, "split", "enwiki:12") == 0.8579569966971418


def test_uniform_and_apart_by_step_and_seed() -> None:
    draws = {step: [coin(1, step, str(n)) for n in range(4000)] for step in ("a", "b")}
    draws["seed"] = [coin(2, "a", str(n)) for n in range(4000)]
    for some in draws.values():
        assert abs(mean(some) - 0.5) < 0.02
        assert all(0 <= each < 1 for each in some)
    for other in ("b", "seed"):
        both = mean((x < 0.5) == (y < 0.5) for x, y in zip(draws["a"], draws[other], strict=True))
        assert abs(both - 0.5) < 0.03
