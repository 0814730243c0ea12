"""Concepts: what links name in lower case (*physicist*, *jazz*) is no name of one thing, nor is a number.

A target is a concept if more than half of its links in the train split have no capital. An untyped target whose title
is a number, a year, a decade or an ordinal is one, too. Limitations: a target with a single link goes by that link;
endings (*1990s*, *19th*) are English.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nerbert.corpus.columns import is_among
from nerbert.corpus.knowledge.database import ask_counts
from nerbert.corpus.mentions import count_by_sentence, listed
from nerbert.corpus.settings import CorpusSettings
from nerbert.corpus.shards import TYPED
from nerbert.corpus.span_hashes import Hashes, Marks, hashes_of, read_hashes, write_marked
from nerbert.corpus.steps import Upstream
from nerbert.corpus.types import SCRATCH
from nerbert.records import ENTITY, LINK, TRAIN
from nerbert.words import is_small

_SHARE = 0.5
"""A concept has more than this share of its links in lower case."""
_NUMBER = re.compile(r"\W*\d[\d\W_]*(?:s|st|nd|rd|th|BCE?|AD|CE)?")
_READ = ("text", "mentions", "split")
_COUNTED = pa.schema([("target", pa.uint64()), ("links", pa.int64()), ("small", pa.int64())])
_CONCEPTS = """
SELECT target FROM counts GROUP BY target HAVING sum(small) > $share * sum(links) ORDER BY target
"""


@dataclass(frozen=True, slots=True)
class MentionsOfConcepts:
    """The step that makes mentions of concepts ENTITY, or drops them, as `concepts` of the settings says."""

    folder: Path
    settings: CorpusSettings
    name = "concepts"

    def prepare(self, upstream: Upstream) -> "_WithoutConcepts":
        """Count the links of each target, and those in lower case."""
        folder = self.folder / SCRATCH / self.name
        (folder / "counts").mkdir(parents=True)
        for _ in upstream.map(partial(_write_counts, folder=folder / "counts"), _READ):
            pass
        found = ask_counts(folder / "counts", _COUNTED, _CONCEPTS, {"share": _SHARE}, upstream.executor.workers)
        np.save(folder / "targets.npy", found["target"].astype(np.uint64))
        return _WithoutConcepts(folder / "targets.npy", drops=self.settings.concepts == "drop")


@dataclass(frozen=True, slots=True)
class _WithoutConcepts:
    """The step after its counts."""

    targets: Path
    drops: bool
    name, rewrites = MentionsOfConcepts.name, True

    def apply(self, rows: pa.RecordBatch) -> tuple[pa.RecordBatch, Sequence[None]]:
        """Change the mentions of concepts."""
        flat = rows["mentions"].flatten()
        concepts = self._among(flat, read_hashes(self.targets))
        columns = {each.name: pc.struct_field(flat, each.name) for each in flat.type}
        lengths = pc.list_value_length(rows["mentions"]).to_numpy()
        if self.drops:
            kept = pa.array(~concepts)
            columns = {name: column.filter(kept) for name, column in columns.items()}
            lengths = count_by_sentence(kept, lengths)
        else:
            untyped = {"category": ENTITY, "source": "", "class_path": pa.scalar([], columns["class_path"].type)}
            columns |= {name: pc.if_else(pa.array(concepts), to, columns[name]) for name, to in untyped.items()}
        place = rows.schema.get_field_index("mentions")
        return rows.set_column(place, TYPED.field("mentions"), listed(columns, lengths)), ()

    def _among(self, mentions: pa.StructArray, lower: Hashes) -> Marks:
        """Return which mentions are of concepts."""
        titles = pc.struct_field(mentions, "resolved_target").to_pylist()
        untyped = pc.equal(pc.list_value_length(pc.struct_field(mentions, "class_path")), 0).to_numpy(False)
        numbers = np.fromiter((_NUMBER.fullmatch(each) is not None for each in titles), np.bool_, len(titles))
        return np.asarray(is_among(hashes_of(titles), lower) | (numbers & untyped))


def _write_counts(part: Path, batches: Iterator[pa.RecordBatch], folder: Path) -> None:
    """Write for each target of a part's train split how many links it has, and how many in lower case."""
    hashes, small = [np.zeros(0, np.uint64)], [np.zeros(0, np.bool_)]
    for batch in batches:
        rows = batch.filter(pc.equal(batch["split"], TRAIN))
        texts = rows["text"].take(pc.list_parent_indices(rows["mentions"])).to_pylist()
        fields = ("start", "end", "resolved_target", "origin")
        columns = (pc.struct_field(rows["mentions"].flatten(), name).to_pylist() for name in fields)
        links = [
            (target, is_small(text[start:end]))
            for text, start, end, target, origin in zip(texts, *columns, strict=True)
            if origin == LINK
        ]
        hashes.append(hashes_of([target for target, _ in links]))
        small.append(np.array([each for _, each in links], np.bool_))
    write_marked(hashes, small, _COUNTED, folder / part.name)
