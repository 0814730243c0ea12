"""Which columns of a wide grid stand beside each other: as many as fit, the names in every part."""

from collections.abc import Iterator, Sequence

from nerbert.evaluation.tables.grid import ColumnKind, Grid


def cut(grid: Grid, widths: Sequence[int], width: int, places: Sequence[int] | None = None) -> Iterator[list[int]]:
    """Places of columns, part by part, each with the columns of names; one column at least stands beside these."""
    places = range(len(grid.columns)) if places is None else places
    names = [place for place in places if grid.columns[place].kind is ColumnKind.NAME]
    taken = sum(widths[place] for place in names)
    part: list[int] = []
    for place in (place for place in places if place not in names):
        if part and taken + sum(widths[each] for each in part) + widths[place] > width:
            yield [*names, *part]
            part = []
        part.append(place)
    yield [*names, *part]
