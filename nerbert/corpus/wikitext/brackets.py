"""Find nested brackets in linear time on any input.

Regular expressions without backtracking match up to a depth of eight, which keeps the scanner fast; a stack handles
deeper nesting. A template that lacks its `}}` is therefore literal as a whole, as in MediaWiki.
"""

import re
from collections.abc import Iterator

_DEPTH = 8


def _nested(opening: str, closing: str, depth: int) -> str:
    """Return an expression for `opening … closing` with at most `depth` nested levels."""
    a, b = re.escape(opening[0]), re.escape(closing[0])
    inner = f"|{_nested(opening, closing, depth - 1)}" if depth else ""
    return rf"{a}{a}(?:[^{a}{b}]++|{a}(?!{a})|{b}(?!{b}){inner})*+{b}{b}"


TEMPLATE = _nested("{{", "}}", _DEPTH)
"""A template with everything in it."""
IN_LINK = rf"(?:[^\[\]]++|\[(?!\[)|\](?!\])|{_nested('[[', ']]', 3)})*+"
"""What a file link may contain: text with whole links."""
_ARGUMENT = re.compile(rf"\|((?:[^\[\]{{}}|]++|\[\[{IN_LINK}\]\]|{TEMPLATE}|[\[\]{{}}])*+)")
_BRACES = re.compile(r"(?P<open>\{\{)|\}\}")
_TABLE = re.compile(r"\n[ \t:]*+(?:(?P<open>\{\|)(?!\})|\|\}(?!\}))")


def arguments(inside: str) -> list[str]:
    """Split a template without its braces at its top-level bars; the first item is its name."""
    if "[[" not in inside and "{{" not in inside:
        return inside.split("|")
    return _ARGUMENT.findall("|" + inside)


def remove_deep_templates(source: str) -> str:
    """Remove the templates that are nested too deeply for TEMPLATE."""
    return _without(source, _BRACES, "")[0] if "{{" in source and "}}" in source else source


def remove_tables(source: str) -> tuple[str, list[str]]:
    """Return the text without tables, and the removed tables, each with the tables nested in it.

    A table that is not closed stays; later passes drop its lines one by one.
    """
    return _without("\n" + source, _TABLE, "\n") if "{|" in source else (source, [])


def _without(source: str, brackets: "re.Pattern[str]", instead: str) -> tuple[str, list[str]]:
    pieces, cut, place = [], [], 0
    for start, end in _outermost(source, brackets):
        pieces += [source[place:start], instead]
        cut.append(source[start:end])
        place = end
    return "".join([*pieces, source[place:]]), cut


def _outermost(source: str, brackets: "re.Pattern[str]") -> Iterator[tuple[int, int]]:
    """Yield the spans of the outermost matched brackets; a closing bracket closes the last open one."""
    still_open: list[int] = []
    spans: list[tuple[int, int]] = []
    for bracket in brackets.finditer(source):
        if bracket["open"]:
            still_open.append(bracket.start())
        elif still_open:
            start = still_open.pop()
            while spans and spans[-1][0] > start:
                spans.pop()
            spans.append((start, bracket.end()))
    yield from spans
