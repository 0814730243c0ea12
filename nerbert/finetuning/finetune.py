"""Encoder + annotated sentences → tagger (NER-BERT §4.4), for each seed; all weights are trained.

Source & target trains on a source domain first, once for each seed. The test split is never read here.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from nerbert.artifacts import check_free, publish_folder, write_json
from nerbert.data.splits import AnyData, DataSet
from nerbert.errors import SettingsError, few
from nerbert.finetuning.averaging import WeightAverage, choose_share, training_f1
from nerbert.finetuning.domains import Domains
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.finetuning.start import Start, choose_objective
from nerbert.labels import types_of_examples
from nerbert.metrics.calibration import Scaling
from nerbert.metrics.score import score_spans
from nerbert.model.backbone import save_model
from nerbert.model.folder import ModelFolder, TaggerFacts, TaggerHook, read_card, write_card
from nerbert.model.forward import precision_on
from nerbert.model.head_kinds import labels_at_run_time
from nerbert.model.heads import Head, predict_entities
from nerbert.model.threshold_fit import calibrate_threshold, fit_threshold
from nerbert.model.tokenizer import tell_hidden_entities
from nerbert.process import check_alone, in_worker
from nerbert.records import Example
from nerbert.terminal import progress, tell
from nerbert.training.batches import TrainingData
from nerbert.training.checkpoint import BestCheckpoint, TrainLog
from nerbert.training.distributed import make_process_group
from nerbert.training.loop import train
from nerbert.training.objective import SpanScore
from nerbert.training.run import Run
from nerbert.training.settings import changed_names, plain_settings

_SHARE, _SHORTEST = 0.9, 16
"""A tagger's windows of long texts, as a share of the longest windows it was trained on, and their minimum number of
subwords: training reached few later positions (docs/results/2026-11-28-long-texts.md)."""
_FEW_TYPES = 3
"""Up to so many types, a model of any labels forgets others: by one, F1 on others fell by half."""


@dataclass(frozen=True, slots=True)
class Finetuned:
    """A model in memory: its `head`, training `log` and `card` (`best_step` None: the last model was kept)."""

    model: Any
    tokenizer: Any
    head: Head
    log: TrainLog
    card: dict[str, Any]

    def save(self, folder: Path, **facts: Any) -> None:
        """Write the tagger into an existing folder; `facts` are added to its card, and override its own."""
        save_model(folder, self.model, self.tokenizer)
        write_card(folder, "tagger", **{**self.card, **facts})


@dataclass(frozen=True, slots=True)
class TaggerOutput:
    """The folder of one tagger; with `seeds`, of one tagger per seed, in `seed-N/`.

    Without `calibrate`, confidences are the model's own. `card` writes a model card, `facts` go into `nerbert.json`.
    """

    folder: Path
    seeds: Sequence[int] = ()
    overwrite: bool = False
    calibrate: bool = True
    card: TaggerHook | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def folders(self) -> list[Path]:
        """Return the folder of each tagger."""
        return [self.folder / f"seed-{seed}" for seed in self.seeds] or [self.folder]

    def check(self) -> None:
        """Raise an error if no tagger can be written; call this before long work."""
        check_alone("fine-tuning")
        check_free(self.folder, overwrite=self.overwrite)
        if len(set(self.seeds)) != len(self.seeds):
            raise SettingsError(f"seeds {', '.join(map(str, self.seeds))}: one is given twice")

    @contextmanager
    def each_seed(self, settings: FinetuneSettings) -> Iterator[list[tuple["TaggerOutput", FinetuneSettings]]]:
        """Yield the output and the settings of each tagger; those of several seeds are published together."""
        if not self.seeds:
            yield [(self, settings)]
            return
        with publish_folder(self.folder, overwrite=self.overwrite) as draft:
            outputs = [replace(self, folder=draft / path.name, seeds=()) for path in self.folders]
            yield [(output, replace(settings, seed=seed)) for output, seed in zip(outputs, self.seeds, strict=True)]
            write_json(draft / "manifest.json", {"kind": "taggers", "seeds": list(self.seeds)})

    def write(self, folder: Path, tagger: Finetuned, data: DataSet) -> None:
        """Write a tagger into an existing folder, with its scores on the dev split of `data`, if there is one."""
        tagger.save(folder, **self.facts, **(held_out_facts(tagger.head, data) if self.calibrate else {}))
        if self.card:
            self.card(folder, TaggerFacts(read_card(str(folder))))


def finetune(encoder: str, data: Domains[AnyData], output: TaggerOutput, settings: FinetuneSettings) -> list[Path]:
    """Fine-tune `encoder` (a folder or a hub name) on `data`, once for each seed; return the taggers' folders.

    Without seeds there is one tagger, of the settings' seed. A source domain is trained on first, for each seed.
    """
    output.check()
    domains = data.read(encoder)
    _tell_lost_types(encoder, domains)
    with output.each_seed(settings) as outputs:
        for seed_output, seed_settings in outputs:
            with publish_folder(seed_output.folder, overwrite=output.overwrite) as folder:
                tagger = finetune_domains(encoder, domains, seed_settings)
                output.write(folder, tagger, domains.target)
    return output.folders


def _tell_lost_types(encoder: str, domains: Domains[DataSet]) -> None:
    """Say which types the tagger will lose, or that one of few types will find others less; not if it keeps types."""
    card = read_card(encoder)
    types = {*types_of_examples(domains.target.train), *domains.types, *domains.labels}
    if card["kind"] == "tagger" and (lost := sorted({*card["types"]} - types)):
        tell(f"the new tagger won't find {few(lost)}: types of {encoder} that the data lack; --add-types keeps them")
    elif not domains.types and len(types) <= _FEW_TYPES and labels_at_run_time(ModelFolder.open(encoder)):
        tell(
            f"note: trained on {few(sorted(types))} alone, the new tagger will find other types less than {encoder} "
            "does; --add-types keeps those that it has or that --labels names"
        )


def finetune_domains(encoder: str, domains: Domains[DataSet], settings: FinetuneSettings) -> Finetuned:
    """Fine-tune an encoder on sentences in memory, first on the source domain if there is one; return the tagger."""
    # Objectives that join both domains read the source themselves.
    first = None if choose_objective(encoder, settings)[1].traits.joins_source else domains.source
    with TemporaryDirectory(prefix="nerbert-") as scratch:
        if first:
            domains.check_dev(settings)
            # A missing dev split is told before the source's training, not after it.
            source = train_tagger(encoder, Domains(first), source_settings(settings), "source domain")
            source.save(Path(scratch))
        tagger = train_tagger(scratch if first else encoder, domains, settings)
    return replace(tagger, card=domains.facts(encoder) | tagger.card)


def train_tagger(
    encoder: str, domains: Domains[DataSet], settings: FinetuneSettings, title: str = "fine-tuning"
) -> Finetuned:
    """Return an encoder fine-tuned on the target, or on both domains; the progress bar shows `title`."""
    changed = changed_names(settings)
    start = Start.of(encoder, domains, settings)
    settings, objective = start.settings, start.objective
    tell_hidden_entities(domains.target.train, start.pieces, str(domains.target.folder))
    data = start.source.windows(start.pieces, objective.labels)
    facts = objective.facts(data.windows)
    average = start.average()
    log = _train(start, data, f"{title}, seed {settings.seed}")
    if average:
        facts["trained_share"] = _use_average(average, start, domains.target.train)
    start.pieces.window = max(_SHORTEST, int(np.quantile(data.windows.lengths, _SHARE)))
    card = (
        start.facts
        | start.source.facts
        | {
            "word_splitter": domains.word_splitter(encoder),
            "max_length": settings.max_length,
            "window_length": start.pieces.window,
            "on_too_long": settings.on_too_long,
            "head": objective.head_name,
            "types": list(start.source.types),
            "settings": plain_settings(settings, objective.settings),
            "changed": changed,
            "precision": precision_on(start.model.device.type, settings.precision),
            "log": log.entries,
            "best_step": log.best_step or None,
            **facts,
        }
    )
    return Finetuned(start.model, start.pieces.tokenizer, start.head(), log, card)


def _use_average(average: WeightAverage, start: Start, examples: Sequence[Example]) -> float:
    """Average the trained model with its start in place; return the share of the trained weights (0–1)."""
    average.end_training()
    share = start.settings.trained_share
    if share == "auto":
        entities = sum(len(example.spans) for example in examples)
        share = choose_share(average, lambda: training_f1(start.head(), examples), len(examples), entities)
    average.use(share)
    tell(f"the tagger's weights are an average: {share:.0%} trained, {1 - share:.0%} those of the start")
    return share


def _train(start: Start, data: TrainingData, title: str) -> TrainLog:
    """Train the model, and restore its best step on dev if the settings select it."""
    model, objective, settings = start.model, start.objective, start.settings
    score = SpanScore(
        lambda model: objective.choosing_head(model, start.pieces, settings),
        start.source.held_out(),
        lambda gold, predicted: {"dev_f1": score_spans(gold, predicted).f1},
        "dev_f1",
    )
    kept = dict[str, Any]()

    def keep(model: Any, *_: object) -> None:
        # A copy on the CPU: the model goes on changing, and a GPU may have no room for two.
        kept.update({name: tensor.detach().to("cpu", copy=True) for name, tensor in model.state_dict().items()})

    run = Run(model, data, objective, settings, make_process_group(settings))
    run.evaluate = BestCheckpoint(score, keep, settings.patience) if settings.select == "dev" else None
    with progress(title, run.total, logged=not in_worker()) as run.bar:
        log = train(run)
    if log.steps < run.total:
        tell(f"{title}: ended after step {log.steps} of {run.total}, out of patience; step {log.best_step} is kept")
    if kept:
        model.load_state_dict(kept)
    model.eval()
    return log


def source_settings(settings: FinetuneSettings) -> FinetuneSettings:
    """Return the settings for the source domain: a separate number of epochs, and no selection on dev."""
    return replace(
        settings,
        epochs=settings.source_epochs,
        min_steps=0,
        max_steps=0,
        select="last",
        patience=0,
        trained_share="auto",
        sections=tuple(section for section in settings.sections if section.section != "replay"),
    )


def held_out_facts(head: Head, data: DataSet) -> dict[str, Any]:
    """Return scores on dev, and the scaling and run-time labels' threshold fitted there; {} without dev."""
    if not data.dev:
        return {}
    best = fit_threshold(head, head.labels, data.dev) if head.usual_threshold else None
    if best:
        # Scores and scaling are those of the answers that a user will get.
        head = head.for_labels(head.labels, [best.probability] * len(head.labels))
    entities = predict_entities(head, data.dev)
    calibration = entities.calibration_json(data.source("dev"))
    threshold = dict[str, float]()
    if best:
        calibration["threshold_f1"] = best.f1
        threshold["threshold"] = calibrate_threshold(best.probability, Scaling.read(calibration))
    dev = {"sentences": entities.examples, "decoding": entities.decoding, **entities.score.as_json()}
    return {"dev": dev, "calibration": calibration, **threshold}
