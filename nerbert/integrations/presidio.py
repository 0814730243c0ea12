"""A tagger as a recognizer of Presidio: `registry.add_recognizer(NerbertRecognizer("my-tagger"))`.

For Presidio's registry files, a program imports this module before it reads them: `class_name: NerbertRecognizer`.
Types have Presidio's names (`PER` is `PERSON`). Presidio analyzes one text at a time, so texts aren't batched.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from presidio_analyzer import AnalysisExplanation, LocalRecognizer, RecognizerResult
from presidio_analyzer.input_validation.yaml_recognizer_models import CONFIG_MODEL_MAP, GLiNERRecognizerConfig

from nerbert.entity_labels import asked_types, label_of, presidio_name
from nerbert.errors import SettingsError, unknown
from nerbert.tagger.tagger import Tagger


class NerbertRecognizer(LocalRecognizer):
    """A recognizer that finds a tagger's entities; scores are its confidences (0–1).

    `labels` are as in `Tagger.with_labels`; `supported_entities` are the types to find, in Presidio's names, and the
    labels of taggers that take them at run time. Default: the tagger's types. The default of `supported_language` is
    the tagger's. `loading` are parameters of `Tagger.load`: thresholds, back end, precision, device, threads. Raise
    NerbertError for a tagger that can't be loaded, lacks its labels, or can't find a supported entity.
    """

    name: str

    def __init__(
        self,
        model: str,
        labels: Sequence[str] = (),
        supported_entities: Sequence[str] = (),
        supported_language: str = "",
        name: str = "NerbertRecognizer",
        context: list[str] | None = None,
        **loading: Any,
    ) -> None:
        self._model, self._labels, self._loading = model, labels, loading
        super().__init__(list(supported_entities), name, supported_language, context=context)

    def load(self) -> None:
        """Load the tagger; Presidio calls this once."""
        loaded = Tagger.load(self._model, **self._loading)
        entities = self.supported_entities
        labels = self._labels or (() if loaded.types else [label_of(name) for name in entities])
        self._tagger = loaded.for_labels(labels)
        self._tagger.tag_many([])  # raises if it needs labels
        names = sorted(map(presidio_name, self._tagger.types))
        self._names = asked_types(self._tagger.types, entities or names)
        if missing := set(entities) - set(self._names.values()):
            raise SettingsError(f"supported_entities: {min(missing)}{unknown(min(missing), names)}")
        self.supported_entities = sorted(set(self._names.values()))
        self.supported_language = self.supported_language or self._tagger.language

    def analyze(self, text: str, entities: Iterable[str] = (), nlp_artifacts: Any = None) -> list[RecognizerResult]:
        """Return the entities of a text, with character offsets; `entities` are the requested ones (empty: all).

        `nlp_artifacts` is ignored: the tagger has its own sentences and words. Raise InputError if `text` isn't a text.
        """
        requested = set(entities or self.supported_entities)
        by = {RecognizerResult.RECOGNIZER_NAME_KEY: self.name, RecognizerResult.RECOGNIZER_IDENTIFIER_KEY: self.id}
        results = list[RecognizerResult]()
        for span in self._tagger.tag(text):
            if (name := self._names.get(span.type)) in requested:
                reason = f"{self._model} found the type {span.type!r}"
                why = AnalysisExplanation(self.name, span.confidence, textual_explanation=reason)
                results.append(RecognizerResult(name, span.start, span.end, span.confidence, why, by))
        return results


CONFIG_MODEL_MAP[NerbertRecognizer.__name__] = GLiNERRecognizerConfig
"""Presidio drops parameters that a registry file gives to other recognizers; its GLiNER model lets them through."""
