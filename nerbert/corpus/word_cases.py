"""Common words: those that the corpus writes in lower case often enough, so that a capital tells little of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from nerbert.corpus.columns import Words, codes_of, is_among
from nerbert.corpus.knowledge.database import ask_counts
from nerbert.corpus.mentions import sides_of
from nerbert.corpus.settings import CorpusSettings
from nerbert.corpus.span_hashes import Hashes, Marks, SpanHashes, joined_words, read_hashes
from nerbert.corpus.steps import Upstream
from nerbert.records import TRAIN

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
class CommonWords:
    """A file with the sorted hashes of the common words in lower case."""

    path: Path

    def among(self, words: Words, text: str) -> Marks:
        """Return which words of a text are common, in whatever case they are written there."""
        hashes, _, _ = _hashes(words, codes_of(text))
        return is_among(hashes, read_hashes(self.path))

    def capitalised(self, words: Words, text: str) -> Marks:
        """Return which words have a capital that tells something: a sentence's first one only if it isn't common."""
        hashes, capitals, _ = _hashes(words, codes_of(text))
        first = np.flatnonzero(begins_sentence(words, text))
        common = is_among(hashes[first], read_hashes(self.path))
        capitals[first] &= ~common
        return capitals


def begins_sentence(words: Words, text: str) -> Marks:
    """Return which words are the first with a letter of their sentence."""
    lettered = np.flatnonzero(_holding(_letters()[codes_of(text)], words))
    owner = np.searchsorted(words.first, lettered, "right") - 1
    first: Marks = np.zeros(len(words.starts), np.bool_)
    first[lettered[np.flatnonzero(np.diff(owner, prepend=-1))]] = True
    return first


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
