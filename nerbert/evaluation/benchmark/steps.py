"""The steps of a cell: fine-tune an encoder, tag the test sentences, score the tags.

Of a tagger only its predictions are kept: they can be scored anew whenever the rules change. The tagger itself,
hundreds of megabytes, is deleted when its cell is done.
"""

import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from nerbert import __version__
from nerbert.artifacts import read_json, write_json
from nerbert.evaluation.benchmark.cells import CellSentences, Predictions
from nerbert.evaluation.benchmark.inputs import Job, Machine, without_folder
from nerbert.executors import cores
from nerbert.finetuning.finetune import finetune
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.formats.folder import DataSet
from nerbert.labels import example_tags
from nerbert.metrics.judging import judge, seen_entities
from nerbert.model.backbone import CARD
from nerbert.records import Example
from nerbert.registry import OBJECTIVES
from nerbert.tagger.tagger import Tagger

COST = "seconds.json"
"""The file beside a source checkpoint that says what it cost."""
_DECIMALS = 4
"""Of the confidences that are kept."""
_LIBRARIES = ("torch", "transformers", "tokenizers", "accelerate", "numpy")


def train_source(encoder: str, train: Sequence[Example], name: str, settings: FinetuneSettings, scratch: Path) -> Path:
    """Train an encoder on a source domain; return the checkpoint's folder, with what it cost in `COST`."""
    cost: dict[str, Any] = {}
    with timed(cost, "source"):
        folder = _trained(encoder, DataSet(Path(name), list(train), [], {}, []), scratch, settings)
    write_json(folder / COST, cost)
    return folder


def tag_part(encoder: str, part: CellSentences, name: str, settings: FinetuneSettings, scratch: Path) -> Predictions:
    """Finetune an encoder (or a source checkpoint) on a part's sentences and tag its test sentences.

    Its dev sentences are given to `finetune` only where the protocol chooses by it.
    """
    cost: dict[str, Any] = {}
    with timed(cost, "train"):
        data = DataSet(Path(name), part.train, part.dev if settings.select == "dev" else [], {}, [])
        folder = _trained(encoder, data, scratch, settings)
    with timed(cost, "tag"):
        head = OBJECTIVES.find(settings.objective).head_name
        tagger = Tagger.load(folder, backend="torch", precision=settings.precision, decoding="greedy", head=head)
        words = tagger.tag_examples(part.test)
    card = read_json(folder / CARD)
    facts = {
        "steps": card["log"][-1]["step"], "best_step": card["best_step"], "settings": card["settings"], "seconds": cost,
    }  # fmt: skip
    confidences = [[round(one, _DECIMALS) for one in each.confidences] for each in words]
    return Predictions([each.tags for each in words], confidences, facts)


def score_part(part: CellSentences, found: Predictions) -> dict[str, Any]:
    """Return scores of raw greedy tags; duplicates of train sentences are left out of a second score.

    Seen entities are those of the sentences that the cell trained on; what a source domain held doesn't count.
    """
    return judge(
        [example_tags(each) for each in part.test], found.tags,
        confidences=found.confidences, words=[each.tokens for each in part.test],
        seen=seen_entities(part.train), without=part.duplicates,
    )  # fmt: skip


@contextmanager
def timed(cost: dict[str, Any], name: str) -> Iterator[None]:
    """Put what a block takes into `cost`: seconds on the wall, and of this process's CPU (user and system)."""
    wall, cpu = time.monotonic(), time.process_time()
    yield
    cost[name] = {"wall": round(time.monotonic() - wall, 3), "cpu": round(time.process_time() - cpu, 3)}


def _trained(encoder: str, data: DataSet, scratch: Path, settings: FinetuneSettings) -> Path:
    """Return the tagger's folder."""
    with without_folder(data.folder):
        (folder,) = finetune(encoder, data, scratch / "tagger", settings, calibrate=False)
    return folder


def made_by(machine: Machine, job: Job) -> dict[str, Any]:
    """Return what made the predictions: day, machine, versions."""
    import torch

    return {
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{_processor()}, {cores()} cores",
        "device": torch.cuda.get_device_name() if machine.device == "cuda" else machine.device,
        "precision": job.settings.precision,
        "versions": {"nerbert": __version__, "python": platform.python_version(),
                     **{name: _version(name) for name in _LIBRARIES}},
    }  # fmt: skip


def fingerprint(job: Job) -> dict[str, Any]:
    """Return what a cell was made from: digests of encoder and data, keys of its steps, seeds."""
    source = job.source
    return {
        "encoder": job.encoder_sha256, "data": job.sha256, "seed": job.place.seed,
        "keys": {"source": source.key if source else None, "tag": job.tag_key, "score": job.key},
        "source_data": source.data if source else None, "source_seed": source.settings.seed if source else None,
    }  # fmt: skip


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "?"


def _processor() -> str:
    """Return the processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
