"""The steps that cost time: an encoder becomes a tagger, and the tagger tags the test sentences.

What is kept of a tagger is what it said of each word: scores can be made of that anew whenever their rules change. The
price is that a tagger itself, hundreds of megabytes, is gone when its cell is done.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nerbert.artifacts import read_json, write_json
from nerbert.evaluation.benchmark.predictions import CellSentences, Predictions, without_folder
from nerbert.finetuning.finetune import finetune
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.formats.conll import write_conll
from nerbert.model.backbone import CARD
from nerbert.records import Example
from nerbert.tagger.tagger import Tagger

_PLACES = 4
"""To how many places confidences are kept."""
COST = "seconds.json"
"""The file beside a source checkpoint that says what it cost."""


def train_source(encoder: str, train: Sequence[Example], name: str, settings: FinetuneSettings, scratch: Path) -> Path:
    """Train an encoder on a source domain; the checkpoint's folder, with what it cost in `COST`."""
    cost: dict[str, Any] = {}
    with timed(cost, "source"):
        folder = _trained(encoder, _write(scratch / "data" / name, train, ()), scratch, settings)
    write_json(folder / COST, cost)
    return folder


def tag_part(
    encoder: str, part: CellSentences, dev: Sequence[Example], name: str, settings: FinetuneSettings, scratch: Path
) -> Predictions:
    """Fine-tune an encoder (or a source checkpoint) on a part's sentences and tag its test sentences.

    `dev` is written for `finetune` only where the protocol chooses by it.
    """
    cost: dict[str, Any] = {}
    with timed(cost, "train"):
        data = _write(scratch / "data" / name, part.train, dev if settings.select == "dev" else ())
        folder = _trained(encoder, data, scratch, settings)
    with timed(cost, "tag"):
        tagger = Tagger.load(folder, backend="torch", precision=settings.precision, decoding="greedy")
        words = tagger.tag_examples(part.test)
    card = read_json(folder / CARD)
    facts = {
        "steps": card["log"][-1]["step"], "best_step": card["best_step"], "settings": card["settings"], "seconds": cost,
    }  # fmt: skip
    confidences = [[round(one, _PLACES) for one in each.confidences] for each in words]
    return Predictions([each.tags for each in words], confidences, facts)


@contextmanager
def timed(cost: dict[str, Any], name: str) -> Iterator[None]:
    """Put what a block takes into `cost`: seconds on the wall, and of this process's CPU (user and system)."""
    wall, cpu = time.monotonic(), time.process_time()
    yield
    cost[name] = {"wall": round(time.monotonic() - wall, 3), "cpu": round(time.process_time() - cpu, 3)}


def _trained(encoder: str, data: Path, scratch: Path, settings: FinetuneSettings) -> Path:
    """The tagger's folder."""
    with without_folder(data):
        (folder,) = finetune(encoder, data, scratch / "tagger", settings, calibrate=False)
    return folder


def _write(folder: Path, train: Sequence[Example], dev: Sequence[Example]) -> Path:
    """A data folder as `finetune` takes it."""
    folder.mkdir(parents=True)
    write_conll(folder / "train.conll", train)
    if dev:
        write_conll(folder / "dev.conll", dev)
    return folder
