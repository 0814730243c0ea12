"""How a cell came to be: what its tables and its readers must know to make it again."""

import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from nerbert import __version__
from nerbert.evaluation.benchmark.plan import Job, Machine
from nerbert.executors import cores

_LIBRARIES = ("torch", "transformers", "tokenizers", "accelerate", "numpy")


def made_by(machine: Machine, job: Job) -> dict[str, Any]:
    """What made the predictions: day, machine, versions."""
    import torch

    return {
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{_processor()}, {cores()} cores",
        "device": torch.cuda.get_device_name() if machine.device == "cuda" else machine.device,
        "precision": job.settings.precision,
        "versions": {"nerbert": __version__, "python": platform.python_version(), **_versions()},
    }  # fmt: skip


def read_from(job: Job) -> dict[str, Any]:
    """What a cell was made from: digests of encoder and data, keys of its steps, seeds."""
    source = job.source
    return {
        "encoder": job.encoder_sha256, "data": job.sha256, "seed": job.place.seed,
        "keys": {"source": source.key if source else None, "tag": job.tag_key, "score": job.key},
        "source_data": source.data if source else None, "source_seed": source.settings.seed if source else None,
    }  # fmt: skip


def _versions() -> dict[str, str]:
    """Version by library."""
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "?"
    return found


def _processor() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
