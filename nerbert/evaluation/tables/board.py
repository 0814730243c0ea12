"""The cells of a suite laid out: rows are targets and sizes, columns are systems and protocols.

What a row or column is comes from the suite, so a cell that is missing is seen as not run; a cell that the suite
doesn't ask for is counted and left out.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from nerbert.evaluation.benchmark.cells import Cell, Place, State
from nerbert.evaluation.benchmark.suite import Suite
from nerbert.evaluation.tables.pooled import Scores, figure, pool
from nerbert.evaluation.tables.statistics import Observation, Run, Summary, observations, summary
from nerbert.finetune.sizes import Kind, parse_size

Reader = Callable[[Scores], float | None]
"""Takes a figure out of a cell's scores."""
F1: Reader = partial(figure, path="micro.f1")
"""Entity F1, the figure of the table."""


class Spot(NamedTuple):
    """A row: a data set at a size of its train split."""

    target: str
    size: str


class Maker(NamedTuple):
    """A column: a system under a protocol."""

    system: str
    protocol: str


@dataclass(slots=True)
class Group:
    """The cells of one row and column."""

    episodes: bool = False
    """Whether a seed's draws are episodes, whose counts are pooled before F1."""
    wanted: list[Run] = field(default_factory=list)
    done: dict[Run, Cell] = field(default_factory=dict)
    failed: dict[Run, str] = field(default_factory=dict)
    """Why each that failed did."""

    @property
    def complete(self) -> bool:
        """Whether every cell that the suite asks for is there."""
        return len(self.done) == len(self.wanted)

    def observed(self, read: Reader = F1, only: Collection[Run] | None = None) -> dict[Observation, float]:
        """The figure in each independent observation: a run, a draw's mean, or a seed's pooled episodes."""
        scores = {run: cell.scores for run, cell in sorted(self.done.items()) if only is None or run in only}
        if not self.episodes:
            return observations(_read(scores, read))
        by_seed: dict[int, list[Scores]] = defaultdict(list)
        for (_, seed), each in scores.items():
            by_seed[seed].append(each)
        pooled = {(0, seed): pool(parts) for seed, parts in by_seed.items()}
        return observations(_read(pooled, read))

    def summary(self, read: Reader = F1) -> Summary | None:
        """Mean and spread of a figure; None if no run has it."""
        seen = self.observed(read)
        return summary(list(seen.values())) if seen else None


class Board:
    """All groups of a suite, by row and column."""

    def __init__(self, suite: Suite, cells: Iterable[Cell]) -> None:
        self.suite = suite
        places = list(dict.fromkeys(suite.places()))
        found = {cell.place: cell for cell in cells}
        self.cells = [found.get(place, Cell(place, State.NOT_RUN)) for place in places]
        self.strangers = len(found.keys() - set(places))
        self.spots = tuple(_in_order(suite))
        self.makers = tuple(Maker(system, protocol) for system in suite.systems for protocol in _protocols(places))
        episodes = {spot: parse_size(spot.size).kind is Kind.EPISODE for spot in self.spots}
        self._groups = {(spot, maker): Group(episodes[spot]) for spot in self.spots for maker in self.makers}
        for cell in self.cells:
            self._put(cell)

    @property
    def baseline(self) -> str:
        """The system that the others are tested against."""
        return self.suite.baseline or next(iter(self.suite.systems), "")

    @property
    def shared(self) -> tuple[Spot, ...]:
        """Rows on which every column has a finished run: what a mean may be taken over."""
        return tuple(spot for spot in self.spots if all(self.at(spot, maker).done for maker in self.makers))

    def at(self, spot: Spot, maker: Maker) -> Group:
        """The cells of a row and a column."""
        return self._groups[spot, maker]

    def named(self, maker: Maker) -> str:
        """A column's name on one line; the protocol only where there are several."""
        several = len({each.protocol for each in self.makers}) > 1
        return f"{maker.system}, {maker.protocol}" if several else maker.system

    def _put(self, cell: Cell) -> None:
        place = cell.place
        group = self._groups[Spot(place.target, place.size), Maker(place.system, place.protocol)]
        run = (place.draw, place.seed)
        group.wanted.append(run)
        if cell.state is State.DONE and F1(cell.scores) is not None:
            group.done[run] = cell
        elif cell.state is not State.NOT_RUN:
            group.failed[run] = cell.why or "no F1 in its scores"


def by_target(spots: Sequence[Spot]) -> dict[str, list[Spot]]:
    """Rows of each target."""
    found: dict[str, list[Spot]] = {}
    for spot in spots:
        found.setdefault(spot.target, []).append(spot)
    return found


def _read(scores: Mapping[Run, Scores], read: Reader) -> dict[Run, float]:
    read_all = {run: read(each) for run, each in scores.items()}
    return {run: value for run, value in read_all.items() if value is not None}


def _in_order(suite: Suite) -> list[Spot]:
    """Targets with their sizes as the suite names them, a target that is named twice in one place."""
    spots = dict.fromkeys(Spot(target.data, str(size)) for target in suite.targets for size in target.sizes)
    return [spot for each in by_target(list(spots)).values() for spot in each]


def _protocols(places: Iterable[Place]) -> list[str]:
    return list(dict.fromkeys(place.protocol for place in places))
