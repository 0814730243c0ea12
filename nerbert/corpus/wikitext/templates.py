"""Expand the templates whose text belongs to the sentence, remove tables and all other templates, and keep infoboxes.

Full expansion would need the whole wiki. Nested brackets are found in linear time on any input.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from nerbert.corpus.dump.sites import CATEGORY, FILE, Site
from nerbert.corpus.dump.sites import TEMPLATE as TEMPLATES
from nerbert.corpus.wikitext.parser_functions import call_function
from nerbert.corpus.wikitext.protected import APOSTROPHE, DYNAMIC, REMOVED, as_prose, is_protected, protect, unprotect
from nerbert.corpus.wikitext.text_templates import Arguments, Rule, text_rule
from nerbert.records import Infobox

_DEPTH = 8


def _nest_brackets(opening: str, closing: str, depth: int) -> str:
    """Return an expression for `opening … closing` with at most `depth` nested levels."""
    a = re.escape(opening[0])
    b = re.escape(closing[0])
    inner = f"|{_nest_brackets(opening, closing, depth - 1)}" if depth else ""
    return rf"{a}{a}(?:[^{a}{b}]++|{a}(?!{a})|{b}(?!{b}){inner})*+{b}{b}"


TEMPLATE = _nest_brackets("{{", "}}", _DEPTH)
"""A template with its whole content."""
_BRACKETED = r"\[[^\[\]\n]*+\](?!\](?!\]))"
"""Text in single brackets, such as a link to another site, also before the link's end."""
IN_LINK = rf"(?:[^\[\]]++|{_BRACKETED}|\[(?!\[)|\](?!\])|{_nest_brackets('[[', ']]', 3)})*+"
"""Content of a file link: text with complete links."""
_TEMPLATE = re.compile(TEMPLATE)
_BRACED = re.compile(r"\}(?<!\}\})\}\}++[^\[\]{}\n]*+\]\]")
"""Braces before the end of a link."""
_ARGUMENT = re.compile(rf"\|((?:[^\[\]{{}}|]++|\[\[{IN_LINK}\]\]|{TEMPLATE}|[\[\]{{}}])*+)")
_INNER_PARAMETER = rf"\{{\{{\{{(?:[^{{}}]++|{TEMPLATE})*+\}}\}}\}}"
_PARAMETER = re.compile(rf"\{{(?=\{{\{{)\{{\{{(?:[^{{}}]++|{_INNER_PARAMETER}|{TEMPLATE})*+\}}\}}\}}")
_BRACES = re.compile(r"(?P<open>\{\{)|\}\}")
_ROW = re.compile(r"\n[ \t:]*+(?:\||!(?!\w))")
_END = re.compile(r"\n[ \t:]*+\|\}(?!\})")
_TABLE = re.compile(r"\n[ \t:]*+(?:(?P<open>\{\|)(?!\})|\|\}(?!\}))")
_INDENT = re.compile(r"\n +")
_FOLLOWING = re.compile(r" +[^\s*#:;|!=]|[^\W\d_]")
"""Text that must not follow a link, or begin a line, just because a template was removed."""
_NO_TARGET = re.compile(r"[|\]\n]")
_TITLE = "\0title"
"""Placeholder for the page's title; texts never contain it."""
_CELL = r"\{?\|(?:[^\n\[\]{}|]*+\|)*+\}?"
_MARKUP = re.compile(rf"[ \t:;]++|{_CELL}|&nbsp;|__\w{{1,40}}?__|<[^<>\n]*+>|\[\[([^\[\]|\n]*+){IN_LINK}\]\]")
"""Markup that may precede an infobox on its line, with links only to pictures and categories."""
_MARKUP_ENDS = frozenset("_]>:;|}")
_MAX_DEPTH, _REMEMBERED = 20, 20_000
_MAX_PARAMETERS, _MAX_VALUE, _MAX_NAME, _MAX_MARKUP = 120, 120, 200, 1000


class _Meaning(NamedTuple):
    """The meaning of a template's name: its constant text, its rule, its function, or its title as an infobox."""

    text: str = ""
    rule: Rule | None = None
    box: str = ""
    function: str = ""


class TemplateReader:
    """A reader of the templates of one wiki's pages; names are cached."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._known: dict[str, _Meaning] = {}

    def expand(self, source: str, title: str) -> tuple[str, list[Infobox]]:
        """Return the text without templates, and the outermost kept templates with their filled parameters."""
        boxes: list[Infobox] = []
        if "{{" not in source:
            return source, boxes
        source = _replace_parameters(source)
        known = self._known
        read = self._read_name
        protected = is_protected(source)
        # An apostrophe in a title is no mark of italics
        title = title.replace("'", APOSTROPHE)
        begun = 0

        def expand_template(match: "re.Match[str]") -> str:
            nonlocal begun
            (start, end), text = match.span(), match.string
            inside = text[start + 2 : end - 2]
            begins_line = text[start - 1 : start] in "\n"
            name, bar, _ = inside.partition("|")
            meaning = known.get(name) or read(name)
            shown = self._show(meaning, inside, title)
            if not shown:
                # An infobox begins a line, perhaps after other templates that begin it
                is_first = begins_line or self._begins_line(text, start, begun)
                begun = end if is_first else begun
                if meaning.box and (is_first or (not bar and _ends_line(text, end))):
                    boxes.append(_read_infobox(meaning.box, arguments(inside)[1:], protected=protected))
            # The target of the link depends on the template: `[[{{PAGENAME}} (city)]]`
            if not begins_line and _in_target(text, start):
                return shown or DYNAMIC
            if shown:
                return _fit_text(shown, begins_line=begins_line and not meaning.function)
            return _mark_removed(text, start, end)

        return remove_deep_templates(_TEMPLATE.sub(expand_template, source)), boxes

    def _show(self, meaning: _Meaning, inside: str, title: str) -> str:
        """Return a template's text; "" for one without text."""
        if meaning.rule or meaning.function:
            return self._expand_text(meaning, inside, title)
        return title if meaning.text == _TITLE else meaning.text

    def _read_name(self, raw: str) -> _Meaning:
        """Return the meaning of a name as written in a template."""
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        name = raw.strip()
        bare = name.removeprefix(":").lstrip()
        # `{{Template:Infobox town}}`, with the namespace's name in any form
        if ":" in name and self.site.namespace(bare) == TEMPLATES:
            name = bare.partition(":")[2].strip()
        prefix, colon, _ = name.partition(":")
        # Functions before templates: their names contain a colon
        if colon and (function := self.site.wikitext.functions.get(prefix.lower())):
            return _Meaning(function=function)
        meaning = _Meaning()
        # An overlong name is no template's, and isn't remembered
        if len(name) < _MAX_NAME:
            key = " ".join(name.replace("_", " ").lower().split())
            # The variable has capitals; a template may have the same name: {{Hauptseite|Berlin}}.
            is_title = name == name.upper() and key in self.site.wikitext.facts["page name"]
            rule = _TITLE if is_title else text_rule(key, self.site.language)
            # The name begins a function or a page, which is no infobox
            if rule is None and name and name[0] not in "#{:":
                meaning = _Meaning(box=self.site.title(unprotect(name)))
            elif rule is not None:
                shown = rule.replace("'", APOSTROPHE) if isinstance(rule, str) else ""
                meaning = _Meaning(shown, None if isinstance(rule, str) else rule)
            self._known[raw] = meaning
        return meaning

    def _expand_text(self, meaning: _Meaning, inside: str, title: str, depth: int = 0) -> str:
        """Return the text that a template or function puts into the sentence, with the templates in it expanded."""

        def inner(match: "re.Match[str]") -> str:
            inside = match.group()[2:-2]
            inner_meaning = self._read_name(inside.partition("|")[0])
            if inner_meaning.rule or inner_meaning.function:
                return self._expand_text(inner_meaning, inside, title, depth + 1)
            # A condition can't be decided by a template whose text is unknown
            if meaning.function and (inner_meaning.box or inside.lstrip()[:1] in ("#", ":", "{")):
                return DYNAMIC
            return title if inner_meaning.text == _TITLE else inner_meaning.text

        def expand(text: str) -> str:
            # Deeper nesting would exhaust the stack
            return _TEMPLATE.sub(inner, text) if "{{" in text and depth < _MAX_DEPTH else text

        values = arguments(inside)
        if meaning.rule:
            return expand(meaning.rule(Arguments(values[1:], self.site.code)))
        # The first argument of `{{#if: x | y}}` comes after the colon
        values[0] = values[0].partition(":")[2]
        # MediaWiki strips the arguments of functions
        return call_function(meaning.function, [expand(value).strip() for value in values], self.site.wikitext.facts)

    def _begins_line(self, text: str, start: int, begun: int) -> bool:
        """Return whether a template's line has only other markup before it, without a list bullet or prose.

        `begun` is the end of the last template that began a line.
        """
        preceding = text[max(start - 40, 0) : start].rstrip(" ")
        if not preceding or preceding[-1] == "\n":
            return True
        # Prose or a list's bullet before the template
        if preceding[-1] not in _MARKUP_ENDS:
            return False
        nearest = max(start - _MAX_MARKUP, 0)
        line = text.rfind("\n", nearest, start)
        braces = text.rfind("}}", nearest, start)
        # Another template is on this line that did not begin it, or the line is too long to look at
        if max(line, braces) < 0 < nearest or (braces > line and braces + 2 != begun):
            return False
        position = max(line + 1, braces + 2 if braces >= 0 else 0)
        while position < start:
            piece = _MARKUP.match(text, position, start)
            # A link before an infobox is shown unless it leads to a picture or a category
            if piece is None or (piece[1] is not None and self.site.namespace(piece[1]) not in (FILE, CATEGORY)):
                return False
            position = piece.end()
        return True


def _replace_parameters(source: str) -> str:
    """Replace each parameter by its default; first, because `{{{1|}}}` would be read as a template in braces."""
    # Braces in a link's label would close a template that begins before the link
    if "}}}" in source:
        source = _BRACED.sub(_protect_braces, source)
    return _PARAMETER.sub(_show_default, source)


def _protect_braces(braces: "re.Match[str]") -> str:
    """Protect braces that close nothing since they are in a link's label."""
    before = braces.string[max(braces.start() - 300, 0) : braces.start()].rpartition("[[")
    # Braces that close a template that was opened outside the label
    closes = not before[1] or set(before[2]) & set("[]{}\n")
    return braces.group() if closes else braces.group().replace("}", protect("}"))


def _show_default(parameter: "re.Match[str]") -> str:
    """Return the default of `{{{name|default}}}`, which an article shows; "" for none."""
    _, *defaults = arguments(parameter.group()[3:-3])
    return _PARAMETER.sub(_show_default, defaults[0]) if defaults else ""


template_reader = lru_cache(maxsize=4)(TemplateReader)
"""Return the cached reader of a wiki's templates."""


def arguments(inside: str) -> list[str]:
    """Split a template without its braces at its top-level bars; the first item is its name."""
    if "[[" not in inside and "{{" not in inside:
        return inside.split("|")
    return _ARGUMENT.findall("|" + inside)


def remove_deep_templates(source: str) -> str:
    """Remove the templates that are nested too deeply for TEMPLATE."""
    return _cut_out(source, _BRACES, REMOVED)[0] if "{" in source and "{{" in source and "}}" in source else source


def remove_tables(source: str) -> tuple[str, list[str]]:
    """Return the text without tables, and the removed tables, each with the tables nested in it.

    An unclosed table stays; later passes drop its lines one by one. A table that a template opened is removed, too.
    """
    text, tables = _cut_out("\n" + source, _TABLE, "\n") if "{" in source and "{|" in source else (source, [])
    if "}" not in text or "|}" not in text:
        return text, tables
    # Section by section: a stray end must not reach for rows of another section
    sections = text.split("\n=")
    for index, section in enumerate(sections):
        row = _ROW.search(section)
        ends = list(_END.finditer(section))
        if row and ends and row.start() < ends[-1].start():
            tables.append(section[row.start() : ends[-1].end()])
            sections[index] = f"{section[: row.start()]}\n{section[ends[-1].end() :]}"
    return "\n=".join(sections), tables


def _cut_out(source: str, brackets: "re.Pattern[str]", instead: str) -> tuple[str, list[str]]:
    pieces = []
    cut = []
    position = 0
    for start, end in _find_outermost(source, brackets):
        pieces += [source[position:start], instead]
        cut.append(source[start:end])
        position = end
    return "".join([*pieces, source[position:]]), cut


def _find_outermost(source: str, brackets: "re.Pattern[str]") -> Iterator[tuple[int, int]]:
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


def _fit_text(shown: str, *, begins_line: bool) -> str:
    """Return a template's text, with a mark at its end if the text after it would otherwise begin a line."""
    if "\n" in shown:
        # A blank at a line's start would make the line code
        shown = _INDENT.sub("\n", shown) + (REMOVED if shown[-1] == "\n" else "")
    return as_prose(shown.lstrip(" ")) if begins_line else shown


def _ends_line(text: str, end: int) -> bool:
    return text[end : end + 40].lstrip(" ")[:1] in ("", "\n")


def _mark_removed(text: str, start: int, end: int) -> str:
    """Return a mark in place of a removed template if the text on its two sides would form other markup together."""
    before = text[start - 1 : start]
    after = text[end : end + 1]
    # `''` after a removed template would join the marks before it
    meets = before == after == "'" or (before in "\n]}" and after != "\n" and _FOLLOWING.match(text, end))
    return REMOVED if meets else ""


def _in_target(text: str, start: int) -> bool:
    """Return whether a template is in the target of a link."""
    # A target is short: looking further back would take long on any input
    opening = text.rfind("[[", max(start - 300, 0), start)
    return opening >= 0 and _NO_TARGET.search(text, opening, start) is None


def _read_infobox(name: str, values: Sequence[str], *, protected: bool) -> Infobox:
    """Return the template with its filled parameters; unnamed ones get numbers; of equal names, the last counts."""
    parameters: dict[str, str] = {}
    number = 0
    for argument in values:
        key, equals, value = argument.partition("=")
        # An "=" inside a link or template is part of it
        if not equals or "[[" in key or "{{" in key:
            number += 1
            key = str(number)
            value = argument
        # Cut before the white space is joined: values can be whole tables
        value = " ".join(value[: 4 * _MAX_VALUE].split())[:_MAX_VALUE]
        if value:
            key = key.strip()[:_MAX_VALUE]
            # Parameters beyond the limit are left out, but a repeated one still counts
            if key and (len(parameters) < _MAX_PARAMETERS or key in parameters):
                parameters[key] = value
        # Of equal names the last counts, even if it is empty
        elif parameters:
            parameters.pop(key.strip()[:_MAX_VALUE], None)
    filled = tuple(parameters.items())
    if protected:
        filled = tuple((unprotect(key), unprotect(value)) for key, value in filled)
    return Infobox(name, filled)
