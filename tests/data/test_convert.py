"""Conversion of annotated data: what is read in one format is there in the other, or nothing is."""

import errno
import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import pytest

from nerbert.artifacts import publish
from nerbert.data.convert import convert_data
from nerbert.data.splits import read_data
from nerbert.errors import InputError, NerbertError, OutputExists, SettingsError, WriteError
from nerbert.formats.documents import Reading
from nerbert.formats.format import FORMATS
from nerbert.records import Document, Repair, Repairs
from tests.examples import read_examples
from tests.raised import raises

CONLL = "Ann\tB-person\nLee\tI-person\nsails\tO\n\nOslo\tB-place\n\n"
LETTER = "Ann  sails. Bo sleeps in Oslo."
SPANS = [
    {"start": 0, "end": 3, "type": "person"},
    {"start": 12, "end": 14, "type": "person"},
    {"start": 25, "end": 29, "type": "place"},
]


def made_of(*rows: object) -> str:
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def test_a_file_there_and_back(tmp_path: Path) -> None:
    source, there, back = tmp_path / "a.conll", tmp_path / "b.jsonl", tmp_path / "c.conll"
    source.write_text(CONLL)
    done = convert_data(source, there)
    assert (done.format, done.documents, done.entities, done.losses) == ("jsonl", {"all": 2}, {"all": 2}, [])
    assert convert_data(there, back).losses == []
    assert back.read_text() == CONLL
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.conll", "b.jsonl", "c.conll"]


def test_a_format_of_words_gets_sentences_and_what_is_lost_is_told(tmp_path: Path) -> None:
    source, output = tmp_path / "a.jsonl", tmp_path / "b.conll"
    grown = {"text": "Annes.", "spans": [{"start": 0, "end": 3, "type": "person", "confidence": 0.5}]}
    source.write_text(made_of({"text": LETTER, "spans": SPANS}, grown, {"text": " ", "spans": []}))
    done = convert_data(source, output)
    assert [each.tokens for each in read_examples(output)] == [
        ("Ann", "sails", "."),
        ("Bo", "sleeps", "in", "Oslo", "."),
        ("Annes", "."),
    ]
    assert (done.documents, done.entities, +done.repairs) == ({"all": 3}, {"all": 4}, {Repair.GROWN: 1})
    spaces, empty, confidences = done.losses
    assert "spaces" in spaces
    assert empty == "texts without a word: 1 left out"
    assert confidences == "confidences: 1"
    with raises(InputError, path=source, line=2):  # cuts a word
        convert_data(source, tmp_path / "c.jsonl", reading=Reading(cut_words="error"))
    assert not (tmp_path / "c.jsonl").exists()


def test_a_folder_keeps_its_splits(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for split in ("train", "dev", "test"):
        (source / f"{split}.conll").write_text(CONLL.replace("Oslo", split))
    done = convert_data(source, tmp_path / "out", to="jsonl")
    assert done.documents == {"train": 2, "dev": 2, "test": 2}
    names = sorted(each.name for each in (tmp_path / "out").iterdir())
    assert names == ["dev.jsonl", "manifest.json", "test.jsonl", "train.jsonl"]
    everything = ("train", "dev", "test")
    assert read_data(tmp_path / "out", everything).splits == read_data(source, everything).splits
    convert_data(source, tmp_path / "folders", to="brat")
    assert (tmp_path / "folders" / "dev" / "000002.ann").is_file()
    convert_data(tmp_path / "folders", tmp_path / "again", to="conll")
    assert read_data(tmp_path / "again", everything).splits == read_data(source, everything).splits
    convert_data(source / "dev.conll", tmp_path / "one", to="brat")
    assert {each.suffix for each in (tmp_path / "one").iterdir()} == {".txt", ".ann", ".conf", ".json"}
    convert_data(tmp_path / "one", tmp_path / "b.conll")
    assert read_examples(tmp_path / "b.conll") == read_examples(source / "dev.conll")


def test_a_file_is_cut_into_the_splits_that_training_sees(tmp_path: Path) -> None:
    source, reading = tmp_path / "a.jsonl", Reading(split="60/20/20", split_seed=3)
    letters = [{"text": f"Ann {each % 15}", "spans": [{"start": 0, "end": 4, "type": " x"}]} for each in range(20)]
    source.write_text(made_of(*letters))
    done = convert_data(source, tmp_path / "out", reading=reading)
    assert done.format == "jsonl", "a name without suffix: the format of the source"
    assert done.repairs[Repair.TRIMMED] == 20, "counted once, though the file is read for each split"
    everything = ("train", "dev", "test")
    cut, whole = read_data(tmp_path / "out", everything).splits, read_data(source, everything, reading).splits
    assert cut == whole
    assert sum(done.documents.values()) == 20
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert (manifest["split"], manifest["split_seed"]) == ("60/20/20", 3)
    convert_data(source, tmp_path / "out", reading=reading, overwrite=True)


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("b.json", SettingsError, "; choose one with --to"),
        ("b.docx", SettingsError, "no format has the suffix .docx; name the format with --to"),
        ("in", InputError, "itself, is in it or contains it"),
        ("in/deep", InputError, "is in it or contains it"),
        ("", InputError, "is in it or contains it"),
        ("out.jsonl", InputError, "becomes several files, so the output must be a folder"),
    ],
)
def test_outputs_that_cannot_be(tmp_path: Path, name: str, kind: type[NerbertError], words: str) -> None:
    (tmp_path / "in").mkdir()
    for split in ("train", "test"):
        (tmp_path / "in" / f"{split}.conll").write_text(CONLL)
    with raises(kind, words):
        convert_data(tmp_path / "in", tmp_path / name)
    assert [each.name for each in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (made_of({"text": "Ann", "spans": []}) + "{", 2, "not JSON"),
        (made_of({"text": "x", "spans": []}, {"text": "Ann", "spans": SPANS[:1]}) + "\n\n{", 5, "not JSON"),
        (
            made_of({"text": "x", "spans": []}, {"text": "Ann", "spans": [{"start": 0, "end": 3, "type": "a b"}]}),
            2,
            "type 'a b' holds white space",
        ),
        ("", None, "a.jsonl: holds no text"),
        ("PK\x03\x04", None, "a.jsonl: seems to be a zip archive"),
    ],
)
def test_what_cannot_be_converted_leaves_nothing(tmp_path: Path, text: str, line: int | None, words: str) -> None:
    source, output = tmp_path / "a.jsonl", tmp_path / "b.conll"
    source.write_text(text)
    with raises(InputError, words, path=source if line else "", line=line):
        convert_data(source, output)
    with raises(InputError, "no such file or folder"):
        convert_data(tmp_path / "nowhere", output)
    assert [each.name for each in tmp_path.iterdir()] == ["a.jsonl"]


def test_what_is_there_stays_there(tmp_path: Path) -> None:
    source, output = tmp_path / "a.conll", tmp_path / "b.jsonl"
    source.write_text(CONLL)
    output.write_text("mine")
    with raises(OutputExists, "exists already"):
        convert_data(source, output)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine").touch()
    with raises(OutputExists, "is no file"):
        convert_data(source, tmp_path / "folder", to="jsonl", overwrite=True)
    with raises(OutputExists, "not a folder that nerbert made"):
        convert_data(source, tmp_path / "folder", reading=Reading(split="50/50"), overwrite=True)
    assert output.read_text() == "mine"
    assert convert_data(source, output, overwrite=True).documents == {"all": 2}


class Slow:
    """A toy format that notes what is read and written when, on a disk that is full after as many texts as it says."""

    suffixes = (".slow",)
    order: ClassVar[list[str]] = []

    def recognise(self, path: Path, head: bytes) -> bool:
        """Return whether the file is named so."""
        return path.suffix == ".slow"

    def read(self, path: Path, repairs: Repairs) -> Iterator[Document]:
        """Yield three texts."""
        for number in range(3):
            self.order.append(f"read {number}")
            yield Document(f"{number}")

    def write(self, path: Path, documents: Iterable[Document]) -> None:
        """Write the texts, but for the last one of a full disk."""
        with publish(path) as draft, draft.open("w") as stream:
            for each in documents:
                self.order.append(f"write {each.text}")
                stream.write(each.text)
                if path.name == "full.slow":
                    raise OSError(errno.ENOSPC, "No space left on device")


def test_documents_go_one_by_one_and_a_full_disk_is_told_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A source of any size needs no more memory than a text: none is read before the one before it is written."""
    monkeypatch.setattr(FORMATS, "_known", FORMATS._known | {"slow": Slow})
    (tmp_path / "a.slow").touch()
    convert_data(tmp_path / "a.slow", tmp_path / "b.slow", reading=Reading(from_="slow"))
    assert Slow.order[-6:] == [f"{what} {number}" for number in range(3) for what in ("read", "write")]
    with raises(WriteError, f"{tmp_path}/full.slow: can't be written: No space left on device; free space"):
        convert_data(tmp_path / "a.slow", tmp_path / "full.slow", reading=Reading(from_="slow"))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.slow", "b.slow"]


def nested(depth: int) -> str:
    """Return JSON of this depth; "" if Python can't read it."""
    text = "[" * depth + "]" * depth
    with suppress(RecursionError):
        json.loads(text)
        return text
    return ""


def test_fields_nested_too_deep_are_named(tmp_path: Path) -> None:
    deep = next(found for depth in (6000, 1000, 500) if (found := nested(depth)))  # Python 3.13, 3.12, 3.11
    (tmp_path / "a.jsonl").write_text(f'{{"text": "Ada", "spans": [], "deep": {deep}}}\n')
    with raises(InputError, "its fields are nested too deep to be written"):
        convert_data(tmp_path / "a.jsonl", tmp_path / "b.csv")
