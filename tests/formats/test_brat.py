import os
import sys
from collections import Counter
from pathlib import Path

import pytest

from nerbert.errors import InputError, OutputExists
from nerbert.formats.brat import Brat
from nerbert.formats.documents import Reading, prepare_documents
from nerbert.records import Document, Repair, Repairs, Span
from tests.formats.exports import spans
from tests.raised import raises

TEXT = "Mira Olt came\nto Fenwick Bay 😀 on Sunday.\n"
ANN = (
    "T1\tPER 0 8\tMira Olt\n"
    "T2\tArrive 9 13\tcame\n"
    "E1\tArrive:T2 Who:T1\n"
    "R1\tAt Arg1:T1 Arg2:T3\n"
    "A1\tSure T1\n"
    "M1\tSure T1\n"
    "N1\tReference T1 Wiki:Q1\tMira\n"
    "*\tEquiv T1 T3\n"
    "#1\tAnnotatorNotes T1\tis she?\n"
    "\n"
    "T3\tLOC 17 28\tFenwick Bay\n"
)


def pair(folder: Path, name: str, text: str, ann: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.txt").write_bytes(text.encode())
    (folder / f"{name}.ann").write_bytes(ann.encode())


def read(path: Path, repairs: Repairs | None = None) -> list[Document]:
    return list(Brat().read(path, Counter() if repairs is None else repairs))


def whole(path: Path) -> list[Document]:
    """Return what `path` holds as `prepare_documents` puts it right."""
    return list(prepare_documents(path, lambda counted: Brat().read(path, counted), Reading(), Repairs()))


def test_entities_are_read_and_all_else_is_counted(tmp_path: Path) -> None:
    pair(tmp_path, "b", TEXT, ANN)
    pair(tmp_path, "a/deep", "Nobody.", "")
    (tmp_path / "annotation.conf").write_text("[entities]\nPER\n")
    repairs: Repairs = Counter()
    deep, b = read(tmp_path, repairs)
    assert (deep.text, deep.spans, deep.group, deep.fields) == ("Nobody.", (), "a/deep", {"id": "a/deep"})
    assert (b.text, b.group, b.words, b.tagged) == (TEXT, "b", None, False)
    assert spans([b]) == [(0, 8, "PER", "Mira Olt"), (9, 13, "Arrive", "came"), (17, 28, "LOC", "Fenwick Bay")]
    assert repairs[Repair.PASSED_OVER] == 7
    assert read(tmp_path / "b.ann") == [b]
    assert spans(whole(tmp_path)) == spans([b])


def test_it_is_recognised_by_its_files(tmp_path: Path) -> None:
    assert not Brat().recognise(tmp_path, b"")
    (tmp_path / "a.txt").touch()
    assert not Brat().recognise(tmp_path, b"")
    pair(tmp_path, "sub/a", TEXT, ANN)
    assert Brat().recognise(tmp_path, b"")
    assert Brat().recognise(tmp_path / "sub/a.ann", ANN.encode())
    assert Brat().recognise(tmp_path / "sub/a.ann", b"")
    assert not Brat().recognise(tmp_path / "sub/a.ann", b"some prose\n")
    assert not Brat().recognise(tmp_path / "sub/a.txt", ANN.encode())


@pytest.mark.parametrize("prefix", ["", "😀é "])
def test_pieces_around_the_end_of_a_line_are_one_entity(tmp_path: Path, prefix: str) -> None:
    start = len(prefix)
    pair(
        tmp_path,
        "a",
        f"{prefix}Port\n  Olt burns.",
        f"T1\tLOC {start} {start + 4};{start + 7} {start + 10}\tPort Olt\n",
    )
    assert spans(whole(tmp_path)) == [(start, start + 10, "LOC", "Port\n  Olt")]


def test_other_entities_in_pieces_are_passed_over(tmp_path: Path) -> None:
    text = "North and South Fenwick, Olt-Mar"
    ann = "T1\tLOC 0 5;16 23\tNorth Fenwick\nT2\tLOC 10 15;16 23\tSouth Fenwick\nT3\tLOC 25 28;29 32\tOlt Mar\n"
    pair(tmp_path, "a", text, ann)
    repairs: Repairs = Counter()
    assert spans(read(tmp_path, repairs)) == [(10, 23, "LOC", "South Fenwick")]
    assert +repairs == Counter({Repair.PIECES: 2})


@pytest.mark.parametrize(
    ("text", "start", "kept"),
    [
        ("Hi\r\nOlt", 4, "Hi\r\nOlt"),
        ("Hi\r\nOlt", 3, "Hi\nOlt"),
        ("\ufeffHi Olt", 4, "\ufeffHi Olt"),
        ("\ufeffHi Olt", 3, "Hi Olt"),
        ("\ufeffHi\r\nOlt", 3, "Hi\nOlt"),
    ],
    ids=["crlf", "crlf-later", "mark", "mark-uncounted", "both"],
)
def test_line_ends_and_marks_are_counted_as_the_entities_say(tmp_path: Path, text: str, start: int, kept: str) -> None:
    pair(tmp_path, "a", text, f"T1\tPER {start} {start + 3}\tOlt\n")
    repairs: Repairs = Counter()
    (document,) = read(tmp_path, repairs)
    assert document.text == kept
    assert kept[document.spans[0].start : document.spans[0].end] == "Olt"
    assert repairs[Repair.UNIT] == (text != kept)


@pytest.mark.parametrize(
    ("ann", "line", "words"),
    [
        (b"T1\tPER 0 4\tMira\nT2\tPER x 4\tMira\n", 2, "broken line 'T2"),
        (b"T1\tPER 0\n", 1, "broken line"),
        (b"T1 PER 0 4 Mira\n", 1, "broken line"),
        (b"T1\tPER 0 4;\tMira\n", 1, "broken line"),
        (b"T1\tPER 0 " + b"9" * 5000 + b"\tMira\n", 1, "broken line"),
        (b"Mira is a person\n", 1, "broken line"),
        (b"\nT1\tPER 4 4\t\n", 2, "entity 4–4 of type 'PER' is empty"),
        (b"T1\tPER 4 2\tMi\n", 1, "entity 4–2 of type 'PER' is empty"),
        (b"T1\tCAF\xe9 0 4\tMira", 1, "not UTF-8"),
    ],
)
def test_messages(tmp_path: Path, ann: bytes, line: int, words: str) -> None:
    pair(tmp_path, "a", TEXT, "")
    (tmp_path / "a.ann").write_bytes(ann)
    with raises(InputError, words, path=tmp_path / "a.ann", line=line):
        read(tmp_path)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (tmp_path / "secret").write_text("Olt")
    pair(folder, "a", "Olt", "")
    (folder / "link.txt").symlink_to(folder / "a.txt")
    (folder / "link.ann").symlink_to(folder / "a.ann")
    assert len(read(folder)) == 2
    (folder / "b.txt").write_text("Notes.")
    with raises(InputError, "b.txt: lacks b.ann, its annotations (an empty file"):
        read(folder)
    (folder / "b.txt").rename(folder / "notes.md")
    (folder / "b.ann").touch()
    with raises(InputError, "b.ann: lacks b.txt, its text"):
        read(folder)
    with raises(InputError, "lacks"):
        read(folder / "none.ann")
    (folder / "b.txt").symlink_to(tmp_path / "secret")
    with raises(InputError, "b.txt: is a link that leads out of the folder"):
        read(folder)
    (folder / "b.txt").unlink()
    os.mkfifo(folder / "b.txt")
    with raises(InputError, "lacks b.txt"):
        read(folder)
    (folder / "b.txt").unlink()
    (folder / "b.txt").write_bytes(b"one\ncaf\xe9")
    with raises(InputError, path=folder / "b.txt", line=2):
        read(folder)


def test_a_name_that_the_locale_lacks_is_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsencode", lambda name: str(name).encode("ascii"))  # as with LC_ALL=C, PYTHONUTF8=0
    Brat().write(tmp_path / "out", [Document("Olt", fields={"id": "é"}), Document("Oslo", fields={"id": "e"})])
    assert sorted(each.name for each in (tmp_path / "out").glob("*.txt")) == ["000001.txt", "e.txt"]


def test_written_files_have_names_of_their_own(tmp_path: Path) -> None:
    names = ["a", "sub/b", "../up", "/etc/x", ".hidden", "a", "a.txt/c", "", 7, "x" * 300, "n\n", "000002", "é"]
    texts = [Document(f"Olt {name!r}", (Span(0, 3, "PER"),), fields={"id": name}) for name in names]
    Brat().write(tmp_path / "out", texts)
    found = read(tmp_path / "out")
    assert Counter(each.text for each in found) == Counter(each.text for each in texts)
    own = {each.group for each in found if not each.group.isdigit()}
    assert own == {"a", "sub/b", "é"} - ({"é"} if sys.getfilesystemencoding() == "ascii" else set())
    assert sum(each.group.isdigit() for each in found) == len(names) - len(own)
    assert not (tmp_path / "up.txt").exists()
    conf = (tmp_path / "out/annotation.conf").read_text().split("\n")
    assert conf[:3] == ["[entities]", "PER", ""]
    assert {"[relations]", "[events]", "[attributes]"} <= set(conf)


def test_order_and_ids_come_back(tmp_path: Path) -> None:
    """Names sort in another order than the texts have, and not every id can be a name."""
    ids = ["doc_2", "doc_10", "doc_10", 7, "a/b", "", None]
    Brat().write(tmp_path / "out", [Document(f"{number}", fields={"id": each}) for number, each in enumerate(ids)])
    found = read(tmp_path / "out")
    assert [(each.text, each.fields) for each in found] == [(f"{n}", {"id": each}) for n, each in enumerate(ids)]
    (tmp_path / "out/doc_10.ann").rename(tmp_path / "out/new.ann")
    (tmp_path / "out/doc_10.txt").rename(tmp_path / "out/new.txt")
    moved = read(tmp_path / "out")
    assert [each.text for each in moved] == ["0", "2", "3", "4", "5", "6", "1"], "what the list lacks comes last"
    assert moved[-1].fields == {"id": "new"}
    (tmp_path / "out/nerbert.list").write_text("doc_2\tdoc_2\n")
    with raises(InputError, path=tmp_path / "out/nerbert.list", line=1):
        read(tmp_path / "out")
    Brat().write(tmp_path / "sorted", [Document(each, fields={"id": each}) for each in ("a", "b/c", "b")])
    assert not (tmp_path / "sorted/nerbert.list").exists()


def test_a_fault_leaves_no_folder(tmp_path: Path) -> None:
    texts = [Document("Olt", (Span(0, 3, "PER"),)), Document("Olt", (Span(0, 3, "my type"),))]
    with raises(InputError, "rename it, or choose jsonl"):
        Brat().write(tmp_path / "out", texts)
    assert list(tmp_path.iterdir()) == []
    Brat().write(tmp_path / "out", texts[:1])
    with raises(OutputExists):
        Brat().write(tmp_path / "out", texts[:1])


def test_an_entity_over_the_end_of_a_line_is_written_in_pieces(tmp_path: Path) -> None:
    Brat().write(tmp_path / "out", [Document("Port\r\n\n Olt\tBay", (Span(0, 15, "LOC"),))])
    assert (tmp_path / "out/000001.ann").read_text() == "T1\tLOC 0 4;7 11;12 15\tPort  Olt Bay\n"
    assert spans(whole(tmp_path / "out")) == [(0, 15, "LOC", "Port\r\n\n Olt\tBay")]
