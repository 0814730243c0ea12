"""nerbert's own system: an encoder, perhaps trained on a source domain first, that is fine-tuned in each cell."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from nerbert.config import plain_settings
from nerbert.errors import NerbertError, SettingsError
from nerbert.evaluation.benchmark import keys
from nerbert.evaluation.benchmark.cells import CellSentences, Predictions, tagged_entities
from nerbert.evaluation.benchmark.keys import DataFiles, check_same, data_digest, encoder_digest, file_digest, key_of
from nerbert.evaluation.benchmark.store import Store
from nerbert.evaluation.benchmark.system import made_with_torch, timed
from nerbert.finetuning.replay import OWN_TEXTS
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.finetuning.train_tagger import finetune_examples, source_settings
from nerbert.formats.entity_labels import parse_type_labels
from nerbert.model.concept_table import class_words
from nerbert.model.heads import predict_entities
from nerbert.model.linear import tag_both_ways
from nerbert.registry import HEADS, OBJECTIVES

_NOT_IN_KEY = ("seed", "threads", "source_epochs")
"""Settings that the key holds elsewhere, or that change nothing."""


@dataclass(frozen=True, slots=True)
class Encoder:
    """An encoder's folder, and the digest of the files loaded from it."""

    folder: str
    sha256: str
    pretrained: bool = False
    """Whether nerbert trained it."""

    @property
    def facts(self) -> dict[str, Any]:
        """Return the facts about it that a cell stores."""
        return {"encoder": self.sha256, "pretrained": self.pretrained}

    def check_unchanged(self) -> None:
        """Raise NerbertError if its files changed."""
        check_same(partial(encoder_digest, Path(self.folder)), self.folder, self.sha256)


@dataclass(frozen=True, slots=True)
class SourceDomain:
    """A checkpoint to be made: an encoder trained on a source domain, as `finetune` trains it; one for each seed."""

    name: str
    encoder: Encoder
    settings: FinetuneSettings
    trained: dict[str, Any]
    """What trains, as a part of the key, by the files as they were planned."""
    data: DataFiles
    device: str

    @classmethod
    def of(cls, name: str, data: DataFiles, system: "FineTuned") -> "SourceDomain":
        """Return the checkpoint that a system starts from."""
        settings = source_settings(system.settings, system.settings.seed)
        trained = trained_by(replace(settings, source_head="new"))
        return cls(name, system.encoder, settings, trained, data, system.device)

    @property
    def key(self) -> str:
        """Return the key of all that it depends on."""
        return key_of("source", **self.data.key, **self.trained, encoder=self.encoder.sha256, device=self.device)

    def check_unchanged(self) -> None:
        """Raise NerbertError if what it reads isn't what its key holds any more."""
        self.data.check_unchanged()
        self.encoder.check_unchanged()
        _check_settings(replace(self.settings, source_head="new"), self.trained)

    def make(self, store: Store, scratch: Path) -> None:
        """Train the encoder on the source domain."""
        if store.source_cost(self.key, whole=True):
            return
        cost: dict[str, Any] = {}
        with timed(cost, "source"):
            train = self.data.read().train
            finetune_examples(self.encoder.folder, train, [], self.settings, scratch, name=str(self.data.folder))
        self.check_unchanged()
        about = {"data": self.name, "seed": self.settings.seed, "encoder": self.encoder.sha256}
        store.keep_source(self.key, scratch, cost["source"], about)

    def __str__(self) -> str:
        return f"source data {self.name}, seed {self.settings.seed}"


@dataclass(frozen=True, slots=True)
class FineTuned:
    """An encoder (or its source checkpoint) that is fine-tuned on a cell's sentences."""

    encoder: Encoder
    settings: FinetuneSettings
    trained: dict[str, Any]
    """What trains, as a part of the key, by the files as they were planned."""
    device: str
    source: SourceDomain | None = None
    joined: DataFiles | None = None
    """The source domain of an objective that learns from both together."""
    labels: tuple[str, ...] = ()
    """What a tagger of labels at run time reads for types, `TYPE=label` or `TYPE` each."""

    @property
    def facts(self) -> dict[str, Any]:
        """Return all that a training depends on, except the data."""
        source = self.source.key if self.source else None
        facts = {**self.trained, "encoder": self.encoder.sha256, "source": source, "device": self.device}
        facts |= {"joined": self.joined.key} if self.joined else {}
        return (
            {**facts, "threshold": "own", "labels": list(self.labels), "replayed": file_digest(OWN_TEXTS)}
            if self._asks
            else facts
        )

    @property
    def _asks(self) -> bool:
        """Return whether its tagger takes labels at run time."""
        return HEADS.find(OBJECTIVES.find(self.settings.objective).head_name).labels_at_run_time

    def splits(self, split: str, *, episode: bool) -> tuple[str, ...]:
        """Return train, the scored split, and dev: for the temperature, and the epoch if the protocol chooses it."""
        if episode:
            return (split, "dev") if self.settings.select == "dev" else (split,)
        return "train", split, "dev"

    def check_unchanged(self) -> None:
        """Raise NerbertError if the encoder, or a file that the settings name, changed."""
        self.encoder.check_unchanged()
        if self.joined:
            self.joined.check_unchanged()
        _check_settings(self.settings, self.trained)

    def predict(self, part: CellSentences, store: Store, scratch: Path) -> Predictions:
        """Fine-tune on a part's sentences and tag its test sentences.

        Confidences have the temperature that `finetune` fits on the dev split; it is 1 without one. A tagger that takes
        labels at run time has its own threshold, and is asked for the target's types by their labels.
        """
        if self.settings.select == "dev" and not part.dev:
            why = "setting select = 'dev': there is no dev split; add one or use select = 'last'"
            raise SettingsError(why, setting="select")
        cost: dict[str, Any] = {}
        encoder, facts = self._start(store)
        with timed(cost, "train"):
            labels = {type_: label or class_words(type_) for type_, label in parse_type_labels(self.labels).items()}
            tagger = finetune_examples(
                encoder, part.train, part.dev, self.settings, name=part.name, labels=labels if self._asks else None,
                source=self.joined.read() if self.joined else None,
            )  # fmt: skip
        head, temperature = tagger.head, 1.0
        if part.dev:
            with timed(cost, "calibrate"):
                held_out = predict_entities(head, part.dev)
                temperature = held_out.calibration_json({})["temperature"]
            facts["dev_f1"] = held_out.score.f1
        with timed(cost, "tag"):
            words, greedy = tag_both_ways(head, part.test, temperature)
        facts |= {"seconds": cost, "temperature": temperature, "steps": tagger.log.steps}
        facts |= {name: tagger.card[name] for name in ("best_step", "settings")}
        facts |= self.encoder.facts | made_with_torch(self.device, self.settings.precision)
        return Predictions(tagged_entities(words), facts, [each.tags for each in greedy])

    def _start(self, store: Store) -> tuple[str, dict[str, Any]]:
        """Return the encoder to fine-tune, and facts about its origin."""
        if self.source is None:
            return self.encoder.folder, {"source_data": self.joined.folder.name} if self.joined else {}
        seconds = store.source_cost(self.source.key)
        if seconds is None:
            raise NerbertError("the source checkpoint that it needs is gone; run the benchmark again")
        origin = {"source_data": self.source.name, "source_seed": self.source.settings.seed, "source_seconds": seconds}
        return str(store.source(self.source.key)), origin


def trained_by(settings: FinetuneSettings) -> dict[str, Any]:
    """Return the training code's part of a key; if dev chooses the epoch, with that of scoring."""
    code = (keys.TRAINING, keys.SCORING) if settings.select == "dev" else (keys.TRAINING,)
    return {"code": code, "settings": in_key(settings), "seed": settings.seed}


def _check_settings(settings: FinetuneSettings, trained: dict[str, Any]) -> None:
    """Raise NerbertError if a file that the settings name changed."""
    check_same(lambda: key_of("", **trained_by(settings)), "a file that the settings name", key_of("", **trained))


def in_key(settings: FinetuneSettings) -> dict[str, Any]:
    """Return the settings of a training whose objective is known, sections by name; files by their content."""
    values = plain_settings(settings, OBJECTIVES.find(settings.objective).settings)
    for each in settings.sections:
        values[each.section] |= {name: [data_digest(path) for path in getattr(each, name)] for name in each.reads}
    return {name: value for name, value in values.items() if name not in _NOT_IN_KEY}
