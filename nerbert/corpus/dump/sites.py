"""Facts about a wiki that the scanner needs (its name, language, namespaces), and the form of its titles.

Facts about a language's wikitext are MediaWiki's own (`nerbert/tables/wikipedias_wikitext.tsv`), or its fallback's.
All sources share one form of titles. Limitation: titles that differ only in the case of their first letter become one.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from unicodedata import normalize

from nerbert.tables import read_columns

_NONE, _ANY, _NEVER = "∅", "*", "(?!)"
_ANY_LETTER = r"(?:[^\W\d_]|[\u0300-\u036f\u0483-\u0487\u064b-\u065f\u0670])"
_FUNCTION = "function "
_MERGED = frozenset(("redirect", "switch", "exact switch", "default", "page name"))
"""Facts that a language adds to those of its fallback languages; others replace theirs."""


@dataclass(frozen=True, slots=True)
class Wikitext:
    """The wikitext of one language.

    `trail` matches the text after `]]` that belongs to a link; `prefix` is the pattern of a letter before `[[` that
    belongs to it, "" if none does. `namespaces` maps lower-case names and aliases to their numbers.
    """

    trail: re.Pattern[str]
    prefix: str
    namespaces: dict[str, int]
    redirects: tuple[str, ...]
    switches: re.Pattern[str] = field(repr=False)
    """Behaviour switches such as `__TOC__`."""
    functions: dict[str, str]
    """Parser functions by their lower-case names, such as `#if`."""
    facts: dict[str, list[str]] = field(repr=False)


def _trail_pattern(letters: str, joins: Sequence[str]) -> str:
    if not joins:
        return f"[{letters}]++"
    # a join that isn't a letter itself needs a letter after it
    several = [join if join[-1].isalpha() and join[0] != "\\" else rf"{join}(?=[{letters}])" for join in joins]
    return f"(?:{'|'.join([*several, f'[{letters}]'])})++"


@cache
def wikitext_of(language: str) -> Wikitext:
    """Return the wikitext of a language; for an unknown one, that of its base (`de` for `de-ch`), else English."""
    facts = _read_facts(language)
    letters, *joins = facts["trail"]
    prefix = facts["prefix"][0]
    numbers = {name: int(name) for name in facts if name.lstrip("-").isdigit()}
    return Wikitext(
        re.compile(_NEVER if letters == _NONE else _trail_pattern(letters, joins)),
        {_NONE: "", _ANY: _ANY_LETTER}.get(prefix, f"[{prefix}]"),
        {name.lower(): number for fact, number in numbers.items() for name in facts[fact]},
        tuple(facts["redirect"]),
        re.compile(f"(?i:{_any_of(facts['switch'])})|{_any_of(facts['exact switch'])}"),
        {word: fact.split()[-1].lstrip("#") for fact in facts if fact.startswith(_FUNCTION) for word in facts[fact]},
        facts,
    )


@cache
def _read_table() -> dict[str, dict[str, str]]:
    """Return the table: language → fact → values, joined by bars."""
    rows: dict[str, dict[str, str]] = {}
    for of, fact, values in read_columns("wikipedias_wikitext.tsv", "language", "fact", "values"):
        rows.setdefault(of, {})[fact] = values
    return rows


def has_wikitext(language: str) -> bool:
    """Return whether the table has facts of exactly this language."""
    return language in _read_table()


def _read_facts(language: str) -> dict[str, list[str]]:
    """Return the facts of a language with those of its fallback languages: fact → values."""
    rows = _read_table()
    # `de-ch` has no facts of its own: those of `de`
    nearest = next((code for code in (language, language.partition("-")[0]) if code in rows), "en")
    facts: dict[str, list[str]] = {}
    for code in (nearest, *filter(None, rows[nearest].get("fallback", "").split("|")), "en"):
        for fact, cell in rows.get(code, {}).items():
            values = cell.split("|")
            # Words of all these languages work in a wiki; of other facts, the nearest language's count
            if fact in _MERGED or fact.lstrip("-").isdigit() or fact.startswith(_FUNCTION):
                facts[fact] = [*facts.get(fact, []), *values]
            else:
                facts.setdefault(fact, values)
    return facts


def _any_of(words: Iterable[str]) -> str:
    return f"(?:{'|'.join(sorted(map(re.escape, set(words)), key=len, reverse=True))})"


FILE, TEMPLATE, CATEGORY = 6, 10, 14

_EVERYWHERE = {
    "wikipedia": 4,
    "project": 4,
    "wp": 4,
    "wikipedia talk": 5,
    "project talk": 5,
    "portal": 100,
    "portal talk": 101,
    "draft": 118,
    "draft talk": 119,
    "module": 828,
    "module talk": 829,
}
"""Namespaces of every Wikipedia in addition to MediaWiki's; extensions' names have the number of most wikis."""
_SISTERS = frozenset("|".join(row[0] for row in read_columns("interwiki.tsv", "prefixes")).split("|"))
_LANGUAGE_OF = {row[0]: row[1] for row in read_columns("wikipedias.tsv", "code", "language")}
"""Wikipedias' codes, with the codes of their languages, which may be newer."""
_OLDER = {language: code for code, language in _LANGUAGE_OF.items() if language != code}
"""Languages whose Wikipedia is named after an older code."""
_LANGUAGES = frozenset((*_LANGUAGE_OF, *_OLDER, *"cmn cz dk epo jp minnan zh-cfr zh-cn zh-tw".split()))
"""Prefixes of links to other Wikipedias."""
_DOTTED = frozenset("az gag kaa tr".split())
"""Languages whose lower-case `i` has the capital `İ`, also in titles."""
_DATABASE = re.compile(r"([a-z]{2,3}(?:[_-][a-z]{1,12}){0,2}|simple)wiki")
"""Database names of Wikipedias; all others have a longer first part (`commonswiki`, `testwiki`)."""


@dataclass(frozen=True, slots=True)
class Site:
    """A wiki: `namespaces` maps lower-case names and aliases to their numbers.

    `language` is the base of the language's code (`zh`); `code` is the whole code, that of its wikitext (`zh-yue`).
    """

    wiki: str = "enwiki"
    language: str = "en"
    code: str = "en"
    namespaces: dict[str, int] = field(default_factory=dict, hash=False)

    def namespace(self, title: str) -> int:
        """Return the number of a title's namespace; 0 for articles."""
        prefix, colon, _ = title.partition(":")
        return self.namespaces.get(_normalise_prefix(prefix), 0) if colon else 0

    def other_wiki(self, title: str) -> str:
        """Return the kind of other wiki that a title's prefix leads to, `"language"` or `"sister"`; `""` for none."""
        prefix, colon, _ = title.partition(":")
        name = _normalise_prefix(prefix) if colon else ""
        # A namespace of the wiki itself is no prefix of another wiki
        if name in self.namespaces:
            return ""
        return "language" if name in _LANGUAGES else "sister" if name in _SISTERS else ""

    @property
    def dotted(self) -> bool:
        """True if a title's first `i` becomes `İ`, as in Turkish."""
        return self.code in _DOTTED

    def title(self, typed: str) -> str:
        """Return the normal form of a title in this wiki's text."""
        title = normalise_title(typed)
        # `normalise_title` has already made the `i` an `I`
        small = self.dotted and without_direction_marks(typed).replace("_", " ").lstrip().startswith("i")
        return f"İ{title[1:]}" if small else title

    @property
    def wikitext(self) -> Wikitext:
        """The wikitext of this language."""
        return wikitext_of(self.code)


def make_site(wiki: str, language: str, names: dict[str, int]) -> Site:
    """Return a Site from `<siteinfo>`, with the namespaces of its language, else of its database's, else of English."""
    language = language_code(language)
    named = wiki_codes(wiki, language)[0]
    language = language or ("en" if named == "simple" else _LANGUAGE_OF.get(named, "en"))
    # The caller's language wins over the database's name, but Simple English has no code
    if _base(_LANGUAGE_OF.get(named, named)) != _base(language) and named != "simple":
        named = wiki_codes("", language)[0]
    code = _LANGUAGE_OF.get(named, named)
    # MediaWiki knows a few languages only by their older code
    if not has_wikitext(code) and has_wikitext(named):
        code = named
    # The dump's own names win over the tables, which may be older or newer
    namespaces = _EVERYWHERE | wikitext_of(code).namespaces | {name.lower(): key for name, key in names.items() if name}
    return Site(wiki or f"{language}wiki", _base(language), code, namespaces)


def is_known_language(language: str) -> bool:
    """Return whether there is a Wikipedia of this code or language, or MediaWiki supports it."""
    return any(code in _LANGUAGES or has_wikitext(code) for code in (language, _base(language)))


def language_code(typed: str) -> str:
    """Return a language's code in its usual form: ` pt_BR` → `pt-br`."""
    return typed.strip().lower().replace("_", "-")


def _base(language: str) -> str:
    return language.partition("-")[0]


def wiki_code(language: str) -> str:
    """Return the code that a language's Wikipedia is named after: `no` for `nb`, else the language's code."""
    return _OLDER.get(language, language)


def wiki_codes(wiki: str, language: str) -> tuple[str, ...]:
    """Return a Wikipedia's codes, its address's first: `be_x_oldwiki` → be-x-old, be-tarask; else the language's."""
    named = _DATABASE.fullmatch(wiki)
    code = named[1].replace("_", "-") if named else ""
    # A name such as `abcwiki` may be of no Wikipedia; then the language decides
    code = wiki_code(code if code in _LANGUAGE_OF or code in _OLDER else language.lower())
    return (code, *(newer for newer, older in _OLDER.items() if older == code))


def editions(wiki: str, language: str) -> tuple[str, ...]:
    """Return the codes of the Wikipedias whose titles mean the same: its own, and English for Simple English."""
    codes = wiki_codes(wiki, language)
    return (*codes, "en") if codes == ("simple",) else codes


DIRECTION_MARKS = "\u200e\u200f\u202a-\u202e"
"""Characters that MediaWiki removes from titles, as the inside of a character class."""
_INVISIBLE = re.compile(f"[{DIRECTION_MARKS}]")


def without_direction_marks(text: str) -> str:
    """Return a text without the marks that MediaWiki removes from titles."""
    return text if text.isascii() else _INVISIBLE.sub("", text)


def _normalise_prefix(text: str) -> str:
    """Return the normal form of a title's prefix before the colon."""
    return " ".join(without_direction_marks(text).replace("_", " ").split()).lower()


def normalise_title(title: str) -> str:
    """Return `title` in NFC with an upper-case first letter; underscores and blanks become single inner spaces."""
    # ASCII is its own NFC and has no direction marks, which saves most titles the work
    ascii_only = title.isascii()
    if not ascii_only:
        title = normalize("NFC", _INVISIBLE.sub("", title))
    title = " ".join(title.replace("_", " ").split())
    first = title[:1].title()
    # Nothing to change, as in an empty title, or a letter like `ß`, whose capital is two
    if len(first) != 1 or first == title[0]:
        return title
    title = first + title[1:]
    # An upper `İ` may be composed where a lower `i̇` is not
    return title if ascii_only else normalize("NFC", title)


def fold_redirects(redirects: Mapping[str, str]) -> dict[str, str]:
    """Return each redirecting title with the end of its chain: itself in a cycle, the cycle's entry before one."""
    ends: dict[str, str] = {}
    for start in redirects:
        chain: dict[str, None] = {}
        title = start
        while title in redirects and title not in ends and title not in chain:
            chain[title] = None
            title = redirects[title]
        end = ends.get(title, title)
        in_cycle = False
        # Titles before the cycle end at its entry, those inside it at themselves
        for link in chain:
            in_cycle = in_cycle or link == title
            ends[link] = link if in_cycle else end
    return ends
