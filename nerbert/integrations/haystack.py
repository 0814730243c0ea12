"""A tagger as a component of Haystack: `pipeline.add_component("ner", EntityTagger("my-tagger"))`."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from haystack import Document, component, default_to_dict

from nerbert.errors import NerbertError, at
from nerbert.tagger.pending import TagRequest
from nerbert.tagger.spans import Spans
from nerbert.tagger.tagger import Tagger


@component
class EntityTagger:
    """Adds `meta["named_entities"]` to documents: for each entity its text, type, start, end and confidence (0–1).

    `model` is a tagger's folder or its name on the hub, `labels` are the types to find (`name` or `name: description`;
    default: the tagger's), `loading` are parameters of `Tagger.load`: thresholds, back end, precision, device, threads.
    """

    def __init__(self, model: str | Path, labels: Sequence[str] | None = None, **loading: Any) -> None:
        self.model = str(model)
        self.labels = labels
        self.loading = loading
        self._tagger: Tagger | None = None

    def warm_up(self) -> None:
        """Load the tagger, once; raise NerbertError if it can't be loaded."""
        self._tagger = self._tagger or Tagger.load(self.model, **self.loading)

    @component.output_types(documents=list[Document])
    def run(self, documents: list[Document], labels: list[str] | None = None) -> dict[str, list[Document]]:
        """Return copies of documents with their entities; `labels` replace the component's for this run.

        A document without content has no entities. Raise NerbertError with the document that can't be tagged.
        """
        self.warm_up()
        assert self._tagger is not None  # noqa: S101  (for mypy)
        tagger = self._tagger.for_labels(labels or self.labels)
        results = tagger.tag_batch(TagRequest(document.content or "") for document in documents)
        return {"documents": [_add_entities(*pair) for pair in zip(documents, results, strict=True)]}

    def to_dict(self) -> dict[str, Any]:
        """Return the component's settings; a pipeline's YAML doesn't contain the model."""
        return default_to_dict(self, model=self.model, labels=self.labels, **self.loading)


def _add_entities(document: Document, result: Spans | NerbertError | None) -> Document:
    if isinstance(result, NerbertError):
        with at(part=f"document {document.id}"):
            raise result
    return replace(document, meta={**document.meta, "named_entities": (result or Spans("")).to_dicts()})
