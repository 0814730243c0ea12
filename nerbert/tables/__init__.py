"""Small tables that ship with the package, and the one way of reading them.

The choice: tab-separated text with a header, so that who doubts a row can read and change it. Lines that begin with `#`
say where a table comes from.
"""

from collections.abc import Iterator
from importlib.resources import files


def read_columns(name: str, *columns: str) -> Iterator[tuple[str, ...]]:
    """Yield the cells of each row of a table, in the order of `columns`."""
    text = files(__name__).joinpath(name).read_text(encoding="utf-8")
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    header = next(lines).split("\t")
    places = [header.index(column) for column in columns]
    for line in lines:
        cells = line.split("\t")
        yield tuple([cells[place] for place in places])  # faster than a generator
