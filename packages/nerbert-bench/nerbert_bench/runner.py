"""Run a suite: its cells by priority, several at once; finished cells are read from their files."""

import gc
import os
import re
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from multiprocessing import current_process, parent_process
from pathlib import Path
from statistics import fmean

import torch

from nerbert.artifacts import publish_job, writing
from nerbert.data.catalogue import check_root
from nerbert.data.sampling import plural
from nerbert.errors import InputError, NerbertError, SettingsError, WorkerDied, WriteError, few, may_try_again, unknown
from nerbert.executors import Executor, Resources, given_or_local
from nerbert.finetuning.start import least_steps
from nerbert.process import check_alone, cores, in_worker
from nerbert.terminal import duration, percent, tell
from nerbert_bench.cells import (
    CELLS,
    SOURCES,
    TRY_AGAIN,
    Cell,
    CellFile,
    CellKey,
    Machine,
    State,
    cell_path,
    check_folder,
    read_cell,
    write_cell,
)
from nerbert_bench.plan import Job, Planner, this_machine
from nerbert_bench.suite import Suite
from nerbert_bench.systems.finetuned import FineTuned

STOPPED = "the run was stopped"
NOT_SELECTED = "not selected (--only)"
_LONGEST_WHY = 500
_Stop = KeyboardInterrupt | SystemExit | WriteError | None


def run_suite(
    suite: Suite,
    data: Path,
    output: Path,
    executor: Executor | None = None,
    *,
    retry: bool = False,
    only: Iterable[str] = (),
) -> tuple[list[Cell], _Stop]:
    """Run a suite; return all its cells, by priority, and the exception that stopped the run early, if any.

    Missing cells run if `only` selects them, by default one process per GPU or core; `retry` reruns failures.
    """
    stop: _Stop = None
    check_alone("a benchmark")
    check_root(data)
    check_folder(output)
    executors = given_or_local(executor, len(_gpus(this_machine())) or cores())
    with executors as opened, publish_job(output, None, keep=(CELLS, SOURCES)):
        plan = SuitePlan(suite, data, output, only, retry=retry)
        for note in plan.notes:
            tell(note)
        if plan.missing:
            tell(f"cells to run: {len(plan.missing)}, {opened.workers} at once; done already: {len(plan.done)}")
        try:
            _run(plan, opened)
        # The error is returned, not raised, so that the caller can still show the table so far.
        except (KeyboardInterrupt, SystemExit, WriteError) as error:
            stop = error
            stop.add_note("rerun the command to resume")
        # Cells that finished in other processes meanwhile are on disk, but were not reported.
        if stop:
            plan.read(plan.missing, retry=False)
    return [plan.outcome(key) for key in plan.cells], stop


class SuitePlan:
    """The cells of a suite by key: those that are done, and those that `only` selects and are missing."""

    def __init__(self, suite: Suite, data: Path, output: Path, only: Iterable[str], *, retry: bool) -> None:
        self.output = output
        machine = this_machine()
        self.gpus = _gpus(machine)
        planner = Planner(suite, data, machine)
        self.cells = {key: planner.plan(key) for key in suite.cell_keys()}
        self.selected = select_cells(list(self.cells), only)
        """The cells that `only` selects."""
        self.done = dict[str, Cell]()
        self.notes = list[str]()
        self.scored_again = set[str]()
        """Outcomes by key of the scores; notes on damaged files; cells of which only the scores are missing."""
        self.read(self._jobs(self.cells).values(), retry=retry)
        self.missing = [job for key, job in self._jobs(self.selected).items() if key not in self.done]

    def _jobs(self, cell_keys: Iterable[CellKey]) -> dict[str, Job]:
        """Return jobs by the key of their scores; a command has one job for all protocols."""
        return {job.score_key: job for key in cell_keys if isinstance(job := self.cells[key], Job)}

    def read(self, jobs: Iterable[Job], *, retry: bool) -> None:
        """Read the outcomes of jobs; those to retry count as missing."""
        for job in jobs:
            try:
                file = read_cell(cell_path(self.output, job.key))
            # A damaged file costs its cell, not the whole run.
            except InputError as error:
                self.notes.append(f"{error}; so its cell is run again")
                continue
            if file is None:
                continue
            # A full disk or a killed process isn't the cell's fault, so such failures run again without --retry.
            again = file.state is State.FAILED and (retry or file.facts.get(TRY_AGAIN) is True)
            if file.scored == job.score_key and not again:
                self.done[job.score_key] = file.cell(job.place)
            # The rules of scoring changed, but the predictions are still valid.
            elif file.predictions:
                self.scored_again.add(job.score_key)

    def outcome(self, key: CellKey) -> Cell:
        """Return the outcome of a cell; cells with the same job share it."""
        job = self.cells[key]
        if isinstance(job, Cell):
            return job
        why = STOPPED if key in self.selected else NOT_SELECTED
        return replace(self.done.get(job.score_key, Cell(key, State.NOT_RUN, why)), place=key)


def _run(plan: SuitePlan, executor: Executor) -> None:
    """Run the missing cells. If a worker dies, the first cell runs alone; it fails if its worker dies again."""
    waiting = deque(plan.missing)
    needs = Resources(gpus=float(bool(plan.gpus)), isolated=True)

    def end(job: Job, cell: Cell) -> None:
        waiting.remove(job)
        plan.done[job.score_key] = cell
        count = len(plan.missing) - len(waiting)
        tell(f"{cell.place}: {_outcome_text(cell)}; {count} of {len(plan.missing)} cells")

    alone = False
    while waiting:
        # A dead worker doesn't say which cell it ran. The first one left, run alone, shows whether it is the cause.
        batch = [waiting[0]] if alone else list(waiting)
        try:
            cells = executor.map_ordered(partial(run_cell, plan.output, plan.gpus), batch, needs)
            for job, cell in zip(batch, cells, strict=True):
                end(job, cell)
            alone = False
        except WorkerDied as error:
            if alone:
                # It died alone, so the cell is the cause; without this record the run would never end.
                facts = {TRY_AGAIN: True} if may_try_again(error) else {}
                cell = Cell(batch[0].place, State.FAILED, f"{error}; the next run tries again", facts=facts)
                write_cell(cell_path(plan.output, batch[0].key), batch[0].score_key, cell)
                end(batch[0], cell)
            else:
                tell(f"{error}; the first cell in progress runs again, alone")
            alone = not alone


def run_cell(output: Path, gpus: tuple[str, ...], job: Job) -> Cell:
    """Run a cell, store it, and return it; raise WriteError for a full disk, since no other cell could be stored."""
    # An executor may run the cell in the command's own process, whose output must stay visible.
    if parent_process() is not None:
        _settle(gpus)
    path = cell_path(output, job.key)
    try:
        with writing(path):
            # The files may have changed since the plan, and the key would be wrong.
            job = job.read_digests()
            stored: CellFile | None = None
            # A damaged file is replaced.
            with suppress(InputError):
                stored = read_cell(path)
            # A run that died later may have finished this cell.
            if stored and stored.state is State.DONE and stored.scored == job.score_key:
                return stored.cell(job.place)
            try:
                cell, predictions = job.run(output / SOURCES, stored.tagged if stored else None)
            # Files that changed while the cell ran explain any other error, so this one is raised instead.
            finally:
                job.read_digests()
            write_cell(path, job.score_key, cell, predictions)
    # Without disk space the failure itself couldn't be stored either.
    except WriteError:
        raise
    except Exception as error:
        cell = failure(error, job.place, job.data.folder)
        write_cell(path, job.score_key, cell)
    finally:
        # Models are in reference cycles, and this process loads more.
        gc.collect()
        if gpus:
            _free_gpu()
    return cell


def failure(error: Exception, key: CellKey, folder: Path) -> Cell:
    """Return a failed cell, with its reason in one line without folders, so that equal reasons can be grouped. It is to
    be retried if the machine may be the cause: no memory, no file handles, a bad disk, files that changed meanwhile.
    """
    line = " ".join(str(error).split())
    why = line if isinstance(error, NerbertError) else f"{type(error).__name__}: {line}"
    # Folders differ by target; without them, "no dev split" is one reason for all targets.
    why = why.replace(f"{folder}/", "").replace(f"{folder}: ", "")[:_LONGEST_WHY]
    return Cell(key, State.FAILED, why, facts={TRY_AGAIN: True} if may_try_again(error) else {})


def _free_gpu() -> None:
    """Free cached memory; end a worker process whose GPU refuses all further work."""
    try:
        # Errors of kernels are reported late: this call raises them here, where they are expected.
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
    except RuntimeError:
        # A CUDA context stays broken after such an error; a new process gets a new one.
        if in_worker():
            os._exit(1)


def _settle(gpus: tuple[str, ...]) -> None:
    """Silence a worker process, so that bars and warnings don't mix on one terminal; give it one of several GPUs."""
    # Before CUDA starts in this process: afterwards the variable has no effect.
    if len(gpus) > 1:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu_of(current_process().name, gpus)
    # File descriptors, not `sys.stdout`: libraries in C write to them directly.
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)


def gpu_of(process: str, gpus: tuple[str, ...]) -> str:
    """Return the GPU of a process; Python numbers processes in their names, so they use the GPUs in turn."""
    return gpus[int(re.sub(r"\D", "", process) or 0) % len(gpus)]


def _gpus(machine: Machine) -> tuple[str, ...]:
    """Return the names of the GPUs, to give each process one."""
    if machine.device != "cuda":
        return ()
    # A scheduler such as Slurm assigns GPUs by this variable; the others belong to other jobs.
    named = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return tuple(named or map(str, range(torch.cuda.device_count())))


def select_cells(cell_keys: Sequence[CellKey], only: Iterable[str]) -> list[CellKey]:
    """Return the cells with a wanted value in each part that `--only PART=VALUE,VALUE` names; all by default.

    A value of the suite may hold commas. Raise SettingsError for an unknown part or value, or if no cell is left.
    """
    values_of = defaultdict[str, set[str]](set)
    for option in only:
        name, mark, values = option.partition("=")
        if not mark or name not in CellKey._fields:
            raise SettingsError(f"--only {option}{unknown(name, [f'{part}=…' for part in CellKey._fields])}")
        allowed = {str(getattr(key, name)) for key in cell_keys}
        # A whole value is tried first: "NER-BERT, large" may be the name of one system.
        asked_values = {values} if values in allowed else {value.strip() for value in values.split(",")}
        for value in sorted(asked_values - allowed):
            raise SettingsError(f"--only {option}: the suite has no {name} {value!r}{unknown(value, sorted(allowed))}")
        values_of[name] |= asked_values
    chosen = [key for key in cell_keys if all(str(getattr(key, name)) in values for name, values in values_of.items())]
    if not chosen:
        raise SettingsError(f"--only {few(only)}: selects no cell of the suite")
    return chosen


def list_suite(
    suite: Suite, data: Path, output: Path, *, retry: bool = False, only: Iterable[str] = ()
) -> Iterator[str]:
    """Yield a line for each selected cell, by priority, with its state, one for each reason why cells can't run, and
    an estimate of the time for the others from the finished cells. Nothing is run or written.
    """
    check_root(data)
    plan = SuitePlan(suite, data, output, only, retry=retry)
    yield from plan.notes
    cells = [plan.cells[key] for key in plan.selected]
    for job in cells:
        if isinstance(job, Job):
            state = "would be scored again" if job.score_key in plan.scored_again else "would run"
            if done := plan.done.get(job.score_key):
                state = f"cached: {_outcome_text(done)}"
            yield f"{job.place}: {state}"
    for reason in _reasons(cell for cell in cells if isinstance(cell, Cell)):
        yield f"can't run: {reason}"
    if plan.missing:
        seconds, unlike = cpu_seconds((job.place for job in plan.missing), plan.done.values())
        about = f"about {duration(seconds)} of CPU time by the cells that are done" if seconds else ""
        without = f"no cell like {unlike} of them is done" if unlike else ""
        of = ", and ".join(filter(None, (about, without)))
        yield f"to run: {len(plan.missing)} cells; {'; '.join(filter(None, (_trainings(plan), of)))}"


def _trainings(plan: SuitePlan) -> str:
    """Return the number of trainings to run, their steps, and trainings on source data; "" if nothing is trained."""
    systems = (job.system for job in plan.missing if job.score_key not in plan.scored_again)
    tuned = [system for system in systems if isinstance(system, FineTuned)]
    sources = {source for system in tuned if (source := system.facts["source"])}
    first = sum(not (plan.output / SOURCES / source).is_dir() for source in sources)
    before = f", after {first:,} on source data" if first else ""
    steps = sum(least_steps(system.settings) for system in tuned)
    return f"{plural(len(tuned), 'training')}, at least {steps:,} steps in all{before}" if tuned else ""


def cpu_seconds(cell_keys: Iterable[CellKey], done: Iterable[Cell]) -> tuple[float, int]:
    """Return the CPU-seconds that cells will take, by finished ones of their system and size; how many have none."""
    costs = defaultdict[tuple[str, str], list[float]](list)
    for cell in done:
        if (seconds := cell.facts.get("cpu_seconds")) is not None:
            costs[cell.place.system, cell.place.size].append(seconds)
    by_cell = [costs.get((key.system, key.size)) for key in cell_keys]
    return sum(fmean(seconds) for seconds in by_cell if seconds), sum(not seconds for seconds in by_cell)


def _outcome_text(cell: Cell) -> str:
    return f"F1 {percent(cell.scores['micro']['f1'])}" if cell.state is State.DONE else f"{cell.state}: {cell.why}"


def advice_on(cells: Sequence[Cell], command: str) -> Iterator[str]:
    """Yield advice on failed cells and on those not run; `command` runs the suite again."""
    failed = [cell for cell in cells if cell.state is State.FAILED]
    yield from (f"failed: {reason}" for reason in _reasons(failed))
    tried = {cell.facts.get(TRY_AGAIN) is True for cell in failed}
    if True in tried:
        yield f"every run retries cells that failed because of the machine: {command}"
    if False in tried:
        yield "other failed cells are retried when their data or settings change, or with --retry"
    if count := sum(cell.why == STOPPED for cell in cells):
        yield f"{count} cells are left; {command}"


def _reasons(cells: Iterable[Cell]) -> Iterator[str]:
    """Yield each reason once, after the name of its first cell and the number of the others."""
    by_reason: dict[str, list[Cell]] = {}
    for cell in cells:
        by_reason.setdefault(cell.why, []).append(cell)
    for why, (first, *others) in by_reason.items():
        yield f"{first.place}{f' and {len(others)} more' if others else ''}: {why}"
