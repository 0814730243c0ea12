"""Check that a machine has everything the commands need, without changing or downloading anything."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from importlib import metadata
from itertools import starmap
from pathlib import Path
from typing import Literal, NamedTuple

from nerbert.about import __version__
from nerbert.cache import user_cache
from nerbert.errors import InputError
from nerbert.process import cores, installed_version, machine

_GB = 1 << 30
_LEAST_MEMORY = 4 * _GB
_LEAST_DISK = 10 * _GB
_REQUIREMENT = re.compile(r"([\w.-]+)(?:\[[\w,]+\])?(?:>=([\d.]+))?.*?(?:; ?extra == ['\"](\w+(?:-\w+)*)['\"])?")


class Finding(NamedTuple):
    """The result of a check: its name, its state, the facts, and advice if there is a problem."""

    what: str
    state: Literal["ok", "missing", "wrong"]
    """`missing`: only an extra isn't installed; `wrong`: commands fail, possibly late."""
    found: str
    advice: str = ""


def examine(folder: Path) -> list[Finding]:
    """Return the findings for this machine; `folder` is the one for outputs."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; name the one to work in")
    return [*_machine(), *_check_folders(folder), *_packages(), _models(), *_torch()]


def _machine() -> Iterator[Finding]:
    yield Finding("nerbert", "ok", f"{__version__}, {machine()}")
    yield Finding("cores", "ok", f"{cores()} (--workers uses more than one)")
    if memory := memory_limit():
        little = memory < _LEAST_MEMORY
        advice = "a pre-training needs 3 GB and more for each process; take a small batch_size and one worker"
        yield Finding("memory", "wrong" if little else "ok", f"{memory / _GB:.1f} GB", advice if little else "")


def memory_limit() -> int:
    """Return the memory that this process may use, in bytes: the machine's, or less in a container; 0 if unknown."""
    # A container's limit is lower than the machine's memory, which it sees.
    limits = []
    for path, pattern in (
        (Path("/proc/meminfo"), r"MemTotal:\s+(\d+) kB"),
        (Path("/sys/fs/cgroup/memory.max"), r"(\d+)"),
    ):
        try:
            match = re.match(pattern, path.read_text(encoding="ascii"))
        except OSError:
            continue
        # Without a limit, the file holds "max".
        if match:
            limits.append(int(match[1]) * (1024 if "kB" in pattern else 1))
    return min(limits, default=0)


def _check_folders(folder: Path) -> Iterator[Finding]:
    elsewhere = "set XDG_CACHE_HOME to another folder"
    folders = [
        ("folder for outputs", folder, "name another folder"),
        ("temporary folder", Path(tempfile.gettempdir()), "set TMPDIR to another folder"),
    ]
    try:
        folders.append(("cache", user_cache(), elsewhere))
    except (RuntimeError, ValueError):
        yield Finding("cache", "wrong", "there is no home folder for it", elsewhere)
    for what, path, advice in folders:
        # The folder may not exist yet: it will be made on the disk of its first existing parent.
        existing = next(parent for parent in (path.absolute(), *path.absolute().parents) if parent.is_dir())
        free = shutil.disk_usage(existing).free
        if not os.access(existing, os.W_OK):
            yield Finding(what, "wrong", f"{path}: can't be written", advice)
        else:
            little = free < _LEAST_DISK
            yield Finding(
                what, "wrong" if little else "ok", f"{path}: {free / _GB:.0f} GB free", advice if little else ""
            )


def _packages() -> Iterator[Finding]:
    """Yield a finding for the packages of the core, and one for those of each extra."""
    extras: dict[str, list[tuple[str, str]]] = {}
    for match in map(_REQUIREMENT.fullmatch, metadata.requires("nerbert") or ()):
        if match:
            extras.setdefault(match[3] or "", []).append((match[1], match[2] or ""))
    yield from starmap(_examine_extra, extras.items())


def _examine_extra(extra: str, needs: Sequence[tuple[str, str]]) -> Finding:
    """Return the finding for an extra ("": the core) that needs these packages, each from a version on."""
    what = f"nerbert[{extra}]" if extra else "core"
    installed = {name: version for name, _ in needs if (version := installed_version(name))}
    lacking = [f"no {name}" for name, _ in needs if name not in installed]
    old = [
        f"{name} {installed[name]} (needs {least})"
        for name, least in needs
        if name in installed and least and _numbers(installed[name]) < _numbers(least)
    ]
    if not lacking and not old:
        return Finding(what, "ok", ", ".join(f"{name} {version}" for name, version in installed.items()))
    # An extra may be missing, the core may not.
    state: Literal["missing", "wrong"] = "wrong" if old or not extra else "missing"
    return Finding(what, state, ", ".join(lacking + old), f"pip install '{what.replace('core', 'nerbert')}'")


def _numbers(version: str) -> list[int]:
    # "2.11.0+cu128": the local part isn't compared.
    return [int(number) for number in re.findall(r"\d+", version.partition("+")[0])[:3]]


def _models() -> Finding:
    """Return the finding for the models of other distributions, which commands take by their names."""
    from nerbert.model.folder import MODELS

    names = ", ".join(MODELS)
    advice = "pip install nerbert-minilm"
    return Finding("models", "ok", names) if names else Finding("models", "missing", "none is installed", advice)


def _torch() -> Iterator[Finding]:
    if not installed_version("torch"):
        return
    import torch

    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            facts = torch.cuda.get_device_properties(number)
            exact = "bf16" if torch.cuda.is_bf16_supported() else "no bf16: --set precision=fp32"
            yield Finding(f"GPU {number}", "ok", f"{facts.name}, {facts.total_memory / _GB:.0f} GB, {exact}")
    # A driver without a usable torch: trainings would silently run on the processor.
    elif Path("/proc/driver/nvidia/version").exists():
        yield Finding(
            "GPU",
            "wrong",
            f"there is one, but torch {torch.__version__} can't use it",
            "install the build of torch for its driver (https://pytorch.org)",
        )
    else:
        yield Finding("GPU", "ok", "none; trainings run on the processor")
