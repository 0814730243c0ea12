"""Mentions as columns: type links and change categories for thousands of sentences at once.

The facts about a link target are stored once per part, and mentions refer to them by number.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nerbert.corpus.settings import CorpusSettings
from nerbert.corpus.shards import TYPED, UNTYPED, read_table, with_columns
from nerbert.corpus.types import SCRATCH
from nerbert.corpus.word_columns import Ints
from nerbert.errors import NerbertError
from nerbert.label_sets import LabelSet
from nerbert.records import ENTITY, TRAIN, VALIDATION
from nerbert.rng import uniform

_MENTION = TYPED.field("mentions").type.value_type
_OF_TARGETS = ("target", "resolved_target", "class_path", "source")
"""The fields of a mention that depend only on its target."""
CATEGORIES = "mentions.list.element.category"
"""The Parquet column of the mentions' categories, for readers that need nothing else."""
MADE_ENTITY = pa.field("made_entity", pa.int64())
"""Column that filter 1 adds: the number of a sentence's mentions that it turned into ENTITY."""


@dataclass(frozen=True, slots=True)
class Typing:
    """The step from links to typed mentions; it also draws each sentence's split. Opened for each part."""

    folder: Path
    settings: CorpusSettings
    label_set: LabelSet
    name, rewrites = "", True

    def open(self, part: Path) -> "PartTargets":
        """Return the step for one part of `pages/`, with the part's link targets loaded."""
        return PartTargets(read_table(self.folder / SCRATCH / part.name), self.label_set, self.settings)


class PartTargets:
    """The link targets of one part, with their mention counts."""

    name = ""

    def __init__(self, targets: pa.Table, label_set: LabelSet, settings: CorpusSettings) -> None:
        self._label_set, self._settings = label_set, settings
        self._columns = {name: targets[name].combine_chunks() for name in _OF_TARGETS}
        # Few paths, many targets: labels are looked up once for each path
        paths = pc.binary_join(self._columns["class_path"], "\n").dictionary_encode()
        self._paths = [path.split("\n") if path else [] for path in paths.dictionary.to_pylist()]
        self._categories = [label_set.label(path) for path in self._paths]
        self._path_of = paths.indices.to_numpy()
        self._columns["category"] = pa.array(self._categories, pa.string()).take(paths.indices)
        self._seen = np.zeros(len(targets), np.int64)

    def apply(self, rows: pa.RecordBatch) -> tuple[pa.RecordBatch, Sequence[None]]:
        """Return rows of `pages/` as rows of the corpus, each with one copy."""
        rows = with_columns(rows, UNTYPED)
        new = {
            "mentions": self.mentions(rows["links"]),
            "split": sides_of(rows, self._settings),
            "unknown": [[]] * rows.num_rows,
            "copies": [1] * rows.num_rows,
            "expected_copies": [1.0] * rows.num_rows,
        }
        columns = [pa.array(new[field.name], field.type) if field.name in new else rows[field.name] for field in TYPED]
        return pa.RecordBatch.from_arrays(columns, schema=TYPED), ()

    def mentions(self, links: pa.Array) -> pa.Array:
        """Convert the links of sentences (a list array) to mentions."""
        flat = links.flatten()
        lengths = pc.list_value_length(links).to_numpy()
        targets = pc.struct_field(flat, "target")
        numbers = pc.index_in(targets, value_set=self._columns["target"])
        # A target that was not counted has no type: only a step of the user can have made it
        if numbers.null_count:
            unknown = pc.min(targets.filter(numbers.is_null())).as_py()
            raise NerbertError(f"a corpus step before typing made a link to {unknown!r}; it may only drop links")
        self._seen += np.bincount(numbers.to_numpy(), minlength=len(self._seen))
        facts = {name: column.take(numbers) for name, column in self._columns.items()}
        spans = {name: pc.struct_field(flat, name) for name in ("start", "end", "origin")}
        return make_lists(spans | facts, lengths)

    def count_outside(self) -> dict[str, Counter[str]]:
        """Count, by class, mentions that got an ancestor's label, and mentions without a label in the label set."""
        to_ancestor = Counter[str]()
        to_entity = Counter[str]()
        counts = np.bincount(self._path_of, self._seen, len(self._paths)).astype(np.int64)
        for path, category, seen in zip(self._paths, self._categories, counts.tolist(), strict=True):
            if seen and path and category == ENTITY:
                to_entity[path[-1]] += seen
            elif seen and path and not self._label_set.lists(path[-1]):
                to_ancestor[path[-1]] += seen
        return {"to_ancestor": to_ancestor, "to_entity": to_entity}


def sides_of(rows: pa.RecordBatch, settings: CorpusSettings) -> list[str]:
    """Return each sentence's split, drawn for it or its page (setting `split_by`) before anything is counted."""

    # Cached, as all sentences of a page share one draw
    @cache
    def side_of(identity: str) -> str:
        return VALIDATION if uniform(settings.seed, "split", identity) < settings.validation_ratio else TRAIN

    if settings.split_by == "sentence":
        return list(map(side_of, rows["id"].to_pylist()))
    pages = zip(rows["wiki"].to_pylist(), rows["page_id"].to_pylist(), strict=True)
    return [side_of(f"{wiki}:{page}") for wiki, page in pages]


def flat_categories(rows: pa.RecordBatch) -> tuple[pa.Array, Ints]:
    """Return the categories of all mentions in one array, and each sentence's number of mentions."""
    mentions = rows["mentions"]
    return pc.struct_field(mentions.flatten(), "category"), pc.list_value_length(mentions).to_numpy()


def count_by_sentence(marks: pa.Array, lengths: Ints) -> Ints:
    """Return the number of marked mentions of each sentence; `marks` has one value per mention, in order."""
    sums = np.concatenate(([0], np.cumsum(marks.to_numpy(zero_copy_only=False), dtype=np.int64)))
    ends = np.cumsum(lengths, dtype=np.int64)
    return np.asarray(sums[ends] - sums[ends - lengths])


def categories_of(mentions: pa.Array) -> list[list[str]]:
    """Return the categories of each sentence's mentions."""
    flat = pc.struct_field(mentions.flatten(), "category").to_pylist()
    ends = np.cumsum(pc.list_value_length(mentions).to_numpy()).tolist()
    return [flat[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def replace_categories(mentions: pa.Array, categories: pa.Array) -> pa.Array:
    """Return the mentions with new categories, one per mention; other fields may be missing."""
    flat = mentions.flatten()
    fields = list(mentions.type.value_type)
    columns = {part.name: pc.struct_field(flat, part.name) for part in fields} | {"category": categories}
    return make_lists(columns, pc.list_value_length(mentions).to_numpy(), fields)


def make_lists(columns: Mapping[str, pa.Array], lengths: Any, fields: Sequence[pa.Field] = tuple(_MENTION)) -> pa.Array:
    """Group the concatenated fields of mentions into lists of these lengths."""
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)
    struct = pa.StructArray.from_arrays([columns[part.name] for part in fields], fields=list(fields))
    return pa.ListArray.from_arrays(pa.array(offsets), struct)
