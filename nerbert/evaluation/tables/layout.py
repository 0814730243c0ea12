"""The cells of a suite laid out: rows are targets and sizes, columns are systems and protocols.

Rows and columns come from the suite, so a missing cell counts as not run; cells that the suite doesn't ask for are
counted and left out.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from nerbert.evaluation.benchmark.cells import Cell, State
from nerbert.evaluation.benchmark.suite import Suite
from nerbert.evaluation.tables.pooled import Scores, figure, pool
from nerbert.evaluation.tables.statistics import Observation, Run, Summary, Sums, observations, pooled_f1, summary
from nerbert.finetuning.sizes import SizeUnit, parse_size

Reader = Callable[[Scores], float | None]
"""Takes a figure out of a cell's scores."""
F1: Reader = partial(figure, path="micro.f1")
"""Entity F1, the figure of the table."""


class RowKey(NamedTuple):
    """A row: a data set at a size of its train split."""

    target: str
    size: str


class ColumnKey(NamedTuple):
    """A column: a system under a protocol."""

    system: str
    protocol: str


@dataclass(slots=True)
class Group:
    """The cells of one row and column."""

    episodes: bool = False
    """Whether draws are episodes, whose counts are pooled before any figure is taken."""
    wanted: list[Run] = field(default_factory=list)
    done: dict[Run, Cell] = field(default_factory=dict)
    failed: dict[Run, str] = field(default_factory=dict)
    """Why each that failed did."""
    _pooled: Scores | None = None

    @property
    def complete(self) -> bool:
        """Whether every cell that the suite asks for is there."""
        return len(self.done) == len(self.wanted)

    def observed(self, read: Reader = F1, only: Collection[Run] | None = None) -> dict[Observation, float]:
        """Return the figure in each independent observation: a run, or a draw.

        Of episodes, F1 alone has observations whose mean it is (`pooled_f1`); another figure is one, of all together.
        """
        scores = {run: cell.scores for run, cell in sorted(self.done.items()) if only is None or run in only}
        if not self.episodes:
            return observations(_read(scores, read))
        if read is F1:
            counts = {run: _sums(each) for run, each in scores.items()}
            return pooled_f1({run: each for run, each in counts.items() if each is not None})
        self._pooled = pool(list(scores.values())) if self._pooled is None and scores else self._pooled
        return observations(_read({(0, 0): self._pooled} if self._pooled is not None else {}, read))

    def summary(self, read: Reader = F1) -> Summary | None:
        """Return mean and spread of a figure; None if no run has it."""
        seen = self.observed(read)
        return summary(list(seen.values())) if seen else None


class Layout:
    """All groups of a suite, by row and column."""

    def __init__(self, suite: Suite, cells: Iterable[Cell]) -> None:
        self.suite = suite
        places = list(dict.fromkeys(suite.places()))
        found = {cell.place: cell for cell in cells}
        self.cells = [found.get(place, Cell(place, State.NOT_RUN)) for place in places]
        self.strangers = len(found.keys() - set(places))
        self.row_keys = tuple(_in_order(suite))
        self.protocols = tuple(dict.fromkeys(place.protocol for place in places))
        self.columns = tuple(ColumnKey(system, protocol) for protocol in self.protocols for system in suite.systems)
        episodes = {row_key: parse_size(row_key.size).kind is SizeUnit.EPISODE for row_key in self.row_keys}
        self._groups = {
            (row_key, column): Group(episodes[row_key]) for row_key in self.row_keys for column in self.columns
        }
        for cell in self.cells:
            self._put(cell)
        self.ran = tuple(
            column for column in self.columns if any(self.at(row_key, column).done for row_key in self.row_keys)
        )
        """Columns with a finished run; the others hold nothing up."""

    @property
    def baseline(self) -> str:
        """The system that the others are tested against."""
        return self.suite.baseline or next(iter(self.suite.systems), "")

    def shared(self, columns: Collection[ColumnKey]) -> tuple[RowKey, ...]:
        """Return rows on which every one of these columns has a finished run: what a mean may be taken over.

        No columns share no rows.
        """
        return tuple(
            row_key for row_key in self.row_keys if columns and all(self.at(row_key, column).done for column in columns)
        )

    def at(self, row_key: RowKey, column: ColumnKey) -> Group:
        """Return the cells of a row and a column."""
        return self._groups[row_key, column]

    def named(self, column: ColumnKey) -> str:
        """Return a column's name on one line; the protocol only where there are several."""
        return f"{column.system}, {column.protocol}" if len(self.protocols) > 1 else column.system

    def _put(self, cell: Cell) -> None:
        place = cell.place
        group = self._groups[RowKey(place.target, place.size), ColumnKey(place.system, place.protocol)]
        run = (place.draw, place.seed)
        group.wanted.append(run)
        if cell.state is State.DONE and F1(cell.scores) is not None:
            group.done[run] = cell
        elif cell.state is not State.NOT_RUN:
            group.failed[run] = cell.why or "no F1 in its scores"


def by_target(row_keys: Sequence[RowKey]) -> dict[str, list[RowKey]]:
    """Return rows of each target."""
    found: dict[str, list[RowKey]] = {}
    for row_key in row_keys:
        found.setdefault(row_key.target, []).append(row_key)
    return found


def of_size(row_keys: Iterable[RowKey], size: str) -> list[RowKey]:
    """Return rows of a size; "" is any."""
    return [row_key for row_key in row_keys if size in ("", row_key.size)]


def mean_sizes(row_keys: Sequence[RowKey]) -> list[str]:
    """Return sizes over whose targets a mean is taken: each that several have, then, where that is more, "".

    The "" means all of them.
    """
    targets, sizes = by_target(row_keys), dict.fromkeys(row_key.size for row_key in row_keys)
    shared = [size for size in sizes if len(of_size(row_keys, size)) > 1]
    alone = len(sizes) == 1
    return [*shared, *([""] if len(targets) > 1 and not alone else [])]


def _sums(scores: Scores) -> Sums | None:
    """Return what pooled F1 needs of a run; None if it isn't known."""
    right, predicted, gold = (figure(scores, f"micro.{key}") for key in ("right", "predicted", "gold"))
    return None if right is None or predicted is None or gold is None else (right, predicted + gold)


def _read(scores: Mapping[Run, Scores], read: Reader) -> dict[Run, float]:
    read_all = {run: read(each) for run, each in scores.items()}
    return {run: value for run, value in read_all.items() if value is not None}


def _in_order(suite: Suite) -> list[RowKey]:
    """Return targets with their sizes as the suite names them, a target that is named twice in one place."""
    row_keys = dict.fromkeys(RowKey(target.data, str(size)) for target in suite.targets for size in target.sizes)
    return [row_key for each in by_target(list(row_keys)).values() for row_key in each]
