"""One process, one cell: what a child of the runner does, and how it says that it failed.

A child writes what it made into the store itself and tells the runner only how it ended, so a child that dies takes
nothing along. What it prints goes to a file of its own: libraries' warnings and bars don't meet on one terminal.
"""

import os
import tempfile
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from shutil import rmtree
from typing import Any, NamedTuple

from nerbert.errors import NerbertError, SettingsError, StaleOutput, WriteError
from nerbert.evaluation.benchmark.cells import Cell, State
from nerbert.evaluation.benchmark.origin import made_by, read_from
from nerbert.evaluation.benchmark.parts import Found, Part, draw_part
from nerbert.evaluation.benchmark.plan import Job, Machine, Source
from nerbert.evaluation.benchmark.store import Store
from nerbert.files import read_json
from nerbert.work import end_with_parent

_LONGEST_WHY = 500


class End(NamedTuple):
    """How a child ended: why it failed, "" if it didn't, and whether that may be the machine's fault."""

    why: str = ""
    try_again: bool = False


def run_child(
    task: Job | Source, store: Path, data: Path, machine: Machine, gpu: str, told: Connection, end: Connection
) -> None:
    """The whole life of a child: quiet, single-threaded, on one GPU (`gpu`, "" for none), gone when its parent is."""
    end_with_parent(end)
    scratch = Store(store).scratch / task.key
    scratch.mkdir()
    _settle(scratch, gpu)
    if isinstance(task, Source):
        told.send(_ended(partial(_make_source, task, Store(store), scratch), scratch))
    else:
        told.send(_ended(partial(_make_cell, task, Store(store), data, machine, scratch), scratch))
    rmtree(scratch, ignore_errors=True)


def _settle(scratch: Path, gpu: str) -> None:
    """Make this process quiet, single-threaded, and at home in `scratch`."""
    os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    if gpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    tempfile.tempdir = str(scratch)
    log = os.open(scratch / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    import torch

    torch.set_num_threads(1)


def _ended(work: Callable[[], None], scratch: Path) -> End:
    """Do the work; what it raises becomes one line, without the names of its scratch folder."""
    try:
        work()
    except NerbertError as error:
        return End(str(error).replace(f"{scratch}/", "")[:_LONGEST_WHY], isinstance(error, WriteError | StaleOutput))
    except Exception as error:
        why = f"{type(error).__name__}: {' '.join(str(error).split())}"
        machines = isinstance(error, OSError | MemoryError) or "OutOfMemory" in type(error).__name__
        return End(why.replace(f"{scratch}/", "")[:_LONGEST_WHY], machines)
    return End()


def _make_source(source: Source, store: Store, scratch: Path) -> None:
    from nerbert.evaluation.benchmark.tagging import train_source
    from nerbert.formats.conll import read_conll_file

    train = read_conll_file(source.folder / "train.conll")
    folder = train_source(source.encoder, train, source.folder.name, source.settings, scratch)
    folder.replace(store.source(source.key))


def _make_cell(job: Job, store: Store, data: Path, machine: Machine, scratch: Path) -> None:
    from nerbert.evaluation.benchmark.scoring import score_part
    from nerbert.evaluation.benchmark.tagging import timed
    from nerbert.evaluation.datasets.load import load_data

    cost: dict[str, Any] = {}
    with timed(cost, "read"):
        there = load_data(data, job.place.target)
        _check(job, there.sha256, bool(there.dev))
        part = draw_part(there.train, there.test, job.place.size, job.place.draw)
    found = store.read_predictions(job.tag_key, part.test)
    if found is None:
        found = _tag(job, store, part, there.dev, scratch)
        found.facts.update(made_by(machine, job))
        store.write_predictions(job.tag_key, found)
    with timed(cost, "score"):
        scores = score_part(part, found, there.twins)
    seconds = found.facts["seconds"] | cost
    facts = part.facts | found.facts | read_from(job) | {"twins": len(there.twins), "seconds": seconds}
    facts |= {f"{kind}_seconds": round(sum(each[kind] for each in seconds.values()), 3) for kind in ("cpu", "wall")}
    store.write_cell(job.key, Cell(job.place, State.DONE, "", scores, facts))


def _tag(job: Job, store: Store, part: Part, dev: list[Any], scratch: Path) -> Found:
    from nerbert.evaluation.benchmark.tagging import COST, tag_part

    if job.source and not store.has_source(job.source.key):
        raise StaleOutput("its predictions were broken and the source checkpoint is gone; run the benchmark again")
    encoder = str(store.source(job.source.key)) if job.source else job.encoder
    found = tag_part(encoder, part, dev, job.folder.name, job.settings, scratch)
    if job.source:
        found.facts["source_seconds"] = read_json(Path(encoder) / COST)["source"]
    return found


def _check(job: Job, sha256: dict[str, str], has_dev: bool) -> None:
    """Raise NerbertError if files changed since the run began, or the protocol wants what isn't there."""
    for name, digest in job.sha256.items():
        if digest and sha256.get(name) != digest:
            raise StaleOutput(f"{job.folder / name}: changed while the benchmark ran; run it again")
    if job.settings.select == "dev" and not has_dev:
        raise SettingsError(f"setting select = 'dev': {job.folder} has no dev.conll; add one or take select = 'last'")
