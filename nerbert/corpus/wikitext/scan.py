"""Convert wikitext to clean text with every internal link as an exact span, in a few linear passes over the page.

Limitation: there is no tree, so markup that crosses other markup is read in the order of the passes.
"""

import re
from collections.abc import Mapping
from functools import cache
from itertools import accumulate

from nerbert.corpus.dump.sites import Site, normalise_title
from nerbert.corpus.wikitext.links import ENTITY, PageLinks, character, count_links, do_pipe_tricks, link_reader
from nerbert.corpus.wikitext.prose import join_paragraphs, keep_prose, remove_marks, squeeze, tidy_lines
from nerbert.corpus.wikitext.protected import (
    CLOSE,
    DROPPED,
    DYNAMIC,
    NUMBERED,
    OPEN,
    protect_gaps,
    remove_opaque,
    unprotect,
)
from nerbert.corpus.wikitext.templates import remove_tables, template_reader
from nerbert.records import CleanPage, Reason
from nerbert.tables import read_columns

SCANNER = "nerbert-wikitext-9"
"""Name and version of the scanner; offsets of two versions must not be mixed."""

_PROTOCOL = (
    "(?:https?|ftps?|git|gopher|ircs?|mms|nntp|redis|sftp|ssh|svn|telnet|worldwind)://|//|"
    "(?:bitcoin|geo|magnet|mailto|matrix|news|sips?|sms|tel|urn|xmpp):"
)
_LABEL = r"[^\[\]\n]*+(?:\[[^\[\]\n]*+\][^\[\]\n]*+)*+"
_EXTERNAL = re.compile(rf"\[(?:{_PROTOCOL})[^\s\[\]<>\"]*+(?:[^\S\n]*+({_LABEL}))?\]", re.IGNORECASE)
"""`[http://… label]`, which is replaced by its label."""
_TAGS = """abbr b bdi bdo big blockquote br caption center cite code col colgroup data dd del dfn div dl dt em font h1
    h2 h3 h4 h5 h6 hr i ins kbd li link mark meta noinclude nowiki ol onlyinclude p poem q rb rp rt rtc ruby s samp
    small span strike strong sub sup tbody td tfoot th thead time tr tt u ul var wbr translate tvar languages phonos
    langconvert""".split()
"""Names that MediaWiki reads as tags; anything else in angle brackets is text."""
_LINE_BREAK = re.compile(r"</?br(?=[\s/>])[^<>]*+>", re.IGNORECASE)
_TAG = re.compile(rf"</?(?:{'|'.join((*_TAGS, *DROPPED))})(?=[\s/>])[^<>]*+>", re.IGNORECASE)
_UNDERLINES = ("__", "＿＿")
_MARKS = OPEN + NUMBERED + CLOSE + DYNAMIC
_LINK = re.compile(f"{OPEN}(\\d++){NUMBERED}([^{_MARKS}\n]*+){CLOSE}")
_LINK_OR_MARK = re.compile(f"{_LINK.pattern}|{OPEN}\\d*+{NUMBERED}?|[{_MARKS}]")


def scan_page(title: str, wikitext: str, site: Site, *, lists: bool = False) -> CleanPage:
    """Scan one page, without control characters (XML has none); `lists` keeps list items as separate paragraphs."""
    page_title = normalise_title(title)
    reader = link_reader(site)
    # Empty quotes of the page itself are protected before removals leave other empty quotes
    text = show_variant(remove_opaque(protect_gaps(wikitext)), site.code)
    # Pipe tricks first, since templates may leave empty anchors, too
    text, boxes = template_reader(site).expand(do_pipe_tricks(text), title)
    # The links in tables and pictures aren't in prose; count them before these are removed
    text, tables = remove_tables(text)
    text, lost = reader.without_files(text)
    text, links = reader.mark(text, page_title)
    links.dropped[Reason.LINK_OUTSIDE_PROSE] += lost + sum(map(count_links, tables))
    text = _EXTERNAL.sub(r"\1", text) if "[" in text else text
    text = remove_marks(keep_prose(text, lists=lists))
    # Tags last, as blocks and lists are found by their tags
    text, offsets, targets = _read_spans(join_paragraphs(_remove_tags(text, site)), links)
    return CleanPage(
        unprotect(text), offsets[0::2], offsets[1::2], targets, tuple(boxes), links.categories, +links.dropped
    )


def _remove_tags(text: str, site: Site) -> str:
    """Remove tags and behaviour switches, and decode entities."""
    if "<" in text:
        text = _TAG.sub("", _LINE_BREAK.sub(" ", text))
    if any(mark in text for mark in _UNDERLINES):
        text = site.wikitext.switches.sub("", text)
    text = text.replace("&nbsp;", " ")  # most entities are this one
    # A line's end as an entity must not begin a new line
    return ENTITY.sub(lambda entity: character(entity).replace("\n", " "), text) if "&" in text else text


def _read_spans(text: str, links: PageLinks) -> tuple[str, list[int], list[str]]:
    """Return the text without link marks, the marks' offsets and the targets; count the links that were removed."""
    pieces = _LINK.split(text)
    numbers = pieces[1::3]
    anchors = pieces[2::3]
    del pieces[1::3]
    plain = "".join(pieces)
    # Rarely, marks are unpaired or an anchor has blanks at its edges: mend that and read again
    if any(mark in plain for mark in _MARKS) or not all(part and part[0] != " " != part[-1] for part in anchors):
        return _read_spans(_mend_marks(text, links), links)
    offsets = list(accumulate(map(len, pieces)))[: 2 * len(numbers)]
    targets = list(map(links.targets.__getitem__, map(int, numbers)))
    lost = len(links.targets) - len(targets) - links.dropped[Reason.EMPTY_ANCHOR]
    links.dropped[Reason.LINK_OUTSIDE_PROSE] += lost
    return plain, offsets, targets


def _mend_marks(text: str, links: PageLinks) -> str:
    """Remove unpaired marks and links without an anchor; move outer white space out of anchors."""

    def trim_anchor(match: "re.Match[str]") -> str:
        number = match[1]
        anchor = match[2]
        if number is None:
            return ""
        inner = anchor.strip()
        # A link around a removed picture
        if not inner:
            links.dropped[Reason.EMPTY_ANCHOR] += 1
            return anchor
        before = anchor[: len(anchor) - len(anchor.lstrip())]
        after = anchor[len(anchor.rstrip()) :]
        return f"{before}{OPEN}{number}{NUMBERED}{inner}{CLOSE}{after}"

    return tidy_lines(squeeze(_LINK_OR_MARK.sub(trim_anchor, text)))


_INNERMOST = re.compile(r"-\{(?!\{)((?:[^-{}]++|\{\{[^{}]*+\}\}|-(?!\{(?!\{))|\}(?!-)|\{)*+)\}-")
_FLAGS = re.compile(r"([\w;+\s-]*+)\|")
_HIDING = frozenset("HNT+-")
_DEEPEST = 10
"""Maximum depth of nested variants."""


def show_variant(source: str, code: str) -> str:
    """Return the wikitext with one variant of each `-{zh-hans:软件; zh-hant:軟體}-`; `code` is the language's (`zh`).

    Limitation: text outside the braces keeps the mixture of variants that its authors typed.
    """
    if not (order := _read_order(code)) or "-{" not in source:
        return source
    between = _compile_separator(code)
    # The innermost first, since a variant may contain variants
    for _ in range(_DEEPEST):
        source, changed = _INNERMOST.subn(lambda match: _choose_variant(match[1], order, between), source)
        if not changed:
            break
    return source


@cache
def _read_order(code: str) -> dict[str, str]:
    """Return the names of a language's variants, in order of preference, each with MediaWiki's name; ignore case."""
    row = next((cell for of, cell in read_columns("variants.tsv", "language", "variants") if of == code), "")
    return {name: names[0] for names in (entry.split("=") for entry in row.split()) for name in names}


@cache
def _compile_separator(code: str) -> re.Pattern[str]:
    """Return the pattern of the semicolon between two variants; other semicolons are text."""
    names = "|".join(_read_order(code))
    return re.compile(rf";(?=\s*+(?:[^;=]*+=>\s*+)?(?:{names})\s*+:|\s*+\Z)", re.IGNORECASE)


def _choose_variant(inside: str, order: Mapping[str, str], between: re.Pattern[str]) -> str:
    """Return the text of one `-{…}-`."""
    flags = _FLAGS.match(inside)
    # Conversion rules and titles for other pages show nothing here
    if flags and not _HIDING.isdisjoint(flag.strip() for flag in flags[1].split(";")):
        return ""
    text = inside[flags.end() :] if flags else inside
    variants: dict[str, str] = {}
    for variant in between.split(text):
        name, colon, shown = variant.partition(":")
        name = name.rpartition("=>")[2].strip().lower()
        name = order.get(name, name)
        # `-{12:30}-` is text with a colon, not a variant
        if colon and name not in order:
            return text
        if colon:
            variants.setdefault(name, shown.strip())
    return next((variants[name] for name in order if variants.get(name)), "") if variants else text
