"""The protocol of a system that a benchmark compares."""

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from nerbert import __version__
from nerbert.evaluation.benchmark.cells import CellSentences, Predictions

_LIBRARIES = ("torch", "transformers", "tokenizers", "accelerate", "numpy")


class System(Protocol):
    """Finds entities in a cell's sentences; it may train on others of them before."""

    @property
    def facts(self) -> dict[str, Any]:
        """Return all that its predictions depend on, except the data: a part of its cells' keys."""

    def splits(self, split: str, *, episode: bool) -> tuple[str, ...]:
        """Return the splits that it reads if `split` is scored; an episode is drawn only from that one."""

    def predict(self, part: CellSentences, sources: Path) -> Predictions:
        """Learn from a part's sentences, if it does, and return what it finds in those that are scored.

        `sources` is a folder for what several cells start from. Facts are kept with the cell: `seconds` by step,
        `encoder` (a digest), whether nerbert `pretrained` it, so that its random variation is shared by all cells that
        have it, and whatever else made the predictions.
        """


def made_with_torch(device: str, precision: str) -> dict[str, Any]:
    """Return the device, the precision and the versions that a model was run with."""
    import torch

    return {
        "device": torch.cuda.get_device_name() if device == "cuda" else device,
        "precision": precision,
        "versions": {"nerbert": __version__, "python": platform.python_version(),
                     **{name: version(name) for name in _LIBRARIES}},
    }  # fmt: skip


@contextmanager
def timed(cost: dict[str, Any], name: str) -> Iterator[None]:
    """Put a block's time into `cost`: wall-clock seconds, and CPU seconds (user and system), with its commands'."""
    wall, cpu = time.monotonic(), _cpu()
    yield
    cost[name] = {"wall": round(time.monotonic() - wall, 3), "cpu": round(_cpu() - cpu, 3)}


def _cpu() -> float:
    times = os.times()
    return time.process_time() + times.children_user + times.children_system
