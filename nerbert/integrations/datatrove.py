"""datatrove: a step that tags documents."""

import os
from pathlib import Path
from secrets import token_hex
from typing import Any

from datatrove.data import Document, DocumentsPipeline
from datatrove.pipeline.base import PipelineStep
from datatrove.utils.batching import batched
from datatrove.utils.typeshelper import StatHints

from nerbert.config import check_choice
from nerbert.errors import InputError, NerbertError, at
from nerbert.formats.lines import SPANS
from nerbert.tagger.pending import TagRequest
from nerbert.tagger.spans import Spans
from nerbert.tagger.tagger import Tagger

ON_ERROR = ("stop", "note")
"""Handling of a document that can't be tagged: end the task, or note the error in the document."""
_KEPT = 4
_loaded = dict[tuple[str, int], Tagger]()
"""The latest taggers of this process, by step and process: tasks get copies of a step, and forks can't use threads."""


class TaggingStep(PipelineStep):  # type: ignore[misc]
    """Adds `metadata["spans"]` to documents: for each entity its text, type, start, end and confidence (0–1).

    `tagger` is a tagger's folder or its name on the hub, `labels` are the types to find (`name` or `name: description`;
    default: the tagger's), `batch_size` is the number of documents tagged together, `errors` one of `ON_ERROR`.
    `loading` are parameters of `Tagger.load`: thresholds, back end, precision, device, threads (default: one). A
    process loads the tagger with its first document. Raise SettingsError for another value of `errors`.
    """

    name, type = "🏷 nerbert", "🏷 - TAGGER"

    def __init__(
        self,
        tagger: str | Path,
        labels: list[str] | None = None,
        *,
        batch_size: int = 1000,
        errors: str = ON_ERROR[0],
        **loading: Any,
    ) -> None:
        super().__init__()
        self.tagger = str(tagger)
        self.labels = labels
        self.batch_size = batch_size
        check_choice("errors", errors, ON_ERROR)
        self.errors = errors
        self.loading = {"threads": 1, **loading}
        self._key = token_hex(8)

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """Yield the documents with their entities, in order; raise NerbertError with the document that it stops at.

        With `errors` = `note`, a document that can't be tagged gets no spans, and the reason as `spans_error`.
        """
        for batch in batched(data, self.batch_size):
            with self.track_time("batch"):
                results = self._load().tag_batch(TagRequest(document.text) for document in batch)
            for document, spans in zip(batch, results, strict=True):
                document.metadata[SPANS] = spans.to_dicts() if isinstance(spans, Spans) else self._skip(document, spans)
                self.stat_update(StatHints.total, StatHints.forwarded)
                self.stat_update("entities", value=len(document.metadata[SPANS]))
                self.update_doc_stats(document)
                yield document

    def _skip(self, document: Document, error: NerbertError | None) -> list[dict[str, Any]]:
        """Note the error of a text, which then has no entities; raise any other error."""
        with at(part=f"document {document.id}"):
            if error and (self.errors != ON_ERROR[1] or not isinstance(error, InputError)):
                raise error
        self.stat_update("not_tagged")
        document.metadata["spans_error"] = str(error)
        return []

    def _load(self) -> Tagger:
        key = self._key, os.getpid()
        if key not in _loaded:
            tagger = Tagger.load(self.tagger, **self.loading).for_labels(self.labels)
            tagger.tag_many([])  # raises if it needs labels
            _loaded[key] = tagger
            for old in list(_loaded)[:-_KEPT]:
                del _loaded[old]
        return _loaded[key]
