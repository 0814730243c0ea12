"""Words and links of many sentences at once, as columns; `words.split_words` gives the same words for one sentence.

A table gives each character's class. Cost: a second implementation, which a test compares with the first.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any
from unicodedata import name

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import regex

from nerbert.corpus.dump.sites import Site
from nerbert.tables import read_columns
from nerbert.words import (
    AFTER_STOP,
    AM,
    JAMO,
    JOINERS,
    RUN_CHARACTER,
    SPACELESS,
    SPLITTER,
    STACKERS,
    WORD_EACH,
    split_words,
)

_SMALL = regex.compile(rf"[[\p{{L}}\p{{M}}{JOINERS}]--\p{{Lu}}--\p{{Lt}}--{WORD_EACH}]*+", regex.VERSION1)
"""Letters that can be glued to a name, without characters that are words themselves."""
_OF_A_SCRIPT = regex.compile(r"[\p{L}--\p{Lm}--\p{Script=Common}--\p{Script=Inherited}]", regex.VERSION1)
_MOST = 4
"""Maximum number of prefixes written together with a name: "and that in Jerusalem" is one word in Hebrew."""


@lru_cache(maxsize=4)
def _compile_prefixes(language: str) -> re.Pattern[str]:
    """Return the pattern of a language's prefixes of names; it matches only "" if the table lacks the language."""
    parts = [
        word
        for code, words in read_columns("glued.tsv", "language", "before")
        if code == language
        for word in words.split()
    ]
    return re.compile(f"(?:{'|'.join(parts)}){{0,{_MOST}}}")


def _share_script(glued: str, inside: str) -> bool:
    """Return whether `glued` has only marks, joiners and lower-case letters, all in the script of `inside`."""
    if not glued or not _SMALL.fullmatch(glued):
        return not glued
    return len({name(letter, "").partition(" ")[0] for letter in _OF_A_SCRIPT.findall(glued + inside)}) <= 1


Ints = npt.NDArray[np.int64]

_GAP, _RUN, _PART, _SINGLE, _LETTER, _MARK, _JOINER, _AM, _TRICKY = range(9)
"""Character classes. Letters are those of scripts without spaces. A part belongs to the single character or letter
before it. Marks, and the classes listed after them, depend on the character before."""
_CLASSES = {
    _GAP: r"[\s\p{C}]",
    _RUN: RUN_CHARACTER,
    _LETTER: rf"[\p{{L}}&&{SPACELESS}]",
    _MARK: r"\p{M}",
    _JOINER: f"[{JOINERS}]",
    _AM: f"[{AM}]",
    _TRICKY: f"[{JAMO}]",
}
_AFTER = {
    (_RUN, _MARK): _RUN,
    (_RUN, _JOINER): _RUN,
    (_GAP, _MARK): _RUN,
    (_SINGLE, _MARK): _PART,
    (_LETTER, _MARK): _PART,
    (_LETTER, _AM): _PART,
    (_LETTER, _LETTER): _PART,
}
"""New class by the previous character's class and the character's own; the regular expression decides other pairs."""
_CHANGED = np.array([[_AFTER.get((base, mark), _TRICKY) for mark in range(9)] for base in range(9)], np.uint8)
_LONGEST_GLUED = 64
"""Maximum number of characters by which a link may grow on one side."""
_CODES = 0x110000
_ASSIGNED = (range(0x40000), range(0xE0000, 0xE0200))
"""Ranges of assigned code points; all others are unassigned or private."""


@dataclass(frozen=True, slots=True)
class Words:
    """Word starts and ends in sentences joined by newlines, and the sentences' starts, with the text's end.

    `first[n]` is the index of the first word of sentence n; `first[-1]` is the number of words.
    """

    starts: Ints
    ends: Ints
    sentences: Ints
    first: Ints


@dataclass(frozen=True, slots=True)
class Links:
    """Links that begin and end at word boundaries within a sentence: their numbers and positions in the sentence.

    `first[n]` is the index of sentence n's first link in these arrays; `grown` of the links were extended to whole
    words. Of the other links, `cutting` cut a word and `outside` lie outside all sentences.
    """

    numbers: Ints
    starts: Ints
    ends: Ints
    first: Ints
    grown: int
    cutting: int
    outside: int


def words_of(texts: Sequence[str], splitter: str = SPLITTER) -> Words:
    """Return the words of sentences, which must not contain newlines."""
    joined = "\n".join(texts) + "\n"
    lengths = np.fromiter(map(len, texts), np.int64, len(texts)) + 1
    sentences = np.concatenate(([0], np.cumsum(lengths)))
    codes = codes_of(joined)
    classes = _classes()[codes]
    # With dictionaries, scripts without spaces are split sentence by sentence
    tricky = np.flatnonzero(classes >= _SINGLE) if splitter != SPLITTER else _resolve(classes, codes)
    starts, ends = _find_edges(classes)
    # Web addresses, hashtags and names with @ are one word
    tricky = np.concatenate((tricky, _find_web(joined, codes)))
    if tricky.size:
        # Of a sentence with such a position, all words are found again by the expression
        numbers = np.unique(np.searchsorted(sentences, tricky, "right") - 1)
        starts, ends = _resplit(texts, numbers, sentences, starts, ends, splitter)
    return Words(starts, ends, sentences, np.searchsorted(starts, sentences))


def codes_of(text: str) -> npt.NDArray[np.uint32]:
    """Return the code points of a text."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def _resolve(classes: npt.NDArray[np.uint8], codes: npt.NDArray[np.uint32]) -> Ints:
    """Set the classes of characters that depend on others, in place; return positions that need the expression."""
    positions = np.flatnonzero(classes >= _MARK)
    stacked = positions[np.isin(codes[positions], [ord(mark) for mark in STACKERS])] + 1  # a text ends with a newline
    # A letter after a stacker belongs to the letter before it
    if stacked.size:
        positions = np.union1d(positions, stacked[classes[stacked] == _LETTER])
    # Characters that depend on others come in runs; all depend on the one before the run
    first = np.diff(positions, prepend=-2) != 1
    bases = classes[positions[first] - 1]  # before the first text: the final newline, which is a gap
    classes[positions] = _CHANGED[bases[np.cumsum(first) - 1], classes[positions]]
    tricky: Ints = positions[classes[positions] == _TRICKY]
    return tricky


def _find_web(text: str, codes: npt.NDArray[np.uint32]) -> Ints:
    """Return positions in or next to a possible web address, hashtag or @name."""
    dots = np.flatnonzero(codes == ord("."))
    colons = np.flatnonzero(codes == ord(":"))
    after = codes[dots + 1]  # a text ends with a newline
    # A dot before a blank, or one of several, is in no address
    dots = dots[(after > ord(" ")) & (after != ord("."))]
    # Only after `www` or before a known ending
    stops = [dot for dot in dots.tolist() if text[dot - 1] in "wW" or text.startswith(AFTER_STOP, dot + 1)]
    marks = np.flatnonzero((codes == ord("@")) | (codes == ord("#")))
    return np.concatenate((np.array(stops, np.int64), colons[codes[colons + 1] == ord("/")], marks))


def links_on_words(
    sentence_starts: Sequence[int],
    texts: Sequence[str],
    words: Words,
    starts: Sequence[int],
    ends: Sequence[int],
    site: Site | None = None,
) -> Links:
    """Return the links by sentence, from positions in the joined pages; with `site`, extend links that cut a word."""
    if not texts:
        empty = np.zeros(0, np.int64)
        return Links(empty, empty, empty, np.zeros(1, np.int64), 0, 0, len(starts))
    begins = np.array(sentence_starts, np.int64)
    first = np.array(starts, np.int64)
    last = np.array(ends, np.int64)
    owner = np.searchsorted(begins, first, "right") - 1
    lengths = np.diff(words.sentences) - 1
    inside = (owner >= 0) & (last <= (begins + lengths)[owner])
    shift = (words.sentences[:-1] - begins)[owner]
    fits = inside & is_among(first + shift, words.starts) & is_among(last + shift, words.ends)
    grown = 0
    if site is not None:
        for number in np.flatnonzero(inside & ~fits).tolist():
            sentence = int(owner[number])
            begin, stop = (int(bounds[number] + shift[number]) for bounds in (first, last))
            span = _grow_link(texts[sentence], words, int(words.sentences[sentence]), begin, stop, site)
            start, end = (int(position - shift[number]) for position in span)
            free = (number == 0 or last[number - 1] <= start) and (number + 1 == len(first) or end <= first[number + 1])
            if start < end and free:
                first[number], last[number], fits[number] = start, end, True
                grown += 1
    numbers = np.flatnonzero(fits)
    owner = owner[fits]
    counts = np.bincount(owner, minlength=len(texts))
    return Links(
        numbers=numbers,
        starts=first[fits] - begins[owner],
        ends=last[fits] - begins[owner],
        first=np.concatenate(([0], np.cumsum(counts))),
        grown=grown,
        cutting=int((inside & ~fits).sum()),
        outside=int((~inside).sum()),
    )


def _grow_link(text: str, words: Words, begin: int, start: int, end: int, site: Site) -> tuple[int, int]:
    """Return a link extended to the whole words that it cuts; (0, 0) if the added letters belong to another name."""
    left = np.searchsorted(words.starts, start, "right") - 1
    right = np.searchsorted(words.ends, end)
    # An edge of it lies outside all words, so there is nothing to extend
    if left < 0 or right == len(words.ends) or words.ends[left] <= start or words.starts[right] >= end:
        return 0, 0
    first = int(words.starts[left])
    last = int(words.ends[right])
    # A longer rest is no ending or particle
    if start - first > _LONGEST_GLUED or last - end > _LONGEST_GLUED:
        return 0, 0
    parts = (first, start), (start, min(end, words.ends[left])), (max(start, words.starts[right]), end), (end, last)
    before, head, tail, after = (text[a - begin : b - begin] for a, b in parts)
    belongs = (
        _compile_prefixes(site.language).fullmatch(before)
        and not site.wikitext.trail.match(after)
        and _share_script(before, head)
        and _share_script(after, tail)
    )
    return (first, last) if belongs else (0, 0)


def is_among(values: npt.NDArray[Any], members: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return which values occur in the sorted `members`."""
    if not len(members):
        return np.zeros(len(values), np.bool_)
    indexes = np.minimum(np.searchsorted(members, values), len(members) - 1)
    among: npt.NDArray[np.bool_] = members[indexes] == values
    return among


def _find_edges(classes: npt.NDArray[np.uint8]) -> tuple[Ints, Ints]:
    """Return the starts and ends of words: whole runs, and single characters with their parts."""
    run = classes == _RUN
    single = classes >= _SINGLE
    before = np.concatenate(([False], run[:-1]))
    after = np.concatenate((run[1:], [False]))
    goes_on = np.concatenate((classes[1:] == _PART, [False]))
    return np.flatnonzero(run & ~before | single), np.flatnonzero(run & ~after | (classes >= _PART) & ~goes_on) + 1


def _resplit(
    texts: Sequence[str], numbers: Ints, sentences: Ints, starts: Ints, ends: Ints, splitter: str
) -> tuple[Ints, Ints]:
    """Replace the words of the sentences `numbers` by those of the regular expression."""
    spans = [
        (sentences[number] + start, sentences[number] + end)
        for number in numbers
        for start, end in split_words(texts[number], splitter)
    ]
    added = np.array(spans, np.int64).reshape(-1, 2)
    both = []
    for edges, new in zip((starts, ends), added.T, strict=True):
        kept = np.ones(len(edges), np.bool_)
        for bounds in np.searchsorted(edges, sentences[[numbers, numbers + 1]]).T.tolist():
            kept[slice(*bounds)] = False
        both.append(np.sort(np.concatenate((edges[kept], new)), kind="stable"))
    return both[0], both[1]


def numbers_column(values: Ints | Sequence[int], type_: pa.DataType) -> pa.Array:
    """Return integers as an Arrow array; `pa.array` would import pandas, which takes half a second per worker."""
    array = np.ascontiguousarray(values, type_.to_pandas_dtype())
    return pa.Array.from_buffers(type_, len(array), [None, pa.py_buffer(array)])


def strings_column(values: Sequence[str]) -> pa.Array:
    """Return strings as an Arrow array, without `pa.array` for the same reason."""
    encoded = [value.encode("utf-8", "replace") for value in values]
    offsets = np.zeros(len(encoded) + 1, np.int32)
    np.cumsum(np.fromiter(map(len, encoded), np.int32, len(encoded)), out=offsets[1:])
    return pa.StringArray.from_buffers(len(encoded), pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded)))


@cache
def _classes() -> npt.NDArray[np.uint8]:
    table = np.full(_CODES, _GAP, np.uint8)
    for codes in _ASSIGNED:
        part = table[codes.start : codes.stop]
        part[:] = _SINGLE
        characters = np.arange(codes.start, codes.stop, dtype="<u4").tobytes().decode("utf-32-le", "surrogatepass")
        for class_, pattern in _CLASSES.items():
            for match in regex.compile(f"{pattern}++", regex.VERSION1).finditer(characters):
                part[match.start() : match.end()] = class_
    return table
