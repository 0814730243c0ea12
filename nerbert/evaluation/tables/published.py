"""Published figures beside ours, marked where they are, or may be, of other test sentences.

What a data set is, is asked of the registry: whether its split is the paper's, and whether the cells' files are those
that it knows. A set that it doesn't know is marked too. The price: a folder of one's own with a paper's very split
carries a mark until the registry has it.
"""

from collections.abc import Sequence
from pathlib import PurePosixPath
from statistics import fmean

from nerbert.evaluation.benchmark.cells import State
from nerbert.evaluation.benchmark.suite import Published
from nerbert.evaluation.datasets.registry import KnownData, find_known
from nerbert.evaluation.tables.grid import Entry
from nerbert.evaluation.tables.layout import Layout, RowKey
from nerbert.evaluation.tables.pooled import inner


class Numbered:
    """Notes with numbers; the same note has one number."""

    def __init__(self) -> None:
        self.texts: dict[str, int] = {}

    def number(self, text: str) -> int:
        """The note's number."""
        return self.texts.setdefault(text, len(self.texts) + 1)


def papers(board: Layout) -> tuple[Published, ...]:
    """Published figures that have a row to stand in."""
    targets = {spot.target for spot in board.spots if spot.size == "all"}
    return tuple(each for each in board.suite.published if targets & each.f1.keys())


def published_entry(board: Layout, paper: Published, spots: Sequence[RowKey], notes: Numbered) -> Entry:
    """A paper's figure on a row, or its mean over several; "–" unless it has each of them, in full."""
    known = [paper.f1.get(spot.target) for spot in spots if spot.size == "all"]
    figures = [each for each in known if each is not None]
    if not spots or len(figures) < len(spots):
        return Entry()
    doubts = {spot.target: doubt for spot in spots if (doubt := _doubt(board, spot.target))}
    if not doubts:
        return Entry(f"{fmean(figures):.2f}")
    if len(spots) == 1:
        (target, doubt), *_ = doubts.items()
        told = f"{target}: published figures are, or may be, of other sentences: {doubt}"
    else:
        told = f"A published mean in which figures are, or may be, of other sentences than ours: {', '.join(doubts)}"
    return Entry(f"{fmean(figures):.2f}", notes=(notes.number(told),))


def _doubt(board: Layout, target: str) -> str:
    """Why a published figure on a data set may not stand beside ours; "" if nothing speaks against it."""
    known = find_known(PurePosixPath(target).as_posix())
    if known is None:
        return "not a data set that the registry knows, so whether its split is the published one isn't known"
    told = [] if known.fits else [known.split]
    other = _other(board, target, known)
    return "; ".join([*told, *([f"{', '.join(other)}: not as the registry knows {known.name}"] if other else [])])


def _other(board: Layout, target: str, known: KnownData) -> list[str]:
    """Files of finished cells that aren't those of the registry."""
    made_from = [
        inner(cell.facts, "data") for cell in board.cells if cell.place.target == target and cell.state is State.DONE
    ]
    right = {f"{split}.conll": each.sha256 for split, each in known.splits.items()}
    return [name for name, sha in right.items() if any(each.get(name) not in (None, "", sha) for each in made_from)]
