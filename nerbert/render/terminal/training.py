"""Trainings on the terminal: the plan of a pre-training, and what a training did."""

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from nerbert.encoder.plan import Plan
from nerbert.executors import is_first_process
from nerbert.render.terminal.table import table
from nerbert.terminal import percent, plain
from nerbert.training.log import TrainLog
from nerbert.training.memory import as_bytes


def print_plan(plan: Plan, output: Path) -> None:
    """Print sizes, memory and time of a pre-training, then what the command would do without --dry-run."""
    if not is_first_process():
        return
    console = Console()
    console.print(table(["of", "plan"], _plan_rows(plan)))
    time = f" in about {duration(plan.seconds)}" if plan.seconds is not None else ""
    told = f"without --dry-run: trains {plan.steps:,} steps{time} and writes the encoder to {output}"
    console.print(plain(told), highlight=False)


def print_log(log: TrainLog, output: Path) -> None:
    """Print the loss and the figures of each evaluation, then the speed and the folder."""
    if not is_first_process():
        return
    console = Console()
    names = sorted({name for entry in log.entries for name in entry} - {"step", "epoch", "loss"})
    rows = [
        [f"{entry['step']:.0f}", f"{entry['epoch']:.2f}", f"{entry['loss']:.4f}",
         *(_figure(name, entry[name]) if name in entry else None for name in names)]
        for entry in log.entries
    ]  # fmt: skip
    console.print(table(["step", "epoch", "loss", *names], rows, numbers=range(3 + len(names))))
    speed = log.tokens / max(log.seconds, 1e-9)
    console.print(f"{log.tokens:,} pieces in {log.seconds:,.0f} s ({speed:,.0f} a second)", highlight=False)
    console.print(plain(f"encoder: {output}"))


def duration(seconds: float) -> str:
    """Return seconds as people say them: `0.25 s`, `42 s`, `12 min`, `3 h 20 min`, `2 d 4 h`."""
    if seconds < 59.5:
        return f"{seconds:.2g} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if hours else f"{minutes} min"
    return f"{hours // 24} d {hours % 24} h"


def _figure(name: str, value: float) -> str:
    """Return a share in percent, a loss as it is."""
    return f"{value:.4f}" if name.endswith("loss") else percent(value)


def _plan_rows(plan: Plan) -> Iterator[tuple[str, str]]:
    times = "once" if plan.evaluations == 1 else f"{plan.evaluations:,} times"
    classes = (f"{plan.classes:,} pieces of the vocabulary" if plan.objective == "mlm"
               else f"{plan.classes:,}: O, and B and I of {plan.classes // 2:,} categories")  # fmt: skip
    yield "data", (f"{plan.sentences:,} sentences: {plan.windows:,} windows an epoch, with copies; "
                   f"longest {plan.longest}")  # fmt: skip
    yield "pieces", f"{plan.pieces:,} an epoch, {percent(plan.padding)} % padding beside; {plan.pieces_in_all:,} in all"
    yield "classes", classes
    yield "validation", f"{plan.held_out:,} sentences, scored {times}"
    yield "steps", f"{plan.steps:,}, {plan.steps_an_epoch:,} an epoch: {plan.epochs:.4g} epochs"
    yield "parameters", f"{plan.parameters:,}, trained {plan.trained:,}"
    yield "device", f"{plan.device} in {plan.precision}, {plan.processes} process{'es' * (plan.processes > 1)}"
    yield "memory", _memory(plan)
    yield "disk", f"{as_bytes(plan.disk)} at most while it trains, {as_bytes(plan.memory.weights)} of it stay"
    yield "time", _time(plan)


def _memory(plan: Plan) -> str:
    need = plan.memory
    parts = {
        "weights": need.weights, "gradients": need.gradients, "moments": need.moments,
        "a micro-batch": need.micro_batch, "the allocator": need.held,
    }  # fmt: skip
    each = " a process" if plan.processes > 1 else ""
    there = "unknown" if plan.free is None else as_bytes(plan.free)
    told = ", ".join(f"{name} {as_bytes(count)}" for name, count in parts.items())
    return f"about {as_bytes(need.total)}{each} ({told}), {as_bytes(need.most)} at most; free: {there}"


def _time(plan: Plan) -> str:
    step, score, whole = plan.seconds_a_step, plan.seconds_a_score, plan.seconds
    if step is None or score is None or whole is None:
        return "not measured: it wouldn't fit into memory"
    return f"about {duration(whole)}: {duration(step)} a step, {duration(score)} a validation (measured just now)"
