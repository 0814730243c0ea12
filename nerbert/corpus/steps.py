"""Corpus steps: their protocol, and the runner that applies a list of them, counts their drops and keeps samples.

A counting step reads its rows a second time. An extension point: docs/extending/corpus-step.md.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol, TypeAlias, TypeVar, runtime_checkable

import pyarrow as pa
import pyarrow.compute as pc

from nerbert.corpus.funnel import Funnel
from nerbert.corpus.mentions import MADE_ENTITY, PartTargets
from nerbert.corpus.settings import STEPS, CorpusSettings
from nerbert.corpus.shards import TYPED, read_batches, shard_paths, with_columns, write_grouped
from nerbert.errors import NerbertError, SettingsError
from nerbert.executors import Executor
from nerbert.terminal import progress

SCRATCH_ROWS = "typed"
"""Folder of rows between steps."""
Result = TypeVar("Result")
_One = TypeVar("_One")
_TAKEN = {"pages", "newest revisions", "disambiguation pages", "links", *STEPS.built_in}
"""Names that user-defined steps can't have: the built-in steps and their rows in the funnel."""


class Step(Protocol):
    """A step of the build; it is pickled for worker processes."""

    name: str
    """Name of its row in the funnel; "" if it never drops a row."""

    def apply(self, rows: pa.RecordBatch) -> tuple[pa.RecordBatch, Sequence[str | None]]:
        """Return the rows, possibly with new values, and a reason to drop each row, or None; () drops none."""


@runtime_checkable
class PartStep(Protocol):
    """A step that is opened for each part of the corpus, with that part's data."""

    name: str

    def open(self, part: Path) -> Step:
        """Return the step to apply to the rows of a part; `part` is their file."""


@runtime_checkable
class CountingStep(Protocol):
    """A step that must count all its rows before it is applied to the first."""

    name: str

    def prepare(self, upstream: "Upstream") -> Step | PartStep:
        """Return the step to apply; `upstream` gives all rows that earlier steps keep."""


AnyStep: TypeAlias = Step | PartStep | CountingStep


@dataclass(frozen=True, slots=True)
class Upstream:
    """The rows that reach a step: those of `folder` that the prepared earlier `steps` keep."""

    folder: Path
    steps: tuple[Step | PartStep, ...]
    executor: Executor

    def map(
        self, task: Callable[[Path, Iterator[pa.RecordBatch]], Result], columns: Sequence[str] | None = None
    ) -> Iterator[Result]:
        """Yield the result of `task` for the path and rows of each part, in order; `task` must be importable.

        `columns` are those that `task` reads, None for all. Columns that earlier steps list in an attribute `columns`
        are read too.
        """
        read = [columns, *(getattr(step, "columns", None) for step in self.steps)]
        names = None if None in read else sorted({name for group in read for name in group or ()})
        reached = partial(_map_part, task=task, steps=self.steps, columns=names)
        return self.executor.map_ordered(reached, shard_paths(self.folder))

    def find(self, step_type: type[_One]) -> _One:
        """Return the prepared step of this class."""
        return next(step for step in self.steps if isinstance(step, step_type))


def open_own_steps(settings: CorpusSettings) -> dict[str, AnyStep]:
    """Return the user-defined steps, each made as `Class(settings)`; raise SettingsError for other objects."""
    steps = dict[str, AnyStep]()
    names = set(_TAKEN)
    for path in settings.own_steps:
        step = STEPS.find(path)(settings)
        name = getattr(step, "name", "")
        # Any callable class can be named; whether it is a step shows only in its methods
        works = any(callable(getattr(step, method, None)) for method in ("apply", "open", "prepare"))
        # Two steps with one name would be one row in the funnel
        if not (isinstance(name, str) and name and name not in names and works):
            raise SettingsError(
                f"corpus step {path!r}: must have a method `apply(rows)`, `open(part)` or `prepare(upstream)`, and a "
                f"`name` that no other step has; it has {name!r}"
            )
        names.add(name)
        steps[path] = step
    return steps


def run_steps(steps: Sequence[AnyStep], folder: Path, funnel: Funnel, executor: Executor) -> Upstream:
    """Make `sentences/` from `pages/`, and count; return the prepared steps.

    Before a counting step, if earlier steps rewrite rows, the rows that reach it are written to disk, so that the
    earlier steps run only once.
    """
    upstream = Upstream(folder / "pages", (), executor)
    for step in steps:
        # Typing rewrites rows: without a copy, each later counting step would repeat it
        if isinstance(step, CountingStep) and any(getattr(earlier, "rewrites", False) for earlier in upstream.steps):
            written = folder / SCRATCH_ROWS / str(step.name or len(upstream.steps))
            _write(upstream, written, funnel, "typing shards")
            upstream = Upstream(written, (), executor)
        prepared = step.prepare(upstream) if isinstance(step, CountingStep) else step
        # A forgotten `return` in a user's step
        if prepared is None:
            raise NerbertError(f"corpus step {step.name!r}: prepare must return the step to apply")
        upstream = replace(upstream, steps=(*upstream.steps, prepared))
    _write(upstream, folder / "sentences", funnel, "writing shards", last=True)
    return upstream


def _write(rows: Upstream, output: Path, funnel: Funnel, title: str, *, last: bool = False) -> None:
    output.mkdir(parents=True)
    paths = shard_paths(rows.folder)
    task = partial(_write_part, steps=rows.steps, output=output, seed=funnel.seed, last=last)
    with progress(title, len(paths)) as bar:
        for counts in rows.executor.map_ordered(task, paths):
            funnel.merge(counts)
            bar.advance()


def _write_part(path: Path, steps: Sequence[Step | PartStep], output: Path, seed: int, *, last: bool) -> Funnel:
    """Write the rows of one part that the steps keep; return its counts, with the final sentences' if `last`."""
    funnel = Funnel(seed)
    opened = _open_steps(steps, path)
    batches = (apply_steps(batch, opened, funnel) for batch in read_batches(path))
    write_grouped((_table(rows, funnel, last=last) for rows in batches), output / path.name, TYPED, scratch=not last)
    for step in opened:
        if isinstance(step, PartTargets):
            for fate, classes in step.count_outside().items():
                funnel.add(classes, "outside", fate)
    return funnel


def apply_steps(rows: pa.RecordBatch, steps: Sequence[Step], funnel: Funnel | None = None) -> pa.RecordBatch:
    """Return the rows that all steps keep; `funnel` counts the drops of each step, and keeps samples."""
    for step in steps:
        came = rows
        rows, reasons = _apply(step, rows)
        dropped = pa.array(reasons, pa.string()) if len(reasons) else pa.nulls(came.num_rows, pa.string())
        counts = Counter(dropped.drop_null().to_pylist())
        if funnel is not None and step.name:
            funnel.step(step.name, came.num_rows, came.num_rows - counts.total(), counts)
        if counts and funnel is not None:
            # The rows as they came: a step may have changed the text that it drops
            funnel.sample(step.name, dropped, came)
        rows = rows.filter(dropped.is_null()) if counts else rows
    return rows


def _apply(step: Step, came: pa.RecordBatch) -> tuple[pa.RecordBatch, Sequence[str | None]]:
    """Return what a step, which may be a user's, makes of rows; raise NerbertError unless it has the right form."""
    result = step.apply(came)
    if not (isinstance(result, tuple) and [hasattr(part, "__len__") for part in result] == [True, True]):
        raise NerbertError(f"corpus step {step.name!r}: apply must return the rows and a list of reasons")
    rows, reasons = result
    # Rows are dropped by a reason only, so that the funnel's numbers add up
    if rows.num_rows != came.num_rows or len(reasons) not in (0, came.num_rows):
        raise NerbertError(
            f"corpus step {step.name!r}: {came.num_rows} rows in, {rows.num_rows} out, {len(reasons)} reasons: "
            "the numbers must be equal; drop a row by giving a reason"
        )
    if wrong := [reason for reason in set(reasons) - {None} if not (isinstance(reason, str) and reason)]:
        raise NerbertError(f"corpus step {step.name!r}: reason {wrong[0]!r}: must be a text, or None to keep a row")
    return rows, reasons


def _table(rows: pa.RecordBatch, funnel: Funnel, *, last: bool) -> pa.Table:
    """Return rows with only the corpus's columns; count them if they are the final ones."""
    # Filter 1 adds the column `made_entity`, which rows before it lack
    rows = with_columns(rows, TYPED.append(MADE_ENTITY) if last else TYPED)
    table = pa.Table.from_batches([rows.select(TYPED.names)])
    if last:
        funnel.count(table)
        funnel.add({"made_entity": pc.sum(rows[MADE_ENTITY.name]).as_py() or 0})
    return table


def _map_part(
    part: Path,
    task: Callable[[Path, Iterator[pa.RecordBatch]], Result],
    steps: Sequence[Step | PartStep],
    columns: Sequence[str] | None,
) -> Result:
    opened = _open_steps(steps, part)
    return task(part, (apply_steps(batch, opened) for batch in read_batches(part, columns)))


def _open_steps(steps: Sequence[Step | PartStep], part: Path) -> list[Step]:
    return [step.open(part) if isinstance(step, PartStep) else step for step in steps]
