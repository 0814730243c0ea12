"""The plan of a pre-training on the terminal."""

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from nerbert.encoder.plan import Plan
from nerbert.executors import is_first_process
from nerbert.terminal import percent, plain
from nerbert.training.memory import as_bytes


def print_plan(plan: Plan, output: Path) -> None:
    """Print sizes, memory and time of a pre-training, then what the command would do without --dry-run."""
    if not is_first_process():
        return
    console = Console()
    table = Table(show_header=False)
    for name, told in _rows(plan):
        table.add_row(name, plain(told))
    console.print(table)
    console.print(plain(_would(plan, output)), highlight=False)


def _rows(plan: Plan) -> Iterator[tuple[str, str]]:
    yield (
        "data",
        f"{plan.sentences:,} sentences: {plan.windows:,} windows an epoch, with copies; longest {plan.longest}",
    )
    yield "pieces", f"{plan.pieces:,} an epoch, {percent(plan.padding)} % padding beside; {plan.pieces_in_all:,} in all"
    yield "classes", _classes(plan)
    yield "validation", f"{plan.held_out:,} sentences, scored {_times(plan.evaluations)}"
    yield "steps", f"{plan.steps:,}, {plan.steps_an_epoch:,} an epoch: {plan.epochs:.4g} epochs"
    yield "parameters", f"{plan.parameters:,}, trained {plan.trained:,}"
    yield "computes on", f"{plan.device} in {plan.precision}, {plan.processes} process{'es' * (plan.processes > 1)}"
    yield "memory", _memory(plan)
    yield "disk", f"{as_bytes(plan.disk)} at most while it trains, {as_bytes(plan.memory.weights)} of it stay"
    yield "time", _time(plan)


def _classes(plan: Plan) -> str:
    if plan.objective == "mlm":
        return f"{plan.classes:,} pieces of the vocabulary"
    return f"{plan.classes:,}: O, and B and I of {plan.classes // 2:,} categories"


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


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _would(plan: Plan, output: Path) -> str:
    time = f" in about {duration(plan.seconds)}" if plan.seconds is not None else ""
    return f"without --dry-run: trains {plan.steps:,} steps{time} and writes the encoder to {output}"


def duration(seconds: float) -> str:
    """Seconds as people say them: `0.25 s`, `42 s`, `12 min`, `3 h 20 min`, `2 d 4 h`."""
    if seconds < 59.5:
        return f"{seconds:.2g} s"
    minutes = round(seconds / 60)
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if hours else f"{minutes} min"
    return f"{hours // 24} d {hours % 24} h"
