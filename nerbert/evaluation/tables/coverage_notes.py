"""What the sentences that a cell trained on lack or hold, in words: types unknown to them, and the k reached.

Read from a cell's facts: `unknown_types` (of test entities, absent in training) and `reached` (type → entities).
"""

from collections.abc import Iterator, Mapping

from nerbert.evaluation.benchmark.cells import Cell
from nerbert.evaluation.tables.layout import Layout, RowKey
from nerbert.finetuning.sizes import SizeUnit, parse_size

_NAMED = 8


def drawn_notes(board: Layout) -> Iterator[str]:
    """One note a kind, over all rows that have it."""
    cells = {
        spot: [cell for maker in board.makers for cell in board.at(spot, maker).done.values()] for spot in board.spots
    }
    unknown = [_unknown(spot, each) for spot, each in cells.items()]
    if any(unknown):
        yield f"Types in test that the training sentences of a draw lack, counted as missed: {_joined(unknown)}."
    reached = [_reached(spot, each) for spot, each in cells.items() if parse_size(spot.size).kind is SizeUnit.EACH]
    if any(reached):
        yield f"Entities of a type reached, fewest to most over types and draws: {_joined(reached)}."


def _unknown(spot: RowKey, cells: list[Cell]) -> str:
    names = sorted({str(name) for cell in cells for name in _list(cell.facts.get("unknown_types"))})
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{spot.target}, {spot.size}: {', '.join(names[:_NAMED])}{more}" if names else ""


def _reached(spot: RowKey, cells: list[Cell]) -> str:
    """`btc, k=4: 4–9; fewer: X (2)`: types that have fewer in all of train."""
    found = [(str(name), count) for cell in cells for name, count in _items(cell.facts.get("reached"))]
    if not found:
        return ""
    counts = [count for _, count in found]
    fewer = dict(sorted((name, count) for name, count in found if count < parse_size(spot.size).shots))
    told = ", ".join(f"{name} ({count})" for name, count in list(fewer.items())[:_NAMED])
    return f"{spot.target}, {spot.size}: {min(counts)}–{max(counts)}{f', too few of {told}' if told else ''}"


def _joined(parts: list[str]) -> str:
    return "; ".join(filter(None, parts))


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else []


def _items(value: object) -> list[tuple[object, int]]:
    pairs = value.items() if isinstance(value, Mapping) else ()
    return [(name, count) for name, count in pairs if isinstance(count, int)]
