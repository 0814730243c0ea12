"""What is lost where documents are written in a format: their content, compared with the format's abilities."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from nerbert.formats.format import Abilities
from nerbert.records import Document, Example
from nerbert.words import whole_words

_SHOWN = 10
_ABSENT = object()


@dataclass(slots=True)
class Losses:
    """Counts what a format that `holds` so much loses of each document."""

    holds: Abilities
    _spaces: bool = False
    _characters: Counter[str] = field(default_factory=Counter)
    _texts: int = 0
    _words: bool = False
    _tagged: int = 0
    _confidences: int = 0
    _grouped: bool = False
    _group: str = ""
    _fields: dict[str, None] = field(default_factory=dict)
    _nulls: dict[str, None] = field(default_factory=dict)
    _changed: dict[str, None] = field(default_factory=dict)

    def note(self, document: Document, sentences: Sequence[Example] | None) -> None:
        """Note what is lost of a document, or of its sentences where these are written in its place."""
        holds = self.holds
        if sentences is not None:
            self._note_sentences(document.text, sentences)
        together = document.group != "" and document.group == self._group
        self._group = document.group
        if not holds.groups:
            self._grouped = self._grouped or together or len(sentences or ()) > 1
        if not holds.words:
            self._words = self._words or document.words is not None
        if not holds.tagged:
            self._tagged += document.tagged
        if holds.confidences == "none" or (holds.confidences == "tagged" and not document.tagged):
            self._confidences += sum(span.confidence != 1 for span in document.spans)
        if document.fields:
            self._note_fields(document)

    def lines(self) -> Iterator[str]:
        """Return what is lost, in words: what the format doesn't keep."""
        of_words = "of words" if self.holds.text == "words" else "as texts of their own"
        annotated = " of annotated texts" if self.holds.confidences == "tagged" else ""
        characters = ", ".join(f"U+{ord(char):04X}" for char, _ in self._characters.most_common(_SHOWN))
        nulls = {name: None for name in self._nulls if name not in self._fields}
        lost = {
            f"the texts' own spaces and lines: it holds sentences {of_words}": self._spaces,
            f"characters that belong to no word: {self._characters.total():,} ({characters})": self._characters,
            f"texts without a word: {self._texts:,} left out": self._texts,
            "where words begin and end: they are found anew when it is read": self._words,
            f"that a model alone tagged {self._tagged:,} texts: they look like annotated ones now": self._tagged,
            f"the fields {_listed(self._fields)}": self._fields,
            f"nulls as values of the fields {_listed(nulls)}": nulls,
            f"the values of the fields {_listed(self._changed)} as they are": self._changed,
            f"confidences{annotated}: {self._confidences:,}": self._confidences,
            "which texts belong together": self._grouped,
        }
        return (words for words, there in lost.items() if there)

    def _note_sentences(self, text: str, sentences: Sequence[Example]) -> None:
        """Note what is lost of a text that is written as these sentences."""
        self._texts += not any(each.words for each in sentences)
        if self.holds.text == "words":
            written = [" ".join(whole_words(each).tokens) for each in sentences]
        else:
            written = [each.text.strip().removeprefix("\ufeff") for each in sentences]
        if sentences and written != [text]:
            self._spaces = True
            self._characters += Counter("".join(text.split())) - Counter("".join(written))

    def _note_fields(self, document: Document) -> None:
        """Note fields that don't come back, or not as they are."""
        kept = self.holds.fields(document)
        for name, value in document.fields.items():
            back = kept.get(name, _ABSENT)
            if back == value:
                continue
            lost = self._changed if back is not _ABSENT else self._nulls if value is None else self._fields
            if len(lost) <= _SHOWN:
                lost[name] = None


def _listed(names: dict[str, None]) -> str:
    """Return the first names."""
    return ", ".join(list(names)[:_SHOWN]) + (" …" if len(names) > _SHOWN else "")
