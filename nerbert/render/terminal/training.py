"""Trainings on the terminal: the figures of a dry run, and the log of a training."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from rich.console import Console

from nerbert.encoder.dry_run import DryRun
from nerbert.executors import is_first_process
from nerbert.model.backbone import read_card
from nerbert.render.terminal.table import table
from nerbert.terminal import duration, percent, plain
from nerbert.training.log import TrainLog


def print_dry_run(run: DryRun, output: Path) -> None:
    """Print sizes, memory and time of a pre-training, then what the command would do without --dry-run."""
    if not is_first_process():
        return
    console = Console()
    console.print(table(["pre-training", "measured in a few steps"], _rows(run)))
    line = f"without --dry-run: trains {run.steps:,} steps and writes the encoder to {output}"
    console.print(plain(line), highlight=False)


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
    console.print(f"{log.tokens:,} tokens in {log.seconds:,.0f} s ({speed:,.0f} a second)", highlight=False)
    console.print(plain(f"encoder: {output}"))


def print_taggers(folders: Iterable[Path]) -> None:
    """Print where each tagger is and its F1 on the dev split."""
    for folder in folders:
        dev = read_card(str(folder)).get("dev")
        told = f"F1 {percent(dev['f1'])} on {dev['sentences']} dev sentences" if dev else "no dev.conll to score it on"
        Console(soft_wrap=True).print(plain(f"tagger: {folder}; {told}"), highlight=False)


def _figure(name: str, value: float) -> str:
    """Return a share in percent, a loss as it is."""
    return f"{value:.4f}" if name.endswith("loss") else percent(value)


def _rows(run: DryRun) -> Iterator[tuple[str, str]]:
    yield "steps", f"{run.steps:,}, of {run.tokens:,} tokens in all"
    yield "validation", f"scored {run.evaluations:,} times, in {duration(run.scoring)} each"
    yield "parameters", f"{run.parameters:,}, trained {run.trained:,}"
    yield "device", f"{run.device} in {run.precision}, {run.processes} process{'es' * (run.processes > 1)}"
    yield "peak memory", f"{run.peak_memory / 1e9:,.1f} GB {'on the GPU' if run.device == 'cuda' else 'of the process'}"
    if run.max_tokens_per_batch:
        yield "", f"memory ran out: with max_tokens_per_batch={run.max_tokens_per_batch} it does not"
    yield "speed", f"{run.speed:,.0f} tokens a second"
    yield "time", f"about {duration(run.seconds)}"
