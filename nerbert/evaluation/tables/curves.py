"""Learning curves: F1 against training sentences, where a target has several sizes that are numbers of sentences.

A share ("5%") or "all" is placed by the number of sentences that its cells say they trained on (`sentences` in their
facts), and left out where they don't. A figure has one target, one protocol and at most eight systems; more systems
stand in further figures, so that no two lines of a figure look the same.
"""

from collections.abc import Iterable, Iterator
from statistics import fmean

from nerbert.evaluation.tables.grid import STYLES, Curve, Point
from nerbert.evaluation.tables.layout import ColumnKey, Group, Layout, RowKey, by_target
from nerbert.evaluation.tables.pooled import figure
from nerbert.finetuning.sizes import SizeUnit, parse_size

TRAINED_ON = "sentences"
"""The fact of a cell that says how many sentences it was trained on."""


def curves(board: Layout) -> Iterator[Curve]:
    """The figures of each target on which a system has two points or more."""
    systems = list(board.suite.systems)
    for target, spots in by_target(board.spots).items():
        for protocol in board.protocols:
            for first in range(0, len(systems), STYLES):
                makers = [ColumnKey(system, protocol) for system in systems[first : first + STYLES]]
                lines = {maker.system: tuple(_points(board, spots, maker)) for maker in makers}
                drawn = {name: points for name, points in lines.items() if points}
                if any(len(points) > 1 for points in drawn.values()):
                    styles = {name: number for number, name in enumerate(lines) if name in drawn}
                    yield Curve(target, drawn, styles, protocol if len(board.protocols) > 1 else "")


def _points(board: Layout, spots: Iterable[RowKey], maker: ColumnKey) -> list[Point]:
    points = [point for spot in spots if (point := _point(spot, board.at(spot, maker))) is not None]
    return sorted(points, key=lambda point: point.sentences)


def _point(spot: RowKey, group: Group) -> Point | None:
    seen, sentences = group.summary(), _sentences(spot, group)
    if seen is None or not sentences:
        return None
    return Point(sentences, seen.mean, seen.low, seen.high)


def _sentences(spot: RowKey, group: Group) -> float | None:
    size = parse_size(spot.size)
    if size.kind is SizeUnit.SENTENCES:
        return float(size.number)
    if size.kind not in (SizeUnit.PERCENT, SizeUnit.ALL):
        return None
    told = [figure(cell.facts, TRAINED_ON) for cell in group.done.values()]
    known = [each for each in told if each]
    return fmean(known) if known else None
