"""Extract links from wikitext: replace each by its anchor between marks, with its number in the list of targets.

A link whose marks are lost was outside prose. Each spelling of a target is resolved once (200,000 take 60 MB).
"""

import html
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from html.entities import html5
from urllib.parse import unquote

from nerbert.corpus.dump.sites import CATEGORY, DIRECTION_MARKS, FILE, Site, wiki_codes, without_direction_marks
from nerbert.corpus.wikitext.protected import CLOSE, DYNAMIC, NUMBERED, OPEN, REMOVED, as_prose, unprotect, without_ours
from nerbert.corpus.wikitext.templates import IN_LINK
from nerbert.records import Reason

ENTITY = re.compile(r"&(?:#\d{1,20}|#[xX][0-9a-fA-F]{1,20}|\w{1,32});")
_ANCHOR = r"(?:[^\[\]]++|\[[^\[\]\n]*+\](?!\])|\[[^\[\]\n]*+\](?=\]\])|\[(?!\[)|\](?!\]))*+"
_PIPE_TRICK = re.compile(r"\[\[([^\[\]|{}<>\n]{1,300}+)\|\]\]")
_TRICK = re.compile(r"(?:[^:]{0,60}:)?(.+?)(?: ?\([^()]*\)|, [^,]*)?", re.DOTALL)
_PLAIN_TITLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9'(),.-]*+(?: [A-Za-z0-9'(),.-]++)*+")
"""A title that only needs its first letter normalised, as most do."""
_BLANK = rf" _\xa0{DIRECTION_MARKS}"
"""Characters that count as blanks in and around a namespace's name."""
_PLAIN_LINK = re.compile(r"\[\[(?![^\[\]|\n]{0,40}:)")
_REMEMBERED = 200_000
_DROP, _OUTSIDE, _LITERAL = _NO_ARTICLE = "[drop", "[outside", "[literal"
"""Meanings of targets that aren't articles; titles never contain brackets, so they can't be equal."""
_REASONS = {_OUTSIDE: Reason.LINK_OUTSIDE_ARTICLES}
"""Why a link isn't a mention; of others, because it leads to its own page."""
_LONGEST, _LONGEST_PREFIX = 2000, 40
_LONGEST_CATEGORY, _MOST_CATEGORIES = 255, 500
_NO_TITLE = re.compile(r"(?:https?:|ftp:)?//|\.\.?(?:/|\Z)|[^\[\]{}<>|]*+[\[\]{}<>|]|(?:(?!~~~).)*+~~~", re.DOTALL)

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""Control characters, which titles never contain, not even as percent codes."""


@dataclass(slots=True)
class PageLinks:
    """The targets of a page's links by number, its categories, and counts of links that aren't mentions."""

    targets: list[str] = field(default_factory=list)
    categories: list[str] = field(default_factory=list)
    dropped: Counter[Reason] = field(default_factory=Counter)


class LinkReader:
    """A reader of the links of one wiki's pages."""

    def __init__(self, site: Site) -> None:
        self.site = site
        names = "|".join(
            re.escape(name).replace(r"\ ", f"[{_BLANK}]++") for name, key in site.namespaces.items() if key == FILE
        )
        self._file = re.compile(rf"\[\[[{_BLANK}\n]*+(?:{names})[{_BLANK}]*+:({IN_LINK})\]\]", re.IGNORECASE)
        self._own = tuple(f"{code}:" for code in wiki_codes(site.wiki, site.language))
        self._link = re.compile(
            rf"\[\[([^\[\]|{{}}<>\n]*+\n?+)(?:\|(\s*+)({_ANCHOR}))?\]\]((?:{site.wikitext.trail.pattern})?)"
        )
        self._apart = re.compile(rf"\]\]{REMOVED}(?={site.wikitext.trail.pattern})")
        prefix = site.wikitext.prefix
        self._prefix = re.compile(rf"{prefix}++\Z") if prefix else None
        self._known: dict[str, tuple[str, str]] = {}

    def without_files(self, source: str) -> tuple[str, int]:
        """Return the text without file links, and the count of links in their captions."""
        lost = 0

        def remove_file(match: "re.Match[str]") -> str:
            nonlocal lost
            # The captions of pictures are not prose, so their links are counted as lost
            lost += count_links(match[1])
            text = match.string
            start = match.start()
            end = match.end()
            # A blank after a removed picture that begins a line would make the line code
            return REMOVED if text[end : end + 1] == " " and (text[start - 1 : start] or "\n") in "\n]" else ""

        return (self._file.sub(remove_file, source) if "[[" in source else source), lost

    def mark(self, source: str, title: str) -> tuple[str, PageLinks]:
        """Return the text with each link as OPEN number NUMBERED anchor CLOSE; `title` is the page's title."""
        links = PageLinks()
        if "[[" not in source:
            return source, links
        source = self._part_links(source)
        resolved, resolve, targets, dropped = self._known, self._resolve, links.targets, links.dropped
        glues = self._prefix
        no_mention = {*_NO_ARTICLE, "", title}
        first, *parts = self._link.split(source)
        pieces: list[str] = [first]
        for target, space, anchor, trail, after in zip(*[iter(parts)] * 5, strict=True):
            meaning, shown = resolved.get(target) or resolve(target)
            label = (shown if anchor is None else anchor) + trail
            if meaning not in no_mention:
                previous = pieces[-1]
                # At a line's start, the blank would make the line code
                blank = space if space and previous[-1:] not in ("", "\n") else ""
                # In some languages, letters before `[[` belong to the link, as those after `]]` do
                glued = glues and not space and glues.search(previous, max(len(previous) - _LONGEST_PREFIX, 0))
                if glued:
                    pieces[-1], label = previous[: glued.start()], glued.group() + label
                pieces.append(f"{blank}{OPEN}{len(targets)}{NUMBERED}{label}{CLOSE}{after}")
                targets.append(meaning)
            elif meaning == _DROP:
                pieces += (trail, _mark_blank(pieces, after), after)
                # A category is no mention, but evidence for the class of its page
                if self.site.namespace(target.strip()) == CATEGORY:
                    _add_category(links.categories, target)
            elif meaning == _LITERAL:
                pieces += (_as_written(target, space, anchor), trail, after)
            else:
                dropped[_REASONS.get(meaning, Reason.LINK_TO_SELF)] += 1
                # The anchor of a link that is no mention stays as prose
                pieces += (space or "", as_prose(label), after)
        return "".join(pieces), links

    def _part_links(self, source: str) -> str:
        # `[[Berlin]]<ref/>er`: an element kept the letters from belonging to the link
        return self._apart.sub("]] ", source) if "<" in source and REMOVED in source else source

    def _resolve(self, target: str) -> tuple[str, str]:
        """Return a target's meaning (an article, "" for a section of the page, or `_NO_ARTICLE`) and its shown text."""
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        # Most targets need no more than a capital; in Turkish, `i` becomes `İ`
        if len(target) < _LONGEST and _PLAIN_TITLE.fullmatch(target) and not (self.site.dotted and target[0] == "i"):
            result = target[0].upper() + target[1:], target
        else:
            shown = target.strip().lstrip(": ")
            result = self._read_meaning(target), without_ours(unquote(shown)) if "%" in shown else shown
        # Overlong targets would fill the memory
        if len(target) < _LONGEST:
            self._known[target] = result
        return result

    def _read_meaning(self, target: str) -> str:
        name = decode_title(target)
        # `[[:Category:Cities]]` is a visible link, `[[Category:Cities]]` isn't
        plain = name.startswith(":")
        name = unprotect(name.lstrip(": "))
        # In the English Wikipedia, `[[en:Berlin]]` means `[[Berlin]]`
        prefixed = name.lower().startswith(self._own)
        name = name.partition(":")[2].lstrip(": ") if prefixed else name
        space = self.site.namespace(name)
        other = self.site.other_wiki(name)
        # Pictures, categories and links to other languages show nothing in the text
        if not plain and (space in (FILE, CATEGORY) or other == "language"):
            return _DROP
        # MediaWiki shows brackets around something that can't be a title as they are
        if not name or len(target) > _LONGEST or _NO_TITLE.match(name):
            return _LITERAL
        # Another namespace or wiki, or a title with a template in it, which is unknown
        if space or other or DYNAMIC in name:
            return _OUTSIDE
        return self.site.title(name.partition("#")[0])


def _as_written(target: str, space: str, anchor: str | None) -> str:
    """Return a link as the page has it."""
    return f"[[{target}]]" if anchor is None else f"[[{target}|{space}{anchor}]]"


def _last_of(pieces: Sequence[str]) -> str:
    """Return the last character of a text in pieces, which begins with a new line."""
    return next(filter(None, reversed(pieces)), "\n")[-1]


def _mark_blank(pieces: Sequence[str], after: str) -> str:
    # A blank after a removed link that begins a line would make the line code
    return REMOVED if after[:1] == " " and _last_of(pieces) in "\n>" else ""


def _add_category(categories: list[str], target: str) -> None:
    """Add the category that a link's target names, once, if it isn't too long and there is room."""
    name = " ".join(unescape(target).partition(":")[2].replace("_", " ").split())
    fits = 0 < len(name) <= _LONGEST_CATEGORY and len(categories) < _MOST_CATEGORIES
    if fits and name not in categories:
        categories.append(without_ours(name))


link_reader = lru_cache(maxsize=4)(LinkReader)
"""Return the cached reader of a wiki's links."""


def unescape(text: str) -> str:
    """Decode entities that end in a semicolon; keep unknown ones."""
    return ENTITY.sub(character, text) if "&" in text else text


def decode_title(typed: str) -> str:
    """Decode a title's entities and percent codes; return "" if the percent codes contain a control character."""
    title = without_direction_marks(unescape(typed)).strip()
    if "%" not in title:
        return title
    title = without_ours(unquote(title)).strip()
    return "" if _CONTROL.search(title) else title


def character(entity: "re.Match[str]") -> str:
    """Decode one entity such as `&amp;` or `&#38;`."""
    name = entity.group()
    # `html.unescape` would also decode the beginning of an unknown name: `&notit;`
    return html.unescape(name) if name[1] == "#" else html5.get(name[1:], name)


def do_pipe_tricks(wikitext: str) -> str:
    """Expand `[[Mercury (planet)|]]` to `[[Mercury (planet)|Mercury]]`, before templates leave empty anchors."""

    def expand_trick(match: "re.Match[str]") -> str:
        trick = _TRICK.fullmatch(match[1].lstrip(":"))
        return f"[[{match[1]}|{trick[1] if trick else match[1]}]]"

    return _PIPE_TRICK.sub(expand_trick, wikitext) if "|]]" in wikitext else wikitext


def count_links(source: str) -> int:
    """Count the links without a namespace, approximately, in text that is removed as a whole."""
    return len(_PLAIN_LINK.findall(source))
