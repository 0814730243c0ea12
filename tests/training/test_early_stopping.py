"""What the loop's scorer keeps, with scores that are set by hand."""

import json
from typing import Any

import pytest

from nerbert.training.early_stopping import BestCheckpoint, CheckpointScore
from nerbert.training.log import TrainLog

F1S = {1: 0.2, 2: 0.5, 3: 0.5, 4: 0.4}


@pytest.mark.parametrize(("only_at", "kept"), [(0, [(1, 0), (2, 1)]), (3, [])])
def test_the_value_chooses_and_a_tie_goes_to_the_earlier(only_at: int, kept: list[tuple[int, int]]) -> None:
    saved: list[tuple[int, int]] = []
    best = BestCheckpoint(
        lambda f1: CheckpointScore(f1, True, {"f1": f1, "other": -f1}),
        lambda _, step, before: saved.append((step, before)),
        only_at,
    )
    shown = {step: best(f1, step) for step, f1 in F1S.items()}
    assert saved == kept
    assert best.best_step == (2 if not only_at else 0)
    assert [step for step, figures in shown.items() if figures] == ([only_at] if only_at else list(F1S))


def test_where_lower_is_better_the_lowest_is_best() -> None:
    saved: list[int] = []
    best = BestCheckpoint(
        lambda loss: CheckpointScore(loss, False, {"x": loss}), lambda _, step, __: saved.append(step)
    )
    for step, loss in enumerate([3.0, 2.0, 2.5, 1.0], 1):
        best(loss, step)
    assert saved == [1, 2, 4]


@pytest.mark.parametrize("until", range(5))
def test_a_keeper_that_goes_on_knows_the_best_so_far(until: int) -> None:
    def score(f1: Any) -> CheckpointScore:
        return CheckpointScore(f1, True, {"f1": f1})

    whole, first, second = (BestCheckpoint(score, lambda *_: None) for _ in range(3))
    for step, f1 in F1S.items():
        whole(f1, step)
        if step <= until:
            first(f1, step)
    second.restore(json.loads(json.dumps(first.state())))
    assert (second.best, second.best_step) == (first.best, first.best_step)
    for step, f1 in F1S.items():
        if step > until:
            second(f1, step)
    assert (second.best, second.best_step) == (whole.best, whole.best_step)


def test_a_score_of_whole_numbers_survives_a_checkpoint() -> None:
    best = BestCheckpoint(lambda _: CheckpointScore(3, True, {"right": 3}), lambda *_: None)
    best(None, 1)
    log = TrainLog.from_json(json.loads(json.dumps(TrainLog(best=best.state()).to_json())))
    best.restore(log.best)
    assert best.best == CheckpointScore(3.0, True, {"right": 3})
