import json
from dataclasses import asdict
from pathlib import Path

import pytest

import nerbert.training.checkpoint as stage
from nerbert.errors import MissingExtra
from nerbert.schema import parse_json
from nerbert.training.checkpoint import StepLog, TrainLog
from nerbert.training.objective import CheckpointScore
from tests.raised import raises


def test_a_log_comes_back_from_json_as_it_was() -> None:
    log = TrainLog(best=CheckpointScore(0.5, True, {"right": 3, "f1": 0.5}, {"threshold": 0.3}), best_step=3)
    for step in range(5):
        log.add_step(0.1 * step + 1 / 3, 17, 1.5 * step)
        if step == 2:
            log.add_entry(0.5)["f1"] = 1 / 7
    text = json.dumps(asdict(log))
    again = parse_json(text, TrainLog, "state.json")
    assert again == log
    assert json.dumps(asdict(again)) == text
    assert (again.loss_steps, again.steps, again.tokens) == (2, 5, 85)
    assert again.add_entry(1.0)["loss"] == log.add_entry(1.0)["loss"] == pytest.approx((0.3 + 0.4 + 2 / 3) / 2)


def test_the_best_score_of_an_older_checkpoint_has_no_facts() -> None:
    best = {"value": 0.5, "higher_is_better": True, "figures": {"f1": 0.5}}
    log = parse_json(json.dumps({"best": best}), TrainLog, "state.json")
    assert log.best == CheckpointScore(0.5, True, {"f1": 0.5})


def test_lines_after_a_checkpoint_are_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    log = StepLog(path)
    log.begin(0)
    for step in range(1, 6):
        log.write("train", {"step": step, "loss": 1 / step})
    log.write("validation", {"step": 5, "f1": 0.5})
    log.close()
    with path.open("a") as file:
        file.write('{"kind": "train", "st')
    again = StepLog(path)
    again.begin(3)
    again.write("train", {"step": 4, "loss": 9.0})
    again.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(each["step"], each["loss"]) for each in lines] == [(1, 1.0), (2, 0.5), (3, 1 / 3), (4, 9.0)]
    third = StepLog(path)
    third.begin(4)
    third.close()
    assert len(path.read_text().splitlines()) == 4


@pytest.mark.extras
def test_tensorboard_has_the_same_figures(tmp_path: Path) -> None:
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    board = tmp_path / "board"
    for begin, end in ((0, 5), (3, 6)):
        log = StepLog(tmp_path / "log.jsonl", str(board))
        log.begin(begin)
        for step in range(begin + 1, end + 1):
            log.write("train", {"step": step, "loss": step + 0.5 * begin})
        log.close()
    found = reading.EventAccumulator(str(board))
    found.Reload()
    assert [(each.step, each.value) for each in found.Scalars("train/loss")] == [
        (1, 1.0),
        (2, 2.0),
        (3, 3.0),
        (4, 5.5),
        (5, 6.5),
        (6, 7.5),
    ]


def test_tensorboard_that_is_not_there_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(extra: str, *modules: str) -> None:
        raise MissingExtra(f"nerbert[{extra}]")

    monkeypatch.setattr(stage, "need", missing)
    with raises(MissingExtra, "nerbert[tensorboard]"):
        StepLog(tmp_path / "log.jsonl", str(tmp_path / "board"))
