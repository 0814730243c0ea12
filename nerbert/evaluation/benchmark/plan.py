"""Plan a suite: each of its cells as a job, a system with its data and the keys of its steps.

Steps depend on one another: `source` (a checkpoint trained on a source domain; made once for all cells of its seed) →
`tag` (fine-tuned, test sentences tagged) → `score`; a step's key is a part of the next one's. Digests are of exactly
what a step reads. No sentence is read or drawn here. Cost: a size that can't be drawn is reported by its cells.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

import torch

from nerbert.config import refuse
from nerbert.errors import InputError, NerbertError
from nerbert.evaluation.benchmark import keys
from nerbert.evaluation.benchmark.cells import Cell, CellKey, Machine, State
from nerbert.evaluation.benchmark.job import Job
from nerbert.evaluation.benchmark.keys import DataFiles, encoder_digest, key_of
from nerbert.evaluation.benchmark.suite import Suite, SystemSettings, Target
from nerbert.evaluation.benchmark.system import System
from nerbert.evaluation.benchmark.systems.external import Command, command_digest
from nerbert.evaluation.benchmark.systems.finetuned import Encoder, FineTuned, SourceDomain, trained_by
from nerbert.evaluation.benchmark.systems.learnt import Learnt, learnt_digest
from nerbert.evaluation.benchmark.systems.zero_shot import SeenOnly, ZeroShotTagger
from nerbert.evaluation.datasets.load import find_folder
from nerbert.finetuning.sampling import SizeUnit, parse_size
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.finetuning.start import check_head, objective_for
from nerbert.formats.entity_labels import parse_type_labels
from nerbert.model.folder import ModelFolder
from nerbert.model.forward import best_precision
from nerbert.terminal import tell
from nerbert.training.objective import FINETUNE, chosen_objective, find_objective

_Out = TypeVar("_Out")


def this_machine() -> Machine:
    """Return this machine's device for training, and its best precision."""
    other = "mps" if torch.backends.mps.is_available() else "cpu"
    device = "cuda" if torch.cuda.is_available() else other
    return Machine(device, best_precision(device))


def make_plan(suite: Suite, data: Path, machine: Machine) -> list[Job | Cell]:
    """Return every cell of a suite by priority: a job, or a cell that can't run, with the reason."""
    planner = _Planner(suite, data, machine)
    return [planner.plan(place) for place in suite.places()]


class _NotRunError(NerbertError):
    """Why a cell of the suite's tables is not run."""


class _Planner:
    """Inspects each encoder and data set once; failures are cached too."""

    def __init__(self, suite: Suite, data: Path, machine: Machine) -> None:
        self.suite, self.machine = suite, machine
        self.encoder_of, self.command_of = _remembered(_encoder), _remembered(command_digest)
        self.files_of = _remembered(DataFiles.find)
        self.folder_of = _remembered(partial(find_folder, data))
        self.learnt_of = _remembered(_learnt)
        self.first_with = dict[tuple[str, str], str]()
        """(system, digest of weights) → that system's pre-trained encoder with these weights."""
        self.target_of = {(each.data, size): each for each in suite.targets for size in each.sizes}

    def plan(self, place: CellKey) -> Job | Cell:
        """Return the job of a cell; or a cell that isn't run, or has failed already, with its reason."""
        try:
            return self._job(place, self.target_of[place.target, place.size])
        except _NotRunError as why:
            return Cell(place, State.NOT_RUN, str(why))
        except NerbertError as error:
            return Cell(place, State.FAILED, str(error))

    def _job(self, place: CellKey, target: Target) -> Job:
        kind, split = parse_size(place.size).kind, self.suite.split
        system = self._system(place, target, zero_shot=kind is SizeUnit.ZERO)
        splits = system.splits(split, episode=kind is SizeUnit.EPISODE)
        data = self.files_of(self.folder_of(place.target), target.format, splits)
        drawn = "" if kind in (SizeUnit.ALL, SizeUnit.ZERO) else f"{place.size}, draw {place.draw}"
        tag_key = key_of("tag", **data.key, drawn=drawn, split=split, **system.facts)
        own = self.suite.systems[place.system]
        learnt = self.learnt_of(own.trained_on, self.suite.label_encoder) if kind is SizeUnit.ZERO else Learnt()
        else_types = sorted(target.else_types)
        key = key_of("score", code=keys.SCORING, tagged=tag_key, else_types=else_types, **learnt.names_facts)
        return Job(place, system, data, split, target.else_types, tag_key, key, learnt)

    def _system(self, place: CellKey, target: Target, *, zero_shot: bool) -> System:
        """Return the system of a cell, with its encoder and seed."""
        own = self.suite.systems[place.system]
        if not (own.encoders or own.command or own.seen_only):
            raise _NotRunError(f"no encoder given: --encoder {place.system!r}=FOLDER")
        settings = self.suite.settings_of(place.system, place.protocol)
        precision = self.machine.precision if settings.precision == "auto" else settings.precision
        if why := _not_told(own, target) if zero_shot else _only_told(own):
            raise _NotRunError(why)
        if zero_shot:
            return self._told(place, own, target, precision)
        if own.command:  # protocols don't apply to it, so it runs once for all of them
            return Command(own.command, self.command_of(own.command), own.version, own.timeout_minutes, place.seed)
        settings = replace(settings, threads=1, precision=precision, seed=place.seed)
        encoder = self._encoder(place)
        settings = _startable(encoder.folder, settings)
        system = FineTuned(encoder, settings, trained_by(settings), self.machine.device, labels=target.labels)
        if not own.source:
            return system
        joins = find_objective(settings.objective).joins_source
        splits = ("train", "dev") if joins else ("train",)
        files = self.files_of(self.folder_of(own.source), own.source_format, splits)
        if joins:
            return replace(system, joined=files)
        return replace(system, source=SourceDomain.of(own.source, files, system))

    def _told(self, place: CellKey, own: SystemSettings, target: Target, precision: str) -> System:
        """Return a zero-shot system; of the settings only the precision applies, and of the seeds a shuffle's."""
        learnt = self.learnt_of(own.trained_on, self.suite.label_encoder)
        if own.seen_only:
            if learnt.lacking:
                raise _NotRunError(learnt.lacking)
            return SeenOnly(labels=target.labels, learnt=learnt)
        encoder = self._encoder(place)
        folder = ModelFolder(encoder.folder)
        if not folder.labels_at_run_time and (own.shuffled_labels or folder.card["kind"] != "tagger"):
            raise _NotRunError("zero-shot: its encoder takes no labels at run time")
        mixed = place.seed if own.shuffled_labels else None
        return ZeroShotTagger(labels=target.labels, learnt=learnt, encoder=encoder, precision=precision,
                        device=self.machine.device, shuffled=mixed)  # fmt: skip

    def _encoder(self, place: CellKey) -> Encoder:
        """Return the encoder of a cell.

        Raise InputError if another encoder of the system has the same weights: they would count as two pre-trainings.
        """
        name = self.suite.encoder_of(place)
        encoder, weights = self.encoder_of(name)
        if weights and (other := self.first_with.setdefault((place.system, weights), name)) != name:
            why = f"has the same weights as {other}; pre-train each encoder with a seed of its own"
            raise InputError(f"{name}: {why}")
        return encoder


def _startable(encoder: str, settings: FinetuneSettings) -> FinetuneSettings:
    """Return the settings with the encoder's objective; raise SettingsError for settings that don't fit it."""
    for each in settings.sections:
        for name in each.reads:
            for path in getattr(each, name):
                refuse(not path.is_file(), f"{each.section}.{name}", str(path), "existing files")
    settings = objective_for(encoder, settings)
    check_head(chosen_objective(settings, FINETUNE), settings)
    return settings


def _not_told(system: SystemSettings, target: Target) -> str:
    """Return why a system has no zero-shot cell on a target; "" if it may have one."""
    if system.command or system.source:
        return "zero-shot: a command, or a checkpoint of a source domain, takes no labels at run time"
    if system.settings.keys() - {"precision"}:
        return "zero-shot: this system differs only by settings of fine-tuning"
    if system.shuffled_labels and len(parse_type_labels(target.labels)) == 1:
        return "zero-shot: a single type can't be shuffled"
    return ""


def _only_told(system: SystemSettings) -> str:
    """Return why a system has only zero-shot cells; "" if it has others."""
    only = "shuffled_labels" if system.shuffled_labels else "seen_only" if system.seen_only else ""
    return f"{only} is for size 0" if only else ""


def _encoder(name: str) -> tuple[Encoder, str]:
    """Return an encoder, and the digest of its weights; "" for an untouched backbone.

    What nerbert trained, also as a tagger, has random variation of its own.
    """
    folder = ModelFolder.open(name, "tagger").check()
    trained = folder.card["kind"] != "foreign"
    encoder = Encoder(folder.name, encoder_digest(folder.path), trained)
    return encoder, encoder_digest(folder.path, "weights") if trained else ""


def _learnt(trained_on: Iterable[str], label_encoder: str) -> Learnt:
    """Return what a system was trained on, and the encoder of labels; tell what is missing."""
    learnt = Learnt({name: learnt_digest(Path(name)) for name in trained_on})
    why, folder = learnt.lacking, None
    try:
        folder = ModelFolder.open(label_encoder, "tagger").check().path if label_encoder else None
    except NerbertError as error:
        why = why or f"label_encoder: {error}"
    if why:
        what = "Familiarity and F1 by seen names are" if learnt.lacking else "Familiarity is"
        tell(f"{what} left out: {why}")
    return replace(learnt, label_encoder=str(folder), label_encoder_sha256=encoder_digest(folder)) if folder else learnt


def _remembered(make: Callable[..., _Out]) -> Callable[..., _Out]:
    """Return `make`, called only once for the same arguments, even if it fails."""

    @cache
    def attempt(*names: Any) -> _Out | NerbertError:
        try:
            return make(*names)
        except NerbertError as error:
            return error

    def get(*names: Any) -> _Out:
        found = attempt(*names)
        if isinstance(found, NerbertError):
            raise found
        return found

    return get
