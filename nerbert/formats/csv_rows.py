"""Tables (CSV, TSV) with a header as rows of texts: one column holds the text, all others are fields, as texts.

Columns are cut at whichever of comma, semicolon, tab and bar finds the text's column in the header. Rows are given as
they come, so a row ends with the first line at which no quote is open. The price: lines are scanned for that before
`csv` parses them.
"""

import csv
import re
from collections.abc import Iterator
from contextlib import suppress

from nerbert.errors import InputError, nearest
from nerbert.formats.jsonl import row_of
from nerbert.formats.rows import LONGEST_LINE, Line, Lines, TextRow

DELIMITERS = ",;\t|"
"""What may stand between cells."""
_NUMBER = re.compile(r"\s*-?\d+(?:[.,]\d+)?\s*")
_CLOSING = re.compile(r'[^"]*+(?:""[^"]*+)*+"')
"""The rest of a quoted cell, in which a quote is written twice."""


def csv_rows(lines: Lines, field: str) -> Iterator[TextRow | None]:
    """Yield a row a row of the table, its text in the column `field`; None where `lines` has it.

    Raise InputError for a header without that column, and for rows that don't fit it.
    """
    header, delimiter = list[str](), ","
    held, size, is_open = list[Line](), 0, False
    for line in lines:
        if line is None:
            yield None
            continue
        if not held and not (line.text if header else line.text.strip()):
            continue
        if not header:
            with line.place():
                header, delimiter = _header(line.text, field)
            continue
        is_open, size = _is_open(line.text, delimiter, is_open=is_open), size + len(line.text)
        held.append(line)
        if is_open and size <= LONGEST_LINE:
            continue
        yield _row(held, header, delimiter, field)
        held, size, is_open = [], 0, False
    if held:
        yield _row(held, header, delimiter, field)


def _header(text: str, field: str) -> tuple[list[str], str]:
    """Return the names of the columns, and what stands between them."""
    cuts = list[tuple[list[str], str]]()
    for each in DELIMITERS:
        with suppress(InputError):  # a quoted cell ends at the wrong one
            cuts.append((_cells(text, each), each))
    found = next((each for each in cuts if field in each[0]), None)
    if not cuts:
        _cells(text, DELIMITERS[0])  # says why
    names, delimiter = found or max(cuts, key=lambda each: len(each[0]))
    if found is None:
        there, numbers = ", ".join(map(repr, names)), [name for name in names if _NUMBER.fullmatch(name)]
        remedy = "write a first row that names the columns" if numbers else "name the text's with --field"
        raise InputError(
            f"no column {field!r}{nearest(field, names)} (the header has {there:.200}); {remedy}, "
            "or pass --from text for a text a line"
        )
    if repeated := next((name for place, name in enumerate(names) if name in names[:place]), None):
        raise InputError(f"several columns {repeated!r}; rename all but one")
    return names, delimiter


def _is_open(line: str, delimiter: str, *, is_open: bool) -> bool:
    """Return whether a quoted cell goes on behind a line; `is_open` says whether one goes on from the line before."""
    place = 0
    while True:
        if not is_open and line.startswith('"', place):
            is_open, place = True, place + 1
        if is_open:
            closing = _CLOSING.match(line, place)
            if closing is None:
                return True
            is_open, place = False, closing.end()
        place = line.find(delimiter, place) + 1
        if not place:
            return False


def _row(lines: list[Line], header: list[str], delimiter: str, field: str) -> TextRow:
    source = "\n".join(line.text for line in lines)
    with lines[0].place():
        cells = _cells(source, delimiter)
        if len(cells) != len(header):
            raise InputError(f"the row has {len(cells)} columns, and the header {len(header)}; mend it")
        return row_of(lines[0].number, dict(zip(header, cells, strict=True)), field, source)


def allow_long_cells() -> None:
    """Let `csv` read cells of any length that a text may have; the limit is one for the whole process."""
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_LINE))


def _cells(source: str, delimiter: str) -> list[str]:
    allow_long_cells()
    try:
        return next(csv.reader([source], delimiter=delimiter, strict=True), [])
    except csv.Error as error:
        raise InputError(f"a row that can't be read: {error}; a quote in a quoted cell is written twice") from None
