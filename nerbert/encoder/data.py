"""The data of a pre-training: a corpus, by its types of links or others; or corpora, files of open types, or both."""

import json
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cache, cached_property
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Any

from nerbert.artifacts import sha256_of
from nerbert.config import refuse
from nerbert.corpus.shards import shard_hashes
from nerbert.encoder.concept_table import ROOT, ConceptTable
from nerbert.encoder.corpus_labels import CorpusLabels, LabelledCorpus, link_types
from nerbert.encoder.open_texts import OpenTexts, OpenTypesSettings
from nerbert.encoder.plain_texts import PlainTexts, open_blocks
from nerbert.encoder.preprocess import open_training_data
from nerbert.encoder.settings import PretrainSettings
from nerbert.executors import Executor
from nerbert.labels import fold_type
from nerbert.model.tokenizer import SubwordTokenizer, WordLabels
from nerbert.process import is_first_process
from nerbert.records import Example
from nerbert.sentences import SEVERAL_LANGUAGES
from nerbert.tables import read_columns
from nerbert.terminal import tell
from nerbert.training.batches import TrainingData
from nerbert.words import SPLITTER

_NO_CORPUS = {"word_splitter": SPLITTER, "language": "", "wiki": ""}
"""The manifest of a training on files of open types alone."""


@dataclass(frozen=True)
class PretrainData:
    """Corpora with their labels, files of open types, or both; read when they are asked for.

    With `reads_labels` cards name the labels. With `named` types are known by name, with `descriptions` too if wanted.
    """

    settings: PretrainSettings
    corpora: tuple[LabelledCorpus, ...] = ()
    executor: Executor | None = None
    reads_labels: bool = True
    named: bool = False
    descriptions: bool = False
    plain: PlainTexts | None = None
    """Texts without labels, in place of all others."""

    @cached_property
    def open_texts(self) -> OpenTexts | None:
        """Return the files of open types."""
        open_types = self.settings.of(OpenTypesSettings)
        settings = self.settings
        if not self.named or not open_types.files:
            return None
        return OpenTexts(
            open_types, self.word_splitter, self.descriptions, settings.seed, settings.max_eval_samples, settings.cache
        )

    @cached_property
    def concepts(self) -> ConceptTable | None:
        """Return the concepts of all sources."""
        return _joined_concepts(self) if self.named else None

    @property
    def name(self) -> str:
        """Return what messages call it."""
        if self.plain:
            return self.plain.name
        return ", ".join(str(corpus.folder) for corpus in self.corpora) or "the texts of open types"

    @property
    def manifests(self) -> list[Mapping[str, Any]]:
        """Return the manifests of the corpora; without one, what stands for it."""
        return [corpus.manifest for corpus in self.corpora] or [_NO_CORPUS]

    @property
    def language(self) -> str:
        """Return the language of the texts."""
        # A corpus knows its language; files of open types are told it by a setting.
        if not self.corpora and self.open_texts:
            return self.open_texts.settings.language
        return _common_value(self.manifests, "language", SEVERAL_LANGUAGES)

    @property
    def word_splitter(self) -> str:
        """Return what cuts further texts into words."""
        return _common_value(self.manifests, "word_splitter", SPLITTER)

    @property
    def labels(self) -> CorpusLabels | None:
        """Return the labels of the corpus, if there is exactly one."""
        return self.corpora[0].labels if len(self.corpora) == 1 else None

    @property
    def types(self) -> Sequence[str]:
        """Return the corpora's categories."""
        return self.labels.categories if self.labels else sorted({*chain(*(c.labels.categories for c in self.corpora))})

    @property
    def concept_texts(self) -> Mapping[str, str]:
        """Return the text of each category's concept; several corpora have types of their own for them."""
        return self.labels.concept_texts if self.labels else {}

    def texts(self) -> Iterator[str]:
        """Yield the texts that are trained on."""
        if self.plain:
            return chain.from_iterable(self.plain.documents(held_out=False))
        corpora = chain.from_iterable(corpus.texts() for corpus in self.corpora)
        return chain(corpora, (text.text for text in self.open_texts.examples()) if self.open_texts else ())

    def held_out(self) -> list[Example]:
        """Return the validation sentences, then the held-out texts of open types."""
        if self.plain:
            return self.plain.held_out()
        examples = [example for corpus in self.corpora for example in corpus.held_out()]
        return [*examples, *(self.open_texts.content.held_out if self.open_texts else ())]

    def windows(self, pieces: SubwordTokenizer, labels: WordLabels | None) -> TrainingData:
        """Return the windows of the train part, from the cache; they are made there if there are none."""
        if self.plain:
            return open_blocks(self.plain, pieces, self.settings.cache)
        return open_training_data(self.corpora, pieces, self.settings, self.executor, labels, self.open_texts)

    def identity(self) -> dict[str, Any]:
        """Return what of the data decides a training's outcome."""
        # The package's synonyms decide what counts as absent, so another version is another training.
        synonyms = sorted((name, sorted(others)) for name, others in read_synonyms().items())
        return {
            "corpus": [sha256_of(corpus.folder / "manifest.json") for corpus in self.corpora],
            "shards": [shard_hashes(corpus.folder, corpus.manifest) for corpus in self.corpora],
            "label_set": [corpus.labels.facts for corpus in self.corpora],
            "open_types": self.open_texts.content.digests if self.open_texts else [],
            **({"texts": self.plain.digests} if self.plain else {}),
            **({"synonyms": sha256(json.dumps(synonyms).encode()).hexdigest()} if self.concepts else {}),
        }

    def _facts_of_corpora(self) -> dict[str, Any]:
        corpora = list(map(self._facts_of, self.corpora))
        if len(corpora) < 2:
            return corpora[0] if corpora else {}
        for entry, manifest in zip(corpora, self.manifests, strict=True):
            entry.update(entry.pop("corpus"), language=manifest["language"])
        return {"corpora": corpora}

    def facts(self) -> dict[str, Any]:
        """Return what the encoder's card says of it: of one corpus as `corpus`, of several as `corpora`."""
        facts = self._facts_of_corpora()
        if self.settings.shares:
            facts["shares"] = list(self.settings.shares)
        if self.concepts and self.concepts.contradictions:
            facts["contradictions"] = len(self.concepts.contradictions)
        if self.plain:
            facts["texts"] = [{"file": name, "sha256": digest} for name, digest, *_ in self.plain.digests]
        return facts | ({"open_types": self.open_texts.content.facts} if self.open_texts else {})

    def _facts_of(self, corpus: LabelledCorpus) -> dict[str, Any]:
        digest = sha256_of(corpus.folder / "manifest.json")
        facts: dict[str, Any] = {"corpus": {"wiki": corpus.manifest["wiki"], "manifest_sha256": digest}}
        # A card must not name labels that masked language modelling never read.
        if self.reads_labels:
            facts |= {"label_set": corpus.labels.facts, "categories": len(corpus.labels.categories)}
        return facts


def _common_value(manifests: Sequence[Mapping[str, Any]], name: str, otherwise: str) -> str:
    """Return a value that all manifests have, or another one where they differ."""
    values = {str(manifest[name]) for manifest in manifests}
    return values.pop() if len(values) == 1 else otherwise


@dataclass(frozen=True, slots=True)
class PretrainSources:
    """The sources of `nerbert pretrain`: settings are checked, nothing is read; an `executor` cuts corpora into
    windows.
    """

    settings: PretrainSettings
    executor: Executor | None = None

    def open_labelled(self) -> PretrainData:
        """Return the corpus with the categories of a label set, or with a section's types of links."""
        given = self.settings.label_set
        why = "empty with gazetteers, whose types are the categories"
        refuse(bool(given and link_types(self.settings)), "label_set", given, why)
        _ = self.settings.corpus_folder
        return PretrainData(self.settings, (LabelledCorpus(self.settings),), self.executor)

    def open_unlabelled(self, texts: Sequence[Path] = ()) -> PretrainData:
        """Return texts or the corpus; raise SettingsError for both, or a label set, which nothing would read."""
        settings = self.settings
        refuse(
            bool(settings.label_set),
            "label_set",
            settings.label_set,
            f"left out with objective = {settings.objective!r}",
        )
        if not texts:
            return replace(self.open_labelled(), reads_labels=False)
        refuse(bool(settings.corpus), "corpus", [*map(str, settings.corpus)], "left out with texts; name it among them")
        plain = PlainTexts(texts, settings.seed, settings.max_eval_samples)
        return PretrainData(settings, plain=plain, reads_labels=False)

    def open_named(self, *, descriptions: bool = False) -> PretrainData:
        """Return corpora, each of whose classes is a type, and files of open types; one of both may be missing."""
        settings = self.settings
        files = bool(self.settings.of(OpenTypesSettings).files)
        if not settings.corpus and not files:
            _ = settings.corpus_folder
        several = len(settings.corpus) + files > 1
        corpora = tuple(
            LabelledCorpus(replace(settings, corpus=(path,), shares=()), index if several else None, True, descriptions)
            for index, path in enumerate(settings.corpus)
        )
        return PretrainData(settings, corpora, self.executor, named=True, descriptions=descriptions)


def _joined_concepts(data: PretrainData) -> ConceptTable:
    """Return the concepts of all sources; print what is odd about them."""
    tables = {str(corpus.folder): corpus.labels.concepts for corpus in data.corpora}
    if data.open_texts:
        tables["open_types.files"] = data.open_texts.content.table
    joined, *others = [table for table in tables.values() if table]
    for source, table in tables.items():
        # With one type nothing is learnt about what is absent.
        names = {concept.name for concept in table.concepts} - {ROOT} if table else set[str]()
        if len(names) == 1 and is_first_process():
            tell(f"{source}: has one type, {names.pop()!r}: no other is known to be absent from its texts")
    if others:
        # The sources keep their own tables.
        joined = deepcopy(joined)
        joined.close()
        for table in others:
            joined.extend(table)
    joined.synonyms = read_synonyms()
    joined.reworded = data.settings.wordings
    # A contradiction weakens the training without stopping it, so it is told, not refused.
    if (pairs := joined.contradictions) and is_first_process():
        name, other = pairs[0]
        tell(
            f"the sources disagree about which type is broader in {len(pairs):,} cases, such as {name!r} and "
            f"{other!r}: neither counts as absent where the other is"
        )
    return joined


def files_read(settings: PretrainSettings) -> list[Path]:
    """Return the corpora's manifests and all files that the settings' sections name."""
    sections = sorted(settings.sections, key=lambda section: section.section)
    files = [path for section in sections for name in section.reads for path in getattr(section, name)]
    return [*files, *(corpus / "manifest.json" for corpus in settings.corpus)]


@cache
def read_synonyms() -> dict[str, frozenset[str]]:
    """Return the other words for each normalised name of a type that has some."""
    lines = [[*map(fold_type, cell.split(","))] for (cell,) in read_columns("synonyms.tsv", "names")]
    return {name: frozenset(names) - {name} for names in lines for name in names}
