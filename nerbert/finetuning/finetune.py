"""Encoder + annotated sentences → tagger (NER-BERT §4.4), for each seed, in memory or written to folders.

The whole model is trained. Source & target trains on a source domain first, once for each seed. The test split is never
looked at here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nerbert.artifacts import check_free, publish_folder, write_json
from nerbert.config import changed_names, plain_settings
from nerbert.errors import SettingsError
from nerbert.finetuning.add_types import AddTypes, prepare
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.finetuning.start import Start, objective_for
from nerbert.formats.data import AnyData, DataSet, cut_of, read_data
from nerbert.formats.documents import Reading, reading_for
from nerbert.metrics.score import score_spans
from nerbert.model.backbone import save_model
from nerbert.model.folder import TaggerFacts, TaggerHook, read_card, write_card
from nerbert.model.forward import precision_on
from nerbert.model.heads import Head, predict_entities
from nerbert.model.threshold_fit import calibrated, fit_threshold
from nerbert.model.tokenizer import SubwordTokenizer, tell_hidden_entities
from nerbert.process import check_alone
from nerbert.records import Example
from nerbert.terminal import progress, tell
from nerbert.training.batches import TrainingData
from nerbert.training.checkpoint import BestCheckpoint, TrainLog
from nerbert.training.loop import total_steps, train
from nerbert.training.objective import Objective, SpanScore, find_objective
from nerbert.words import nearest_splitter


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
    reading: Reading | None = None, labels: Mapping[str, str] | None = None, add_types: AddTypes | None = None,
) -> list[Path]:  # fmt: skip
    """Fine-tune `encoder` (a folder or a hub name) on `data`, once for each seed; return the taggers' folders.

    With `seeds`, even one, `output` holds `seed-N/` for each; without, it is the tagger, of the settings' seed. With
    `source`, each of them is trained on that first, with its own seed. Without `calibrate`, confidences are the model's
    own. `card` writes each tagger's model card. `reading` says how files are read; `labels` are as in
    `finetune_examples`. With `add_types`, `encoder` is a tagger that keeps its own types.
    """
    check_alone("fine-tuning")
    check_free(output, overwrite=overwrite)
    reading = reading_for(read_card(encoder), reading, training=True)
    target = read_data(data, reading=reading)
    origin = read_data(source, reading=reading) if source is not None else None
    folders = {seed: f"seed-{seed}" for seed in seeds} or {settings.seed: ""}
    if len(set(seeds)) != len(seeds):
        raise SettingsError(f"seeds {', '.join(map(str, seeds))}: one is given twice")
    facts, types, prepared = dict[str, Any](), list[str](), None
    if add_types:
        if origin:
            raise SettingsError(
                f"--source {origin.folder}: a tagger that keeps its types has no source domain; leave it out"
            )
        prepared = prepare(encoder, target, settings, add_types, labels)
        target, settings, labels = prepared.data, prepared.settings, prepared.labels
        facts, types = prepared.facts, prepared.facts["added_types"]["own"]
    with publish_folder(output, overwrite=overwrite) as folder:
        for seed, name in folders.items():
            (folder / name).mkdir(exist_ok=True)
            own = replace(settings, seed=seed)
            tagger = finetune_data(encoder, target, own, source=origin, labels=labels, types=types)
            if prepared and prepared.old:
                both = prepared.with_old(tagger.head)
                tagger = finetune_data(encoder, both, own, labels=labels, types=types)
            tagger.save(folder / name, **facts, **(held_out_facts(tagger.head, target) if calibrate else {}))
            if card:
                card(folder / name, TaggerFacts(read_card(str(folder / name))))
        if seeds:
            write_json(folder / "manifest.json", {"kind": "taggers", "seeds": list(seeds)})
    return [output / name for name in folders.values()]


def finetune_data(
    encoder: str, target: DataSet, settings: FinetuneSettings, *, source: DataSet | None = None,
    labels: Mapping[str, str] | None = None, types: Sequence[str] = (),
) -> Finetuned:  # fmt: skip
    """Fine-tune an encoder on a data set in memory, first on `source` if there is one; return the tagger.

    `labels` and `types` are as in `finetune_examples`.
    """
    facts, seed = _origin(encoder, source, target.reading.language) | {"data": _facts(target)}, settings.seed
    splitter = target.reading.word_splitter or (source.reading.word_splitter if source else "")
    joined = source and find_objective(objective_for(encoder, settings).objective).joins_source
    if settings.select == "dev" and not (target.dev or (joined and source and source.dev)):
        why = f"setting select = 'dev': {target.folder} has no dev split; add one or use select = 'last'"
        raise SettingsError(why, setting="select")
    with TemporaryDirectory(prefix="nerbert-") as scratch:
        if source and not joined:
            finetune_examples(
                encoder, source.train, [], source_settings(settings, seed), Path(scratch), name=str(source.folder),
                what=f"source domain, seed {seed}",
            )  # fmt: skip
        return finetune_examples(
            scratch if source and not joined else encoder, target.train, target.dev, settings, name=str(target.folder),
            what=f"fine-tuning, seed {seed}", facts=facts, splitter=splitter, labels=labels,
            source=source if joined else None, types=types,
        )  # fmt: skip


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


def finetune_examples(
    encoder: str, examples: Sequence[Example], dev: Sequence[Example], settings: FinetuneSettings,
    folder: Path | None = None, *, name: str = "the training examples", what: str = "fine-tuning",
    facts: Mapping[str, Any] | None = None, splitter: str = "", labels: Mapping[str, str] | None = None,
    source: DataSet | None = None, types: Sequence[str] = (),
) -> Finetuned:  # fmt: skip
    """Fine-tune an encoder on examples in memory; `dev` is read only where `settings.select` is `dev`.

    With `folder`, an existing one, the tagger is written there, `facts` in its card. `name` is that of the data in
    errors, `what` that of the training in its progress. `splitter` is what cut texts that had no words (default: as
    `reading_for` has it): the tagger gets it where it finds more of the examples' words than every other. `labels` are
    the words that a model of labels at run time reads for types (default: the type's name in words), also
    for types that no example has; a head of fixed types also gets `types`. `source` is a source domain, for an
    objective that learns from both together.
    """
    changed = changed_names(settings)
    start = Start.of(encoder, examples, dev, settings, name=name, labels=labels, source=source, types=types)
    settings, objective, model, pieces = start.settings, start.objective, start.model, start.pieces
    if settings.select == "dev" and not start.source.held_out():
        why = f"setting select = 'dev': {name} has no dev split; add one or use select = 'last'"
        raise SettingsError(why, setting="select")
    tell_hidden_entities(examples, pieces, name)
    data = start.source.windows(pieces, objective.labels)
    about = objective.facts(data.windows)
    log, best = _train(model, data, objective, pieces, settings, start.source.held_out(), what)
    card = dict(facts or {}) | start.facts | start.source.facts | {
        "word_splitter": nearest_splitter(examples, splitter or start.splitter), "max_length": settings.max_length,
        "on_too_long": settings.on_too_long, "head": objective.head_name, "types": list(start.source.types),
        "settings": plain_settings(settings, objective.settings), "changed": changed,
        "precision": precision_on(model.device.type, settings.precision), "log": log.entries,
        "best_step": best.best_step or None, **about, **(best.best.facts if best.best else {}),
    }  # fmt: skip
    found = Finetuned(model, pieces.tokenizer, start.head(), log, card)
    if folder:
        found.save(folder)
    return found


def _train(
    model: Any, data: TrainingData, objective: Objective, pieces: SubwordTokenizer, settings: FinetuneSettings,
    dev: Sequence[Example], what: str,
) -> tuple[TrainLog, BestCheckpoint]:  # fmt: skip
    """Train the model, and restore its best step on dev if the settings choose it; return that step's score, too."""
    score = SpanScore(
        lambda model: objective.choosing_head(model, pieces, settings), dev,
        lambda gold, found: {"dev_f1": score_spans(gold, found).f1}, "dev_f1",
    )  # fmt: skip
    kept = dict[str, Any]()

    def keep(model: Any, *_: object) -> None:
        kept.update({name: each.detach().to("cpu", copy=True) for name, each in model.state_dict().items()})

    best = BestCheckpoint(score, keep, settings.patience)
    total = total_steps(len(data.numbers_of(0)), settings)
    with progress(what, total) as bar:
        log = train(model, data, objective, settings, bar, evaluate=best if settings.select == "dev" else None)
    if log.steps < total:
        tell(f"{what}: ended after step {log.steps} of {total}, out of patience; step {best.best_step} is kept")
    if kept:
        model.load_state_dict(kept)
    model.eval()
    return log, best


def source_settings(settings: FinetuneSettings, seed: int) -> FinetuneSettings:
    """Return the settings for the source domain: its own number of epochs, no selection on dev."""
    return replace(
        settings, seed=seed, epochs=settings.source_epochs, min_steps=0, max_steps=0, select="last", patience=0,
        sections=tuple(each for each in settings.sections if each.section != "replay"),
    )  # fmt: skip


def held_out_facts(head: Head, data: DataSet) -> dict[str, Any]:
    """Return scores on the dev split and the temperature fitted there; nothing if there is none.

    A head of labels at run time is scored at the threshold that is best there, which is a fact, too.
    """
    if not data.dev:
        return {}
    best = fit_threshold(head, head.labels, data.dev) if head.usual_threshold else None
    if best:
        head = head.for_labels(head.labels, [best.probability] * len(head.labels))
    found = predict_entities(head, data.dev)
    calibration, own = found.calibration_json(data.source("dev")), dict[str, float]()
    if best:
        calibration["threshold_f1"] = best.f1
        own["threshold"] = calibrated(best.probability, calibration["temperature"])
    dev = {"sentences": found.examples, "decoding": found.decoding, **found.score.as_json()}
    return {"dev": dev, "calibration": calibration, **own}
