"""Reads what a cell trains on and tags, and what a source checkpoint is trained on.

The choice: a cell reads the files that its key holds and no other, so nothing else can make it fail for good.
"""

from dataclasses import dataclass
from pathlib import Path

from nerbert.errors import InputError, NerbertError, SettingsError, StaleOutput
from nerbert.evaluation.benchmark.draws import draw_part
from nerbert.evaluation.benchmark.plan import Job, SourceTraining, check_data
from nerbert.evaluation.benchmark.predictions import CellSentences, without_folder
from nerbert.evaluation.datasets.duplicates import find_twins
from nerbert.evaluation.datasets.load import link_out
from nerbert.formats.folder import DataSet, read_data
from nerbert.records import Example


@dataclass(frozen=True, slots=True)
class CellInputs:
    """What a cell reads: its part of the sentences, and what else its protocol and its scores need."""

    part: CellSentences
    dev: list[Example]
    """Empty unless the protocol chooses by it."""
    twins: tuple[int, ...]
    """Places of test sentences that stand in train; none for an episode, which has no use for train."""


def read_part(job: Job, data: Path) -> CellInputs:
    """Read exactly the files of a job, which lies below the folder `data`.

    Raise StaleOutput if they aren't those of the plan, and other NerbertErrors for what they lack: these are for good
    as long as the files are the same, and name no folder.
    """
    if (path := link_out(data, job.folder)) is not None:
        raise StaleOutput(f"{path}: became a link that leads out of {data}; copy the data there")
    try:
        with without_folder(job.folder):
            there = read_data(job.folder, [name.removesuffix(".conll") for name in job.sha256])
            _check_there(job, there)
    except NerbertError:
        check_data(job)
        raise
    check_data(job, there.sha256)
    part = draw_part(there.train, there.test, job.place.size, job.place.draw)
    return CellInputs(part, there.dev, find_twins(there.train, there.test) if part.whole_test else ())


def read_source(source: SourceTraining) -> list[Example]:
    """The sentences that a source checkpoint is trained on; errors as those of `read_part`."""
    try:
        with without_folder(source.folder):
            there = read_data(source.folder, ("train",))
    except NerbertError:
        check_data(source)
        raise
    check_data(source, there.sha256)
    return there.train


def _check_there(job: Job, there: DataSet) -> None:
    """Raise NerbertError for a split that is wanted and isn't there."""
    if not there.test:
        raise InputError("holds no test.conll, so nothing can be scored on it; add one")
    if job.settings.select == "dev" and not there.dev:
        raise SettingsError("setting select = 'dev': there is no dev.conll; add one or take select = 'last'")
