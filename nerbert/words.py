"""Word splitters: regular expressions with exact offsets, the same for corpus and raw text.

The corpus is split by `unicode-words-1`: a run of letters, marks and digits is a word, any other visible character
stands alone, each Han or kana character is a word. That cuts finer than CoNLL's tokens do ("Berlin-based" is three
words), which keeps link anchors on word boundaries in every script. Annotated data brings its own tokens; a tagger
keeps the name of the splitter that comes closest to them, so that raw text is cut the way it was trained on.

`gliner-words-1` is what GLiNER's models were trained on, for their folders alone: a run of letters, digits, hyphens and
underscores is a word, in Python's own sense of a letter; any other visible or control character stands alone.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise

import regex

from nerbert.errors import InputError
from nerbert.records import Example

ALONE = r"\p{Han}\p{Hiragana}\p{Katakana}"
"""Characters that are a word each."""
RUN_CHARACTER = rf"[[\p{{L}}\p{{M}}\p{{N}}_]--[{ALONE}]]"
"""What begins a run and goes on in it."""
_CJK = rf"[{ALONE}]\p{{M}}*"
_RUN = rf"{RUN_CHARACTER}[[\p{{L}}\p{{M}}\p{{N}}_\u200c\u200d]--[{ALONE}]]*+"
_OTHER = r"[^\s\p{C}]\p{M}*"
_CLITIC = r"['’](?:s|d|m|ll|re|ve)(?![\p{L}\p{N}])"

_SPLITTERS: dict[str, regex.Pattern[str] | re.Pattern[str]] = {
    "unicode-words-1": regex.compile(rf"{_CJK}|{_RUN}|{_OTHER}", regex.VERSION1),
    "joined-words-1": regex.compile(
        rf"{_CJK}|(?i:{_CLITIC})|(?:\p{{Lu}}\.){{2,}}|{_RUN}(?:(?!(?i:{_CLITIC}))[-.,'’/&]{_RUN})*|{_OTHER}",
        regex.VERSION1,
    ),
    "gliner-words-1": re.compile(r"\w+(?:[-_]\w+)*|\S"),
}
_FOR_DATA = ("unicode-words-1", "joined-words-1")
"""Those that a tagger's training chooses from."""
SPLITTER = "unicode-words-1"
"""The corpus's splitter, and what a tagger has if nothing is known of its tokens. A changed rule is a new name."""


def split_words(text: str, splitter: str = SPLITTER) -> tuple[tuple[int, int], ...]:
    """Return the character span of each word of `text`, in order; control and format characters belong to no word.

    (`gliner-words-1` takes them for words.)
    """
    return tuple(match.span() for match in _SPLITTERS[splitter].finditer(text))


def words_between(text: str, edges: Iterable[int], splitter: str = SPLITTER) -> Iterator[tuple[int, int]]:
    """Yield the words of a text as `split_words` cuts it; none reaches over one of some places in it."""
    for start, end in pairwise(sorted({0, len(text), *edges})):
        yield from ((start + first, start + last) for first, last in split_words(text[start:end], splitter))


def check_splitter(name: object) -> str:
    """Return `name` if this version has such a splitter; else raise InputError."""
    if not isinstance(name, str) or name not in _SPLITTERS:
        raise InputError(f"word splitter {name!r}; this version of nerbert has {', '.join(_SPLITTERS)}")
    return name


def nearest_splitter(examples: Iterable[Example]) -> str:
    """Return the splitter that leaves most of the examples' own words whole, the corpus's if they tie."""
    whole = dict.fromkeys(_FOR_DATA, 0)
    for example in examples:
        for start, end in example.words:
            for name in whole:
                whole[name] += split_words(example.text[start:end], name) == ((0, end - start),)
    return max(whole, key=lambda name: (whole[name], name == SPLITTER))
