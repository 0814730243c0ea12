"""Every system against the baseline, on each row and on all targets together, corrected for their number.

A comparison takes only runs that both have: the same target, size, protocol, draw and seed; over all targets, only
targets on which both have such runs, whatever other systems lack. The price: a run that only one of them has finished
says nothing here, and two systems may have been tested over different targets (the table says how many).

Families of Holm's correction: in each protocol, the tests on single rows, and apart from them those over all targets,
which are few and are the ones that one quotes. The price: each family has a false alarm of its own to give.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from nerbert.evaluation.tables.layout import ColumnKey, Layout, RowKey, by_target, mean_sizes, of_size
from nerbert.evaluation.tables.statistics import Observation, Test, holm, paired_t, sign_flip

WHOLE = ""
"""The target of a comparison that is over all targets; its size is theirs, or "" for each at its sizes."""
Key = tuple[ColumnKey, RowKey]
"""What is compared: a column with the baseline's, on a row."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A test with its corrected p."""

    test: Test
    corrected: float | None = None
    targets: Test | None = None
    """Of all targets together: the same test with a target as one observation; not corrected."""
    better: int = 0
    """Of all targets together: on how many the system is ahead."""
    row_keys: tuple[RowKey, ...] = ()
    """Of all targets together: the rows that both have."""

    @property
    def mark(self) -> str:
        """Stars: * below 0.05, ** below 0.01, *** below 0.001, after correction."""
        return "" if self.corrected is None else "*" * sum(self.corrected < level for level in (0.05, 0.01, 0.001))


def compare(layout: Layout) -> dict[Key, Compared]:
    """Return all comparisons of a suite, each corrected within its family."""
    found: dict[Key, Compared] = {}
    for column in layout.columns:
        if column.system == layout.baseline:
            continue
        rows = {row_key: _differences(layout, column, row_key) for row_key in layout.row_keys}
        for row_key, row in rows.items():
            found[column, row_key] = Compared(paired_t(list(row.values())))
        for size in mean_sizes(layout.row_keys):
            asked = {row_key: rows[row_key] for row_key in of_size(layout.row_keys, size) if rows[row_key]}
            if len(by_target(list(asked))) > 1:
                found[column, RowKey(WHOLE, size)] = _overall(asked)
    corrected: dict[Key, float] = {}
    for family in families(found).values():
        corrected |= holm(family)
    return {key: replace(each, corrected=corrected.get(key)) for key, each in found.items()}


def families(tests: Mapping[Key, Compared]) -> dict[tuple[str, bool], dict[Key, float]]:
    """Return the p of each test by (protocol, whether it is over all targets): what is corrected together."""
    found: dict[tuple[str, bool], dict[Key, float]] = defaultdict(dict)
    for (column, row_key), each in tests.items():
        if each.test.p is not None:
            found[column.protocol, row_key.target == WHOLE][column, row_key] = each.test.p
    return found


def _differences(layout: Layout, column: ColumnKey, row_key: RowKey) -> dict[Observation, float]:
    """Return system minus baseline in each independent observation that both have."""
    own, base = layout.at(row_key, column), layout.at(row_key, ColumnKey(layout.baseline, column.protocol))
    both = own.done.keys() & base.done.keys()
    ours, theirs = own.observed(only=both), base.observed(only=both)
    return {name: ours[name] - theirs[name] for name in ours}


def _overall(rows: dict[RowKey, dict[Observation, float]]) -> Compared:
    """Return the mean over targets, tested.

    Observations of one target that share draw and seed change sign together.
    """
    targets = [[rows[row_key] for row_key in row_keys] for row_keys in by_target(list(rows)).values()]
    means = [fmean(fmean(row.values()) for row in each) / len(targets) for each in targets]
    parts = [part for each in targets for part in _parts(each, 1 / len(targets))]
    better = sum(mean > 0 for mean in means)
    return Compared(sign_flip(parts), targets=sign_flip(means), better=better, row_keys=tuple(rows))


def _parts(rows: Sequence[dict[Observation, float]], weight: float) -> list[float]:
    """Return what each observation of a target gives to its mean difference, over all its sizes."""
    given: dict[Observation, float] = defaultdict(float)
    for row in rows:
        for name, difference in row.items():
            given[name] += weight * difference / len(row) / len(rows)
    return list(given.values())
