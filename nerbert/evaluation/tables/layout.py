"""The cells of a suite laid out: rows are targets and sizes, columns are systems and protocols, all from the suite."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import Any, NamedTuple

from nerbert.evaluation.benchmark.cells import Cell, State
from nerbert.evaluation.benchmark.suite import Suite
from nerbert.evaluation.tables.records import COUNTS, Figures, figures_of, inner, pool, with_shares
from nerbert.evaluation.tables.statistics import Run, Summary, Unit, observations, pooled_f1, summary, units_of
from nerbert.finetuning.sampling import SizeUnit, parse_size

F1 = "micro.f1"
"""Entity F1, the figure of the table."""
WHOLE = ""
"""The target of a row that is over all targets; its size is theirs, or "" for each at its sizes."""


class RowKey(NamedTuple):
    """A row: a data set at a size of its train split; of a mean over a group of targets the group's name."""

    target: str
    size: str

    @property
    def unit(self) -> SizeUnit:
        """What its size counts."""
        return parse_size(self.size).kind

    @property
    def trained_on(self) -> str:
        """Its size in words."""
        if self.size == "0":
            return "nothing (zero-shot)"
        return f"{self.size} sentences" if self.size.isdigit() else self.size or "each at its size"


class ColumnKey(NamedTuple):
    """A column: a system under a protocol."""

    system: str
    protocol: str


@dataclass
class Group:
    """The cells of one row and column."""

    episodes: bool = False
    """Whether draws are episodes, whose counts are pooled before any figure is taken."""
    wanted: int = 0
    """How many cells the suite asks for."""
    done: dict[Run, Figures] = field(default_factory=dict)
    failed: dict[Run, str] = field(default_factory=dict)
    """Why each that failed did."""
    keys: dict[Run, str] = field(default_factory=dict)
    """Of each run that is done. A zero-shot tagger has one for all seeds: nothing is drawn for it."""
    encoders: dict[Run, str] = field(default_factory=dict)
    """What gives each finished run its random variation: the digest of a pre-trained encoder, or the key of a source
    domain's checkpoint, which is of one pre-trained encoder alone; "" for an untouched backbone."""

    def add(self, cell: Cell) -> None:
        """Add a cell."""
        run, figures, facts = (cell.place.draw, cell.place.seed), figures_of(cell), cell.facts
        self.wanted += 1
        if cell.state is State.DONE and (F1, "") in figures:
            self.done[run] = figures if self.episodes else with_shares(figures)
            self.keys[run] = str(inner(facts, "keys").get("score") or run)
            own = facts.get("encoder") if facts.get("pretrained") is True else facts.get("source")
            self.encoders[run] = str(own or "")
        elif cell.state is not State.NOT_RUN:
            self.failed[run] = cell.why or "no F1 in its scores"

    @cached_property
    def units(self) -> dict[Run, Unit]:
        """The observation that each finished run is a part of; what was made once is one run."""
        first = {self.keys[run]: run for run in sorted(self.done, reverse=True)}
        return units_of(first.values(), self.encoders, by_draw=self.episodes)

    def observed(self, metric: str = F1, type_: str = "", units: Mapping[Run, Unit] | None = None) -> dict[Unit, float]:
        """Return the figure in each independent observation; `units` are the runs that count, with theirs.

        Of episodes, F1 alone has observations whose mean it is (`pooled_f1`); another figure is one, of all together.
        One of nothing (no entity to find and none found, as seen ones without a training set) is left out.
        """
        units = self.units if units is None else units
        runs = {run: self.done[run] for run in units}
        if self.episodes and metric == F1:
            counts = {run: [each.get((f"micro.{key}", ""), 0) for key in COUNTS] for run, each in runs.items()}
            return pooled_f1({run: (right, sum(both)) for run, (right, *both) in counts.items()}, units)
        if self.episodes:
            runs, units = self._pooled, dict.fromkeys(self._pooled, ("all",))
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
    def _pooled(self) -> dict[Run, Figures]:
        """All runs of episodes together, as one."""
        return {run: with_shares(pool(list(self.done.values()))) for run in list(self.done)[:1]}


class Layout:
    """All groups of a suite, by row and column."""

    def __init__(self, suite: Suite, cells: Iterable[Cell]) -> None:
        self.suite = suite
        found = {cell.place: cell for cell in cells}
        self.cells = [found.pop(place, Cell(place, State.NOT_RUN)) for place in dict.fromkeys(suite.places())]
        self.strangers = len(found)
        """Cells that the suite doesn't ask for."""
        self.done = [cell for cell in self.cells if cell.state is State.DONE]
        self.data: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        """The digests of each target's files that finished cells were made from; one entry if all had the same."""
        for cell in self.done:
            if (files := inner(cell.facts, "data")) not in self.data[cell.place.target]:
                self.data[cell.place.target].append(files)
        rows = by_target(dict.fromkeys(RowKey(each.data, str(size)) for each in suite.targets for size in each.sizes))
        self.row_keys = tuple(row_key for each in rows.values() for row_key in each)
        self.columns = tuple(ColumnKey(system, protocol) for protocol in suite.protocols for system in suite.systems)
        self.baseline = suite.baseline or next(iter(suite.systems), "")
        """The system that the others are tested against."""
        self.groups = {(row_key, column): Group(row_key.unit is SizeUnit.EPISODE)
                        for row_key in self.row_keys for column in self.columns}  # fmt: skip
        for cell in self.cells:
            place = cell.place
            self.groups[RowKey(place.target, place.size), ColumnKey(place.system, place.protocol)].add(cell)
        self.ran = tuple(
            column for column in self.columns if any(self.groups[each, column].done for each in self.row_keys)
        )
        """Columns with a finished run; the others hold nothing up."""
        runs = {
            column: [self.groups[each, column].encoders.values() for each in self.row_keys] for column in self.columns
        }
        self.encoders = {column: set(chain.from_iterable(each)) - {""} for column, each in runs.items()}
        """Encoders, each with its own random variation, of a column's finished runs; an untouched backbone is none."""

    @cached_property
    def places(self) -> dict[RowKey, list[RowKey]]:
        """Return the rows of the table, and what each is of: itself, or for a mean the rows of several targets."""
        return {row_key: [row_key] for row_key in self.row_keys} | self.group_means | self._means_of(WHOLE)

    @cached_property
    def group_means(self) -> dict[RowKey, list[RowKey]]:
        """Return the means over the suite's groups of targets, and the rows of each; no test is made of them."""
        found: dict[RowKey, list[RowKey]] = {}
        for name, targets in self.suite.means.items():
            found |= self._means_of(name, targets)
        return found

    def _means_of(self, name: str, targets: Collection[str] | None = None) -> dict[RowKey, list[RowKey]]:
        """Return a mean over targets (None: all) at each size that several have, then over their sizes if several."""
        row_keys = [each for each in self.row_keys if targets is None or each.target in targets]
        sizes = dict.fromkeys(row_key.size for row_key in row_keys)
        means = {RowKey(name, size): [each for each in row_keys if size in ("", each.size)]
                 for size in (*sizes, *([""] if len(sizes) > 1 else []))}  # fmt: skip
        return {mean: rows for mean, rows in means.items() if len(by_target(rows)) > 1}

    def named(self, column: ColumnKey) -> str:
        """Return a column's name on one line; the protocol only where there are several."""
        return f"{column.system}, {column.protocol}" if len(self.suite.protocols) > 1 else column.system


def learns(row_keys: Iterable[RowKey]) -> bool:
    """Return whether anything is learnt of a target at one of these rows: not all are zero-shot."""
    return any(row_key.unit is not SizeUnit.ZERO for row_key in row_keys)


def by_target(row_keys: Iterable[RowKey]) -> dict[str, list[RowKey]]:
    """Return rows of each target."""
    found: dict[str, list[RowKey]] = {}
    for row_key in row_keys:
        found.setdefault(row_key.target, []).append(row_key)
    return found
