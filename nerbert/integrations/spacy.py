"""A tagger in a spaCy pipeline: `nlp.add_pipe("nerbert", config={"model": "my-tagger"})`.

spaCy finds the factory by the entry point `spacy_factories`, so you don't need to import this module. A document is
tagged as a text, with the tagger's own sentences and words; the entities are then extended to whole spaCy tokens. A
saved pipeline contains its tagger.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
from spacy.language import Language
from spacy.pipeline.span_ruler import prioritize_existing_ents_filter, prioritize_new_ents_filter
from spacy.tokens import Doc, SpanGroup
from spacy.util import minibatch, raise_error

from nerbert.artifacts import publish_folder
from nerbert.tagger.pending import TagRequest
from nerbert.tagger.spans import Spans
from nerbert.tagger.tagger import Tagger


class TaggingComponent:
    """A tagger as a component of spaCy: it sets `doc.spans[spans_key]`, with scores (0–1), and adds to `doc.ents`.

    The spans are all entities that the tagger finds. Those in `doc.ents` don't overlap: longer ones take precedence,
    then earlier ones, then more confident ones. Entities of other components stay, unless `overwrite_ents`. The last
    six parameters are those of `Tagger.load`. Raise NerbertError for a model that can't be loaded or lacks its labels.
    """

    def __init__(
        self,
        nlp: Language,
        name: str,
        model: str,
        labels: list[str],
        spans_key: str,
        overwrite_ents: bool,
        thresholds: float | dict[str, float] | None,
        decoding: str,
        backend: str,
        precision: str,
        device: str,
        threads: int,
    ) -> None:
        self.name = name
        self.spans_key = spans_key or name
        self.overwrite_ents = overwrite_ents
        self._model, self._wanted = model, labels
        self._loading: dict[str, Any] = {
            "thresholds": thresholds,
            "decoding": decoding,
            "backend": backend,
            "precision": precision,
            "device": device,
            "threads": threads,
        }
        self._tagger: Tagger | None = None
        self._process = os.getpid()
        self._on_error: Callable[..., Any] = raise_error
        if name not in nlp._meta.get("components", ()):  # else `spacy.load` reads the saved tagger; `model` may be gone
            self.load(model)

    def load(self, source: str | Path) -> Tagger:
        """Load the tagger from a folder or a hub name; raise InputError for labels that it lacks or can't find."""
        tagger = Tagger.load(source, **self._loading).for_labels(self._wanted)
        tagger.tag_many([])  # raises if it needs labels
        self._tagger = tagger
        self._process = os.getpid()
        return tagger

    @property
    def tagger(self) -> Tagger:
        """Return the tagger; a process that spaCy forked loads it again, as its threads weren't forked."""
        if self._tagger is None:
            return self.load(self._model)
        if self._process != os.getpid():
            self._tagger = deepcopy(self._tagger)
            self._process = os.getpid()
        return self._tagger

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the types that the tagger finds, sorted."""
        return tuple(self._tagger.types) if self._tagger else ()

    def __call__(self, doc: Doc) -> Doc:
        """Set the entities of a document, and return it."""
        return self._with_entities(doc, self.tagger.tag(doc.text))

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = 1000) -> Iterator[Doc]:
        """Yield the documents with entities, tagged in batches; those that can't be tagged go to the error handler."""
        for docs in minibatch(stream, batch_size):
            for doc, result in zip(docs, self.tagger.tag_batch(TagRequest(doc.text) for doc in docs), strict=True):
                if isinstance(result, Spans):
                    yield self._with_entities(doc, result)
                else:
                    self._on_error(self.name, self, [doc], result)

    def _with_entities(self, doc: Doc, entities: Spans) -> Doc:
        spans = [doc.char_span(span.start, span.end, span.type, alignment_mode="expand") for span in entities]
        scores = np.array([span.confidence for span in entities])
        doc.spans[self.spans_key] = SpanGroup(doc, name=self.spans_key, spans=spans, attrs={"scores": scores})
        merged = prioritize_new_ents_filter if self.overwrite_ents else prioritize_existing_ents_filter
        doc.ents = merged(doc.ents, [spans[index] for index in np.argsort(-scores, kind="stable")])
        return doc

    def set_error_handler(self, error_handler: Callable[..., Any]) -> None:
        """Set the function to call with (name, component, documents, error) if documents can't be tagged."""
        self._on_error = error_handler

    def get_error_handler(self) -> Callable[..., Any]:
        """Return the function set by `set_error_handler`; by default it raises the error."""
        return self._on_error

    def to_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> None:
        """Write the tagger to a folder in `path`, completely or not at all; it replaces an earlier one."""
        target = Path(path) / "tagger"
        origin = self.tagger.origin
        if origin and Path(origin.folder).resolve() == target.resolve():
            return  # loaded from there
        with publish_folder(target, overwrite=True) as folder:
            self.tagger.save_pretrained(folder)

    def from_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> "TaggingComponent":
        """Load the tagger that `to_disk` wrote."""
        self.load(Path(path) / "tagger")
        return self


Language.factory(
    "nerbert",
    func=TaggingComponent,
    assigns=["doc.ents", "doc.spans", "token.ent_iob", "token.ent_type"],
    default_config={
        "labels": [],
        "thresholds": None,
        "spans_key": "",
        "overwrite_ents": False,
        "decoding": "",
        "backend": "auto",
        "precision": "auto",
        "device": "",
        "threads": 0,
    },
)
