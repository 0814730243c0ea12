"""Data of fine-tuning: annotated sentences, and replayed texts of open types."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from heapq import nsmallest
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Interval

from nerbert.data.splits import DataSet
from nerbert.encoder.concept_table import Concept, ConceptTable
from nerbert.encoder.open_texts import OpenTexts, OpenTypesSettings
from nerbert.entity_labels import words_of_code
from nerbert.errors import InputError, at, few
from nerbert.finetuning.domains import Domains
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.labels import class_words, common_name, fold_type, types_of_examples
from nerbert.model.tokenizer import SubwordTokenizer, WordLabels
from nerbert.model.windows import Windows
from nerbert.records import Example
from nerbert.rng import Array, uniform
from nerbert.terminal import tell
from nerbert.training.batches import TrainingData
from nerbert.training.settings import Section
from nerbert.words import SPLITTER


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaySettings(Section):
    """Files of open types to mix into the data of fine-tuning."""

    section: ClassVar[str] = "replay"
    reads: ClassVar[tuple[str, ...]] = ("files",)
    commands: ClassVar[tuple[str, ...]] = ("finetune",)
    files: tuple[Path, ...] = ()
    """Files of open types to mix in (`share`). Source: ours."""
    share: Annotated[float, Interval(gt=0, lt=1)] = 0.5
    """Share of the replayed texts in the training sentences; each epoch has different ones. Source: ours."""


@dataclass(frozen=True, slots=True)
class FinetuneData:
    """Annotated sentences, held-out sentences, and optionally replayed texts, a `share` (0–1) of all.

    It is also the `Sources` of fine-tuning: `open_named` adds names of types, and replayed texts, cut by `splitter`.
    """

    settings: FinetuneSettings
    domains: Domains[DataSet]
    splitter: str = SPLITTER
    concepts: ConceptTable | None = None
    concept_texts: Mapping[str, str] = field(default_factory=dict)
    replay: OpenTexts | None = None
    share: float = 0.0

    def open_labelled(self) -> "FinetuneData":
        """Return the sentences."""
        return self

    def open_unlabelled(self, texts: Sequence[Path] = ()) -> "FinetuneData":
        """Return the sentences."""
        return self

    def open_named(self, *, descriptions: bool = False) -> "FinetuneData":
        """Return the sentences with a table of the names of their types, closed, and of the replayed ones."""
        examples = ask_present_types(self.domains.target.train, self.types)
        replayed = self.settings.of(ReplaySettings)
        replay = None
        if replayed.files:
            # Replayed texts are never scored, so one held-out text is enough.
            reading = OpenTypesSettings(files=replayed.files)
            replay = OpenTexts(reading, self.splitter, descriptions, self.settings.seed, most=1)
        texts = words_of_types(self.types, self.domains.labels)
        table = ConceptTable(sentences=len(examples))
        for type_ in self.types:
            table.add(Concept(texts[type_]))
        for span in (span for example in examples for span in example.spans):
            table.add(Concept(texts[span.type]), 1)
        table.add_rows(row for example in examples for row in table.word_rows(example, texts))
        if replay:
            # The data's sentences say nothing about the types of the replayed texts.
            table.close()
            with at(setting="setting replay.files"):
                table.extend(replay.content.table)
        domains = replace(self.domains, target=replace(self.domains.target, train=examples))
        return replace(self, domains=domains, concepts=table, concept_texts=texts, replay=replay, share=replayed.share)

    @property
    def has_entities(self) -> bool:
        """Return whether there are entities to learn from."""
        return any(example.spans for example in self.domains.target.train)

    @property
    def types(self) -> Sequence[str]:
        """Return the entity types of the sentences, and the additional named ones, sorted."""
        domains = self.domains
        return sorted({*types_of_examples(domains.target.train), *domains.types, *domains.labels})

    def held_out(self) -> list[Example]:
        """Return the sentences of the dev split."""
        return self.domains.target.dev

    def windows(self, pieces: SubwordTokenizer, labels: WordLabels | None) -> TrainingData:
        """Return the windows of the sentences; each epoch adds the next ones of replayed texts."""
        annotated = list(pieces.windows(self.domains.target.train, labels))
        settings = self.settings
        if not self.replay or not annotated:
            return TrainingData.each_once(Windows.pack(annotated), pieces.pad_id)
        count = max(1, round(len(annotated) * self.share / (1 - self.share)))
        total = len(annotated) + count
        steps = settings.max_steps or max(settings.min_steps, settings.epochs * total / settings.batch_size)
        epochs = math.ceil(steps * settings.batch_size / total) + 1
        texts = nsmallest(
            count * epochs, self.replay.examples(), key=lambda example: uniform(settings.seed, "replay", example.text)
        )
        replayed = list(pieces.windows(texts, labels))
        numbers = partial(_numbers, len(annotated), min(count, len(replayed)), len(replayed))
        return TrainingData(Windows.pack([*annotated, *replayed]), numbers, pieces.pad_id)

    @property
    def facts(self) -> dict[str, Any]:
        """Return the replayed texts, if any, as a fact of the tagger's card."""
        if not self.replay:
            return {}
        return {"replayed": {"share": self.share, "files": self.replay.content.files}}


def _numbers(annotated: int, count: int, replayed: int, epoch: int) -> Array:
    """Return the numbers of an epoch's windows: all of the data's, and the next replayed ones."""
    next_ones = (epoch * count + np.arange(count)) % max(1, replayed)
    return np.concatenate([np.arange(annotated), annotated + next_ones])


def ask_present_types(examples: Sequence[Example], types: Sequence[str]) -> list[Example]:
    """Return sentences in which only those of `types` count as looked for that one of the sentences has.

    A few sentences don't show that the other types are absent, and a model that learns so forgets them
    (docs/results/2026-11-30-first-sentences.md). What a sentence itself was `asked` for stays.
    """
    present = tuple(types_of_examples(examples))
    # All types are there, so their absence from a sentence is known.
    if len(present) == len(types):
        return list(examples)
    return [replace(example, asked=present) if example.asked is None else example for example in examples]


def _usual_words(types: Sequence[str]) -> dict[str, str]:
    plain = {type_: common_name(class_words(type_)) for type_ in types}
    coded = {type_: common_name(words_of_code(type_) or plain[type_]) for type_ in types}
    # Two types that would be read alike ("PER" and "PERSON") keep their own names.
    counts = Counter(coded.values())
    return {type_: text if counts[text] == 1 else plain[type_] for type_, text in coded.items()}


def words_of_types(types: Sequence[str], labels: Mapping[str, str]) -> dict[str, str]:
    """Return the text that a model reads for each type: its label, else the type in words, `PER` as *person*.

    Types with the same words keep their names. Raise InputError for names that differ only in case or underscores.
    """

    def read_as(texts: Mapping[str, str]) -> dict[str, str]:
        return {type_: fold_type(labels.get(type_) or text) or type_ for type_, text in texts.items()}

    words = read_as(_usual_words(types))
    same = Counter(words.values())
    if alike := [type_ for type_, text in words.items() if same[text] > 1]:
        words |= read_as(dict(zip(alike, alike, strict=True)))
        tell(f"types {few(alike)} mean the same in words, so each is read as it is written; --labels says it better")
    by_text: dict[str, str] = {}
    for type_, text in words.items():
        if (other := by_text.setdefault(text, type_)) != type_:
            raise InputError(
                f"types {other!r:.80} and {type_!r:.80} are both read as {text!r:.80}; rename one, or "
                f'give it another label: --labels "{type_:.80}=…"'
            )
    return words
