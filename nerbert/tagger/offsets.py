"""Where an entity is: borders of whole graphemes (characters, to a reader), counted in code points or UTF-16 units."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Literal

import regex

from nerbert.config import check
from nerbert.records import Span

OFFSETS = ("characters", "utf-16")
_LAST_OF_ONE_UNIT = "\uffff"


def check_offsets(name: str) -> str:
    """Return `name` if it is a unit to count in; else raise SettingsError."""
    return str(check("offsets", name, Literal[OFFSETS]))


def utf16_spans(text: str, spans: Sequence[Span]) -> list[Span]:
    """Return the spans of `text` with their places in UTF-16 units."""
    return _moved(spans, _wide(text), 1)


def character_spans(text: str, spans: Sequence[Span]) -> list[Span]:
    """Return the spans of `text`, whose places are in UTF-16 units, with their places in characters."""
    return _moved(spans, [place + before for before, place in enumerate(_wide(text))], -1)


def _wide(text: str) -> list[int]:
    """Return the characters of two units by their places."""
    return [] if text.isascii() else [place for place, char in enumerate(text) if char > _LAST_OF_ONE_UNIT]


def _moved(spans: Sequence[Span], wide: Sequence[int], step: int) -> list[Span]:
    """Return spans with their places moved by a step for each of the `wide` places before."""
    if not wide:
        return list(spans)
    return [
        replace(
            span, start=span.start + step * bisect_left(wide, span.start),
            end=span.end + step * bisect_left(wide, span.end),
        )
        for span in spans
    ]  # fmt: skip


class Graphemes:
    """The borders of a text's graphemes; white space always has one on either side.

    They are looked for only where a span's end could be inside one, and then in all of the text.
    """

    def __init__(self, text: str) -> None:
        self._text, self._ascii = text, text.isascii()

    def grow(self, start: int, end: int) -> tuple[int, int]:
        """Return the smallest span of whole graphemes that holds `[start, end)`."""
        if not self._is_border(start):
            start = self._borders[bisect_right(self._borders, start) - 1]
        if not self._is_border(end):
            end = self._borders[bisect_left(self._borders, end)]
        return start, end

    def _is_border(self, place: int) -> bool:
        """Return whether a place is a border for sure."""
        text = self._text
        if self._ascii or place in (0, len(text)) or text[place - 1].isspace() or text[place].isspace():
            return True
        return text[place] < _FIRST_WIDE and text[place - 1] < _FIRST_PREPENDED

    @cached_property
    def _borders(self) -> "array[int]":
        """Return the borders in all words, whose ends are among them."""
        found = array("q", [0])
        for word in _WORD.finditer(self._text):
            found.append(word.start())
            found.extend(each.end() for each in _GRAPHEME.finditer(self._text, word.start(), word.end()))
        return found


_GRAPHEME, _WORD = regex.compile(r"\X"), regex.compile(r"\S++")
_FIRST_WIDE, _FIRST_PREPENDED = "\x80", "\u0600"
"""Characters below the first continue no grapheme; those below the second take none that follows."""
