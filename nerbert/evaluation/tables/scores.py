"""The benchmark's first two grids: F1 of every system on every row, and the tests behind its stars."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from nerbert.evaluation.benchmark.suite import Published
from nerbert.evaluation.tables.board import Board, Group, Maker, Spot, by_target
from nerbert.evaluation.tables.compare import Compared, Key
from nerbert.evaluation.tables.grid import NONE, Column, Entry, Grid, Kind, Row
from nerbert.evaluation.tables.statistics import Summary, Test, mean_of, together
from nerbert.show import percent

_WHY_LENGTH = 200


class Numbered:
    """Notes with numbers; the same note has one number."""

    def __init__(self) -> None:
        self.texts: dict[str, int] = {}

    def number(self, text: str) -> int:
        """The note's number."""
        return self.texts.setdefault(text, len(self.texts) + 1)


def scores_grid(board: Board, tests: Mapping[Key, Compared], notes: Numbered) -> Grid:
    """F1 on each target and size, published figures beside it, and the mean over the targets that all have."""
    several = len({maker.protocol for maker in board.makers}) > 1
    ours = [Column(maker.system, below=maker.protocol if several else "") for maker in board.makers]
    sources = [(each.name, notes.number(f"{each.name}: {each.of}")) for each in _papers(board)]
    theirs = [Column(name, Kind.PUBLISHED, note=number) for name, number in sources]
    rows = [_row(board, spot, tests, notes) for spot in board.spots]
    names = (Column("target", Kind.NAME), Column("trained on", Kind.NAME))
    return Grid(
        "scores", "Entity F1 in percent: mean ± standard deviation, 95 % interval", (*names, *ours, *theirs),
        (*rows, *_mean_rows(board, tests)),
    )  # fmt: skip


def tests_grid(board: Board, tests: Mapping[Key, Compared], notes: Numbered) -> Grid | None:
    """Each system's difference from the baseline, with its interval and p; None if there is nothing to compare."""
    if not tests:
        return None
    heads = ("difference", "95 % interval", "n", "p", "Holm p", "least p")
    names = [Column(head, Kind.NAME) for head in ("target", "trained on", "system")]
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


def _row(board: Board, spot: Spot, tests: Mapping[Key, Compared], notes: Numbered) -> Row:
    groups = {maker: board.at(spot, maker) for maker in board.makers}
    seen = {maker: group.summary() for maker, group in groups.items()}
    best = _best(seen, complete=all(group.complete for group in groups.values()))
    entries = []
    for maker, group in groups.items():
        failed = _failed(board.named(maker), spot, group, notes)
        mark = tests[maker, spot].mark if (maker, spot) in tests else ""
        entries.append(_entry([group], seen[maker], mark, failed, best=maker in best))
    theirs = [Entry(_published([each.f1.get(spot.target)] if spot.size == "all" else [])) for each in _papers(board)]
    return Row((Entry(spot.target), Entry(sized(spot.size)), *entries, *theirs))


def _entry(groups: Sequence[Group], seen: Summary | None, mark: str, failed: tuple[int, ...], *, best: bool) -> Entry:
    if seen is None:
        return Entry("failed" if failed else NONE, notes=failed)
    done, wanted = (sum(map(len, runs)) for runs in ([g.done for g in groups], [g.wanted for g in groups]))
    missing = "" if done == wanted else f" ({done}/{wanted})"
    below = "" if seen.low is None else interval(seen.low, seen.high)
    return Entry(f"{spread(seen)}{missing}", below, mark, failed, best=best)


def _failed(name: str, spot: Spot, group: Group, notes: Numbered) -> tuple[int, ...]:
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


def _best(seen: Mapping[Maker, Summary | None], *, complete: bool) -> set[Maker]:
    """The columns with the highest mean, as it is shown; none where a run is missing, or there is one column only."""
    means = {maker: round(100 * each.mean, 2) for maker, each in seen.items() if each is not None}
    if not complete or len(means) < 2:
        return set()
    return {maker for maker, mean in means.items() if mean == max(means.values())}


def _mean_rows(board: Board, tests: Mapping[Key, Compared]) -> Iterator[Row]:
    """The mean at each size that several targets have, if a target has several; last the mean over all targets."""
    sizes = dict.fromkeys(spot.size for spot in board.spots)
    several_sizes = any(len(spots) > 1 for spots in by_target(board.spots).values())
    for size in sizes if several_sizes else ():
        asked = [spot for spot in board.spots if spot.size == size]
        if len(asked) > 1:
            yield _mean_row(board, asked, sized(size))
    if len(by_target(board.spots)) > 1:
        marks = {maker: tests[maker, None].mark for maker in board.makers if (maker, None) in tests}
        yield _mean_row(board, board.spots, "each at its size" if len(sizes) > 1 else sized(next(iter(sizes))), marks)


def _mean_row(board: Board, asked: Sequence[Spot], size: str, marks: Mapping[Maker, str] | None = None) -> Row:
    """The mean over the targets on which every column has a finished run."""
    used = by_target([spot for spot in asked if spot in board.shared])
    number, whole = len(used), len(by_target(asked))
    name = f"mean of {number} targets" if number == whole else f"mean of {number} of {whole} targets"
    seen = {maker: _mean(board, maker, used.values()) for maker in board.makers}
    groups = {maker: [board.at(spot, maker) for spots in used.values() for spot in spots] for maker in board.makers}
    best = _best(seen, complete=all(group.complete for each in groups.values() for group in each))
    entries = [
        _entry(groups[maker], each, (marks or {}).get(maker, ""), (), best=maker in best)
        for maker, each in seen.items()
    ]
    full = all(spot.size == "all" for spots in used.values() for spot in spots)
    theirs = [Entry(_published([each.f1.get(target) for target in used] if full else [])) for each in _papers(board)]
    return Row((Entry(name), Entry(size), *entries, *theirs), whole=True)


def _mean(board: Board, maker: Maker, used: Iterable[list[Spot]]) -> Summary | None:
    parts = [[board.at(spot, maker).summary() for spot in spots] for spots in used]
    known = [together([each for each in part if each is not None]) for part in parts]
    return mean_of(known) if known else None


def _papers(board: Board) -> tuple[Published, ...]:
    """Published figures that have a row to stand in."""
    targets = {spot.target for spot in board.spots if spot.size == "all"}
    return tuple(each for each in board.suite.published if targets & each.f1.keys())


def _published(figures: Sequence[float | None]) -> str:
    known = [each for each in figures if each is not None]
    return f"{sum(known) / len(known):.2f}" if known and len(known) == len(figures) else NONE


def _test_rows(board: Board, tests: Mapping[Key, Compared], notes: Numbered) -> Iterator[Row]:
    for (maker, spot), each in tests.items():
        if spot is not None:
            names = (spot.target, sized(spot.size), board.named(maker))
            yield _test_row(names, each.test, each.corrected, notes)
    for (maker, spot), each in tests.items():
        if spot is None:
            name = board.named(maker)
            yield _test_row(("all targets", "runs vary", name), each.test, each.corrected, notes)
            if each.targets is not None:
                told = f"{name}: ahead on {each.better} of {each.targets.n}"
                yield _test_row(("all targets", "targets vary", told), each.targets, None, notes)


def _test_row(names: tuple[str, ...], test: Test, corrected: float | None, notes: Numbered) -> Row:
    difference = NONE if test.n == 0 else f"{100 * test.difference:+.2f}"
    low_high = NONE if test.low is None or test.high is None else f"[{100 * test.low:+.2f}, {100 * test.high:+.2f}]"
    why = (notes.number(f"no test: {test.why}"),) if test.why else ()
    texts = (*names, difference, low_high, str(test.n))
    tested = (Entry(_p(test.p), notes=why), Entry(_p(corrected)), Entry(_p(test.least_p) if test.least_p else NONE))
    return Row((*map(Entry, texts), *tested), whole=names[0] == "all targets")


def _p(p: float | None) -> str:
    if p is None:
        return NONE
    return f"{p:.3f}" if p >= 0.001 else f"{p:.2g}"
