"""Unknown stretches: words outside mentions that may be names, since Wikipedia links few of a page's names.

Two rules: runs of capitalised words, where the first of a sentence counts only if it isn't a common word; and names
that are mentions elsewhere, often enough. They give no loss, and are no mentions.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nerbert.corpus.columns import Places, Words, is_among, numbers_column, strings_column
from nerbert.corpus.knowledge.database import ask_counts
from nerbert.corpus.mentions import listed
from nerbert.corpus.settings import CorpusSettings
from nerbert.corpus.shards import TYPED
from nerbert.corpus.span_hashes import (
    CAPITALISE_NOUNS,
    CommonWords,
    Hashes,
    Marks,
    SpanHashes,
    count_common_words,
    joined_words,
    places_in_text,
)
from nerbert.corpus.steps import Upstream
from nerbert.corpus.types import SCRATCH
from nerbert.records import TRAIN

CAPITALISED, ELSEWHERE = "capitalised", "mention_elsewhere"
LONGEST = 12
"""Maximum words of a name."""
_SHARE = 0.5
"""Least share of its uses in which a name is a mention."""
_COUNTED = pa.schema([("whole", pa.uint64()), ("first", pa.uint64()), ("words", pa.int64()), ("mentions", pa.int64())])
_FREQUENT = """
SELECT whole, min(first) AS first, min(words) AS words, sum(mentions)::BIGINT AS mentions
FROM counts WHERE words <= $longest GROUP BY whole HAVING sum(mentions) >= $least ORDER BY whole
"""


NAME = np.dtype([("whole", np.uint64), ("first", np.uint64), ("words", np.int64)])
"""A name: the hashes of the whole and of its first word, and its number of words."""
Names: TypeAlias = npt.NDArray[np.void]


Found: TypeAlias = tuple[Places, int, Places]
"""Where names of some number of words are found: their first words, that number, and the names' places in `keys`."""


@dataclass(frozen=True, slots=True)
class NameIndex:
    """Names to be found: sorted hashes, those of their first words, and the numbers of words that they have."""

    keys: Hashes
    first: Hashes
    lengths: tuple[int, ...]

    @classmethod
    def of(cls, names: Names) -> "NameIndex":
        """Return the index of names, whose `keys` are sorted and distinct."""
        return cls(np.unique(names["whole"]), np.unique(names["first"]), tuple(np.unique(names["words"]).tolist()))

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


@dataclass(frozen=True, slots=True)
class UnknownStretches:
    """The step that fills the column `unknown`."""

    folder: Path
    settings: CorpusSettings
    language: str
    name = "unknown"

    def prepare(self, upstream: Upstream) -> "_PreparedUnknown":
        """Count common words, the mentions of each name, and its other uses."""
        folder = self.folder / SCRATCH / self.name
        common = count_common_words(upstream, folder, self.settings)
        frequent, mentions = _frequent_names(upstream, folder, self.settings.unknown_min_mentions)
        np.save(folder / "frequent.npy", frequent)
        others = np.zeros(len(mentions), np.int64)
        for places, counts in upstream.map(partial(_count_others, names=folder / "frequent.npy"), _READ):
            others[places] += counts
        np.save(folder / "names.npy", frequent[mentions >= _SHARE * (mentions + others)])
        return _PreparedUnknown(common, folder / "names.npy", capitals=self.language not in CAPITALISE_NOUNS)


@dataclass(frozen=True, slots=True)
class _PreparedUnknown:
    """The step after its counts."""

    common: CommonWords
    names: Path
    capitals: bool
    name, rewrites = UnknownStretches.name, True

    def apply(self, rows: pa.RecordBatch) -> tuple[pa.RecordBatch, Sequence[None]]:
        """Mark the words outside mentions that may be names."""
        text, words = joined_words(rows)
        free = ~inside(words, rows["mentions"])
        known = _index(self.names, self.names.stat().st_mtime_ns)
        begins, lengths, _ = without_overlaps(known.found(words, SpanHashes.of_text(text)), free)
        stretches = [(begins, begins + lengths - 1, ELSEWHERE)]
        if self.capitals:
            stretches.append((*_runs(words, free & self.common.capitalised(words, text)), CAPITALISED))
        place = rows.schema.get_field_index("unknown")
        return rows.set_column(place, TYPED.field("unknown"), _listed(words, stretches)), ()


_READ = ("text", "words", "mentions", "split")


def _of_train(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    return (rows.filter(pc.equal(rows["split"], TRAIN)) for rows in batches)


@lru_cache(maxsize=2)
def _index(path: Path, _changed: int) -> NameIndex:
    return NameIndex.of(np.load(path, allow_pickle=False))


def _frequent_names(upstream: Upstream, folder: Path, least: int) -> tuple[Names, Places]:
    """Return the names that are mentions of the train split at least so often, and how often."""
    counts = folder / "mentions"
    counts.mkdir()
    for _ in upstream.map(partial(_write_mentions, folder=counts), _READ):
        pass
    numbers = {"least": least, "longest": LONGEST}
    found = ask_counts(counts, _COUNTED, _FREQUENT, numbers, upstream.executor.workers)
    return np.rec.fromarrays([found[name] for name in NAME.names or ()], NAME), np.asarray(found["mentions"])


def _write_mentions(part: Path, batches: Iterator[pa.RecordBatch], folder: Path) -> None:
    """Write for each name how many mentions of the part's train split it has."""
    found = []
    for rows in _of_train(batches):
        text, words = joined_words(rows)
        starts, ends = places_in_text(words.sentences, rows["mentions"])
        begins, last = np.searchsorted(words.starts, starts), np.searchsorted(words.ends, ends)
        hashes = SpanHashes.of_text(text)
        first = hashes.of(words.starts[begins], words.ends[begins])
        found.append(np.stack([hashes.of(starts, ends), first, (last - begins + 1).astype(np.uint64)]))
    columns = np.concatenate([np.zeros((3, 0), np.uint64), *found], axis=1)
    whole, places, counts = np.unique(columns[0], return_index=True, return_counts=True)
    arrays = (whole, columns[1][places], columns[2][places].astype(np.int64), counts)
    pq.write_table(pa.table(list(map(pa.array, arrays)), schema=_COUNTED), folder / part.name)


def _count_others(_: Path, batches: Iterator[pa.RecordBatch], names: Path) -> tuple[Places, Places]:
    """Return the places of the names that a part's train split has outside mentions, and how often."""
    known, found = NameIndex.of(np.load(names, allow_pickle=False)), [np.zeros(0, np.int64)]
    for rows in _of_train(batches):
        text, words = joined_words(rows)
        found.append(
            without_overlaps(known.found(words, SpanHashes.of_text(text)), ~inside(words, rows["mentions"]))[2]
        )
    places, counts = np.unique(np.concatenate(found), return_counts=True)
    return places, counts


def _runs(words: Words, marked: Marks) -> tuple[Places, Places]:
    """Return the first and last words of the runs of marked words within sentences; what joins two words without a
    space, such as a hyphen, is one of them."""
    joined = (words.starts[1:] == words.ends[:-1]) & (np.diff(words.starts) > 0)
    marked = marked.copy()
    marked[1:-1] |= marked[:-2] & marked[2:] & joined[:-1] & joined[1:]
    begins = np.zeros(len(marked) + 1, np.bool_)
    begins[words.first] = True
    before = np.concatenate(([False], marked[:-1]))
    first = np.flatnonzero(marked & (~before | begins[:-1]))
    after = np.concatenate((marked[1:], [False]))
    return first, np.flatnonzero(marked & (~after | begins[1:]))


def _listed(words: Words, stretches: Sequence[tuple[Places, Places, str]]) -> pa.ListArray:
    """Return stretches from first to last words, with their reasons, as lists of sentences."""
    firsts, lasts = (np.concatenate([each[place] for each in stretches]) for place in range(2))
    reasons = np.repeat(np.arange(len(stretches)), [len(each[0]) for each in stretches])
    order = np.argsort(firsts)
    firsts, lasts, reasons = firsts[order], lasts[order], reasons[order]
    owner = np.searchsorted(words.first, firsts, "right") - 1
    shift = words.sentences[owner]
    columns = {
        "start": numbers_column(words.starts[firsts] - shift, pa.int32()),
        "end": numbers_column(words.ends[lasts] - shift, pa.int32()),
        "reason": strings_column([each[2] for each in stretches]).take(pa.array(reasons)),
    }
    counts = np.bincount(owner, minlength=len(words.first) - 1)
    return listed(columns, counts, list(TYPED.field("unknown").type.value_type))
