"""Files of texts with open types as rows of fields: JSON lines, one JSON array, CSV or Parquet.

A file's beginning decides, not its name. All are streamed: a row, or an element of an array, is held whole, and one
longer than `LONGEST_LINE` is refused. Cost: Parquet can't be read from a compressed file.
"""

import codecs
import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any

from nerbert.errors import InputError, at, need
from nerbert.formats.csv_rows import TableForm, cuts_of, table_rows
from nerbert.formats.examples import foreign, unannotated
from nerbert.formats.json_files import is_array
from nerbert.formats.jsonl import json_object
from nerbert.formats.rows import LONGEST_LINE, UTF_16, is_utf16, read_lines
from nerbert.registry import FORMATS
from nerbert.sources.files import BOM, open_plain

Row = tuple[AbstractContextManager[None], Mapping[str, Any]]
"""The place of a row, for errors, and its fields."""
INPUT, OUTPUT, CONVERSATIONS = "input", "output", "conversations"
"""Names of fields: NuNER's text and mentions; Pile-NER's turns."""
_COLUMNS = ((INPUT, OUTPUT), (CONVERSATIONS,))
"""Columns that a table must have, the first of these that it has; others are ignored."""
_READ = "JSON lines, one JSON array of objects, CSV with the columns input and output, or plain Parquet"
_HEAD, _PIECE = 1 << 16, 1 << 20
_SURE = 1 << 12
"""A fault so many characters before the end of what was read isn't due to the cut."""
_PARQUET = b"PAR1"
_SPACE = " \t\r\n"
_DECODER = json.JSONDecoder()


def open_type_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a file, plain or compressed; raise InputError for a broken one, or another kind of file."""
    with open_plain(path) as stream:
        peeked: Any = stream
        head: bytes = peeked.peek(_HEAD).removeprefix(BOM)
        if head.startswith(_PARQUET) and not _is_packed(path):
            yield from _parquet_rows(path)
        elif not head.strip() or head.lstrip().startswith(b"{"):
            yield from _line_rows(stream, path)
        elif is_array(head):
            yield from _array_rows(stream, path)
        elif _table_form(head.decode("utf-8", "ignore").lstrip().partition("\n")[0]):
            yield from _table_rows(stream, path)
        else:
            raise InputError(f"{path}: seems to be {_other(path, head)}; open types are read from {_READ}")


def _is_packed(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(_PARQUET)) != _PARQUET


def _other(path: Path, head: bytes) -> str:
    """Return a guess at the content of a file of another kind."""
    known = next((name for name in FORMATS if FORMATS.find(name)().recognise(path, head)), "")
    other = UTF_16 if is_utf16(head) else (known and f"annotated sentences ({known})") or foreign(head, "")
    return other or unannotated(head) or "something else"


def _line_rows(stream: IO[bytes], path: Path) -> Iterator[Row]:
    for line in read_lines(stream, path):
        if line and line.text.strip():
            with line.place():
                fields = json_object(line.text)
            yield line.place(), fields


def _table_rows(stream: IO[bytes], path: Path) -> Iterator[Row]:
    for row in table_rows(read_lines(stream, path), _checked_form):
        if row:
            yield row.lines[0].place(), {name: row.get(name) for name in (INPUT, OUTPUT)}


def _checked_form(header: str) -> TableForm:
    """Return how a table is cut; raise InputError for a header whose columns aren't clear."""
    form = _table_form(header)
    if form is None or any(form.names.count(name) > 1 for name in (INPUT, OUTPUT)):
        raise InputError(f"header {header!r:.80}: must name one column {INPUT} and one {OUTPUT}")
    return form


def _table_form(header: str) -> TableForm | None:
    """Return how a table with NuNER's columns is cut, by whichever delimiter gives them."""
    for form in cuts_of(header.strip("\r")):
        names = [name.strip() for name in form.names]
        if INPUT in names and OUTPUT in names:
            return TableForm(form.delimiter, names, {name: names.index(name) for name in (INPUT, OUTPUT)})
    return None


def _parquet_rows(path: Path) -> Iterator[Row]:
    need("corpus", "pyarrow")
    from nerbert.formats.parquet import plain_rows, read_batches

    number = 0
    for batch in read_batches(path):
        names = batch.schema.names
        columns = next((some for some in _COLUMNS if {*some} <= {*names}), None)
        if columns is None:
            raise InputError(f"{path}: has the columns {', '.join(map(repr, names)):.200}; open types in Parquet have "
                             f"{INPUT} and {OUTPUT} (NuNER), or {CONVERSATIONS} (Pile-NER)")  # fmt: skip
        with at(path, part=f"rows from {number + 1} on"):
            rows = plain_rows(_decoded(batch.select(list(columns))))
        for number, fields in enumerate(rows, number + 1):  # noqa: B020
            yield at(path, part=f"row {number}"), fields


def _decoded(batch: Any) -> Any:
    """Return a batch with its columns of bytes as texts: some writers of Parquet don't say that theirs are UTF-8."""
    import pyarrow as pa

    for place, field in enumerate(batch.schema):
        of_lists = pa.types.is_list(field.type) or pa.types.is_large_list(field.type)
        kind = field.type.value_type if of_lists else field.type
        if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            wanted = pa.large_list(pa.large_string()) if of_lists else pa.large_string()
            try:
                batch = batch.set_column(place, field.name, batch.column(place).cast(wanted))
            except pa.ArrowInvalid:
                raise InputError(f"column {field.name!r}: not UTF-8; convert its texts to UTF-8") from None
    return batch


def _array_rows(stream: IO[bytes], path: Path) -> Iterator[Row]:
    for number, (line, value) in enumerate(_elements(_Pieces(stream, path)), 1):
        if not isinstance(value, dict):
            with at(path, line, part=f"row {number}"):
                raise InputError(f"{value!r:.60}: must be an object")
        yield at(path, line, part=f"row {number}"), value


def _elements(pieces: "_Pieces") -> Iterator[tuple[int, Any]]:
    """Yield each element of an array with the number of its line."""
    pieces.take("[")
    if pieces.character() != "]":
        yield pieces.value()
    while pieces.character() != "]":
        pieces.take(",")
        if pieces.character() == "]":
            raise pieces.fault("a comma before the array's end; remove it")
        yield pieces.value()
    pieces.take("]")
    if found := pieces.character():
        raise pieces.fault(f"{found!r} after the array's end: a file holds one array, or one object per line")


class _Pieces:
    """The text of a stream, read piece by piece; what was used is dropped with the next read."""

    def __init__(self, stream: IO[bytes], path: Path) -> None:
        self._stream, self._path = stream, path
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self._text, self._place, self._line, self._ended = "", 0, 1, False

    def character(self) -> str:
        """Move to the next character that is no white space, and return it; "" at the end."""
        while True:
            while self._place < len(self._text) and self._text[self._place] in _SPACE:
                self._line += self._text[self._place] == "\n"
                self._place += 1
            if self._place < len(self._text) or not self._more():
                return self._text[self._place : self._place + 1]

    def take(self, wanted: str) -> None:
        """Move behind a character; raise InputError for another one."""
        if (found := self.character()) != wanted:
            where = f"{found!r} is" if found else "the file ends"
            raise self.fault(f"{where} where {wanted!r} must be")
        self._place += 1

    def value(self) -> tuple[int, Any]:
        """Return the next value, and the number of its line."""
        self.character()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._place)
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated") or error.pos > len(self._text) - _SURE
                if not cut or not self._more():
                    raise self.fault(f"{error.msg} in the value that begins here") from None
            except (ValueError, RecursionError):
                raise self.fault("too deep, or too long a number") from None
            else:
                line, self._line = self._line, self._line + self._text.count("\n", self._place, end)
                self._place = end
                return line, value

    def fault(self, what: str) -> InputError:
        """Return the error for a fault in this line."""
        return InputError(f"{self._path}:{self._line}: not JSON: {what}", path=str(self._path), line=self._line)

    def _more(self) -> bool:
        """Read as much again as is left, at least a piece; return whether there was more."""
        self._text, self._place = self._text[self._place :], 0
        if len(self._text) > LONGEST_LINE:
            raise self.fault(f"a value of more than {LONGEST_LINE} characters")
        raw = b"" if self._ended else self._stream.read(max(_PIECE, len(self._text)))
        self._ended = not raw
        try:
            self._text += self._decode(raw, self._ended)
        except UnicodeDecodeError:
            with at(self._path, self._line):
                raise InputError("not UTF-8, in this line or soon after; convert the text to UTF-8") from None
        return bool(raw)
