"""Turn rows of the corpus into labelled windows and the columns that copies are drawn from, in any process.

The choice: only the columns that training needs are read, and examples are put together from them, twice as fast as by
way of whole `Sentence`s. The price: a second way from a row to an example, held equal to the first by a test.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nerbert.corpus.shards import sentence_batches
from nerbert.encoder.corpus_labels import CorpusLabels, training_rows
from nerbert.errors import InputError, at
from nerbert.model.tokenizer import SubwordTokenizer, WordLabels
from nerbert.model.windows import Windows
from nerbert.records import Example, Span
from nerbert.rng import Array, uniforms

VERSION = 2
"""Of the files that are made of this, and of how they are made, here and in `pieces`."""
_COLUMNS = ("id", "split", "text", "words", "mentions", "copies", "expected_copies")
_MOST_COPIES = float((1 << 31) - 1)


@dataclass(frozen=True, slots=True)
class Sentences:
    """Columns that an epoch is drawn from, (sentences,) each; `identities` are 64 bits of the hashes of their ids."""

    copies: Array
    expected_copies: Array
    identities: Array

    def __len__(self) -> int:
        return len(self.copies)

    def drawn(self, epoch: int, seed: int) -> Array:
        """Return (sentences,): copies drawn for an epoch, ⌊r⌋ and one more with the probability of the remainder."""
        whole = np.floor(self.expected_copies)
        chances = uniforms(seed, f"copies of epoch {epoch}", self.identities)
        return (whole + (chances < self.expected_copies - whole)).astype(np.int64)


@dataclass(frozen=True, slots=True)
class ShardWindows:
    """Windows of a part of a shard, numbered by their sentences' places in it."""

    rows: int
    windows: Windows
    sentences: Sentences


@dataclass(frozen=True, slots=True)
class Preprocessor:
    """Tokenizer, label set and labels of words, which turn rows of the corpus into windows."""

    pieces: SubwordTokenizer
    labels: CorpusLabels
    word_labels: WordLabels

    def key(self) -> dict[str, Any]:
        """Return all that decides the windows beside the shards: tokenizer, lengths, options, tags in order."""
        import tokenizers

        kind = type(self.word_labels)
        options = {name: value for name, value in sorted(vars(self.pieces).items()) if name != "tokenizer"}
        return {
            "tokenizer": tokenizer_hash(self.pieces.tokenizer), "tokenizers": tokenizers.__version__,
            "pieces": options, "label_set": self.labels.facts["sha256"],
            "labels": [kind.__module__, kind.__qualname__, self.word_labels.key()],
        }  # fmt: skip

    def cut(self, batch: pa.RecordBatch) -> tuple[Windows, Sentences]:
        """Return the windows of rows that can have copies, and the columns that copies are drawn from."""
        category = lru_cache(1 << 16)(self.labels.category)
        examples = list(_examples(batch, lambda path, own: category(tuple(path), own)))
        windows = self.pieces.windows(examples, self.word_labels)
        identities = [_identity(each) for each in batch["id"].to_pylist()]
        copies, expected = (batch[name].to_numpy() for name in ("copies", "expected_copies"))
        return Windows.pack(windows), Sentences(copies, expected, np.array(identities, np.uint64))


def cut_shard_alone(path: Path, cutter: Preprocessor) -> list[ShardWindows]:
    """Call `cut_shard` without threads of the tokenizer, in a process beside others like it."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    return cut_shard(path, cutter)


def cut_shard(path: Path, cutter: Preprocessor) -> list[ShardWindows]:
    """Cut one shard into windows; raise InputError that names the shard for a bad value."""
    parts = []
    for batch in sentence_batches(path, _COLUMNS):
        with at(path):
            rows = training_rows(batch)
            _check_copies(rows)
            parts.append(ShardWindows(len(batch), *cutter.cut(rows)))
    return parts


def _check_copies(rows: pa.RecordBatch) -> None:
    for name in ("copies", "expected_copies"):
        column = rows[name].to_numpy()
        wrong = column[~((column >= 0) & (column <= _MOST_COPIES))]
        if len(wrong):
            raise InputError(f"{name} = {wrong[0]}: must be at least 0, and no more than fits; build the corpus again")


def _examples(batch: pa.RecordBatch, category: Any) -> Iterator[Example]:
    """Yield rows of the corpus as `labels.sentence_example` gives them, from the columns that it needs."""
    words, mentions = batch["words"], batch["mentions"]
    edges = list(zip(*(_field(words, name) for name in ("start", "end")), strict=True))
    kinds = map(category, _field(mentions, "class_path"), _field(mentions, "category"))
    found = list(zip(*(_field(mentions, name) for name in ("start", "end")), kinds, strict=True))
    ends = (np.cumsum(pc.list_value_length(column).to_numpy()).tolist() for column in (words, mentions))
    first = first_found = 0
    for text, last, last_found in zip(batch["text"].to_pylist(), *ends, strict=True):
        spans = (Span(start, end, type_, text[start:end]) for start, end, type_ in found[first_found:last_found])
        yield Example(text, tuple(edges[first:last]), tuple(spans))
        first, first_found = last, last_found


def _field(column: pa.ListArray, name: str) -> list[Any]:
    values: list[Any] = pc.struct_field(column.flatten(), name).to_pylist()
    return values


def _identity(name: str) -> int:
    return int.from_bytes(blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def tokenizer_hash(tokenizer: Any) -> str:
    """Return the SHA-256 of a fast tokenizer's content, without padding and truncation, which are never used."""
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    kept = {name: value for name, value in content.items() if name not in ("padding", "truncation")}
    return sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()
