"""Tables as rows of texts: whatever `csv` writes is read, as it comes; what is no row is an error with its line."""

import csv
import io
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.errors import InputError
from nerbert.formats.rows import Line
from nerbert.formats.tables import TableForm, Tables, table_rows
from nerbert.records import Document
from tests.formats.exports import streamed
from tests.raised import raises

CELLS = st.text(st.sampled_from('aé ,;\t|"\n\u2028'), max_size=6)
TABLES = st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=4)


def rows(data: bytes, field: str = "text") -> list[Document]:
    """The rows of a table."""
    return streamed(Tables(), data, field)


@given(TABLES, st.sampled_from(",;\t|"), st.sampled_from(["\n", "\r\n"]))
def test_what_csv_writes_is_read(table: list[tuple[str, str, str]], delimiter: str, end: str) -> None:
    page = io.StringIO()
    writer = csv.writer(page, delimiter=delimiter, lineterminator=end)
    writer.writerow(["id", "text", "more"])
    for cells in table:
        writer.writerow(cells)
    found = rows(b"\xef\xbb\xbf" + page.getvalue().encode())
    assert [tuple(row.fields.values()) for row in found] == table
    assert [row.text for row in found] == [text for _, text, _ in table]
    assert all(list(row.fields) == ["id", "text", "more"] for row in found)


def test_a_row_is_given_before_the_next_line_is_asked_for() -> None:
    asked: list[int] = []

    def lines() -> Iterator[Line]:
        for number, text in enumerate(["text,n", '"a', 'b",1', "c,2"], 1):
            asked.append(number)
            yield Line("x", number, text)

    found = next(table_rows(lines(), lambda header: TableForm(",", header.split(","), {})))
    assert (found.cells, found.line, asked) == (["a\nb", "1"], 2, [1, 2, 3])


@pytest.mark.parametrize(
    ("data", "line", "words"),
    [
        (b"id,body\n1,Ada\n", 1, "no column 'text' (the header has 'id', 'body'); name the text's with --field"),
        (b'"body";"id"\n"x y";"1"\n', 1, "no column 'text' (the header has 'body', 'id'); name the text's"),
        (b"\n\nText,id\n", 3, "no column 'text': did you mean 'Text'? (the header has 'Text', 'id')"),
        (b"Ada,7\n", 1, "(the header has 'Ada', '7'); write a first row that names the columns, or"),
        (b'"Ada\n', 1, "a row that can't be read: unexpected end of data"),
        (b"text,id,id\n", 1, "several columns 'id'; rename all but one"),
        (b"text,id\nAda,1\nAda, of Bergen,2\n", 3, "the row has 3 columns, and the header 2; fix it"),
        (b'text,id\n"Ada,1\nBob,2\n', 2, "a row that can't be read: unexpected end of data; write"),
        (b'text,id\n"Ada"x,1\n', 2, "a row that can't be read: ',' expected after '\"'; write a quote in"),
        (b"text,id\nAda,1\n\xff,2\n", 3, "not UTF-8 at byte 0"),
    ],
)
def test_messages(data: bytes, line: int, words: str) -> None:
    with raises(InputError, words, path="x", line=line):
        rows(data)


def test_a_quote_inside_a_cell_opens_nothing() -> None:
    assert [row.text for row in rows(b'id,text\n1,a 5" pipe\n2,b\n')] == ['a 5" pipe', "b"]


def test_no_row_is_held_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nerbert.formats.tables.LONGEST_LINE", 50)
    csv.field_size_limit(50)
    taken = 0

    def lines() -> Iterator[Line]:
        nonlocal taken
        for taken in range(1, 100):
            yield Line("x", taken, "text" if taken == 1 else '"' if taken == 2 else "0123456789")

    with raises(InputError, "a row that can't be read", path="x", line=2):
        list(table_rows(lines(), lambda header: TableForm(",", [header], {})))
    assert taken < 10


def test_nothing_is_nothing() -> None:
    assert rows(b"") == rows(b"text,id\n") == rows(b"\n \n") == []
