"""spaCy's training data: DocBin, held to spaCy itself where it is installed."""

import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nerbert.data.convert import convert_data
from nerbert.errors import InputError, MissingExtra
from nerbert.formats import spacy as module
from nerbert.formats.documents import Reading
from nerbert.formats.format import read_documents
from nerbert.formats.spacy import SpacyDocBin
from nerbert.records import Document, Repair, Repairs, Span
from tests.formats.exports import plain
from tests.raised import raises

ADA = Document("Ada met Bob.", (Span(0, 3, "PER"), Span(8, 11, "PER")), line=1)


def test_without_spacy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with raises(MissingExtra, "spacy not installed: pip install 'nerbert[spacy]'"):
        list(read_documents(tmp_path / "a.spacy", Reading(from_="spacy")))
    (tmp_path / "a.jsonl").write_text('{"text": "Ada", "spans": []}')
    with raises(MissingExtra):
        convert_data(tmp_path / "a.jsonl", tmp_path / "a.spacy")
    assert [each.name for each in tmp_path.iterdir()] == ["a.jsonl"]


def test_files_that_are_no_docbin_are_not_recognised() -> None:
    for head in (b"", b"Ada", b"\x1f\x8b\x08", zlib.compress(b"Ada met Bob" * 100), b'{"text": "Ada"}'):
        assert not SpacyDocBin().recognise(Path("a.spacy"), head)


@pytest.mark.extras
def test_docbin_as_spacy_writes_it(tmp_path: Path) -> None:
    from spacy.tokens import Doc, DocBin
    from spacy.tokens import Span as SpacySpan
    from spacy.vocab import Vocab

    vocab = Vocab()
    one = Doc(vocab, ["Ada", "met", "Bob", ".", "\n", "Why"], [True, True, False, False, False, True])
    one.ents = [SpacySpan(one, 0, 1, "PER"), SpacySpan(one, 2, 4, "PER")]
    one.cats = {"met": 1.0}
    one.spans["sc"] = [SpacySpan(one, 0, 3, "all")]
    one.user_data["by"] = "me"
    unknown = Doc(vocab, ["Bob", "slept"])
    blocked = Doc(vocab, ["Bob", "B."], [True, False])
    blocked.set_ents([], blocked=[blocked[0:1]])
    path, repairs = tmp_path / "a.spacy", Repairs()
    DocBin(docs=[one, unknown, blocked, Doc(vocab)], store_user_data=True).to_disk(path)
    assert SpacyDocBin().recognise(path, path.read_bytes()[:100])
    first, second, third, empty = SpacyDocBin().read(path, repairs)
    assert first == Document(
        "Ada met Bob.\nWhy ",
        (Span(0, 3, "PER", "Ada"), Span(8, 12, "PER", "Bob.")),
        ((0, 3), (4, 7), (8, 11), (11, 12), (13, 16)),
        line=1,
    )
    assert (second.text, second.spans, second.words) == ("Bob slept", (), ((0, 3), (4, 9)))
    assert (third.text, third.spans) == ("Bob B.", ())
    assert (empty.text, empty.words, empty.line) == ("", (), 4)
    assert repairs == {Repair.PASSED_OVER: 1}


@pytest.mark.extras
def test_what_is_written_is_what_spacy_reads(tmp_path: Path) -> None:
    from spacy.tokens import DocBin
    from spacy.vocab import Vocab

    words = Document("Ada  met\nBo b.", (Span(0, 3, "PER"), Span(9, 13, "x y")), ((0, 3), (5, 8), (9, 11), (12, 13)))
    some = [replace(ADA, line=0), words, Document("")]
    SpacyDocBin().write(tmp_path / "a.spacy", some)
    read = list(SpacyDocBin().read(tmp_path / "a.spacy", Repairs()))
    assert plain(read) == plain(some)
    assert read[1].words == (*(words.words or ()), (13, 14))
    docs = list(DocBin().from_disk(tmp_path / "a.spacy").get_docs(Vocab()))
    assert [(doc.text, [(ent.start_char, ent.end_char, ent.label_) for ent in doc.ents]) for doc in docs] == plain(some)


def packed(**message: Any) -> bytes:
    import srsly  # type: ignore[import-untyped]

    return zlib.compress(srsly.msgpack_dumps({"version": "0.1", **message}))


GOOD: dict[str, Any] = {
    "attrs": [65],
    "tokens": b"\x01" * 8,
    "spaces": b"\x01",
    "lengths": b"\x01\0\0\0",
    "strings": ["a"],
    "cats": [{}],
    "flags": [{}],
    "span_groups": [b""],
}


@pytest.mark.extras
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "broken DocBin: "),
        ({"attrs": [77]}, "has no column of words"),
        ({"attrs": []}, "not a DocBin that spaCy can read"),
        ({"attrs": None}, "not a DocBin that spaCy can read"),
        ({"tokens": b"\x01"}, "not a DocBin that spaCy can read"),
        ({"strings": [7]}, "not a DocBin that spaCy can read"),
        ({"strings": None}, "not a DocBin that spaCy can read"),
        ({"lengths": b"\x02\0\0\0"}, "DocBin"),
        ({"spaces": b""}, "DocBin"),
        ({"flags": [7]}, "DocBin"),
        ({"span_groups": [7]}, "DocBin"),
    ],
)
def test_broken_docbins_are_one_error(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    path = tmp_path / "a.spacy"
    path.write_bytes(packed(**GOOD | change))
    with raises(InputError, words):
        list(SpacyDocBin().read(path, Repairs()))


@pytest.mark.extras
def test_cut_files_and_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.spacy"
    for content in (b"", b"Ada", packed(**GOOD)[:-9], zlib.compress(b"\x91" * 100_000)):
        path.write_bytes(content)
        with raises(InputError, f"{path}: not a DocBin that spaCy can read: "):
            list(SpacyDocBin().read(path, Repairs()))
    monkeypatch.setattr(module, "_LARGEST", 1 << 16)
    path.write_bytes(zlib.compress(b"\0" * (1 << 20)))
    with raises(InputError, "a DocBin of more than 65536 bytes when unpacked; write it in parts"):
        list(SpacyDocBin().read(path, Repairs()))
