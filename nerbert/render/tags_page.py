"""Tagged rows as one page of HTML: no request, no script, light and dark, readable from the disk.

Each entity has its type beside it, and its confidence as the title that browsers show on hovering, and on focus for
fingers and keyboards; entities that are less than half sure are marked as such in the text. A page shows the first rows
until it is as long as a browser likes, and says what it leaves out; counts are of all rows.
"""

import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple
from itertools import chain
from pathlib import Path

from nerbert import render
from nerbert.artifacts import json_line
from nerbert.records import Span
from nerbert.render.facts import Mark, pieces_of
from nerbert.tagger.jobs.inputs import Block
from nerbert.tagger.jobs.preview import lines_of

ROOM = 1_000_000
"""Characters that a page shows; an entity counts as some more."""
_ENTITY_ROOM = 60
_COLOURS = 10
_SURE = 0.5
_Line = tuple[str, list[tuple[str, Mark | None]]]
"""The side where a line begins, and its pieces."""
_MORE: _Line = ("ltr", [("…", None)])


class PageOutput:
    """One page; `title` is what was tagged, `types` are the tagger's."""

    def __init__(self, title: str, tagger: str, types: Sequence[str]) -> None:
        self._title, self._tagger = title, tagger
        self._colours = {name: f"k k{place % _COLOURS}" for place, name in enumerate(types)}

    def part(self, block: Block, found: Sequence[Sequence[Span]], path: Path) -> None:
        """Write the rows of one block as JSON lines."""
        with path.open("w", encoding="utf-8") as stream:
            for row, spans in zip(block.rows, found, strict=True):
                stream.write(json_line([row.text, list(map(astuple, spans))]) + "\n")

    def check(self, part: Path) -> None:
        """Accept rows in any order."""

    def whole(self, parts: Sequence[Path], target: Path, entities: Mapping[str, int]) -> None:
        """Write the page: counts of all types, the most frequent first, then the rows that there is room for."""
        rows: list[list[_Line]] = []
        room, whole, total = ROOM, 0, 0
        for text, spans in chain.from_iterable(map(_read, parts)):
            cut, shown = fitting(text, spans, room)
            fits = whole == total and len(cut) == len(text)
            room = room - len(text) - _ENTITY_ROOM * len(spans) if fits else 0
            if cut:
                rows.append([*self._lines(cut, shown), *([] if fits else [_MORE])])
            total, whole = total + 1, whole + fits
        counts = sorted(entities.items(), key=lambda each: (-each[1], each[0]))
        page = render.render(
            "tags.html.j2", title=self._title, tagger=self._tagger, rows=rows, whole=whole, total=total, sure=_SURE,
            counts=[(name, self._colours.get(name, ""), count) for name, count in counts],
            not_found=[name for name in self._colours if name not in entities],
        )  # fmt: skip
        target.write_text(page, encoding="utf-8")

    def _lines(self, text: str, spans: Sequence[Span]) -> Iterator[_Line]:
        for line, marked in lines_of(text, spans):
            marks = [(start, end, self._mark(span)) for start, end, span in marked]
            pieces = [(piece if mark else piece.replace("\t", " "), mark) for piece, mark in pieces_of(line, marks)]
            yield _direction(line), pieces

    def _mark(self, span: Span) -> Mark:
        style, title = self._colours.get(span.type, "k entity"), f"{span.type}, confidence {span.confidence:.2f}"
        if span.confidence >= _SURE:
            return Mark(span.type, style, title)
        return Mark(f"{span.type}?", f"{style} unsure", title)


def fitting(text: str, spans: Sequence[Span], room: int) -> tuple[str, Sequence[Span]]:
    """Return the beginning of a row that there is room for, and the entities in it; none is cut."""
    cost = len(text) + _ENTITY_ROOM * len(spans)
    if cost <= room:
        return text, spans
    end = room * len(text) // cost
    end = next((span.start for span in spans if span.start < end < span.end), end)
    return text[:end], [span for span in spans if span.end <= end]


def _direction(line: str) -> str:
    """Return where a line begins, by its first letter; `dir=auto` would look at the names of types too."""
    sides = map(unicodedata.bidirectional, line)
    return next(("ltr" if side == "L" else "rtl" for side in sides if side in ("L", "R", "AL")), "auto")


def _read(part: Path) -> Iterator[tuple[str, list[Span]]]:
    with part.open(encoding="utf-8") as stream:
        for line in stream:
            text, spans = json.loads(line)
            yield text, [Span(*each) for each in spans]
