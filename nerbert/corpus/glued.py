"""Decide whether a link that begins or ends inside a word takes in the whole word.

Many languages glue endings and particles to names, and their Wikipedias link the name alone: `[[Ҡазан]]да`,
`ב[[ירושלים]]`. MediaWiki's link trails take in the endings of some languages; a mention does so in all, as a tagger can
find whole words only. A few small letters after a link are an ending. Before it, only the language's own particles may
be, from `nerbert/tables/glued.tsv`, since `anti[[communism]]` is no mention of communism. The price: the mention is an
inflected form. No digit is taken in, nor what another link has.
"""

from functools import cache

import regex

from nerbert.tables import read_columns

_ENDING = regex.compile(r"[\p{L}\p{M}\u200c\u200d’']{1,5}+")


class Glued:
    """What may be glued to a name in one language."""

    def __init__(self, language: str) -> None:
        self._before = _particles(language)

    def belongs(self, before: str, mention: str, after: str) -> bool:
        """Return whether the letters before and after a mention, up to the word's edges, belong to it."""
        return (not before or self._begins(before, mention)) and (not after or self._ends(mention, after))

    def _begins(self, before: str, mention: str) -> bool:
        return mention[0].isalnum() and self._before is not None and self._before.fullmatch(before) is not None

    def _ends(self, mention: str, after: str) -> bool:
        small = after == after.lower() and _ENDING.fullmatch(after) is not None
        return small and (mention[-1].isalpha() or regex.match(r"\p{M}", mention[-1]) is not None)


@cache
def _particles(language: str) -> "regex.Pattern[str] | None":
    """Return the expression of what may stand before a name; None if nothing may."""
    rows: dict[str, str] = {row[0]: row[1] for row in read_columns("glued.tsv", "language", "before")}
    if language not in rows:
        return None
    return regex.compile(f"(?:{'|'.join(sorted(rows[language].split(), key=len, reverse=True))}){{1,4}}")
