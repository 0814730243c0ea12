"""Extend a link to whole words, unless the letters glued to it belong to another name.

Limitation: the first part of a compound may become a mention together with the rest.
"""

import re
from functools import cache, lru_cache
from unicodedata import name

import regex

from nerbert.corpus.dump.sites import Site
from nerbert.tables import read_columns
from nerbert.words import JOINERS, WORD_EACH

_SMALL = regex.compile(rf"[[\p{{L}}\p{{M}}{JOINERS}]--\p{{Lu}}--\p{{Lt}}--{WORD_EACH}]*+", regex.VERSION1)
"""Letters that can be glued to a name, without characters that are words themselves."""
_OF_A_SCRIPT = regex.compile(r"[\p{L}--\p{Lm}--\p{Script=Common}--\p{Script=Inherited}]", regex.VERSION1)
_MOST = 4
"""Words before a name that are written together: "and that in Jerusalem" is one word in Hebrew."""


class GluedLetters:
    """Decides which letters beside a link belong to it, in one wiki."""

    def __init__(self, site: Site) -> None:
        rows = read_columns("glued.tsv", "language", "before")
        parts = [part for of, before in rows if of == site.language for part in before.split()]
        self._before = re.compile(f"(?:{'|'.join(parts)}){{0,{_MOST}}}")
        self._trail = site.wikitext.trail

    def belong(self, before: str, first: str, last: str, after: str) -> bool:
        """Return whether the letters before and after a link belong to it; `first` and `last` are its own parts."""
        return (
            self._before.fullmatch(before) is not None
            and not self._trail.match(after)
            and _of_one_script(before, first)
            and _of_one_script(after, last)
        )


glued_letters = lru_cache(maxsize=4)(GluedLetters)
"""Returns the cached rules of a wiki; in a language missing from the table, nothing before a link belongs to it."""


def _of_one_script(glued: str, inside: str) -> bool:
    """Return whether `glued` has only marks, joiners and letters without capitals, in no other script than `inside`.
    Letters common to all scripts, such as a modifier apostrophe, fit any.
    """
    if not _SMALL.fullmatch(glued):
        return False
    return not glued or len({_script(each) for each in _OF_A_SCRIPT.findall(glued + inside)}) <= 1


@cache
def _script(letter: str) -> str:
    """Return the first word of a letter's Unicode name, which differs between scripts."""
    return name(letter, "").partition(" ")[0]
