"""What must be known to read a benchmark's table, and to make it again: notes and facts.

From a cell's facts are read, where they are there: `versions` (library → version), `device`, `machine`, `precision`,
`commit`, `finished` (ISO date and time), `cpu_seconds`, `encoder` (digest), `data` (file → digest). Digests are
shortened; the CSV and the cells have them in full. Cells of one table that were made in different ways are told of
with their number: nothing keeps them from being compared, so the reader must know.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from nerbert.evaluation.benchmark.cells import Cell, State
from nerbert.evaluation.benchmark.suite import Suite
from nerbert.evaluation.tables.board import Board, by_target
from nerbert.evaluation.tables.compare import Compared, Key
from nerbert.evaluation.tables.drawn import drawn_notes
from nerbert.evaluation.tables.pooled import figure
from nerbert.finetune.settings import FinetuneSettings
from nerbert.finetune.sizes import Kind, parse_size

_DIGEST = 12
_SAME = {"device": "devices", "machine": "machines", "precision": "precisions", "commit": "commits"}


def notes_of(board: Board, tests: Mapping[Key, Compared]) -> Iterator[str]:
    """Rules of scoring, what ± and stars are, what is missing, what differs between the cells."""
    done = [cell for cell in board.cells if cell.state is State.DONE]
    yield from _rules(done)
    yield from _spread(board)
    yield from _testing(board, tests)
    yield from _protocols(board.suite)
    yield from _twins(board)
    yield from drawn_notes(board)
    yield from _differences(done)
    states = Counter(cell.state for cell in board.cells)
    if len(done) < len(board.cells):
        yield (f"Of {len(board.cells)} cells {states[State.DONE]} are done, {states[State.FAILED]} failed, "
               f"{states[State.NOT_RUN]} not run (–). (2/3) after a figure: two runs of three are done.")  # fmt: skip
    if board.strangers:
        yield f"Left out, since the suite doesn't ask for it: {_cells(board.strangers)}."


def facts_of(board: Board) -> dict[str, str]:
    """What it takes to make the table again."""
    done = [cell for cell in board.cells if cell.state is State.DONE]
    seconds = sum(figure(cell.facts, "cpu_seconds") or 0 for cell in board.cells)
    told = {
        "cells": f"{len(done)} of {len(board.cells)} done",
        "seeds": ", ".join(map(str, sorted({cell.place.seed for cell in board.cells}))),
        "made": " to ".join(_ends(_texts(done, "finished"))),
        **{name if len(_texts(done, key)) > 1 else key: ", ".join(_texts(done, key)) for key, name in _SAME.items()},
        "versions": ", ".join(_versions(done)),
        "encoders": ", ".join(_digests(done, "encoder", lambda cell: cell.place.system)),
        "data": ", ".join(_digests(done, "data", lambda cell: cell.place.target)),
        "CPU-hours": f"{seconds / 3600:.2f}" if seconds else "",
    }
    return {name: text for name, text in told.items() if text}


def _rules(done: list[Cell]) -> Iterator[str]:
    for name, key in (("F1", "rules"), ("Strict F1", "strict.rules")):
        rules = Counter(text for cell in done if (text := _text(cell.scores, key)))
        if len(rules) == 1:
            yield f"{name} is scored by: {next(iter(rules))}."
        elif rules:
            counted = "; ".join(f"{text} ({_cells(number)})" for text, number in rules.most_common())
            yield f"Not comparable as they stand: the cells' {name} was scored by different rules: {counted}."


def _spread(board: Board) -> Iterator[str]:
    yield ("± is the sample standard deviation over independent runs, in brackets stands the 95 % confidence interval "
           "of their mean (t distribution). Where several draws of the training sentences have several seeds each, a "
           "draw's runs are averaged first, and the draws are the runs that count.")  # fmt: skip
    once = {cell.place.size for cell in board.cells} - {cell.place.size for cell in board.cells if cell.place.draw > 1}
    drawn = sorted(size for size in once if parse_size(size).kind is not Kind.ALL)
    if drawn:
        yield f"One draw only at {', '.join(drawn)}: there ± doesn't show how much the choice of sentences matters."
    if any(parse_size(spot.size).kind is Kind.EPISODE for spot in board.spots):
        yield ("Episodes (way, shot): right, predicted and gold entities of all draws of a seed are added up before "
               "F1, as Few-NERD does; the runs that count are seeds.")  # fmt: skip
    if len(by_target(board.spots)) > 1:
        yield ("The mean is over targets, each once (its sizes averaged first), and only over those on which every "
               "column has a finished run; its ± and interval are about training on these very targets.")  # fmt: skip


def _testing(board: Board, tests: Mapping[Key, Compared]) -> Iterator[str]:
    number = sum(each.corrected is not None for each in tests.values())
    if number:
        yield (f"* p < 0.05, ** p < 0.01, *** p < 0.001 for the difference from {board.baseline}, better or worse, "
               f"over the same draws and seeds, corrected by Holm for the table's {number} tests. On a target: paired "
               "t-test, from three runs on. On all targets: exact sign-flip test, each target with the same weight; "
               "“runs vary” asks whether the chance of training explains the difference on these targets, “targets "
               "vary” whether other targets would show it too (one observation a target; not corrected). Least p: the "
               "smallest that the test can reach with n, the number of independent observations.")  # fmt: skip
    if len({maker.system for maker in board.makers}) > 1:
        yield "Bold: the highest mean of a row whose runs are all done."


def _protocols(suite: Suite) -> Iterator[str]:
    usual = FinetuneSettings()
    for name, settings in suite.protocols.items():
        other = {
            each.name: getattr(settings, each.name)
            for each in fields(settings)
            if each.name != "seed" and getattr(settings, each.name) != getattr(usual, each.name)
        }
        told = ", ".join(f"{key} = {value!r}" for key, value in other.items())
        yield f"Protocol {name}: {told or 'the defaults of nerbert finetune'}."
    for name, system in suite.systems.items():
        if system.source:
            yield f"{name}: trained on {system.source} first."


def _twins(board: Board) -> Iterator[str]:
    """How many test sentences stand in train too, by target."""
    most: dict[str, int] = {}
    for cell in board.cells:
        left_out = figure(cell.scores, "without.left_out")
        if left_out and parse_size(cell.place.size).kind is not Kind.EPISODE:
            most[cell.place.target] = max(most.get(cell.place.target, 0), int(left_out))
    if most:
        told = ", ".join(f"{target} {number}" for target, number in most.items())
        yield f"Twins: test sentences that stand in train too ({told}). The table's F1 counts them."


def _differences(done: list[Cell]) -> Iterator[str]:
    """What cells of this table don't have in common."""
    versions = {name for cell in done for name in _mapping(cell.facts, "versions")}
    found = {name: Counter(_told(cell.facts.get(name)) for cell in done) for name in _SAME}
    for name in sorted(versions):
        found[name] = Counter(_told(_mapping(cell.facts, "versions").get(name)) for cell in done)
    for name, values in found.items():
        if len(values) > 1:
            told = "; ".join(f"{value} ({_cells(number)})" for value, number in sorted(values.items()))
            yield f"Cells of this table differ in {name}: {told}."


def _texts(done: list[Cell], key: str) -> list[str]:
    return sorted({_told(cell.facts[key]) for cell in done if cell.facts.get(key)})


def _versions(done: list[Cell]) -> list[str]:
    found: dict[str, set[str]] = {}
    for cell in done:
        for name, version in _mapping(cell.facts, "versions").items():
            found.setdefault(str(name), set()).add(_told(version))
    return [f"{name} {' / '.join(sorted(versions))}" for name, versions in sorted(found.items())]


def _digests(done: list[Cell], key: str, whose: Any) -> Iterator[str]:
    """`name digest` of each system's or target's files, in order, each once."""
    found: dict[str, None] = {}
    for cell in done:
        value = cell.facts.get(key)
        files = {f"{whose(cell)} {name}": each for name, each in value.items()} if isinstance(value, Mapping) else {}
        told = files or ({whose(cell): value} if value else {})
        for name, digest in ((name, digest) for name, digest in told.items() if digest):
            found[f"{name} {_told(digest)[:_DIGEST]}"] = None
    yield from found


def _cells(number: int) -> str:
    return f"{number} {'cell' if number == 1 else 'cells'}"


def _ends(texts: list[str]) -> list[str]:
    return list(dict.fromkeys((texts[0], texts[-1]))) if texts else []


def _mapping(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = values.get(key)
    return found if isinstance(found, Mapping) else {}


def _text(values: Mapping[str, Any], path: str) -> str:
    *above, last = path.split(".")
    for key in above:
        values = _mapping(values, key)
    found = values.get(last)
    return found if isinstance(found, str) else ""


def _told(value: object) -> str:
    return "not told" if value is None else str(value)
