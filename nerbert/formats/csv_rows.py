"""Tables (CSV, TSV) with a header, streamed row by row; of texts, one column holds the text.

The delimiter is whichever of comma, semicolon, tab and bar gives the wanted columns of the header.
"""

import csv
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

from nerbert.errors import InputError, nearest
from nerbert.formats.jsonl import text_of
from nerbert.formats.rows import LONGEST_LINE, Line, Stream
from nerbert.records import Document

_DELIMITERS = ",;\t|"
_NUMBER = re.compile(r"\s*-?\d+(?:[.,]\d+)?\s*")


class TableForm(NamedTuple):
    """A table's delimiter, the names of its columns, and their meanings: meaning → place."""

    delimiter: str
    names: list[str]
    own: dict[str, int]


class TableRow(NamedTuple):
    """The cells of a row, and their lines."""

    form: TableForm
    cells: list[str]
    lines: list[Line]

    @property
    def line(self) -> int:
        """Return the number of the first line."""
        return self.lines[0].number

    def get(self, meaning: str) -> str:
        """Return a cell, "" if the table has no such column."""
        place = self.form.own.get(meaning)
        return "" if place is None else self.cells[place]


def table_texts(source: Stream) -> Iterator[Document]:
    """Yield the text in a column of each row, all cells as fields. Raise InputError for a header without that column,
    and for rows that don't fit it.
    """
    for row in table_rows(source.lines(), lambda header: _text_form(header, source.field)):
        with row.lines[0].place():
            fields = dict(zip(row.form.names, row.cells, strict=True))
            found = text_of(fields, source.field, row.line, sum(line.size for line in row.lines))
        yield found


def _text_form(header: str, field: str) -> TableForm:
    """Return how a table is cut whose header has the column `field`."""
    cuts = list(cuts_of(header))
    if not cuts:
        _cells(header, _DELIMITERS[0])  # says why
    found = next((form for form in cuts if field in form.names), None)
    names = (found or max(cuts, key=lambda form: len(form.names))).names
    if found is None:
        there, numbers = ", ".join(map(repr, names)), [name for name in names if _NUMBER.fullmatch(name)]
        remedy = "write a first row that names the columns" if numbers else "name the text's with --field"
        raise InputError(
            f"no column {field!r}{nearest(field, names)} (the header has {there:.200}); {remedy}, "
            "or pass --from text for one text per line"
        )
    if repeated := next((name for place, name in enumerate(names) if name in names[:place]), None):
        raise InputError(f"several columns {repeated!r}; rename all but one")
    return found


def cuts_of(header: str) -> Iterator[TableForm]:
    """Yield the columns of a header for each delimiter in it."""
    for delimiter in _DELIMITERS:
        with suppress(InputError):  # a quoted cell ends at the wrong one
            yield TableForm(delimiter, _cells(header, delimiter), {})


def _cells(header: str, delimiter: str) -> list[str]:
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_LINE))  # one for the whole process
    try:
        return next(csv.reader([header], delimiter=delimiter, strict=True), [])
    except csv.Error as error:
        raise _unreadable(error) from None


def table_rows(lines: Iterable[Line], form_of: Callable[[str], TableForm]) -> Iterator[TableRow]:
    """Yield the rows after the header, cut as `form_of` says for its text."""
    lines, held = iter(lines), list[Line]()
    header = next((line for line in lines if line.text.strip()), None)
    if header is None:
        return
    with header.place():
        form = form_of(header.text.strip("\r"))

    def texts() -> Iterator[str]:
        for line in lines:
            held.append(line)
            yield f"{line.text}\n"

    try:
        for cells in csv.reader(texts(), delimiter=form.delimiter, strict=True):
            row, held = held, []
            if cells and len(cells) != len(form.names):
                with row[0].place():
                    raise InputError(f"the row has {len(cells)} columns, and the header {len(form.names)}; fix it")
            if cells:
                yield TableRow(form, cells, row)
    except csv.Error as error:
        with held[0].place():
            raise _unreadable(error) from None


def _unreadable(error: csv.Error) -> InputError:
    return InputError(f"a row that can't be read: {error}; write a quote in a quoted cell twice")
