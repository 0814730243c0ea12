"""Tell when a text is hardly in a tagger's language: by its script, and by the words that begin sentences.

Cost: short texts and lists of names are not told, and some pairs of languages are too close.
"""

from collections.abc import Iterable
from functools import cache
from itertools import islice

import regex

from nerbert.about import DOCS
from nerbert.sentences import languages_with, listed_words
from nerbert.terminal import tell

_READ, _TEXTS = 4000, 100
"""Characters that are looked at, and texts."""
_LEAST_LETTERS, _LEAST_WORDS = 20, 4
"""Letters of other scripts, and known words of another language, from which on a text is foreign."""
_TIMES = 2
"""So many times as many words are known in the other language as in the tagger's own."""
_WORD, _LETTER, _LATIN = (regex.compile(pattern) for pattern in (r"\p{L}[\p{L}\p{M}]+", r"\p{L}", r"\p{Latin}"))
_tell_once = cache(tell)


def is_foreign(text: str, language: str) -> bool:
    """Return whether a text is in another language than a code's; False if that is of another script than Latin."""
    own = next((words for codes, words in _words_of_languages().items() if language in codes.split()), frozenset())
    if not own or not all(map(_LATIN.match, own)):
        return False
    text = text[:_READ]
    letters = len(_LETTER.findall(text))
    if letters - len(_LATIN.findall(text)) >= max(letters / 2, _LEAST_LETTERS):
        return True
    words = {word.lower() for word in _WORD.findall(text)}
    known = max(sum(word in listed for word in words) for listed in _words_of_languages().values())
    return known >= max(_LEAST_WORDS, _TIMES * sum(word in own for word in words) + 1)


def tell_foreign(texts: Iterable[str], language: str) -> None:
    """Say once, in each process, if texts begin in another language than the tagger's."""
    if is_foreign(" ".join(islice(texts, _TEXTS)), language):
        _tell_once(
            f"note: a text seems to be in another language than the tagger's ({language}); how to train one: "
            f"{DOCS}/how-to/language.md"
        )


@cache
def _words_of_languages() -> dict[str, frozenset[str]]:
    """Return the words that often begin sentences, in lower case, by the codes of the languages that share them."""
    return {
        codes: frozenset(map(str.lower, listed_words(codes.split()[0], "starter")))
        for codes in languages_with("starter")
    }
