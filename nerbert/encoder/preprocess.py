"""Training data of a corpus: labelled windows of subwords, made once, shard by shard, then memory-mapped.

Cost: about 15 bytes a piece on the disk, for each label set, tokenizer and length.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from hashlib import sha256
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nerbert.artifacts import write_json
from nerbert.cache import load_cached
from nerbert.corpus.shards import checked_shards, sentence_batches, shard_hashes
from nerbert.encoder.corpus_labels import CorpusLabels, LabelledCorpus, training_rows
from nerbert.encoder.open_texts import VERSION, OpenTexts
from nerbert.encoder.settings import PretrainSettings
from nerbert.errors import InputError, at
from nerbert.executors import Executor, given_or_local
from nerbert.labels import tag_names
from nerbert.model.tokenizer import BioLabels, SubwordTokenizer, WordLabels
from nerbert.model.windows import WINDOWS_FORMAT, Windows, map_file, open_windows, write_windows
from nerbert.process import cores
from nerbert.records import Example, Span
from nerbert.rng import Array, hash64, uniforms
from nerbert.schema import read_json
from nerbert.terminal import progress, tell
from nerbert.training.batches import TrainingData

_VERSION = 5
"""The version of these files, and of how they are made, here and in `pieces`."""
_COLUMNS = ("split", "text", "words", "mentions", "unknown", "copies", "expected_copies")
_COPIES, _COUNTS = "copies.bin", "sentences.json"
_FEW = 50_000
"""Sentences that one process has cut before others have started."""
_CHUNK = 1000
"""Texts that are cut at once."""
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class ShardWindows:
    """Windows of a part of a source, numbered by their sentences' places in it, and the `copies` of these sentences.

    Of `rows` in all, `too_long` are left out. `source` is the number of the source.
    """

    rows: int
    windows: Windows
    copies: Array
    too_long: int = 0
    source: int = 0


def cut_shard(
    path: Path, pieces: SubwordTokenizer, word_labels: WordLabels, labels: CorpusLabels, source: int | None = None
) -> list[ShardWindows]:
    """Cut one shard into windows, as one of several sources if it has a number; raise InputError for a bad value."""
    category = lru_cache(1 << 16)(labels.category)
    parts = []
    for batch in sentence_batches(path, _COLUMNS):
        with at(path):
            every = rows = training_rows(batch)
            # A negative number would fail later, where neither file nor remedy is known.
            if len(rows) and (least := rows["copies"].to_numpy().min()) < 0:
                raise InputError(f"copies = {least}: must be at least 0; build the corpus again")
            if (lists := labels.link_types) and lists.max_words:
                rows = rows.filter(pc.less_equal(pc.list_value_length(rows["words"]), lists.max_words))
            examples = list(_examples(rows, lambda path, name: category(tuple(path), name)))
            examples = lists.relabel(examples) if lists else examples
            examples = [labels.of_source(example, source) for example in examples]
            windows = Windows.pack(pieces.windows(examples, word_labels))
            copies = rows["copies"].to_numpy()
            parts.append(ShardWindows(len(batch), windows, copies, len(every) - len(rows), source or 0))
    return parts


def cut(
    examples: Iterator[Example], pieces: SubwordTokenizer, labels: WordLabels | None = None
) -> Iterator[tuple[list[Example], Windows]]:
    """Yield some examples at a time, and their windows, numbered by their places among them."""
    while chunk := list(islice(examples, _CHUNK)):
        yield chunk, Windows.pack(pieces.windows(chunk, labels))


def _examples(batch: pa.RecordBatch, category: Any) -> Iterator[Example]:
    """Yield rows of the corpus as `labels.sentence_example` gives them, from the columns that it needs."""
    mentions = batch["mentions"]
    # Flat columns of the whole batch, cut by rows afterwards: one call of Arrow a column, not one a row.
    types_by_row = _by_row(mentions, list(map(category, _field(mentions, "class_path"), _field(mentions, "category"))))
    columns = (
        _by_row(column, list(zip(_field(column, "start"), _field(column, "end"), strict=True)))
        for column in (batch["words"], batch["unknown"], mentions)
    )
    for text, words, unknown, edges, types in zip(batch["text"].to_pylist(), *columns, types_by_row, strict=True):
        spans = tuple(Span(start, end, name, text[start:end]) for (start, end), name in zip(edges, types, strict=True))
        yield Example(text, tuple(words), spans, unknown=tuple(unknown), partial=True)


def _by_row(column: pa.ListArray, values: list[_Value]) -> Iterator[list[_Value]]:
    ends = np.cumsum(pc.list_value_length(column).to_numpy()).tolist()
    return (values[first:last] for first, last in pairwise([0, *ends]))


def _field(column: pa.ListArray, name: str) -> list[Any]:
    values: list[Any] = pc.struct_field(column.flatten(), name).to_pylist()
    return values


def open_training_data(
    corpora: Sequence[LabelledCorpus],
    pieces: SubwordTokenizer,
    settings: PretrainSettings,
    executor: Executor | None = None,
    word_labels: WordLabels | None = None,
    open_texts: OpenTexts | None = None,
) -> TrainingData:
    """Open the train parts' windows in the cache; an `executor` (None: processes on all cores) makes missing ones.

    `word_labels` are those of an objective that reads some; others, of one corpus, share the windows of BIO tags. Each
    epoch has a window as often as its sentence has copies, or so that the sources have their shares. Safe to call from
    several processes at once: one makes them. Raise InputError for a shard that isn't as the manifest says, and where
    there is nothing to train on.
    """
    labels = word_labels or BioLabels(tag_names([name for corpus in corpora for name in corpus.labels.categories]))
    origin = _origin(corpora, pieces, labels, open_texts)
    make = partial(_make, corpora=corpora, pieces=pieces, labels=labels, executor=executor, open_texts=open_texts)
    windows, copies, counts = load_cached(settings.cache, "pieces", origin, make, _read)
    numbers = np.repeat(np.arange(len(windows)), copies[windows.sentences])
    if not len(numbers):
        raise InputError("nothing to train on: no training sentence has copies and a word that the tokenizer knows")
    if word_labels:
        _check_matches(corpora, windows)
    if not settings.shares:
        return TrainingData(windows, lambda _: numbers, pieces.pad_id)
    ends = np.searchsorted(numbers, np.searchsorted(windows.sentences, np.cumsum(counts)))
    sources = [*(str(corpus.folder) for corpus in corpora), *(["open_types.files"] if open_texts else [])]
    parts = dict(zip(sources, np.split(numbers, ends[:-1]), strict=True))
    drawn = lru_cache(maxsize=1)(partial(draw_by_shares, parts, settings.shares, settings.seed))
    return TrainingData(windows, drawn, pieces.pad_id)


def _origin(
    corpora: Sequence[LabelledCorpus], pieces: SubwordTokenizer, labels: WordLabels, open_texts: OpenTexts | None
) -> dict[str, Any]:
    """Return all that decides what the windows are: the key of the cache."""
    import tokenizers

    origin: dict[str, Any] = {
        "version": _VERSION,
        "windows": WINDOWS_FORMAT,
        "shards": [shard_hashes(corpus.folder, corpus.manifest) for corpus in corpora],
        "tokenizer": tokenizer_hash(pieces.tokenizer),
        "tokenizers": tokenizers.__version__,
        "pieces": pieces.key(),
        "label_sets": [str(corpus.labels.facts["sha256"]) for corpus in corpora],
        "labels": [type(labels).__module__, type(labels).__qualname__, labels.key()],
    }
    # With one corpus the key of an objective's labels has these already.
    if len(corpora) > 1:
        origin["types"] = [sorted(corpus.labels.concept_texts.items()) for corpus in corpora]
    if open_texts:
        own = open_texts.settings
        # Without a sample the seed decides nothing here, and the cache holds for all seeds.
        seed = open_texts.seed if open_texts.settings.sample else None
        options = [own.copies, own.asked, own.sample, own.most_types, seed]
        origin["open_types"] = [VERSION, open_texts.splitter, *options, *open_texts.content.digests]
    return origin


def _check_matches(corpora: Sequence[LabelledCorpus], windows: Windows) -> None:
    lists = corpora[0].labels.link_types if corpora else None
    # Lists in another language or spelling match nothing, and a model of O alone would come out.
    if lists and not (windows.labels > 0).any():
        raise InputError(
            f"setting {lists.section}: no link of the corpus is in the lists: do they have its language and spelling?"
        )


def _make(
    folder: Path,
    corpora: Sequence[LabelledCorpus],
    pieces: SubwordTokenizer,
    labels: WordLabels,
    executor: Executor | None,
    open_texts: OpenTexts | None,
) -> None:
    rows = sum(count for corpus in corpora for count in corpus.manifest["shards"].values())
    opened = given_or_local(executor, 1 if rows < _FEW else cores())
    counts = [0] * (len(corpora) + bool(open_texts))
    too_long = 0

    def parts(cutting: Executor) -> Iterator[ShardWindows]:
        for corpus in corpora:
            task = partial(cut_shard, pieces=pieces, word_labels=labels, labels=corpus.labels, source=corpus.source)
            for shard in cutting.map_ordered(task, checked_shards(corpus.folder, corpus.manifest)):
                yield from shard
        if open_texts:
            for chunk, windows in cut(open_texts.examples(), pieces, labels):
                # Copies of half a text are a coin of the text, the same in every run and order.
                hashes = np.array([hash64(text.text) for text in chunk], np.uint64)
                copies = np.floor(open_texts.settings.copies + uniforms(0, "copies of open types", hashes))
                yield ShardWindows(len(chunk), windows, copies, source=len(corpora))

    def number_windows(cutting: Executor) -> Iterator[Windows]:
        nonlocal too_long
        with (folder / _COPIES).open("wb") as file:
            for part in parts(cutting):
                yield replace(part.windows, sentences=part.windows.sentences + sum(counts))
                file.write(np.ascontiguousarray(part.copies, np.int32).data)
                counts[part.source] += len(part.copies)
                too_long += part.too_long
                bar.advance(part.rows)

    with progress("cutting sentences into pieces", rows or None) as bar, opened as cutting:
        write_windows(folder, number_windows(cutting))
    write_json(folder / _COUNTS, counts)
    if too_long:
        tell(f"{too_long:,} sentences have more words than max_words and are left out; {sum(counts):,} are there")


def _read(folder: Path) -> tuple[Windows, Array, tuple[int, ...]]:
    counts = read_json(folder / _COUNTS, tuple[int, ...])
    return open_windows(folder), map_file(folder / _COPIES, np.int32, sum(counts)), counts


def tokenizer_hash(tokenizer: Any) -> str:
    """Return the SHA-256 of a fast tokenizer's content, without padding and truncation, which are never used."""
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    # A tokenizer's file remembers its last call's padding and truncation.
    kept = {name: value for name, value in content.items() if name not in ("padding", "truncation")}
    return sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def draw_by_shares(parts: Mapping[str, Array], shares: Sequence[float], seed: int, epoch: int) -> Array:
    """Return the windows of an epoch: as many as all `parts` have, in proportion to `shares`, source by source.

    `parts` are the numbers of each source's windows. All of a part come as often as they can; the rest is drawn by
    seed and epoch. A share too small for one window gets one. Raise InputError for an empty part.
    """
    total = sum(map(len, parts.values()))
    drawn = []
    for source, ((name, numbers), share) in enumerate(zip(parts.items(), shares, strict=True)):
        if not len(numbers):
            raise InputError(
                f"setting shares: {name} has nothing to train on: no text with copies and a word that the "
                "tokenizer knows; leave it out"
            )
        # A source with a tiny share would otherwise never be read.
        count = max(1, round(total * share / sum(shares)))
        # Whole rounds first, so that windows differ by one repeat at most.
        repeats, remainder = divmod(count, len(numbers))
        chances = uniforms(seed, f"share {source} of epoch {epoch}", np.arange(len(numbers)))
        drawn += [np.tile(numbers, repeats), numbers[np.sort(np.argsort(chances, kind="stable")[:remainder])]]
    return np.concatenate(drawn)
