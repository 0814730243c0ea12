"""Columns that an objective gives an epoch: the loop trains on them, and a resumed run reads them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nerbert.errors import NerbertError
from nerbert.model.forward import Batch
from nerbert.model.windows import Windows
from nerbert.training.batches import TrainingData, collate, steps_of_epoch
from nerbert.training.checkpoint import Checkpoints, StepLog, digest_of
from nerbert.training.distributed import ProcessGroup, make_process_group
from nerbert.training.objective import Columns, EpochColumns, EpochHooks
from nerbert.training.run import Run, rate_at
from nerbert.training.settings import TrainSettings
from nerbert.training.step import train_step
from tests.raised import raises
from tests.training.conftest import Plain, Trained
from tests.training.runs import data_of, lines, same, tiny_model, weights

SETTINGS = TrainSettings(precision="fp32", threads=1, batch_size=3, epochs=4, learning_rate=1e-2)
PER_EPOCH, STEPS = 3, 12


class StopError(Exception):
    """A kill."""


class Renewing(Plain, EpochHooks):
    """Each word's label is what the model finds, from the second epoch on; it stops where it is told to."""

    of = make_model = score_on = describe = None  # type: ignore[assignment]

    def __init__(self, before_step: int = 0, in_epoch: int = 0) -> None:
        self._before_step, self._in_epoch = before_step, in_epoch
        self.begun: list[int] = []
        self.seen: list[Columns] = []

    def begin_epoch(
        self, model: Any, data: TrainingData, epoch: int, before: Columns, processes: ProcessGroup
    ) -> EpochColumns | None:
        assert not model.training
        assert not torch.is_grad_enabled()
        self.begun.append(epoch)
        self.seen.append(before)
        if epoch == self._in_epoch > 0:
            raise StopError
        if not epoch:
            return None
        labels = labels_by(model, data.windows)
        return EpochColumns({"labels": labels}, {"ones": float((labels == 1).sum())})

    def use_columns(self, windows: Windows, columns: Columns) -> Windows:
        return replace(windows, labels=columns["labels"])

    def begin_step(self, windows: Windows, numbers: Any, step: int) -> None:
        if step == self._before_step:
            raise StopError


def labels_by(model: Any, windows: Windows) -> Any:
    batch = collate(windows, np.arange(len(windows)), 0)
    logits = model(input_ids=batch.ids, attention_mask=batch.mask).logits[batch.rows, batch.columns]
    return logits.argmax(-1).numpy().astype(np.int32)


Trains = Callable[..., Any]


@pytest.fixture
def run(trained: Callable[..., Trained]) -> Trains:
    """Train a new model, and return it."""

    def run(folder: Path, objective: Plain, every: int = 2) -> Any:
        folder.mkdir(exist_ok=True)
        return trained(
            SETTINGS,
            tiny_model(0.2),
            objective=objective,
            steps=StepLog(folder / "log.jsonl"),
            checkpoints=Checkpoints(folder, 2, steps=every),
        ).model

    return run


def test_the_loop_trains_on_an_epochs_columns(windows: Windows, run: Trains, tmp_path: Path) -> None:
    """Against a loop that replaces the labels itself."""
    objective = Renewing()
    model = run(tmp_path, objective)
    plain, processes = tiny_model(0.2), make_process_group(SETTINGS)
    by_hand = Run(plain, data_of(windows), Plain(), SETTINGS, processes)  # type: ignore[abstract]
    done = 0
    for epoch in range(4):
        if epoch:
            with torch.no_grad():
                by_hand.windows = replace(windows, labels=labels_by(plain.eval(), windows))
        plain.train()
        numbers = np.arange(len(windows))
        for step in steps_of_epoch(numbers, windows.lengths_of(numbers), 3, SETTINGS.seed, epoch):
            rate = SETTINGS.learning_rate * rate_at(done, STEPS, SETTINGS.warmup_ratio)
            done += 1
            train_step(by_hand, step, rate, done)
    assert same(weights(model), weights(plain))
    assert objective.begun == [0, 1, 2, 3]
    assert [bool(each) for each in objective.seen] == [False, False, True, True]


STOPS = [
    *(({"before_step": step}, every) for step, every in ((5, 2), (12, 2), (4, 3), (7, 3))),
    *(({"in_epoch": 2}, every) for every in (2, 3)),
]
"""Stops before a step with a checkpoint each so many: inside an epoch, and where one begins."""


@pytest.mark.parametrize(("stop", "every"), STOPS)
def test_a_resumed_run_reads_its_columns(run: Trains, tmp_path: Path, stop: dict[str, int], every: int) -> None:
    whole, stopped, again = tmp_path / "whole", Renewing(**stop), Renewing()
    model = run(whole, Renewing(), every)
    with pytest.raises(StopError):
        run(tmp_path / "broken", stopped, every)
    kept = max((int(each.name[5:]) for each in (tmp_path / "broken").glob("step-*")), default=0)
    assert same(weights(run(tmp_path / "broken", again, every)), weights(model))
    assert lines(tmp_path / "broken") == lines(whole)
    assert again.begun == list(range(-(-kept // PER_EPOCH), 4)), "no epoch is begun twice that a checkpoint is in"
    assert [each["step"] for each in lines(whole) if each["kind"] == "epoch"] == [4, 7, 10]


def zipped(path: Path) -> None:
    with path.open("wb") as stream:
        np.savez(stream, np.arange(3))


OTHERS = "its columns aren't those that the checkpoint was made with"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.write_bytes(b"\0" * 50), "/column-labels.npy: can't be read"),
        (zipped, "/column-labels.npy: can't be read"),
        (Path.unlink, f": {OTHERS}"),
        (lambda path: np.save(path, np.load(path) + 1), f": {OTHERS}"),
        (lambda path: np.save(path, np.zeros(3, "M8[s]")), ": its columns can't be read"),
    ],
)
def test_a_checkpoint_with_other_columns_is_passed_over(
    run: Trains, tmp_path: Path, spoil: Callable[[Path], object], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    model = run(tmp_path / "whole", Renewing())
    with pytest.raises(StopError):
        run(tmp_path / "broken", Renewing(before_step=9))
    newest = max((tmp_path / "broken").glob("step-*"))
    spoil(newest / "column-labels.npy")
    capsys.readouterr()
    assert same(weights(run(tmp_path / "broken", Renewing())), weights(model))
    assert f"{newest}{said}" in capsys.readouterr().err


def test_without_columns_there_is_no_file(run: Trains, tmp_path: Path) -> None:
    run(tmp_path, Plain())  # type: ignore[abstract]
    assert len(list(tmp_path.rglob("state.json"))) == 2
    assert not list(tmp_path.rglob("column-*"))
    assert {each["kind"] for each in lines(tmp_path)} == {"train", "validation"}


def test_all_processes_must_have_the_same_columns(windows: Windows) -> None:
    class Two(ProcessGroup):
        def gather(self, items: Sequence[Any]) -> list[Any]:
            return [*items, "another digest"]

    run = Run(tiny_model(), data_of(windows), Renewing(), SETTINGS, Two(torch.device("cpu")))
    with raises(NerbertError, "epoch 1: the processes computed different columns"):
        run.begin_epoch(1)


def test_a_digest_is_of_names_types_shapes_and_values() -> None:
    column = np.arange(6, dtype=np.int32)
    some: list[Columns] = [
        {},
        {"labels": column},
        {"other": column},
        {"labels": column.astype(np.int64)},
        {"labels": column[::-1]},
        {"labels": column.reshape(2, 3)},
        {"labels": column, "more": column},
    ]
    assert len({digest_of(each) for each in some}) == len(some)
    assert digest_of({"a": column, "b": column}) == digest_of({"b": column.copy(), "a": column})


def test_batches_see_the_columns(run: Trains, tmp_path: Path) -> None:
    """Two numbers a word, as an objective with a second column has them."""
    shapes = set[tuple[int, ...]]()

    class Stacked(Renewing):
        def use_columns(self, windows: Windows, columns: Columns) -> Windows:
            return replace(windows, labels=np.stack([windows.labels, columns["labels"]], 1))

        def prepare(self, batch: Batch, step: int, shared: Any = None) -> Batch:
            shapes.add(tuple(batch.labels.shape[1:]))
            return replace(batch, labels=batch.labels[:, 1]) if batch.labels.ndim > 1 else batch

    run(tmp_path, Stacked())
    assert shapes == {(), (2,)}
