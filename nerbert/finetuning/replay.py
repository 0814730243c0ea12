"""Fine-tuning of a model that takes any labels: what it trains on, what is replayed, and what it forgets.

The data's types are learnt by their names, written as open types are; each sentence is asked for all of them, as far as
a prompt has room, since all are known there. A model that sees few types forgets others (Zaratiana et al. 2024 don't
measure it). So files of open types may be replayed beside the data, and F1 on a tenth of them, for types that the data
lacks, is measured before and after. The price: two evaluations of at most two hundred texts; of files that the model
was trained on before, they say what it remembers, not how it does on new text.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from heapq import nsmallest
from typing import Any

import numpy as np

from nerbert.encoder.objectives.zero_shot.zero_shot import ZeroShot
from nerbert.encoder.open_texts import OpenExample, OpenTypes, read_open_data, training_examples
from nerbert.errors import at
from nerbert.formats.open_types import normalised
from nerbert.model.backbone import Backbone
from nerbert.model.concept_encoder import Concept, ConceptTable
from nerbert.model.gliner.trainee import with_gliner_words
from nerbert.model.tokenizer import SubwordTokenizer, WordLabels
from nerbert.model.windows import Windows
from nerbert.records import Example
from nerbert.rng import Array, uniform
from nerbert.terminal import tell
from nerbert.training.distributed import make_process_group
from nerbert.training.loop import TrainingData
from nerbert.training.objective import Objective, Task
from nerbert.training.settings import FinetuneSettings, PretrainSettings

_SCORED = 200
"""Held-out texts on which forgetting is measured, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaySettings(Section):
    """Files of open types beside the data of a fine-tuning."""

    section: ClassVar[str] = "replay"
    formerly: ClassVar[Mapping[str, str]] = {"replay": "files", "replay_share": "share"}
    reads: ClassVar[tuple[str, ...]] = ("files",)
    files: tuple[Path, ...] = ()
    """Files of open types. How much a model forgets of types that the data lacks is measured on a tenth of their texts,
    and the rest may be mixed in (`share`). Source: ours."""
    share: Annotated[float, Bounds(at_least=0, below=1)] = 0.0
    """Share of the sentences trained on that are texts of `files`, beside the data's own; each epoch has others.
    Source: ours."""


@dataclass(frozen=True, slots=True)
class Replay:
    """Files of open types beside a fine-tuning's data: what they hold, and how they are read."""

    data: OpenTypes
    reading: PretrainSettings

    def texts(self, count: int, seed: int) -> list[OpenExample]:
        """Return so many of the texts that may be trained on, drawn by seed; fewer if there are not so many."""
        drawn = nsmallest(count, training_examples(self.reading), key=lambda each: uniform(seed, "replay", each.text))
        return list(map(with_gliner_words, drawn))


def open_replay(settings: FinetuneSettings) -> Replay | None:
    """Return the files that are replayed; None if there are none."""
    if not settings.replay:
        return None
    reading = PretrainSettings(open_types=settings.replay, seed=settings.seed, max_eval_samples=_SCORED)
    with at(setting="setting replay"):
        data = read_open_data(reading)
    return Replay(data, reading) if data else None


def open_task(
    examples: Sequence[Example], settings: FinetuneSettings, backbone: Backbone, replay: Replay | None
) -> Task:
    """Return what an objective of open types is made for: a table of the data's types, closed, and of what is replayed.

    In the data's sentences nothing is known of other types, and in those replayed only what was asked for there.
    """
    types = sorted({span.type for each in examples for span in each.spans})
    texts, table = {type_: Concept(normalised(type_)).text for type_ in types}, ConceptTable(sentences=len(examples))
    for span in (span for each in examples for span in each.spans):
        table.add(Concept(normalised(span.type)), 1)
    table.add_rows(row for each in examples for row in table.word_rows(each, texts))
    if replay:
        table.close()
        table.extend(replay.data.table)
    return Task(types, settings, backbone, table, texts)


def training_data(
    examples: Sequence[Example], pieces: SubwordTokenizer, labels: WordLabels | None, settings: FinetuneSettings,
    replay: Replay | None,
) -> TrainingData:  # fmt: skip
    """Return the windows of the data, and of texts that are replayed beside it; each epoch has the next ones of them.

    An epoch is once through the data, so it has the more windows, the more is replayed.
    """
    own = list(pieces.windows(examples, labels))
    share = settings.replay_share if replay else 0.0
    if not replay or not share or not own:
        return TrainingData.each_once(Windows.pack(own), pieces.pad_id)
    many = max(1, round(len(own) * share / (1 - share)))
    steps = settings.max_steps or max(settings.min_steps, settings.epochs * (len(own) + many) / settings.batch_size)
    epochs = math.ceil(steps * settings.batch_size / (len(own) + many)) + 1
    replayed = list(pieces.windows(replay.texts(many * epochs, settings.seed), labels))
    numbers = partial(_numbers, len(own), min(many, len(replayed)), len(replayed))
    return TrainingData(Windows.pack([*own, *replayed]), numbers, pieces.pad_id)


@dataclass(frozen=True, slots=True)
class OpenTraining:
    """What a fine-tuning by names of types is made for and trains on; `replay` is None without such files."""

    task: Task
    settings: FinetuneSettings
    replay: Replay | None

    @classmethod
    def of(cls, examples: Sequence[Example], settings: FinetuneSettings, backbone: Backbone) -> "OpenTraining":
        """Return it for the data's sentences; raise InputError for files of `replay` that can't be read."""
        replay = open_replay(settings)
        return cls(open_task(examples, settings, backbone, replay), settings, replay)

    def data(self, examples: Sequence[Example], pieces: SubwordTokenizer, labels: WordLabels | None) -> TrainingData:
        """Return the windows of the data, and of what is replayed."""
        return training_data(examples, pieces, labels, self.settings, self.replay)

    def forgetting(self, objective: Objective, pieces: SubwordTokenizer) -> "Forgetting | None":
        """Return what measures how much is forgotten; None without files of `replay`."""
        return Forgetting.of(self.replay, self.task.types, objective, pieces, self.settings) if self.replay else None


def _numbers(own: int, many: int, replayed: int, epoch: int) -> Array:
    """Return the numbers of an epoch's windows: all of the data's, and the next ones of those replayed."""
    next_ones = (epoch * many + np.arange(many)) % max(1, replayed)
    return np.concatenate([np.arange(own), own + next_ones])


class Forgetting:
    """Measures F1 on held-out texts of what may be replayed, for types that the data lacks, before and after."""

    def __init__(self, score: Any, texts: int, device: Any) -> None:
        self._score, self._texts, self._device = score, texts, device
        self._before = 0.0

    @classmethod
    def of(
        cls, replay: Replay, types: Sequence[str], objective: Objective, pieces: SubwordTokenizer,
        settings: FinetuneSettings,
    ) -> "Forgetting | None":  # fmt: skip
        """Return it for an objective that asks for types by name; None for any other."""
        if not isinstance(objective, ZeroShot):
            return None
        processes, held_out = make_process_group(settings), list(map(with_gliner_words, replay.data.held_out))
        names = sorted({normalised(type_) for type_ in types})
        with at(setting="setting replay"):
            score = objective.score_without(names, held_out, pieces, processes)
        return cls(score, len(held_out), processes.device)

    def measure(self, model: Any) -> None:
        """Measure the model as it is before."""
        self._before = self._score(model.to(self._device)).value

    def facts(self, model: Any) -> dict[str, Any]:
        """Measure it again; say so, and return what its card says."""
        after = self._score(model).value
        tell(f"types that the data lacks: F1 {100 * self._before:.1f} before, {100 * after:.1f} after, on "
             f"{self._texts:,} held-out texts of replay")  # fmt: skip
        return {"forgetting": {"before": self._before, "after": after, "texts": self._texts}}
