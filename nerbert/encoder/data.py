"""The data of a pre-training: a corpus, with gazetteers or without, files of open types, or both."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from nerbert.artifacts import sha256_of
from nerbert.config import refuse
from nerbert.corpus.shards import read_manifest, shard_hashes
from nerbert.encoder.corpus_labels import CorpusLabels, held_out_examples, read_label_set, training_texts
from nerbert.encoder.gazetteers import GazetteersSettings
from nerbert.encoder.open_texts import OpenTexts, OpenTypes, OpenTypesSettings
from nerbert.encoder.preprocess import open_training_data
from nerbert.encoder.settings import PretrainSettings
from nerbert.executors import Executor
from nerbert.model.concept_table import ConceptTable
from nerbert.model.tokenizer import SubwordTokenizer, WordLabels
from nerbert.records import Example
from nerbert.training.loop import TrainingData
from nerbert.words import SPLITTER

_NO_CORPUS = {"word_splitter": SPLITTER, "language": "en", "wiki": ""}
"""The manifest of a training on files of open types alone."""


@dataclass(frozen=True, slots=True)
class PretrainData:
    """A corpus with its labels, files of open types, or both; with `reads_labels` cards name the labels."""

    settings: PretrainSettings
    manifest: Mapping[str, Any]
    labels: CorpusLabels | None = None
    open_texts: OpenTexts | None = None
    open_types: OpenTypes | None = None
    concepts: ConceptTable | None = None
    executor: Executor | None = None
    reads_labels: bool = True

    @property
    def name(self) -> str:
        """Return what messages call it."""
        return str(self.settings.corpus or "the texts of open types")

    @property
    def types(self) -> Sequence[str]:
        """Return the corpus's categories."""
        return self.labels.categories if self.labels else ()

    @property
    def concept_texts(self) -> Mapping[str, str]:
        """Return the text of each category's concept."""
        return self.labels.concept_texts if self.labels else {}

    def texts(self) -> Iterator[str]:
        """Yield the texts that are trained on."""
        corpus = training_texts(self.manifest, self.settings) if self.labels else ()
        return chain(corpus, (each.text for each in self.open_texts.examples()) if self.open_texts else ())

    def held_out(self) -> list[Example]:
        """Return the validation sentences, then the held-out texts of open types."""
        examples = held_out_examples(self.manifest, self.labels, self.settings) if self.labels else []
        return [*examples, *(self.open_types.held_out if self.open_types else ())]

    def windows(self, pieces: SubwordTokenizer, labels: WordLabels | None) -> TrainingData:
        """Return the windows of the train part, from the cache; they are made there if there are none."""
        return open_training_data(
            self.manifest, self.labels, pieces, self.settings, self.executor, labels, self.open_texts, self.open_types
        )

    def identity(self) -> dict[str, Any]:
        """Return what of the data decides a training's outcome."""
        corpus = self.settings.corpus
        return {
            "corpus": sha256_of(corpus / "manifest.json") if corpus else "",
            "shards": shard_hashes(corpus, self.manifest) if corpus else {},
            "label_set": self.labels.facts if self.labels else {},
            "open_types": self.open_types.digests if self.open_types else [],
        }

    def facts(self) -> dict[str, Any]:
        """Return what the encoder's card says of it."""
        found: dict[str, Any] = {}
        if self.labels and self.settings.corpus:
            digest = sha256_of(self.settings.corpus / "manifest.json")
            found["corpus"] = {"wiki": self.manifest["wiki"], "manifest_sha256": digest}
            if self.reads_labels:
                found |= {"label_set": self.labels.facts, "categories": len(self.labels.categories)}
        return found | ({"open_types": self.open_types.facts} if self.open_types else {})


@dataclass(frozen=True, slots=True)
class SourceChecks:
    """Checks the settings of `nerbert pretrain`'s sources before any is read; there is no data yet."""

    settings: PretrainSettings

    def labelled(self) -> Any:
        """Check what sentences with fixed types need."""
        _checked_corpus(self.settings)

    def unlabelled(self) -> Any:
        """Check what sentences without labels need."""
        _refuse_labels(self.settings)
        _checked_corpus(self.settings)

    def named(self, *, descriptions: bool = False) -> Any:
        """Check what texts with types by name need."""
        if not self.settings.of(OpenTypesSettings).files:
            _ = self.settings.corpus_folder


def _checked_corpus(settings: PretrainSettings) -> Path:
    label_set = settings.label_set
    both = bool(settings.of(GazetteersSettings).files and label_set)
    refuse(both, "label_set", label_set, "empty with gazetteers, whose types are the categories")
    return settings.corpus_folder


def _refuse_labels(settings: PretrainSettings) -> None:
    objective, label_set = settings.objective, settings.label_set
    refuse(bool(label_set), "label_set", label_set, f"left out with objective = {objective!r}")


@dataclass(frozen=True, slots=True)
class PretrainSources:
    """The sources of `nerbert pretrain`; an `executor` cuts the corpus into windows."""

    settings: PretrainSettings
    executor: Executor | None = None

    def labelled(self) -> PretrainData:
        """Return the corpus with the categories of a label set, or with types by gazetteers."""
        manifest = read_manifest(_checked_corpus(self.settings))
        labels = read_label_set(manifest, self.settings)
        return PretrainData(self.settings, manifest, labels, executor=self.executor)

    def unlabelled(self) -> PretrainData:
        """Return the corpus; raise SettingsError for a label set, which nothing would read."""
        _refuse_labels(self.settings)
        return replace(self.labelled(), reads_labels=False)

    def named(self, *, descriptions: bool = False) -> PretrainData:
        """Return the corpus, each of whose classes is a type, and files of open types; one of them may be missing."""
        settings, own = self.settings, self.settings.of(OpenTypesSettings)
        if not own.files:
            _ = settings.corpus_folder
        manifest = read_manifest(settings.corpus) if settings.corpus else _NO_CORPUS
        labels = read_label_set(manifest, settings, named=True, descriptions=descriptions) if settings.corpus else None
        concepts = labels.concepts if labels else None
        if not own.files:
            return PretrainData(settings, manifest, labels, concepts=concepts, executor=self.executor)
        texts = OpenTexts(
            own, manifest["word_splitter"], descriptions, settings.seed, settings.max_eval_samples, settings.cache
        )
        found = texts.read()
        if concepts:
            concepts.close()
        concepts = concepts or ConceptTable()
        concepts.extend(found.table)
        return PretrainData(settings, manifest, labels, texts, found, concepts, self.executor)


def files_read(settings: PretrainSettings) -> list[Path]:
    """Return the corpus's manifest and all files that the settings' sections name."""
    sections = sorted(settings.sections, key=lambda each: each.section)
    files = [path for each in sections for name in each.reads for path in getattr(each, name)]
    return [*files, *([settings.corpus / "manifest.json"] if settings.corpus else [])]
