"""The first two grids: F1 of every system on every row, published figures beside it, and the tests behind the stars.

Whether a published figure is of the same test sentences is asked of the registry: whether its split is the paper's, and
whether the cells' files are those that it knows. A figure that is, or may be, of other sentences has a note. The price:
a folder of one's own with a paper's very split has a note until the registry knows it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from statistics import fmean

from nerbert.evaluation.benchmark.cells import State
from nerbert.evaluation.benchmark.suite import Published
from nerbert.evaluation.datasets.registry import find_known
from nerbert.evaluation.tables.compare import WHOLE, Compared, Key
from nerbert.evaluation.tables.grid import NONE, Entry, Grid, TableRow
from nerbert.evaluation.tables.layout import ColumnKey, Group, Layout, RowKey, by_target, mean_sizes, of_size
from nerbert.evaluation.tables.pooled import inner
from nerbert.evaluation.tables.statistics import FEWEST, Summary, Test, mean_of, together
from nerbert.formats.folder import split_sum
from nerbert.terminal import percent

_WHY_LENGTH = 200
Notes = dict[str, int]
"""Note → its number; the same note has one number."""
Tests = Mapping[Key, Compared]


def scores_grid(layout: Layout, protocol: str, tests: Tests, notes: Notes) -> Grid:
    """Return F1 on each target and size under a protocol, and means over the targets that all systems have.

    Systems that haven't run have a column, but means and bold are those of the others.
    """
    columns = [column for column in layout.columns if column.protocol == protocol]
    targets = {row_key.target for row_key in layout.row_keys if row_key.size == "all"}
    papers = [each for each in layout.suite.published if targets & each.f1.keys()]
    heads = (*map(Entry, ("target", "trained on", *(column.system for column in columns))),
             *(Entry(each.name, notes=(_number(notes, f"{each.name}: {each.of}"),)) for each in papers))  # fmt: skip
    rows = [_row(layout, columns, papers, row_key, tests, notes) for row_key in layout.row_keys]
    means = [_mean_row(layout, columns, papers, size, tests, notes) for size in mean_sizes(layout.row_keys)]
    where = f", {protocol}" if len(layout.protocols) > 1 else ""
    title = f"Entity F1 in percent{where}: mean ± standard deviation, 95 % interval"
    return Grid("scores", title, heads, (*rows, *means), names=2, published=len(papers))


def tests_grid(layout: Layout, tests: Tests, notes: Notes) -> Iterator[Grid]:
    """Yield each system's difference from the baseline, with its interval and p, if there is anything to compare."""
    if tests:
        heads = ("target", "trained on", "system", "difference", "95 % interval", "n", "p", "Holm p", "least p")
        title = f"Differences from {layout.baseline}, in points of F1"
        yield Grid("tests", title, tuple(map(Entry, heads)), tuple(_test_rows(layout, tests, notes)), names=3)


def spread(seen: Summary | None) -> str:
    """Return `59.34 ± 0.83`, or the mean alone where there is no spread."""
    if seen is None:
        return NONE
    return percent(seen.mean) if seen.sd is None else f"{percent(seen.mean)} ± {percent(seen.sd)}"


def sized(size: str) -> str:
    """Return a size in words."""
    return f"{size} sentences" if size.isdigit() else size


def _number(notes: Notes, text: str) -> int:
    return notes.setdefault(text, len(notes) + 1)


def _row(
    layout: Layout, columns: Sequence[ColumnKey], papers: Sequence[Published], row_key: RowKey, tests: Tests,
    notes: Notes,
) -> TableRow:  # fmt: skip
    groups = {column: layout.at(row_key, column) for column in columns}
    seen = {column: group.summary() for column, group in groups.items()}
    best = _best(seen, complete=all(groups[column].complete for column in columns if column in layout.ran))
    entries = []
    for column, group in groups.items():
        failed = _failed(layout.named(column), row_key, group, notes)
        mark = tests[column, row_key].mark if (column, row_key) in tests else ""
        entries.append(_entry([group], seen[column], mark, failed, best=column in best))
    published = [_published(layout, each, [row_key], notes) for each in papers]
    return TableRow((Entry(row_key.target), Entry(sized(row_key.size)), *entries, *published))


def _entry(groups: Sequence[Group], seen: Summary | None, mark: str, failed: tuple[int, ...], *, best: bool) -> Entry:
    if seen is None:
        return Entry("failed" if failed else NONE, notes=failed)
    done, wanted = sum(len(group.done) for group in groups), sum(len(group.wanted) for group in groups)
    missing = "" if done == wanted else f" ({done}/{wanted})"
    low_high = ""
    if seen.low is not None and seen.high is not None:  # cut at 0 and 100, beyond which no F1 lies
        low_high = f"[{percent(max(0.0, seen.low))}, {percent(min(1.0, seen.high))}]"
    return Entry(f"{spread(seen)}{missing}", low_high, mark, failed, best=best)


def _failed(name: str, row_key: RowKey, group: Group, notes: Notes) -> tuple[int, ...]:
    """Return the numbers of the notes that say which cells failed and why, one for each reason."""
    reasons: dict[str, list[str]] = {}
    for (draw, seed), why in sorted(group.failed.items()):
        folded = " ".join(why.split())
        short = folded if len(folded) <= _WHY_LENGTH else f"{folded[:_WHY_LENGTH]}…"
        reasons.setdefault(short, []).append(f"{draw}/{seed}")
    where = f"{name} on {row_key.target}, {sized(row_key.size)}"
    return tuple(
        _number(notes, f"{where}, failed at draw/seed {', '.join(runs)}: {why}") for why, runs in reasons.items()
    )


def _best(seen: Mapping[ColumnKey, Summary | None], *, complete: bool) -> set[ColumnKey]:
    """Return the columns with the highest mean, as shown; none where a run is missing or there is one column only."""
    means = {column: round(100 * each.mean, 2) for column, each in seen.items() if each is not None}
    if not complete or len(means) < 2:
        return set()
    return {column for column, mean in means.items() if mean == max(means.values())}


def _mean_row(
    layout: Layout, columns: Sequence[ColumnKey], papers: Sequence[Published], size: str, tests: Tests, notes: Notes
) -> TableRow:
    """Return the mean over the targets of a size on which every column that has run has a finished run."""
    asked, ran = of_size(layout.row_keys, size), [column for column in columns if column in layout.ran]
    row_keys = [row_key for row_key in layout.shared(ran) if row_key in asked]
    used = by_target(row_keys)
    seen = {column: _mean(layout, column, used.values()) if column in ran else None for column in columns}
    best = _best(seen, complete=all(layout.at(row_key, column).complete for column in ran for row_key in row_keys))
    entries = []
    for column, each in seen.items():
        test = tests.get((column, RowKey(WHOLE, size)))
        mark = test.mark if test and test.row_keys == tuple(row_keys) else ""
        groups = [layout.at(row_key, column) for row_key in row_keys]
        entries.append(_entry(groups, each, mark, (), best=column in best))
    published = [_published(layout, each, row_keys, notes) for each in papers]
    number, whole = len(used), len(by_target(asked))
    name = f"mean of {number} targets" if number == whole else f"mean of {number} of {whole} targets"
    return TableRow((Entry(name), Entry(_whole_size(size)), *entries, *published), whole=True)


def _mean(layout: Layout, column: ColumnKey, used: Iterable[list[RowKey]]) -> Summary | None:
    parts = [[layout.at(row_key, column).summary() for row_key in row_keys] for row_keys in used]
    known = [together([each for each in part if each is not None]) for part in parts]
    return mean_of(known) if known else None


def _whole_size(size: str) -> str:
    return sized(size) if size else "each at its size"


def _test_rows(layout: Layout, tests: Tests, notes: Notes) -> Iterator[TableRow]:
    """Yield rows of single targets with a run in common, then those over all targets."""
    for (column, row_key), each in tests.items():
        if row_key.target != WHOLE and each.test.n:
            names = (row_key.target, sized(row_key.size), layout.named(column))
            yield _test_row(names, each.test, each.corrected, notes)
    for (column, row_key), each in tests.items():
        if row_key.target == WHOLE:
            number, whole = (len(by_target(keys)) for keys in (each.row_keys, of_size(layout.row_keys, row_key.size)))
            target = f"all {whole} targets" if number == whole else f"{number} of {whole} targets"
            where, name = (target, _whole_size(row_key.size)), layout.named(column)
            yield _test_row((*where, f"{name}: runs vary"), each.test, each.corrected, notes, whole=True)
            if each.targets is not None and each.targets.p is not None:
                ahead = f"{name}: targets vary, ahead on {each.better}"
                yield _test_row((*where, ahead), each.targets, None, notes, whole=True)


def _test_row(
    names: tuple[str, ...], test: Test, corrected: float | None, notes: Notes, *, whole: bool = False
) -> TableRow:
    low_high = NONE if test.low is None or test.high is None else f"[{100 * test.low:+.2f}, {100 * test.high:+.2f}]"
    why = (_number(notes, f"no test: {test.why}"),) if test.why else ()
    texts = (*names, f"{100 * test.difference:+.2f}", low_high, str(test.n))
    tested = (Entry(p_text(test.p), notes=why), Entry(p_text(corrected)), Entry(p_text(test.least_p or None)))
    return TableRow((*map(Entry, texts), *tested), whole=whole, minor=not whole and test.n < FEWEST)


def p_text(p: float | None) -> str:
    """Return a p in three digits, and in more where these would be on the other side of a level than p is."""
    if p is None:
        return NONE
    texts = [f"{p:.3f}" if p >= 0.1 else f"{p:#.{digits}g}" for digits in range(3, 16)]
    sides = [p < level for level in (0.05, 0.01, 0.001)]
    return next((each for each in texts if [float(each) < level for level in (0.05, 0.01, 0.001)] == sides), texts[-1])


def _published(layout: Layout, paper: Published, row_keys: Sequence[RowKey], notes: Notes) -> Entry:
    """Return a paper's figure on a row, or its mean over several; "–" unless it has each of them, in full."""
    known = [paper.f1.get(row_key.target) for row_key in row_keys if row_key.size == "all"]
    figures = [each for each in known if each is not None]
    if not row_keys or len(figures) < len(row_keys):
        return Entry()
    doubts = {row_key.target: doubt for row_key in row_keys if (doubt := _doubt(layout, row_key.target))}
    if not doubts:
        return Entry(f"{fmean(figures):.2f}")
    note = f"A published mean in which figures are, or may be, of other sentences than ours: {', '.join(doubts)}"
    if len(row_keys) == 1:
        note = "".join(f"{target}: published figures are, or may be, of other sentences: {why}"
                       for target, why in doubts.items())  # fmt: skip
    return Entry(f"{fmean(figures):.2f}", notes=(_number(notes, note),))


def _doubt(layout: Layout, target: str) -> str:
    """Return why a published figure on a data set may be of other sentences; "" if nothing speaks against it."""
    known = find_known(PurePosixPath(target).as_posix())
    if known is None:
        return "not a data set that the registry knows, so whether its split is the published one isn't known"
    done = [cell for cell in layout.cells if cell.place.target == target and cell.state is State.DONE]
    other = [
        f"{split}.conll" for split, each in known.splits.items()
        if any(split_sum(inner(cell.facts, "data"), split) not in ("", each.sha256) for cell in done)
    ]  # fmt: skip
    differ = f"{', '.join(other)}: not as the registry knows {known.name}" if other else ""
    return "; ".join(filter(None, ("" if known.fits else known.split, differ)))
