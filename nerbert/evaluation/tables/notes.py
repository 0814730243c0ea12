"""Notes on a benchmark's table: how to read it, and what the cells don't have in common; and facts to make it again.

Nothing keeps cells that were made in different ways from being compared, so notes say what differs and in how many
cells. The template `benchmark_notes.txt.j2` holds the sentences. Read from a cell's facts, where they are there:
`versions` (library → version), `device`, `machine`, `precision`, `commit`, `finished`, `cpu_seconds`, `encoder`
(digest), `data` (file → digest), `unknown_types` (of test entities, absent in training), `reached` (type → entities).
Digests are shortened: the cells have them in full.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from nerbert.evaluation.benchmark.cells import Cell, State
from nerbert.evaluation.tables.compare import WHOLE, Compared, Key, families
from nerbert.evaluation.tables.layout import Layout, RowKey, by_target
from nerbert.evaluation.tables.pooled import figure, inner
from nerbert.evaluation.tables.statistics import EXACT
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.finetuning.sizes import SizeUnit, many, parse_size
from nerbert.render import render

_NAMED, _DIGEST = 8, 12
_SAME = {"device": "devices", "machine": "machines", "precision": "precisions", "commit": "commits"}
"""Facts that the cells of a table should have in common, with their plurals."""


def notes_of(layout: Layout, tests: Mapping[Key, Compared]) -> tuple[str, ...]:
    """Return the notes that apply, a sentence or more each."""
    done = _done(layout)
    states = Counter(cell.state for cell in layout.cells)
    idle = [column for column in layout.columns if column not in layout.ran]
    failed = [column for column in idle if any(layout.at(row_key, column).failed for row_key in layout.row_keys)]
    duplicates, unknown, reached = _coverage(layout)
    most = max((each.test.n for (_, row_key), each in tests.items() if row_key.target == WHOLE), default=0)
    text = render(
        "benchmark_notes.txt.j2",
        rules={"F1": _rules(cell.scores for cell in done),
               "Strict F1": _rules(inner(cell.scores, "strict") for cell in done)},
        idle={"Not run": [layout.named(column) for column in idle if column not in failed],
              "Without a finished run": [layout.named(column) for column in failed]},
        single=_single_draws(layout),
        episodes=any(parse_size(row_key.size).kind is SizeUnit.EPISODE for row_key in layout.row_keys),
        means=len(by_target(layout.row_keys)) > 1,
        baseline=layout.baseline, families=_families(layout, tests), rounded=most > EXACT, exact=EXACT,
        systems=len(layout.suite.systems),
        protocols={name: _changes(settings) for name, settings in layout.suite.protocols.items()},
        sources=_sources(layout),
        duplicates=duplicates, unknown=unknown, reached=reached,
        differences=_differences(done),
        cells=len(layout.cells), done=len(done), failed=states[State.FAILED], not_run=states[State.NOT_RUN],
        strangers=many(layout.strangers, "cell") if layout.strangers else "",
    )  # fmt: skip
    return tuple(line for line in text.split("\n") if line)


def facts_of(layout: Layout) -> dict[str, str]:
    """Return the facts that are needed to make the table again."""
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


def _rules(scores: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Return the rules of scoring with their number of cells, most first."""
    texts = (each.get("rules") for each in scores)
    return dict(Counter(text for text in texts if text and isinstance(text, str)).most_common())


def _single_draws(layout: Layout) -> str:
    """Return the targets and sizes that are drawn once: `a, 10 and 5%; c, 50`."""
    single = [
        row_key for row_key in layout.row_keys
        if parse_size(row_key.size).kind not in (SizeUnit.ALL, SizeUnit.EPISODE)
        and len({draw for column in layout.columns for draw, _ in layout.at(row_key, column).wanted}) == 1
    ]  # fmt: skip
    sizes = {target: [row_key.size for row_key in row_keys] for target, row_keys in by_target(single).items()}
    return "; ".join(
        f"{target}, {' and '.join(filter(None, (', '.join(each[:-1]), each[-1])))}" for target, each in sizes.items()
    )


def _families(layout: Layout, tests: Mapping[Key, Compared]) -> str:
    """Return which tests are corrected together; "" if there is none."""
    numbers = {key: len(family) for key, family in families(tests).items()}
    parts = []
    for protocol in layout.protocols:
        where = f" under {protocol}" if len(layout.protocols) > 1 else ""
        rows, whole = numbers.get((protocol, False), 0), numbers.get((protocol, True), 0)
        parts += [f"for the {rows} on single targets{where}"] if rows else []
        parts += [f"{'apart from these ' if rows else ''}for the {whole} over all targets{where}"] if whole else []
    return ", ".join(parts)


def _changes(settings: FinetuneSettings) -> list[str]:
    """Return the settings of a protocol that aren't the defaults."""
    usual, names = FinetuneSettings(), sorted(each.name for each in fields(settings) if each.name != "seed")
    values = {name: getattr(settings, name) for name in names}
    return [f"{name} = {value!r}" for name, value in values.items() if value != getattr(usual, name)]


def _sources(layout: Layout) -> dict[tuple[str, str], list[str]]:
    """Return (source data, seeds of its checkpoint) → the systems that are trained on it first."""
    found: dict[tuple[str, str], list[str]] = {}
    for name, system in layout.suite.systems.items():
        if system.source:
            seeds = {cell.facts.get("source_seed") for cell in layout.cells if cell.place.system == name} - {None}
            found.setdefault((system.source, ", ".join(sorted(map(str, seeds)))), []).append(name)
    return found


def _coverage(layout: Layout) -> tuple[list[str], list[str], list[str]]:
    """Return counts of duplicates by target, types that the training sentences lack, and the k that was reached."""
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
    return [f"{target} {number}" for target, number in most.items()], unknown, reached


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


def _differences(done: list[Cell]) -> dict[str, dict[str, int]]:
    """Return the values of each fact that cells should have in common, with their number of cells."""
    facts = {name: Counter(_text(cell.facts.get(name)) for cell in done) for name in _SAME}
    for name in sorted({name for cell in done for name in inner(cell.facts, "versions")}):
        facts[name] = Counter(_text(inner(cell.facts, "versions").get(name)) for cell in done)
    return {name: dict(sorted(values.items())) for name, values in facts.items()}


def _text(value: object) -> str:
    return "unknown" if value is None else str(value)
