from pathlib import Path

import pytest

from nerbert.errors import InputError
from nerbert.formats.format import find_format
from nerbert.formats.marked import Marked, parse_marks, write_marks
from nerbert.records import Document, Repairs, Span
from tests.raised import raises


def spans(line: str) -> list[tuple[str, str]]:
    text, found = parse_marks(line)
    assert all(text[each.start : each.end] == each.text for each in found)
    return [(each.text, each.type) for each in found]


def test_marks_in_a_line() -> None:
    text, found = parse_marks("[Fram|polar ship] left [Oslo|port city].")
    assert text == "Fram left Oslo."
    assert found == (Span(0, 4, "polar ship", "Fram"), Span(10, 14, "port city", "Oslo"))


def test_marks_inside_marks_and_several_types() -> None:
    assert spans("the [[Oslo|city] Harbour|port|place] of [[A|x]|y]") == [
        ("Oslo Harbour", "port"),
        ("Oslo Harbour", "place"),
        ("Oslo", "city"),
        ("A", "y"),
        ("A", "x"),
    ]
    assert spans("[a|t|t]") == [("a", "t")]


def test_a_backslash_takes_a_character_as_it_is() -> None:
    text, found = parse_marks(r"\[sic\] 5 | 6 in C:\new\\ [a\|b|x\]y]")
    assert text == "[sic] 5 | 6 in C:\\new\\ a|b"
    assert parse_marks(r"\# 1 in C:\#2")[0] == r"# 1 in C:\#2"
    assert found == (Span(23, 26, "x]y", "a|b"),)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("an [Oslo|city", "column 4: a mark is not closed; write \\["),
        ("an Oslo] x", "column 8: ']' closes no mark"),
        ("[Oslo]", "column 1: mark 'Oslo' has no type; write [text|type]"),
        ("[Oslo| ]", "has no type"),
        ("[|city]", "is empty"),
        ("[Oslo |city]", "space at its edge"),
        ("[Oslo|[a|b]]", "column 7: '[' in a type"),
        ("[" * 101, "column 101: 100 nested marks"),
    ],
)
def test_messages(line: str, words: str) -> None:
    with raises(InputError, words):
        parse_marks(line)


def test_files_of_any_editor(tmp_path: Path) -> None:
    path = tmp_path / "a.marked"
    path.write_bytes(b"\xef\xbb\xbf# how ships are marked\r\n\t[Fram|ship] left. \r\n \r\n # 1\n\\# 2")
    assert type(find_format(path)) is Marked
    assert [(one.text, one.spans, one.line) for one in Marked().read(path, Repairs())] == [
        ("Fram left.", (Span(0, 4, "ship", "Fram"),), 2),
        ("# 1", (), 4),
        ("# 2", (), 5),
    ]
    path.write_text("one\n  an [Oslo\n")
    with raises(InputError, "column 6: a mark is not closed", path=path, line=2):
        list(Marked().read(path, Repairs()))


def test_nested_marks_are_written_and_crossing_ones_refused() -> None:
    line = r"\[x\] [[Oslo|city] Harbour|port|place] a\|b"
    assert write_marks(Document(*parse_marks(line))) == line
    with raises(InputError, "'b c' crosses another"):
        write_marks(Document("a b c", (Span(0, 3, "x"), Span(2, 5, "y"))))
