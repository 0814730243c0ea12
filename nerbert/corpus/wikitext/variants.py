"""Show one variant of words that a wiki writes in several scripts or spellings: `-{zh-hans:软件; zh-hant:軟體}-`.

Limitation: text outside the braces is not converted, so a page keeps the mixture of variants its authors typed.
"""

import re
from collections.abc import Mapping
from functools import cache

from nerbert.tables import read_columns

_INNERMOST = re.compile(r"-\{(?!\{)((?:[^-{}]++|\{\{[^{}]*+\}\}|-(?!\{(?!\{))|\}(?!-)|\{)*+)\}-")
_FLAGS = re.compile(r"([\w;+\s-]*+)\|")
_HIDING = frozenset("HNT+-")
_DEEPEST = 10
"""Variants within variants that are shown."""


def show_variant(source: str, code: str) -> str:
    """Return the wikitext with one variant of each `-{…}-`; `code` is that of the wiki's language, such as `zh`."""
    if "-{" not in source or not (order := _order(code)):
        return source
    between = _between(code)
    for _ in range(_DEEPEST):
        source, changed = _INNERMOST.subn(lambda match: _shown(match[1], order, between), source)
        if not changed:
            break
    return source


@cache
def _order(code: str) -> dict[str, str]:
    """Return the names of a language's variants, in order, each with MediaWiki's own; case doesn't count."""
    row = next((each for of, each in read_columns("variants.tsv", "language", "variants") if of == code), "")
    return {name: own for own, *newer in (each.split("=") for each in row.split()) for name in (own, *newer)}


@cache
def _between(code: str) -> re.Pattern[str]:
    """Return the expression of the semicolon between two variants; other semicolons are text."""
    names = "|".join(_order(code))
    return re.compile(rf";(?=\s*+(?:[^;=]*+=>\s*+)?(?:{names})\s*+:|\s*+\Z)", re.IGNORECASE)


def _shown(inside: str, order: Mapping[str, str], between: re.Pattern[str]) -> str:
    """Return the text of one `-{…}-`."""
    flags = _FLAGS.match(inside)
    if flags and not _HIDING.isdisjoint(each.strip() for each in flags[1].split(";")):
        return ""
    text = inside[flags.end() :] if flags else inside
    variants: dict[str, str] = {}
    for each in between.split(text):
        name, colon, shown = each.partition(":")
        name = name.rpartition("=>")[2].strip().lower()
        name = order.get(name, name)
        if colon and name not in order:
            return text  # it is text with a colon
        if colon:
            variants.setdefault(name, shown.strip())
    return next((variants[name] for name in order if variants.get(name)), "") if variants else text
