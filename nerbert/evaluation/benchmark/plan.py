"""A suite's cells as jobs, each with the keys of its steps: what is to be run, before anything is.

Steps hang on one another: `source` (a checkpoint trained on a source domain; made once for all cells that need it) →
`tag` (fine-tuned, test sentences tagged) → `score`. The key of a step holds the one before it, so what is stale shows
without a date. Digests are of exactly what a step reads: dev counts only where the protocol chooses by it, and of the
sampler only what it drew.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from nerbert.errors import InputError, NerbertError, StaleOutput
from nerbert.evaluation.benchmark.cells import Cell, CellKey, State
from nerbert.evaluation.benchmark.draws import draw_digest
from nerbert.evaluation.benchmark.hashes import (
    TALKERS,
    code_files,
    code_version,
    encoder_digest,
    file_digest,
    key_of,
    local_encoder,
)
from nerbert.evaluation.benchmark.suite import Suite
from nerbert.evaluation.datasets.load import find_folder
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.finetuning.sizes import SizeUnit, parse_size
from nerbert.formats.conll import read_conll_file

_In = TypeVar("_In")
_Out = TypeVar("_Out")
_HERE = "nerbert.evaluation.benchmark"
NO_FIGURES = frozenset({"nerbert.model.confidence", "nerbert.metrics"})
"""What training uses to say how it goes, and to choose an epoch by; it matters only where a protocol chooses.

Confidences aren't calibrated in a benchmark.
"""
UNUSED = frozenset(
    {
        "nerbert.corpus.sentences.abbreviations", "nerbert.corpus.sentences.rules", "nerbert.model.light_tokenizer",
        "nerbert.tagger.onnx", "nerbert.tagger.spans",
    }
)  # fmt: skip
"""What a tagger needs for raw text, on other back ends or to choose what it gives; a benchmark's sentences come cut,
go through torch, and keep every entity."""
_NOT_IN_KEY = ("seed", "threads", "source_epochs")
"""Settings that stand in the key otherwise, or change nothing."""


@dataclass(frozen=True, slots=True)
class SourceTraining:
    """A checkpoint to be made: an encoder trained on a source domain."""

    key: str
    data: str
    folder: Path
    encoder: str
    settings: FinetuneSettings
    encoder_sha256: str = ""
    """"" where no folder is to be checked."""
    sha256: dict[str, str] = field(default_factory=dict)
    """Of the data files that it reads, by name; "" for one that isn't there."""


@dataclass(frozen=True, slots=True)
class Job:
    """A cell to be run: where it stands, what it reads, and the keys of its steps."""

    place: CellKey
    tag_key: str
    key: str
    """The last step's: the cell's own."""
    folder: Path
    encoder: str
    encoder_sha256: str
    settings: FinetuneSettings
    sha256: dict[str, str]
    """Of the data files that it reads, by name; "" for one that isn't there."""
    source: SourceTraining | None = None


@dataclass(frozen=True, slots=True)
class Machine:
    """What of the machine figures hang on."""

    device: str
    precision: Literal["bf16", "fp32"]
    """What `precision = "auto"` is on this device; no figure hangs on it where a protocol names another."""


def this_machine() -> Machine:
    """The kind of device that trains here, and its best precision."""
    import torch

    from nerbert.model.forward import best_precision

    other = "mps" if torch.backends.mps.is_available() else "cpu"
    device = "cuda" if torch.cuda.is_available() else other
    return Machine(device, best_precision(device))


def make_plan(suite: Suite, data: Path, machine: Machine) -> list[Job | Cell]:
    """Every cell of a suite in order of worth: a job, or a cell that can't become one and why."""
    planner = _Planner(suite, data, machine)
    places = list(suite.places())
    wanted = {each._replace(system="", seed=0, protocol="") for each in places if suite.systems[each.system].encoder}
    for place in sorted(wanted):  # one file after another
        with suppress(NerbertError):
            planner.drawn(place)
    return [planner.plan(place) for place in places]


def check_unchanged(task: Job | SourceTraining) -> None:
    """Raise StaleOutput if a task's encoder or data aren't those of the plan any more; call it when they were read.

    A file that wasn't there then must not be there now.
    """
    check_data(task)
    if task.encoder_sha256 and _now(encoder_digest, Path(task.encoder)) != task.encoder_sha256:
        raise StaleOutput(f"{task.encoder}: changed while the benchmark ran; run it again")


def check_data(task: Job | SourceTraining, found: Mapping[str, str] | None = None) -> None:
    """Raise StaleOutput if a task's data files aren't those of the plan; `found` are digests of what was read."""
    for name, digest in task.sha256.items():
        now = _now(_digest, task.folder / name) if found is None else found.get(name, "")
        if now != digest:
            raise StaleOutput(f"{task.folder / name}: changed while the benchmark ran; run it again")


class _Planner:
    """Reads each encoder, data file and source file of the package once; failures are remembered like the rest."""

    def __init__(self, suite: Suite, data: Path, machine: Machine) -> None:
        self.suite, self.machine = suite, machine
        self.encoder_of = _remembered(_encoder)
        self.folder_of = _remembered(partial(find_folder, data))
        self.code_of = cache(_code_of)
        self.sentences_of = lru_cache(maxsize=1)(read_conll_file)
        self.drawn_of = _remembered(self._drawn)

    def plan(self, place: CellKey) -> Job | Cell:
        if not self.suite.systems[place.system].encoder:
            return Cell(place, State.NOT_RUN, f"no encoder given: --encoder {place.system!r}=FOLDER")
        try:
            return self._job(place)
        except NerbertError as error:
            return Cell(place, State.FAILED, str(error))

    def drawn(self, place: CellKey) -> str:
        """The digest of the places that a cell's sentences have in their file; "" for all of them."""
        kind = parse_size(place.size).kind
        split = "test" if kind is SizeUnit.EPISODE else "train"
        path = self.folder_of(place.target) / f"{split}.conll"
        return "" if kind is SizeUnit.ALL else self.drawn_of((path, place.size, place.draw))

    def _drawn(self, wanted: tuple[Path, str, int]) -> str:
        path, size, draw = wanted
        return draw_digest(self.sentences_of(path), size, draw)

    def _job(self, place: CellKey) -> Job:
        system = self.suite.systems[place.system]
        encoder, digest = self.encoder_of(system.encoder)
        settings = self.suite.protocols[place.protocol]
        settings = replace(settings, threads=1, precision=self._precision(settings))
        source = self._source(system.source, str(encoder), digest, settings) if system.source else None
        settings = replace(settings, seed=place.seed)
        folder = self.folder_of(place.target)
        kind = parse_size(place.size).kind
        files = ["test"] if kind is SizeUnit.EPISODE else ["train", "test"]
        files += ["dev"] if settings.select == "dev" else []
        sha256 = {f"{split}.conll": _digest(folder / f"{split}.conll") for split in files}
        tag_key = key_of(
            "tag", code=self.code_of("tagging", settings.select == "dev"), data=sha256,
            drawn=self.drawn(place), seed=place.seed, settings=_in_key(settings), encoder=digest,
            source=source.key if source else None, device=self.machine.device,
        )  # fmt: skip
        scored = {name: sha for name, sha in sha256.items() if name != "dev.conll"}
        key = key_of("score", code=self.code_of("scoring", True), data=scored, tagged=tag_key)
        return Job(place, tag_key, key, folder, str(encoder), digest, settings, sha256, source)

    def _source(self, name: str, encoder: str, digest: str, settings: FinetuneSettings) -> SourceTraining:
        """A source domain's checkpoint, trained as `finetune` trains it."""
        from nerbert.finetuning.finetune import source_settings  # loads torch

        folder = self.folder_of(name)
        settings = source_settings(settings, self.suite.seeds[0])
        sha256 = {"train.conll": _digest(folder / "train.conll")}
        key = key_of(
            "source", code=self.code_of("tagging", False), data=sha256["train.conll"],
            settings=_in_key(settings), seed=settings.seed, encoder=digest, device=self.machine.device,
        )  # fmt: skip
        return SourceTraining(key, name, folder, encoder, settings, digest, sha256)

    def _precision(self, settings: FinetuneSettings) -> Literal["bf16", "fp32"]:
        return self.machine.precision if settings.precision == "auto" else settings.precision


def _code_of(step: str, with_figures: bool) -> str:
    """The version of a step's code."""
    modules = {
        "tagging": (f"{_HERE}.tagging",),
        "scoring": (f"{_HERE}.scoring", "nerbert.evaluation.datasets.duplicates"),
    }[step]
    return code_version(code_files(modules, TALKERS | UNUSED | (frozenset() if with_figures else NO_FIGURES)))


def _encoder(name: str) -> tuple[Path, str]:
    """An encoder's folder and digest."""
    folder = local_encoder(name)
    return folder, encoder_digest(folder)


def _now(digest: Callable[[Path], str], path: Path) -> str | None:
    """A digest as it is now; None if it can't be made any more."""
    try:
        return digest(path)
    except (OSError, NerbertError):
        return None


def _in_key(settings: FinetuneSettings) -> dict[str, Any]:
    return {name: value for name, value in asdict(settings).items() if name not in _NOT_IN_KEY}


def _digest(path: Path) -> str:
    """The digest of a data file; "" for one that isn't there, which is for its reader to say."""
    try:
        return file_digest(path) if path.is_file() else ""
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}") from error


def _remembered(make: Callable[[_In], _Out]) -> Callable[[_In], _Out]:
    """`make` that is called once for each name, whether it ends well or not."""
    made: dict[_In, _Out | NerbertError] = {}

    def get(name: _In) -> _Out:
        if name not in made:
            try:
                made[name] = make(name)
            except NerbertError as error:
                made[name] = error
        found = made[name]
        if isinstance(found, NerbertError):
            raise found
        return found

    return get
