"""Facts about the wikitext of a language: link trails, namespaces, redirects, switches and options of pictures.

They are MediaWiki's own (`nerbert/tables/wikipedias_wikitext.tsv`); what a language lacks is its fallback's.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache

from nerbert.tables import read_columns

_NONE, _ANY, _NEVER = "∅", "*", "(?!)"
_ANY_LETTER = r"(?:[^\W\d_]|[\u0300-\u036f\u0483-\u0487\u064b-\u065f\u0670])"
_NUMBER = r"[ _]*+\d[\d.,]*+"
_MERGED = frozenset(("redirect", "switch", "exact switch", "width", "option"))
"""Facts that a language adds to those of its fallback languages; others replace theirs."""


@dataclass(frozen=True, slots=True)
class Wikitext:
    """The wikitext of one language.

    `trail` matches what belongs to a link after `]]`; `prefix` is the expression of a letter that belongs to it before
    `[[`, "" if none does. `namespaces` maps lower-case names and aliases to their numbers.
    """

    trail: re.Pattern[str]
    prefix: str
    namespaces: dict[str, int]
    redirects: tuple[str, ...]
    switches: re.Pattern[str] = field(repr=False)
    """`__TOC__` and the like."""
    options: re.Pattern[str] = field(repr=False)
    """Options of a picture, such as `thumb`, `200px`, `alt=…`, with white space around them."""


@cache
def wikitext_of(language: str) -> Wikitext:
    """Return the wikitext of a language; that of its base (`de` for `de-ch`), else English, if it is not known."""
    facts = _facts(language)
    letters, *joins = facts["trail"]
    prefix = facts["prefix"][0]
    numbers = {name: int(name) for name in facts if name.lstrip("-").isdigit()}
    return Wikitext(
        re.compile(_NEVER if letters == _NONE else _trail(letters, joins)),
        {_NONE: "", _ANY: _ANY_LETTER}.get(prefix, f"[{prefix}]"),
        {name.lower(): number for fact, number in numbers.items() for name in facts[fact]},
        tuple(facts["redirect"]),
        _switches(facts["switch"], facts["exact switch"]),
        _options(facts["option"], facts["width"]),
    )


def _trail(letters: str, joins: list[str]) -> str:
    """Return the expression of a trail; what joins it and is no letter itself needs a letter after it."""
    several = [each if each[-1].isalpha() and each[0] != "\\" else rf"{each}(?=[{letters}])" for each in joins]
    return f"(?:{'|'.join(several)}|[{letters}])++" if joins else f"[{letters}]++"


@cache
def _table() -> dict[str, dict[str, str]]:
    """Return the table: language → fact → values, joined by bars."""
    rows: dict[str, dict[str, str]] = {}
    for of, fact, values in read_columns("wikipedias_wikitext.tsv", "language", "fact", "values"):
        rows.setdefault(of, {})[fact] = values
    return rows


def has_wikitext(language: str) -> bool:
    """Return whether the table has facts of just this language."""
    return language in _table()


def _facts(language: str) -> dict[str, list[str]]:
    """Return the facts of a language with those of its fallback languages: fact → values."""
    rows = _table()
    own = next((each for each in (language, language.partition("-")[0]) if each in rows), "en")
    found: dict[str, list[str]] = {}
    for each in (own, *filter(None, rows[own].get("fallback", "").split("|")), "en"):
        for fact, cell in rows.get(each, {}).items():
            values = cell.split("|")
            if fact in _MERGED or fact.lstrip("-").isdigit():
                found[fact] = [*found.get(fact, []), *values]
            else:
                found.setdefault(fact, values)
    return found


def _switches(words: list[str], exact: list[str]) -> re.Pattern[str]:
    return re.compile(f"(?i:{_any_of(words)})|{_any_of(exact)}")


def _options(words: list[str], units: list[str]) -> re.Pattern[str]:
    """Return the expression of options; a value after `=` may be anything, any other value is a number."""
    several = [rf"{_any_of(each.removesuffix('=$1') for each in words if each.endswith('=$1'))}\s*=.*"]
    several += [re.escape(each).replace(r"\$1", _NUMBER) for each in words if not each.endswith("=$1")]
    return re.compile(rf"\s*(?:(?:\d*x)?\d+ ?{_any_of(units)}|{'|'.join(several)})\s*", re.IGNORECASE | re.DOTALL)


def _any_of(words: Iterable[str]) -> str:
    return f"(?:{'|'.join(sorted(map(re.escape, set(words)), key=len, reverse=True))})"
