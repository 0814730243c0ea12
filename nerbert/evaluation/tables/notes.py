"""What one must know to read a benchmark's table, in sentences, and to make it again.

Nothing keeps cells that were made in different ways from being compared, so notes say what differs and in how many
cells. Read from a cell's facts, where they are there: `versions` (library → version), `device`, `machine`, `precision`,
`commit`, `finished`, `cpu_seconds`, `encoder` (digest), `data` (file → digest), `unknown_types` (of test entities,
absent in training), `reached` (type → entities). Digests are shortened: the cells have them in full.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Any

from nerbert.evaluation.benchmark.cells import Cell, State
from nerbert.evaluation.tables.compare import WHOLE, Compared, Key, families
from nerbert.evaluation.tables.layout import Layout, RowKey, by_target
from nerbert.evaluation.tables.pooled import figure, inner
from nerbert.evaluation.tables.statistics import EXACT
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.finetuning.sizes import SizeUnit, parse_size

_NAMED, _DIGEST = 8, 12
_SAME = {"device": "devices", "machine": "machines", "precision": "precisions", "commit": "commits"}
"""Facts that the cells of a table should have in common, with their plurals."""


def notes_of(layout: Layout, tests: Mapping[Key, Compared]) -> Iterator[str]:
    """Yield rules of scoring, the meaning of ± and stars, what is missing, what differs between the cells."""
    done = _done(layout)
    yield from _rules(done)
    yield from _not_run(layout)
    yield from _spread(layout)
    yield from _testing(layout, tests)
    yield from _protocols(layout)
    yield from _coverage(layout)
    yield from _differences(done)
    states = Counter(cell.state for cell in layout.cells)
    if len(done) < len(layout.cells):
        yield (f"Of {len(layout.cells)} cells {states[State.DONE]} are done, {states[State.FAILED]} failed, "
               f"{states[State.NOT_RUN]} not run (–). (2/3) after a figure: two runs of three are done.")  # fmt: skip
    if layout.strangers:
        yield f"Left out, since the suite doesn't ask for it: {_cells(layout.strangers)}."


def facts_of(layout: Layout) -> dict[str, str]:
    """Return what one needs to make the table again."""
    done = _done(layout)
    seconds = sum(figure(cell.facts, "cpu_seconds") or 0 for cell in layout.cells)
    finished = _values(done, "finished")
    same = {key: _values(done, key) for key in _SAME}
    versions: dict[str, set[str]] = {}
    for cell in done:
        for name, version in inner(cell.facts, "versions").items():
            versions.setdefault(str(name), set()).add(str(version))
    facts = {
        "cells": f"{len(done)} of {len(layout.cells)} done",
        "seeds": ", ".join(map(str, sorted({cell.place.seed for cell in layout.cells}))),
        "made": " to ".join(dict.fromkeys((finished[0], finished[-1]))) if finished else "",
        **{_SAME[key] if len(values) > 1 else key: ", ".join(values) for key, values in same.items()},
        "versions": ", ".join(f"{name} {' / '.join(sorted(each))}" for name, each in sorted(versions.items())),
        "encoders": _digests((cell.place.system, cell.facts.get("encoder")) for cell in done),
        "data": _digests((f"{cell.place.target} {file}", digest) for cell in done
                         for file, digest in inner(cell.facts, "data").items()),
        "CPU-hours": f"{seconds / 3600:.2f}" if seconds else "",
    }  # fmt: skip
    return {name: text for name, text in facts.items() if text}


def _done(layout: Layout) -> list[Cell]:
    return [cell for cell in layout.cells if cell.state is State.DONE]


def _values(done: list[Cell], key: str) -> list[str]:
    return sorted({str(cell.facts[key]) for cell in done if cell.facts.get(key)})


def _digests(named: Iterable[tuple[str, Any]]) -> str:
    return ", ".join(dict.fromkeys(f"{name} {str(digest)[:_DIGEST]}" for name, digest in named if digest))


def _rules(done: list[Cell]) -> Iterator[str]:
    strict = [inner(cell.scores, "strict") for cell in done]
    for name, scores in (("F1", [cell.scores for cell in done]), ("Strict F1", strict)):
        texts = (each.get("rules") for each in scores)
        known = Counter(text for text in texts if text and isinstance(text, str)).most_common()
        if len(known) == 1:
            yield f"{name} is scored by: {known[0][0]}."
        elif known:
            counted = "; ".join(f"{text} ({_cells(number)})" for text, number in known)
            yield f"Not comparable: the cells' {name} was scored by different rules: {counted}."


def _not_run(layout: Layout) -> Iterator[str]:
    """Yield the columns without a finished run, which no mean waits for."""
    idle: dict[bool, list[str]] = {False: [], True: []}
    for column in layout.columns:
        if column not in layout.ran:
            failed = any(layout.at(row_key, column).failed for row_key in layout.row_keys)
            idle[failed].append(layout.named(column))
    for head, names in (("Not run", idle[False]), ("Without a finished run", idle[True])):
        if names:
            yield f"{head}: {'; '.join(names)}. Means, bold and tests are of the other columns."


def _spread(layout: Layout) -> Iterator[str]:
    yield ("± is the sample standard deviation over independent runs; in brackets is the 95 % confidence interval of "
           "their mean (t distribution). Where several draws of the training sentences have several seeds each, a "
           "draw's runs are averaged first, and the draws are the runs that count.")  # fmt: skip
    kinds = {row_key: parse_size(row_key.size).kind for row_key in layout.row_keys}
    single = [
        row_key for row_key, kind in kinds.items()
        if kind not in (SizeUnit.ALL, SizeUnit.EPISODE)
        and len({draw for column in layout.columns for draw, _ in layout.at(row_key, column).wanted}) == 1
    ]  # fmt: skip
    if single:
        where = "; ".join(f"{name}, {_and([key.size for key in keys])}" for name, keys in by_target(single).items())
        yield f"One draw only at {where}: there ± doesn't show how much the choice of sentences matters."
    if SizeUnit.EPISODE in kinds.values():
        yield ("Episodes (way, shot): right, predicted and gold entities of all draws and seeds are added up before "
               "F1, as Few-NERD does over draws. Seeds share the episodes, so ±, interval and test are over draws, "
               "the seeds of a draw added up: ± is how much episodes differ, the interval is of all.")  # fmt: skip
    if len(by_target(layout.row_keys)) > 1:
        yield ("A mean is over targets, each once (its sizes averaged first), and only over those on which every "
               "column of the table that has run has a finished run; its ± and interval are about training on these "
               "very targets.")  # fmt: skip


def _testing(layout: Layout, tests: Mapping[Key, Compared]) -> Iterator[str]:
    numbers = {key: len(family) for key, family in families(tests).items()}
    if numbers:
        most = max((each.test.n for (_, row_key), each in tests.items() if row_key.target == WHOLE), default=0)
        rounded = f" up to n = {EXACT}, beyond with rounding that can make p a little too large, never too small"
        yield (f"* p < 0.05, ** p < 0.01, *** p < 0.001 for the difference from {layout.baseline}, better or worse, "
               f"over the same draws and seeds, corrected by Holm: {_families(layout, numbers)}. On a target: paired "
               "t-test, from three runs on. Over all targets on which the two have runs in common: sign-flip test, "
               f"each target with the same weight, exact{rounded if most > EXACT else ''}; “runs vary” asks whether "
               "the chance of training explains the difference on these targets, “targets vary” whether other targets "
               "would show it too (one observation a target; not corrected). A mean has a star only if its targets are "
               "the tested ones. Least p: the smallest that the test can reach with n, the number of independent "
               "observations.")  # fmt: skip
    if len({column.system for column in layout.columns}) > 1:
        yield "Bold: the highest mean of a row in which every run is done, of the columns that have run."


def _families(layout: Layout, numbers: Mapping[tuple[str, bool], int]) -> str:
    """Return which tests are corrected together."""
    parts = []
    for protocol in layout.protocols:
        where = f" under {protocol}" if len(layout.protocols) > 1 else ""
        rows, whole = numbers.get((protocol, False), 0), numbers.get((protocol, True), 0)
        apart = "apart from these " if rows else ""
        parts += [f"for the {rows} on single targets{where}"] if rows else []
        parts += [f"{apart}for the {whole} over all targets{where}"] if whole else []
    return ", ".join(parts)


def _protocols(layout: Layout) -> Iterator[str]:
    usual, suite = FinetuneSettings(), layout.suite
    for name, settings in suite.protocols.items():
        values = {each.name: getattr(settings, each.name) for each in fields(settings) if each.name != "seed"}
        other = [f"{key} = {value!r}" for key, value in values.items() if value != getattr(usual, key)]
        yield f"Protocol {name}: {', '.join(other) or 'the defaults of nerbert finetune'}."
    sources: dict[tuple[str, str], list[str]] = {}
    for name, system in suite.systems.items():
        if system.source:
            seeds = {cell.facts.get("source_seed") for cell in layout.cells if cell.place.system == name} - {None}
            seed = f" (seed {', '.join(map(str, sorted(seeds, key=str)))})" if seeds else ""
            sources.setdefault((system.source, seed), []).append(name)
    for (source, seed), names in sources.items():
        yield (f"Trained on {source} first: {'; '.join(names)}. One checkpoint{seed} is made of each under a protocol "
               "and shared by all its runs there, so ± and p don't contain the chance of that training.")  # fmt: skip


def _coverage(layout: Layout) -> Iterator[str]:
    """Yield what train and test share, types that the training sentences lack, and the k that was reached."""
    most: dict[str, int] = {}
    unknown, reached = [], []
    for row_key in layout.row_keys:
        kind = parse_size(row_key.size).kind
        cells = [cell for column in layout.columns for cell in layout.at(row_key, column).done.values()]
        left_out = max((int(figure(cell.scores, "without.left_out") or 0) for cell in cells), default=0)
        if left_out and kind is not SizeUnit.EPISODE:
            most[row_key.target] = max(left_out, most.get(row_key.target, 0))
        unknown += _unknown(row_key, cells)
        reached += _reached(row_key, cells) if kind is SizeUnit.EACH else []
    if most:
        counts = ", ".join(f"{target} {number}" for target, number in most.items())
        yield f"Twins: test sentences that are in train too ({counts}). The table's F1 counts them."
    if unknown:
        yield f"Types in test that the training sentences of a draw lack, counted as missed: {'; '.join(unknown)}."
    if reached:
        yield f"Entities of a type reached, fewest to most over types and draws: {'; '.join(reached)}."


def _unknown(row_key: RowKey, cells: list[Cell]) -> list[str]:
    lists = [found for cell in cells if isinstance(found := cell.facts.get("unknown_types"), list | tuple)]
    names = sorted({str(name) for found in lists for name in found})
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return [f"{row_key.target}, {row_key.size}: {', '.join(names[:_NAMED])}{more}"] if names else []


def _reached(row_key: RowKey, cells: list[Cell]) -> list[str]:
    """Return `btc, k=4: 4–9, too few of X (2)`: types that have fewer in all of train."""
    found = [
        (str(name), count) for cell in cells for name, count in inner(cell.facts, "reached").items()
        if isinstance(count, int)
    ]  # fmt: skip
    if not found:
        return []
    counts = [count for _, count in found]
    fewer = dict(sorted((name, count) for name, count in found if count < parse_size(row_key.size).shots))
    short = ", ".join(f"{name} ({count})" for name, count in list(fewer.items())[:_NAMED])
    lacking = f", too few of {short}" if short else ""
    return [f"{row_key.target}, {row_key.size}: {min(counts)}–{max(counts)}{lacking}"]


def _differences(done: list[Cell]) -> Iterator[str]:
    """Yield what cells of this table don't have in common."""
    facts = {name: Counter(_text(cell.facts.get(name)) for cell in done) for name in _SAME}
    for name in sorted({name for cell in done for name in inner(cell.facts, "versions")}):
        facts[name] = Counter(_text(inner(cell.facts, "versions").get(name)) for cell in done)
    for name, values in facts.items():
        if len(values) > 1:
            counted = "; ".join(f"{value} ({_cells(number)})" for value, number in sorted(values.items()))
            yield f"Cells of this table differ in {name}: {counted}."


def _text(value: object) -> str:
    return "unknown" if value is None else str(value)


def _cells(number: int) -> str:
    return f"{number} {'cell' if number == 1 else 'cells'}"


def _and(texts: list[str]) -> str:
    *others, last = texts
    return f"{', '.join(others)} and {last}" if others else last
