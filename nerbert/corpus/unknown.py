"""Unknown spans: words outside mentions that may be names, since Wikipedia links few of a page's names.

They are runs of capitalised words (the first word of a sentence counts only if it isn't common), and names that are
often mentions elsewhere. They are not mentions, and the loss ignores them. A span is identified by its hash, a
polynomial of its characters modulo 2^64, computed from two prefix sums. Limitation: names with the same hash are
taken for one; with a million names, this happens once in ten million corpora.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nerbert.corpus.knowledge.database import ask_counts
from nerbert.corpus.mentions import make_lists
from nerbert.corpus.settings import CorpusSettings
from nerbert.corpus.shards import TYPED
from nerbert.corpus.steps import Upstream
from nerbert.corpus.types import SCRATCH
from nerbert.corpus.word_columns import Ints, Words, codes_of, is_among, numbers_column, strings_column
from nerbert.records import TRAIN
from nerbert.rng import mix_bits

Hashes = npt.NDArray[np.uint64]
Marks = npt.NDArray[np.bool_]
Hasher: TypeAlias = Callable[[Ints, Ints], Hashes]
"""Function from starts and ends of spans of a text to the spans' hashes."""

CAPITALISED, ELSEWHERE = "capitalised", "mention_elsewhere"
LONGEST = 12
"""Maximum number of words of a name."""
_SHARE = 0.5
"""Minimum share of a name's uses that are mentions."""
_COUNTED = pa.schema([("whole", pa.uint64()), ("first", pa.uint64()), ("words", pa.int64()), ("mentions", pa.int64())])
_FREQUENT = """
SELECT whole, min(first) AS first, min(words) AS words, sum(mentions)::BIGINT AS mentions
FROM counts WHERE words <= $longest GROUP BY whole HAVING sum(mentions) >= $least ORDER BY whole
"""
_BASE = 0x9E3779B97F4A7C15
_STEP = 1 << 20
"""Powers are computed for multiples of this length."""
_COMMON_SHARE, _LEAST = 0.1, 3
"""A common word is in lower case in at least this share of its uses, and at least this many times."""
_CASES = pa.schema([("hash", pa.uint64()), ("uses", pa.int64()), ("small", pa.int64())])
_COMMON = """
SELECT hash FROM counts GROUP BY hash
HAVING sum(small) >= $least AND sum(small) >= $share * sum(uses) ORDER BY hash
"""
CAPITALISE_NOUNS = ("bar", "de", "frr", "gsw", "ksh", "lb", "nds", "pdc", "pfl", "stq")
"""Languages that capitalise all nouns: a capital does not indicate a name, and nouns are never in lower case."""

NAME = np.dtype([("whole", np.uint64), ("first", np.uint64), ("words", np.int64)])
"""A name: the hashes of the whole and of its first word, and its number of words."""
Names: TypeAlias = npt.NDArray[np.void]
Found: TypeAlias = tuple[Ints, int, Ints]
"""Occurrences of names with equal numbers of words: first words, that number, and the names' indexes in `keys`."""


def span_hashes(codes: npt.NDArray[np.uint32]) -> Hasher:
    """Return a function that hashes spans of a text; spans with equal characters have equal hashes in every text."""
    powers, inverse = _compute_powers(-(-(len(codes) + 1) // _STEP) * _STEP)
    sums = np.zeros(len(codes) + 1, np.uint64)
    np.cumsum(mix_bits(codes.astype(np.uint64)) * powers[: len(codes)], out=sums[1:])
    # Times the inverse power of its start, so that a span has the same hash at any place
    return lambda starts, ends: mix_bits((sums[ends] - sums[starts]) * inverse[starts])


@lru_cache(maxsize=2)
def _compute_powers(length: int) -> tuple[Hashes, Hashes]:
    bases = (_BASE, pow(_BASE, -1, 1 << 64))
    factors = [np.append(np.uint64(1), np.full(length - 1, base, np.uint64)) for base in bases]
    return np.cumprod(factors[0], dtype=np.uint64), np.cumprod(factors[1], dtype=np.uint64)


def join_words(rows: pa.RecordBatch) -> tuple[str, Words]:
    """Return the sentences of rows joined by newlines, and the positions of their words in that text."""
    texts = rows["text"].to_pylist()
    words = rows["words"]
    sentences = np.concatenate(([0], np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)) + 1)))
    first = np.concatenate(([0], np.cumsum(pc.list_value_length(words).to_numpy())))
    return "\n".join(texts) + "\n", Words(*places_in_text(sentences, words), sentences, first)


def places_in_text(sentences: Ints, lists: pa.ListArray) -> tuple[Ints, Ints]:
    """Return the starts and ends of the sentences' spans, one list per sentence, in a joined text; `sentences` has the
    start of each sentence there."""
    flat = lists.flatten()
    shift = np.repeat(sentences[:-1], pc.list_value_length(lists).to_numpy())
    starts, ends = (pc.struct_field(flat, name).to_numpy() + shift for name in ("start", "end"))
    return starts, ends


@dataclass(frozen=True, slots=True)
class NameIndex:
    """Names to search for: their sorted hashes, the hashes of their first words, and their numbers of words."""

    keys: Hashes
    first: Hashes
    lengths: tuple[int, ...]

    @classmethod
    def of(cls, names: Names) -> "NameIndex":
        """Return the index of names, whose `keys` are sorted and distinct."""
        return cls(np.unique(names["whole"]), np.unique(names["first"]), tuple(np.unique(names["words"]).tolist()))

    def find_names(self, words: Words, hashes: Hasher) -> Iterator[Found]:
        """Yield the occurrences of names, those with the most words first."""
        if not len(words.starts) or not len(self.keys):
            return
        owner = np.repeat(np.arange(len(words.first) - 1), np.diff(words.first))

        def keys_at(first: Ints, last: Ints) -> Hashes:
            return hashes(words.starts[first], words.ends[last])

        numbers = np.arange(len(words.starts))
        # Most words begin no name: longer spans are hashed only from those that do
        begins = numbers[is_among(keys_at(numbers, numbers), self.first)]
        for length in reversed(self.lengths):
            starts = begins[begins + length <= len(numbers)]
            starts = starts[owner[starts] == owner[starts + length - 1]]
            keys = keys_at(starts, starts + length - 1)
            matches = is_among(keys, self.keys)
            yield starts[matches], length, np.searchsorted(self.keys, keys[matches])


def drop_overlaps(names: Iterable[Found], free: Marks) -> tuple[Ints, Ints, Ints]:
    """Return first words, lengths and keys of the names kept: of overlapping ones the longest, then the first.

    Names may contain only words marked in `free` (words,); the words of kept names are unmarked in place.
    """
    kept = list[tuple[int, int, int]]()
    for begins, length, keys in names:
        for begin, key in zip(begins.tolist(), keys.tolist(), strict=True):
            # Longer names come first, so that one inside another finds its words taken
            if free[begin : begin + length].all():
                free[begin : begin + length] = False
                kept.append((begin, length, key))
    begins, lengths, keys = np.array(sorted(kept), np.int64).reshape(-1, 3).T
    return begins, lengths, keys


def inside(words: Words, lists: pa.Array) -> Marks:
    """Return which words lie in one of the spans (start, end) of their sentence; `lists` has a list per sentence."""
    starts, ends = places_in_text(words.sentences, lists)
    marks = np.zeros(len(words.starts) + 1, np.int64)
    # Add one at a span's first word and take it off after its last: the running sum is positive inside
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
        common = _common_words(upstream, folder)
        frequent, mentions = _frequent_names(upstream, folder, self.settings.unknown_min_mentions)
        np.save(folder / "frequent.npy", frequent)
        others = np.zeros(len(mentions), np.int64)
        for numbers, counts in upstream.map(partial(_count_others, names=folder / "frequent.npy"), _READ):
            others[numbers] += counts
        np.save(folder / "names.npy", frequent[mentions >= _SHARE * (mentions + others)])
        return _PreparedUnknown(common, folder / "names.npy", capitals=self.language not in CAPITALISE_NOUNS)


@dataclass(frozen=True, slots=True)
class _PreparedUnknown:
    """The step after counting."""

    common: Path
    names: Path
    capitals: bool
    name, rewrites = UnknownStretches.name, True

    def apply(self, rows: pa.RecordBatch) -> tuple[pa.RecordBatch, Sequence[None]]:
        """Mark the words outside mentions that may be names."""
        text, words = join_words(rows)
        free = ~inside(words, rows["mentions"])
        # The file's time is part of the cache's key: another build may write to the same path
        index = _load_index(self.names, self.names.stat().st_mtime_ns)
        codes = codes_of(text)
        # Names first: their words are no longer free for runs of capitals
        begins, lengths, _ = drop_overlaps(index.find_names(words, span_hashes(codes)), free)
        stretches = [(begins, begins + lengths - 1, ELSEWHERE)]
        if self.capitals:
            stretches.append((*_find_runs(words, free & _find_capitalised(words, codes, self.common)), CAPITALISED))
        column = rows.schema.get_field_index("unknown")
        return rows.set_column(column, TYPED.field("unknown"), _group_stretches(words, stretches)), ()


_READ = ("text", "words", "mentions", "split")


def _filter_train(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    return (rows.filter(pc.equal(rows["split"], TRAIN)) for rows in batches)


@lru_cache(maxsize=2)
def _load_index(path: Path, _changed: int) -> NameIndex:
    return NameIndex.of(np.load(path, allow_pickle=False))


def _common_words(upstream: Upstream, folder: Path) -> Path:
    """Write the sorted hashes of words that are often in lower case in the train split; return the file's path."""
    counts = folder / "word-cases"
    path = folder / "common-words.npy"
    counts.mkdir(parents=True)
    for _ in upstream.map(partial(_write_cases, folder=counts), ("text", "words", "split")):
        pass
    bounds = {"least": _LEAST, "share": _COMMON_SHARE}
    common = ask_counts(counts, _CASES, _COMMON, bounds, upstream.executor.workers)
    np.save(path, common["hash"].astype(np.uint64))
    return path


def _write_cases(part: Path, batches: Iterator[pa.RecordBatch], folder: Path) -> None:
    """Write the number of uses, and of uses in lower case, of each word in a part's train split."""
    # A part may have no train sentence, and an empty list can't be joined
    hashes = [np.zeros(0, np.uint64)]
    small = [np.zeros(0, np.bool_)]
    for rows in _filter_train(batches):
        text, words = join_words(rows)
        lowered, capitals = _hash_words(words, codes := codes_of(text))
        hashes.append(lowered)
        # In lower case only if it has a letter with a capital: not `1990` or `中国`
        small.append(_mark_words(_case_table()[1][codes] != codes, words) & ~capitals)
    distinct, inverse = np.unique(np.concatenate(hashes), return_inverse=True)
    uses = np.bincount(inverse, minlength=len(distinct))
    in_lower = np.bincount(inverse, np.concatenate(small), minlength=len(distinct)).astype(np.int64)
    pq.write_table(pa.table(list(map(pa.array, (distinct, uses, in_lower))), schema=_CASES), folder / part.name)


def _find_capitalised(words: Words, codes: npt.NDArray[np.uint32], common: Path) -> Marks:
    """Return which words have a meaningful capital; a sentence's first word counts only if it isn't common."""
    hashes, capitals = _hash_words(words, codes)
    lettered = np.flatnonzero(_mark_words(_letter_table()[codes], words))
    owner = np.searchsorted(words.first, lettered, "right") - 1
    # A quote or a number may come before a sentence's first word with a letter
    first = lettered[np.flatnonzero(np.diff(owner, prepend=-1))]
    capitals[first] &= ~is_among(hashes[first], _load_hashes(common, common.stat().st_mtime_ns))
    return capitals


@lru_cache(maxsize=4)
def _load_hashes(path: Path, _changed: int) -> Hashes:
    hashes: Hashes = np.load(path, mmap_mode="r", allow_pickle=False)
    return hashes


def _hash_words(words: Words, codes: npt.NDArray[np.uint32]) -> tuple[Hashes, Marks]:
    """Return two arrays (words,): the hash of each word in lower case, and a mark if the word has a capital."""
    lowered = _case_table()[0][codes]
    return span_hashes(lowered)(words.starts, words.ends), _mark_words(lowered != codes, words)


def _mark_words(marks: Marks, words: Words) -> Marks:
    """Return which words have a marked character."""
    sums = np.concatenate(([0], np.cumsum(marks)))
    return np.asarray(sums[words.ends] > sums[words.starts])


@cache
def _case_table() -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Return, by code point, the first character in lower and in upper case; the code point itself if uncased."""
    lowered, raised = (np.arange(0x110000, dtype=np.uint32) for _ in range(2))
    # No script above has capitals
    for code in range(0x20000):
        letter = chr(code)
        lowered[code], raised[code] = ord(letter.lower()[0]), ord(letter.upper()[0])
    return lowered, raised


@cache
def _letter_table() -> Marks:
    marks: Marks = np.zeros(0x110000, np.bool_)
    marks[[code for code in range(0x32000) if chr(code).isalpha()]] = True
    return marks


def _frequent_names(upstream: Upstream, folder: Path, least: int) -> tuple[Names, Ints]:
    """Return the names with at least `least` mentions in the train split, and their numbers of mentions."""
    counts = folder / "mentions"
    counts.mkdir()
    for _ in upstream.map(partial(_write_mentions, folder=counts), _READ):
        pass
    bounds = {"least": least, "longest": LONGEST}
    columns = ask_counts(counts, _COUNTED, _FREQUENT, bounds, upstream.executor.workers)
    return np.rec.fromarrays([columns[name] for name in NAME.names or ()], NAME), np.asarray(columns["mentions"])


def _write_mentions(part: Path, batches: Iterator[pa.RecordBatch], folder: Path) -> None:
    """Write the number of mentions of each name in a part's train split."""
    blocks = []
    for rows in _filter_train(batches):
        text, words = join_words(rows)
        starts, ends = places_in_text(words.sentences, rows["mentions"])
        begins = np.searchsorted(words.starts, starts)
        last = np.searchsorted(words.ends, ends)
        hashes = span_hashes(codes_of(text))
        first = hashes(words.starts[begins], words.ends[begins])
        blocks.append(np.stack([hashes(starts, ends), first, (last - begins + 1).astype(np.uint64)]))
    columns = np.concatenate([np.zeros((3, 0), np.uint64), *blocks], axis=1)
    whole, firsts, counts = np.unique(columns[0], return_index=True, return_counts=True)
    arrays = (whole, columns[1][firsts], columns[2][firsts].astype(np.int64), counts)
    pq.write_table(pa.table(list(map(pa.array, arrays)), schema=_COUNTED), folder / part.name)


def _count_others(_: Path, batches: Iterator[pa.RecordBatch], names: Path) -> tuple[Ints, Ints]:
    """Return the indexes of the names that occur outside mentions in a part's train split, and their counts."""
    index = NameIndex.of(np.load(names, allow_pickle=False))
    keys = [np.zeros(0, np.int64)]
    for rows in _filter_train(batches):
        text, words = join_words(rows)
        spans = index.find_names(words, span_hashes(codes_of(text)))
        keys.append(drop_overlaps(spans, ~inside(words, rows["mentions"]))[2])
    numbers, counts = np.unique(np.concatenate(keys), return_counts=True)
    return numbers, counts


def _find_runs(words: Words, marked: Marks) -> tuple[Ints, Ints]:
    """Return the first and last words of the runs of marked words within sentences; runs continue across hyphens."""
    joined = (words.starts[1:] == words.ends[:-1]) & (np.diff(words.starts) > 0)
    marked = marked.copy()
    # A word between two marked ones, glued to both, goes on the run: the hyphen in `Jean-Luc`
    marked[1:-1] |= marked[:-2] & marked[2:] & joined[:-1] & joined[1:]
    begins = np.zeros(len(marked) + 1, np.bool_)
    begins[words.first] = True
    before = np.concatenate(([False], marked[:-1]))
    first = np.flatnonzero(marked & (~before | begins[:-1]))
    after = np.concatenate((marked[1:], [False]))
    return first, np.flatnonzero(marked & (~after | begins[1:]))


def _group_stretches(words: Words, stretches: Sequence[tuple[Ints, Ints, str]]) -> pa.ListArray:
    """Return spans, given by first and last words and a reason, as one list per sentence."""
    firsts, lasts = (np.concatenate([group[side] for group in stretches]) for side in range(2))
    reasons = np.repeat(np.arange(len(stretches)), [len(group[0]) for group in stretches])
    order = np.argsort(firsts)
    firsts = firsts[order]
    lasts = lasts[order]
    reasons = reasons[order]
    owner = np.searchsorted(words.first, firsts, "right") - 1
    shift = words.sentences[owner]
    columns = {
        "start": numbers_column(words.starts[firsts] - shift, pa.int32()),
        "end": numbers_column(words.ends[lasts] - shift, pa.int32()),
        "reason": strings_column([group[2] for group in stretches]).take(pa.array(reasons)),
    }
    counts = np.bincount(owner, minlength=len(words.first) - 1)
    return make_lists(columns, counts, list(TYPED.field("unknown").type.value_type))
