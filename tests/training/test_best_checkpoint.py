"""What the best checkpoint is, with scores that are set by hand."""

from nerbert.training.checkpoint import BestCheckpoint
from nerbert.training.objective import CheckpointScore


def test_the_value_chooses_and_a_tie_goes_to_the_earlier() -> None:
    saved: list[tuple[int, int]] = []
    best = BestCheckpoint(
        lambda f1: CheckpointScore(f1, True, {"f1": f1, "other": -f1}),
        lambda _, step, before: saved.append((step, before)),
    )
    shown = [best(f1, step) for step, f1 in enumerate([0.2, 0.5, 0.5, 0.4], 1)]
    assert saved == [(1, 0), (2, 1)]
    assert (best.best, best.best_step) == (CheckpointScore(0.5, True, {"f1": 0.5, "other": -0.5}), 2)
    assert [figures["f1"] for figures in shown] == [0.2, 0.5, 0.5, 0.4]


def test_where_lower_is_better_the_lowest_is_best() -> None:
    saved: list[int] = []
    best = BestCheckpoint(
        lambda loss: CheckpointScore(loss, False, {"x": loss}), lambda _, step, __: saved.append(step)
    )
    for step, loss in enumerate([3.0, 2.0, 2.5, 1.0], 1):
        best(loss, step)
    assert saved == [1, 2, 4]


def test_the_last_can_be_kept_whatever_its_score() -> None:
    saved: list[tuple[int, int]] = []
    best = BestCheckpoint(
        lambda f1: CheckpointScore(f1, True, {}), lambda _, *steps: saved.append(steps), last=True
    )  # fmt: skip
    for step, f1 in enumerate([0.5, 0.2, 0.2], 1):
        best(f1, step)
    assert saved == [(1, 0), (2, 1), (3, 2)]
    assert (best.best_step, best.best and best.best.value) == (3, 0.2)
