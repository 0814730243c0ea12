"""Places in a text as other languages count them.

Python counts characters (code points); JavaScript, Java and C# count UTF-16 units, where an emoji is two. The choice:
spans are found in characters and converted at the end, so `text[start:end] == span.text` is true for the one unit only.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace

from nerbert.config import refuse
from nerbert.records import Span

OFFSETS = ("characters", "utf-16")
_LAST_OF_ONE_UNIT = "\uffff"


def check_offsets(name: str) -> str:
    """`name` if it is a unit to count in; else raise SettingsError."""
    refuse(name not in OFFSETS, "offsets", name, " or ".join(map(repr, OFFSETS)))
    return name


def utf16_spans(text: str, spans: Sequence[Span]) -> list[Span]:
    """The spans of `text` with their places in UTF-16 units."""
    if text.isascii() or not spans:
        return list(spans)
    wide = [place for place, char in enumerate(text) if char > _LAST_OF_ONE_UNIT]
    if not wide:
        return list(spans)
    return [
        replace(span, start=span.start + bisect_left(wide, span.start), end=span.end + bisect_left(wide, span.end))
        for span in spans
    ]
