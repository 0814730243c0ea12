"""Small tables that ship with the package, and their reader.

Tables are tab-separated text with a header, so that anyone can read and change them. Lines that begin with `#` give a
table's source.
"""

from collections.abc import Iterator
from importlib.resources import files


def read_columns(name: str, *columns: str, package: str = __name__) -> Iterator[tuple[str, ...]]:
    """Yield the cells of each row of a table of a Python package, in the order of `columns`."""
    text = files(package).joinpath(name).read_text(encoding="utf-8")
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    header = next(lines).split("\t")
    places = [header.index(column) for column in columns]
    for line in lines:
        cells = line.split("\t")
        yield tuple([cells[place] for place in places])  # faster than a generator
