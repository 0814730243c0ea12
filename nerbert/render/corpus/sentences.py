"""Sentences of the page: mentions coloured by category, each with its type beside it.

What a mention leads to is its `title`, which browsers show on hovering; the style sheet shows it, too, where a mention
has the focus, since fingers and keyboards don't hover. The price is a stop of the Tab key for each mention.

Spans come from a file, so those that overlap or lie outside the text are cut, never trusted. Long sentences are cut
around the mention that they are shown for; `--json` gives them whole.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from zlib import crc32

from nerbert.records import ENTITY
from nerbert.render.markup import Child, Markup, tag

_COLOURS = 10
_LONGEST, _BEFORE = 600, 200

Row = Mapping[str, Any]


def category_blocks(
    drawn: Mapping[str, Sequence[Row]], counts: Mapping[str, Mapping[str, int]], opened: int = 2
) -> list[Markup]:
    """For each category a block that unfolds to its sentences; the first few are open."""
    return [
        tag(
            "details",
            tag("summary", tag("h3", name, class_=colour_of(name)), " ",
                tag("span", _told(counts.get(name, {})), class_="told")),
            [sentence(row, name) for row in found] or tag("p", "no sentence holds it", class_="told"),
            open="" if place < opened else None,
        )
        for place, (name, found) in enumerate(drawn.items())
    ]  # fmt: skip


def sentence(row: Row, category: str) -> Markup:
    """One sentence with all its mentions, and where it is from."""
    source = f"{row['title']} · {row['id']} · {row['split']} · copies {row['copies']}"
    text = tag("p", _marked(row["text"], row["mentions"], category), class_="text", dir="auto")
    return tag("div", text, tag("p", source, class_="source"), class_="sentence")


def colour_of(category: str) -> str:
    """The style class of a category."""
    if category == ENTITY:
        return "k entity"
    return f"k k{crc32(category.encode('utf-8', 'surrogatepass')) % _COLOURS}"


def _told(counts: Mapping[str, int]) -> str:
    return f"{counts.get('mentions', 0):,} → {counts.get('with_copies', 0):,}"


def _marked(text: str, mentions: Sequence[Row], category: str) -> list[Child]:
    """The text, or a window of it, as texts and marks."""
    begin, end = _window(text, mentions, category)
    shown: list[Child] = ["… " if begin else ""]
    place = begin
    for each in sorted(mentions, key=lambda mention: (mention["start"], mention["end"])):
        start, stop = max(place, each["start"]), min(end, each["end"])
        if start >= stop:
            continue
        shown += [text[place:start], _mark(text[start:stop], each, wanted=each["category"] == category)]
        place = stop
    return [*shown, text[place:end], " …" if end < len(text) else ""]


def _window(text: str, mentions: Sequence[Row], category: str) -> tuple[int, int]:
    if len(text) <= _LONGEST:
        return 0, len(text)
    first = min((each["start"] for each in mentions if each["category"] == category), default=0)
    begin = max(0, min(first - _BEFORE, len(text) - _LONGEST))
    return begin, begin + _LONGEST


def _mark(anchor: str, mention: Row, *, wanted: bool) -> Markup:
    name = mention["category"]
    path = " › ".join(mention["class_path"]) or "class unknown"
    by = f"; by {mention['source']}" if mention["source"] else ""
    kind = colour_of(name) + (" wanted" if wanted else "")
    title = f"{mention['resolved_target']}: {path}{by}"
    return tag("mark", tag("bdi", anchor), tag("small", name), class_=kind, title=title, tabindex=0)
