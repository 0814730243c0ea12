"""A dry run: its counts are those of the training that follows, its steps are real ones."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch

import nerbert.encoder.dry_run as stage
from nerbert.config import load_settings
from nerbert.encoder.dry_run import DryRun, dry_run, measure
from nerbert.encoder.prepare import Preparation, prepare
from nerbert.encoder.settings import PretrainSettings
from nerbert.errors import NerbertError
from nerbert.render.terminal.models import print_dry_run
from nerbert.rng import Array
from nerbert.terminal import Progress, duration
from nerbert.training.distributed import make_process_group
from nerbert.training.loop import batches_of, steps_of_epoch, train, train_step

FIGURES = DryRun(
    learnt="tag",
    sentences=25, windows=70, tokens=1_400, longest=29, padding=0.2, held_out=11, scored_tokens=300, evaluations=3,
    steps=18, steps_per_epoch=9, parameters=50_000, trained=40_000, device="cpu", precision="fp32", processes=2,
    peak_memory=22_900_000_000, training_speed=100.0, scoring_speed=300.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def settings(sample_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> PretrainSettings:
    return PretrainSettings(
        corpus=sample_corpus, cache=str(tmp_path_factory.mktemp("cache")), batch_size=64, epochs=2.5, precision="fp32",
        max_tokens_per_batch=512, max_eval_samples=11, threads=1, max_length=64, fresh_num_layers=1,
        fresh_hidden_size=64, fresh_vocab_size=1500,
    )  # fmt: skip


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[Array]:
    """The windows of the steps that are really run."""
    run, real = list[Array](), train_step

    def counted(model: Any, data: Any, numbers: Array, *rest: Any) -> dict[str, float]:
        run.append(numbers)
        return real(model, data, numbers, *rest)

    monkeypatch.setattr(stage, "train_step", counted)
    return run


@pytest.fixture(scope="module")
def work(settings: PretrainSettings) -> Preparation:
    return prepare(settings, make_process_group(settings))


@pytest.mark.parametrize(
    "change", [{"epochs": 1.4}, {"epochs": 0.4}, {"epochs": 0.4, "min_steps": 12}, {"max_steps": 7}]
)
def test_counts_are_those_of_the_training(
    settings: PretrainSettings, work: Preparation, change: dict[str, Any]
) -> None:
    settings = replace(settings, **change)
    run = measure(work, settings, make_process_group(settings))
    log = train(work.model, work.data, work.objective, settings, Progress())
    assert (run.steps, run.evaluations) == (log.steps, len(log.entries))
    assert run.epochs == pytest.approx(log.entries[-1]["epoch"])
    assert run.total_tokens == pytest.approx(log.tokens, rel=0.3)  # windows differ in length


def test_sizes_and_padding_are_those_of_the_windows(settings: PretrainSettings, work: Preparation) -> None:
    windows, numbers = work.data.windows, work.data.numbers_of(0)
    run = measure(work, settings, make_process_group(settings))
    lengths = [len(windows.row(number).ids) for number in numbers]
    assert (run.windows, run.tokens, run.longest) == (len(numbers), sum(lengths), max(lengths))
    assert run.sentences == len({windows.row(number).sentence for number in numbers})
    padded = sum(
        batch.ids.numel()
        for step in steps_of_epoch(numbers, windows.lengths_of(numbers), 64, settings.seed, 0)
        for batch in batches_of(windows, step, 512, "cpu", work.data.pad_id)
    )
    assert run.padding == pytest.approx(1 - sum(lengths) / padded)
    assert run.parameters == run.trained == sum(each.numel() for each in work.model.parameters())
    assert (run.held_out, run.device, run.precision, run.processes) == (11, "cpu", "fp32", 1)


@pytest.mark.parametrize("objective", ["tagging", "mlm"])
def test_the_largest_micro_batches_and_ordinary_ones_are_run(
    settings: PretrainSettings, steps: list[Array], objective: Literal["tagging", "mlm"]
) -> None:
    settings = replace(settings, objective=objective)
    work = prepare(settings, make_process_group(settings))
    run = measure(work, settings, make_process_group(settings))
    windows, numbers = work.data.windows, work.data.numbers_of(0)
    all_steps = steps_of_epoch(numbers, windows.lengths_of(numbers), 64, settings.seed, 0)
    shapes = [batch.ids.shape for step in all_steps for batch in batches_of(windows, step, 512, "cpu", 0)]
    ran = [windows.lengths_of(each) for each in steps]
    assert max(int(each.max()) * len(each) for each in ran) >= max(shape.numel() for shape in shapes)
    assert max(int(each.max()) for each in ran) == max(shape[1] for shape in shapes)
    assert len(steps) in (5, 6)
    assert all(each.sum() <= 2 * 512 for each in ran)
    assert run.training_speed > 0
    assert run.scoring_speed > run.training_speed
    assert run.peak_memory > 100_000_000


def test_several_processes_share_an_ordinary_step_and_all_run_the_largest(
    settings: PretrainSettings, work: Preparation, steps: list[Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    processes = make_process_group(settings)
    monkeypatch.setattr(processes, "count", 2)
    monkeypatch.setattr(processes, "totals", lambda *values: list(values))
    monkeypatch.setattr(processes, "sum_gradients", lambda _: None)
    run = measure(work, settings, processes)
    first, largest, *_ = steps
    assert run.processes == 2
    assert np.array_equal(largest[::2], largest[1::2])
    assert not np.array_equal(first[::2][: len(first) // 2], first[1::2][: len(first) // 2])


def test_time_follows_from_the_speeds() -> None:
    assert (FIGURES.epochs, FIGURES.total_tokens) == (2.0, 2_800)
    assert FIGURES.seconds == pytest.approx(28.0 + 3 * 1.0)


def test_memory_that_runs_out_is_one_line(
    settings: PretrainSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    monkeypatch.setattr(stage, "train_step", fail)
    with pytest.raises(NerbertError, match=r"memory ran out \(20.00 GiB at once\) .*: try max_tokens_per_batch=256;"):
        dry_run(settings, tmp_path / "e")
    assert not list(tmp_path.iterdir())


def test_printed(capsys: pytest.CaptureFixture[str]) -> None:
    print_dry_run(FIGURES, Path("[/out]\x1b[31m"))
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for expected in (
        "25 sentences in 70 windows an epoch", "longest 29", "1,400 an epoch, 2,800 in all; 20.00 % of a batch",
        "11 sentences, scored 3 times", "trained 40,000", "cpu in fp32, 2 processes", "22.9 GB of the process",
        "100 tokens a second", "about 31 s",
    ):  # fmt: skip
        assert expected in shown
    assert shown.endswith(r"without --dry-run: trains 18 steps and writes the encoder to [/out]\x1b[31m")
    print_dry_run(replace(FIGURES, device="cuda", processes=1, evaluations=1), Path("out"))
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "22.9 GB on the GPU" in shown
    assert "1 process " in shown
    assert "scored once" in shown


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.254, "0.25 s"), (9.96, "10 s"), (42.4, "42 s"), (59.4, "59 s"), (59.6, "1 min"), (3599, "1 h 0 min"),
        (12_000, "3 h 20 min"), (47 * 3600, "47 h 0 min"), (100 * 3600, "4 d 4 h"),
    ],
)  # fmt: skip
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_papers_settings() -> None:
    path = Path("configs/paper.toml")  # the package's
    paper = load_settings(PretrainSettings, path)
    trained = (paper.backbone, paper.batch_size, paper.learning_rate, paper.weight_decay, paper.objective)
    assert trained == ("google-bert/bert-base-cased", 960, 5e-5, 0.0, "tagging")
    labels = (paper.label_set, paper.label_all_tokens, paper.label_smoothing, paper.outside_weight)
    assert labels == ("", False, 0.0, 1.0)
    assert load_settings(PretrainSettings, path, ["backbone=bert"]).backbone == "bert"
