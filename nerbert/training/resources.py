"""How much memory is free where a training computes.

The choice: control groups count beside the system's own figure, since in a container the system's is the host's. The
price: where neither can be read (another system than Linux) nothing is known, and nothing is refused.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import torch

_UNLIMITED = 1 << 60
"""Version 1 says so much, or more, where a group has no limit."""


def available(device: torch.device | str, root: Path = Path("/")) -> int | None:
    """Bytes that a process may still take on a device; None where that can't be known.

    On a CPU what the system has available, or what is left of the control groups' limits, if that is less.
    """
    kind = torch.device(device)
    if kind.type == "cuda":
        cached = torch.cuda.memory_reserved(kind) - torch.cuda.memory_allocated(kind)
        return int(torch.cuda.mem_get_info(kind)[0]) + cached
    if kind.type != "cpu":
        return None
    return min((*_of_system(root), *_of_groups(root)), default=None)


def _of_system(root: Path) -> Iterator[int]:
    found = re.search(r"^MemAvailable:\s+(\d+) kB", _text(root / "proc/meminfo"), re.MULTILINE)
    if found:
        yield int(found[1]) * 1024


def _of_groups(root: Path) -> Iterator[int]:
    """What is left below each limit of this process's control groups, v2 and v1, and of the groups above them."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        names = ("memory.max", "memory.current", "inactive_file")
        mount = root / "sys/fs/cgroup"
        if controllers:
            names, mount = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"), mount / "memory"
        if not controllers or "memory" in controllers.split(","):
            inside = Path(path.lstrip("/"))
            for group in (inside, *inside.parents):
                yield from _left(mount / group, *names)


def _left(group: Path, most: str, used: str, cache: str) -> Iterator[int]:
    """What is left in one group; files that it has read and that can be dropped count as free."""
    limit, usage = (_text(group / name).strip() for name in (most, used))
    if limit.isdecimal() and usage.isdecimal() and int(limit) < _UNLIMITED:
        found = re.search(rf"^{cache} (\d+)", _text(group / "memory.stat"), re.MULTILINE)
        yield max(0, int(limit) - int(usage) + (int(found[1]) if found else 0))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
