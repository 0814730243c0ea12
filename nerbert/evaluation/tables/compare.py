"""Every system against the baseline, on each row and on all targets together, corrected for their number.

A comparison takes only runs that both have: the same target, size, protocol, draw and seed. The price: a run that only
one of them has finished says nothing here.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from nerbert.evaluation.tables.board import Board, Maker, Spot, by_target
from nerbert.evaluation.tables.statistics import Observation, Test, holm, paired_t, sign_flip

Key = tuple[Maker, Spot | None]
"""What is compared: a column with the baseline's, on a row, or (None) on all targets together."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A test with its corrected p."""

    test: Test
    corrected: float | None = None
    targets: Test | None = None
    """Of all targets together: the same test with a target as one observation; not corrected."""
    better: int = 0
    """Of all targets together: on how many the system is ahead."""

    @property
    def mark(self) -> str:
        """Stars: * below 0.05, ** below 0.01, *** below 0.001, after correction."""
        return "" if self.corrected is None else "*" * sum(self.corrected < level for level in (0.05, 0.01, 0.001))


def compare(board: Board) -> dict[Key, Compared]:
    """All comparisons of a suite; Holm's correction over all of them that have a p."""
    found: dict[Key, Compared] = {}
    for maker in board.makers:
        if maker.system == board.baseline:
            continue
        for spot in board.spots:
            found[maker, spot] = Compared(paired_t(list(_differences(board, maker, spot).values())))
        if len(by_target(board.shared)) > 1:
            found[maker, None] = _overall(board, maker)
    raw = {key: each.test.p for key, each in found.items()}
    corrected = holm({key: p for key, p in raw.items() if p is not None})
    return {key: replace(each, corrected=corrected.get(key)) for key, each in found.items()}


def _differences(board: Board, maker: Maker, spot: Spot) -> dict[Observation, float]:
    """System minus baseline in each independent observation that both have."""
    own, base = board.at(spot, maker), board.at(spot, Maker(board.baseline, maker.protocol))
    both = own.done.keys() & base.done.keys()
    ours, theirs = own.observed(only=both), base.observed(only=both)
    return {name: ours[name] - theirs[name] for name in ours}


def _overall(board: Board, maker: Maker) -> Compared:
    """The mean over targets, tested; observations of one target that share draw and seed change sign together."""
    targets = [
        [_differences(board, maker, spot) for spot in spots] for spots in by_target(board.shared).values()
    ]  # fmt: skip
    empty = sum(not all(rows) for rows in targets)
    if empty:
        return Compared(Test(0, 0.0, None, why=f"no run in common on {empty} of {len(targets)} targets"))
    means = [fmean(fmean(row.values()) for row in rows) / len(targets) for rows in targets]
    parts = [part for rows in targets for part in _parts(rows, 1 / len(targets))]
    return Compared(sign_flip(parts), targets=sign_flip(means), better=sum(mean > 0 for mean in means))


def _parts(rows: Sequence[dict[Observation, float]], weight: float) -> list[float]:
    """What each observation of a target gives to its mean difference, over all its sizes."""
    given: dict[Observation, float] = defaultdict(float)
    for row in rows:
        for name, difference in row.items():
            given[name] += weight * difference / len(row) / len(rows)
    return list(given.values())
