"""Plan a suite: its cells as jobs, each with the keys of its steps.

Steps depend on one another: `source` (a checkpoint trained on a source domain; made once for all cells that need it) →
`tag` (fine-tuned, test sentences tagged) → `score`. The key of a step holds the one before it, so stale outcomes are
found without dates. Digests are of exactly what a step reads: dev counts only where the protocol chooses by it. No
sentence is read or drawn here. The price: a size that can't be drawn is told by its cells.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from nerbert.errors import NerbertError
from nerbert.evaluation.benchmark import keys
from nerbert.evaluation.benchmark.cells import Cell, CellKey, Job, Machine, SourceTraining, State
from nerbert.evaluation.benchmark.keys import data_digest, encoder_digest, key_of, local_encoder
from nerbert.evaluation.benchmark.suite import Suite, System
from nerbert.evaluation.datasets.load import find_folder
from nerbert.finetuning.sizes import SizeUnit, parse_size
from nerbert.formats.folder import find_splits, split_of
from nerbert.training.settings import FinetuneSettings

_In = ParamSpec("_In")
_Out = TypeVar("_Out")
_NOT_IN_KEY = ("seed", "threads", "source_epochs")
"""Settings that are in the key otherwise, or change nothing."""
_LATER = {"objective": "tagging", "label_all_tokens": False, "label_smoothing": 0.0, "outside_weight": 1.0}
"""Settings that came after the first cells; at these values they are no part of the key, so those cells still hold."""


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
        self.encoder_of = _remembered(_encoder)
        self.folder_of = _remembered(partial(find_folder, data))
        self.files_of = _remembered(_files)
        self.format_of = {each.data: each.format for each in suite.targets}

    def plan(self, place: CellKey) -> Job | Cell:
        if not self.suite.systems[place.system].encoder:
            return Cell(place, State.NOT_RUN, f"no encoder given: --encoder {place.system!r}=FOLDER")
        try:
            return self._job(place)
        except NerbertError as error:
            return Cell(place, State.FAILED, str(error))

    def _job(self, place: CellKey) -> Job:
        system = self.suite.systems[place.system]
        encoder, digest = self.encoder_of(system.encoder)
        settings = self.suite.protocols[place.protocol]
        precision = self.machine.precision if settings.precision == "auto" else settings.precision
        settings = replace(settings, threads=1, precision=precision)
        source = self._source(system, str(encoder), digest, settings) if system.source else None
        settings = replace(settings, seed=place.seed)
        folder, format_ = self.folder_of(place.target), self.format_of[place.target]
        kind = parse_size(place.size).kind
        splits = ("test",) if kind is SizeUnit.EPISODE else ("train", "test")
        sha256 = self.files_of(folder, format_, splits + (("dev",) if settings.select == "dev" else ()))
        drawn = "" if kind is SizeUnit.ALL else f"{place.size}, draw {place.draw}"
        tag_key = key_of(
            "tag", code=_training(settings), data=sha256, drawn=drawn, seed=place.seed, settings=_in_key(settings),
            encoder=digest, source=source.key if source else None, device=self.machine.device, **_named(format_),
        )  # fmt: skip
        scored = {name: sha for name, sha in sha256.items() if split_of(name) != "dev"}
        key = key_of("score", code=keys.SCORING, data=scored, tagged=tag_key)
        return Job(place, tag_key, key, folder, str(encoder), digest, settings, sha256, source, format_)

    def _source(self, system: System, encoder: str, digest: str, settings: FinetuneSettings) -> SourceTraining:
        """Return a source domain's checkpoint, trained as `finetune` trains it."""
        from nerbert.finetuning.finetune import source_settings  # loads torch

        folder, format_ = self.folder_of(system.source), system.source_format
        settings = source_settings(settings, self.suite.seeds[0])
        sha256 = self.files_of(folder, format_, ("train",))
        (data,) = sha256.values()
        key = key_of(
            "source", code=_training(settings), data=data, settings=_in_key(settings), seed=settings.seed,
            encoder=digest, device=self.machine.device, **_named(format_),
        )  # fmt: skip
        return SourceTraining(key, system.source, folder, encoder, digest, settings, sha256, format_)


def _named(format_: str) -> dict[str, str]:
    """Return a named format as a part of a key; one that is recognised follows from the file's content."""
    return {"read_as": format_} if format_ else {}


def _files(folder: Path, format_: str, splits: Iterable[str]) -> dict[str, str]:
    """Return the files of some splits with their digests; one that isn't there has its usual name, and "" for it."""
    paths = [find_splits(folder, format_, (split,)).get(split, folder / f"{split}.conll") for split in splits]
    return {path.name: data_digest(path) for path in paths}


def _encoder(name: str) -> tuple[Path, str]:
    """Return an encoder's folder and digest."""
    folder = local_encoder(name)
    return folder, encoder_digest(folder)


def _training(settings: FinetuneSettings) -> tuple[int, ...]:
    """Return the version of what trains; where dev chooses the epoch, scores are a part of it."""
    return (keys.TRAINING, keys.SCORING) if settings.select == "dev" else (keys.TRAINING,)


def _in_key(settings: FinetuneSettings) -> dict[str, Any]:
    values = asdict(settings).items()
    return {name: value for name, value in values if name not in _NOT_IN_KEY and _LATER.get(name) != value}


def _remembered(make: Callable[_In, _Out]) -> Callable[_In, _Out]:
    """Return `make` that is called once for the same arguments, whether it ends well or not."""
    made: dict[Any, _Out | NerbertError] = {}

    def get(*names: _In.args, **more: _In.kwargs) -> _Out:
        place = (names, *more.items())
        if place not in made:
            try:
                made[place] = make(*names, **more)
            except NerbertError as error:
                made[place] = error
        found = made[place]
        if isinstance(found, NerbertError):
            raise found
        return found

    return get
