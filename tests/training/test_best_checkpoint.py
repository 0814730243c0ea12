"""What the best checkpoint is, with scores that are set by hand."""

import pytest

from nerbert.training.checkpoint import BestCheckpoint
from nerbert.training.objective import CheckpointScore


@pytest.mark.parametrize(
    ("values", "higher", "last", "saved"),
    [
        ([0.2, 0.5, 0.5, 0.4], True, False, [(1, 0), (2, 1)]),  # a tie goes to the earlier
        ([3.0, 2.0, 2.5, 1.0], False, False, [(1, 0), (2, 1), (4, 2)]),
        ([0.5, 0.2, 0.2], True, True, [(1, 0), (2, 1), (3, 2)]),  # the last is kept whatever its score
    ],
)
def test_the_value_chooses(values: list[float], higher: bool, last: bool, saved: list[tuple[int, int]]) -> None:
    kept: list[tuple[int, int]] = []
    best = BestCheckpoint(
        lambda value: CheckpointScore(value, higher, {"f1": value, "other": -value}),
        lambda _, *steps: kept.append(steps), last=last,
    )  # fmt: skip
    assert [best(value, step)["f1"] for step, value in enumerate(values, 1)] == values
    assert kept == saved
    value = values[saved[-1][0] - 1]
    assert best.best == CheckpointScore(value, higher, {"f1": value, "other": -value})
    assert best.best_step == saved[-1][0]
