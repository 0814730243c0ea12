"""The benchmark's first two grids: F1 of every system on every row, and the tests behind its stars."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from nerbert.evaluation.tables.compare import WHOLE, Compared, Key
from nerbert.evaluation.tables.grid import NONE, Column, ColumnKind, Entry, Grid, TableRow
from nerbert.evaluation.tables.layout import ColumnKey, Group, Layout, RowKey, by_target, mean_sizes, of_size
from nerbert.evaluation.tables.published import Numbered, papers, published_entry
from nerbert.evaluation.tables.statistics import FEWEST, Summary, Test, mean_of, together
from nerbert.terminal import percent

_WHY_LENGTH = 200


def scores_grid(board: Layout, protocol: str, tests: Mapping[Key, Compared], notes: Numbered) -> Grid:
    """F1 on each target and size under a protocol, published figures beside it, means over the targets that all have.

    Systems that haven't run have a column and hold nothing up: neither means nor bold.
    """
    makers = [maker for maker in board.makers if maker.protocol == protocol]
    theirs = [
        Column(each.name, ColumnKind.PUBLISHED, note=notes.number(f"{each.name}: {each.of}")) for each in papers(board)
    ]
    rows = [_row(board, makers, spot, tests, notes) for spot in board.spots]
    means = [_mean_row(board, makers, size, tests, notes) for size in mean_sizes(board.spots)]
    names = (Column("target", ColumnKind.NAME), Column("trained on", ColumnKind.NAME))
    where = f", {protocol}" if len(board.protocols) > 1 else ""
    return Grid(
        "scores", f"Entity F1 in percent{where}: mean ± standard deviation, 95 % interval",
        (*names, *(Column(maker.system) for maker in makers), *theirs), (*rows, *means),
    )  # fmt: skip


def tests_grid(board: Layout, tests: Mapping[Key, Compared], notes: Numbered) -> Grid | None:
    """Each system's difference from the baseline, with its interval and p; None if there is nothing to compare."""
    if not tests:
        return None
    heads = ("difference", "95 % interval", "n", "p", "Holm p", "least p")
    names = [Column(head, ColumnKind.NAME) for head in ("target", "trained on", "system")]
    return Grid(
        "tests", f"Differences from {board.baseline}, in points of F1", (*names, *(Column(head) for head in heads)),
        tuple(_test_rows(board, tests, notes)),
    )  # fmt: skip


def spread(seen: Summary | None) -> str:
    """`59.34 ± 0.83`, or the mean alone where there is no spread."""
    if seen is None:
        return NONE
    return percent(seen.mean) if seen.sd is None else f"{percent(seen.mean)} ± {percent(seen.sd)}"


def interval(low: float | None, high: float | None) -> str:
    """`[57.32, 61.40]`, in percent; cut at 0 and 100, beyond which no F1 lies."""
    return NONE if low is None or high is None else f"[{percent(max(0.0, low))}, {percent(min(1.0, high))}]"


def sized(size: str) -> str:
    """What a size is called in a row."""
    return f"{size} sentences" if size.isdigit() else size


def _row(
    board: Layout, makers: Sequence[ColumnKey], spot: RowKey, tests: Mapping[Key, Compared], notes: Numbered
) -> TableRow:
    groups = {maker: board.at(spot, maker) for maker in makers}
    seen = {maker: group.summary() for maker, group in groups.items()}
    best = _best(seen, complete=all(groups[maker].complete for maker in makers if maker in board.ran))
    entries = []
    for maker, group in groups.items():
        failed = _failed(board.named(maker), spot, group, notes)
        mark = tests[maker, spot].mark if (maker, spot) in tests else ""
        entries.append(_entry([group], seen[maker], mark, failed, best=maker in best))
    theirs = [published_entry(board, each, [spot], notes) for each in papers(board)]
    return TableRow((Entry(spot.target), Entry(sized(spot.size)), *entries, *theirs))


def _entry(groups: Sequence[Group], seen: Summary | None, mark: str, failed: tuple[int, ...], *, best: bool) -> Entry:
    if seen is None:
        return Entry("failed" if failed else NONE, notes=failed)
    done, wanted = (sum(map(len, runs)) for runs in ([g.done for g in groups], [g.wanted for g in groups]))
    missing = "" if done == wanted else f" ({done}/{wanted})"
    below = "" if seen.low is None else interval(seen.low, seen.high)
    return Entry(f"{spread(seen)}{missing}", below, mark, failed, best=best)


def _failed(name: str, spot: RowKey, group: Group, notes: Numbered) -> tuple[int, ...]:
    """The numbers of the notes that say which cells failed and why, one a reason."""
    reasons: dict[str, list[str]] = {}
    for (draw, seed), why in sorted(group.failed.items()):
        reasons.setdefault(_shortened(why), []).append(f"{draw}/{seed}")
    return tuple(
        notes.number(f"{name} on {spot.target}, {sized(spot.size)}, failed at draw/seed {', '.join(runs)}: {why}")
        for why, runs in reasons.items()
    )


def _shortened(why: str) -> str:
    why = " ".join(why.split())
    return why if len(why) <= _WHY_LENGTH else f"{why[:_WHY_LENGTH]}…"


def _best(seen: Mapping[ColumnKey, Summary | None], *, complete: bool) -> set[ColumnKey]:
    """The columns with the highest mean, as it is shown; none where a run is missing, or there is one column only."""
    means = {maker: round(100 * each.mean, 2) for maker, each in seen.items() if each is not None}
    if not complete or len(means) < 2:
        return set()
    return {maker for maker, mean in means.items() if mean == max(means.values())}


def _mean_row(
    board: Layout, makers: Sequence[ColumnKey], size: str, tests: Mapping[Key, Compared], notes: Numbered
) -> TableRow:
    """The mean over the targets of a size on which every column that has run has a finished run."""
    asked, ran = of_size(board.spots, size), [maker for maker in makers if maker in board.ran]
    spots = [spot for spot in board.shared(ran) if spot in asked]
    used = by_target(spots)
    seen = {maker: _mean(board, maker, used.values()) if maker in ran else None for maker in makers}
    best = _best(seen, complete=all(board.at(spot, maker).complete for maker in ran for spot in spots))
    marks = {maker: tests[maker, RowKey(WHOLE, size)] for maker in makers if (maker, RowKey(WHOLE, size)) in tests}
    entries = []
    for maker, each in seen.items():
        mark = marks[maker].mark if maker in marks and marks[maker].spots == tuple(spots) else ""
        entries.append(_entry([board.at(spot, maker) for spot in spots], each, mark, (), best=maker in best))
    theirs = [published_entry(board, each, spots, notes) for each in papers(board)]
    number, whole = len(used), len(by_target(asked))
    name = f"mean of {number} targets" if number == whole else f"mean of {number} of {whole} targets"
    return TableRow((Entry(name), Entry(_whole_size(size)), *entries, *theirs), whole=True)


def _mean(board: Layout, maker: ColumnKey, used: Iterable[list[RowKey]]) -> Summary | None:
    parts = [[board.at(spot, maker).summary() for spot in spots] for spots in used]
    known = [together([each for each in part if each is not None]) for part in parts]
    return mean_of(known) if known else None


def _whole_size(size: str) -> str:
    return sized(size) if size else "each at its size"


def _test_rows(board: Layout, tests: Mapping[Key, Compared], notes: Numbered) -> Iterator[TableRow]:
    """Rows of single targets with a run in common, then those over all targets."""
    for (maker, spot), each in tests.items():
        if spot.target != WHOLE and each.test.n:
            names = (spot.target, sized(spot.size), board.named(maker))
            yield _test_row(names, each.test, each.corrected, notes)
    for (maker, spot), each in tests.items():
        if spot.target == WHOLE:
            number, whole = (len(by_target(spots)) for spots in (each.spots, of_size(board.spots, spot.size)))
            target = f"all {whole} targets" if number == whole else f"{number} of {whole} targets"
            where, name = (target, _whole_size(spot.size)), board.named(maker)
            yield _test_row((*where, f"{name}: runs vary"), each.test, each.corrected, notes, whole=True)
            if each.targets is not None and each.targets.p is not None:
                told = f"{name}: targets vary, ahead on {each.better}"
                yield _test_row((*where, told), each.targets, None, notes, whole=True)


def _test_row(
    names: tuple[str, ...], test: Test, corrected: float | None, notes: Numbered, *, whole: bool = False
) -> TableRow:
    difference = f"{100 * test.difference:+.2f}"
    low_high = NONE if test.low is None or test.high is None else f"[{100 * test.low:+.2f}, {100 * test.high:+.2f}]"
    why = (notes.number(f"no test: {test.why}"),) if test.why else ()
    texts = (*names, difference, low_high, str(test.n))
    least = Entry(told_p(test.least_p or None))
    tested = (Entry(told_p(test.p), notes=why), Entry(told_p(corrected)), least)
    return TableRow((*map(Entry, texts), *tested), whole=whole, minor=not whole and test.n < FEWEST)


def told_p(p: float | None) -> str:
    """A p in three digits, and in more where these would be on the other side of a level than p is."""
    if p is None:
        return NONE
    told = [f"{p:.3f}" if p >= 0.1 else f"{p:#.{digits}g}" for digits in range(3, 16)]
    sides = [p < level for level in (0.05, 0.01, 0.001)]
    return next((each for each in told if [float(each) < level for level in (0.05, 0.01, 0.001)] == sides), told[-1])
