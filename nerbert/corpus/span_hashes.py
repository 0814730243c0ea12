"""Hash stretches of words, of many sentences at once; and the common words, whose capitals tell little.

A stretch's hash is a polynomial of its characters modulo 2^64, so that two prefix sums give it. Limitation: names that
collide are taken for one; among a million names that happens once in ten million corpora.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nerbert.corpus.columns import Places, Words, codes_of, is_among
from nerbert.corpus.knowledge.database import ask_counts
from nerbert.corpus.mentions import sides_of
from nerbert.corpus.settings import CorpusSettings
from nerbert.corpus.steps import Upstream
from nerbert.records import TRAIN
from nerbert.rng import mixed

Hashes = npt.NDArray[np.uint64]
Marks = npt.NDArray[np.bool_]

_BASE = 0x9E3779B97F4A7C15
_STEP = 1 << 20
"""Powers are computed for multiples of this length."""
_SHARE, _LEAST = 0.1, 3
"""A common word is in lower case in at least this share of its uses, and this often."""
_READ = ("id", "wiki", "page_id", "text", "words")
_COUNTED = pa.schema([("hash", pa.uint64()), ("uses", pa.int64()), ("small", pa.int64())])
_COMMON = """
SELECT hash FROM counts GROUP BY hash
HAVING sum(small) >= $least AND sum(small) >= $share * sum(uses) ORDER BY hash
"""
CAPITALISE_NOUNS = ("bar", "de", "frr", "gsw", "ksh", "lb", "nds", "pdc", "pfl", "stq")
"""Languages that capitalise all nouns: a capital is no sign of a name, and no noun is ever in lower case."""


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
class CommonWords:
    """A file with the sorted hashes of the words that the corpus writes in lower case often enough."""

    path: Path

    def capitalised(self, words: Words, text: str) -> Marks:
        """Return which words have a capital that tells something: a sentence's first one only if it isn't common."""
        hashes, capitals, _ = _hashes(words, codes_of(text))
        lettered = np.flatnonzero(_holding(_letters()[codes_of(text)], words))
        owner = np.searchsorted(words.first, lettered, "right") - 1
        first = lettered[np.flatnonzero(np.diff(owner, prepend=-1))]
        common = is_among(hashes[first], _mapped(self.path, self.path.stat().st_mtime_ns))
        capitals[first] &= ~common
        return capitals


@lru_cache(maxsize=4)
def _mapped(path: Path, _changed: int) -> Hashes:
    hashes: Hashes = np.load(path, mmap_mode="r", allow_pickle=False)
    return hashes


def count_common_words(upstream: Upstream, folder: Path, settings: CorpusSettings) -> CommonWords:
    """Count the words of the train split that reach a step; write what `CommonWords` reads below `folder`."""
    counts = folder / "word-cases"
    counts.mkdir(parents=True)
    for _ in upstream.map(partial(_write_cases, folder=counts, settings=settings), _READ):
        pass
    common = CommonWords(folder / "common-words.npy")
    found = ask_counts(counts, _COUNTED, _COMMON, {"least": _LEAST, "share": _SHARE}, upstream.executor.workers)
    np.save(common.path, found["hash"].astype(np.uint64))
    return common


def _write_cases(part: Path, batches: Iterator[pa.RecordBatch], folder: Path, settings: CorpusSettings) -> None:
    """Write for each word of a part's train split how often it is used, and how often in lower case."""
    hashes, small = [np.zeros(0, np.uint64)], [np.zeros(0, np.bool_)]
    for batch in batches:
        rows = batch.filter(pa.array([side == TRAIN for side in sides_of(batch, settings)], pa.bool_()))
        text, words = joined_words(rows)
        lowered, capitals, own = _hashes(words, codes_of(text))
        hashes.append(lowered)
        small.append(own & ~capitals)
    every, places = np.unique(np.concatenate(hashes), return_inverse=True)
    uses = np.bincount(places, minlength=len(every))
    in_lower = np.bincount(places, np.concatenate(small), minlength=len(every)).astype(np.int64)
    pq.write_table(pa.table(list(map(pa.array, (every, uses, in_lower))), schema=_COUNTED), folder / part.name)


def _hashes(words: Words, codes: npt.NDArray[np.uint32]) -> tuple[Hashes, Marks, Marks]:
    """Return (words,): the hash of each in lower case, whether it has a capital, and whether a small letter."""
    lowered, raised = _cases()
    hashes = SpanHashes.of_codes(lowered[codes]).of(words.starts, words.ends)
    capitals, small = (_holding(table[codes] != codes, words) for table in (lowered, raised))
    return hashes, capitals, small


def _holding(marks: Marks, words: Words) -> Marks:
    """Return which words have a marked character."""
    sums = np.concatenate(([0], np.cumsum(marks)))
    return np.asarray(sums[words.ends] > sums[words.starts])


@cache
def _cases() -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Return for each code point the first of its small letters, and of its capitals; itself if it has no other."""
    lowered, raised = (np.arange(0x110000, dtype=np.uint32) for _ in range(2))
    for code in range(0x20000):
        letter = chr(code)
        lowered[code], raised[code] = ord(letter.lower()[0]), ord(letter.upper()[0])
    return lowered, raised


@cache
def _letters() -> Marks:
    marks: Marks = np.zeros(0x110000, np.bool_)
    marks[[code for code in range(0x32000) if chr(code).isalpha()]] = True
    return marks
