"""Make the table of a suite from its cells: equal cells give equal tables."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from nerbert.data.sampling import SizeUnit, parse_size
from nerbert.errors import few
from nerbert_bench.cells import Cell
from nerbert_bench.suite import Suite
from nerbert_bench.tables.results import BenchmarkTable, Layout, RowKey, by_target, learns
from nerbert_bench.tables.scores import Tests, compare, figures_grid, scores_grid, tests_grid, type_grids

_DIGEST = 12
_SAME = ("device", "machine", "precision", "commit")
"""Facts, besides the versions, that the cells of a table should have in common."""


def make_table(suite: Suite, cells: Sequence[Cell]) -> BenchmarkTable:
    """Return the table of a suite; missing cells count as not run, the order of cells doesn't matter."""
    layout = Layout(suite, cells)
    tests = compare(layout)
    grids = [
        *(scores_grid(layout, protocol, tests) for protocol in suite.protocols),
        tests_grid(layout, tests),
        figures_grid(layout, "zero_shot"),
        figures_grid(layout, "zero_shot_spans"),
        figures_grid(layout, "figures"),
        figures_grid(layout, "errors"),
        *type_grids(layout),
    ]
    return BenchmarkTable(
        name=suite.name,
        title=" ".join(suite.title.split()) or suite.name,
        about=" ".join(suite.about.split()),
        grids=tuple(grid for grid in grids if grid.rows or grid.key == "scores"),
        published=suite.published,
        note_facts=note_facts_of(layout, tests),
        facts=facts_of(layout),
        cells=layout.cells,
    )


def note_facts_of(layout: Layout, tests: Tests) -> dict[str, Any]:
    """Return the facts with which `render.benchmark.notes_of` chooses and fills the notes."""
    suite, done = layout.suite, layout.done
    # Other systems have their own libraries and devices, which nerbert doesn't know.
    origins = [_origin(cell) for cell in done if "command" not in cell.facts]
    libraries = sorted(set().union(*origins) - {*_SAME})
    return {
        "suite": suite,
        "baseline": layout.baseline,
        "tested": bool(tests),
        "means": list(layout.group_means),
        "units": {row_key.unit for row_key in layout.row_keys},
        "learns": learns(layout.row_keys),
        "states": Counter(cell.state for cell in layout.cells),
        "targets": list(by_target(layout.row_keys)),
        "rules": {
            "F1": _count_cells(cell.scores.get("rules") for cell in done),
            "Strict F1": _count_cells((cell.scores.get("strict") or {}).get("rules") for cell in done),
        },
        "idle": [layout.name_of(column) for column in layout.columns if column not in layout.ran],
        # One draw says little about how F1 varies with the choice of sentences.
        "single": _drawn_once(suite),
        "encoders": {layout.name_of(column): len(digests) for column, digests in layout.encoders.items() if digests},
        "differences": {
            name: _count_cells(origin.get(name, "unknown") for origin in origins) for name in (*_SAME, *libraries)
        },
        **_coverage(done),
    }


def _origin(cell: Cell) -> dict[str, Any]:
    """Return the device, the commit and the like of a cell, and its versions."""
    return {name: cell.facts[name] for name in _SAME if name in cell.facts} | dict(cell.facts.get("versions", {}))


def _drawn_once(suite: Suite) -> list[str]:
    """Return the targets and sizes whose training sentences are a single draw."""
    return [
        f"{target.data}, {size}"
        for target in suite.targets
        for size in target.sizes
        if parse_size(size).unit in (SizeUnit.SENTENCES, SizeUnit.PERCENT, SizeUnit.EACH)
        and len({draw for draw, _ in suite.trainings(target, size)}) == 1
    ]


def facts_of(layout: Layout) -> dict[str, str]:
    """Return the facts needed to reproduce the table."""
    done = layout.done
    finished = sorted(str(cell.facts["finished"]) for cell in done if cell.facts.get("finished"))
    versions = {f"{name} {version}" for cell in done for name, version in cell.facts.get("versions", {}).items()}
    data = (
        (f"{target} {file}", digest)
        for target, versions_of_data in layout.data.items()
        for files in versions_of_data
        for file, digest in files.items()
    )
    facts = {
        "cells": f"{len(done)} of {len(layout.cells)} done",
        "seeds": ", ".join(map(str, sorted({cell.place.seed for cell in layout.cells}))),
        "made": " to ".join(dict.fromkeys(finished[:1] + finished[-1:])),
        **{name: ", ".join(sorted({str(cell.facts[name]) for cell in done if name in cell.facts})) for name in _SAME},
        "versions": ", ".join(sorted(versions)),
        "encoders": _digests((cell.place.system, cell.facts.get("encoder")) for cell in done),
        "data": _digests(data),
        "CPU-hours": _cpu_hours(layout.cells),
    }
    return {name: text for name, text in facts.items() if text}


def _cpu_hours(cells: Iterable[Cell]) -> str:
    # A command's cell has several places, one for each protocol, but ran once.
    by_key = {cell.facts.get("keys", {}).get("score", cell.place): cell for cell in cells}
    seconds = sum(cell.facts.get("cpu_seconds", 0) for cell in by_key.values())
    return f"{seconds / 3600:.2f}" if seconds else ""


def _digests(named: Iterable[tuple[str, Any]]) -> str:
    return ", ".join(dict.fromkeys(f"{name} {str(digest)[:_DIGEST]}" for name, digest in named if digest))


def _count_cells(values: Iterable[Any]) -> dict[str, int]:
    """Return values with their number of cells, most first."""
    return dict(Counter(str(value) for value in values if value).most_common())


def _coverage(done: list[Cell]) -> dict[str, Any]:
    """Return counts of duplicates by target, types that the training sentences lack, and the k that was reached."""
    duplicates: dict[str, int] = {}
    unknown: dict[str, set[str]] = defaultdict(set)
    reached: dict[RowKey, list[tuple[str, int]]] = defaultdict(list)
    for cell in done:
        row_key = RowKey(cell.place.target, cell.place.size)
        # Episodes draw their own training sentences, so train's duplicates don't matter.
        if (left_out := (cell.scores.get("without") or {}).get("left_out")) and row_key.unit is not SizeUnit.EPISODE:
            duplicates[row_key.target] = max(left_out, duplicates.get(row_key.target, 0))
        if types := cell.facts.get("unknown_types"):
            unknown[", ".join(row_key)].update(types)
        if row_key.unit is SizeUnit.EACH and (counts := cell.facts.get("reached", {})):
            reached[row_key] += counts.items()
    return {
        "duplicates": [f"{target} {count}" for target, count in duplicates.items()],
        "unknown": [f"{where}: {few(sorted(types))}" for where, types in unknown.items()],
        "reached": [_reached_text(row_key, counts) for row_key, counts in reached.items()],
    }


def _reached_text(row_key: RowKey, counts: Sequence[tuple[str, int]]) -> str:
    """Return `btc, k=4: 4–9, too few of X (2)`: types that have fewer in all of train."""
    numbers = [count for _, count in counts]
    shots = parse_size(row_key.size).shots
    fewer = [f"{name} ({count})" for name, count in dict(sorted(counts)).items() if count < shots]
    return f"{', '.join(row_key)}: {min(numbers)}–{max(numbers)}{f', too few of {few(fewer)}' if fewer else ''}"
