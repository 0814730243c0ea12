"""Tables: annotated in three forms, and as rows of texts."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.errors import InputError
from nerbert.formats.documents import Reading
from nerbert.formats.format import read_documents
from nerbert.formats.lines import Line
from nerbert.formats.tables import TableForm, Tables, table_rows
from nerbert.records import Document, Repair, Repairs, Span
from tests.formats.exports import plain, streamed
from tests.raised import raises

ADA = ("Ada slept", [(0, 3, "person")])
BOB = ("Bob, \n of Oslo", [(0, 3, "person"), (10, 14, "place")])
NONE: tuple[str, list[tuple[int, int, str]]] = ("nothing", [])


def documents(path: Path, content: str | bytes) -> list[Document]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert Tables().recognise(path, path.read_bytes())
    return list(Tables().read(path, Repairs()))


SPANS = """text,start,end,label
Ada slept,0,3,person
"Bob, \n of Oslo",0,3,person
"Bob, \n of Oslo",10,14,place
nothing,,,
"""
OTHER = """\ufeffDoc ID;Text;Start Offset;End_Offset;Entity Type;entity\r
a;Ada slept;0;3;person;Ada\r
a;"Bob, \n of Oslo";0.0;3.0;person;Bob\r
a;"Bob, \n of Oslo";10.0;14.0;place;Oslo\r
\r
b;nothing;;;;\r
"""
JSON = """text\tentities
Ada slept\t"[[0, 3, ""person""]]"
"Bob, \n of Oslo"\t"{""entities"": [{""start"": 0, ""end"": 3, ""label"": ""person""}, [10, 14, ""place""]]}"
nothing\t
"""
PYTHON = """text|label
Ada slept|[(0, 3, 'person')]
"Bob, \n of Oslo"|"[{'start': 0, 'end': 3, 'labels': ['person']}, (10, 14, 'place'), {'labels': []}]"
nothing|[]
"""


@pytest.mark.parametrize("content", [SPANS, OTHER, JSON, PYTHON])
def test_forms_are_told_by_their_header(tmp_path: Path, content: str) -> None:
    found = documents(tmp_path / "a.csv", content)
    assert plain(found) == [ADA, BOB, NONE]


def test_lines_groups_and_surface_text_are_kept(tmp_path: Path) -> None:
    found = documents(tmp_path / "a.csv", OTHER)
    assert [(each.line, each.group) for each in found] == [(2, "a"), (3, "a"), (8, "b")]
    assert [span.text for span in found[1].spans] == ["Bob", "Oslo"]
    assert found[0].fields == {"Doc ID": "a"}


KAGGLE = '''Sentence #,Word,POS,Tag
Sentence: 1,Ada,NNP,B-person
,Lovelace,NNP,I-person
,"""",``,O
Sentence: 2,Oslo,NNP,S-place
'''


def test_rows_of_tokens(tmp_path: Path) -> None:
    one, other = documents(tmp_path / "a.csv", KAGGLE.replace("S-place", "B-place"))
    assert (one.text, one.words) == ('Ada Lovelace "', ((0, 3), (4, 12), (13, 14)))
    assert plain([one, other]) == [('Ada Lovelace "', [(0, 12, "person")]), ("Oslo", [(0, 4, "place")])]
    assert one.fields == {"POS": ["NNP", "NNP", "``"]}
    repairs = Repairs()
    (tmp_path / "a.csv").write_text(KAGGLE)
    assert plain(list(Tables().read(tmp_path / "a.csv", repairs)))[1] == ("Oslo", [(0, 4, "place")])
    assert repairs == {Repair.TAG: 1}  # Ada Lovelace has no E-


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        ("text,start,end,label\na,0,1,x\na,0,1\n", 3, "the row has 3 columns, and the header 4"),
        ('text,start,end,label\n"a\nb",0,1,x\na,b,c,x\n', 4, "start 'b', end 'c'"),
        ("text,start,end,label\na,0,1.5,x\n", 2, "end '1.5', confidence '': start and end must be whole numbers"),
        (f"text,start,end,label\na,0,{'9' * 400},x\n", 2, "span of type 'x' has an offset of more than 18 digits"),
        ("text,start,end,label,confidence\na,0,1,x,7\n", 2, "the confidence one from 0 to 1"),
        ("text,start,end,label\na,1,1,x\n", 2, "span [1, 1) of type 'x' is empty"),
        ("text,start,end,label\na,,,x\n", 2, "label 'x' has neither start nor end"),
        ("text,start,end,label\na,0,,x\n", 2, "start '0', end ''"),
        ('text,start,end,label\na,0,1,x\n"a"b,0,1,x\n', 3, "a row that can't be read"),
        ('text,start,end,label\n"a,0,1,x\n', 2, "a row that can't be read"),
        ("id,text,start,end,label\n1,a,0,1,x\n2,b,,,\n1,a,0,1,y\n", 4, "id '1' has another text above"),
        ("id,text,start,end,label\n1,a,0,1,x\n1,b,,,\n", 3, "id '1' has another text above"),
        ("text,entities\na,x\n", 2, "spans 'x': must be a JSON list"),
        ('text,entities\na,"[[0, 1]]"\n', 2, "span [0, 1]: must be"),
        ("sentence_id,word,tag\n1,a,O\n1,,O\n", 3, "a row without a word"),
        ("sentence_id,word,tag\n1,a,O\n1,b,Q-x\n", 3, "tag 'Q-x'"),
        ("name,age\nAda,36\n", 1, "header 'name,age': must name text, start, end and label"),
        ("Ada slept,0,3,person\n", 1, "; if it is no header, write one above: text,start,end,label"),
        ("text,person\n", 1, " or bars between"),
        ("text,start,end,label\ncaf\udce9,0,1,x\n", 2, "not UTF-8 at byte 3"),
        ("\n", None, "a.csv: has no header"),
        ("words,tags\nAnna left,['O']\n", 2, "must be a list with one for each of the words"),
    ],
)
def test_messages(tmp_path: Path, content: str, line: int | None, words: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content.encode(errors="surrogateescape"))
    with raises(InputError, words, path=path if line else "", line=line):
        list(read_documents(path, Reading(from_="csv")))


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_what_is_written_is_read(tmp_path: Path, suffix: str) -> None:
    hard = 'a "b",;|\té😀\n'
    marked = tuple(Span(n, n + 1, 'a "type"', "", 0.25) for n in range(len(hard)))
    made = [
        Document(hard, marked, None, "g1", {"id": "1", "note": 'a1"\n', "label": "x"}),
        Document("", (), None, "g1", {"id": "2", "Start": "1", "field.x": "a"}),
        Document("x", (), None, "g2", {"note": "b"}),
    ]
    Tables().write(tmp_path / f"a.{suffix}", made)
    found = list(Tables().read(tmp_path / f"a.{suffix}", Repairs()))
    for one, other in zip(made, found, strict=True):
        assert (other.text, other.group, other.spans) == (one.text, one.group, one.spans)
        assert other.fields.items() >= one.fields.items()
        assert set(other.fields) - set(one.fields) <= {"id", "document_id"}


@pytest.mark.parametrize(
    "content",
    [
        "text,label\nWhat a game,sports\n",
        "The text starts here.\nIt ends.\n",
        "a\tO\nb\tB-x\n",
        "",
        "x" * 99,
        "sentence_id,text,label\n1,Anna left,good\n",
    ],
)
def test_what_is_no_table_of_entities_is_not_recognised(tmp_path: Path, content: str) -> None:
    assert not Tables().recognise(tmp_path / "a.csv", content.encode())


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
def test_messages_of_texts(data: bytes, line: int, words: str) -> None:
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


@pytest.mark.parametrize(
    "text",
    [
        "sep=;\nsentence;word;tag\n1;Anna;B-PER\n1;left;O\n",
        "sentence_id,words,labels\n1,Anna,B-PER\n1,left,O\n",
        "sentence_number,text,ner_label\n1,Anna,B-PER\n1,left,O\n",
        "Sentence #,Sentence,Tag\n1,Anna left,\"['B-PER', 'O']\"\n",
        'tokens,ner_tags\n"[""Anna"", ""left""]","[""B-PER"", ""O""]"\n',
        "tokens,ner_tags\n['Anna' 'left'],['B-PER' 'O']\n",  # NumPy's
    ],
)
def test_other_tables_of_tokens(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    assert Tables().recognise(path, text.encode())
    (document,) = Tables().read(path, Repairs())
    assert (document.text, document.words, document.spans) == (
        "Anna left",
        ((0, 4), (5, 9)),
        (Span(0, 4, "PER", "Anna"),),
    )
