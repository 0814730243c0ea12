"""What a fine-tuning learns from: annotated sentences, and texts of open types that are replayed beside them.

Where types are known by name, each sentence is asked for all of the data's, as far as a prompt has room, since all are
known there.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from nerbert.finetuning.replay import Forgetting, Replay, ReplaySettings, open_replay
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.formats.open_types import normalised
from nerbert.model.concept_encoder import Concept, ConceptTable
from nerbert.model.tokenizer import SubwordTokenizer, WordLabels
from nerbert.model.windows import Windows
from nerbert.records import Example
from nerbert.rng import Array
from nerbert.training.loop import TrainingData
from nerbert.training.objective import Objective


@dataclass(frozen=True, slots=True)
class FinetuneData:
    """Annotated sentences, those held out, and texts that are replayed, if there are some."""

    settings: FinetuneSettings
    examples: Sequence[Example]
    dev: Sequence[Example] = ()
    concepts: ConceptTable | None = None
    concept_texts: Mapping[str, str] = field(default_factory=dict)
    replay: Replay | None = None

    @property
    def types(self) -> Sequence[str]:
        """Return the entity types of the sentences, sorted."""
        return types_of_examples(self.examples)

    def texts(self) -> Iterator[str]:
        """Yield the sentences that are trained on."""
        return (each.text for each in self.examples)

    def held_out(self) -> list[Example]:
        """Return the sentences of the dev split."""
        return list(self.dev)

    def windows(self, pieces: SubwordTokenizer, labels: WordLabels | None) -> TrainingData:
        """Return the windows of the sentences, and of texts that are replayed; each epoch has the next ones of them.

        An epoch is once through the sentences, so it has the more windows, the more is replayed.
        """
        own, settings = list(pieces.windows(self.examples, labels)), self.settings
        share = settings.of(ReplaySettings).share
        if not self.replay or not share or not own:
            return TrainingData.each_once(Windows.pack(own), pieces.pad_id)
        many = max(1, round(len(own) * share / (1 - share)))
        steps = settings.max_steps or max(settings.min_steps, settings.epochs * (len(own) + many) / settings.batch_size)
        epochs = math.ceil(steps * settings.batch_size / (len(own) + many)) + 1
        replayed = list(pieces.windows(self.replay.texts(many * epochs, settings.seed), labels))
        numbers = partial(_numbers, len(own), min(many, len(replayed)), len(replayed))
        return TrainingData(Windows.pack([*own, *replayed]), numbers, pieces.pad_id)

    def forgetting(self, objective: Objective, pieces: SubwordTokenizer) -> Forgetting | None:
        """Return what measures how much is forgotten; None where nothing is replayed."""
        return Forgetting.of(self.replay, self.types, objective, pieces, self.settings) if self.replay else None


def _numbers(own: int, many: int, replayed: int, epoch: int) -> Array:
    """Return the numbers of an epoch's windows: all of the data's, and the next ones of those replayed."""
    next_ones = (epoch * many + np.arange(many)) % max(1, replayed)
    return np.concatenate([np.arange(own), own + next_ones])


def types_of_examples(examples: Sequence[Example]) -> list[str]:
    """Return the entity types of sentences, sorted."""
    return sorted({span.type for each in examples for span in each.spans})


@dataclass(frozen=True, slots=True)
class FinetuneSources:
    """What `nerbert finetune` offers: annotated sentences and, in the settings, files to replay."""

    settings: FinetuneSettings
    examples: Sequence[Example]
    dev: Sequence[Example] = ()

    def labelled(self) -> FinetuneData:
        """Return the sentences."""
        return FinetuneData(self.settings, self.examples, self.dev)

    def unlabelled(self) -> FinetuneData:
        """Return the sentences."""
        return self.labelled()

    def named(self, *, descriptions: bool = False) -> FinetuneData:
        """Return the sentences with a table of their types' names, closed, and of what is replayed.

        In the sentences nothing is known of other types, and in texts replayed only what was asked for there.
        """
        replay, examples = open_replay(self.settings, descriptions=descriptions), self.examples
        texts = {type_: Concept(normalised(type_)).text for type_ in types_of_examples(examples)}
        table = ConceptTable(sentences=len(examples))
        for span in (span for each in examples for span in each.spans):
            table.add(Concept(normalised(span.type)), 1)
        table.add_rows(row for each in examples for row in table.word_rows(each, texts))
        if replay:
            table.close()
            table.extend(replay.data.table)
        return FinetuneData(self.settings, examples, self.dev, table, texts, replay)
