"""Word splitters: regular expressions with exact offsets, the same for corpus and raw text."""

import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import chain, pairwise
from typing import Any

import regex

from nerbert.errors import InputError, need
from nerbert.records import Example

_OLD_ALONE = r"\p{Han}\p{Hiragana}\p{Katakana}"
_BLOCKS = r"\u02ea\u02eb\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u1950-\u1b7f\u2e80-\U0010ffff"
"""The blocks of scripts without spaces. Comparing them first saves twenty comparisons for other letters."""
_SCRIPTS = (
    rf"{_OLD_ALONE}\p{{Bopomofo}}\p{{Thai}}\p{{Lao}}\p{{Khmer}}\p{{Myanmar}}\p{{Tai_Tham}}\p{{New_Tai_Lue}}\p{{Tai_Le}}"
    r"\p{Tai_Viet}\p{Javanese}\p{Balinese}\u30fc\uff70\uff9e\uff9f"
)
SPACELESS = rf"[[{_BLOCKS}]&&[{_SCRIPTS}]]"
"""Characters of scripts without spaces; the single codes above are Japanese length and voice marks."""
SCRIPTS_ALONE = rf"{_SCRIPTS}\p{{Hangul}}"
"""Scripts in which each character, except digits and marks, is a word."""
ALONE = rf"[[{_BLOCKS}]&&[{SCRIPTS_ALONE}]]"
"""Characters of these scripts."""
_NOT_ALONE = r"\p{Nd}\p{M}"
WORD_EACH = rf"[[{ALONE}]--[{_NOT_ALONE}]]"
"""Characters of these scripts without digits and marks: each is a word."""
RUN_CHARACTER = rf"[[\p{{L}}\p{{M}}\p{{N}}_]--{WORD_EACH}]"
"""A character that may begin or continue a run (a word of several characters)."""
JOINERS = "\u200c\u200d"
AM = "\u0e33\u0eb3"
"""Thai and Lao vowels that follow their consonant, but are not marks in Unicode."""
STACKERS = "\u1039\u17d2\u1a60\u1b44\ua9c0"
"""Marks that put the next consonant below the previous one."""
_FIRST_JAMO, _OTHER_JAMO = r"\u1100-\u115f\ua960-\ua97c", r"\u1160-\u11ff\ud7b0-\ud7fb"
JAMO = _FIRST_JAMO + _OTHER_JAMO
"""Parts of Korean syllables."""
_UNDER = rf"(?<=[{STACKERS}])(?=\p{{L}})[{SPACELESS}]"
_SINGLE = rf"[{_FIRST_JAMO}]++[{_OTHER_JAMO}]*+\p{{M}}*+|{WORD_EACH}(?:\p{{M}}|[{AM}]|{_UNDER})*+"
"""One character with its marks, including a Khmer or Burmese consonant below it."""
_RUN = rf"{RUN_CHARACTER}[[\p{{L}}\p{{M}}\p{{N}}_{JOINERS}]--{WORD_EACH}]*+"
_OTHER = r"[^\s\p{C}]\p{M}*"
_CLITIC = r"['’](?:s|d|m|ll|re|ve)(?![\p{L}\p{N}])"

_LETTER = rf"[[\p{{L}}\p{{M}}\p{{N}}_]--[{ALONE}]]"
_PATH = (
    rf"(?:[{_LETTER}/~%=&+#$-]|\((?:[^\s()\p{{C}}]|\([^\s()\p{{C}}]*+\))*+\)"
    rf"|[.,:;!?'*@-]+(?!https?://)(?=[{_LETTER}/~%=&+#$]))*+"
)
_SMALL = "com org net edu gov info io"
_ENDINGS = (*_SMALL.split(), *_SMALL.upper().split())
DOMAIN_ENDING = rf"\.(?:(?:{'|'.join(_ENDINGS)})(?:\.(?:[a-z]{{2}}|[A-Z]{{2}}))?|co\.[a-z]{{2}}|CO\.[A-Z]{{2}})"
"""An ending that turns words joined by full stops into a domain."""
AFTER_STOP = (*_ENDINGS, "co.", "CO.")
"""The beginnings of such endings, after the full stop."""
_FIRST_SPACELESS = "\u0e00"
_WIDE = regex.compile(
    rf"{SPACELESS}|\p{{M}}|[{AM}]|[\u3001-\u303f\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65]", regex.VERSION1
)
"""Characters and punctuation of scripts without spaces."""
_MARKS = "“”‘’…—·"
"""Punctuation of these scripts and of others."""
_SYLLABLE = re.compile(r"[\uac00-\ud7a3]")
_NO_SPACE = re.compile(r"(?!\A\ufeff)\S+")
_BREAK = "\u200b"
"""A zero-width space: a word may end there."""
_BEGINS = rf"(?<![[[\p{{L}}\p{{N}}]--[{ALONE}]]_@#.&-])"
_LABEL = rf"{_LETTER}(?:-?{_LETTER}){{0,62}}"
"""A label of a domain name. Repeats are bounded, so hostile text takes linear time."""
_URL = rf"(?:(?i:https?|ftp)://|{_BEGINS}(?:www|WWW|Www)\.){_LETTER}{_PATH}"
_MAIL = rf"{_BEGINS}{_LETTER}(?:[.%+-]?{_LETTER}){{0,63}}@{_LABEL}(?:\.{_LABEL}){{1,9}}"
_ENDING = rf"{DOMAIN_ENDING}(?![\p{{L}}\p{{N}}_])"
_DOMAIN = rf"{_BEGINS}{_LABEL}(?:\.{_LABEL}){{0,5}}{_ENDING}(?:/{_PATH})?"
_TAG = (
    rf"(?<![[[\p{{L}}\p{{M}}\p{{N}}]--[{ALONE}]]_#&])#(?=[\p{{N}}_]{{0,30}}\p{{L}})[\p{{L}}\p{{M}}\p{{N}}_]++"
    rf"(?:[{JOINERS}]++[\p{{L}}\p{{M}}\p{{N}}_]++)*+"
)
_SERVER = rf"(?:@{_LABEL}(?:\.{_LABEL}){{1,9}})?+"
"""The server in a user name of a federated network: `@jane@example.org`."""
_NAME = rf"(?<![[[\p{{L}}\p{{M}}\p{{N}}]--[{ALONE}]]_@.])@{_LETTER}++(?:(?:[.-]|[{JOINERS}]++){_LETTER}++)*+{_SERVER}"
_WEB = "|".join((_URL, _MAIL, _DOMAIN, _TAG, _NAME))
"""URLs, e-mail addresses, domains, hashtags and user names, without punctuation at the end."""
_HINTS = ("://", "ww.", "WW.", "@", "#", *(f".{ending}" for ending in AFTER_STOP))
"""Strings of which any text with such an expression contains at least one."""

_OLD_CJK = rf"[{_OLD_ALONE}]\p{{M}}*"
_OLD_RUN = rf"[[\p{{L}}\p{{M}}\p{{N}}_]--[{_OLD_ALONE}]][[\p{{L}}\p{{M}}\p{{N}}_\u200c\u200d]--[{_OLD_ALONE}]]*+"


def _join_words(run: str) -> str:
    """Return the expression for words as in most data sets: inner hyphens and apostrophes, but separate clitics."""
    return rf"(?i:{_CLITIC})|(?:\p{{Lu}}\.){{2,}}|{run}(?:(?!(?i:{_CLITIC}))[-.,'’/&]{run})*"


_EXPRESSIONS = {
    "unicode-words-1": rf"{_OLD_CJK}|{_OLD_RUN}|{_OTHER}",
    "joined-words-1": rf"{_OLD_CJK}|{_join_words(_OLD_RUN)}|{_OTHER}",
    "gliner-words-1": "",
    "gliner2-words-1": "",
    "unicode-words-2": rf"{_RUN}|{_SINGLE}|{_OTHER}",
    "joined-words-2": rf"{_SINGLE}|{_join_words(_RUN)}|{_OTHER}",
}
SPLITTER = "unicode-words-2"
"""The splitter of the corpus, and of taggers whose tokens are unknown. A changed rule needs a new name."""
_ICU = "icu-words-1"
_BY_DICTIONARY = rf"[[{SPACELESS}]--[{_NOT_ALONE}]](?:[[{SPACELESS}\p{{M}}]--\p{{Nd}}]|[{AM}])*+"


@cache
def _expression(splitter: str, *, web: bool) -> Any:
    """Return the compiled expression of a splitter; `web` is for text with URLs, hashtags or user names."""
    # GLiNER's models were trained with exactly this expression of `re`.
    if splitter == "gliner-words-1":
        return re.compile(r"\w+(?:[-_]\w+)*|\S")
    if splitter == "gliner2-words-1":
        # URLs, e-mail addresses and user names, else runs with their marks; the local part of an e-mail address is
        # bounded, as in the standards, so hostile text takes linear time
        marks = "".join(char for char in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(char)[0] == "M")
        run = rf"[\w{JOINERS}{marks}]++"
        mail = r"[a-z0-9._%+-]{1,64}+@[a-z0-9.-]+\.[a-z]{2,}+"
        return re.compile(rf"(?:https?://|www\.)\S++|{mail}|@[a-z0-9_]++|{run}(?:[-_]{run})*+|\S", re.IGNORECASE)
    if with_dictionaries(splitter):
        begin = rf"(?P<spaceless>{_BY_DICTIONARY})|"
        expression = _EXPRESSIONS["unicode-words-2"]
    else:
        begin = ""
        expression = _EXPRESSIONS[splitter]
    return regex.compile(f"{_WEB}|{begin}{expression}" if web else begin + expression, regex.VERSION1)


def split_words(text: str, splitter: str = SPLITTER) -> tuple[tuple[int, int], ...]:
    """Return the character span of each word, in order; only GLiNER's splitters count control characters as words."""
    # The expression for URLs is slow, and most sentences have none. Older splitters cut URLs.
    web = not splitter.endswith("-1") and any(hint in text for hint in _HINTS)
    matches = _expression(splitter, web=web).finditer(text)
    if not with_dictionaries(splitter):
        return tuple(match.span() for match in matches)
    return tuple(span for match in matches for span in _by_dictionary(text, match))


def _by_dictionary(text: str, match: Any) -> Iterator[tuple[int, int]]:
    """Yield the matched word, or the words that ICU's dictionaries find in a run without spaces."""
    start, end = match.span()
    if not match["spaceless"]:
        yield start, end
        return
    need("icu", "icu")
    from icu import BreakIterator, Locale

    breaks = BreakIterator.createWordInstance(Locale("th"))
    breaks.setText(text[start:end])
    yield from pairwise([start, *(start + offset for offset in _characters(text[start:end], breaks))])


def _characters(text: str, breaks: Iterable[int]) -> Sequence[int]:
    units = list(breaks)
    # ICU counts UTF-16 units; they are characters unless one is beyond the first plane ("𠀀").
    if all(char <= "\uffff" for char in text):
        return units
    characters = {0: 0}
    unit = 0
    for number, char in enumerate(text, 1):
        unit += 1 + (char > "\uffff")
        characters[unit] = number
    return [characters[unit] for unit in units]


def is_joined(token: str, following: str) -> bool:
    """Return whether no space is written between two tokens: in scripts without spaces, and between Korean syllables.

    Data that is cut into tokens doesn't say it. Korean has spaces, but two tokens of one syllable each come from data
    that is cut into syllables.
    """
    before = token[-1:]
    after = following[:1]
    # Latin, Cyrillic and the like, without looking at classes of characters.
    if max(before, after) < _FIRST_SPACELESS:
        return False
    # "서", "울": data cut into syllables; "서울에서" and "그" are words, with a space between.
    if _SYLLABLE.fullmatch(token) and _SYLLABLE.fullmatch(following):
        return True
    wide = [bool(_WIDE.fullmatch(char)) for char in (before, after)]
    # "Rome" and "。" keep their space, as do "北京" and ",".
    return any(wide) and all(is_wide or char in _MARKS for is_wide, char in zip(wide, (before, after), strict=True))


def whole_words(example: Example) -> Example:
    """Return a sentence whose words cover all characters except white space, for files that hold only words.

    Visible characters between words become words; others are attached to adjacent words, but never across the boundary
    of an entity. A byte order mark at the beginning is left out.
    """
    text = example.text
    loose = _loose_parts(example)
    if not loose:
        return example
    pieces = set(example.words)
    pieces.update((gap + start, gap + stop) for gap, end in loose for start, stop in split_words(text[gap:end]))
    words = list[tuple[int, int]]()
    joins = False
    # A word that is joined across an entity's end would make the entity cut a word.
    borders = {offset for span in example.spans for offset in (span.start, span.end)}
    for piece in pairwise(sorted(set(chain(*pieces, *loose)))):
        start, end = piece
        if piece not in pieces and not _NO_SPACE.match(text, start, end):
            continue
        if words and words[-1][1] == start and start not in borders and (joins or piece not in pieces):
            words[-1] = words[-1][0], end
        else:
            words.append(piece)
        # A zero-width space marks the end of a word, so the next one stays apart.
        joins = piece not in pieces and _BREAK not in text[start:end]
    return replace(example, words=tuple(words))


def _loose_parts(example: Example) -> list[tuple[int, int]]:
    """Return the spans without white space between the words."""
    edges = [0, *chain.from_iterable(example.words), len(example.text)]
    gaps = zip(edges[::2], edges[1::2], strict=True)
    return [part.span() for start, end in gaps for part in _NO_SPACE.finditer(example.text, start, end)]


def splitter_named(name: str) -> str:
    """Return a splitter's full name: `unicode` is the newest, `icu` that of the installed ICU; see `check_splitter`."""
    return icu_splitter() if name == "icu" else check_splitter(SPLITTER if name == "unicode" else name)


def icu_splitter() -> str:
    """Return the name of the splitter with the dictionaries of the installed ICU."""
    need("icu", "icu")
    import icu

    return f"{_ICU}/{icu.ICU_VERSION.partition('.')[0]}"


def words_between(text: str, edges: Iterable[int], splitter: str = SPLITTER) -> Iterator[tuple[int, int]]:
    """Yield the words of a text as `split_words` does, cut at the edges."""
    for start, end in pairwise(sorted({0, len(text), *edges})):
        yield from ((start + first, start + last) for first, last in split_words(text[start:end], splitter))


def check_splitter(name: object) -> str:
    """Return `name` if this version has such a splitter; else raise InputError."""
    if isinstance(name, str) and re.fullmatch(rf"{_ICU}/\d{{1,4}}", name):
        # Dictionaries change with ICU's version, and with them the words that a tagger learnt.
        if (here := icu_splitter()) != name:
            raise InputError(
                f"word splitter {name!r}: needs ICU {name.partition('/')[2]}; installed is "
                f"{here.partition('/')[2]}, which may cut words differently; install a release of "
                "pyicu-wheels that has it, or train with this one"
            )
        return name
    if not isinstance(name, str) or name not in _EXPRESSIONS:
        raise InputError(
            f"word splitter {name!r:.60}; this version of nerbert has unicode, icu, {', '.join(_EXPRESSIONS)}, {_ICU}/…"
        )
    return name


def with_dictionaries(splitter: str) -> bool:
    """Return whether a splitter uses dictionaries."""
    return splitter.startswith(_ICU)


def nearest_splitter(examples: Iterable[Example], preferred: str = "") -> str:
    """Return the splitter that finds most of the examples' words in their text; of equals, the corpus's or newest.

    `preferred` is the splitter for texts without words. Korean data with words instead of syllables needs an older one.
    """
    # In this order, since `max` returns the first of equals.
    names = (SPLITTER, "joined-words-2", preferred or SPLITTER, "unicode-words-1", "joined-words-1")
    hits = dict.fromkeys(names, 0)
    for example in examples:
        words = set(example.words)
        for name in hits:
            hits[name] += len(words.intersection(split_words(example.text, name)))
    return max(hits, key=lambda name: hits[name])


def is_small(text: str) -> bool:
    """Return whether a text is in lower case, in a script whose sentences begin with capitals (unlike Georgian)."""
    # Georgian has lower case, but sentences don't begin with capitals: `title` leaves its letters.
    return text.islower() and text.title() != text
