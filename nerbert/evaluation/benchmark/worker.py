"""One process, one cell: what a child process of the benchmark does, and how it reports a failure.

A child writes its outcome into the store and reports only how it ended, so a child that dies loses nothing of others.
Its output goes to a file of its own, so that warnings and progress bars of libraries don't mix on one terminal.
"""

import errno
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from shutil import rmtree
from typing import Any, NamedTuple

from nerbert.artifacts import read_json
from nerbert.errors import NerbertError, StaleOutput, WriteError
from nerbert.evaluation.benchmark.cells import Cell, CellSentences, Predictions, State
from nerbert.evaluation.benchmark.inputs import (
    Job,
    Machine,
    SourceTraining,
    check_unchanged,
    read_part,
    read_source,
)
from nerbert.evaluation.benchmark.store import Store
from nerbert.executors import end_with_parent

_LONGEST_WHY = 500
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
_FOR_GOOD = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP})
"""What the system says of a file that isn't there, which is its cell's own fault."""
_TOLD = re.compile(
    r"os error (?:5|12|23|24|28|30|122)\b|out of memory|can(?:'t|not) allocate memory|too many open files",
    re.IGNORECASE,
)
"""How libraries tell of a machine that has no more to give, where they raise no OSError."""


class End(NamedTuple):
    """How a child ended: why it failed, "" if it didn't, and what that says of others."""

    why: str = ""
    try_again: bool = False
    """It may be the machine's fault."""
    full: bool = False
    """The store's disk takes no more, so no other cell can be kept either."""
    at_once: bool = False
    """What it needs is gone and can be made now."""


class Post(NamedTuple):
    """Where a child works: the store's folder, the data's, on which GPU ("" for none).

    Where it reports to, and what ends with its parent.
    """

    store: Path
    data: Path
    machine: Machine
    gpu: str
    sends: Connection
    end: Connection


class SourceGone(StaleOutput):
    """A source checkpoint isn't there any more, or not whole."""


def run_child(task: Job | SourceTraining, post: Post) -> None:
    """Run a task in a child process: quiet, single-threaded, on one GPU, gone when its parent is."""
    end_with_parent(post.end)
    store = Store(post.store)
    scratch = store.scratch / task.key
    post.sends.send(_ended(lambda: _live(task, post, store, scratch), scratch))
    rmtree(scratch, ignore_errors=True)


def _live(task: Job | SourceTraining, post: Post, store: Store, scratch: Path) -> None:
    """Settle down and do a task."""
    scratch.mkdir()
    _settle(scratch, post.gpu)
    if isinstance(task, SourceTraining):
        _make_source(task, store, scratch)
    else:
        _make_cell(task, store, post.data, post.machine, scratch)


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
    except Exception as error:
        said = " ".join(str(error).split())
        why = said if isinstance(error, NerbertError) else f"{type(error).__name__}: {said}"
        why = why.replace(f"{scratch}/", "").replace(str(scratch), "its folder")[:_LONGEST_WHY]
        behind = list(_behind(error))
        full = any(isinstance(each, WriteError) or getattr(each, "errno", None) in _FULL for each in behind)
        again = full or isinstance(error, StaleOutput) or any(map(_is_machines, behind))
        return End(why, again, full, isinstance(error, SourceGone))
    return End()


def _behind(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and all that it came from, each once."""
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        each = waiting.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            yield each
            waiting += [each.__cause__, each.__context__]


def _is_machines(error: BaseException) -> bool:
    """Return whether an error says more of the machine than of the cell.

    The machine's are: no memory, no file handles, no room, a bad disk.
    """
    if isinstance(error, MemoryError) or "OutOfMemory" in type(error).__name__:
        return True
    if isinstance(error, OSError) and error.errno:
        return error.errno not in _FOR_GOOD
    return not isinstance(error, NerbertError) and bool(_TOLD.search(str(error)))


@contextmanager
def _watched(task: Job | SourceTraining) -> Iterator[None]:
    """Raise StaleOutput if what a task reads changed before or meanwhile, whatever else went wrong by that."""
    check_unchanged(task)
    try:
        yield
    finally:
        check_unchanged(task)


def _make_source(source: SourceTraining, store: Store, scratch: Path) -> None:
    from nerbert.evaluation.benchmark.steps import COST, train_source

    with _watched(source):
        folder = train_source(source.encoder, read_source(source), source.folder.name, source.settings, scratch)
    store.keep_source(source.key, folder, read_json(folder / COST))


def _make_cell(job: Job, store: Store, data: Path, machine: Machine, scratch: Path) -> None:
    from nerbert.evaluation.benchmark.steps import fingerprint, made_by, score_part, timed

    cost: dict[str, Any] = {}
    with timed(cost, "read"):
        part = read_part(job, data)
    found = store.read_predictions(job.tag_key, part.test)
    if found is None:
        with _watched(job):
            found = _tag(job, store, part, scratch)
        found.facts.update(made_by(machine, job))
        store.write_predictions(job.tag_key, found)
    with timed(cost, "score"):
        scores = score_part(part, found)
    seconds = found.facts["seconds"] | cost
    facts = part.facts | found.facts | fingerprint(job) | {"duplicates": len(part.duplicates), "seconds": seconds}
    facts |= {f"{kind}_seconds": round(sum(each[kind] for each in seconds.values()), 3) for kind in ("cpu", "wall")}
    store.write_cell(job.key, Cell(job.place, State.DONE, "", scores, facts))


def _tag(job: Job, store: Store, part: CellSentences, scratch: Path) -> Predictions:
    """Train and tag; what a source checkpoint cost is read before."""
    from nerbert.evaluation.benchmark.steps import tag_part

    encoder, cost_of_source = job.encoder, {}
    if job.source:
        cost = store.source_cost(job.source.key)
        if cost is None:
            raise SourceGone("the source checkpoint that it needs is gone; run the benchmark again")
        encoder, cost_of_source = str(store.source(job.source.key)), {"source_seconds": cost}
    found = tag_part(encoder, part, job.folder.name, job.settings, scratch)
    found.facts.update(cost_of_source)
    return found
