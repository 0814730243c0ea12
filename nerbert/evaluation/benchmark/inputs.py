"""The planned tasks of a benchmark, and how their files are read and their sentences drawn.

A task reads only the files that its key holds, so nothing else can make it fail for good. A plan draws the sentences
too, and a cell's key holds their places instead of the sampler's version. The price: all data are read and drawn before
the first cell runs.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from nerbert.errors import InputError, NerbertError, SettingsError, StaleOutput
from nerbert.evaluation.benchmark.cells import CellKey, CellSentences
from nerbert.evaluation.benchmark.keys import encoder_digest, file_digest, key_of
from nerbert.evaluation.datasets.load import find_duplicates, link_out
from nerbert.finetuning.sampling import draw_episode, draw_subset
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.finetuning.sizes import SizeUnit, parse_size
from nerbert.formats.folder import DataSet, read_data, split_of
from nerbert.records import Example


@dataclass(frozen=True, slots=True)
class Machine:
    """What figures depend on of the machine."""

    device: str
    precision: Literal["bf16", "fp32"]
    """What `precision = "auto"` is on this device; no figure depends on it where a protocol names another."""


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
    format: str = ""
    """Of the data files, if it was named."""


@dataclass(frozen=True, slots=True)
class Job:
    """A cell to be run: its place, what it reads, and the keys of its steps."""

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
    format: str = ""
    """Of the data files, if it was named."""


def read_part(job: Job, data: Path) -> CellSentences:
    """Read exactly the files of a job, which lies below the folder `data`.

    Raise StaleOutput if they aren't those of the plan, and other NerbertErrors for what they lack: these are for good
    as long as the files are the same, and name no folder.
    """
    if (path := link_out(data, job.folder)) is not None:
        raise StaleOutput(f"{path}: became a link that leads out of {data}; copy the data there")
    there = _read(job, [split_of(name) for name in job.sha256])
    part = draw_part(there.train, there.test, job.place.size, job.place.draw)
    episode = parse_size(job.place.size).kind is SizeUnit.EPISODE
    return replace(part, dev=there.dev, duplicates=() if episode else find_duplicates(there.train, there.test))


def read_source(source: SourceTraining) -> list[Example]:
    """Read the sentences that a source checkpoint is trained on; errors as those of `read_part`."""
    return _read(source, ("train",)).train


def _read(task: Job | SourceTraining, splits: Sequence[str]) -> DataSet:
    try:
        with without_folder(task.folder):
            there = read_data(task.folder, splits, task.format)
            if "test" in splits and not there.test:
                raise InputError("holds no test split, so nothing can be scored on it; add one")
            if "dev" in splits and not there.dev:
                raise SettingsError(
                    "setting select = 'dev': there is no dev split; add one or take select = 'last'", setting="select"
                )
    except NerbertError:
        check_data(task)
        raise
    check_data(task, there.sha256)
    return there


@contextmanager
def without_folder(folder: Path) -> Iterator[None]:
    """Leave a data folder's path out of the message of any NerbertError raised inside.

    A cell's failure is kept by what its files hold, and another folder may hold the same.
    """
    try:
        yield
    except NerbertError as error:
        error.args = (f"{error}".replace(f"{folder}/", "").replace(f"{folder}: ", ""),)
        raise


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
        now = _now(data_digest, task.folder / name) if found is None else found.get(name, "")
        if now != digest:
            raise StaleOutput(f"{task.folder / name}: changed while the benchmark ran; run it again")


def _now(digest: Callable[[Path], str], path: Path) -> str | None:
    """Return a digest as it is now; None if it can't be made any more."""
    try:
        return digest(path)
    except (OSError, NerbertError):
        return None


def data_digest(path: Path) -> str:
    """Return the digest of a data file; "" for one that isn't there, which is for its reader to say."""
    try:
        return file_digest(path) if path.is_file() else ""
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}") from error


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


def draw_digest(examples: Sequence[Example], size: str, draw: int) -> str:
    """Return the digest of the places drawn; `examples` are the split that is drawn from (an episode's is test)."""
    facts = draw_part(examples, examples, size, draw).facts
    return key_of("draw", places=facts.get("places"), query_places=facts.get("query_places"))
