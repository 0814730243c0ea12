"""Spans as a tagger gives them: whole graphemes, those that are sure enough, offsets in characters or UTF-16 units.

Python counts characters (code points); JavaScript, Java and C# count UTF-16 units, where an emoji is two. Spans are
found in characters and converted at the end, so `text[start:end] == span.text` holds for characters only.

A grapheme is what a reader takes for one character: a letter with its accents, a flag, a family of joined emojis. Words
can be parts of one, so a span grows to whole ones.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Annotated, Literal

import regex

from nerbert.config import Bounds, check
from nerbert.errors import SettingsError, nearest
from nerbert.records import Span

OFFSETS = ("characters", "utf-16")
_LAST_OF_ONE_UNIT = "\uffff"


def check_offsets(name: str) -> str:
    """Return `name` if it is a unit to count in; else raise SettingsError."""
    return str(check("offsets", name, Literal[OFFSETS]))


def utf16_spans(text: str, spans: Sequence[Span]) -> list[Span]:
    """Return the spans of `text` with their places in UTF-16 units."""
    if text.isascii() or not spans:
        return list(spans)
    wide = [place for place, char in enumerate(text) if char > _LAST_OF_ONE_UNIT]
    if not wide:
        return list(spans)
    return [
        replace(span, start=span.start + bisect_left(wide, span.start), end=span.end + bisect_left(wide, span.end))
        for span in spans
    ]


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


def thresholds_of(
    wanted: float | Mapping[str, float] | None, own: Mapping[str, float] | None, types: Sequence[str]
) -> dict[str, float]:
    """Return the lowest confidence (0–1) of each type's entities: the user's, else the tagger's `own`, else 0.

    A number is for all types. Raise SettingsError for a bound outside 0–1, or of a type that the tagger doesn't know.
    """
    if wanted is not None and not isinstance(wanted, Mapping):
        return dict.fromkeys(types, _bound("thresholds", wanted))
    bounds = dict.fromkeys(types, 0.0) | dict(own or {})
    for type_, bound in (wanted or {}).items():
        if type_ not in types:
            raise SettingsError(
                f"thresholds: no type {type_!r}{nearest(str(type_), types)} (known: {', '.join(types)})"
            )
        bounds[type_] = _bound(f"thresholds[{type_}]", bound)
    return bounds


def _bound(name: str, value: object) -> float:
    return float(check(name, value, Annotated[float, Bounds(at_least=0, at_most=1)]))
