"""Plan a suite: its cells as jobs, each with the keys of its steps.

Steps depend on one another: `source` (a checkpoint trained on a source domain; made once for all cells of its seed) →
`tag` (fine-tuned, test sentences tagged) → `score`. The key of a step is a SHA-256 of everything that its outcome
depends on, the key of the step before it among that, so stale outcomes are found without dates. Digests are of exactly
what a step reads. No sentence is read or drawn here. The price: a size that can't be drawn is told by its cells.

Code counts by a number that is raised by hand: `TRAINING` if the same data, settings and seed draw, train or tag
otherwise, `SCORING` if the same tags get other scores. Tests tie these numbers to draws, and to the losses, logits,
spans and scores of the golden files. So an edit of a comment, a message or the dump's reader trains nothing anew. The
price: a change that no golden file notices, and for which nobody raises a number, leaves old cells in place. The
versions of libraries are stored with every cell, and are no part of the key.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar

from nerbert.artifacts import sha256_of
from nerbert.config import plain_settings, refuse
from nerbert.errors import InputError, NerbertError, os_refused
from nerbert.evaluation.benchmark.cells import Asking, Cell, CellKey, Job, Machine, SourceTraining, State, Task
from nerbert.evaluation.benchmark.external import places_of
from nerbert.evaluation.benchmark.suite import Suite, System, Target
from nerbert.evaluation.datasets.load import find_folder
from nerbert.finetuning.sampling import SizeUnit, parse_size
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.formats.data import data_sum, find_splits
from nerbert.formats.documents import Reading
from nerbert.formats.entity_labels import parse_type_labels
from nerbert.model.folder import ModelFolder, Use
from nerbert.registry import OBJECTIVES
from nerbert.terminal import tell

FORMAT = 4
"""Raise it to run everything again."""
TRAINING = 1
"""Version of what draws sentences, fine-tunes and tags."""
SCORING = 2
"""Version of what scores."""
ASKING = 2
"""Version of what asks a zero-shot tagger, and of Familiarity."""


def key_of(step: str, **facts: Any) -> str:
    """Return the key of a step: the SHA-256 of all that its outcome depends on, in canonical JSON."""
    text = json.dumps({"format": FORMAT, "step": step, **facts}, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def encoder_digest(folder: Path, use: Use = "digest") -> str:
    """Return one digest over the names and contents of a model's files that count for a use."""
    names = "".join(f"{path.name} {file_digest(path)}\n" for path in ModelFolder.open(folder).files(use))
    return hashlib.sha256(names.encode()).hexdigest()


def command_digest(command: Sequence[str]) -> str:
    """Return one digest over the words of a command; a word that is a file counts by its bytes, wherever it lies."""
    if shutil.which(command[0]) is None:
        raise InputError(f"command: {command[0]!r:.200}: no such program; paths are relative to the current folder")
    words = list(command)
    for place, word in enumerate(command):
        with suppress(InputError):  # too long for a name, or not to be read
            words[place] = data_digest(Path(word)) or word
    return hashlib.sha256(json.dumps(words).encode()).hexdigest()


def data_digest(path: Path) -> str:
    """Return the digest of a data file or folder; "" for one that isn't there, which is for its reader to say."""
    with os_refused(f"{path}: can't be read"):
        return file_digest(path) if path.is_file() else data_sum(path) if path.is_dir() else ""


def learnt_digest(path: Path) -> str:
    """Return the digest of what says what a system was trained on: a file, or a corpus's manifest; "" for neither."""
    return data_digest(path / "manifest.json" if path.is_dir() else path)


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file; one that didn't change while this process lives is read once."""
    state = path.stat()
    return _digest(path.resolve(), state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)


@lru_cache(maxsize=4096)
def _digest(path: Path, *_state: int) -> str:
    return sha256_of(path)


def check_unchanged(task: Task) -> None:
    """Raise NerbertError if what a task reads isn't what its key holds any more; call it when that was read.

    A file that wasn't there then must not be there now.
    """
    for name, digest in task.sha256.items():
        _check_same(partial(data_digest, path := task.folder / name), path, digest)
    if isinstance(task, Job) and task.command:
        _check_same(partial(command_digest, task.command), "a file that the command names", task.encoder_sha256)
    elif not (isinstance(task, Job) and task.asking):
        _check_same(partial(encoder_digest, Path(task.encoder)), task.encoder, task.encoder_sha256)
    else:
        for name, told in task.asking.sha256.items():
            digest_now = encoder_digest if name == task.encoder else learnt_digest
            _check_same(partial(digest_now, Path(name)), name, told)


def _check_same(digest_now: Callable[[], str], what: object, digest: str) -> None:
    try:
        same = digest_now() == digest
    except (OSError, NerbertError):
        same = False
    if not same:
        raise NerbertError(f"{what}: changed while the benchmark ran; run it again")


_Out = TypeVar("_Out")
_NOT_IN_KEY = ("seed", "threads", "source_epochs")
"""Settings that are in the key otherwise, or change nothing."""


def this_machine() -> Machine:
    """Return the kind of device that trains here, and its best precision."""
    import torch

    from nerbert.model.forward import best_precision

    other = "mps" if torch.backends.mps.is_available() else "cpu"
    device = "cuda" if torch.cuda.is_available() else other
    return Machine(device, best_precision(device))


def make_plan(suite: Suite, data: Path, machine: Machine) -> list[Job | Cell]:
    """Return every cell of a suite in order of worth: a job, or a cell that can't become one and why."""
    planner = _Planner(suite, data, machine)
    return [planner.plan(place) for place in suite.places()]


class _Planner:
    """Looks at each encoder and data set once; failures are remembered like the rest."""

    def __init__(self, suite: Suite, data: Path, machine: Machine) -> None:
        self.suite, self.machine = suite, machine
        self.encoder_of, self.command_of = _remembered(_encoder), _remembered(command_digest)
        self.folder_of = _remembered(partial(find_folder, data))
        self.files_of = _remembered(_files)
        self.first_with = dict[tuple[str, str], str]()
        """(system, digest of weights) → the pre-trained encoder of that system that has them."""
        self.target_of = {(each.data, size): each for each in suite.targets for size in each.sizes}
        self.learnt_of = _remembered(_learnt)
        self.is_told, self.label_encoder = _remembered(_is_told), _remembered(_label_encoder)

    def plan(self, place: CellKey) -> Job | Cell:
        system, target = self.suite.systems[place.system], self.target_of[place.target, place.size]
        if not (system.encoders or system.command or system.seen_only):
            return Cell(place, State.NOT_RUN, f"no encoder given: --encoder {place.system!r}=FOLDER")
        zero_shot = parse_size(place.size).kind is SizeUnit.ZERO
        try:
            if why := _not_told(system, target) if zero_shot else _only_told(system):
                return Cell(place, State.NOT_RUN, why)
            return self._told_job(place, system, target) if zero_shot else self._job(place)
        except NerbertError as error:
            return Cell(place, State.FAILED, str(error))

    def _job(self, place: CellKey) -> Job:
        system = self.suite.systems[place.system]
        settings, command = self.suite.settings_of(place.system, place.protocol), system.command
        precision = self.machine.precision if settings.precision == "auto" else settings.precision
        settings = replace(settings, threads=1, precision=precision, seed=place.seed)
        kind, split, source = parse_size(place.size).kind, self.suite.split, None
        how: dict[str, Any]
        if command:  # a protocol is nothing to it, so it runs once for all of them
            encoder, digest, pretrained = "", self.command_of(command), False
            needs_dev = "dev" in places_of(command)
            how = {"code": (TRAINING,), "command": digest, "version": system.version}
        else:
            encoder, digest, pretrained = self._encoder(place)
            settings = _startable(encoder, settings)
            source = self._source(system, encoder, digest, settings) if system.source else None
            needs_dev = kind is not SizeUnit.EPISODE or settings.select == "dev"
            how = {"code": _training(settings), "settings": _in_key(settings), "encoder": digest,
                   "source": source.key if source else None, "device": self.machine.device}  # fmt: skip
        target = self.target_of[place.target, place.size]
        folder, format_ = self.folder_of(place.target), target.format
        splits = (*(() if kind is SizeUnit.EPISODE else ("train",)), split, *(("dev",) if needs_dev else ()))
        sha256 = self.files_of(folder, format_, tuple(dict.fromkeys(splits)))
        drawn = "" if kind is SizeUnit.ALL else f"{place.size}, draw {place.draw}"
        tag_key = key_of("tag", data=sha256, drawn=drawn, seed=place.seed, split=split, **how, **_named(format_))
        key = key_of("score", code=SCORING, tagged=tag_key, **_without(target))
        return Job(
            place, tag_key, key, folder, encoder, digest, settings, sha256, source, format_, pretrained, split,
            command, system.timeout_minutes, else_types=target.else_types,
        )  # fmt: skip

    def _told_job(self, place: CellKey, system: System, target: Target) -> Job | Cell:
        """Return a zero-shot cell: no seed and no setting is anything to it but the precision, and a shuffle's seed."""
        settings, split = self.suite.settings_of(place.system, place.protocol), self.suite.split
        precision = self.machine.precision if settings.precision == "auto" else settings.precision
        settings = replace(settings, threads=1, precision=precision, seed=place.seed)
        learnt = tuple(map(Path, system.trained_on))
        sums = dict(self.learnt_of(learnt))
        known = sorted(sums[str(path)] for path in learnt)
        if system.seen_only and not all(known):
            return Cell(place, State.NOT_RUN, _lacking(sums))
        if system.seen_only:
            encoder, digest, pretrained = "", key_of("seen", files=known), False
            how: dict[str, Any] = {"seen": digest}
        else:
            encoder, digest, pretrained = self._encoder(place)
            if not self.is_told(encoder):
                return Cell(place, State.NOT_RUN, "zero-shot: its encoder can't be told what to find")
            how = {"encoder": digest, "precision": precision, "device": self.machine.device,
                   "shuffled": place.seed if system.shuffled_labels else None}  # fmt: skip
            sums[encoder] = digest
        names, names_sha256 = self.label_encoder(self.suite.label_encoder)
        if not all(known):
            names = ""
        folder = self.folder_of(place.target)
        sha256 = self.files_of(folder, target.format, tuple(dict.fromkeys((split, "dev"))))
        tag_key = key_of("ask", code=ASKING, data=sha256, split=split, labels=list(target.labels), **how,
                         **_named(target.format))  # fmt: skip
        familiar = {"familiarity": [ASKING, known, names_sha256]} if names and learnt else {}
        key = key_of("score", code=SCORING, tagged=tag_key, **_without(target), **familiar)
        asking = Asking(target.labels, system.shuffled_labels, system.seen_only, learnt, names, sums)
        return Job(
            place, tag_key, key, folder, encoder, digest, settings, sha256, None, target.format, pretrained, split,
            asking=asking, else_types=target.else_types,
        )  # fmt: skip

    def _encoder(self, place: CellKey) -> tuple[str, str, bool]:
        """Return the encoder of a cell, its digest, and whether nerbert made it.

        Raise InputError for weights that another encoder of the system has: they would count as two pre-trainings.
        """
        name = self.suite.encoder_of(place)
        encoder, digest, weights = self.encoder_of(name)
        if weights and (other := self.first_with.setdefault((place.system, weights), name)) != name:
            why = f"has the same weights as {other}; pre-train each encoder with a seed of its own"
            raise InputError(f"{name}: {why}")
        return encoder, digest, bool(weights)

    def _source(self, system: System, encoder: str, digest: str, settings: FinetuneSettings) -> SourceTraining:
        """Return a source domain's checkpoint, trained as `finetune` trains it: one for each seed."""
        from nerbert.finetuning.finetune import source_settings  # loads torch

        folder, format_ = self.folder_of(system.source), system.source_format
        settings = source_settings(settings, settings.seed)
        sha256 = self.files_of(folder, format_, ("train",))
        (data,) = sha256.values()
        key = key_of(
            "source", code=_training(settings), data=data, settings=_in_key(replace(settings, source_head="new")),
            seed=settings.seed, encoder=digest, device=self.machine.device, **_named(format_),
        )  # fmt: skip
        return SourceTraining(key, system.source, folder, encoder, digest, settings, sha256, format_)


def _startable(encoder: str, settings: FinetuneSettings) -> FinetuneSettings:
    """Return the settings with the encoder's objective; raise SettingsError for what it can't be fine-tuned with."""
    from nerbert.finetuning.finetune import check_head, objective_for  # loads torch
    from nerbert.training.objective import FINETUNE, chosen_objective

    for each in settings.sections:
        for name in each.reads:
            for path in getattr(each, name):
                refuse(not path.is_file(), f"{each.section}.{name}", str(path), "files that are there")
    settings = objective_for(encoder, settings)
    check_head(chosen_objective(settings, FINETUNE), settings)
    return settings


def _not_told(system: System, target: Target) -> str:
    """Return why a system has no zero-shot cell on a target; "" if it may have one."""
    if system.command or system.source:
        return "zero-shot: a command, or a checkpoint of a source domain, isn't told what to find"
    if system.settings.keys() - {"precision"}:
        return "zero-shot: this system differs by settings of a fine-tuning"
    if system.shuffled_labels and len(parse_type_labels(target.labels)) == 1:
        return "zero-shot: one type alone has no other one's name"
    return ""


def _only_told(system: System) -> str:
    """Return why a system has zero-shot cells only; "" if it has others."""
    only = "shuffled_labels" if system.shuffled_labels else "seen_only" if system.seen_only else ""
    return f"{only} is for size 0" if only else ""


def _without(target: Target) -> dict[str, Any]:
    """Return a target's else types as a part of a key; none are no part."""
    return {"else_types": sorted(target.else_types)} if target.else_types else {}


def _named(format_: str) -> dict[str, str]:
    """Return a named format as a part of a key; one that is recognised follows from the file's content."""
    return {"read_as": format_} if format_ else {}


def _files(folder: Path, format_: str, splits: Iterable[str]) -> dict[str, str]:
    """Return the files of some splits with their digests; one that isn't there has its usual name, and "" for it."""
    paths = [
        find_splits(folder, Reading(from_=format_), (split,)).get(split, folder / f"{split}.conll") for split in splits
    ]
    return {path.name: data_digest(path) for path in paths}


def _encoder(name: str) -> tuple[str, str, str]:
    """Return an encoder's folder and digest, and the digest of its weights; "" for a backbone as it comes.

    What nerbert trained, also as a tagger, has luck of its own.
    """
    folder = ModelFolder.open(name, "tagger").check()
    as_it_comes = folder.card["kind"] == "foreign"
    return folder.name, encoder_digest(folder.path), "" if as_it_comes else encoder_digest(folder.path, "weights")


def _is_told(folder: str) -> bool:
    """Return whether a tagger can be told what to find."""
    return ModelFolder(folder).labels_at_run_time


def _learnt(paths: Iterable[Path]) -> dict[str, str]:
    """Return the digests of what a system was trained on; "" for what isn't there, which is told."""
    sums = {str(path): learnt_digest(path) for path in paths}
    if not all(sums.values()):
        tell(f"Familiarity is left out: {_lacking(sums)}")
    return sums


def _lacking(sums: Mapping[str, str]) -> str:
    return f"trained_on: {next(name for name, each in sums.items() if not each)}: no such file or corpus"


def _label_encoder(name: str) -> tuple[str, str]:
    """Return the folder and digest of what embeds names; "" where there is none, which is told."""
    try:
        folder = ModelFolder.open(name, "tagger").check().path if name else None
    except NerbertError as error:
        tell(f"Familiarity is left out: label_encoder: {error}")
        folder = None
    return (str(folder), encoder_digest(folder)) if folder else ("", "")


def _training(settings: FinetuneSettings) -> tuple[int, ...]:
    """Return the version of what trains; where dev chooses the epoch, scores are a part of it."""
    return (TRAINING, SCORING) if settings.select == "dev" else (TRAINING,)


def _in_key(settings: FinetuneSettings) -> dict[str, Any]:
    """Return the settings of a training whose objective is known, sections by name; files by their content."""
    values = plain_settings(settings, OBJECTIVES.find(settings.objective).settings)
    for each in settings.sections:
        values[each.section] |= {name: [data_digest(path) for path in getattr(each, name)] for name in each.reads}
    return {name: value for name, value in values.items() if name not in _NOT_IN_KEY}


def _remembered(make: Callable[..., _Out]) -> Callable[..., _Out]:
    """Return `make` that is called once for the same arguments, whether it ends well or not."""

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
