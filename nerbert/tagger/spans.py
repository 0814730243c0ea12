"""The entities of one text, as a list that knows its text: for notebooks, pandas and displaCy.

They cover whole graphemes (characters, to a reader); offsets are in code points, UTF-16 units or bytes.
"""

import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from typing import Any, Literal
from zlib import crc32

import regex

from nerbert.config import check
from nerbert.errors import MissingExtra, visible
from nerbert.records import SPAN_FIELDS, Span, span_json

OFFSETS = ("characters", "utf-16", "bytes")
_MOST_CHARACTERS, _MOST_ENTITIES = 50_000, 1000
"""Maximum that a notebook shows of a text; its file keeps each output."""
_HUES = 24
_KEPT = re.compile("(\r?\n|\t)")
"""Control characters that are shown as white space."""
_TEXT = "white-space:pre-wrap;overflow-wrap:anywhere;line-height:1.9;unicode-bidi:plaintext"
_ENTITY = "color:inherit;background:hsla({0},75%,50%,.22);border-bottom:2px solid hsl({0},60%,50%);padding:1px 3px"
_LABEL = "font-size:.75em;font-weight:600"
_NOTE = "font-size:.85em;font-style:italic"
_DTYPES = {str: "object", int: "int64", float: "float64"}
_COLUMNS = {name: _DTYPES[type_] for name, type_ in {"start": int, "end": int, **SPAN_FIELDS}.items()}


class Spans(list[Span]):
    """The entities of a text, in order: a list of spans, which a notebook shows as the text with its entities marked.

    `text` is the text, `offsets` the unit of `start` and `end`: `characters`, `utf-16` units or `bytes` (of UTF-8).
    `read` is the number of characters that the model read: fewer than all if long sentences are truncated. A part
    of the list is a plain list; `Spans(spans.text, part)` shows it.
    """

    def __init__(
        self, text: str, spans: Iterable[Span] = (), offsets: str = OFFSETS[0], read: int | None = None
    ) -> None:
        super().__init__(spans)
        self.text, self.offsets = text, offsets
        self.read = len(text) if read is None else read

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return the spans as in JSON (`nerbert tag --json`): text, type, start, end, confidence."""
        return list(map(span_json, self))

    def to_pandas(self) -> Any:
        """Return a DataFrame of the columns start, end, text, type and confidence."""
        try:
            import pandas
        except ModuleNotFoundError as error:
            raise MissingExtra("pandas not installed: pip install pandas") from error
        return pandas.DataFrame(map(asdict, self), columns=list(_COLUMNS)).astype(_COLUMNS)

    def to_displacy(self) -> dict[str, Any]:
        """Return the input of `spacy.displacy.render(…, style="ent", manual=True)`; offsets are always characters."""
        spans = character_spans(self.text, self, self.offsets)
        entities = [{"start": span.start, "end": span.end, "label": span.type} for span in spans]
        return {"text": self.text, "ents": entities, "title": None}

    def _repr_html_(self) -> str:
        """Return the beginning of the text, with its entities marked, as escaped HTML."""
        shown = character_spans(self.text, self, self.offsets)
        end = min(len(self.text), _MOST_CHARACTERS)
        if len(shown) > _MOST_ENTITIES:
            end = min(end, shown[_MOST_ENTITIES].start)
        end = next((span.start for span in shown if span.start < end < span.end), end)
        shown = [span for span in shown if span.end <= end]
        left = f"{len(self.text) - end:,} more characters with {len(self) - len(shown):,} more entities are not shown"
        note = left if end < len(self.text) else "" if self else "no entity found"
        text = f'<div style="{_TEXT}">{"".join(_mark_spans(self.text[:end], shown))}</div>'
        return text + (note and f'<div style="{_NOTE}">{note}</div>')


def _mark_spans(text: str, spans: Iterable[Span]) -> Iterator[str]:
    end = 0
    for span in spans:
        style = _ENTITY.format(crc32(span.type.encode("utf-8", "surrogatepass")) % _HUES * 360 // _HUES)
        title = f"{_escape_text(span.type)}, confidence {span.confidence:.2f}"
        label = f'<bdi style="{_LABEL}">{_escape_text(span.type)}</bdi>'
        yield _escape_text(text[end : span.start])
        yield f'<mark style="{style}" title="{title}">{_escape_text(text[span.start : span.end])} {label}</mark>'
        end = span.end
    yield _escape_text(text[end:])


def _escape_text(text: str) -> str:
    """Return text as HTML; control characters become visible, except tabs and line ends."""
    from html import escape

    return escape("".join(part if index % 2 else visible(part) for index, part in enumerate(_KEPT.split(text))))


_LAST = {"characters": "", "utf-16": "\uffff", "bytes": "\x7f\u07ff\uffff"}
"""The last characters of one unit, of two and so on; later characters have one unit more."""


_BRACKETS = dict(zip("([（［【「『《〈", ")]）］】」』》〉", strict=True))
_SEPARATORS = ",;:،؛、，；：፣፤၊"
"""Marks between entities. Few entities of annotated data have one at an edge, all by mistake; other marks may be part
of a name (`Yahoo!`, `St.`, `C++`), even if a tagger's few examples lack them."""
_NEVER_FIRST, _NEVER_LAST = {*_SEPARATORS, *_BRACKETS.values()}, {*_SEPARATORS, *_BRACKETS}
# Each language has its direction: « French », » German «, » Swedish »
_GUILLEMETS = {*"«»"}
EDGE_MARKS = _NEVER_FIRST | _NEVER_LAST | _GUILLEMETS


def trim_marks(words: Sequence[str], first: int, last: int) -> tuple[int, int]:
    """Return the words of an entity without separators at its edges, and with both of a pair of brackets or neither.

    A missing bracket beside the entity joins it, one at its edge leaves it, as does an unpaired guillemet. One deep
    inside stays, as does a mark that is part of a word.
    """
    before = None
    while before != (first, last):  # each step can uncover a mark for another
        before = first, last
        first += first < last and words[first] in _NEVER_FIRST
        last -= first < last and words[last - 1] in _NEVER_LAST
        for opening, closing in _BRACKETS.items():
            inside = words[first:last]
            open_ones = inside.count(opening) - inside.count(closing)
            if open_ones > 0:
                if inside[0] == opening:
                    first += 1
                else:
                    last += closing in words[last : last + 1]
            elif open_ones < 0:
                if inside[-1] == closing:
                    last -= 1
                else:
                    first -= first > 0 and words[first - 1] == opening
        marks = [word in _GUILLEMETS for word in words[first:last]]
        if sum(marks) % 2:
            first += marks[0]
            last -= marks[-1] and not marks[0]
    return first, last


def check_offsets(name: str) -> str:
    """Return `name` if it is a unit to count in; else raise SettingsError."""
    return str(check("offsets", name, Literal[OFFSETS]))


def counted_spans(text: str, spans: Sequence[Span], offsets: str) -> list[Span]:
    """Convert the offsets of spans of `text` from characters to other units."""
    return _move_spans(spans, _find_wide(text, offsets), 1)


def character_spans(text: str, spans: Sequence[Span], offsets: str) -> list[Span]:
    """Convert the offsets of spans of `text` from other units to characters."""
    return _move_spans(spans, [index + units for units, index in enumerate(_find_wide(text, offsets))], -1)


def _find_wide(text: str, offsets: str) -> list[int]:
    """Return each character's index once for each of its units after the first."""
    lasts = "" if text.isascii() else _LAST[offsets]
    return sorted(index for last in lasts for index, char in enumerate(text) if char > last)


def _move_spans(spans: Sequence[Span], wide: Sequence[int], step: int) -> list[Span]:
    """Return spans with their offsets moved by a step for each of the `wide` ones before."""
    if not wide:
        return list(spans)
    return [
        replace(
            span,
            start=span.start + step * bisect_left(wide, span.start),
            end=span.end + step * bisect_left(wide, span.end),
        )
        for span in spans
    ]


class Graphemes:
    """The borders of a text's graphemes, computed only if a span's end could be inside one."""

    def __init__(self, text: str) -> None:
        self._text = text

    def grow(self, start: int, end: int) -> tuple[int, int]:
        """Return the smallest span of whole graphemes that holds `[start, end)`."""
        if not self._is_border(start):
            start = self._borders[bisect_right(self._borders, start) - 1]
        if not self._is_border(end):
            end = self._borders[bisect_left(self._borders, end)]
        return start, end

    def _is_border(self, index: int) -> bool:
        """Return whether a grapheme certainly begins here."""
        text = self._text
        if index in (0, len(text)) or text[index - 1].isspace() or text[index].isspace():
            return True
        return text[index] < _FIRST_WIDE and text[index - 1] < _FIRST_PREPENDED

    @cached_property
    def _borders(self) -> "array[int]":
        """Return the borders in all words, including their ends."""
        borders = array("q", [0])
        for word in _WORD.finditer(self._text):
            borders.append(word.start())
            borders.extend(match.end() for match in _GRAPHEME.finditer(self._text, word.start(), word.end()))
        return borders


_GRAPHEME = regex.compile(r"\X")
_WORD = regex.compile(r"\S++")
_FIRST_WIDE, _FIRST_PREPENDED = "\x80", "\u0600"
"""Characters below the first never continue a grapheme; those below the second never join the next character."""
