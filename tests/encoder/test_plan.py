"""A dry run: its counts are those of the training that follows, and the model stays as it was."""

import itertools
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nerbert.encoder.plan as stage
from nerbert.encoder.plan import Plan, needed_memory, plan_pretraining
from nerbert.encoder.settings import PretrainSettings
from nerbert.errors import SettingsError
from nerbert.model.forward import Batch
from nerbert.model.windows import IGNORED, Window, Windows
from nerbert.render.terminal.training import duration, print_plan
from nerbert.terminal import Progress
from nerbert.training.loop import Feed, batches_of, steps_of_epoch, train
from nerbert.training.memory import check_fits
from nerbert.training.throughput import Speed

CPU = torch.device("cpu")
SETTINGS = PretrainSettings(
    corpus=Path("corpus"), batch_size=8, epochs=2.5, precision="fp32", max_tokens_per_batch=64, threads=1
)


class Tags:
    """The plain tagging objective."""

    def prepare(self, batch: Batch, step: int) -> Batch:
        return batch

    def terms(self, batch: Batch) -> float:
        return int((batch.labels != IGNORED).sum())

    def loss(self, model: Any, batch: Batch) -> torch.Tensor:
        logits = model(input_ids=batch.ids, attention_mask=batch.mask).logits[batch.rows, batch.columns]
        return torch.nn.functional.cross_entropy(logits.float(), batch.labels, reduction="sum")


@pytest.fixture
def model() -> Any:
    from transformers import BertConfig, BertForTokenClassification

    torch.manual_seed(7)
    config = BertConfig(
        vocab_size=50, hidden_size=64, num_hidden_layers=2, num_attention_heads=1, intermediate_size=64, num_labels=7,
        max_position_embeddings=64,
    )  # fmt: skip
    return BertForTokenClassification(config).eval()


@pytest.fixture
def windows() -> Windows:
    """60 windows of 30 sentences."""
    draw, rows = random.Random(3), []
    for number in range(60):
        length = draw.randrange(4, 30)
        ids, words = tuple(draw.randrange(5, 50) for _ in range(length)), tuple(range(1, length - 1))
        rows.append(Window(number // 2, ids, words, words, tuple(draw.randrange(7) for _ in words)))
    return Windows.pack(rows)


@pytest.fixture
def numbers() -> Any:
    """An epoch without the first windows, in which some stand twice."""
    return np.repeat(np.arange(60), [0] * 10 + [1] * 30 + [2] * 20)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that is timed takes a second."""
    ticks: Iterator[float] = itertools.count(0.0, 1.0)
    monkeypatch.setattr("nerbert.training.throughput.time.perf_counter", lambda: next(ticks))


def plan_of(model: Any, windows: Windows, numbers: Any, settings: PretrainSettings = SETTINGS, **more: Any) -> Plan:
    return plan_pretraining(model, windows, numbers, settings, Tags(), 0, 11, CPU, **more)


@pytest.mark.parametrize("change", [{}, {"epochs": 0.4}, {"min_steps": 40}, {"max_steps": 7}])
def test_counts_are_those_of_the_training(model: Any, windows: Windows, numbers: Any, change: dict[str, Any]) -> None:
    settings = replace(SETTINGS, **change)
    plan = plan_of(model, windows, numbers, settings)
    log = train(model, Feed(windows, lambda _: numbers, 0), Tags(), settings, Progress())
    assert (plan.steps, plan.evaluations) == (log.steps, len(log.entries))
    assert plan.epochs == pytest.approx(log.entries[-1]["epoch"])
    assert plan.pieces_in_all == pytest.approx(log.tokens, rel=0.4)  # windows differ in length


def test_sizes(model: Any, windows: Windows, numbers: Any) -> None:
    plan = plan_of(model, windows, numbers)
    rows = [windows.row(number) for number in numbers]
    assert (plan.sentences, plan.windows) == (25, 70)
    assert plan.pieces == sum(len(row.ids) for row in rows)
    assert plan.longest == max(len(row.ids) for row in rows)
    assert plan.parameters == plan.trained == sum(each.numel() for each in model.parameters())
    assert (plan.classes, plan.held_out, plan.device, plan.precision) == (7, 11, "cpu", "fp32")
    of_sentence = sum(len(windows.row(number).ids) for number in range(10, 60)) / 25
    assert plan.pieces_a_score == round(11 * of_sentence)
    assert plan.disk == (2 + 1) * 3 * plan.memory.weights + 2 * plan.memory.weights


def test_padding_is_that_of_the_steps(model: Any, windows: Windows, numbers: Any) -> None:
    padded = real = 0
    for step in steps_of_epoch(numbers, windows.lengths_of(numbers), 8, SETTINGS.seed, 0):
        for batch in batches_of(windows, step, 64, "cpu", 0):
            padded, real = padded + batch.ids.numel(), real + int(batch.mask.sum())
    plan = plan_of(model, windows, numbers)
    assert plan.pieces == real
    assert plan.padding == pytest.approx(padded / real - 1)


@pytest.mark.parametrize("tokens", [16, 64, 4096])
def test_the_largest_micro_batch_is_that_of_the_epoch(model: Any, windows: Windows, numbers: Any, tokens: int) -> None:
    settings = replace(SETTINGS, max_tokens_per_batch=tokens)
    memory, _ = needed_memory(model, windows, numbers, settings, Tags(), CPU)
    shapes = [
        tuple(batch.ids.shape)
        for step in steps_of_epoch(numbers, windows.lengths_of(numbers), 8, SETTINGS.seed, 0)
        for batch in batches_of(windows, step, tokens, "cpu", 0)
    ]
    assert memory.largest in shapes
    assert memory.micro_batch == max(memory.activations.bytes(*shape) for shape in shapes)
    assert memory.total <= memory.most


@pytest.mark.parametrize("training", [True, False])
def test_the_model_stays_as_it_was(model: Any, windows: Windows, numbers: Any, training: bool) -> None:
    model.train(training)
    model.bert.embeddings.requires_grad_(False)
    before = {name: each.clone() for name, each in model.state_dict().items()}
    trained = {name: each.requires_grad for name, each in model.named_parameters()}
    chance = torch.get_rng_state()
    plan = plan_of(model, windows, numbers)
    assert plan.trained == plan.parameters - sum(each.numel() for each in model.bert.embeddings.parameters())
    assert plan.memory.moments == 8 * plan.trained
    assert {name: each.requires_grad for name, each in model.named_parameters()} == trained
    assert all(torch.equal(each, before[name]) for name, each in model.state_dict().items())
    assert all(each.grad is None for each in model.parameters())
    assert torch.equal(torch.get_rng_state(), chance)
    assert model.training is training


@pytest.mark.usefixtures("clock")
def test_hours_follow_from_what_was_timed(model: Any, windows: Windows, numbers: Any) -> None:
    plan = plan_of(model, windows, numbers)
    speed = plan.speed
    assert speed is not None
    assert 1 / 64 <= speed.training == speed.scoring <= 1 / 4
    assert speed.update == pytest.approx(plan.trained / max(each.numel() for each in model.parameters()))
    known = replace(plan, speed=Speed(training=0.01, scoring=0.001, update=0.5))
    step = 0.01 * plan.pieces * (1 + plan.padding) / 9 + 0.5
    score = 0.001 * plan.pieces_a_score * (1 + plan.padding)
    assert plan.steps_an_epoch == 9
    assert known.seconds_a_step == pytest.approx(step)
    assert known.seconds_a_score == pytest.approx(score)
    assert known.seconds == pytest.approx(plan.steps * step + plan.evaluations * score)


def test_several_processes_share_a_step(model: Any, windows: Windows, numbers: Any) -> None:
    one, two = (plan_of(model, windows, numbers, processes=count) for count in (1, 2))
    assert two.memory.most_rows == 4
    assert one.free is not None
    assert two.free is not None
    assert two.free < 0.75 * one.free
    alone, shared = (replace(each, speed=Speed(1.0, 1.0, 0.0), padding=0.0) for each in (one, two))
    assert alone.seconds_a_step is not None
    assert shared.seconds_a_step == pytest.approx(alone.seconds_a_step / 2)


def test_what_wouldnt_fit_is_told_and_not_timed(
    model: Any, windows: Windows, numbers: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    need, _ = needed_memory(model, windows, numbers, SETTINGS, Tags(), CPU)
    monkeypatch.setattr(stage, "available", lambda _: need.at(32) - need.weights)
    settings = replace(SETTINGS, max_tokens_per_batch=4096)
    plan = plan_of(model, windows, numbers, settings)
    assert plan.speed is None
    assert plan.seconds is None
    print_plan(plan, Path("out"))
    assert "it wouldn't fit" in capsys.readouterr().out
    with pytest.raises(SettingsError, match=r"max_tokens_per_batch = 4096 needs .* are free: (32|64) fits"):
        check_fits(plan.memory, plan.free)


def test_where_free_memory_is_not_known(
    model: Any, windows: Windows, numbers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "available", lambda _: None)
    plan = plan_of(model, windows, numbers)
    assert plan.free is None
    assert plan.speed is not None


def test_printed(model: Any, windows: Windows, numbers: Any, capsys: pytest.CaptureFixture[str]) -> None:
    plan = replace(plan_of(model, windows, numbers), speed=Speed(0.5, 0.1, 2.0), free=22_900_000_000, processes=2)
    print_plan(plan, Path("[/out]\x1b[31m"))
    shown = capsys.readouterr().out
    joined = " ".join(shown.replace("│", " ").split())
    assert f"25 sentences: 70 windows an epoch, with copies; longest {plan.longest}" in joined
    assert "7: O, and B and I of 3 categories" in joined
    assert f"trained {plan.trained:,}" in joined
    assert "free: 22.9 GB" in joined
    assert "cpu in fp32, 2 processes" in joined
    assert "11 sentences, scored 3 times" in joined
    assert plan.seconds is not None
    assert f"about {duration(plan.seconds)}: " in joined
    end = f"without --dry-run: trains {plan.steps} steps in about {duration(plan.seconds)} and writes the encoder to "
    assert joined.endswith(rf"{end}[/out]\x1b[31m")
    print_plan(replace(plan, objective="mlm", classes=28_996, processes=1, evaluations=1), Path("out"))
    joined = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "28,996 pieces of the vocabulary" in joined
    assert "1 process " in joined
    assert "scored once" in joined


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.254, "0.25 s"), (9.96, "10 s"), (42.4, "42 s"), (59.4, "59 s"), (59.6, "1 min"), (3599, "1 h 0 min"),
        (12_000, "3 h 20 min"), (47 * 3600, "47 h 0 min"), (100 * 3600, "4 d 4 h"),
    ],
)  # fmt: skip
def test_durations(seconds: float, told: str) -> None:
    assert duration(seconds) == told


def test_the_papers_settings() -> None:
    from nerbert.config import load_settings

    paper = load_settings(PretrainSettings, Path(__file__).parents[2] / "configs" / "paper.toml")
    told = (paper.backbone, paper.batch_size, paper.learning_rate, paper.weight_decay, paper.objective)
    assert told == ("google-bert/bert-base-cased", 960, 5e-5, 0.0, "tagging")
    assert (paper.label_set, paper.label_all_tokens, paper.label_smoothing, paper.outside_weight) == (
        "",
        False,
        0.0,
        1.0,
    )
    folder = load_settings(PretrainSettings, Path(__file__).parents[2] / "configs" / "paper.toml", ["backbone=bert"])
    assert folder.backbone == "bert"
