"""The results of a suite: figures of cells by row (target, size) and column (system, protocol), and as texts."""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import chain
from typing import Any, Literal, NamedTuple

from nerbert.data.sampling import SizeUnit, parse_size
from nerbert.metrics.score import Counts, Macro
from nerbert_bench.cells import Cell, State
from nerbert_bench.suite import Published, Suite
from nerbert_bench.tables.statistics import Run, Unit, observations, pooled_f1, units_of

F1 = "micro.f1"
"""Entity F1, the figure of the table."""
WHOLE = ""
"""Target of a row for all targets together; its size is theirs, or "" if each has all its sizes."""
ERRORS = ("boundary", "type", "both", "missed", "spurious")
COUNTS = ("right", "predicted", "gold")
Figures = dict[tuple[str, str], float]
"""(metric, type) → value."""


class RowKey(NamedTuple):
    """A row: a data set (for a mean, the name of a group of targets) at a size of its train split."""

    target: str
    size: str

    @property
    def unit(self) -> SizeUnit:
        """Unit of its size."""
        return parse_size(self.size).unit

    @property
    def trained_on(self) -> str:
        """Its size as text."""
        if self.size == "0":
            return "nothing (zero-shot)"
        return f"{self.size} sentences" if self.size.isdigit() else self.size or "each at its size"


class ColumnKey(NamedTuple):
    """A column: a system under a protocol."""

    system: str
    protocol: str


def figures_of(cell: Cell) -> Figures:
    """Return all figures of a cell; types are not part of metric names, because they may contain dots."""
    # Nested facts, such as digests and settings, hold numbers that are no figures.
    facts = {key: value for key, value in cell.facts.items() if not isinstance(value, Mapping)}
    overall = {key: value for key, value in cell.scores.items() if key != "by_type"} | {"facts": facts}
    groups = {"": overall} | {name: {"by_type": counts} for name, counts in cell.scores.get("by_type", {}).items()}
    return {_key(metric, name): value for name, group in groups.items() for metric, value in _numbers(group)}


@cache
def _key(metric: str, type_: str) -> tuple[str, str]:
    """Return the same object for equal keys: a suite may have many thousands of cells with the same figures."""
    return metric, type_


def _numbers(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, int | float]]:
    """Yield every number in nested mappings, with the keys that lead to it."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{above}{key}.")
        # `True` is an int in Python, and NaN can't be averaged.
        elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            yield f"{above}{key}", value


def pool(parts: Sequence[Figures]) -> Figures:
    """Return the figures of several test sets as if they were one."""
    if len(parts) == 1:
        return parts[0]
    pooled: Figures = defaultdict(float)
    # Only counts can be added up; the figures follow from the sums.
    for part in parts:
        for (metric, type_), value in part.items():
            if _is_count(metric):
                pooled[metric, type_] += value
    by_type = []
    for metric, type_ in sorted(pooled):
        if not metric.endswith(".gold"):
            continue
        group = metric.removesuffix(".gold")
        counts = Counts(*(int(pooled[f"{group}.{key}", type_]) for key in COUNTS))
        by_type += [counts] if group == "by_type" else []
        pooled |= {(f"{group}.{key}", type_): value for key, value in counts.as_json().items()}
    if by_type:
        # Macro F1 of pooled counts isn't the mean of the parts' macro F1.
        pooled["macro.f1", ""] = Macro.of(by_type).f1
    sure = [(part.get(("calibration.entities", ""), 0), part.get(("calibration.ece", ""), 0)) for part in parts]
    # Bins aren't stored, so the pooled error is the mean weighted by entities.
    if entities := sum(number for number, _ in sure):
        pooled["calibration.ece", ""] = sum(number * error for number, error in sure) / entities
    return dict(pooled)


def _is_count(metric: str) -> bool:
    group, _, last = metric.rpartition(".")
    return group == "errors" or last in (*COUNTS, "left_out")


def with_shares(figures: Figures) -> Figures:
    """Return figures with the number of all errors and the share of each kind, if all kinds are counted."""
    counts = {error: figures[f"errors.{error}", ""] for error in ERRORS if (f"errors.{error}", "") in figures}
    if len(counts) < len(ERRORS):
        return figures
    total = sum(counts.values())
    shares = {_key(f"shares.{error}", ""): count / total for error, count in counts.items() if total}
    return {**figures, _key("errors", ""): total, **shares}


@dataclass
class Group:
    """The cells of one row and column, by run."""

    episodes: bool
    """True if draws are episodes, whose counts are pooled before any figure is computed."""
    cells: dict[Run, Cell] = field(default_factory=dict)

    @cached_property
    def done(self) -> dict[Run, Figures]:
        """The figures of each finished run."""
        return {run: with_shares(figures_of(cell)) for run, cell in self.cells.items() if cell.state is State.DONE}

    @cached_property
    def encoders(self) -> dict[Run, str]:
        """Source of each finished run's random variation: the digest of a pre-trained encoder, or the key of a source
        domain's checkpoint (which comes from one pre-trained encoder); "" for an untouched backbone.
        """
        facts = {run: self.cells[run].facts for run in self.done}
        return {
            run: str(fact.get("encoder" if fact.get("pretrained") is True else "source") or "")
            for run, fact in facts.items()
        }

    @cached_property
    def units(self) -> dict[Run, Unit]:
        """The observation that each finished run belongs to; a result computed once for all seeds is one run."""
        keys = {run: self.cells[run].facts.get("keys", {}).get("score", run) for run in self.done}
        # Reversed, so that the first run with a key is the one that stays.
        first = {keys[run]: run for run in sorted(keys, reverse=True)}
        return units_of(first.values(), self.encoders, by_draw=self.episodes)

    def observe(self, metric: str = F1, type_: str = "", units: Mapping[Run, Unit] | None = None) -> dict[Unit, float]:
        """Return the figure of each independent observation; `units` maps the runs that count to their observations.

        For episodes only F1 has several (`pooled_f1`). Other metrics leave out runs without gold or predicted entities.
        """
        units = self.units if units is None else units
        runs = {run: self.done[run] for run in units}
        # The mean of F1 over episodes isn't the F1 of all entities, which Few-NERD reports.
        if self.episodes and metric == F1:
            counts = {run: [figures.get((f"micro.{key}", ""), 0) for key in COUNTS] for run, figures in runs.items()}
            return pooled_f1({run: (right, sum(both)) for run, (right, *both) in counts.items()}, units)
        # Other figures have no decomposition by draw, so there is one observation.
        if self.episodes:
            runs = self._pooled
            units = dict.fromkeys(self._pooled, ("all",))
        # A rate without any entity is 0 by convention, which would pull a mean down.
        entities = [f"{metric.rpartition('.')[0]}.{key}" for key in ("predicted", "gold")]
        values = {
            run: figures[metric, type_]
            for run, figures in runs.items()
            if (metric, type_) in figures
            and (metric == F1 or [figures.get((name, type_)) for name in entities] != [0, 0])
        }
        return observations(values, units)

    @cached_property
    def _pooled(self) -> dict[Run, Figures]:
        """All runs of episodes, pooled as one."""
        return {run: with_shares(pool(list(self.done.values()))) for run in list(self.done)[:1]}


class Layout:
    """All groups of a suite, by its rows and columns."""

    def __init__(self, suite: Suite, cells: Iterable[Cell]) -> None:
        self.suite = suite
        self.baseline = suite.baseline or next(iter(suite.systems))
        outcomes = {cell.place: cell for cell in cells}
        self.cells = [outcomes.get(key, Cell(key, State.NOT_RUN)) for key in suite.cell_keys()]
        self.done = [cell for cell in self.cells if cell.state is State.DONE]
        self.data = _files_used(self.done)
        """Digests of each target's files that finished cells used; one entry if all used the same files."""
        # A suite may list a data set twice, with other sizes: its rows stay together.
        rows = by_target(dict.fromkeys(RowKey(target.data, size) for target in suite.targets for size in target.sizes))
        self.row_keys = tuple(chain.from_iterable(rows.values()))
        self.columns = tuple(ColumnKey(system, protocol) for protocol in suite.protocols for system in suite.systems)
        self.groups = {
            (row_key, column): Group(row_key.unit is SizeUnit.EPISODE)
            for row_key in self.row_keys
            for column in self.columns
        }
        for cell in self.cells:
            key = cell.place
            group = self.groups[RowKey(key.target, key.size), ColumnKey(key.system, key.protocol)]
            group.cells[key.draw, key.seed] = cell
        self.group_means: dict[RowKey, list[RowKey]] = {}
        """Means over the suite's groups of targets, with the rows of each; they are not tested."""
        for name, targets in suite.means.items():
            self.group_means |= self._means_of(name, targets)
        self.row_groups = {row_key: [row_key] for row_key in self.row_keys} | self.group_means | self._means_of(WHOLE)
        """The table's rows, each with the rows it averages: itself, or for a mean those of several targets."""

    @cached_property
    def ran(self) -> tuple[ColumnKey, ...]:
        """Columns with a finished run; the others don't restrict the means."""
        done = {(cell.place.system, cell.place.protocol) for cell in self.done}
        return tuple(column for column in self.columns if column in done)

    @cached_property
    def encoders(self) -> dict[ColumnKey, set[str]]:
        """Encoders (with separate random variation) of a column's finished runs, without an untouched backbone."""
        encoders = {column: set[str]() for column in self.columns}
        for (_, column), group in self.groups.items():
            encoders[column].update(filter(None, group.encoders.values()))
        return encoders

    def _means_of(self, name: str, targets: Collection[str] | None = None) -> dict[RowKey, list[RowKey]]:
        """Return means over targets (None: all) at each size that several share, then over all sizes if several."""
        row_keys = [row_key for row_key in self.row_keys if targets is None or row_key.target in targets]
        sizes = dict.fromkeys(row_key.size for row_key in row_keys)
        means = {
            RowKey(name, size): [row_key for row_key in row_keys if size in ("", row_key.size)]
            for size in (*sizes, *([""] if len(sizes) > 1 else []))
        }
        # A mean of one target would repeat its row.
        return {mean: rows for mean, rows in means.items() if len(by_target(rows)) > 1}

    def name_of(self, column: ColumnKey) -> str:
        """Return a column's name on one line, with the protocol only if there are several."""
        return f"{column.system}, {column.protocol}" if len(self.suite.protocols) > 1 else column.system


def _files_used(done: Iterable[Cell]) -> dict[str, list[Mapping[str, Any]]]:
    """Return the different digests of each target's files."""
    digests: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for cell in done:
        if (files := cell.facts.get("data", {})) not in digests[cell.place.target]:
            digests[cell.place.target].append(files)
    return digests


def learns(row_keys: Iterable[RowKey]) -> bool:
    """Return whether any of these rows trains on its target: not all are zero-shot."""
    return any(row_key.unit is not SizeUnit.ZERO for row_key in row_keys)


def by_target(row_keys: Iterable[RowKey]) -> dict[str, list[RowKey]]:
    """Return the rows of each target."""
    rows: dict[str, list[RowKey]] = {}
    for row_key in row_keys:
        rows.setdefault(row_key.target, []).append(row_key)
    return rows


COLUMNS = ("system", "protocol", "target", "size", "draw", "seed", "state", "metric", "type", "value", "why")
"""Columns of a record. `metric` is a path in a cell's scores ("micro.f1") or facts ("facts.cpu_seconds"); `type` is set
only for figures of a single type; `value` is 0–1 or a count, as stored."""
NONE = "–"
"""Text of a cell that wasn't run, or whose value isn't known."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a grid."""

    text: str = NONE
    below: str = ""
    """The confidence interval and greedy F1, in small print where there is room."""
    mark: str = ""
    """Stars of significance."""
    notes: tuple[str, ...] = ()
    best: bool = False


Row = tuple[Entry, ...]


def entries(*texts: str | Entry) -> Row:
    """Return texts as a row."""
    return tuple(text if isinstance(text, Entry) else Entry(text) for text in texts)


@dataclass(frozen=True, slots=True)
class Grid:
    """Rows and columns under a title; the first `names` columns hold names. Only the page shows the grids of types."""

    key: Literal["scores", "tests", "zero_shot", "zero_shot_spans", "figures", "errors", "types"]
    title: str
    heads: Row
    rows: tuple[Row, ...]
    names: int = 3


@dataclass(frozen=True, kw_only=True)
class BenchmarkTable:
    """All that a suite's table shows."""

    name: str
    title: str
    about: str = ""
    grids: tuple[Grid, ...] = ()
    note_facts: dict[str, Any] = field(default_factory=dict)
    """Facts that decide which notes on reading it apply."""
    facts: dict[str, str] = field(default_factory=dict)
    """Facts needed to reproduce the table."""
    cells: Sequence[Cell] = ()
    published: Sequence[Published] = ()

    @cached_property
    def numbered(self) -> dict[str, int]:
        """Numbers of the notes to entries and heads, from 1; equal notes share a number."""
        entries = (entry for grid in self.grids for row in (grid.heads, *grid.rows) for entry in row)
        notes = dict.fromkeys(note for entry in entries for note in entry.notes)
        return {note: number for number, note in enumerate(notes, 1)}

    def numbers(self, entry: Entry) -> list[int]:
        """Return the numbers of an entry's notes."""
        return [self.numbered[note] for note in entry.notes]

    def records(self) -> Iterator[tuple[str, ...]]:
        """Yield the columns' names, every figure of every cell (or a record without metric), then published figures."""
        yield COLUMNS
        for cell in self.cells:
            key = cell.place
            figures = figures_of(cell)
            run = (key.system, key.protocol, key.target, key.size, f"{key.draw}", f"{key.seed}", cell.state.value)
            yield from ((*run, *name, repr(value), cell.why) for name, value in figures.items())
            # Failed cells are in the CSV, too, so that none is missing without a reason.
            if not figures:
                yield (*run, "", "", "", cell.why)
        for paper in self.published:
            for metric, shares in paper.figures.items():
                for target, figure in shares.items():
                    run = (paper.name, "", target, paper.size, "", "", "published")
                    # Papers write percents: 57.1 / 100 would print as 0.5710000000000001.
                    yield (*run, metric, "", repr(round(figure / 100, 6)), paper.of)
