"""A training on the terminal."""

from pathlib import Path

from rich.console import Console
from rich.table import Column, Table

from nerbert.executors import is_first_process
from nerbert.terminal import percent, plain
from nerbert.training.log import TrainLog


def print_log(log: TrainLog, output: Path) -> None:
    """Print the loss and the figures of each evaluation, then the speed and the folder."""
    if not is_first_process():
        return
    console = Console()
    names = sorted({name for entry in log.entries for name in entry} - {"step", "epoch", "loss"})
    table = Table("step", "epoch", "loss", *(Column(plain(name)) for name in names))
    for entry in log.entries:
        figures = [_shown(name, entry[name]) if name in entry else "–" for name in names]
        table.add_row(f"{entry['step']:.0f}", f"{entry['epoch']:.2f}", f"{entry['loss']:.4f}", *figures)
    console.print(table)
    speed = log.tokens / max(log.seconds, 1e-9)
    console.print(f"{log.tokens:,} pieces in {log.seconds:,.0f} s ({speed:,.0f} a second)", highlight=False)
    console.print(plain(f"encoder: {output}"))


def _shown(name: str, value: float) -> str:
    """Shares in percent, losses as they are."""
    return f"{value:.4f}" if name.endswith("loss") else percent(value)
