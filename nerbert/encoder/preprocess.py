"""Training data of a corpus: labelled windows of subwords, made once, shard by shard, then memory-mapped.

Cost: about 15 bytes a piece on the disk, for each label set, tokenizer and length.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nerbert.artifacts import write_json
from nerbert.cache import cached
from nerbert.corpus.shards import checked_shards, sentence_batches, shard_hashes
from nerbert.encoder.corpus_labels import CorpusLabels, LabelledCorpus, training_rows
from nerbert.encoder.open_texts import VERSION, OpenTexts, OpenTypes
from nerbert.encoder.settings import PretrainSettings
from nerbert.errors import InputError, at
from nerbert.executors import Executor, given_or_local
from nerbert.labels import tag_names
from nerbert.model.tokenizer import BioLabels, SubwordTokenizer, WordLabels
from nerbert.model.windows import WINDOWS_FORMAT, Windows, mapped, open_windows, write_windows
from nerbert.process import cores
from nerbert.records import Example, Span
from nerbert.rng import Array, hash64, uniforms
from nerbert.schema import read_json
from nerbert.terminal import Progress, progress, tell
from nerbert.training.batches import TrainingData

_VERSION = 4
"""The version of these files, and of how they are made, here and in `pieces`."""
_COLUMNS = ("id", "split", "text", "words", "mentions", "unknown", "copies", "expected_copies")
_MOST_COPIES = float((1 << 31) - 1)
_COUNTS = "sentences.json"
_TYPES = {"copies": np.int32, "expected_copies": np.float64, "identities": np.uint64}
_FEW = 50_000
"""Sentences that one process has cut before others have started."""
_CHUNK = 1000
"""Texts of open types that are cut at once."""
_One = TypeVar("_One")


@dataclass(frozen=True, slots=True)
class Sentences:
    """Columns that an epoch is drawn from, (sentences,) each; `identities` are 64 bits of the hashes of their ids.

    `counts` are how many sentences each source has; the sources follow each other.
    """

    copies: Array
    expected_copies: Array
    identities: Array
    counts: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.copies)

    def drawn(self, epoch: int, seed: int) -> Array:
        """Return (sentences,): copies drawn for an epoch, ⌊r⌋ and one more with the probability of the remainder."""
        whole = np.floor(self.expected_copies)
        chances = uniforms(seed, f"copies of epoch {epoch}", self.identities)
        return (whole + (chances < self.expected_copies - whole)).astype(np.int64)


@dataclass(frozen=True, slots=True)
class ShardWindows:
    """Windows of a part of a shard, numbered by their sentences' places in it; `too_long` sentences are left out.

    `source` is the number of the source that it belongs to.
    """

    rows: int
    windows: Windows
    sentences: Sentences
    too_long: int = 0
    source: int = 0


@dataclass(frozen=True, slots=True)
class Preprocessor:
    """Tokenizer, digests of the corpora's label sets, and labels of words, which turn rows of a corpus into windows."""

    pieces: SubwordTokenizer
    label_sets: tuple[str, ...]
    word_labels: WordLabels

    def key(self) -> dict[str, Any]:
        """Return all that decides the windows beside the shards: tokenizer, lengths, options, tags in order."""
        import tokenizers

        kind = type(self.word_labels)
        return {
            "tokenizer": tokenizer_hash(self.pieces.tokenizer), "tokenizers": tokenizers.__version__,
            "pieces": self.pieces.key(), "label_sets": list(self.label_sets),
            "labels": [kind.__module__, kind.__qualname__, self.word_labels.key()],
        }  # fmt: skip


def cut_shard(path: Path, cutter: Preprocessor, labels: CorpusLabels, source: int | None = None) -> list[ShardWindows]:
    """Cut one shard into windows, as one of several sources if it has a number; raise InputError for a bad value."""
    category = lru_cache(1 << 16)(labels.category)
    parts = []
    for batch in sentence_batches(path, _COLUMNS):
        with at(path):
            rows = training_rows(batch)
            for name in ("copies", "expected_copies"):
                column = rows[name].to_numpy()
                if len(wrong := column[~((column >= 0) & (column <= _MOST_COPIES))]):
                    raise InputError(
                        f"{name} = {wrong[0]}: must be at least 0, and no more than fits; build the corpus again"
                    )
            every = len(rows)
            if lists := labels.gazetteers:
                rows = rows.filter(pa.array(lists.short(pc.list_value_length(rows["words"]).to_numpy())))
            examples = list(_examples(rows, lambda path, own: category(tuple(path), own)))
            examples = lists.relabelled(examples) if lists else examples
            examples = [labels.of_source(each, source) for each in examples]
            windows = Windows.pack(cutter.pieces.windows(examples, cutter.word_labels))
            copies, expected = (rows[name].to_numpy() for name in ("copies", "expected_copies"))
            identities = np.array([hash64(each) for each in rows["id"].to_pylist()], np.uint64)
            sentences = Sentences(copies, expected, identities)
            parts.append(ShardWindows(len(batch), windows, sentences, every - len(rows), source or 0))
    return parts


def _cut_open(cutter: Preprocessor, source: OpenTexts, number: int) -> Iterator[ShardWindows]:
    """Yield the windows of the texts of open types that are trained on, some texts at a time; `number` is that of the
    source."""
    texts = source.examples()
    while some := list(islice(texts, _CHUNK)):
        windows = Windows.pack(cutter.pieces.windows(some, cutter.word_labels))
        expected = np.full(len(some), source.settings.copies, np.float64)
        identities = np.array([hash64(each.text) for each in some], np.uint64)
        copies = np.floor(expected + uniforms(0, "copies of open types", identities))
        yield ShardWindows(len(some), windows, Sentences(copies, expected, identities), source=number)


def _examples(batch: pa.RecordBatch, category: Any) -> Iterator[Example]:
    """Yield rows of the corpus as `labels.sentence_example` gives them, from the columns that it needs."""
    mentions = batch["mentions"]
    kinds = map(category, _field(mentions, "class_path"), _field(mentions, "category"))
    types = _by_row(mentions, list(kinds))
    columns = (_by_row(column, list(zip(_field(column, "start"), _field(column, "end"), strict=True)))
               for column in (batch["words"], batch["unknown"], mentions))  # fmt: skip
    for text, words, unknown, found, own in zip(batch["text"].to_pylist(), *columns, types, strict=True):
        spans = tuple(Span(start, end, type_, text[start:end]) for (start, end), type_ in zip(found, own, strict=True))
        yield Example(text, tuple(words), spans, unknown=tuple(unknown), partial=True)


def _by_row(column: pa.ListArray, values: list[_One]) -> Iterator[list[_One]]:
    first = 0
    for last in np.cumsum(pc.list_value_length(column).to_numpy()).tolist():
        yield values[first:last]
        first = last


def _field(column: pa.ListArray, name: str) -> list[Any]:
    values: list[Any] = pc.struct_field(column.flatten(), name).to_pylist()
    return values


def open_training_data(
    corpora: Sequence[LabelledCorpus], pieces: SubwordTokenizer, settings: PretrainSettings,
    executor: Executor | None = None, own: WordLabels | None = None, open_texts: OpenTexts | None = None,
    open_types: OpenTypes | None = None,
) -> TrainingData:  # fmt: skip
    """Open the train parts' windows in the cache; an `executor` (None: processes on all cores) makes missing ones.

    `own` are the labels of an objective that reads some; others, of one corpus, share the windows of BIO tags.
    `open_types` is what `open_texts` hold. Safe to call from several processes at once: one makes them. Raise
    InputError for a shard that isn't as the manifest says, and where there is nothing to train on.
    """
    categories = [name for each in corpora for name in each.labels.categories]
    label_sets = tuple(str(each.labels.facts["sha256"]) for each in corpora)
    cutter = Preprocessor(pieces, label_sets, own or BioLabels(tag_names(categories)))
    shards = [shard_hashes(each.folder, each.manifest) for each in corpora]
    origin = {"version": _VERSION, "windows": WINDOWS_FORMAT, "shards": shards, **cutter.key()}
    if len(corpora) > 1:  # the key of an objective's labels has those of one corpus
        origin["types"] = [sorted(each.labels.concept_texts.items()) for each in corpora]
    if open_texts and open_types:
        how = [open_texts.settings.copies, open_texts.settings.asked]
        origin["open_types"] = [VERSION, open_texts.splitter, *how, *open_types.digests]
    make = partial(_make, corpora=corpora, cutter=cutter, executor=executor, open_texts=open_texts)
    windows, sentences = cached(settings.cache, "pieces", origin, make, _read)
    sources = [*(str(each.folder) for each in corpora), *(["open_types.files"] if open_texts else [])]
    data = TrainingData(windows, _numbers_of(windows, sentences, settings, sources), pieces.pad_id)
    if not len(data.numbers_of(0)):
        raise InputError("nothing to train on: no training sentence has copies and a word that the tokenizer knows")
    lists = corpora[0].labels.gazetteers if corpora else None
    if lists and own and not (windows.labels > 0).any():
        what = "no link of the corpus" if lists.match == "anchors" else "nothing in the corpus's text"
        raise InputError(f"setting gazetteers.files: {what} is in the lists: do they have its language and spelling?")
    return data


def _numbers_of(
    windows: Windows, sentences: Sentences, settings: PretrainSettings, sources: Sequence[str]
) -> Callable[[int], Array]:
    """Return a function from an epoch to its windows' numbers, each as often as its sentence has copies, or so that
    the `sources` have their shares."""
    ends = np.cumsum(sentences.counts)

    @lru_cache(maxsize=1)
    def numbers_of(epoch: int) -> Array:
        copies = sentences.drawn(epoch, settings.seed) if settings.resample_each_epoch else sentences.copies
        numbers = np.repeat(np.arange(len(windows)), copies[windows.sentences])
        if not settings.shares or not len(numbers):
            return numbers
        places = np.searchsorted(numbers, np.searchsorted(windows.sentences, ends))
        parts = dict(zip(sources, np.split(numbers, places[:-1]), strict=True))
        return drawn_by_shares(parts, settings.shares, settings.seed, epoch)

    return numbers_of if settings.resample_each_epoch or settings.shares else lambda _: numbers_of(0)


def _make(
    folder: Path, corpora: Sequence[LabelledCorpus], cutter: Preprocessor, executor: Executor | None,
    open_texts: OpenTexts | None,
) -> None:  # fmt: skip
    rows = sum(count for each in corpora for count in each.manifest["shards"].values())
    opened = given_or_local(executor, 1 if rows < _FEW else cores())

    def parts(cutting: Executor) -> Iterator[ShardWindows]:
        for each in corpora:
            task = partial(cut_shard, cutter=cutter, labels=each.labels, source=each.source)
            for shard in cutting.map_ordered(task, checked_shards(each.folder, each.manifest)):
                yield from shard
        if open_texts:
            yield from _cut_open(cutter, open_texts, len(corpora))

    with progress("cutting sentences into pieces", rows or None) as bar, opened as cutting:
        write_windows(folder, _written(folder, parts(cutting), len(corpora) + bool(open_texts), bar))


def _written(folder: Path, parts: Iterable[ShardWindows], sources: int, bar: Progress) -> Iterator[Windows]:
    """Yield the parts' windows, numbered by their sentences in all parts, and write the columns of the sentences."""
    count = too_long = 0
    counts = [0] * sources
    files = {name: (folder / f"{name}.bin").open("wb") for name in _TYPES}
    try:
        for part in parts:
            yield replace(part.windows, sentences=part.windows.sentences + count)
            for name, file in files.items():
                file.write(np.ascontiguousarray(getattr(part.sentences, name), _TYPES[name]).data)
            count, too_long = count + len(part.sentences), too_long + part.too_long
            counts[part.source] += len(part.sentences)
            bar.advance(part.rows)
    finally:
        for file in files.values():
            file.close()
    write_json(folder / _COUNTS, counts)
    if too_long:
        tell(f"{too_long:,} sentences have more words than gazetteers.max_words and are left out; {count:,} are there")


def _read(folder: Path) -> tuple[Windows, Sentences]:
    counts = read_json(folder / _COUNTS, tuple[int, ...])
    columns = {name: mapped(folder / f"{name}.bin", dtype, sum(counts)) for name, dtype in _TYPES.items()}
    return open_windows(folder), Sentences(**columns, counts=counts)


def tokenizer_hash(tokenizer: Any) -> str:
    """Return the SHA-256 of a fast tokenizer's content, without padding and truncation, which are never used."""
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    kept = {name: value for name, value in content.items() if name not in ("padding", "truncation")}
    return sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def drawn_by_shares(parts: Mapping[str, Array], shares: Sequence[float], seed: int, epoch: int) -> Array:
    """Return the windows of an epoch: as many as all `parts` have, in proportion to `shares`, source by source.

    `parts` are the numbers of each source's windows. All of a part come as often as they can; the rest is drawn by
    seed and epoch. A share too small for one window gets one. Raise InputError for an empty part.
    """
    total = sum(map(len, parts.values()))
    drawn = []
    for place, ((name, numbers), share) in enumerate(zip(parts.items(), shares, strict=True)):
        if not len(numbers):
            raise InputError(f"setting shares: {name} has nothing to train on: no text with copies and a word that the "
                             "tokenizer knows; leave it out")  # fmt: skip
        wanted = max(1, round(total * share / sum(shares)))
        whole, rest = divmod(wanted, len(numbers))
        chances = uniforms(seed, f"share {place} of epoch {epoch}", np.arange(len(numbers)))
        some = numbers[np.sort(np.argsort(chances, kind="stable")[:rest])]
        drawn += [np.tile(numbers, whole), some]
    return np.concatenate(drawn)
