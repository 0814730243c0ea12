"""Plan a suite: its cells as jobs, each with the keys of its steps.

Steps depend on one another: `source` (a checkpoint trained on a source domain; made once for all cells that need it) →
`tag` (fine-tuned, test sentences tagged) → `score`. The key of a step holds the one before it, so stale outcomes are
found without dates. Digests are of exactly what a step reads: dev counts only where the protocol chooses by it, and of
the sampler only the places that it drew. The price: all data are read and drawn before the first cell runs.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from nerbert.errors import NerbertError
from nerbert.evaluation.benchmark import keys
from nerbert.evaluation.benchmark.cells import Cell, CellKey, CellSentences, Job, Machine, SourceTraining, State
from nerbert.evaluation.benchmark.keys import data_digest, encoder_digest, key_of, local_encoder
from nerbert.evaluation.benchmark.suite import Suite, System
from nerbert.evaluation.datasets.load import find_folder
from nerbert.finetuning.episodes import draw_episode
from nerbert.finetuning.sampling import draw_subset
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.finetuning.sizes import SizeUnit, parse_size
from nerbert.formats.examples import read_examples
from nerbert.formats.folder import find_splits, split_of
from nerbert.records import Example

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
    places = list(suite.places())
    wanted = {each._replace(system="", seed=0, protocol="") for each in places if suite.systems[each.system].encoder}
    for place in sorted(wanted):  # one file after another
        with suppress(NerbertError):
            planner.drawn(place)
    return [planner.plan(place) for place in places]


class _Planner:
    """Reads each encoder and data file once; failures are remembered like the rest."""

    def __init__(self, suite: Suite, data: Path, machine: Machine) -> None:
        self.suite, self.machine = suite, machine
        self.encoder_of = _remembered(_encoder)
        self.folder_of = _remembered(partial(find_folder, data))
        self.sentences_of = lru_cache(maxsize=1)(read_examples)
        self.splits_of = _remembered(find_splits)
        self.format_of = {each.data: each.format for each in suite.targets}
        self.drawn_of = _remembered(self._drawn)

    def plan(self, place: CellKey) -> Job | Cell:
        if not self.suite.systems[place.system].encoder:
            return Cell(place, State.NOT_RUN, f"no encoder given: --encoder {place.system!r}=FOLDER")
        try:
            return self._job(place)
        except NerbertError as error:
            return Cell(place, State.FAILED, str(error))

    def drawn(self, place: CellKey) -> str:
        """Return the digest of the places that a cell's sentences have in their file; "" for all of them."""
        kind = parse_size(place.size).kind
        split = "test" if kind is SizeUnit.EPISODE else "train"
        format_ = self.format_of[place.target]
        path = self._file(self.folder_of(place.target), split, format_)
        return "" if kind is SizeUnit.ALL else self.drawn_of(path, format_, place.size, place.draw)

    def _drawn(self, path: Path, format_: str, size: str, draw: int) -> str:
        sentences = self.sentences_of(path, format_)
        facts = draw_part(sentences, sentences, size, draw).facts
        return key_of("draw", places=facts.get("places"), query_places=facts.get("query_places"))

    def _file(self, folder: Path, split: str, format_: str) -> Path:
        """Return the file of a split, or the usual name of one that isn't there."""
        return self.splits_of(folder, format_, (split,)).get(split, folder / f"{split}.conll")

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
        files = ["test"] if kind is SizeUnit.EPISODE else ["train", "test"]
        files += ["dev"] if settings.select == "dev" else []
        sha256 = {path.name: data_digest(path) for path in (self._file(folder, split, format_) for split in files)}
        tag_key = key_of(
            "tag", code=_training(settings), data=sha256,
            drawn=self.drawn(place), seed=place.seed, settings=_in_key(settings), encoder=digest,
            source=source.key if source else None, device=self.machine.device, **_named(format_),
        )  # fmt: skip
        scored = {name: sha for name, sha in sha256.items() if split_of(name) != "dev"}
        key = key_of("score", code=keys.SCORING, data=scored, tagged=tag_key)
        return Job(place, tag_key, key, folder, str(encoder), digest, settings, sha256, source, format_)

    def _source(self, system: System, encoder: str, digest: str, settings: FinetuneSettings) -> SourceTraining:
        """Return a source domain's checkpoint, trained as `finetune` trains it."""
        from nerbert.finetuning.finetune import source_settings  # loads torch

        folder, format_ = self.folder_of(system.source), system.source_format
        settings = source_settings(settings, self.suite.seeds[0])
        path = self._file(folder, "train", format_)
        sha256 = {path.name: data_digest(path)}
        key = key_of(
            "source", code=_training(settings), data=sha256[path.name],
            settings=_in_key(settings), seed=settings.seed, encoder=digest, device=self.machine.device,
            **_named(format_),
        )  # fmt: skip
        return SourceTraining(key, system.source, folder, encoder, digest, settings, sha256, format_)


def _named(format_: str) -> dict[str, str]:
    """Return a named format as a part of a key; one that is recognised follows from the file's content."""
    return {"read_as": format_} if format_ else {}


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


def draw_part(train: Sequence[Example], test: Sequence[Example], size: str, draw: int) -> CellSentences:
    """Return the sentences of a cell: a subset and the test split, or the two parts of an episode.

    They are the same for every system, seed and protocol.
    """
    wanted = parse_size(size)
    if wanted.kind is SizeUnit.EPISODE:
        episode = draw_episode(test, wanted.ways, wanted.shots, wanted.queries, draw)
        drawn: dict[str, Any] = {
            "types": list(episode.types), "places": list(episode.support), "reached": episode.support_reached,
            "query_places": list(episode.query), "query_reached": episode.query_reached,
        }  # fmt: skip
        chosen, asked = ([test[place] for place in places] for places in (episode.support, episode.query))
    else:
        subset = draw_subset(train, wanted, draw)
        chosen, asked = [train[place] for place in subset.places], list(test)
        drawn = {"reached": subset.reached, "short": subset.short}
        drawn |= {} if wanted.kind is SizeUnit.ALL else {"places": list(subset.places)}
    trained, tested = ({span.type for each in part for span in each.spans} for part in (chosen, asked))
    facts = {"sentences": len(chosen), "test_sentences": len(asked), "unknown_types": sorted(tested - trained)}
    return CellSentences(chosen, asked, facts | drawn)
