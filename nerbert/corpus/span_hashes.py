"""Find names in many sentences at once, in linear time: by 64-bit hashes of stretches of words.

A stretch's hash is a polynomial of its characters modulo 2^64, so that two prefix sums give it. Limitation: names that
collide are taken for one; among a million names that happens once in ten million corpora.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from nerbert.corpus.columns import Places, Words, codes_of, is_among
from nerbert.rng import mixed

Hashes = npt.NDArray[np.uint64]
Marks = npt.NDArray[np.bool_]

LONGEST = 12
"""Maximum words of a name."""
_BASE = 0x9E3779B97F4A7C15
_STEP = 1 << 20
"""Powers are computed for multiples of this length."""


@dataclass(frozen=True, slots=True)
class SpanHashes:
    """Prefix sums of a text; `of` gives the hashes of its stretches."""

    sums: Hashes
    inverse: Hashes

    @classmethod
    def of_text(cls, text: str) -> "SpanHashes":
        """Return the sums of a text."""
        return cls.of_codes(codes_of(text))

    @classmethod
    def of_codes(cls, codes: npt.NDArray[np.uint32]) -> "SpanHashes":
        """Return the sums of a text given as code points."""
        powers, inverse = _powers(-(-(len(codes) + 1) // _STEP) * _STEP)
        sums = np.zeros(len(codes) + 1, np.uint64)
        np.cumsum(mixed(codes.astype(np.uint64)) * powers[: len(codes)], out=sums[1:])
        return cls(sums, inverse)

    def of(self, starts: Places, ends: Places) -> Hashes:
        """Return (stretches,): the hash of each; equal characters have equal ones in every text."""
        return mixed((self.sums[ends] - self.sums[starts]) * self.inverse[starts])


def read_hashes(path: Path) -> Hashes:
    """Return hashes that `numpy.save` wrote, memory-mapped; read again once the file has changed."""
    return _mapped(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _mapped(path: Path, _changed: int) -> Hashes:
    hashes: Hashes = np.load(path, mmap_mode="r", allow_pickle=False)
    return hashes


@lru_cache(maxsize=2)
def _powers(length: int) -> tuple[Hashes, Hashes]:
    bases = (_BASE, pow(_BASE, -1, 1 << 64))
    factors = [np.append(np.uint64(1), np.full(length - 1, base, np.uint64)) for base in bases]
    return np.cumprod(factors[0], dtype=np.uint64), np.cumprod(factors[1], dtype=np.uint64)


def joined_words(rows: pa.RecordBatch) -> tuple[str, Words]:
    """Return the sentences of rows joined by newlines, and the places of their words there."""
    texts, words = rows["text"].to_pylist(), rows["words"]
    sentences = np.concatenate(([0], np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)) + 1)))
    first = np.concatenate(([0], np.cumsum(pc.list_value_length(words).to_numpy())))
    return "\n".join(texts) + "\n", Words(*places_in_text(sentences, words), sentences, first)


def places_in_text(sentences: Places, lists: pa.ListArray) -> tuple[Places, Places]:
    """Return the starts and ends of the stretches of sentences, a list for each, in the text that begins each sentence
    at its place in `sentences`."""
    flat, shift = lists.flatten(), np.repeat(sentences[:-1], pc.list_value_length(lists).to_numpy())
    starts, ends = (pc.struct_field(flat, name).to_numpy() + shift for name in ("start", "end"))
    return starts, ends


@dataclass(frozen=True, slots=True)
class NameHashes:
    """Names by hash: (names,) each, of the whole name and of its first word, and its number of words."""

    whole: Hashes
    first: Hashes
    words: Places

    @classmethod
    def of(cls, words: Words, hashes: SpanHashes) -> "NameHashes":
        """Return the hashes of names that are the sentences of a text; one without a word has 0 words."""
        counts = np.diff(words.first)
        some = counts > 0
        whole, first = np.zeros((2, len(counts)), np.uint64)
        begins, ends = words.first[:-1][some], words.first[1:][some] - 1
        whole[some] = hashes.of(words.starts[begins], words.ends[ends])
        first[some] = hashes.of(words.starts[begins], words.ends[begins])
        return cls(whole, first, counts)

    @property
    def usable(self) -> Marks:
        """Return which names have a word, and no more than `LONGEST`."""
        return np.asarray((self.words > 0) & (self.words <= LONGEST))

    def at(self, places: Places) -> "NameHashes":
        """Return some of them."""
        return NameHashes(self.whole[places], self.first[places], self.words[places])


Found: TypeAlias = tuple[Places, int, Places]
"""Where names of some number of words are found: their first words, that number, and the names' places in `keys`."""


@dataclass(frozen=True, slots=True)
class NameIndex:
    """Names to be found: sorted hashes, those of their first words, and the numbers of words that they have."""

    keys: Hashes
    first: Hashes
    lengths: tuple[int, ...]

    @classmethod
    def of(cls, hashes: NameHashes) -> "NameIndex":
        """Return names, whose `keys` are the sorted distinct hashes of those of `hashes` that are `usable`."""
        found = hashes.at(np.flatnonzero(hashes.usable))
        lengths: list[int] = np.unique(found.words).tolist()
        return cls(np.unique(found.whole), np.unique(found.first), tuple(lengths))

    def found(self, words: Words, hashes: SpanHashes) -> Iterator[Found]:
        """Yield where names begin, those with most words first."""
        if not len(words.starts) or not len(self.keys):
            return
        owner = np.repeat(np.arange(len(words.first) - 1), np.diff(words.first))

        def keys_at(first: Places, last: Places) -> Hashes:
            return hashes.of(words.starts[first], words.ends[last])

        every = np.arange(len(words.starts))
        begins = every[is_among(keys_at(every, every), self.first)]
        for length in reversed(self.lengths):
            some = begins[begins + length <= len(every)]
            some = some[owner[some] == owner[some + length - 1]]
            keys = keys_at(some, some + length - 1)
            known = is_among(keys, self.keys)
            yield some[known], length, np.searchsorted(self.keys, keys[known])


def without_overlaps(found: Iterable[Found], free: Marks) -> tuple[Places, Places, Places]:
    """Return first words, lengths and keys of the names that are kept: the longest, of equal ones the first.

    Only words that are `free` (words,) may be taken, and they are no longer free then.
    """
    kept = list[tuple[int, int, int]]()
    for begins, length, keys in found:
        for begin, key in zip(begins.tolist(), keys.tolist(), strict=True):
            if free[begin : begin + length].all():
                free[begin : begin + length] = False
                kept.append((begin, length, key))
    begins, lengths, keys = np.array(sorted(kept), np.int64).reshape(-1, 3).T
    return begins, lengths, keys


def inside(words: Words, lists: pa.Array) -> Marks:
    """Return which words lie in one of the stretches (start, end) of their sentence, a list for each."""
    starts, ends = places_in_text(words.sentences, lists)
    marks = np.zeros(len(words.starts) + 1, np.int64)
    np.add.at(marks, np.searchsorted(words.starts, starts), 1)
    np.add.at(marks, np.searchsorted(words.starts, ends), -1)
    return np.asarray(np.cumsum(marks)[:-1] > 0)
