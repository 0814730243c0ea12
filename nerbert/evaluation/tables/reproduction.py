"""What it takes to make a benchmark's table again, and to trust that its cells belong together.

From a cell's facts are read, where they are there: `versions` (library → version), `device`, `machine`, `precision`,
`commit`, `finished` (ISO date and time), `cpu_seconds`, `encoder` (digest), `data` (file → digest). Digests are
shortened: the cells have them in full.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from nerbert.evaluation.benchmark.cells import Cell, State
from nerbert.evaluation.tables.layout import Layout
from nerbert.evaluation.tables.pooled import figure, inner

_DIGEST = 12
SAME = {"device": "devices", "machine": "machines", "precision": "precisions", "commit": "commits"}
"""Facts that the cells of a table had better have in common, with their plurals."""


def facts_of(board: Layout) -> dict[str, str]:
    """What it takes to make the table again."""
    done = [cell for cell in board.cells if cell.state is State.DONE]
    seconds = sum(figure(cell.facts, "cpu_seconds") or 0 for cell in board.cells)
    found = {
        "cells": f"{len(done)} of {len(board.cells)} done",
        "seeds": ", ".join(map(str, sorted({cell.place.seed for cell in board.cells}))),
        "made": " to ".join(_ends(_texts(done, "finished"))),
        **{name if len(_texts(done, key)) > 1 else key: ", ".join(_texts(done, key)) for key, name in SAME.items()},
        "versions": ", ".join(_versions(done)),
        "encoders": ", ".join(_digests(done, "encoder", lambda cell: cell.place.system)),
        "data": ", ".join(_digests(done, "data", lambda cell: cell.place.target)),
        "CPU-hours": f"{seconds / 3600:.2f}" if seconds else "",
    }
    return {name: text for name, text in found.items() if text}


def _texts(done: list[Cell], key: str) -> list[str]:
    return sorted({worded(cell.facts[key]) for cell in done if cell.facts.get(key)})


def _versions(done: list[Cell]) -> list[str]:
    found: dict[str, set[str]] = {}
    for cell in done:
        for name, version in inner(cell.facts, "versions").items():
            found.setdefault(str(name), set()).add(worded(version))
    return [f"{name} {' / '.join(sorted(versions))}" for name, versions in sorted(found.items())]


def _digests(done: list[Cell], key: str, whose: Any) -> Iterator[str]:
    """`name digest` of each system's or target's files, in order, each once."""
    found: dict[str, None] = {}
    for cell in done:
        value = cell.facts.get(key)
        files = {f"{whose(cell)} {name}": each for name, each in value.items()} if isinstance(value, Mapping) else {}
        digests = files or ({whose(cell): value} if value else {})
        for name, digest in ((name, digest) for name, digest in digests.items() if digest):
            found[f"{name} {worded(digest)[:_DIGEST]}"] = None
    yield from found


def _ends(texts: list[str]) -> list[str]:
    return list(dict.fromkeys((texts[0], texts[-1]))) if texts else []


def worded(value: object) -> str:
    """A fact in words."""
    return "not told" if value is None else str(value)
