"""Brackets in brackets: spans that enclose what belongs together, found in linear time on any input.

Up to a depth of eight by regular expressions without backtracking, which is what makes the scanner fast; deeper ones by
one stack. The price of the expressions: a template that lacks its `}}` is literal as a whole, as in MediaWiki.
"""

import re
from collections.abc import Iterator

_DEPTH = 8


def _nested(opening: str, closing: str, depth: int) -> str:
    """An expression for `opening … closing` with at most `depth` levels of itself inside."""
    a, b = re.escape(opening[0]), re.escape(closing[0])
    inner = f"|{_nested(opening, closing, depth - 1)}" if depth else ""
    return rf"{a}{a}(?:[^{a}{b}]++|{a}(?!{a})|{b}(?!{b}){inner})*+{b}{b}"


TEMPLATE = _nested("{{", "}}", _DEPTH)
"""A template with all that it encloses."""
IN_LINK = rf"(?:[^\[\]]++|\[(?!\[)|\](?!\])|{_nested('[[', ']]', 3)})*+"
"""What a link to a file may enclose: text with whole links."""
_ARGUMENT = re.compile(rf"\|((?:[^\[\]{{}}|]++|\[\[{IN_LINK}\]\]|{TEMPLATE}|[\[\]{{}}])*+)")
_BRACES = re.compile(r"(?P<open>\{\{)|\}\}")
_TABLE = re.compile(r"\n[ \t:]*+(?:(?P<open>\{\|)(?!\})|\|\}(?!\}))")


def arguments(inside: str) -> list[str]:
    """What stands between the top-level bars of a template without its braces: its name first."""
    if "[[" not in inside and "{{" not in inside:
        return inside.split("|")
    return _ARGUMENT.findall("|" + inside)


def remove_deep_templates(source: str) -> str:
    """Without templates that are nested too deeply for TEMPLATE."""
    return _without(source, _BRACES, "")[0] if "{{" in source and "}}" in source else source


def remove_tables(source: str) -> tuple[str, list[str]]:
    """Without tables, nested ones too, and these. One that isn't closed stays: its lines are dropped one by one."""
    return _without("\n" + source, _TABLE, "\n") if "{|" in source else (source, [])


def _without(source: str, brackets: "re.Pattern[str]", instead: str) -> tuple[str, list[str]]:
    pieces, cut, place = [], [], 0
    for start, end in _outermost(source, brackets):
        pieces += [source[place:start], instead]
        cut.append(source[start:end])
        place = end
    return "".join([*pieces, source[place:]]), cut


def _outermost(source: str, brackets: "re.Pattern[str]") -> Iterator[tuple[int, int]]:
    """Spans of matched brackets that stand in no other: each closing one closes the last open one."""
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
