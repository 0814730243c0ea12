"""nerbert's own system: an encoder, optionally trained on a source domain first, that is fine-tuned in each cell."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nerbert.artifacts import held, publish_folder, write_json
from nerbert.data.splits import DataSet
from nerbert.entity_labels import parse_type_labels
from nerbert.errors import NerbertError, SettingsError, at
from nerbert.finetuning.domains import Domains
from nerbert.finetuning.finetune import source_settings, train_tagger
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.finetuning.start import takes_labels
from nerbert.labels import class_words
from nerbert.metrics.calibration import UNSCALED, Scaling
from nerbert.model.folder import ModelFolder
from nerbert.model.heads import predict_entities
from nerbert.model.linear import tag_both_ways
from nerbert.schema import read_json
from nerbert.training.objective import OBJECTIVES
from nerbert.training.settings import plain_settings
from nerbert_bench import keys
from nerbert_bench.cells import CellSentences, Predictions, made_with_torch, tagged_entities, time_step
from nerbert_bench.keys import DataFiles, data_digest, encoder_digest, key_of

_NOT_IN_KEY = ("seed", "threads", "source_epochs")
"""Settings that are elsewhere in the key, or have no effect."""
_SECONDS = "seconds.json"
"""File in a source domain's checkpoint with the time that its training took."""


@dataclass(frozen=True, slots=True)
class Encoder:
    """An encoder: its name (a folder, or one on the hub), its local folder, and the digest of the loaded files."""

    name: str
    folder: str
    sha256: str
    pretrained: bool = False
    """True if nerbert trained it, even as a tagger, so that it has its own random variation."""

    @classmethod
    def find(cls, name: str) -> "Encoder":
        """Return an encoder in its current state; raise InputError if it isn't a model's folder."""
        folder = ModelFolder.open(name, "tagger").check()
        return cls(name, folder.name, encoder_digest(folder.path), folder.card["kind"] != "foreign")

    @property
    def facts(self) -> dict[str, Any]:
        """Return the facts about it that a cell stores."""
        return {"encoder": self.sha256, "pretrained": self.pretrained}


@dataclass(frozen=True, slots=True)
class FineTuned:
    """An encoder that is fine-tuned on a cell's sentences, optionally after or together with a source domain."""

    encoder: Encoder
    settings: FinetuneSettings
    device: str
    source: DataFiles | None = None
    """A source domain: the objective trains on both together, or else on the source first, once for each seed."""
    source_name: str = ""
    labels: tuple[str, ...] = ()
    """Labels that a tagger with labels at run time gets for types, each `TYPE=label` or `TYPE`."""

    @property
    def facts(self) -> dict[str, Any]:
        """Return all that a training depends on, except the data."""
        facts = {**trained_by(self.settings), "encoder": self.encoder.sha256, "device": self.device}
        facts |= {"source": self._source_key, "joined": self.source.key if self.source and self._joins else None}
        # Only such taggers read labels: for others, renaming a label must not run cells again.
        if takes_labels(self.settings):
            facts |= {"threshold": "own", "labels": list(self.labels)}
        return facts

    @property
    def _source_key(self) -> str | None:
        """Return the key of the checkpoint to start from; None without one."""
        if self.source is None or self._joins:
            return None
        # `source_head` decides what the target keeps of the checkpoint; the checkpoint itself is the same.
        trained = trained_by(replace(source_settings(self.settings), source_head="new"))
        return key_of("source", **self.source.key, **trained, encoder=self.encoder.sha256, device=self.device)

    @property
    def _joins(self) -> bool:
        """Return whether the objective learns from a source domain and the target together."""
        return OBJECTIVES.find(self.settings.objective).traits.joins_source

    def read_digests(self) -> "FineTuned":
        """Return the system with its encoder and source domain in their current state."""
        source = self.source.read_digests() if self.source else None
        return replace(self, encoder=Encoder.find(self.encoder.name), source=source)

    def splits(self, split: str, *, episode: bool) -> tuple[str, ...]:
        """Return train, the scored split, and dev: for confidences, and the epoch if the protocol chooses it."""
        # An episode has no train split; dev is needed only if it chooses the epoch.
        if episode:
            return (split, "dev") if self.settings.select == "dev" else (split,)
        return "train", split, "dev"

    def predict(self, part: CellSentences, sources: Path) -> Predictions:
        """Fine-tune on a part's sentences and tag its test sentences.

        Confidences have the scaling that `finetune` fits on the dev split, none without a dev split. A tagger that
        takes labels at run time has its own threshold, and gets the labels of the target's types.
        """
        if self.settings.select == "dev" and not part.dev:
            why = "setting select = 'dev': there is no dev split; add one or use select = 'last'"
            raise SettingsError(why, setting="select")
        cost: dict[str, Any] = {}
        encoder, facts = self._start(sources)
        with time_step(cost, "train"):
            # A type without a label is read as words: `PoliticalParty` as "political party".
            labels = {type_: label or class_words(type_) for type_, label in parse_type_labels(self.labels).items()}
            source = self.source.read() if self.source and self._joins else None
            target = DataSet(Path(part.name), part.train, part.dev)
            domains = Domains(target, source, labels if takes_labels(self.settings) else {})
            tagger = train_tagger(encoder, domains, self.settings)
        head, scaling = tagger.head, UNSCALED
        # Without held-out sentences there is no scaling: fitted on train, it would leave confidences too high.
        if part.dev:
            with time_step(cost, "calibrate"):
                held_out = predict_entities(head, part.dev)
                scaling = Scaling.read(held_out.calibration_json({}))
            facts["dev_f1"] = held_out.score.f1
        with time_step(cost, "tag"):
            # One pass of the encoder gives both: the tags that users get, and those of the table's greedy F1.
            words, greedy = tag_both_ways(head, part.test, scaling)
        facts |= {"seconds": cost, **scaling._asdict(), "steps": tagger.log.steps}
        facts |= {name: tagger.card[name] for name in ("best_step", "settings")}
        facts |= self.encoder.facts | made_with_torch(self.device, self.settings.precision)
        return Predictions(tagged_entities(words), facts, [sentence.tags for sentence in greedy])

    def _start(self, sources: Path) -> tuple[str, dict[str, Any]]:
        """Return the encoder to fine-tune, or the checkpoint of its source domain, and facts about its origin."""
        if self.source is None:
            return self.encoder.folder, {}
        if self._joins:
            return self.encoder.folder, {"source_data": self.source.folder.name}
        folder = sources / f"{self._source_key}"
        # Another cell may be making the checkpoint; this one waits, and then finds it.
        with held(folder.with_suffix(".lock"), "", wait=lambda: None):
            if not folder.is_dir():
                cost: dict[str, Any] = {}
                with at(part=f"source data {self.source_name}"), publish_folder(folder) as draft:
                    with time_step(cost, "source"):
                        settings = source_settings(self.settings)
                        domains = Domains(self.source.read())
                        train_tagger(self.encoder.folder, domains, settings, "source domain").save(draft)
                    write_json(draft / _SECONDS, cost["source"])
                    # Files that changed during the training would leave a checkpoint under a wrong key.
                    if self.read_digests()._source_key != self._source_key:
                        raise NerbertError(keys.CHANGED)
        seconds = read_json(folder / _SECONDS, dict[str, float])
        return str(folder), {
            "source": self._source_key,
            "source_data": self.source_name,
            "source_seed": self.settings.seed,
            "source_seconds": seconds,
        }


def trained_by(settings: FinetuneSettings) -> dict[str, Any]:
    """Return the training code's part of a key, with that of scoring if dev chooses the epoch."""
    # Which epoch is best depends on the rules of scoring.
    code = (keys.TRAINING, keys.SCORING) if settings.select == "dev" else (keys.TRAINING,)
    return {"code": code, "settings": in_key(settings), "seed": settings.seed}


def in_key(settings: FinetuneSettings) -> dict[str, Any]:
    """Return the settings of a training whose objective is known, sections by name; files by their content."""
    values = plain_settings(settings, OBJECTIVES.find(settings.objective).settings)
    for section in settings.sections:
        # A file counts by its content: a copy elsewhere trains the same.
        digests = {name: [data_digest(path) for path in getattr(section, name)] for name in section.reads}
        values[section.section] |= digests
    return {name: value for name, value in values.items() if name not in _NOT_IN_KEY}
