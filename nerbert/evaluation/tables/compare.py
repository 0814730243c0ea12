"""Every system against the baseline, on each row and on all targets together, corrected for their number.

Only runs that both have are compared; docs/explanation/scores.md (Tests) has the families of Holm's correction.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import fmean

from nerbert.evaluation.tables.results import (
    NONE,
    WHOLE,
    ColumnKey,
    Entry,
    Grid,
    Layout,
    Row,
    RowKey,
    by_target,
    entries,
)
from nerbert.evaluation.tables.statistics import FEWEST, Test, Unit, holm, over_targets, t_test, units_of
from nerbert.finetuning.sampling import many

ENCODERS_FOR_STARS = 5
MORE_ENCODERS = "add seeds, and give each an encoder of its own (--encoder NAME=FOLDER, several times)"
"""What to do where encoders are too few."""
_LEVELS = (0.05, 0.01, 0.001)
Key = tuple[ColumnKey, RowKey]
"""What is compared: a column with the baseline's, on a row."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A test with its corrected p, and what keeps it from stars.

    `ahead` says on how many of the targets (of one target: observations) the system is better.
    """

    test: Test
    row_keys: tuple[RowKey, ...]
    """The row, or of all targets together those that both have."""
    ahead: tuple[int, int]
    by_encoder: bool
    fewest: int
    """Observations of the row that has fewest."""
    corrected: float | None = None

    @property
    def mark(self) -> str:
        """Stars: * below 0.05, ** below 0.01, *** below 0.001, after correction."""
        if self.corrected is None or self.no_stars:
            return ""
        return "*" * sum(self.corrected < level for level in _LEVELS)

    @property
    def no_stars(self) -> str:
        """Say why it has no stars whatever its p; "" where it may have."""
        if self.by_encoder and self.test.n < ENCODERS_FOR_STARS:
            there = f"{many(self.test.n, 'encoder')}, pre-trained or trained on a source domain"
            return f"{there}: an interval needs {FEWEST}, stars {ENCODERS_FOR_STARS}; {MORE_ENCODERS}"
        if self.fewest < FEWEST:
            return f"{many(self.fewest, 'run')} on a target: interval and stars need {FEWEST} on each"
        return ""


Tests = Mapping[Key, Compared]


def compare(layout: Layout) -> dict[Key, Compared]:
    """Return all comparisons of a suite, each corrected within its family."""
    found: dict[Key, Compared] = {}
    for column in layout.columns:
        base = ColumnKey(layout.baseline, column.protocol)
        if column == base:
            continue
        by_encoder = bool(layout.encoders[column] or layout.encoders[base])
        differences = {each: _differences(layout, column, base, each) for each in layout.row_keys}
        for place, row_keys in layout.places.items():
            rows = {each: differences[each] for each in row_keys if differences[each]}
            if place not in layout.group_means and len(by_target(rows)) > (place.target == WHOLE):
                found[column, place] = _compared(rows, by_encoder=by_encoder)
    families: dict[tuple[str, bool], dict[Key, float]] = defaultdict(dict)
    for (column, row_key), each in found.items():
        if each.test.p is not None:
            families[column.protocol, row_key.target == WHOLE][column, row_key] = each.test.p
    corrected = {key: p for family in families.values() for key, p in holm(family).items()}
    return {key: replace(each, corrected=corrected.get(key)) for key, each in found.items()}


def _differences(layout: Layout, column: ColumnKey, baseline: ColumnKey, row_key: RowKey) -> dict[Unit, float]:
    """Return system minus baseline in each independent observation that both have."""
    own, base = layout.groups[row_key, column], layout.groups[row_key, baseline]
    units = units_of(own.done.keys() & base.done.keys(), own.encoders, base.encoders, by_draw=own.episodes)
    ours, theirs = own.observed(units=units), base.observed(units=units)
    return {unit: ours[unit] - theirs[unit] for unit in ours}


def _compared(rows: Mapping[RowKey, Mapping[Unit, float]], *, by_encoder: bool) -> Compared:
    """Compare on some rows, each target with the same weight."""
    targets = [[rows[row_key] for row_key in row_keys] for row_keys in by_target(rows).values()]
    alone = list(targets[0][0].values()) if len(targets) == 1 else []
    means = alone or [fmean(fmean(row.values()) for row in each) for each in targets]
    test, ahead = t_test(over_targets(targets, by_encoder=by_encoder)), sum(mean > 0 for mean in means)
    return Compared(test, tuple(rows), (ahead, len(means)), by_encoder, min(map(len, rows.values())))


def tests_grid(layout: Layout, tests: Tests) -> Grid:
    """Return each system's difference from the baseline, with its interval and p: on single targets, then over all."""
    heads = entries("target", "trained on", "system", "difference", "95 % interval", "n", "ahead on", "p", "Holm p")
    rows = (_row(layout, key, tests[key]) for key in sorted(tests, key=lambda key: key[1].target == WHOLE))
    return Grid("tests", f"Differences from {layout.baseline}, in points of F1", heads, tuple(rows))


def _row(layout: Layout, key: Key, compared: Compared) -> Row:
    (column, place), test = key, compared.test
    there, whole = (len(by_target(row_keys)) for row_keys in (compared.row_keys, layout.places[place]))
    over = f"all {whole} targets" if there == whole else f"{there} of {whole} targets"
    why = compared.no_stars or test.why
    return entries(
        place.target or over, place.trained_on, layout.named(column), f"{100 * test.difference:+.2f}",
        f"[{100 * test.interval[0]:+.2f}, {100 * test.interval[1]:+.2f}]" if test.interval else NONE,
        many(test.n, "encoder") if compared.by_encoder else f"{test.n}",
        f"{compared.ahead[0]} of {compared.ahead[1]}",
        Entry(p_text(test.p), notes=(why,) if why else ()), p_text(compared.corrected),
    )  # fmt: skip


def p_text(p: float | None) -> str:
    """Return a p in three digits, and in more where these would be on the other side of a level than p is."""
    if p is None:
        return NONE
    texts = [f"{p:.3f}" if p >= 0.1 else f"{p:#.{digits}g}" for digits in range(3, 16)]
    sides = [p < level for level in _LEVELS]
    return next((each for each in texts if [float(each) < level for level in _LEVELS] == sides), texts[-1])
