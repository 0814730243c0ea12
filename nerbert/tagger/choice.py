"""Which back end is the fastest here: measured once for a model and a machine, and remembered.

The choice: real time of made-up windows of usual lengths, since what a user waits for is what counts; the verdict lies
in the cache, under a name that is the hash of all it depends on (the model's files, the processor, cores, versions).
The price: the first load of an exported tagger takes a second or two more, and another load on the machine in that
second may tip a close race.
"""

import os
import platform
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from nerbert.artifacts import read_json, write_json
from nerbert.cache import cached
from nerbert.errors import InputError, NerbertError
from nerbert.model.predict import Scorer
from nerbert.model.windows import Padded, micro_batches
from nerbert.terminal import tell

_VERSION, _FILE = 1, "seconds.json"
_LENGTHS = (8, 12, 16, 20, 24, 28, 32, 40, 48, 64)
_WINDOWS, _ROUNDS = 40, 3


def fastest(measures: Mapping[str, Callable[[], float]], facts: Mapping[str, Any], cache: str = "") -> str:
    """The name whose measure gives the fewest seconds; `facts` (JSON) say all that decides, beside the names.

    Nothing is measured where it was before. Where no verdict can be kept it is measured each time, and said so.
    """
    made_from = {"version": _VERSION, "names": sorted(measures), **facts}

    def make(folder: Path) -> None:
        write_json(folder / _FILE, {name: measure() for name, measure in measures.items()})

    def read(folder: Path) -> str:
        found = read_json(folder / _FILE)
        if not isinstance(found, dict) or set(found) != set(measures):
            raise InputError(f"{folder / _FILE}: damaged")
        if not all(isinstance(each, int | float) for each in found.values()):
            raise InputError(f"{folder / _FILE}: damaged")
        return _least(found)

    try:
        return cached(cache, "backends", made_from, make, read)
    except NerbertError as error:
        tell(f"which back end is the fastest can't be remembered, so it is measured each time: {error}")
        return _least({name: measure() for name, measure in measures.items()})


def _least(seconds: Mapping[str, float]) -> str:
    return min(seconds, key=lambda name: (seconds[name], name))


def seconds_of(scorer: Scorer, max_tokens: int, room: int, vocabulary: int) -> float:
    """Seconds that a scorer takes for made-up windows of at most `room` pieces, the best of a few rounds."""
    batches = list(_batches(max_tokens, room, vocabulary))
    found = []
    for _ in range(_ROUNDS + 1):
        begin = time.perf_counter()
        for batch in batches:
            scorer(batch)
        found.append(time.perf_counter() - begin)
    return min(found[1:])


def _batches(max_tokens: int, room: int, vocabulary: int) -> Iterator[Padded]:
    lengths = [max(1, min(_LENGTHS[number % len(_LENGTHS)], room)) for number in range(_WINDOWS)]
    ids = np.arange(max(lengths) * _WINDOWS).reshape(_WINDOWS, -1) * 7919 % max(1, vocabulary)
    for group in micro_batches(lengths, max_tokens):
        longest = max(lengths[place] for place in group)
        mask = np.arange(longest) < np.array([lengths[place] for place in group])[:, None]
        rows, columns = np.nonzero(mask)
        yield Padded(np.where(mask, ids[group, :longest], 0), mask, rows, columns)


def machine_facts(files: Sequence[Path], packages: Sequence[str], threads: int) -> dict[str, Any]:
    """What a verdict hangs on: the files of the model (size and time), the processor, and what computes."""
    stats = {path.name: (each := path.stat()) and [each.st_size, each.st_mtime_ns] for path in files}
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "files": stats, "folder": str(files[0].parent.resolve()) if files else "", "processor": _processor(),
        "cores": cores, "threads": threads, "environment": os.environ.get("OMP_NUM_THREADS", ""),
        "versions": {name: _version(name) for name in packages},
    }  # fmt: skip


def _processor() -> str:
    try:
        found = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except (OSError, ValueError):
        found = None
    return f"{platform.machine()} {found[1] if found else platform.processor()}"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
