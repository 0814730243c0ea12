"""The data of a fine-tuning: annotated sentences, and replayed texts of open types.

F1 on a tenth of these texts, for types that the data lacks, is measured before and after. Cost: two evaluations.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from heapq import nsmallest
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np

from nerbert.config import Bounds, Section
from nerbert.encoder.open_texts import OpenExample, OpenTexts, OpenTypes, OpenTypesSettings
from nerbert.errors import InputError, at, few
from nerbert.finetuning.settings import FEW_SENTENCES, FinetuneSettings
from nerbert.formats.data import DataSet
from nerbert.formats.open_types import normalised
from nerbert.labels import common_name
from nerbert.model.concept_table import Concept, ConceptTable, class_words
from nerbert.model.tokenizer import SubwordTokenizer, WordLabels
from nerbert.model.windows import Windows
from nerbert.records import Example
from nerbert.rng import Array, uniform
from nerbert.terminal import tell
from nerbert.training.batches import TrainingData
from nerbert.training.distributed import make_process_group
from nerbert.training.objective import Objective, find_objective
from nerbert.training.settings import TrainSettings
from nerbert.words import SPLITTER

OWN_TEXTS = Path(__file__).parent.parent / "sample" / "open-types" / "replay.jsonl.gz"
"""The package's texts (sources/open_types/replay.py)."""
_USUAL_SHARE = 0.5
_SCORED = 200
"""Held-out texts on which forgetting is measured, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaySettings(Section):
    """Files of open types beside the data of a fine-tuning."""

    section: ClassVar[str] = "replay"
    reads: ClassVar[tuple[str, ...]] = ("files",)
    commands: ClassVar[tuple[str, ...]] = ("finetune",)
    files: tuple[Path, ...] = ()
    """Files of open types to mix in (`share`). Forgetting of types that the data lacks is measured on a tenth of their
    texts. Empty: 600 texts of the package, without that measure. Source: ours."""
    share: Annotated[float, Bounds(at_least=-1, below=1)] = -1.0
    """Share of the training sentences that are replayed texts; each epoch has other ones. Below 0: with `names` and
    `concepts` a half for up to 10 sentences, since more sentences teach more than these texts keep; else none. Source:
    ours, on dev (docs/results)."""


@dataclass(frozen=True, slots=True)
class Replay:
    """Files of open types beside a fine-tuning's data: how they are read, what they hold, and their share (0–1).

    Forgetting is `measured` on a tenth of them.
    """

    source: OpenTexts
    data: OpenTypes
    share: float
    measured: bool

    def texts(self, count: int, seed: int) -> list[OpenExample]:
        """Return `count` training texts, drawn by seed; fewer if there are fewer."""
        return nsmallest(count, self.source.examples(), key=lambda each: uniform(seed, "replay", each.text))


def replay_share(settings: TrainSettings, sentences: int) -> float:
    """Return the share of replayed texts beside so many sentences; the objective of the settings is known."""
    share = settings.of(ReplaySettings).share
    if share >= 0:
        return share
    return _USUAL_SHARE if sentences <= FEW_SENTENCES and find_objective(settings.objective).trains_gently else 0.0


def open_replay(settings: TrainSettings, sentences: int, splitter: str, *, descriptions: bool = False) -> Replay | None:
    """Return what to replay beside so many sentences, cut into words; None if there is nothing. Raise InputError for a
    file that can't be read.
    """
    own, share = settings.of(ReplaySettings), replay_share(settings, sentences)
    if not own.files and not share:
        return None
    reading = OpenTypesSettings(files=own.files or (OWN_TEXTS,))
    source = OpenTexts(reading, descriptions=descriptions, seed=settings.seed, most=_SCORED,
                       splitter=splitter)  # fmt: skip
    with at(setting="setting replay.files"):
        return Replay(source, source.read(), share, bool(own.files))


class Forgetting:
    """Measures F1 on held-out texts of what may be replayed, for types that the data lacks, before and after."""

    def __init__(self, score: Any, texts: int, device: Any) -> None:
        self._score, self._texts, self._device = score, texts, device
        self._before = 0.0

    @classmethod
    def of(
        cls, replay: Replay, types: Sequence[str], objective: Objective, pieces: SubwordTokenizer,
        settings: TrainSettings,
    ) -> "Forgetting | None":  # fmt: skip
        """Return it for an objective that can leave types out of its score; None for any other."""
        processes, held_out = make_process_group(settings), replay.data.held_out
        with at(setting="setting replay.files"):
            score = objective.score_without(types, held_out, pieces, processes)
        return cls(score, len(held_out), processes.device) if score else None

    def measure(self, model: Any) -> None:
        """Measure the model before training."""
        self._before = self._score(model.to(self._device)).value

    def facts(self, model: Any) -> dict[str, Any]:
        """Measure it again; print the result, and return it for the card."""
        after = self._score(model).value
        tell(f"types that the data lacks: F1 {100 * self._before:.1f} before, {100 * after:.1f} after, on "
             f"{self._texts:,} held-out texts of replay")  # fmt: skip
        return {"forgetting": {"before": self._before, "after": after, "texts": self._texts}}


@dataclass(frozen=True, slots=True)
class FinetuneData:
    """Annotated sentences, those held out, and texts that are replayed, if there are some."""

    settings: FinetuneSettings
    examples: Sequence[Example]
    dev: Sequence[Example] = ()
    concepts: ConceptTable | None = None
    concept_texts: Mapping[str, str] = field(default_factory=dict)
    replay: Replay | None = None
    further_types: Sequence[str] = ()
    source: Sequence[Example] = ()
    """Sentences of a source domain, for an objective that learns from both together."""
    source_dev: Sequence[Example] = ()

    @property
    def has_entities(self) -> bool:
        """Return whether there is something to learn."""
        return any(each.spans for each in self.examples)

    @property
    def types(self) -> Sequence[str]:
        """Return the entity types of the sentences, sorted."""
        return sorted({*types_of_examples(self.examples), *self.further_types})

    def texts(self) -> Iterator[str]:
        """Yield the sentences that are trained on."""
        return (each.text for each in self.examples)

    def held_out(self) -> list[Example]:
        """Return the sentences of the dev split."""
        return list(self.dev)

    def windows(self, pieces: SubwordTokenizer, labels: WordLabels | None) -> TrainingData:
        """Return the windows of the sentences; each epoch adds the next ones of replayed texts."""
        own, settings = list(pieces.windows(self.examples, labels)), self.settings
        share = self.replay.share if self.replay else 0.0
        if not self.replay or not share or not own:
            return TrainingData.each_once(Windows.pack(own), pieces.pad_id)
        many = max(1, round(len(own) * share / (1 - share)))
        steps = settings.max_steps or max(settings.min_steps, settings.epochs * (len(own) + many) / settings.batch_size)
        epochs = math.ceil(steps * settings.batch_size / (len(own) + many)) + 1
        replayed = list(pieces.windows(self.replay.texts(many * epochs, settings.seed), labels))
        numbers = partial(_numbers, len(own), min(many, len(replayed)), len(replayed))
        return TrainingData(Windows.pack([*own, *replayed]), numbers, pieces.pad_id)

    def forgetting(self, objective: Objective, pieces: SubwordTokenizer) -> Forgetting | None:
        """Return what measures forgetting; None where nothing is replayed."""
        if not self.replay or not self.replay.measured:
            return None
        return Forgetting.of(self.replay, self.types, objective, pieces, self.settings)

    @property
    def facts(self) -> dict[str, Any]:
        """Return what is replayed, if anything, as a fact of the tagger's card."""
        share = self.replay.share if self.replay else 0.0
        return {"replayed": {"share": share, "files": self.replay.data.files}} if self.replay and share else {}


def _numbers(own: int, many: int, replayed: int, epoch: int) -> Array:
    """Return the numbers of an epoch's windows: all of the data's, and the next ones of those replayed."""
    next_ones = (epoch * many + np.arange(many)) % max(1, replayed)
    return np.concatenate([np.arange(own), own + next_ones])


def types_of_examples(examples: Sequence[Example]) -> list[str]:
    """Return the entity types of sentences, sorted."""
    return sorted({span.type for each in examples for span in each.spans})


def words_of_types(types: Sequence[str], labels: Mapping[str, str]) -> dict[str, str]:
    """Return what a model reads for each type: its label, else the type in words, `PER` as *person*.

    Types that would be read as the same words keep their own names. Raise InputError where these differ only in case or
    underscores.
    """
    found = {each: normalised(labels.get(each) or common_name(class_words(each))) or each for each in types}
    same = Counter(found.values())
    if alike := [each for each, text in found.items() if same[text] > 1]:
        found |= {each: normalised(labels.get(each) or each) or each for each in alike}
        tell(f"types {few(alike)} mean the same in words, so each is read as it is written; --labels says it better")
    by_text: dict[str, str] = {}
    for each, text in found.items():
        if (other := by_text.setdefault(text, each)) != each:
            raise InputError(f"types {other!r:.80} and {each!r:.80} are both read as {text!r:.80}; rename one, or give "
                             f'it another label: --labels "{each:.80}=…"')  # fmt: skip
    return found


@dataclass(frozen=True, slots=True)
class FinetuneSources:
    """What `nerbert finetune` offers: annotated sentences and, in the settings, files to replay."""

    settings: FinetuneSettings
    examples: Sequence[Example]
    dev: Sequence[Example] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    """What is read for types, by type, where a user says so; those that no sentence has are known to be absent."""
    splitter: str = SPLITTER
    """What cuts replayed texts into words."""
    source: DataSet | None = None
    """A source domain, for an objective that learns from both together."""
    types: Sequence[str] = ()
    """Types beside those of the sentences."""

    def labelled(self) -> FinetuneData:
        """Return the sentences."""
        return FinetuneData(self.settings, self.examples, self.dev, further_types=tuple(self.types))

    def unlabelled(self, texts: Sequence[Path] = ()) -> FinetuneData:
        """Return the sentences."""
        return self.labelled()

    def named(self, *, descriptions: bool = False) -> FinetuneData:
        """Return the sentences with a table of their types' names, closed, and of what is replayed."""
        examples = self.examples
        replay = open_replay(self.settings, len(examples), self.splitter, descriptions=descriptions)
        data = replace(self.labelled(), further_types=(*self.types, *self.labels))
        texts = words_of_types(data.types, self.labels)
        table = ConceptTable(sentences=len(examples))
        for type_ in data.types:
            table.add(Concept(texts[type_]))
        for span in (span for each in examples for span in each.spans):
            table.add(Concept(texts[span.type]), 1)
        table.add_rows(row for each in examples for row in table.word_rows(each, texts))
        if replay:
            table.close()
            table.extend(replay.data.table)
        return replace(data, concepts=table, concept_texts=texts, replay=replay)
