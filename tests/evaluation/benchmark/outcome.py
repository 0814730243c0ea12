"""What a benchmark left in its folder, and outcomes that are made up."""

from pathlib import Path
from typing import Any

from nerbert.evaluation.benchmark.cells import Cell, CellSentences, Predictions
from nerbert.evaluation.benchmark.runner import run_suite
from nerbert.evaluation.benchmark.suite import Suite
from nerbert.executors import HERE, Executor


def made(output: Path) -> dict[str, int]:
    """Cells and predictions by name, with what tells a file from one that replaced it."""
    return {f"{path.parent.name}/{path.name}": path.stat().st_ino for path in output.glob("[cp]*/*.json")}


def is_gone(pid: int) -> bool:
    """Return whether a process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def all_outside(_: object, part: CellSentences, *__: Any) -> Predictions:
    """Tag without a training: no word is in an entity."""
    return Predictions([[] for _ in part.test], {"seconds": {"train": {"wall": 1.0, "cpu": 1.0}}})


def cells_of(suite: Suite, data: Path, output: Path, executor: Executor = HERE, **options: Any) -> list[Cell]:
    """Run a suite to its end, which nothing may stop; return its cells."""
    cells, stop = run_suite(suite, data, output, executor, **options)
    if stop:
        raise stop
    return cells
