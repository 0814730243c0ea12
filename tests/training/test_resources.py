"""Free memory: the least of what the system and each control group above the process leave."""

import sys
from pathlib import Path

import pytest
import torch

from nerbert.training.resources import available

MB = 1 << 20


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


SYSTEM = {"proc/meminfo": "MemTotal:        4096000 kB\nMemFree: 10 kB\nMemAvailable:    2048000 kB\n"}
V2 = {
    "proc/self/cgroup": "0::/user/job\n",
    "sys/fs/cgroup/user/job/memory.max": "max\n", "sys/fs/cgroup/user/job/memory.current": f"{300 * MB}\n",
    "sys/fs/cgroup/user/memory.max": f"{900 * MB}\n", "sys/fs/cgroup/user/memory.current": f"{400 * MB}\n",
    "sys/fs/cgroup/user/memory.stat": f"anon 5\ninactive_file {50 * MB}\nactive_file 7\n",
}  # fmt: skip
V1 = {
    "proc/self/cgroup": "5:cpu,cpuacct:/job\n4:memory:/job\n0::/\n",
    "sys/fs/cgroup/memory/job/memory.limit_in_bytes": f"{700 * MB}\n",
    "sys/fs/cgroup/memory/job/memory.usage_in_bytes": f"{600 * MB}\n",
    "sys/fs/cgroup/memory/job/memory.stat": f"cache 1\ntotal_inactive_file {20 * MB}\n",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{(1 << 63) - 4096}\n",
    "sys/fs/cgroup/memory/memory.usage_in_bytes": "5\n",
}


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ({}, None),
        (SYSTEM, 2048000 * 1024),
        (V2, 550 * MB),
        (SYSTEM | V2, 550 * MB),
        (SYSTEM | V1, 120 * MB),
        (SYSTEM | V2 | {"sys/fs/cgroup/user/memory.current": f"{990 * MB}"}, 0),
        (SYSTEM | {"proc/self/cgroup": "0::/gone\nnonsense\n"}, 2048000 * 1024),
        (SYSTEM | V2 | {"sys/fs/cgroup/user/memory.max": "-1\n"}, 2048000 * 1024),
    ],
)
def test_the_least_of_all_limits(tmp_path: Path, files: dict[str, str], free: int | None) -> None:
    assert available("cpu", write(tmp_path, files)) == free


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_of_this_machine() -> None:
    total = Path("/proc/meminfo").read_text().split()[1]
    found = available(torch.device("cpu"))
    assert found is not None
    assert 0 < found < int(total) * 1024


def test_other_devices_are_not_known() -> None:
    assert available("meta") is None
