"""Wikitext → clean text with every internal link as an exact span. The scanner is ours: it decides quality and speed.

Four linear passes: opaque parts out (comments, references, formulas), brackets matched with one stack, text and
links emitted, paragraphs tidied. Broken markup never stops a page: what does not close is taken literally. The price
of not expanding templates is that text which only a template would produce is missing; a few templates whose argument
*is* the text (`{{lang|fr|…}}`) are read.
"""

import html
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

from nerbert.corpus.brackets import Brackets, match_brackets
from nerbert.corpus.opaque import remove_opaque, show_protected
from nerbert.corpus.sites import CATEGORY, FILE, Site
from nerbert.corpus.tidy import tidy
from nerbert.corpus.titles import normalise_title
from nerbert.records import CleanPage, Infobox, Link, Reason

SCANNER = "nerbert-wikitext-1"
"""Name and version of the scanner: offsets of two versions must not be mixed."""

_TOKEN = re.compile(
    r"\{\{|\{\||\[\[|\[(?=(?:https?:|ftp:)?//|mailto:)|'{2,}|</?[a-zA-Z][^<>]*+>|&(?:#\d+|#[xX][0-9a-fA-F]+|\w+);|__[A-Z]+__"
)
_TEXT_ARGUMENT = {
    "lang": 2, "nowrap": 1, "nobr": 1, "small": 1, "big": 1, "em": 1, "abbr": 1, "okina": 0, "keepwrap": 1,
    "langx": 2, "transl": 2, "transliteration": 2, "lang-en": 1, "w": 1, "spaces": 0, "sup": 1, "sub": 1,
}  # fmt: skip
_BREAKS = frozenset({"br", "p", "div", "li", "tr", "td", "hr", "blockquote"})
_MAX_DEPTH = 40
_MAX_PARAMETERS, _MAX_VALUE = 120, 120


@dataclass(slots=True)
class _Output:
    """Text as it grows, with the links found so far; `dropped` counts links that can't be mentions."""

    pieces: list[str] = field(default_factory=list)
    length: int = 0
    links: list[Link] = field(default_factory=list)
    dropped: Counter[Reason] = field(default_factory=Counter)

    def add(self, text: str) -> None:
        self.pieces.append(text)
        self.length += len(text)


def clean_page(title: str, wikitext: str, site: Site, *, lists: bool = False) -> CleanPage:
    """Scan one page; `lists` keeps list items as paragraphs of their own."""
    source = remove_opaque(wikitext)
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
        place, source, add = start, self.source, self.output.add
        search = _TOKEN.search
        while (token := search(source, place, end)) is not None:
            at = token.start()
            if at > place:
                add(source[place:at])
            place = self._token(token.group(), at, token.end(), end, depth)
        if end > place:
            add(source[place:end])

    def _token(self, token: str, at: int, after: int, end: int, depth: int) -> int:
        """Handle one token; the place where reading goes on."""
        if token == "[[":
            return self._link(at, end, depth)
        if token == "{{":
            return self._template(at, end, depth)
        if token == "{|":
            closed = self.brackets.close(at, end)
            return closed if closed else after
        if token == "[":
            return self._external(after, end, depth)
        if token[0] == "'":
            self.output.add("'" * _visible_apostrophes(len(token)))
        elif token[0] == "&":
            self.output.add(html.unescape(token))
        elif token[0] == "<" and token.strip("</>").split(maxsplit=1)[0].lower() in _BREAKS:
            self.output.add("\n" if "br" not in token[:4].lower() else " ")
        return after

    def _template(self, at: int, end: int, depth: int) -> int:
        closed = self.brackets.close(at, end)
        if not closed:
            self.output.add("{{")
            return at + 2
        bar = _first_bar(self.source, at + 2, closed - 2, self.brackets)
        name = self.source[at + 2 : bar].strip().lower()
        wanted = _TEXT_ARGUMENT.get(name, 0)
        if wanted and depth < _MAX_DEPTH:
            for number, (first, last) in enumerate(_arguments(self.source, at + 2, closed - 2, self.brackets)):
                if number == wanted:
                    self.emit(first, last, depth + 1)
        return closed

    def _link(self, at: int, end: int, depth: int) -> int:
        closed = self.brackets.close(at, end)
        if not closed or depth >= _MAX_DEPTH:
            self.output.add("" if closed else "[[")
            return closed or at + 2
        bar = _first_bar(self.source, at + 2, closed - 2, self.brackets)
        target = html.unescape(self.source[at + 2 : bar]).strip()
        plain = target.startswith(":")
        target = target.lstrip(": ")
        space = self.site.namespace(target)
        other = self.site.other_wiki(target)
        if not plain and (space in (FILE, CATEGORY) or other == "language"):
            return closed
        if "[[" in self.source[bar : closed - 2] or not target:
            self.output.add("[[")
            return at + 2
        return self._anchor(target, bar, closed, end, depth, article=space == 0 and not other)

    def _anchor(self, target: str, bar: int, closed: int, end: int, depth: int, *, article: bool) -> int:
        """Write a link's anchor with its trail, and keep the link if it leads to another article."""
        output, begin = self.output, self.output.length
        if bar < closed - 2:
            self.emit(bar + 1, closed - 2, depth + 1)
        else:
            output.add(target.replace("_", " ") if "_" in target and " " not in target else target)
        trail = self.site.trail().match(self.source, closed, end)
        if trail is not None:
            output.add(trail.group())
            closed = trail.end()
        title = normalise_title(unquote(target.partition("#")[0]) if "%" in target else target.partition("#")[0])
        if not article:
            output.dropped[Reason.LINK_OUTSIDE_ARTICLES] += 1
        elif not title or title == self.title:
            output.dropped[Reason.LINK_TO_SELF] += 1
        else:
            output.links.append(Link(begin, max(output.length, begin + 1), title))
            if output.length == begin:
                output.links.pop()
                output.dropped[Reason.EMPTY_ANCHOR] += 1
        return closed

    def _external(self, after: int, end: int, depth: int) -> int:
        """`[http://… label]` → label; without a closing bracket on the line it is literal."""
        line_end = self.source.find("\n", after, min(end, after + 2000))
        line_end = line_end if line_end >= 0 else min(end, after + 2000)
        space = self.source.find(" ", after, line_end)
        closing = self.source.find("]", after, line_end)
        if closing < 0:
            self.output.add("[")
            return after
        return space if 0 <= space < closing else closing


def _visible_apostrophes(run: int) -> int:
    """How many of a run of apostrophes are text: 2, 3 and 5 are bold or italic, 4 shows one, more show the rest."""
    return {2: 0, 3: 0, 4: 1, 5: 0}.get(run, run - 5)


def _first_bar(source: str, start: int, end: int, brackets: Brackets) -> int:
    """Place of the first `|` at the top level of a bracket's content, or `end`."""
    return next(_bars(source, start, end, brackets), end)


_BAR = re.compile(r"\||\{\{|\[\[")


def _bars(source: str, start: int, end: int, brackets: Brackets) -> Iterator[int]:
    place = start
    while (token := _BAR.search(source, place, end)) is not None:
        place = token.end()
        if token.group() == "|":
            yield token.start()
        else:
            place = brackets.close(token.start(), end) or place


def _arguments(source: str, start: int, end: int, brackets: Brackets) -> Iterator[tuple[int, int]]:
    """Spans between the top-level bars of a template: its name first."""
    begin = start
    for bar in _bars(source, start, end, brackets):
        yield begin, bar
        begin = bar + 1
    yield begin, end


def _infoboxes(source: str, brackets: Brackets) -> Iterator[Infobox]:
    """Templates that stand in no other template, with their filled parameters."""
    for start, end in brackets.outermost_templates(source):
        spans = _arguments(source, start + 2, end - 2, brackets)
        first, last = next(spans)
        name = normalise_title(source[first:last])
        if name and len(name) < 200 and name[0] not in "#{:":
            yield Infobox(name, tuple(_parameters(source, list(spans)[:_MAX_PARAMETERS])))


def _parameters(source: str, spans: Sequence[tuple[int, int]]) -> Iterator[tuple[str, str]]:
    number = 0
    for start, end in spans:
        name, equals, value = source[start : min(end, start + 4 * _MAX_VALUE)].partition("=")
        if not equals:
            number += 1
            name, value = str(number), name
        if name.strip() and value.strip():
            yield name.strip()[:_MAX_VALUE], " ".join(value.split())[:_MAX_VALUE]
