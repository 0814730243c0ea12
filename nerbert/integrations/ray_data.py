"""Tag data sets of Ray Data: `dataset.map_batches(Tagging, fn_constructor_args=["tagger"], batch_format="pyarrow", …)`.

Arrow goes in and comes out, and the rows are those of `nerbert tag --to parquet`. Nothing here is Ray's: whatever gives
Arrow tables can call it, as Spark's `mapInArrow` does (docs/how-to/at-scale.md).
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from nerbert.formats.parquet import block_of, tagged_table
from nerbert.formats.rows import ERRORS, TEXT
from nerbert.tagger.jobs.job import TagJob, tag_block
from nerbert.tagger.spans import OFFSETS, counted_spans
from nerbert.terminal import Progress


class Tagging:
    """A tagger as a callable class: each actor that makes one loads the model once.

    Parameters are those of `nerbert tag`; `loading` are those of `Tagger.load`: back end, precision, device, threads
    (one unless given, as actors are many).
    """

    def __init__(
        self, tagger: str | Path, field: str = TEXT, *, labels: str = "", min_confidence: str = "",
        offsets: str = OFFSETS[0], errors: str = ERRORS[0], **loading: Any,
    ) -> None:  # fmt: skip
        self._job = TagJob(
            tagger=str(tagger), field=field, labels=labels, min_confidence=min_confidence, offsets=offsets,
            errors=errors, output=Path("spans.parquet"), loading={"threads": 1, **loading},
        )  # fmt: skip
        self._job.find()  # a wrong option is refused before the model is loaded
        self._tagger = self._job.load()

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Return the rows with their entities in the column `spans`: text, type, start, end, confidence.

        The column `field` holds a text, or a list of words. Raise InputError that names the row of a text that can't
        be tagged.
        """
        empty = pa.RecordBatch.from_pylist([], schema=batch.schema)
        return pa.concat_tables(map(self._tagged, batch.combine_chunks().to_batches() or [empty]))

    def _tagged(self, batch: pa.RecordBatch) -> pa.Table:
        block = block_of(batch, "batch", self._job.field, self._job.errors)
        found = zip(block.rows, tag_block(self._tagger, block, Progress()), strict=True)
        rows = [replace(row, spans=tuple(counted_spans(row.text, spans, self._job.offsets))) for row, spans in found]
        return tagged_table(replace(block, rows=rows))
