import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import distributed

from nerbert.errors import InputError, SettingsError
from nerbert.model.forward import Batch, best_precision
from nerbert.model.windows import IGNORED, Windows
from nerbert.rng import Array
from nerbert.training.batches import TrainingData, collate
from nerbert.training.checkpoint import BestCheckpoint, Checkpoints, StepLog
from nerbert.training.distributed import make_process_group
from nerbert.training.objective import CheckpointScore, Objective, StepHooks
from nerbert.training.run import Run, make_optimizer, rate_at, total_steps
from nerbert.training.settings import TrainSettings
from nerbert.training.step import train_step
from tests.raised import raises
from tests.training.conftest import Trained
from tests.training.runs import data_of, lines, same, tiny_model, weights
from tests.windows import rows_of

Train = Callable[..., Trained]
FP32 = TrainSettings(precision="fp32", threads=1, batch_size=8, epochs=1, max_grad_norm=1e5)


def gradients(trained: Train, settings: TrainSettings) -> list[torch.Tensor]:
    """The gradients of the one step that training makes."""
    model, seen = tiny_model(), list[torch.Tensor]()

    def look(_: torch.optim.AdamW) -> None:
        seen.extend(p.grad.clone() for p in model.parameters() if p.grad is not None)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", before_step(look))
        trained(settings, model)
    return seen


def before_step(look: Callable[[torch.optim.AdamW], None]) -> Callable[..., Any]:
    """AdamW's step, which lets an optimizer be looked at first."""
    step = torch.optim.AdamW.step

    def spy(self: torch.optim.AdamW, *given: Any, **named: Any) -> Any:
        look(self)
        return step(self, *given, **named)

    return spy


def test_gradients_are_those_of_the_mean_over_labelled_words_however_a_step_is_cut(
    trained: Train, windows: Windows
) -> None:
    model, losses = tiny_model(), []
    for window in rows_of(windows):
        logits = model(input_ids=torch.tensor([window.ids])).logits[0, list(window.positions)]
        labels = torch.tensor(window.labels)
        losses.append(
            torch.nn.functional.cross_entropy(logits[labels != IGNORED], labels[labels != IGNORED], reduction="none")
        )
    torch.cat(losses).mean().backward()  # type: ignore[no-untyped-call]
    for most in (8192, 1, 25, 60):
        found = gradients(trained, replace(FP32, max_tokens_per_batch=most))
        for mine, other in zip(found, model.parameters(), strict=True):
            torch.testing.assert_close(mine, other.grad, rtol=1e-4, atol=1e-7)


def test_gradients_of_embeddings_are_rows_until_the_step_has_all(windows: Windows) -> None:
    model, layouts, settings = tiny_model(), list[Any](), replace(FP32, max_tokens_per_batch=25)
    table = model.get_input_embeddings()
    table.weight.register_post_accumulate_grad_hook(lambda weight: layouts.append(weight.grad.layout))
    train_step(Run(model, data_of(windows), TwoParts(), settings, make_process_group(settings)), np.arange(8), 1e-3, 1)  # type: ignore[abstract]
    assert set(layouts) == {torch.sparse_coo}
    assert len(layouts) > 1
    assert not table.sparse


class TwoParts(Objective, StepHooks):
    """Word losses of class 0, and of the others, each divided by its own number; it notes what the step shares."""

    parts = ("outside", "inside")

    def __init__(self) -> None:
        self.begun: list[tuple[list[int], int]] = []
        self.shared: list[int] = []

    def begin_step(self, windows: Windows, numbers: Any, step: int) -> int:
        self.begun.append((sorted(numbers.tolist()), step))
        return len(windows)

    def prepare(self, batch: Batch, step: int, shared: Any = None) -> Batch:
        self.shared.append(shared)
        return batch

    def terms(self, batch: Batch) -> dict[str, float]:
        return {"outside": float((batch.labels == 0).sum()), "inside": float((batch.labels > 0).sum())}

    def loss(self, model: Any, batch: Batch) -> dict[str, torch.Tensor]:
        logits = model(input_ids=batch.ids, attention_mask=batch.mask).logits[batch.rows, batch.columns]
        losses = torch.nn.functional.cross_entropy(logits, batch.labels, ignore_index=IGNORED, reduction="none")
        return {"outside": losses[batch.labels == 0].sum(), "inside": losses[batch.labels > 0].sum()}


def test_each_part_of_a_loss_has_its_own_divisor_over_the_step(windows: Windows) -> None:
    found = []
    for most in (1, 25, 10_000):
        model, objective = tiny_model(), TwoParts()  # type: ignore[abstract]
        settings = replace(FP32, max_tokens_per_batch=most)
        run = Run(model, data_of(windows), objective, settings, make_process_group(settings))
        figures = train_step(run, np.arange(8), 1e-3, 1)
        assert objective.begun == [(list(range(8)), 1)]
        assert set(objective.shared) == {8}
        assert figures["loss"] == pytest.approx(figures["outside"] + figures["inside"])
        found.append((figures, weights(model)))
    model, whole = tiny_model(), collate(windows, np.arange(8), 0)
    sums, terms = TwoParts().loss(model, whole), TwoParts().terms(whole)  # type: ignore[abstract]
    for figures, after in found:
        for part in ("outside", "inside"):
            assert figures[part] == pytest.approx(float(sums[part].detach()) / terms[part], rel=1e-5)
        for one, other in zip(after, found[0][1], strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_ignored_words_give_nothing(trained: Train, windows: Windows) -> None:
    ignored = data_of(replace(windows, labels=np.full_like(windows.labels, IGNORED)))
    found = trained(replace(FP32, weight_decay=0.0), data=ignored)
    assert found.log.entries[0]["loss"] == 0
    assert same(weights(tiny_model()), found.weights)


def test_two_runs_are_equal_bit_by_bit(trained: Train) -> None:
    def run(seed: int, state: int) -> Trained:
        model = tiny_model(dropout=0.3)
        torch.manual_seed(state)
        return trained(TrainSettings(precision="fp32", threads=1, batch_size=2, epochs=2, seed=seed), model)

    one, again, other = run(5, 1), run(5, 2), run(6, 2)
    assert one.log.entries == again.log.entries
    assert same(one.weights, again.weights)
    assert not torch.equal(one.weights[0], other.weights[0])


@pytest.mark.parametrize("broken", ["loss", "gradient"])
def test_what_is_no_number_stops_before_the_update(
    trained: Train, objective: Objective, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loss(model: Any, batch: Batch) -> dict[str, torch.Tensor]:
        found = real(model, batch)["loss"]
        if broken == "loss":
            return {"loss": found * math.nan}
        return {"loss": found + torch.sqrt((model.classifier.weight.flatten()[0] * 0).abs())}

    model, real = tiny_model(), objective.loss
    monkeypatch.setattr(objective, "loss", loss)
    with raises(SettingsError, f"step 1: the {broken}"):
        trained(FP32, model)
    assert same(weights(tiny_model()), weights(model))


def losses(found: Trained) -> list[float]:
    return [entry["loss"] for entry in found.log.entries]


@pytest.mark.parametrize(
    ("schedule", "warmup", "rates"),
    [
        ("linear", 0.4, [1 / 3, 2 / 3, 1, 2 / 3, 1 / 3, 0]),
        ("linear", 0.0, [1, 0.8, 0.6, 0.4, 0.2, 0]),
        ("linear", 1.0, [1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 0]),
        ("constant", 0.4, [1 / 3, 2 / 3, 1, 1, 1, 1]),
        ("constant", 0.0, [1] * 6),
    ],
)
def test_rates_rise_in_a_line_then_follow_the_schedule(schedule: Any, warmup: float, rates: list[float]) -> None:
    assert [rate_at(step, 5, warmup, schedule) for step in range(6)] == pytest.approx(rates)
    assert schedule != "linear" or [rate_at(step, 5, warmup) for step in range(6)] == pytest.approx(rates)


@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.25, 1.0])
def test_the_cosine_is_that_of_transformers_after_the_warmup(warmup: float) -> None:
    from transformers import get_cosine_schedule_with_warmup

    total, optimizer = 40, torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 1.0)
    schedule = get_cosine_schedule_with_warmup(optimizer, int(total * warmup), total)
    wanted = []
    for _ in range(total):
        wanted.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    first = int(total * warmup)
    rates = [rate_at(step, total, warmup, "cosine") for step in range(total)]
    assert rates[first:] == pytest.approx(wanted[first:], abs=1e-12)
    assert rates[:first] == [rate_at(step, total, warmup) for step in range(first)]
    assert rate_at(total, total, warmup, "cosine") == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("schedule", "shares"),
    [("linear", [1 / 2, 1, 2 / 3, 1 / 3]), ("cosine", [1 / 2, 1, 3 / 4, 1 / 4]), ("constant", [1 / 2, 1, 1, 1])],
)
def test_steps_have_the_rates_of_the_schedule(
    trained: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, schedule: Any, shares: list[float]
) -> None:
    """New layers have a rate of their own on the same schedule."""
    seen = list[list[float]]()
    look = before_step(lambda optimizer: seen.append([group["lr"] for group in optimizer.param_groups]))
    monkeypatch.setattr(torch.optim.AdamW, "step", look)
    settings = replace(
        FP32, epochs=4, learning_rate=0.5, new_layers_learning_rate=2.5, warmup_ratio=0.25, schedule=schedule
    )
    assert trained(settings, steps=StepLog(tmp_path / "log.jsonl")).log.steps == 4
    rates = [line["rate"] for line in lines(tmp_path) if line["kind"] == "train"]
    assert rates == pytest.approx([0.5 * each for each in shares])
    assert seen == [pytest.approx([0.5 * each, 0.5 * each, 2.5 * each, 2.5 * each]) for each in shares]


class ByHand:
    """Scores that are set by hand, and what was kept: the step, and the weights of the head."""

    def __init__(self, *scores: float) -> None:
        self.scores, self.kept = iter(scores), list[tuple[int, torch.Tensor]]()

    def checkpoint(self, patience: int) -> BestCheckpoint:
        return BestCheckpoint(self.score, self.keep, patience)

    def score(self, model: Any) -> CheckpointScore:
        assert not model.training
        return CheckpointScore(value := next(self.scores), True, {"f1": value})

    def keep(self, model: Any, step: int, _: int) -> None:
        self.kept.append((step, model.classifier.weight.detach().clone()))


@pytest.mark.parametrize(
    ("patience", "scores", "end", "best"),
    [
        (2, [0.1, 0.3, 0.3, 0.2], 4, 2),  # a tie is no better one
        (2, [0.1, 0.0, 0.2, 0.1, 0.3, 0.2, 0.1], 7, 5),  # in a row
        (1, [0.5, 0.4], 2, 1),
        (3, [0.0, 0.0, 0.0, 0.0], 4, 1),
        (9, [0.1 - step / 100 for step in range(8)], 8, 1),
        (0, [0.1 - step / 100 for step in range(8)], 8, 1),
    ],
)
def test_training_ends_when_patience_does(
    trained: Train, patience: int, scores: list[float], end: int, best: int
) -> None:
    by_hand, through, settings = ByHand(*scores), ByHand(*scores, *[0.0] * 8), replace(FP32, epochs=8)
    log = trained(settings, evaluate=by_hand.checkpoint(patience)).log
    assert (log.steps, log.best_step, by_hand.kept[-1][0]) == (end, best, best)
    assert [entry["f1"] for entry in log.entries] == scores, "and none was left over"
    assert log.entries[-1]["step"] == end
    trained(settings, evaluate=through.checkpoint(0))
    assert through.kept[-1][1].equal(by_hand.kept[-1][1]), "the end changes no step before it"


def test_a_resumed_training_has_the_patience_that_was_left(trained: Train, tmp_path: Path) -> None:
    def run(folder: str, *scores: float) -> Trained:
        kept, evaluate = Checkpoints(tmp_path / folder, 2, steps=1), ByHand(*scores).checkpoint(3)
        return trained(replace(FP32, epochs=8), checkpoints=kept, evaluate=evaluate)

    unbroken = run("one", 0.1, 0.3, 0.2, 0.1, 0.0)
    assert unbroken.log.steps == 5
    with pytest.raises(StopIteration):  # it dies at its fourth evaluation, when one more was to come
        run("two", 0.1, 0.3, 0.2)
    resumed = run("two", 0.1, 0.0)
    assert (resumed.log.steps, resumed.log.best_step) == (5, 2)
    assert same(unbroken.weights, resumed.weights)
    assert run("two").log.steps == 5, "what has ended isn't gone on with"


def test_decay_is_for_matrices_and_new_layers_are_those_outside_the_encoder(objective: Objective) -> None:
    model, settings = tiny_model(), replace(FP32, weight_decay=0.25, new_layers_learning_rate=0.5)
    names = {id(parameter): name for name, parameter in model.named_parameters()}

    def groups(settings: TrainSettings, *objective: Objective) -> list[list[str]]:
        made = make_optimizer(model, settings, "cpu", *objective).param_groups
        assert [group["weight_decay"] for group in made] == [0.25, 0] * (len(made) // 2)
        return [[names[id(each)] for each in group["params"]] for group in made]

    matrices, vectors = groups(settings)
    assert all("bias" in name or "LayerNorm" in name for name in vectors)
    assert not any("bias" in name or "LayerNorm" in name for name in matrices)
    assert sorted(matrices + vectors) == sorted(names.values())
    assert groups(replace(settings, new_layers_learning_rate=0.0), objective) == [matrices, vectors]
    body = [[name for name in some if not name.startswith("classifier")] for some in (matrices, vectors)]
    assert groups(settings, objective) == [*body, ["classifier.weight"], ["classifier.bias"]]
    model.classifier.requires_grad_(False)
    assert groups(settings, objective) == [*body, [], []]


@pytest.mark.parametrize(
    ("given", "scored"),
    [
        ({}, [3, 6, 8]),
        ({"min_steps": 5}, [3, 6, 8]),
        ({"min_steps": 20}, [8, 16, 20]),
        ({"max_steps": 3}, [3]),
        ({"min_steps": 12, "max_steps": 12}, [4, 8, 12]),
        ({"min_steps": 2, "max_steps": 2}, [2]),
        ({"min_steps": 2, "max_steps": 9}, [3, 6, 8]),
        ({"min_steps": 20, "max_steps": 3}, [3]),
        ({"min_steps": 42, "batch_size": 16, "epochs": 4}, [10, 20, 30, 40, 42]),
    ],
)
def test_steps_have_bounds_and_the_log_an_entry_an_epoch(
    trained: Train, windows: Windows, given: dict[str, Any], scored: list[int]
) -> None:
    settings = replace(FP32, **{"batch_size": 3, "epochs": 2.5} | given)
    log = trained(settings, evaluate=ByHand(*[0.5] * len(scored)).checkpoint(0)).log
    assert [(entry["step"], entry["f1"]) for entry in log.entries] == [(step, 0.5) for step in scored]
    assert log.steps == total_steps(len(windows), settings) == scored[-1]
    assert log.seconds > 0


@pytest.mark.parametrize("epoch", [0, 1])
def test_an_epoch_without_windows_is_an_error(trained: Train, windows: Windows, epoch: int) -> None:
    data = TrainingData(windows, lambda number: np.arange(0 if number == epoch else len(windows)), 0)
    with raises(InputError, "nothing to train on"):
        trained(replace(FP32, epochs=2), data=data)


@pytest.mark.parametrize(("gpus", "joined"), [(0, ["gloo", "cpu"]), (8, ["cuda:6", "nccl", "cuda:6"])])
def test_processes_of_torchrun_have_a_gpu_each(gpus: int, joined: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "8")
    monkeypatch.setenv("LOCAL_RANK", "6")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(distributed, "is_nccl_available", lambda: True)
    calls = list[str]()
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: calls.append(str(device)))
    with raises(SettingsError, "this process can't train with others: "):  # nobody says where they are
        make_process_group(FP32)
    calls.clear()
    monkeypatch.setattr(distributed, "init_process_group", lambda backend, timeout: calls.append(backend))
    monkeypatch.setattr(distributed, "get_rank", lambda: 6)
    monkeypatch.setattr(distributed, "get_world_size", lambda: 8)
    group = make_process_group(FP32)
    assert ([*calls, str(group.device)], group.rank, group.count) == (joined, 6, 8)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    with raises(SettingsError, "4 GPUs: start at most one process for each"):
        make_process_group(FP32)


@pytest.mark.parametrize(("emulated", "hardware", "wanted"), [(True, False, "fp32"), (True, True, "bf16")])
def test_a_gpu_that_emulates_bf16_computes_in_fp32(
    emulated: bool, hardware: bool, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Emulation is many times slower; torch counts it as support unless it is asked not to."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation=True: hardware or (emulated and including_emulation)
    )
    assert best_precision("cuda") == wanted
    assert best_precision("mps") == "fp32"


def test_each_epoch_has_its_own_windows(trained: Train, windows: Windows) -> None:
    asked: list[int] = []

    def numbers_of(epoch: int) -> Array:
        asked.append(epoch)
        return np.arange(4 - epoch)

    log = trained(replace(FP32, epochs=2, batch_size=2), data=TrainingData(windows, numbers_of, 0)).log
    assert log.steps == 4
    assert log.tokens == sum(int(windows.lengths[: 4 - epoch].sum()) for epoch in (0, 1))
    assert sorted(set(asked)) == [0, 1]


def test_steps_go_on_from_anywhere(windows: Windows) -> None:
    def numbers_of(epoch: int) -> Array:
        return np.arange(len(windows) - epoch % 3)

    data, settings = TrainingData(windows, numbers_of, 0), replace(FP32, batch_size=3)
    whole = [(epoch, step.tolist()) for epoch, step in data.steps(settings, 0, 20)]
    assert [epoch for epoch, _ in whole] == [0] * 3 + [1] * 3 + [2] * 2 + [3] * 3 + [4] * 3 + [5] * 2 + [6] * 3 + [7]
    for after in range(21):
        assert [(epoch, step.tolist()) for epoch, step in data.steps(settings, after, 20)] == whole[after:]


def test_figures_of_an_objective_replace_none_of_the_logs(
    trained: Train, windows: Windows, objective: Objective
) -> None:
    class Two(type(objective)):  # type: ignore[misc]
        parts = ("loss", "norm")

        def terms(self, batch: Batch) -> dict[str, float]:
            return dict.fromkeys(self.parts, len(batch.numbers) / len(windows))

        def loss(self, model: Any, batch: Batch) -> dict[str, torch.Tensor]:
            return dict.fromkeys(self.parts, objective.loss(model, batch)["loss"])

    figures = {"f1": 0.5, "loss": -1.0, "step": -1.0}
    evaluate = BestCheckpoint(lambda _: CheckpointScore(0.5, True, figures), lambda *_: None)
    (entry,) = trained(FP32, objective=Two(), evaluate=evaluate).log.entries
    many = objective.terms(collate(windows, np.arange(len(windows)), 0))["loss"]
    (mean,) = losses(trained(FP32))
    assert (entry["step"], entry["f1"]) == (1, 0.5)
    assert entry["loss"] == pytest.approx(2 * many * mean, rel=1e-5)
