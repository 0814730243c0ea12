"""Spans as a tagger gives them: whole graphemes, those that are sure enough, offsets in characters or UTF-16 units.

Python counts characters (code points); JavaScript, Java and C# count UTF-16 units, where an emoji is two. Spans are
found in characters and converted at the end, so `text[start:end] == span.text` holds for characters only.

A grapheme is what a reader takes for one character: a letter with its accents, a flag, a family of joined emojis. Words
can be parts of one, so a span grows to whole ones.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

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

    They are looked for in stretches without white space, and the last stretch is kept: spans come in order.
    """

    def __init__(self, text: str) -> None:
        self._text, self._ascii = text, text.isascii()
        self._borders = [0]

    def grow(self, start: int, end: int) -> tuple[int, int]:
        """Return the smallest span of whole graphemes that holds `[start, end)`."""
        if self._ascii:
            return start, end
        if not self._is_border(start):
            start = self._borders[bisect_right(self._borders, start) - 1]
        if not self._is_border(end):
            end = self._borders[bisect_left(self._borders, end)]
        return start, end

    def _is_border(self, place: int) -> bool:
        """Return whether a place is a border for sure; if not, find the borders of the stretch around it."""
        text = self._text
        if place in (0, len(text)) or text[place - 1].isspace() or text[place].isspace():
            return True
        if text[place] < _FIRST_WIDE and text[place - 1] < _FIRST_PREPENDED:
            return True
        if not self._borders[0] < place < self._borders[-1]:
            before, after = _TO_SPACE_BACK.match(text, 0, place), _TO_SPACE.match(text, place)
            start, end = before.start() if before else place, after.end() if after else place
            self._borders = [start, *(each.end() for each in _GRAPHEME.finditer(text, start, end))]
        return False


_GRAPHEME = regex.compile(r"\X")
_TO_SPACE, _TO_SPACE_BACK = regex.compile(r"\S*+"), regex.compile(r"(?r)\S*+")
_FIRST_WIDE, _FIRST_PREPENDED = "\x80", "\u0600"
"""Characters below the first continue no grapheme; those below the second take none that follows."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The lowest confidence (0–1) of a type's entities; `default` is that of types not in `by_type`."""

    default: float = 0.0
    by_type: Mapping[str, float] = field(default_factory=dict)

    def leave_out(self, type_: str, confidence: float) -> bool:
        """Return whether an entity is not sure enough."""
        return confidence < self.by_type.get(type_, self.default)


def thresholds_of(
    wanted: float | Mapping[str, float] | None, card: Mapping[str, Any], types: Sequence[str]
) -> Thresholds:
    """Return the user's thresholds over those of the tagger's card; a number is for all types.

    Raise SettingsError for a bound outside 0–1, or of a type that the tagger doesn't know.
    """
    own = card.get("thresholds")
    known = dict(own) if isinstance(own, Mapping) else {}
    if wanted is None:
        return Thresholds(by_type=known)
    if not isinstance(wanted, Mapping):
        return Thresholds(_bound("thresholds", wanted))
    for type_ in wanted:
        if type_ not in types:
            raise SettingsError(
                f"thresholds: no type {type_!r}{nearest(str(type_), types)} (known: {', '.join(types)})"
            )
    return Thresholds(by_type=known | {type_: _bound(f"thresholds[{type_}]", each) for type_, each in wanted.items()})


def _bound(name: str, value: object) -> float:
    return float(check(name, value, Annotated[float, Bounds(at_least=0, at_most=1)]))
