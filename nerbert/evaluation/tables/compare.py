"""Every system against the baseline, on each row and on all targets together, corrected for their number.

A comparison takes only runs that both have: the same target, size, protocol, draw and seed; over all targets, only
targets on which both have such runs, whatever other systems lack. The price: a run that only one of them has finished
says nothing here, and two systems may have been tested over different targets (the table says how many).

Families of Holm's correction: in each protocol, the tests on single rows, and apart from them those over all targets,
which are few and are the ones that one quotes. The price: each family has a false alarm of its own to give.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from nerbert.evaluation.tables.layout import ColumnKey, Layout, RowKey, by_target, mean_sizes, of_size
from nerbert.evaluation.tables.records import NONE, Entry, Grid, Notes, Row, entries, number, sized
from nerbert.evaluation.tables.statistics import Observation, Test, holm, paired_t, sign_flip

WHOLE = ""
"""The target of a comparison that is over all targets; its size is theirs, or "" for each at its sizes."""
_LEVELS = (0.05, 0.01, 0.001)
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
    """The row, or of all targets together those that both have."""

    @property
    def mark(self) -> str:
        """Stars: * below 0.05, ** below 0.01, *** below 0.001, after correction."""
        return "" if self.corrected is None else "*" * sum(self.corrected < level for level in _LEVELS)


Tests = Mapping[Key, Compared]


def compare(layout: Layout) -> dict[Key, Compared]:
    """Return all comparisons of a suite, each corrected within its family."""
    found: dict[Key, Compared] = {}
    for column in layout.columns:
        if column.system == layout.baseline:
            continue
        rows = {row_key: _differences(layout, column, row_key) for row_key in layout.row_keys}
        for row_key, row in rows.items():
            found[column, row_key] = Compared(paired_t(list(row.values())), row_keys=(row_key,))
        for size in mean_sizes(layout.row_keys):
            asked = {row_key: rows[row_key] for row_key in of_size(layout.row_keys, size) if rows[row_key]}
            if len(by_target(asked)) > 1:
                found[column, RowKey(WHOLE, size)] = _overall(asked)
    families: dict[tuple[str, bool], dict[Key, float]] = defaultdict(dict)
    for (column, row_key), each in found.items():
        if each.test.p is not None:
            families[column.protocol, row_key.target == WHOLE][column, row_key] = each.test.p
    corrected = {key: p for family in families.values() for key, p in holm(family).items()}
    return {key: replace(each, corrected=corrected.get(key)) for key, each in found.items()}


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
    targets = [[rows[row_key] for row_key in row_keys] for row_keys in by_target(rows).values()]
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


def tests_grid(layout: Layout, tests: Tests, notes: Notes) -> Grid:
    """Return each system's difference from the baseline, with its interval and p: on single targets, then over all."""
    heads = ("target", "trained on", "system", "difference", "95 % interval", "n", "p", "Holm p", "least p")
    single = [
        _row((row_key.target, sized(row_key.size), layout.named(column)), each.test, each.corrected, notes)
        for (column, row_key), each in tests.items() if row_key.target != WHOLE and each.test.n
    ]  # fmt: skip
    whole = [row for (column, row_key), each in tests.items() if row_key.target == WHOLE
             for row in _rows_over_all(layout, column, row_key.size, each, notes)]  # fmt: skip
    title = f"Differences from {layout.baseline}, in points of F1"
    return Grid("tests", title, entries(heads), (*single, *whole))


def _rows_over_all(layout: Layout, column: ColumnKey, size: str, compared: Compared, notes: Notes) -> Iterator[Row]:
    there, whole = (len(by_target(keys)) for keys in (compared.row_keys, of_size(layout.row_keys, size)))
    target = f"all {whole} targets" if there == whole else f"{there} of {whole} targets"
    where, name = (target, sized(size)), layout.named(column)
    yield _row((*where, f"{name}: runs vary"), compared.test, compared.corrected, notes)
    if compared.targets is not None and compared.targets.p is not None:
        yield _row((*where, f"{name}: targets vary, ahead on {compared.better}"), compared.targets, None, notes)


def _row(names: tuple[str, ...], test: Test, corrected: float | None, notes: Notes) -> Row:
    low_high = NONE if test.low is None or test.high is None else f"[{100 * test.low:+.2f}, {100 * test.high:+.2f}]"
    p = Entry(p_text(test.p), notes=(number(notes, f"no test: {test.why}"),) if test.why else ())
    shown = entries((*names, f"{100 * test.difference:+.2f}", low_high, str(test.n)))
    return (*shown, p, *entries((p_text(corrected), p_text(test.least_p or None))))


def p_text(p: float | None) -> str:
    """Return a p in three digits, and in more where these would be on the other side of a level than p is."""
    if p is None:
        return NONE
    texts = [f"{p:.3f}" if p >= 0.1 else f"{p:#.{digits}g}" for digits in range(3, 16)]
    sides = [p < level for level in _LEVELS]
    return next((each for each in texts if [float(each) < level for level in _LEVELS] == sides), texts[-1])
