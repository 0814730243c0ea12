"""The result as one SVG that stands alone: two bars with their seeds, and a sentence with its tags.

Drawn with attributes only, no style sheet, so that it looks the same in a page, in README and on its own. Words stand
in a fixed-width font at widths that are given, so no font moves a mark away from its word. It has a ground of its own:
dark pages show it as a light card.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from nerbert.artifacts import publish
from nerbert.quickstart.result import Result, Way, verdict
from nerbert.render.markup import Markup, tag
from nerbert.terminal import percent

_WIDTH, _LEFT, _BARS = 860, 28, 330
_CHAR, _LINE = 8.4, 44
"""Width of a character of a sentence, and height of one of its lines with the types below."""
_SMALL = 5.6
"""Width of a character of a type's name, about."""
_ROOM = int((_WIDTH - 2 * _LEFT) / _CHAR)
"""Characters that stand on a line."""
_MOST_LINES = 6
_INK, _SOFT, _GRID, _PAPER = "#1f2328", "#59616b", "#dfdcd4", "#fcfbf8"
_FILLS = ("#6b7f99", "#c2561f")
_GROUNDS = (
    "#dbe8f8",
    "#d8f0e2",
    "#fbe3d4",
    "#ecdff7",
    "#fdeec2",
    "#d5eef2",
    "#fadde6",
    "#e4ecd0",
    "#e3e2f8",
    "#f3e3cf",
)
_INKS = ("#1c4f86", "#17603f", "#8d3a0d", "#62379a", "#6b4d00", "#0d5a68", "#96234f", "#46571a", "#413c9c", "#6f4717")
_NO_XML = {0xFFFE: "\ufffd", 0xFFFF: "\ufffd"}
"""What no XML file may hold, and `tag` lets stand."""
_SANS = "system-ui, -apple-system, Segoe UI, Roboto, Helvetica, Arial, sans-serif"
_MONO = "ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, monospace"


def write_picture(result: Result, path: Path) -> None:
    """Write the picture as an SVG file."""
    with publish(path) as draft:
        draft.write_text(f"{picture(result)}\n", encoding="utf-8")


def picture(result: Result) -> Markup:
    """The picture as an `<svg>` element."""
    lines = list(_lines(result.own.text))
    shown = lines[:_MOST_LINES]
    top = 226
    height = top + _LINE * len(shown) + (22 if len(lines) > len(shown) else 12)
    head = f"{result.train} labelled sentences, {len(result.mentions)} new types of entity"
    return tag(
        "svg", tag("title", f"{head}. {_words(result)}"),
        tag("rect", x=0.5, y=0.5, width=_WIDTH - 1, height=height - 1, rx=10, fill=_PAPER, stroke=_GRID),
        _text(_LEFT, 38, head, size=20, weight=600),
        _text(_LEFT, 60, f"F1 in percent on {result.test} test sentences; a dot a seed of fine-tuning", fill=_SOFT),
        _bars(result.ways), _text(_LEFT, 168, verdict(result), weight=600),
        _text(_LEFT, 202, "A sentence it has never seen, tagged by the second:", fill=_SOFT),
        [_marked(result, line, top + _LINE * n) for n, line in enumerate(shown)],
        _text(_LEFT, height - 12, "…", fill=_SOFT) if len(lines) > len(shown) else None,
        xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {_WIDTH} {height}", width=_WIDTH, height=height, role="img",
        font_family=_SANS, font_size=14, fill=_INK,
    )  # fmt: skip


def _words(result: Result) -> str:
    told = "; ".join(f"{way.title}: F1 {way.told}" for way in result.ways)
    return f"{told}. {verdict(result)}"


def _text(x: float, y: float, text: str, *, size: int = 14, weight: int = 400, fill: str = _INK) -> Markup:
    return tag("text", text, x=x, y=y, font_size=size, font_weight=weight, fill=fill)


def _bars(ways: Sequence[Way]) -> Iterator[Markup]:
    """A bar a way from 0 to 100, its standard deviation as a line, its seeds as dots."""
    long = _WIDTH - _BARS - 150
    for place, way in enumerate(ways):
        y = 76 + place * 36
        yield _text(_LEFT, y + 18, way.title)
        yield tag("rect", x=_BARS, y=y, width=long, height=26, rx=3, fill="#efece5")
        yield tag("rect", x=_BARS, y=y, width=round(long * way.mean, 1), height=26, rx=3, fill=_FILLS[place])
        low, high = (_BARS + long * min(1.0, max(0.0, way.mean + sign * way.sd)) for sign in (-1, 1))
        yield tag("line", x1=round(low, 1), x2=round(high, 1), y1=y + 13, y2=y + 13, stroke=_INK, stroke_width=1.5)
        for f1 in way.f1:
            yield tag("circle", tag("title", percent(f1)), cx=round(_BARS + long * f1, 1), cy=y + 13, r=4, fill="#fff",
                      stroke=_INK, stroke_width=1.2)  # fmt: skip
        yield _text(_BARS + long + 14, y + 18, way.told, weight=600)


def _lines(text: str) -> Iterator[tuple[int, int]]:
    """Where each line of a text begins and ends: broken at spaces, or within a word longer than a line."""
    start = 0
    while start < len(text):
        end = min(len(text), start + _ROOM)
        if end < len(text) and (space := text.rfind(" ", start + 1, end + 1)) > 0:
            end = space
        if text[start:end].strip():
            yield start, end
        start = end + 1 if text[end : end + 1] == " " else end


def _marked(result: Result, line: tuple[int, int], y: int) -> Iterator[Markup]:
    """A line of a sentence: grounds behind its mentions, its words, types below.

    A type's name stands lower where another one is in its way, and nowhere if one is there too: its colour tells it.
    """
    begin, end = line
    free = {33: 0.0, 43: 0.0}
    for start, stop, name in result.own.marked["ner"]:
        first, last = max(start, begin), min(stop, end)
        if first >= last:
            continue
        colour = result.colour(name)
        x, width = _LEFT + (first - begin) * _CHAR, (last - first) * _CHAR
        yield tag("rect", x=round(x - 2, 1), y=y, width=round(width + 4, 1), height=20, rx=4, fill=_GROUNDS[colour])
        below = next((height for height, taken in free.items() if x >= taken), None)
        if first == start and below:
            free[below] = x + _SMALL * (len(name) + 1)
            yield tag("text", name.translate(_NO_XML), x=round(x, 1), y=y + below, font_size=10, fill=_INKS[colour])
    for word in re.finditer(r"\S+", result.own.text[begin:end]):
        x, wide = _LEFT + word.start() * _CHAR, len(word[0]) * _CHAR
        yield tag("text", word[0].translate(_NO_XML), x=round(x, 1), y=y + 15, font_family=_MONO,
                  textLength=round(wide, 1), lengthAdjust="spacingAndGlyphs")  # fmt: skip
