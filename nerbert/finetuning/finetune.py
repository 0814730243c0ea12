"""Encoder + annotated sentences → tagger (NER-BERT §4.4): a new head, the whole model trained.

Source & target trains on a source domain first, once for each seed. The test split is never looked at here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nerbert.artifacts import check_free, publish_folder, write_json
from nerbert.config import changed_names, plain_settings
from nerbert.errors import InputError, SettingsError
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.formats.data import AnyData, DataSet, cut_of, read_data
from nerbert.formats.documents import Reading, reading_for
from nerbert.labels import shared_tags, types_of
from nerbert.metrics.calibration import uncalibrated
from nerbert.metrics.score import score_spans
from nerbert.model.backbone import Backbone, load_tagger_model, save_model, tags_of
from nerbert.model.entity_borders import tell_hidden_entities
from nerbert.model.folder import ModelFolder, TaggerFacts, TaggerHook, read_card, write_card
from nerbert.model.forward import precision_on
from nerbert.model.fresh import JOINED, copy_head
from nerbert.model.heads import Head, predict_entities
from nerbert.model.threshold_fit import FittedThreshold, calibrated, fit_threshold
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.process import check_alone
from nerbert.records import EntityLabel, Example
from nerbert.registry import HEADS
from nerbert.terminal import progress, tell
from nerbert.training.checkpoint import BestCheckpoint
from nerbert.training.log import TrainLog
from nerbert.training.loop import TrainingData, total_steps, train
from nerbert.training.objective import FINETUNE, Objective, SpanScore, Task, chosen_objective
from nerbert.training.settings import TrainSettings
from nerbert.words import nearest_splitter

_USUAL_OBJECTIVE = TrainSettings().objective
_WIDE = 768
"""BERT-base's width."""


@dataclass(frozen=True, slots=True)
class Finetuned:
    """A model in memory: its `head`, the `log` of its training, its `card` (`best_step` None: the last was kept)."""

    model: Any
    tokenizer: Any
    head: Head
    log: TrainLog
    card: dict[str, Any]

    def save(self, folder: Path, **facts: Any) -> None:
        """Write the tagger into an existing folder; `facts` are added to its card, and replace its own."""
        save_model(folder, self.model, self.tokenizer)
        write_card(folder, "tagger", **{**self.card, **facts})


def finetune(
    encoder: str, data: AnyData, output: Path, settings: FinetuneSettings, *, source: AnyData | None = None,
    seeds: Sequence[int] = (), overwrite: bool = False, calibrate: bool = True, card: TaggerHook | None = None,
    reading: Reading | None = None,
) -> list[Path]:  # fmt: skip
    """Fine-tune `encoder` (a folder or a hub name) on `data`, once for each seed; return the taggers' folders.

    With `seeds`, even one, `output` holds `seed-N/` for each; without, it is the tagger, of the settings' seed. With
    `source`, each of them is trained on that first, with its own seed. Without `calibrate`, confidences are the model's
    own. `card` writes each tagger's model card. `reading` says how files are read.
    """
    check_alone("fine-tuning")
    check_free(output, overwrite=overwrite)
    reading = reading_for(read_card(encoder), reading, training=True)
    target = read_data(data, reading=reading)
    origin = read_data(source, reading=reading) if source is not None else None
    if settings.select == "dev" and not target.dev:
        why = f"setting select = 'dev': {target.folder} has no dev split; add one or use select = 'last'"
        raise SettingsError(why, setting="select")
    folders = {seed: f"seed-{seed}" for seed in seeds} or {settings.seed: ""}
    if len(set(seeds)) != len(seeds):
        raise SettingsError(f"seeds {', '.join(map(str, seeds))}: one is given twice")
    with publish_folder(output, overwrite=overwrite) as folder:
        for seed, name in folders.items():
            (folder / name).mkdir(exist_ok=True)
            tagger = finetune_data(encoder, target, replace(settings, seed=seed), source=origin)
            tagger.save(folder / name, **(held_out_facts(tagger.head, target) if calibrate else {}))
            if card:
                card(folder / name, TaggerFacts(read_card(str(folder / name))))
        if seeds:
            write_json(folder / "manifest.json", {"kind": "taggers", "seeds": list(seeds)})
    return [output / name for name in folders.values()]


def finetune_data(
    encoder: str, target: DataSet, settings: FinetuneSettings, *, source: DataSet | None = None
) -> Finetuned:  # fmt: skip
    """Fine-tune an encoder on a data set in memory, first on `source` if there is one; return the tagger."""
    facts, seed = _origin(encoder, source, target.reading.language) | {"data": _facts(target)}, settings.seed
    splitter = target.reading.word_splitter or (source.reading.word_splitter if source else "")
    with TemporaryDirectory() as scratch:
        if source:
            finetune_examples(
                encoder, source.train, [], source_settings(settings, seed), Path(scratch), name=str(source.folder),
                what=f"source domain, seed {seed}",
            )  # fmt: skip
        return finetune_examples(
            scratch if source else encoder, target.train, target.dev, settings, name=str(target.folder),
            what=f"fine-tuning, seed {seed}", facts=facts, splitter=splitter,
        )  # fmt: skip


def finetune_examples(
    encoder: str, examples: Sequence[Example], dev: Sequence[Example], settings: FinetuneSettings,
    folder: Path | None = None, *, name: str = "the training examples", what: str = "fine-tuning",
    facts: Mapping[str, Any] | None = None, splitter: str = "",
) -> Finetuned:  # fmt: skip
    """Fine-tune an encoder on examples in memory; `dev` is read only where `settings.select` is `dev`.

    With `folder`, an existing one, the tagger is written there, `facts` in its card. `name` is that of the data in
    errors, `what` that of the training in its progress. `splitter` is what cut texts that had no words (default: as
    `reading_for` has it): the tagger gets it where it finds more of the examples' words than every other.
    """
    if not any(each.spans for each in examples):
        raise InputError(f"{name}: no training sentence has an entity, so there is nothing to learn")
    changed, settings = changed_names(settings), objective_for(encoder, settings)
    backbone = Backbone.of(encoder, settings.seed, settings.num_layers)
    kind = chosen_objective(settings, FINETUNE)
    from nerbert.finetuning.replay import FinetuneSources  # loads what pre-training needs

    source = kind.data(FinetuneSources(settings, examples, dev))
    texts = source.concept_texts
    objective = kind.of(Task(source.types, settings, backbone, source.concepts, texts, finetunes=True))
    check_head(kind, settings)
    model = objective.make_model(backbone)
    start = _start(model, backbone, settings)
    pieces = objective.subwords(model, backbone, settings)
    tell_hidden_entities(examples, pieces, name)
    settings = replace(settings, learning_rate=settings.learning_rate or usual_rate(model.config))
    data = source.windows(pieces, objective.labels)
    about = objective.facts(data.windows)
    forgets = source.forgetting(objective, pieces)
    if forgets:
        forgets.measure(model)
    log, best = _train(model, data, objective, pieces, settings, dev, what)
    if forgets:
        about |= forgets.facts(model)
    own = splitter or reading_for(read_card(encoder), None, training=True).word_splitter
    card = dict(facts or {}) | start | {
        "word_splitter": nearest_splitter(examples, own), "max_length": settings.max_length,
        "on_too_long": settings.on_too_long, "head": objective.head_name, "types": list(source.types),
        "settings": plain_settings(settings, kind.settings), "changed": changed,
        "precision": precision_on(model.device.type, settings.precision), "log": log.entries,
        "best_step": best.best_step or None, **about, **_start_threshold(encoder, kind),
        **(best.best.facts if best.best else {}),
    }  # fmt: skip
    found = Finetuned(model, pieces.tokenizer, objective.head(model, pieces, settings), log, card)
    if folder:
        found.save(folder)
    return found


def check_head(kind: type[Objective], settings: FinetuneSettings) -> None:
    """Raise SettingsError for an objective that makes no tagger, or one whose head can't start as the settings say."""
    if not HEADS.contains(kind.head_name):
        why = f"setting objective = {settings.objective!r}: makes no tagger: its head_name is {kind.head_name!r}"
        raise SettingsError(why, setting="objective")
    if settings.source_head not in {"new", *HEADS.find(kind.head_name).starts}:
        why = f"not for the head of objective {settings.objective!r}; use 'new'"
        raise SettingsError(f"setting source_head = {settings.source_head!r}: {why}", setting="source_head")


def _start(model: Any, backbone: Backbone, settings: FinetuneSettings) -> dict[str, Any]:
    """Initialise a new head as the settings say; return the card's facts about the model's start."""
    facts, joined = dict[str, Any](), _joined(model)
    if settings.source_head == "shared":
        facts |= _keep_shared(model, backbone.source)
    frozen = {name: each for name, each in read_card(backbone.source).items() if name == "num_frozen_layers"}
    return facts | frozen | ({"joined_layer": joined} if joined else {})


def _train(
    model: Any, data: TrainingData, objective: Objective, pieces: SubwordTokenizer, settings: FinetuneSettings,
    dev: Sequence[Example], what: str,
) -> tuple[TrainLog, BestCheckpoint]:  # fmt: skip
    """Train the model, and restore its best step on dev if the settings choose it; return that step's score, too."""
    score = SpanScore(
        lambda model: objective.head(model, pieces, settings), dev,
        lambda gold, found: {"dev_f1": score_spans(gold, found).f1}, "dev_f1",
    )  # fmt: skip
    kept = dict[str, Any]()
    best = BestCheckpoint(score, lambda model, *_: kept.update(_copied(model.state_dict())), settings.patience)
    total = total_steps(len(data.numbers_of(0)), settings)
    with progress(what, total) as bar:
        log = train(model, data, objective, settings, bar, evaluate=best if settings.select == "dev" else None)
    if log.steps < total:
        tell(f"{what}: ended after step {log.steps} of {total}, out of patience; step {best.best_step} is kept")
    if kept:
        model.load_state_dict(kept)
    model.eval()
    return log, best


def _start_threshold(start: str, kind: type[Objective]) -> dict[str, float]:
    """Return the threshold of the folder at `start` as a card's fact, without its temperature; nothing for fixed types.

    The new tagger has no temperature yet.
    """
    card = read_card(start)
    if card.get("threshold") is None or not HEADS.find(kind.head_name).labels_at_run_time:
        return {}
    return {"threshold": uncalibrated(card["threshold"], (card.get("calibration") or {}).get("temperature", 1.0))}


def source_settings(settings: FinetuneSettings, seed: int) -> FinetuneSettings:
    """Return the settings for the source domain: its own number of epochs, no selection on dev."""
    return replace(
        settings, seed=seed, epochs=settings.source_epochs, min_steps=0, max_steps=0, select="last", patience=0,
        sections=tuple(each for each in settings.sections if each.section != "replay"),
    )  # fmt: skip


def objective_for(encoder: str, settings: FinetuneSettings) -> FinetuneSettings:
    """Return the settings with an objective: by the encoder, if they name none."""
    if settings.objective:
        return settings
    return replace(settings, objective=ModelFolder.open(encoder).kind.objective or _USUAL_OBJECTIVE)


def usual_rate(config: Any) -> float:
    """Return the default learning rate: NER-BERT §4.4's from BERT-base's width on, else what was best on MiniLM."""
    return 5e-5 if int(getattr(config, "hidden_size", 0) or _WIDE) >= _WIDE else 2e-4


def _keep_shared(model: Any, start: str) -> dict[str, Any]:
    """Copy the weights of shared types from the head of a tagger at `start`; return a card's fact."""
    if read_card(start).get("kind") != "tagger":
        return {}
    other = load_tagger_model(start)
    if _joined(model) != _joined(other):
        why = f"setting source_head = 'shared': the head of {start} reads other layers (joined_layer); use 'new'"
        raise SettingsError(why, setting="source_head")
    tags, others = tags_of(model, start), tags_of(other, start)
    same = shared_tags(tags, others)
    copy_head(model, other, {tags.index(tag): others.index(name) for tag, name in same.items()})
    return {"shared_types": types_of(same)}


def _joined(model: Any) -> int:
    return int(getattr(model.config, JOINED, 0))


def _copied(weights: Mapping[str, Any]) -> dict[str, Any]:
    return {name: each.detach().to("cpu", copy=True) for name, each in weights.items()}


def _origin(encoder: str, source: DataSet | None, language: str = "") -> dict[str, Any]:
    """Return a tagger card's facts about its origin, without a local folder's name; `language`: the data's."""
    name, card = None if Path(encoder).exists() else encoder, read_card(encoder)
    facts: dict[str, Any] = {
        "language": language or card.get("language", "en"),
        "encoder": {"kind": card.get("kind", "foreign"), "corpus": card.get("corpus"), "name": name},
    }
    return facts | ({"source_data": _facts(source)} if source else {})


def _facts(data: DataSet) -> dict[str, Any]:
    return {"name": data.folder.name, "sentences": len(data.train), "sha256": data.sha256, **cut_of(data.reading)}


def held_out_facts(head: Head, data: DataSet) -> dict[str, Any]:
    """Return scores on the dev split and the temperature fitted there; nothing if there is none.

    A head of labels at run time is scored at the threshold that is best there, which is a fact, too.
    """
    if not data.dev:
        return {}
    head, best = at_best_threshold(head, data.dev)
    found = predict_entities(head, data.dev)
    calibration, own = found.calibration_json(data.source("dev")), dict[str, float]()
    if best is not None:
        calibration["threshold_f1"] = best.f1
        own["threshold"] = calibrated(best.probability, calibration["temperature"])
    return {"dev": found.scores_json(), "calibration": calibration, **own}


def at_best_threshold(head: Head, dev: Sequence[Example]) -> tuple[Head, FittedThreshold | None]:
    """Return a head of labels at run time at the threshold that is best on sentences, and that; one of fixed types as
    it is.
    """
    if not head.usual_threshold:
        return head, None
    labels = list(map(EntityLabel, head.types))
    best = fit_threshold(head, labels, dev)
    return head.for_labels(labels, [best.probability] * len(labels)), best
