"""The annotated sentences for fine-tuning: those of the target domain, and optionally those of a source domain."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar

from nerbert.about import DOCS
from nerbert.data.splits import AnyData, DataSet, cut_of, read_data
from nerbert.errors import SettingsError
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.formats.documents import Reading, reading_for
from nerbert.labels import is_signs
from nerbert.model.folder import SIGNS, read_card
from nerbert.sentences import is_foreign
from nerbert.terminal import tell
from nerbert.words import nearest_splitter

_TEXTS = 100
"""Sentences whose language is looked at."""
_tell_once = cache(tell)
_Data_co = TypeVar("_Data_co", bound=AnyData, covariant=True)


@dataclass(frozen=True, slots=True)
class Domains(Generic[_Data_co]):
    """Sentences to fine-tune on, loaded or not yet: the `target` domain's, and optionally those of a `source` domain.

    `labels` are the texts that a model with run-time labels reads for types (default: the type in words); nothing is
    learnt of a type without sentences. A head of fixed types also gets `types`. `reading` says how files are read.
    """

    target: _Data_co
    source: _Data_co | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    types: Sequence[str] = ()
    reading: Reading | None = None

    def read(self, encoder: str) -> "Domains[DataSet]":
        """Return the sentences, loaded to fine-tune `encoder`; say if they are in another language than its texts."""
        card = read_card(encoder)
        reading = reading_for(card, self.reading, training=True)
        target = read_data(self.target, reading=reading)
        language = str(card.get("language", ""))
        if is_foreign(" ".join(example.text for example in target.train[:_TEXTS]), language):
            _tell_once(
                f"note: {target.folder} seems to be in another language than {encoder} reads ({language}); the model "
                f"many reads most (--encoder many): {DOCS}/how-to/language.md"
            )
        source = None if self.source is None else read_data(self.source, reading=reading)
        return Domains(target, source, self.labels, self.types)

    def word_splitter(self: "Domains[DataSet]", encoder: str) -> str:
        """Return a tagger's splitter: that of texts without words, unless another one finds more of the words."""
        readings = [data.reading for data in (self.target, self.source) if data]
        readings.append(reading_for(read_card(encoder), None, training=True))
        splitter = next((reading.word_splitter for reading in readings if reading.word_splitter), "")
        return nearest_splitter(self.target.train, splitter)

    def check_dev(self: "Domains[DataSet]", settings: FinetuneSettings) -> None:
        """Raise SettingsError if the target's dev split should choose the model but doesn't exist."""
        if settings.select == "dev" and not self.target.dev:
            why = f"setting select = 'dev': {self.target.folder} has no dev split; add one or use select = 'last'"
            raise SettingsError(why, setting="select")

    def facts(self: "Domains[DataSet]", encoder: str) -> dict[str, Any]:
        """Return facts about a tagger's origin for its card, without a local folder's name."""
        # A folder's name on this machine means nothing to others.
        name = None if Path(encoder).exists() else encoder
        card = read_card(encoder)
        facts: dict[str, Any] = {
            "language": self.target.reading.language or card.get("language", ""),
            "encoder": {"kind": card.get("kind", "foreign"), "corpus": card.get("corpus"), "name": name},
        }
        data_sets = {"source_data": self.source, "data": self.target}
        examples = (example for data in data_sets.values() if data for example in data.train)
        # Predicted entities (confidence below 1) don't show what the annotation has.
        spans = ((example, span) for example in examples for span in example.spans if span.confidence == 1)
        if any(is_signs(example.text[span.start : span.end]) for example, span in spans):
            facts[SIGNS] = True
        return facts | {
            key: {"name": data.folder.name, "sentences": len(data.train), "sha256": data.sha256, **cut_of(data.reading)}
            for key, data in data_sets.items()
            if data
        }
