"""The cells of a suite laid out: rows are targets and sizes, columns are systems and protocols, all from the suite."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from nerbert.evaluation.benchmark.cells import Cell, State
from nerbert.evaluation.benchmark.suite import Suite
from nerbert.evaluation.tables.records import COUNTS, Figures, figures_of, inner, pool, with_shares
from nerbert.evaluation.tables.statistics import Run, Summary, Unit, observations, pooled_f1, summary, units_of
from nerbert.finetuning.sampling import SizeUnit, parse_size

F1 = "micro.f1"
"""Entity F1, the figure of the table."""
_ALL = (0, 0)
"""Stands for all runs of episodes together."""


class RowKey(NamedTuple):
    """A row: a data set at a size of its train split."""

    target: str
    size: str


class ColumnKey(NamedTuple):
    """A column: a system under a protocol."""

    system: str
    protocol: str


@dataclass
class Group:
    """The cells of one row and column."""

    episodes: bool = False
    """Whether draws are episodes, whose counts are pooled before any figure is taken."""
    wanted: list[Run] = field(default_factory=list)
    done: dict[Run, Figures] = field(default_factory=dict)
    failed: dict[Run, str] = field(default_factory=dict)
    """Why each that failed did."""
    keys: dict[Run, str] = field(default_factory=dict)
    """Of each run that is done, where it has one. A zero-shot tagger has one for all seeds: nothing is drawn for it."""
    encoders: dict[Run, str] = field(default_factory=dict)
    """What each run that is done shares the luck of: the digest of a pre-trained encoder, the key of the checkpoint of
    a source domain; "" for a backbone as it comes."""

    @property
    def complete(self) -> bool:
        """Whether every cell that the suite asks for is there."""
        return len(self.done) == len(self.wanted)

    def units(self) -> dict[Run, Unit]:
        """Return the observation that each finished run is a part of; what was made once is one run."""
        first = {self.keys.get(run) or str(run): run for run in sorted(self.done, reverse=True)}
        return units_of(first.values(), self.encoders, by_draw=self.episodes)

    def observed(self, metric: str = F1, type_: str = "", units: Mapping[Run, Unit] | None = None) -> dict[Unit, float]:
        """Return the figure in each independent observation; `units` are the runs that count, with theirs.

        Of episodes, F1 alone has observations whose mean it is (`pooled_f1`); another figure is one, of all together.
        One of nothing (no entity to find and none found, as seen ones without a training set) is left out.
        """
        units = self.units() if units is None else units
        runs = {run: self.done[run] for run in units}
        if self.episodes and (metric, type_) == (F1, ""):
            counts = {run: [each.get((f"micro.{key}", ""), 0) for key in COUNTS] for run, each in runs.items()}
            sums = {run: (right, predicted + gold) for run, (right, predicted, gold) in counts.items()}
            return pooled_f1(sums, units)
        if self.episodes:
            runs, units = ({_ALL: self._pooled} if self.done else {}), {_ALL: ("all",)}
        found = [f"{metric.rpartition('.')[0]}.{key}" for key in ("predicted", "gold")]
        values = {
            run: each[metric, type_] for run, each in runs.items() if (metric, type_) in each
            and (metric == F1 or [each.get((name, type_)) for name in found] != [0, 0])
        }  # fmt: skip
        return observations(values, units)

    def summary(self, metric: str = F1, type_: str = "") -> Summary | None:
        """Return mean and spread of a figure; None if no run has it."""
        seen = self.observed(metric, type_)
        return summary(list(seen.values())) if seen else None

    @cached_property
    def _pooled(self) -> Figures:
        return with_shares(pool(list(self.done.values())))


class Layout:
    """All groups of a suite, by row and column."""

    def __init__(self, suite: Suite, cells: Iterable[Cell]) -> None:
        self.suite = suite
        places = list(dict.fromkeys(suite.places()))
        found = {cell.place: cell for cell in cells}
        self.cells = [found.get(place, Cell(place, State.NOT_RUN)) for place in places]
        self.strangers = len(found.keys() - set(places))
        rows = dict.fromkeys(RowKey(target.data, str(size)) for target in suite.targets for size in target.sizes)
        self.row_keys = tuple(row_key for each in by_target(rows).values() for row_key in each)
        self.protocols = tuple(suite.protocols)
        self.columns = tuple(ColumnKey(system, protocol) for protocol in self.protocols for system in suite.systems)
        self._groups = {(row_key, column): Group(unit_of(row_key) is SizeUnit.EPISODE)
                        for row_key in self.row_keys for column in self.columns}  # fmt: skip
        for cell in self.cells:
            self._put(cell)
        self.ran = tuple(
            column for column in self.columns if any(self.at(row_key, column).done for row_key in self.row_keys)
        )
        """Columns with a finished run; the others hold nothing up."""

    @property
    def done(self) -> list[Cell]:
        """The cells that are finished."""
        return [cell for cell in self.cells if cell.state is State.DONE]

    @property
    def baseline(self) -> str:
        """The system that the others are tested against."""
        return self.suite.baseline or next(iter(self.suite.systems), "")

    def shared(self, columns: Collection[ColumnKey]) -> tuple[RowKey, ...]:
        """Return rows on which all of these columns have a finished run, for a mean; no columns share no rows."""
        return tuple(
            row_key for row_key in self.row_keys if columns and all(self.at(row_key, column).done for column in columns)
        )

    def at(self, row_key: RowKey, column: ColumnKey) -> Group:
        """Return the cells of a row and a column."""
        return self._groups[row_key, column]

    def encoders(self, column: ColumnKey) -> set[str]:
        """Return the encoders, with luck of their own, of a column's finished runs; a backbone as it comes is none."""
        return {each for row_key in self.row_keys for each in self.at(row_key, column).encoders.values()} - {""}

    def named(self, column: ColumnKey) -> str:
        """Return a column's name on one line; the protocol only where there are several."""
        return f"{column.system}, {column.protocol}" if len(self.protocols) > 1 else column.system

    def _put(self, cell: Cell) -> None:
        place = cell.place
        group = self.at(RowKey(place.target, place.size), ColumnKey(place.system, place.protocol))
        run, figures = (place.draw, place.seed), figures_of(cell)
        group.wanted.append(run)
        if cell.state is State.DONE and (F1, "") in figures:
            group.done[run] = figures if group.episodes else with_shares(figures)
            group.keys[run] = str(inner(cell.facts, "keys").get("score") or "")
            group.encoders[run] = _encoder(cell.facts)
        elif cell.state is not State.NOT_RUN:
            group.failed[run] = cell.why or "no F1 in its scores"


def _encoder(facts: Mapping[str, Any]) -> str:
    """Return what a run shares the luck of; a source domain's checkpoint is of one pre-trained encoder alone."""
    return str(facts.get("encoder") if facts.get("pretrained") is True else inner(facts, "keys").get("source") or "")


def unit_of(row_key: RowKey) -> SizeUnit:
    """Return what the size of a row counts."""
    return parse_size(row_key.size).kind


def learns(row_keys: Iterable[RowKey]) -> bool:
    """Return whether anything is learnt of a target at one of these rows: not all are zero-shot."""
    return any(unit_of(row_key) is not SizeUnit.ZERO for row_key in row_keys)


def by_target(row_keys: Iterable[RowKey]) -> dict[str, list[RowKey]]:
    """Return rows of each target."""
    found: dict[str, list[RowKey]] = {}
    for row_key in row_keys:
        found.setdefault(row_key.target, []).append(row_key)
    return found


def of_size(row_keys: Iterable[RowKey], size: str) -> list[RowKey]:
    """Return rows of a size; "" is any."""
    return [row_key for row_key in row_keys if size in ("", row_key.size)]


def mean_sizes(row_keys: Sequence[RowKey]) -> list[str]:
    """Return sizes over whose targets a mean is taken: each that several have, then, where that is more, "" for all."""
    targets, sizes = by_target(row_keys), dict.fromkeys(row_key.size for row_key in row_keys)
    shared = [size for size in sizes if len(of_size(row_keys, size)) > 1]
    alone = len(sizes) == 1
    return [*shared, *([""] if len(targets) > 1 and not alone else [])]
