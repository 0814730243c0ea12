"""The start of fine-tuning: a new head on an encoder (NER-BERT §4.4), a tagger's head, or both parts of a model."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from nerbert.config import refuse
from nerbert.data.splits import DataSet
from nerbert.errors import InputError, SettingsError, few
from nerbert.finetuning.averaging import WeightAverage
from nerbert.finetuning.domains import Domains
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.labels import OUTSIDE, learnt_words, shared_tags, types_of, types_of_examples
from nerbert.metrics.calibration import scaling_of
from nerbert.model.backbone import Backbone, load_tagger_model, tags_of
from nerbert.model.folder import ModelFolder, read_card
from nerbert.model.head_kinds import HEADS
from nerbert.model.heads import Head
from nerbert.model.surgery import JOINED, copy_head
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.terminal import tell
from nerbert.training.objective import FINETUNE, OBJECTIVES, Objective, TaggerObjective, Task
from nerbert.training.run import total_steps
from nerbert.training.sections import chosen_objective
from nerbert.training.settings import TrainSettings

_Settings = TypeVar("_Settings", bound=FinetuneSettings)
_USUAL_OBJECTIVE = TrainSettings().objective
_USUAL_STEPS, _GENTLE_STEPS, _SHORT_STEPS = 250, 100, 50
"""Default minimum of steps; that of an objective that trains gently (docs/results); and that of one from MiniLM's width
on."""
_GENTLE_SHARE = 0.5
"""Share of the usual rate for an objective that trains gently."""
_WIDE, _NARROW = 768, 384
"""Widths of BERT-base and of MiniLM."""
_NARROW_RATE = 5e-4
"""Rate of an objective that trains gently on encoders narrower than MiniLM."""


@dataclass(frozen=True, slots=True)
class Start:
    """The start of fine-tuning: model, objective for the data's types, resolved settings, and `facts` for the card."""

    model: Any
    objective: TaggerObjective
    pieces: SubwordTokenizer
    source: Any
    settings: FinetuneSettings
    facts: dict[str, Any]

    @classmethod
    def of(cls, encoder: str, domains: Domains[DataSet], settings: FinetuneSettings) -> "Start":
        """Return the start (without sentences: the unchanged model); raise an error for unsuitable settings."""
        from nerbert.finetuning.data import FinetuneData  # imports what pre-training needs

        settings, chosen = choose_objective(encoder, settings)
        traits = chosen.traits
        at_run_time = HEADS.find(chosen.head_name).labels_at_run_time
        card = read_card(encoder)
        backbone = Backbone.of(encoder, settings.seed, settings.num_layers)
        if settings.min_steps < 0:
            settings = replace(settings, min_steps=_usual_steps(backbone, gentle=traits.trains_gently))
        if at_run_time:
            domains = replace(domains, labels=_words_of_types(card, domains))
        else:
            # Fixed types are numbers to the head: it would read no label.
            why = f"objective = {settings.objective!r} has fixed types, and reads no labels"
            refuse(bool(domains.labels), "labels", ", ".join(domains.labels), f"left out: {why}")
        data = chosen.data(FinetuneData(settings, domains, card["word_splitter"]))
        if domains.target.train:
            _check_data(data, domains, settings)
        texts = data.concept_texts
        objective = chosen.of(Task(data.types, settings, backbone, data.concepts, texts, finetunes=True, data=data))
        model = objective.make_model(backbone)
        pieces = objective.subwords(model, backbone, settings)
        rate = settings.learning_rate or traits.usual_rate or usual_rate(model.config, gentle=traits.trains_gently)
        settings = replace(settings, learning_rate=rate)
        shared = settings.source_head == "shared" and has_tags(backbone.source)
        if not shared and not settings.new_layers_learning_rate:
            rate = objective.new_layers_rate(model, pieces, domains.target.train, settings)
            settings = replace(settings, new_layers_learning_rate=rate)
        facts = {
            "shared_types": _keep_shared(model, backbone.source) if shared else None,
            # Goes along, so that a later training can still join the highest frozen layer.
            "num_frozen_layers": card.get("num_frozen_layers"),
            "threshold": _threshold_of(card) if at_run_time else None,
            "joined_layer": _joined_layer(model) or None,
            "words_of_types": dict(texts) or None,
        }
        known = {name: value for name, value in facts.items() if value is not None}
        return cls(model, objective, pieces, data, settings, known)

    def average(self) -> WeightAverage | None:
        """Return the average of the current weights with later ones, or None if only the later ones are worth keeping.

        Only a model that finds entities of all the data's types before its training is worth averaging with. Raise
        SettingsError if the settings ask for an average with another one.
        """
        share = self.settings.trained_share
        if share == 1:
            return None
        if takes_labels(self.settings) or self.facts.get("shared_types") == list(self.source.types):
            return WeightAverage(self.model)
        refuse(share != "auto", "trained_share", share, "1 or 'auto', since the start doesn't know all types")
        return None

    def head(self) -> Head:
        """Return the current model as a head that finds the types; run-time labels have the card's threshold."""
        head = self.objective.head(self.model, self.pieces, self.settings)
        least = self.facts.get("threshold")
        return head if least is None else head.for_labels(head.labels, [least] * len(head.labels))


def takes_labels(settings: FinetuneSettings) -> bool:
    """Return whether taggers of the settings' objective take labels at run time."""
    return HEADS.find(check_head(OBJECTIVES.find(settings.objective), settings).head_name).labels_at_run_time


def least_steps(settings: FinetuneSettings) -> int:
    """Return the fewest steps of a training, whatever its sentences and encoder."""
    gentle = OBJECTIVES.find(settings.objective).traits.trains_gently
    least = settings.min_steps if settings.min_steps >= 0 else _SHORT_STEPS if gentle else _USUAL_STEPS
    return total_steps(0, replace(settings, min_steps=least))


def check_head(objective: type[Objective], settings: FinetuneSettings) -> type[TaggerObjective]:
    """Return an objective that makes taggers and whose head can start as set; raise SettingsError otherwise."""
    name = getattr(objective, "head_name", "")
    if not issubclass(objective, TaggerObjective) or not HEADS.contains(name):
        why = f"setting objective = {settings.objective!r}: makes no tagger: its head_name is {name!r}"
        raise SettingsError(why, setting="objective")
    if settings.source_head not in {"new", *HEADS.find(name).starts}:
        kept = HEADS.find(name).labels_at_run_time
        why = f"not for the head of objective {settings.objective!r}; " + (
            "leave it out: this head keeps its weights anyway" if kept else "use 'new'"
        )
        raise SettingsError(f"setting source_head = {settings.source_head!r}: {why}", setting="source_head")
    return objective


def choose_objective(encoder: str, settings: FinetuneSettings) -> tuple[FinetuneSettings, type[TaggerObjective]]:
    """Return settings with an objective, and this objective; raise SettingsError if it can't fine-tune as set."""
    settings = objective_for(encoder, settings)
    return settings, check_head(chosen_objective(settings, FINETUNE), settings)


def objective_for(encoder: str, settings: _Settings, default: str = _USUAL_OBJECTIVE) -> _Settings:
    """Return settings with an objective: if they name none, the encoder's own one, or `default`."""
    if settings.objective:
        return settings
    folder = ModelFolder.open(encoder)
    return replace(settings, objective=folder.kind.usual_objective(folder.path) or default)


def usual_rate(config: Any, *, gentle: bool = False) -> float:
    """Return the default learning rate: NER-BERT §4.4's from BERT-base's width on, below it the best one on MiniLM.

    `gentle` says that the objective trains gently.
    """
    width = _width(config)
    rate = 1e-4 if width >= _WIDE else 2e-4
    if not gentle:
        return rate
    return rate * _GENTLE_SHARE if width >= _NARROW else _NARROW_RATE


def _usual_steps(backbone: Backbone, *, gentle: bool) -> int:
    if not gentle:
        return _USUAL_STEPS
    return _SHORT_STEPS if _width(backbone.config) >= _NARROW else _GENTLE_STEPS


def _threshold_of(card: Mapping[str, Any]) -> float | None:
    # The card's threshold holds for confidences by its scaling; the new tagger has none yet.
    threshold = card.get("threshold")
    return None if threshold is None else scaling_of(card).undo(threshold)


def _width(config: Any) -> int:
    return int(getattr(config, "hidden_size", 0) or _WIDE)


def _words_of_types(card: Mapping[str, Any], domains: Domains[DataSet]) -> dict[str, str]:
    """Return the words of types: those that the start learnt, and the given labels."""
    types = types_of_examples(domains.target.train)
    learnt = {type_: " or ".join(words) for type_, words in learnt_words(card).items() if type_ in types}
    return learnt | dict(domains.labels)


def _check_data(data: Any, domains: Domains[DataSet], settings: FinetuneSettings) -> None:
    """Raise an error if there is nothing to learn from, or nothing to choose the model on."""
    if not data.has_entities:
        name = domains.target.folder
        raise InputError(f"{name}: no training sentence has an entity, so there is nothing to learn")
    # Asked of the data, not of the domains: an objective may hold out others.
    if not data.held_out():
        domains.check_dev(settings)


def _keep_shared(model: Any, start: str) -> list[str]:
    """Copy the weights of shared types from the head of a tagger at `start`; return these types."""
    other = load_tagger_model(start)
    if _joined_layer(model) != _joined_layer(other):
        why = f"setting source_head = 'shared': the head of {start} reads other layers (joined_layer); use 'new'"
        raise SettingsError(why, setting="source_head")
    tags = tags_of(model, start)
    others = tags_of(other, start)
    # A merged tag has several rows, none of which is the tag alone; O may have several all the same.
    merged = {tag for tag in others if others.count(tag) > 1} - {OUTSIDE}
    if merged:
        tell(f"{start}: its merged types ({few(types_of(merged))}) start anew")
    same = shared_tags(tags, [tag for tag in others if tag not in merged])
    copy_head(model, other, {tags.index(tag): others.index(name) for tag, name in same.items()})
    return types_of(same)


def has_tags(start: str) -> bool:
    """Return whether a folder is a tagger of fixed types, of nerbert or another one for token classification."""
    folder = ModelFolder.open(start)
    if folder.card["kind"] != "foreign":
        return bool(folder.card["kind"] == "tagger")
    return "ForTokenClassification" in str(folder.kind.encoder(folder.path).get("architectures"))


def _joined_layer(model: Any) -> int:
    return int(getattr(model.config, JOINED, 0))
