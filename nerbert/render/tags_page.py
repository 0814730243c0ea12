"""Tagged rows as one HTML page, cut to a length that browsers handle: no requests, no scripts, light and dark."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from nerbert import render
from nerbert.records import Document, Span
from nerbert.render import Mark, pieces_of
from nerbert.texts.kinds import lines_of

ROOM = 1_000_000
"""Maximum characters on a page; each entity counts as `_ENTITY_ROOM` more."""
_ENTITY_ROOM = 60
_COLOURS = 10
_SURE = 0.5
_Line = tuple[str, list[tuple[str, Mark | None]]]
"""Text direction of a line, and its pieces."""
_MORE: _Line = ("ltr", [("…", None)])


def write_page(target: Path, tagged: Iterable[Document], /, *, title: str, tagger: str, types: Sequence[str]) -> None:
    """Write a page of the `tagger`'s `types` in the input named by `title`: counts, then the rows that fit."""
    colours = {name: f"k k{number % _COLOURS}" for number, name in enumerate(types)}
    entities = Counter[str]()
    rows = list[list[_Line]]()
    room, complete, total = ROOM, 0, 0
    # Rows that don't fit are counted, too: the page shows the totals of the whole input.
    for row in tagged:
        entities.update(span.type for span in row.spans)
        cut, spans = cut_to_fit(row.text, row.spans, room)
        # After the first row that is cut, nothing more is shown, even if it were short.
        fits = complete == total and len(cut) == len(row.text)
        room = room - len(row.text) - _ENTITY_ROOM * len(row.spans) if fits else 0
        if cut:
            rows.append([*_lines(cut, spans, colours), *([] if fits else [_MORE])])
        total += 1
        complete = complete + fits
    counts = sorted(entities.items(), key=lambda item: (-item[1], item[0]))
    page = render.render(
        "tags.html.j2",
        title=title,
        tagger=tagger,
        rows=rows,
        whole=complete,
        total=total,
        sure=_SURE,
        counts=[(name, colours.get(name, ""), count) for name, count in counts],
        not_found=[name for name in colours if name not in entities],
    )
    target.write_text(page, encoding="utf-8")


def _lines(text: str, spans: Sequence[Span], colours: Mapping[str, str]) -> Iterator[_Line]:
    for line, marked in lines_of(text, spans):
        marks = [(start, end, _mark(span, colours.get(span.type, "k entity"))) for start, end, span in marked]
        # A tab would jump to a column, wherever the tags have moved the text.
        pieces = [(piece if mark else piece.replace("\t", " "), mark) for piece, mark in pieces_of(line, marks)]
        yield direction(line), pieces


def _mark(span: Span, style: str) -> Mark:
    doubt, unsure = ("", "") if span.confidence >= _SURE else ("?", " unsure")
    return Mark(f"{span.type}{doubt}", f"{style}{unsure}", f"{span.type}, confidence {span.confidence:.2f}")


def cut_to_fit(text: str, spans: Sequence[Span], room: int) -> tuple[str, Sequence[Span]]:
    """Return the beginning of a row that fits, and the entities in it; no entity is cut."""
    cost = len(text) + _ENTITY_ROOM * len(spans)
    if cost <= room:
        return text, spans
    end = room * len(text) // cost
    end = next((span.start for span in spans if span.start < end < span.end), end)
    return text[:end], [span for span in spans if span.end <= end]


def direction(line: str) -> str:
    """Return a line's text direction, by its first letter; `dir=auto` would include the names of types."""
    sides = map(unicodedata.bidirectional, line)
    # `dir=auto` would include the names of types, which are in Latin letters.
    return next(("ltr" if side == "L" else "rtl" for side in sides if side in ("L", "R", "AL")), "auto")
