"""Wikitext → clean text with every internal link as an exact span. The scanner is ours: it decides quality and speed.

Five linear passes: opaque parts out (comments, references, formulas), apostrophes told from bold and italic marks,
brackets matched with one stack, text and links emitted, paragraphs tidied. Broken markup never stops a page: what does
not close is taken literally. The price of not expanding templates is that text which only a template would produce is
missing; a few templates whose argument *is* the text (`{{lang|fr|…}}`) are read.
"""

import html
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html.entities import html5
from itertools import islice
from urllib.parse import unquote

from nerbert.corpus.apostrophes import protect_apostrophes
from nerbert.corpus.brackets import Brackets, match_brackets
from nerbert.corpus.opaque import protect, remove_opaque, show_protected
from nerbert.corpus.sites import CATEGORY, FILE, Site
from nerbert.corpus.tidy import tidy
from nerbert.corpus.titles import normalise_title
from nerbert.records import CleanPage, Infobox, Link, Reason

SCANNER = "nerbert-wikitext-1"
"""Name and version of the scanner: offsets of two versions must not be mixed."""

_ENTITY = re.compile(r"&(?:#\d{1,20}|#[xX][0-9a-fA-F]{1,20}|\w{1,32});")
_TOKEN = re.compile(
    r"\{\{|\{\||\[\[|\[(?=(?i:(?:https?:|ftp:)?//|mailto:))|'{2,}|</?[a-zA-Z][^<>]*+>|__[A-Z]+(?:_[A-Z]+)*__|"
    + _ENTITY.pattern
)
_FIRST = re.compile(r"\A[^\S\n]*+\S")
_NO_TITLE = re.compile(r"[\[\]{}<>\n]")
_NAMED = re.compile(r"\s*+([\w-]{1,30}+)\s*+=")
_TEXT_ARGUMENT = {
    "lang": "2", "nowrap": "1", "nobr": "1", "small": "1", "big": "1", "em": "1", "abbr": "1", "keepwrap": "1",
    "langx": "2", "transl": "2", "transliteration": "2", "lang-en": "1", "w": "1", "sup": "1", "sub": "1",
    "nihongo": "1", "mvar": "1", "mono": "1",
}  # fmt: skip
_TEXT = {
    "'": "'", "'s": "'s", "snd": " – ", "spaced ndash": " – ", "ndash": "–", "mdash": "—", "nbsp": " ", "=": "=",
    "!": "|", "·": " · ",
}  # fmt: skip
_BREAKS = {"br": " ", "li": "\n* "} | dict.fromkeys(("p", "div", "tr", "td", "hr", "blockquote", "/li"), "\n\n")
_MAX_DEPTH = 40
_MAX_TARGET, _MAX_EXTERNAL = 2000, 2000
_MAX_PARAMETERS, _MAX_VALUE = 120, 120


@dataclass(slots=True)
class _Output:
    """Text as it grows, with the links found so far; `dropped` counts links that can't be mentions.

    `line_start` tells whether only blanks were written since the last line's end.
    """

    pieces: list[str] = field(default_factory=list)
    length: int = 0
    links: list[Link] = field(default_factory=list)
    dropped: Counter[Reason] = field(default_factory=Counter)
    line_start: bool = True

    def add(self, text: str) -> None:
        """Write text as it stands in the source."""
        self.pieces.append(text)
        self.length += len(text)
        end = text.rstrip()
        self.line_start = "\n" in text[len(end) :] or (self.line_start and not end)

    def add_inline(self, text: str) -> None:
        """Write text that begins no line of the source: no `*`, `#`, `!` … there makes a list, whatever comes first."""
        if self.line_start:
            text = _FIRST.sub(lambda match: protect(match.group()), text, count=1)
        self.add(text)


def clean_page(title: str, wikitext: str, site: Site, *, lists: bool = False) -> CleanPage:
    """Scan one page; `lists` keeps list items as paragraphs of their own."""
    source = protect_apostrophes(remove_opaque(wikitext))
    brackets = match_brackets(source)
    output = _Output()
    _Scanner(source, brackets, site, normalise_title(title), output).emit(0, len(source), 0)
    text, links, dropped = tidy("".join(output.pieces), output.links, lists=lists)
    return CleanPage(show_protected(text), tuple(links), tuple(_infoboxes(source, brackets)), output.dropped + dropped)


@dataclass(slots=True)
class _Scanner:
    source: str
    brackets: Brackets
    site: Site
    title: str
    output: _Output

    def emit(self, start: int, end: int, depth: int) -> None:
        """Write the visible text of `source[start:end]`; jumps over what a matched bracket encloses."""
        place, source, search = start, self.source, _TOKEN.search
        while (token := search(source, place, end)) is not None:
            at = token.start()
            if at > place:
                self._plain(place, at)
            place = self._token(token.group(), at, token.end(), end, depth)
        if end > place:
            self._plain(place, end)

    def _plain(self, start: int, end: int) -> None:
        """Write `source[start:end]`, which has no markup but that of lines."""
        begins_line = start == 0 or self.source[start - 1] == "\n"
        (self.output.add if begins_line else self.output.add_inline)(self.source[start:end])

    def _token(self, token: str, at: int, after: int, end: int, depth: int) -> int:
        """Handle one token; the place where reading goes on."""
        if token == "[[":
            return self._link(at, end, depth)
        if token == "{{":
            return self._template(at, end, depth)
        if token == "{|":
            return self.brackets.close(at, end) or self._literal(token, after)
        if token == "[":
            return self._external(after, end, depth)
        if token[0] == "&":
            self.output.add_inline(_character(token).replace("\n", " "))
        elif token[0] == "<":
            self.output.add(_BREAKS.get(_tag_name(token), ""))
        return after

    def _literal(self, text: str, after: int) -> int:
        self.output.add(text)
        return after

    def _template(self, at: int, end: int, depth: int) -> int:
        closed = self.brackets.close(at, end)
        if not closed:
            return self._literal("{{", at + 2)
        bar = _first_bar(self.source, at + 2, closed - 2, self.brackets)
        name = self.source[at + 2 : min(bar, at + 40)].strip().lower()
        wanted = _TEXT_ARGUMENT.get(name)
        if wanted and depth < _MAX_DEPTH:
            self.emit(*_argument(wanted, self.source, at + 2, closed - 2, self.brackets), depth + 1)
        elif name in _TEXT:
            self.output.add_inline(_TEXT[name])
        return closed

    def _link(self, at: int, end: int, depth: int) -> int:
        closed = self.brackets.close(at, end)
        if not closed:
            return self._literal("[[", at + 2)
        if depth >= _MAX_DEPTH:
            self.output.dropped[Reason.LINK_OUTSIDE_PROSE] += 1
            return closed
        bar = _first_bar(self.source, at + 2, closed - 2, self.brackets)
        target = _unescape(self.source[at + 2 : min(bar, at + _MAX_TARGET)]).strip()
        plain = target.startswith(":")
        target = target.lstrip(": ")
        space = self.site.namespace(target)
        other = self.site.other_wiki(target)
        if not plain and (space in (FILE, CATEGORY) or other == "language"):
            return closed
        dynamic = "{{" in target and bar < closed - 2
        no_title = not target or bar - at > _MAX_TARGET or (_NO_TITLE.search(target) and not dynamic)
        if no_title or self._has_link(bar, closed - 2):
            return self._literal("[[", at + 2)
        return self._anchor(target, bar, closed, end, depth, article=not (space or other or dynamic))

    def _has_link(self, start: int, end: int) -> bool:
        """Whether a link stands in an anchor (in a template doesn't count): then the outer one is none."""
        while (token := _OPENING.search(self.source, start, end)) is not None:
            start = self.brackets.close(token.start(), end) or token.end()
            if token.group() == "[[" and not self._is_file(token.end()):
                return True
        return False

    def _is_file(self, place: int) -> bool:
        return self.site.namespace(self.source[place : place + 60]) == FILE

    def _anchor(self, target: str, bar: int, closed: int, end: int, depth: int, *, article: bool) -> int:
        """Write a link's anchor with its trail, and keep the link if it leads to another article."""
        output, begin = self.output, self.output.length
        if bar < closed - 2:
            self.emit(bar + 1, closed - 2, depth + 1)
        else:
            output.add_inline(target.replace("_", " ") if "_" in target and " " not in target else target)
        trail = self.site.trail().match(self.source, closed, end)
        if trail is not None:
            output.add(trail.group())
            closed = trail.end()
        page = show_protected(target.partition("#")[0])
        title = normalise_title(unquote(page) if "%" in page else page)
        if not article:
            output.dropped[Reason.LINK_OUTSIDE_ARTICLES] += 1
        elif not title or title == self.title:
            output.dropped[Reason.LINK_TO_SELF] += 1
        elif output.length == begin:
            output.dropped[Reason.EMPTY_ANCHOR] += 1
        else:
            output.links.append(Link(begin, output.length, title))
        return closed

    def _external(self, after: int, end: int, depth: int) -> int:
        """`[http://… label]` → label; without a closing bracket on the line it is literal."""
        limit = min(end, after + _MAX_EXTERNAL)
        line_end = self.source.find("\n", after, limit)
        closing = self._label_end(after, limit if line_end < 0 else line_end)
        if closing < 0:
            return self._literal("[", after)
        space = self.source.find(" ", after, closing)
        if space >= 0 and depth < _MAX_DEPTH:
            self.emit(space + 1, closing, depth + 1)
        return closing + 1

    def _label_end(self, place: int, end: int) -> int:
        """Place of the first `]` that closes no link, or -1."""
        while (closing := self.source.find("]", place, end)) >= 0:
            opening = self.source.find("[[", place, closing)
            if opening < 0:
                return closing
            place = self.brackets.close(opening, end) or opening + 2
        return -1


def _tag_name(tag: str) -> str:
    """`br` of `<br />`, `/li` of `</li>`."""
    name = tag.strip("<>").rstrip("/").split(maxsplit=1)[0].lower()
    return name if name == "/li" else name.removeprefix("/")


def _character(entity: str) -> str:
    """The text of `&amp;`, `&#38;`; an unknown entity is itself."""
    return html.unescape(entity) if entity[1] == "#" else html5.get(entity[1:], entity)


def _unescape(text: str) -> str:
    return _ENTITY.sub(lambda match: _character(match.group()), text) if "&" in text else text


def _first_bar(source: str, start: int, end: int, brackets: Brackets) -> int:
    """Place of the first `|` at the top level of a bracket's content, or `end`."""
    return next(_outside(_BAR, source, start, end, brackets), end)


_BAR = re.compile(r"\||\{\{|\[\[")
_EQUALS = re.compile(r"=|\{\{|\[\[")
_OPENING = re.compile(r"\{\{|\[\[")


def _outside(pattern: "re.Pattern[str]", source: str, start: int, end: int, brackets: Brackets) -> Iterator[int]:
    """Places of what `pattern` finds beside the opening brackets, outside all that these enclose."""
    place = start
    while (token := pattern.search(source, place, end)) is not None:
        place = token.end()
        if len(token.group()) == 1:
            yield token.start()
        else:
            place = brackets.close(token.start(), end) or place


def _arguments(source: str, start: int, end: int, brackets: Brackets) -> Iterator[tuple[int, int]]:
    """Spans between the top-level bars of a template: its name first."""
    begin = start
    for bar in _outside(_BAR, source, start, end, brackets):
        yield begin, bar
        begin = bar + 1
    yield begin, end


def _argument(wanted: str, source: str, start: int, end: int, brackets: Brackets) -> tuple[int, int]:
    """Span of the argument that a template has under a number, `2=` too; an empty one if it has none."""
    number = 0
    for first, last in islice(_arguments(source, start, end, brackets), 1, None):
        named = _NAMED.match(source, first, last)
        number += named is None
        if wanted == (named.group(1) if named else str(number)):
            return (named.end() if named else first), last
    return end, end


def _infoboxes(source: str, brackets: Brackets) -> Iterator[Infobox]:
    """Templates that stand in no other template, with their filled parameters."""
    for start, end in brackets.outermost_templates(source):
        spans = _arguments(source, start + 2, end - 2, brackets)
        first, last = next(spans)
        name = normalise_title(show_protected(source[first:last]))
        if name and len(name) < 200 and name[0] not in "#{:":
            yield Infobox(name, tuple(_parameters(source, list(spans)[:_MAX_PARAMETERS], brackets)))


def _parameters(source: str, spans: Sequence[tuple[int, int]], brackets: Brackets) -> Iterator[tuple[str, str]]:
    number = 0
    for start, end in spans:
        equals = next(_outside(_EQUALS, source, start, end, brackets), -1)
        number += equals < 0
        name = str(number) if equals < 0 else show_protected(source[start:equals])
        value = show_protected(source[equals + 1 if equals >= 0 else start : end][: 4 * _MAX_VALUE])
        if name.strip() and value.strip():
            yield name.strip()[:_MAX_VALUE], " ".join(value.split())[:_MAX_VALUE]
