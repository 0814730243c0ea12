"""Paragraphs out of scanned text: headings, lists and leftovers of tables go, white space and empty brackets shrink.

Invisible characters (soft hyphens, zero-width spaces, marks of direction) go too, since they would cut words.

Links move with the text, so that `text[start:end]` stays the anchor. Every paragraph is one line of the result. The
price of dropping headings and lists is some links; `lists` keeps the items as paragraphs of their own.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

from nerbert.records import Link, Reason

_EDITS = (
    re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]++"),
    re.compile(r"(?P<space>\s++)"),
    re.compile(r" \[ ?\]|(?<=\()\[ ?\]"),
    re.compile(r" ?\( ?(?:[;,:–] ?)*+\)"),
    re.compile(r"(?<=\() ?(?:[;,] ?)*+| ?[;,]? ?(?=\))"),
    re.compile(r" (?=[,;](?: |$))"),
)
"""What goes from a paragraph, in order; each is linear, since white space is single from the second on."""
_LIST = ("*", "#", ";", ":")
_TABLE = ("|", "!", "{|")


def tidy(raw: str, links: Sequence[Link], *, lists: bool) -> tuple[str, list[Link], Counter[Reason]]:
    """Clean text (a paragraph a line), the links in it, and how many links were dropped, by reason."""
    blocks: list[str] = []
    kept: list[Link] = []
    dropped: Counter[Reason] = Counter()
    length = place = 0
    for start, end in _paragraphs(raw, lists=lists):
        inside: list[Link] = []
        while place < len(links) and links[place].start < end:
            link = links[place]
            place += 1
            if link.start >= start and link.end <= end:
                inside.append(Link(link.start - start, link.end - start, link.target))
            else:
                dropped[Reason.LINK_OUTSIDE_PROSE] += 1
        text, moved = _tidy_block(raw[start:end], inside)
        dropped[Reason.EMPTY_ANCHOR] += len(inside) - len(moved)
        if text:
            kept += [Link(link.start + length, link.end + length, link.target) for link in moved]
            blocks.append(text)
            length += len(text) + 1
    dropped[Reason.LINK_OUTSIDE_PROSE] += len(links) - place
    return "\n".join(blocks), kept, +dropped


def _paragraphs(raw: str, *, lists: bool) -> Iterator[tuple[int, int]]:
    """Spans of paragraphs: runs of plain lines, and list items if wanted."""
    place, begin = 0, -1
    for line in raw.split("\n"):
        mark = line.strip()
        is_list = mark.startswith(_LIST)
        breaks = not mark or is_list or mark.startswith(_TABLE) or mark[0] == "=" == mark[-1] or mark.startswith("----")
        if breaks and begin >= 0:
            yield begin, place
            begin = -1
        if not breaks and begin < 0:
            begin = place
        if is_list and lists:
            yield place + len(line) - len(line.lstrip().lstrip(" *#;:\t")), place + len(line)
        place += len(line) + 1
    if begin >= 0:
        yield begin, place - 1


def _tidy_block(block: str, links: Sequence[Link]) -> tuple[str, list[Link]]:
    for pattern in _EDITS:
        block, links = _edit(pattern, block, links)
    lead = len(block) - len(block.lstrip())
    text = block.strip()
    return text, [link for link in (_inside(text, each, lead) for each in links) if link is not None]


def _edit(pattern: "re.Pattern[str]", text: str, links: Sequence[Link]) -> tuple[str, list[Link]]:
    """Replace each match of the group `space` by one space, any other by nothing; links move along."""
    edits = [(m.start(), m.end(), " " if m.lastgroup == "space" else "") for m in pattern.finditer(text)]
    edits = [(start, end, new) for start, end, new in edits if text[start:end] != new]
    if not edits:
        return text, list(links)
    bounds = [0, *(place for start, end, _ in edits for place in (start, end)), len(text)]
    pieces = [text[a:b] for a, b in list(pairwise(bounds))[::2]]
    joined = "".join(piece + new for piece, new in zip(pieces, [*(new for *_, new in edits), ""], strict=True))
    places = _moved(sorted({p for link in links for p in (link.start, link.end)}), edits)
    return joined, [Link(places[link.start], places[link.end], link.target) for link in links]


def _moved(places: Sequence[int], edits: Sequence[tuple[int, int, str]]) -> dict[int, int]:
    """Where each of the sorted `places` stands after the edits."""
    moved: dict[int, int] = {}
    shift, number = 0, 0
    for place in places:
        while number < len(edits) and edits[number][1] <= place:
            start, end, new = edits[number]
            shift += len(new) - (end - start)
            number += 1
        cut = place - edits[number][0] if number < len(edits) and edits[number][0] < place else 0
        moved[place] = place + shift - cut
    return moved


def _inside(text: str, link: Link, lead: int) -> Link | None:
    """The link with its anchor stripped of white space; None if nothing is left."""
    start, end = max(link.start - lead, 0), min(link.end - lead, len(text))
    anchor = text[start:end]
    start += len(anchor) - len(anchor.lstrip())
    end -= len(anchor) - len(anchor.rstrip())
    return Link(start, end, link.target) if start < end else None
