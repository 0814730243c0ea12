"""What holds for any file that is read as annotated sentences, whatever it contains."""

import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from nerbert.formats.conll import example_of
from nerbert.formats.convert import Conversion, convert_data
from nerbert.formats.documents import Reading, Units, document_of, sentences_of
from nerbert.formats.examples import read_documents
from nerbert.formats.format import Abilities, abilities
from nerbert.labels import example_tags
from nerbert.records import Document
from nerbert.registry import FORMATS
from nerbert.words import whole_words
from tests.formats.losses import check_same
from tests.fuzz.properties import answer, check_documents

WITHOUT_HALVES = ("conll", "csv", "marked", "webanno", "brat", "spacy", "parquet", "datasets")
"""The formats whose texts are UTF-8."""
_PACKED = ("spacy", "parquet")
"""The formats without lines."""
_WITHOUT_PLACE = (
    "seems to be ", "more than ", "has no header", "header ", "holds no text", "not UTF-8", "offsets fit as well",
    "has no layer NamedEntity", "has the layer ",
)  # fmt: skip
"""What is said of whole files."""


class Desk:
    """A folder in which a file is read, converted and read again; nothing else may be left in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def emptied(self) -> Path:
        """Return the folder, empty again."""
        for each in self.folder.iterdir():
            shutil.rmtree(each) if each.is_dir() else each.unlink()
        return self.folder

    def read(self, path: Path, name: str = "", *, place: str = "", units: Units = "auto") -> list[Document] | None:
        """Return a file's documents; None if it is refused with its name."""
        reading = Reading(from_=name, overlaps="longest", units=units)
        found = answer(lambda: list(read_documents(path, reading)), naming=("^" + re.escape(str(path)) + place,))
        check_documents(found or (), half_characters=name not in WITHOUT_HALVES)
        return found

    def check(self, data: bytes, name: str, *, suffix: str = "", to: str = "") -> None:
        """Read a file of these bytes; if that can be done, convert it to the format `to`, and compare."""
        path = self.emptied() / f"a{suffix or FORMATS.find(name)().suffixes[0]}"
        path.write_bytes(data)
        place = ":" if name in _PACKED else rf":(\d+: | (?:{'|'.join(map(re.escape, _WITHOUT_PLACE))}))"
        before = self.read(path, name, place=place)
        self.check_left(path)
        if before and to:
            self.check_conversion(path, name, before, to)

    def check_conversion(
        self, path: Path, name: str, before: list[Document], to: str, units: Units = "auto"
    ) -> Path | None:
        """Convert a file or folder; what comes back is equal, or its loss is told. Return what was written."""
        kind = FORMATS.find(to)()
        output = self.folder / f"b{kind.suffixes[0] if kind.suffixes else ''}"
        reading = Reading(from_=name, overlaps="longest", units=units)
        done: Conversion | None = answer(lambda: convert_data(path, output, to=to, reading=reading))
        self.check_left(path, *([output] if done else []))
        if done is None:
            return None
        after = list(read_documents(output, Reading(from_=to, overlaps="longest", units="characters")))
        check_documents(after, half_characters=to not in WITHOUT_HALVES)
        try:
            check_same(before, after, done.losses, list(_as_written(before, abilities(kind))))
        except AssertionError as error:
            error.add_note(f"{name} → {to}: lost: {done.losses}; {done.repaired}; {before} → {after}")
            raise
        return output

    def check_left(self, *paths: Path) -> None:
        """Check that nothing else is in the folder."""
        assert {*self.folder.iterdir()} == {*paths}


def _as_written(documents: Iterable[Document], holds: Abilities) -> Iterator[Document]:
    """Yield documents as a format gets them: whole, or as sentences whose entities are whole words."""
    for one in documents:
        if holds.keep_text(one.text):
            yield one
            continue
        for each in sentences_of(one, Reading(overlaps="longest")):
            if holds.text == "words":
                words = whole_words(each)
                yield document_of(example_of(words.tokens, example_tags(words)))
            elif holds.text == "line":
                yield document_of(replace(each, text=each.text.replace("\n", " ").replace("\r", " ")))
            else:
                yield document_of(each)
