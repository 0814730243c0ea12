"""A dry run: its counts are those of the training that follows, its steps are real ones."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
import torch

import nerbert.encoder.pretrain as stage
from nerbert.encoder.pretrain import DryRun, Preparation, dry_run, measure, prepare
from nerbert.encoder.settings import PretrainSettings
from nerbert.errors import NerbertError
from nerbert.render.terminal import print_dry_run
from nerbert.rng import Array
from nerbert.terminal import duration
from nerbert.training.batches import steps_of_epoch
from nerbert.training.distributed import make_process_group
from nerbert.training.loop import train
from nerbert.training.objective import SpanScore
from nerbert.training.run import Run
from nerbert.training.tagging import TokenClassification
from tests.calls import noted
from tests.raised import raises, raising

FIGURES = DryRun(
    steps=18,
    tokens=2_800,
    evaluations=3,
    parameters=50_000,
    trained=40_000,
    device="cpu",
    precision="fp32",
    processes=2,
    peak_memory=22_900_000_000,
    speed=100.0,
    scoring=1.5,
)


@pytest.fixture(scope="module")
def settings(sample_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> PretrainSettings:
    return PretrainSettings(
        corpus=(sample_corpus,),
        cache=str(tmp_path_factory.mktemp("cache")),
        batch_size=64,
        epochs=2.5,
        precision="fp32",
        max_tokens_per_batch=512,
        max_eval_samples=11,
        threads=1,
        max_length=64,
        fresh_num_layers=1,
        fresh_hidden_size=64,
        fresh_vocab_size=1500,
    )


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Array, bool]]:
    """The windows of the steps that are really run, and whether the optimiser had its moments before."""
    return noted(monkeypatch, stage, "train_step", lambda run, numbers, *_: (numbers, bool(run.optimizer.state)))


@pytest.fixture(scope="module")
def work(settings: PretrainSettings) -> Preparation:
    return prepare(settings, make_process_group(settings))


@pytest.mark.parametrize(
    "change", [{"epochs": 1.4}, {"epochs": 0.4, "min_steps": 12}, {"epochs": 0.4, "evaluation_steps": 2}]
)
def test_counts_are_those_of_the_training(
    settings: PretrainSettings, work: Preparation, change: dict[str, Any]
) -> None:
    settings = replace(settings, **change)
    run = measure(work, settings, processes := make_process_group(settings))
    every = settings.evaluation_steps
    log = train(Run(work.model, work.data, work.objective, settings, processes, evaluation_steps=every))
    assert (run.steps, run.evaluations) == (log.steps, len(log.entries))
    assert run.tokens == pytest.approx(log.tokens, rel=0.3)  # windows differ in length
    assert run.parameters == run.trained == sum(each.numel() for each in work.model.parameters())
    assert (run.device, run.precision, run.processes) == ("cpu", "fp32", 1)
    assert min(run.speed, run.scoring) > 0
    assert run.peak_memory > 100_000_000


@pytest.mark.parametrize("objective", ["tagging", "mlm"])
def test_the_longest_window_and_whole_steps_are_run(
    settings: PretrainSettings, steps: list[tuple[Array, bool]], objective: Literal["tagging", "mlm"]
) -> None:
    settings = replace(settings, objective=objective)
    work = prepare(settings, make_process_group(settings))
    before = [each.detach().clone() for each in work.model.parameters()]
    measure(work, settings, make_process_group(settings))
    windows, numbers = work.data.windows, work.data.numbers_of(0)
    every = steps_of_epoch(numbers, windows.lengths_of(numbers), 64, settings.seed, 0)
    assert {each.tobytes() for each, _ in steps} <= {each.tobytes() for each in every}
    assert len(steps) == 5
    longest = windows.lengths_of(numbers).max()
    assert any(moments and windows.lengths_of(each).max() == longest for each, moments in steps[:-3])
    assert all(one.equal(two) for one, two in zip(before, work.model.parameters(), strict=True)), "the rate is 0"


def test_memory_that_runs_out_is_said_and_the_rest_is_measured(
    settings: PretrainSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail = raising(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"))
    real = TokenClassification.loss

    def limited(self: TokenClassification, model: Any, batch: Any) -> Any:
        return fail() if batch.ids.numel() > 200 else real(self, model, batch)

    monkeypatch.setattr(TokenClassification, "loss", limited)
    assert dry_run(settings, tmp_path / "e").max_tokens_per_batch <= 200
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(SpanScore, "__call__", fail)
    with raises(NerbertError, "memory ran out outside "):
        dry_run(settings, tmp_path / "e")


def test_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert FIGURES.seconds == pytest.approx(28.0 + 3 * 1.5)
    print_dry_run(FIGURES, Path("[/out]\x1b[31m"))
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "memory ran out" not in shown
    assert shown.endswith(r"without --dry-run: trains 18 steps and writes the encoder to [/out]\x1b[31m")
    print_dry_run(replace(FIGURES, device="cuda", processes=1, max_tokens_per_batch=256), Path("out"))
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "22.9 GB on the GPU" in shown
    assert "memory ran out: with max_tokens_per_batch=256 it does not" in shown


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.254, "0.25 s"),
        (9.96, "10 s"),
        (42.4, "42 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (3599, "1 h 0 min"),
        (12_000, "3 h 20 min"),
        (47 * 3600, "47 h 0 min"),
        (100 * 3600, "4 d 4 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
