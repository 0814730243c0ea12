"""What must be known to read a benchmark's table, in sentences.

Cells of one table that were made in different ways are told of with their number: nothing keeps them from being
compared, so the reader must know.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from nerbert.evaluation.benchmark.cells import Cell, State
from nerbert.evaluation.tables.compare import WHOLE, Compared, Key, families
from nerbert.evaluation.tables.coverage_notes import drawn_notes
from nerbert.evaluation.tables.layout import Layout, RowKey, by_target
from nerbert.evaluation.tables.pooled import figure, inner
from nerbert.evaluation.tables.reproduction import SAME, worded
from nerbert.evaluation.tables.statistics import EXACT
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.finetuning.sizes import SizeUnit, parse_size


def notes_of(board: Layout, tests: Mapping[Key, Compared]) -> Iterator[str]:
    """Rules of scoring, what ± and stars are, what is missing, what differs between the cells."""
    done = [cell for cell in board.cells if cell.state is State.DONE]
    yield from _rules(done)
    yield from _not_run(board)
    yield from _spread(board)
    yield from _testing(board, tests)
    yield from _protocols(board)
    yield from _twins(board)
    yield from drawn_notes(board)
    yield from _differences(done)
    states = Counter(cell.state for cell in board.cells)
    if len(done) < len(board.cells):
        yield (f"Of {len(board.cells)} cells {states[State.DONE]} are done, {states[State.FAILED]} failed, "
               f"{states[State.NOT_RUN]} not run (–). (2/3) after a figure: two runs of three are done.")  # fmt: skip
    if board.strangers:
        yield f"Left out, since the suite doesn't ask for it: {_cells(board.strangers)}."


def _rules(done: list[Cell]) -> Iterator[str]:
    for name, key in (("F1", "rules"), ("Strict F1", "strict.rules")):
        rules = Counter(text for cell in done if (text := _text(cell.scores, key)))
        if len(rules) == 1:
            yield f"{name} is scored by: {next(iter(rules))}."
        elif rules:
            counted = "; ".join(f"{text} ({_cells(number)})" for text, number in rules.most_common())
            yield f"Not comparable as they stand: the cells' {name} was scored by different rules: {counted}."


def _not_run(board: Layout) -> Iterator[str]:
    """Columns without a finished run, which no mean waits for."""
    idle = [maker for maker in board.makers if maker not in board.ran]
    failed = {maker: any(board.at(spot, maker).failed for spot in board.spots) for maker in idle}
    for head, makers in (("Not run", [maker for maker in idle if not failed[maker]]),
                         ("Without a finished run", [maker for maker in idle if failed[maker]])):  # fmt: skip
        if makers:
            yield f"{head}: {'; '.join(map(board.named, makers))}. Means, bold and tests are of the other columns."


def _spread(board: Layout) -> Iterator[str]:
    yield ("± is the sample standard deviation over independent runs, in brackets stands the 95 % confidence interval "
           "of their mean (t distribution). Where several draws of the training sentences have several seeds each, a "
           "draw's runs are averaged first, and the draws are the runs that count.")  # fmt: skip
    kinds = {spot: parse_size(spot.size).kind for spot in board.spots}
    drawn = [
        spot for spot in board.spots if kinds[spot] not in (SizeUnit.ALL, SizeUnit.EPISODE) and _draws(board, spot) == 1
    ]
    if drawn:
        told = "; ".join(
            f"{target}, {_and([spot.size for spot in spots])}" for target, spots in by_target(drawn).items()
        )
        yield f"One draw only at {told}: there ± doesn't show how much the choice of sentences matters."
    if SizeUnit.EPISODE in kinds.values():
        yield ("Episodes (way, shot): right, predicted and gold entities of all draws and seeds are added up before "
               "F1, as Few-NERD does over draws. Seeds share the episodes, so ±, interval and test are over draws, "
               "the seeds of a draw added up: ± is how much episodes differ, the interval is of all.")  # fmt: skip
    if len(by_target(board.spots)) > 1:
        yield ("A mean is over targets, each once (its sizes averaged first), and only over those on which every "
               "column of the table that has run has a finished run; its ± and interval are about training on these "
               "very targets.")  # fmt: skip


def _testing(board: Layout, tests: Mapping[Key, Compared]) -> Iterator[str]:
    numbers = {key: len(family) for key, family in families(tests).items()}
    if numbers:
        yield (f"* p < 0.05, ** p < 0.01, *** p < 0.001 for the difference from {board.baseline}, better or worse, "
               f"over the same draws and seeds, corrected by Holm: {_families(board, numbers)}. On a target: paired "
               "t-test, from three runs on. Over all targets on which the two have runs in common: sign-flip test, "
               f"each target with the same weight, {_exact(tests)}; “runs vary” asks whether the chance of training "
               "explains the difference on these targets, “targets vary” whether other targets would show it too (one "
               "observation a target; not corrected). A mean has a star only if its targets are the tested ones. Least "
               "p: the smallest that the test can reach with n, the number of independent observations.")  # fmt: skip
    if len({maker.system for maker in board.makers}) > 1:
        yield "Bold: the highest mean of a row in which every run is done, of the columns that have run."


def _families(board: Layout, numbers: Mapping[tuple[str, bool], int]) -> str:
    told = []
    for protocol in board.protocols:
        where = f" under {protocol}" if len(board.protocols) > 1 else ""
        rows, whole = numbers.get((protocol, False), 0), numbers.get((protocol, True), 0)
        if rows:
            told.append(f"for the {rows} on single targets{where}")
        if whole:
            told.append(f"apart from these for the {whole} over all targets{where}" if rows else
                        f"for the {whole} over all targets{where}")  # fmt: skip
    return ", ".join(told)


def _exact(tests: Mapping[Key, Compared]) -> str:
    most = max((each.test.n for (_, spot), each in tests.items() if spot.target == WHOLE), default=0)
    if most <= EXACT:
        return "exact"
    return f"exact up to n = {EXACT}, beyond with rounding that can make p a little too large, never too small"


def _draws(board: Layout, spot: RowKey) -> int:
    return len({draw for maker in board.makers for draw, _ in board.at(spot, maker).wanted})


def _and(texts: list[str]) -> str:
    *others, last = texts
    return f"{', '.join(others)} and {last}" if others else last


def _protocols(board: Layout) -> Iterator[str]:
    usual, suite = FinetuneSettings(), board.suite
    for name, settings in suite.protocols.items():
        other = {
            each.name: getattr(settings, each.name)
            for each in fields(settings)
            if each.name != "seed" and getattr(settings, each.name) != getattr(usual, each.name)
        }
        told = ", ".join(f"{key} = {value!r}" for key, value in other.items())
        yield f"Protocol {name}: {told or 'the defaults of nerbert finetune'}."
    sources: dict[tuple[str, str], list[str]] = {}
    for name, system in suite.systems.items():
        if system.source:
            sources.setdefault((system.source, _seed(board, name)), []).append(name)
    for (source, seed), names in sources.items():
        yield (f"Trained on {source} first: {'; '.join(names)}. One checkpoint{seed} is made of each under a protocol "
               "and shared by all its runs there, so ± and p don't contain the chance of that training.")  # fmt: skip


def _seed(board: Layout, system: str) -> str:
    """The seed of a source domain's checkpoint, as cells tell of it."""
    seeds = {cell.facts.get("source_seed") for cell in board.cells if cell.place.system == system} - {None}
    return f" (seed {', '.join(map(str, sorted(seeds, key=str)))})" if seeds else ""


def _twins(board: Layout) -> Iterator[str]:
    """How many test sentences stand in train too, by target."""
    most: dict[str, int] = {}
    for cell in board.cells:
        left_out = figure(cell.scores, "without.left_out")
        if left_out and parse_size(cell.place.size).kind is not SizeUnit.EPISODE:
            most[cell.place.target] = max(most.get(cell.place.target, 0), int(left_out))
    if most:
        told = ", ".join(f"{target} {number}" for target, number in most.items())
        yield f"Twins: test sentences that stand in train too ({told}). The table's F1 counts them."


def _differences(done: list[Cell]) -> Iterator[str]:
    """What cells of this table don't have in common."""
    versions = {name for cell in done for name in inner(cell.facts, "versions")}
    found = {name: Counter(worded(cell.facts.get(name)) for cell in done) for name in SAME}
    for name in sorted(versions):
        found[name] = Counter(worded(inner(cell.facts, "versions").get(name)) for cell in done)
    for name, values in found.items():
        if len(values) > 1:
            told = "; ".join(f"{value} ({_cells(number)})" for value, number in sorted(values.items()))
            yield f"Cells of this table differ in {name}: {told}."


def _cells(number: int) -> str:
    return f"{number} {'cell' if number == 1 else 'cells'}"


def _text(values: Mapping[str, Any], path: str) -> str:
    *above, last = path.split(".")
    for key in above:
        values = inner(values, key)
    found = values.get(last)
    return found if isinstance(found, str) else ""
