"""Split sentences by rules: one compiled expression finds every possible sentence end, word lists decide.

The expression runs over a whole page, so Python sees only the candidates, about one in 140 characters. That is about
fifteen times as fast as Punkt, which NER-BERT takes (§2.2), makes fewer errors (docs/results/2026-11-20-sentences.md)
and needs no training. The cost: lists to maintain (`nerbert/tables/sentence_words.tsv`), and a bias in doubtful cases.
After an abbreviation, an initial or a German ordinal, a sentence ends only before a common sentence starter. It never
ends inside a short parenthesis. So a few short sentences stay joined. Languages without lists use only the rules for
initials and small letters.
"""

import re
from collections.abc import Sequence
from functools import cache

from nerbert.tables import read_columns

Span = tuple[int, int]

_OPEN = "\"'“„‟‘‚‛«»‹›(\\[{¿¡–—*-"
_CLOSE = "\\])}\"'”’“»«›¹²³⁰⁴-⁹*†‡"
_END = ".!?…؟۔।॥։።။"
_WIDE = "。！？"
_CANDIDATE = re.compile(
    rf"[\n{_END}{_WIDE}](?:(?<=\n)"
    rf"|(?<![{_END}][{_END}])[{_END}]*+[{_CLOSE}]*+(?:\[\d{{1,3}}\])*+()[^\S\n]++"
    rf"(?=[{_OPEN}]{{0,3}}+\ ?+([^a-z\s.,;:!?…)\]]))"
    rf"|(?<=[{_WIDE}])(?<![{_WIDE}][{_WIDE}])[{_WIDE}]*+(?![{_CLOSE}」』）】》〉、，])()[^\S\n]*+(?=[^\s{_WIDE}]))"
)
"""A line's end; or end marks before white space; or wide end marks.

End marks have (1) the sentence's end and (2) the first character of what follows, never an ASCII small letter; wide end
marks have (3) the sentence's end. The expression begins with one class, because `re` skips to a class at the speed of
C: alternatives in its place make the search seven times as slow. The lookbehinds make the engine read a run of marks
once, not once from each mark in it.
"""
_UNTIDY = re.compile(r"\n(?:(?<=\s\n)|\s)")
_NEXT_WORD = re.compile(rf"[{_OPEN}]{{0,3}}+\ ?+([^\W\d_]++)(?![.\w-])")
_CORE = re.compile(r"(?s:.*[^\w.])?([\w.]*)")
_DOTTED = re.compile(r"(?:[^\W\d_]{1,3}\.-?)+[^\W\d_]{1,3}")
_ROMAN = re.compile(r"[IVXLC]+\b")
_NO_VOWEL = re.compile(r"[B-DF-HJ-NP-TV-Zb-df-hj-np-tv-xz][b-df-hj-np-tv-xz]{1,3}")
_OPENERS = frozenset(_OPEN)
_ORDINALS = frozenset({"de", "als", "bar", "lb", "nds", "gsw"})
"""Languages that write "3. Oktober", "Ludwig XIV."; a number before a capital rarely ends a sentence there."""
_PLAIN = 5
"""A word of at least this many letters is an ordinary one unless a list contains it."""
_PARENTHESIS = 200
"""No sentence ends inside a parenthesis that closes within this many characters."""


class RuleSplitter:
    """A sentence splitter with rules and word lists."""

    name = "rules-1"

    def __init__(self, language: str) -> None:
        self._never = _words(language, "never")
        self._seldom, self._numbered, self._units = (
            _words(language, kind) - self._never for kind in ("seldom", "numbered", "unit")
        )
        self._listed = self._never | self._seldom | self._numbered
        self._starters = _words(language, "starter")
        self._ordinals, self._has_lists = language in _ORDINALS, bool(self._starters)

    def spans(self, text: str) -> list[Span]:
        """Return the sentences of a text, in order."""
        found: list[Span] = []
        start = seen = 0
        for match in _CANDIDATE.finditer(text):
            (mark, end), (close, _), (first, _), (wide, _) = match.regs
            if first < 0:
                close = max(mark, wide)
                ends = wide < 0 or not text[end].islower()
            else:
                word = text[text.rfind(" ", seen, mark) + 1 or seen : mark]
                ends = (
                    (len(word) >= _PLAIN and word.isalpha() and word not in self._listed and text[mark] != "…")
                    or self._ends(text, word, mark, close, first, start)
                ) and not (
                    (text[first] > "z" and text[first].islower())
                    or (
                        (opened := text.rfind("(", start, mark)) >= 0
                        and opened > text.rfind(")", start, close)
                        and _closes(text, start, end)
                    )
                )
            seen = end
            if ends:
                found.append((start, close))
                start = end
        found.append((start, len(text)))
        return found if text == text.strip() and text and not _UNTIDY.search(text) else trimmed(text, found)

    def _ends(self, text: str, word: str, mark: int, close: int, first: int, start: int) -> bool:
        """Return whether a sentence ends after `word` and the end mark at `mark`.

        The character at `first` is a capital or has no case.
        """
        if text[mark] == "…" or text.startswith("..", mark):
            before = text[mark - 1] if word else text[max(start, mark - 2)]
            return mark > start and before not in _OPENERS and text[first].isalpha() and "]" not in text[mark:close]
        if text[mark] != ".":
            return not (text[first].isdigit() and text[first - 1] == "(")
        core = word if word.isalnum() else _core(word)
        if core in self._never or (core in self._numbered and _is_number(text, first)):
            return False
        if core in self._units and core == word:
            return True
        if core in self._seldom or self._looks_short(core, word):
            return _pair(text, core, mark) not in self._never and self._starts(text, close)
        return not (core.isdigit() and mark - len(core) == start)

    def _looks_short(self, core: str, word: str) -> bool:
        """Return whether an unlisted word looks like an initial, acronym, ordinal or abbreviation."""
        if len(core) == 1 and core.lower() != core.upper():
            before = word[-2:-1]
            return not before or (core.isupper() if before in "'’" else before in _OPENERS)
        if "." in core and _DOTTED.fullmatch(core):
            return True
        if self._ordinals and ((core.isdigit() and len(core) < 4 and word[0] != "+") or _ROMAN.fullmatch(core)):
            return True
        return self._has_lists and bool(_NO_VOWEL.fullmatch(core))

    def _starts(self, text: str, close: int) -> bool:
        """Return whether the word after a sentence's end at `close` is a common sentence starter."""
        following = _NEXT_WORD.match(text, close + 1)
        return following is not None and following[1] in self._starters


def join_in_links(spans: Sequence[Span], starts: Sequence[int], ends: Sequence[int]) -> list[Span]:
    """Merge sentences whose border falls inside a link; links, as starts and ends, are in order and disjoint."""
    if not len(starts):
        return list(spans)
    joined: list[Span] = []
    link, links = 0, len(starts)
    for span in spans:
        while link < links and ends[link] <= span[0]:
            link += 1
        if joined and link < links and starts[link] < span[0]:
            joined[-1] = (joined[-1][0], span[1])
        else:
            joined.append(span)
    return joined


@cache
def _words(language: str, kind: str) -> frozenset[str]:
    """Return the words of a kind, of this language and of all; abbreviations also with an upper first letter."""
    rows = read_columns("sentence_words.tsv", "language", "kind", "words")
    words = [word for of, each, listed in rows if each == kind and of in ("*", language) for word in listed.split()]
    upper = [word[0].upper() + word[1:] for word in words if len(word) > 1 and kind not in ("unit", "starter")]
    return frozenset([*words, *upper])


def _core(word: str) -> str:
    """Return the last part of the text between white space and a full stop: "(dell'ing" → "ing", "Z.B" → "z.b"."""
    match = _CORE.fullmatch(word)
    core = match[1].lstrip(".") if match else word
    return core.lower() if "." in core else core


def _is_number(text: str, place: int) -> bool:
    return text[place].isdigit() or _ROMAN.match(text, place) is not None


def _pair(text: str, core: str, mark: int) -> str:
    """Return two letters separated by white space as one abbreviation: "z. B" → "z.b"."""
    spaced = len(core) == 1 and mark > 3 and text[mark - 3 : mark - 1] in (". ", ".\xa0")
    return f"{text[mark - 4]}.{core}".lower() if spaced else ""


def _closes(text: str, start: int, place: int) -> bool:
    """Return whether the parenthesis open at `place` closes soon; one that starts the sentence has whole sentences."""
    following = text[place : place + _PARENTHESIS].partition("\n")[0]
    return text[start] != "(" and ")" in following.partition("(")[0]


def trimmed(text: str, spans: Sequence[Span]) -> list[Span]:
    """Return spans without outer white space; blank spans are left out."""
    found = []
    for start, end in spans:
        piece = text[start:end]
        first = start + len(piece) - len(piece.lstrip())
        if first < end:
            found.append((first, start + len(piece.rstrip())))
    return found
