"""Mentions as columns: type links and change categories for thousands of sentences at once.

The facts of a link target (title, class path, source, category) are stored once for each target of a part. Mentions
refer to them by number. The cost is code that works on offsets instead of sentences.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nerbert.corpus.shards import TYPED
from nerbert.corpus.types import Targets
from nerbert.label_sets import LabelSet
from nerbert.records import ENTITY

_MENTIONS = TYPED.field("mentions").type
_MENTION = _MENTIONS.value_type


class PartTargets:
    """The link targets of one part, with their numbers of mentions: in all, and in the train split."""

    def __init__(self, targets: Targets, label_set: LabelSet) -> None:
        self._numbers = {target: number for number, target in enumerate(targets)}
        self._label_set = label_set
        self._paths = [path for _, path, _ in targets.values()]
        self._categories = [label_set.label(path) for path in self._paths]
        self._columns: dict[str, pa.Array] = {
            "target": pa.array(targets, pa.string()),
            "resolved_target": pa.array([resolved for resolved, _, _ in targets.values()], pa.string()),
            "class_path": pa.array(map(list, self._paths), _MENTION.field("class_path").type),
            "source": pa.array([source for _, _, source in targets.values()], pa.string()),
            "category": pa.array(self._categories, pa.string()),
        }
        self._seen = np.zeros((2, len(targets)), np.int64)

    def mentions(self, links: pa.Array, train: Sequence[bool]) -> pa.Array:
        """Convert the links of sentences (a list array) to mentions; `train` marks sentences of the train split."""
        flat, lengths = links.flatten(), pc.list_value_length(links).to_numpy()
        numbers = np.array([self._numbers[each] for each in pc.struct_field(flat, "target").to_pylist()], np.int64)
        owners = np.repeat(np.array(train, bool), lengths)
        for row, some in enumerate((numbers, numbers[owners])):
            self._seen[row] += np.bincount(some, minlength=self._seen.shape[1])
        taken = {name: column.take(pa.array(numbers)) for name, column in self._columns.items()}
        places = {name: pc.struct_field(flat, name) for name in ("start", "end")}
        return _listed(places | taken, lengths)

    def counts(self) -> tuple[Counter[str], Counter[str], Counter[str]]:
        """Count mentions: of the train split by category, and all by class with an ancestor's label or with none."""
        train, to_ancestor, to_entity = Counter[str](), Counter[str](), Counter[str]()
        for path, category, (seen, trained) in zip(self._paths, self._categories, self._seen.T.tolist(), strict=True):
            if trained:
                train[category] += trained
            if seen and path and category == ENTITY:
                to_entity[path[-1]] += seen
            elif seen and path and not self._label_set.lists(path[-1]):
                to_ancestor[path[-1]] += seen
        return train, to_ancestor, to_entity


def categories_of(mentions: pa.Array) -> list[list[str]]:
    """Return the categories of each sentence's mentions."""
    flat = pc.struct_field(mentions.flatten(), "category").to_pylist()
    ends = np.cumsum(pc.list_value_length(mentions).to_numpy()).tolist()
    return [flat[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def recategorised(mentions: pa.Array, categories: Sequence[Sequence[str]]) -> pa.Array:
    """Return the same mentions with other categories."""
    flat = mentions.flatten()
    columns = {part.name: pc.struct_field(flat, part.name) for part in _MENTION}
    columns["category"] = pa.array(chain.from_iterable(categories), pa.string())
    return _listed(columns, pc.list_value_length(mentions).to_numpy())


def with_columns(rows: pa.RecordBatch, **columns: Any) -> pa.Table:
    """Return the table of sentences (`TYPED`) with the given columns, and those of `rows` for the others."""
    new = {
        name: column if isinstance(column, pa.Array) else pa.array(column, TYPED.field(name).type)
        for name, column in columns.items()
    }
    return pa.table([new[name] if name in new else rows[name] for name in TYPED.names], schema=TYPED)


def _listed(columns: Mapping[str, pa.Array], lengths: Any) -> pa.Array:
    """Group the concatenated fields of mentions into lists of these lengths."""
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)
    struct = pa.StructArray.from_arrays([columns[part.name] for part in _MENTION], fields=list(_MENTION))
    return pa.ListArray.from_arrays(pa.array(offsets), struct, type=_MENTIONS)
