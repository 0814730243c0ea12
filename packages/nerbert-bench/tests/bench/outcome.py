"""What a benchmark left in its folder, outcomes that are made up, and cells that are run alone."""

from pathlib import Path
from typing import Any

from nerbert.executors import HERE, Executor
from nerbert_bench.cells import Cell, CellFile, CellSentences, Machine, Predictions, cell_path, read_cell
from nerbert_bench.plan import Job, Planner
from nerbert_bench.runner import run_cell, run_suite
from nerbert_bench.suite import Suite


def made(output: Path) -> dict[str, int]:
    """Return cells by name, with what tells a file from one that replaced it."""
    return {path.name: path.stat().st_ino for path in output.glob("cells/*.json")}


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


CPU = Machine("cpu", "fp32")


def planned(suite: Suite, data: Path, machine: Machine = CPU) -> list[Job | Cell]:
    """Return the cells of a suite, none of which is run."""
    planner = Planner(suite, data, machine)
    return [planner.plan(place) for place in suite.cell_keys()]


def only_job(suite: Suite, data: Path) -> Job:
    """Return the job of a suite's single cell."""
    (job,) = planned(suite, data)
    assert isinstance(job, Job), job.why
    return job


def run_only(suite: Suite, data: Path, output: Path) -> tuple[Cell, CellFile | None]:
    """Run a suite's single cell; return its outcome and its file."""
    for name in ("cells", "sources"):
        (output / name).mkdir(parents=True, exist_ok=True)
    job = only_job(suite, data)
    cell = run_cell(output, (), job)
    return cell, read_cell(cell_path(output, job.key))
