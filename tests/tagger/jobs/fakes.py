"""Taggers that need no model: one finds nothing, one finds every word with a capital."""

import re
from collections.abc import Iterable, Iterator
from types import SimpleNamespace
from typing import Any

from nerbert.errors import InputError
from nerbert.model.folder import ModelFolder
from nerbert.records import Example, Span
from nerbert.tagger.spans import Spans
from nerbert.tagger.tagger import Tagger

_CAPITAL = re.compile("[A-Z\u00c0]")
TYPES = ["else", "vowel"]


class Instant(Tagger):
    """Finds nothing, when all texts are there."""

    def __init__(self) -> None:
        self.head: Any = SimpleNamespace(name="instant", types=list(TYPES))
        self.splitter, self.language, self.card = "unicode-words-1", "en", {}

    @property
    def fingerprint(self) -> str:
        """That of the folder `tagger` as it is now."""
        return ModelFolder("tagger").fingerprint

    def tag_many(self, texts: Iterable[str | Example], labels: object = None) -> Iterator[Spans]:
        """As many empty lists as texts."""
        yield from [Spans("") for _ in list(texts)]


class Capitals(Instant):
    """Words that begin with A–Z or À; it refuses a text that holds `too long`, and keeps what it was given.

    When it was given `enough` texts, it is stopped as by Ctrl-C.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.enough = 1 << 30

    def tag_many(self, texts: Iterable[str | Example], labels: object = None) -> Iterator[Spans]:
        """Entities of all texts, when all are there, and among given words."""
        if len(self.seen) >= self.enough:
            raise KeyboardInterrupt
        for text in list(texts):
            yield Spans("", self._among(text) if isinstance(text, Example) else self._found(text))

    def _among(self, example: Example) -> list[Span]:
        self.seen.append(example.text)
        return [_span(example.text, *word) for word in example.words if _CAPITAL.match(example.text[word[0]])]

    def _found(self, text: str) -> list[Span]:
        if "too long" in text:
            raise InputError("a sentence is longer than the window")
        self.seen.append(text)
        return [_span(text, *match.span()) for match in re.finditer(r"\b[A-Z\u00c0]\w*", text)]


def _span(text: str, start: int, end: int) -> Span:
    word = text[start:end]
    sure = (sum(map(ord, word)) % 97 + 2) / 100
    return Span(start, end, "vowel" if word[0] in "AEIOU" else "else", word, sure)
