"""Learning curves: F1 against training sentences, where a target has several sizes that are numbers of sentences.

A share ("5%") or "all" is placed by the number of sentences that its cells say they trained on (`sentences` in their
facts), and left out where they don't.
"""

from collections.abc import Iterator
from statistics import fmean

from nerbert.evaluation.tables.board import Board, Group, Spot, by_target
from nerbert.evaluation.tables.grid import Curve, Point
from nerbert.evaluation.tables.pooled import figure
from nerbert.finetune.sizes import Kind, parse_size

TRAINED_ON = "sentences"
"""The fact of a cell that says how many sentences it was trained on."""


def curves(board: Board) -> Iterator[Curve]:
    """A curve for each target on which a system has two points or more."""
    for target, spots in by_target(board.spots).items():
        lines = {}
        for maker in board.makers:
            points = [point for spot in spots if (point := _point(spot, board.at(spot, maker))) is not None]
            if points:
                lines[board.named(maker)] = tuple(sorted(points, key=lambda point: point.sentences))
        if any(len(points) > 1 for points in lines.values()):
            yield Curve(target, lines)


def _point(spot: Spot, group: Group) -> Point | None:
    seen, sentences = group.summary(), _sentences(spot, group)
    if seen is None or not sentences:
        return None
    return Point(sentences, seen.mean, seen.low, seen.high)


def _sentences(spot: Spot, group: Group) -> float | None:
    size = parse_size(spot.size)
    if size.kind is Kind.SENTENCES:
        return float(size.number)
    if size.kind not in (Kind.PERCENT, Kind.ALL):
        return None
    told = [figure(cell.facts, TRAINED_ON) for cell in group.done.values()]
    known = [each for each in told if each]
    return fmean(known) if known else None
