"""Tag Arrow tables, the input of functions in Ray Data, Spark's `mapInArrow` and Hugging Face's `datasets`."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from nerbert.errors import InputError, few
from nerbert.formats.arrow_rows import batch_texts, tagged_table
from nerbert.formats.lines import ERRORS, SPANS, TEXT, TOKENS
from nerbert.model.loading import Loading
from nerbert.tagger.jobs.files import tag_rows
from nerbert.tagger.jobs.job import TagJob
from nerbert.tagger.spans import OFFSETS, counted_spans
from nerbert.terminal import Progress


class Tagging:
    """A tagger as a callable class: each actor that creates one loads the model once.

    Parameters are those of `nerbert tag`; `loading` are those of `Tagger.load`: back end, precision, device, threads
    (default: one, since there are many actors). A pickle holds the tagger's fingerprint, not its weights: another
    process on the same machine loads it again.
    """

    def __init__(
        self,
        tagger: str | Path,
        field: str = TEXT,
        *,
        labels: str = "",
        min_confidence: str = "",
        offsets: str = OFFSETS[0],
        errors: str = ERRORS[0],
        **loading: Any,
    ) -> None:
        self._job = TagJob(
            tagger=str(tagger),
            field=field,
            labels=labels,
            min_confidence=min_confidence,
            offsets=offsets,
            errors=errors,
            output=Path("spans.parquet"),
            loading=Loading(**{"threads": 1, **loading}),
        )
        self._job.find()  # raises for a wrong option before the model is loaded
        self._tagger = self._job.load()

    def __getstate__(self) -> dict[str, Any]:
        """Return the state to pickle; `datasets` caches a result by its digest."""
        return {**vars(self), "fingerprint": self._tagger.fingerprint}

    def __call__(self, batch: pa.Table, indices: Sequence[int] = ()) -> pa.Table:
        """Return the rows with their entities in the column `spans`: text, type, start, end, confidence.

        The column `field` holds a text, or a list of words. Raise InputError with the row of a text that can't be
        tagged (from 1 in the batch; with `indices`, the rows' numbers from 0 in the whole), and for a column `spans`
        that holds no earlier entities.
        """
        if not isinstance(batch, pa.Table):
            raise InputError(
                f"a batch is {type(batch).__name__}, no Arrow table; of datasets: with_format('arrow') first"
            )
        names, field = batch.column_names, self._job.field
        if len(batch) and field not in names and not (field == TEXT and TOKENS in names):
            raise InputError(
                f"batch: no column {field!r} (there are: {few(names)}); name the text's: "
                f"Tagging(TAGGER, {names[0] if names else 'body'!r})"
            )
        if SPANS in batch.column_names and not pa.types.is_nested(batch.schema.field(SPANS).type):
            raise InputError(f"column {SPANS!r} holds no entities, and would be replaced; rename it")
        first = next(iter(indices), 0) + 1
        done = list[pa.Table]()
        for rows in batch.combine_chunks().to_batches() or [pa.RecordBatch.from_pylist([], schema=batch.schema)]:
            done.append(self._tag_batch(rows, first))
            first += len(rows)
        return pa.concat_tables(done)

    def _tag_batch(self, batch: pa.RecordBatch, first: int) -> pa.Table:
        rows = batch_texts(batch, "batch", self._job.field, self._job.errors, first)
        tagged = zip(rows, tag_rows(self._tagger, "batch", rows, Progress()), strict=True)
        done = [replace(row, spans=tuple(counted_spans(row.text, spans, self._job.offsets))) for row, spans in tagged]
        return tagged_table(done, columns=batch)
