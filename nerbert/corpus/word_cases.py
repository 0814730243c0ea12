"""Common words: those that the corpus writes in lower case often enough, so that a capital tells little of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from nerbert.corpus.columns import Words
from nerbert.corpus.knowledge.database import open_database
from nerbert.corpus.span_hashes import Hashes, Marks, SpanHashes, codes_of, is_among, joined_words
from nerbert.corpus.steps import Upstream

_SHARE, _LEAST = 0.1, 3
"""A common word is in lower case in at least this share of its uses, and this often."""
_COMMON = """
SELECT hash FROM counts GROUP BY hash
HAVING sum(small) >= $least AND sum(small) >= $share * sum(uses) ORDER BY hash
"""


@dataclass(frozen=True, slots=True)
class CommonWords:
    """A file with the sorted hashes of the common words in lower case; each process maps it."""

    path: Path

    def among(self, words: Words, text: str) -> Marks:
        """Return which words of a text are common, in whatever case they are written there."""
        return is_among(_hashes(words, codes_of(text))[0], _mapped(self.path))

    def capitalised(self, words: Words, text: str) -> Marks:
        """Return which words have a capital that tells something: a sentence's first one only if it isn't common."""
        capitalised = ~_hashes(words, codes_of(text))[1]
        first = words.first[:-1][np.diff(words.first) > 0]
        capitalised[first] &= ~self.among(words, text)[first]
        return capitalised


@lru_cache(maxsize=2)
def _mapped(path: Path) -> Hashes:
    hashes: Hashes = np.load(path, mmap_mode="r", allow_pickle=False)
    return hashes


def count_common_words(upstream: Upstream, folder: Path) -> CommonWords:
    """Count the words that reach a step; write what `CommonWords` reads below `folder`."""
    counts = folder / "word-cases"
    counts.mkdir(parents=True)
    for _ in upstream.map(partial(_write_cases, folder=counts), ("text", "words")):
        pass
    common = CommonWords(folder / "common-words.npy")
    with open_database(folder, upstream.executor.workers) as database:
        for path in sorted(counts.iterdir()):
            database.from_arrow(pq.read_table(path)).create_view("part")
            database.execute("CREATE TABLE IF NOT EXISTS counts AS FROM part LIMIT 0; INSERT INTO counts FROM part")
        found = database.execute(_COMMON, {"least": _LEAST, "share": _SHARE}).fetchnumpy()["hash"]
        np.save(common.path, found.astype(np.uint64))
    return common


def _write_cases(part: Path, batches: Iterator[pa.RecordBatch], folder: Path) -> None:
    """Write for each word of a part how often it is used, and how often in lower case."""
    hashes, small = [np.zeros(0, np.uint64)], [np.zeros(0, np.bool_)]
    for rows in batches:
        text, words = joined_words(rows)
        lowered, own = _hashes(words, codes_of(text))
        hashes.append(lowered)
        small.append(own)
    every, places = np.unique(np.concatenate(hashes), return_inverse=True)
    uses = np.bincount(places, minlength=len(every))
    in_lower = np.bincount(places, np.concatenate(small), minlength=len(every)).astype(np.int64)
    names = ("hash", "uses", "small")
    pq.write_table(pa.table(list(map(pa.array, (every, uses, in_lower))), names=names), folder / part.name)


def _hashes(words: Words, codes: npt.NDArray[np.uint32]) -> tuple[Hashes, Marks]:
    """Return (words,): the hash of each in lower case, and whether it has no capital."""
    lowered = _lower_case()[codes]
    hashes = SpanHashes.of_codes(lowered).of(words.starts, words.ends)
    capitals = np.concatenate(([0], np.cumsum(lowered != codes)))
    return hashes, capitals[words.ends] == capitals[words.starts]


@cache
def _lower_case() -> npt.NDArray[np.uint32]:
    """Return for each code point its small letter, if that is one, else itself."""
    table = np.arange(0x110000, dtype=np.uint32)
    for code in range(0x20000):
        lowered = chr(code).lower()
        if len(lowered) == 1:
            table[code] = ord(lowered)
    return table
