"""The train part as labelled windows of pieces: tokenised once, mapped from then on.

The choice: every sentence that can have copies is cut into windows shard by shard, in order, by one process or several,
into files whose folder is named by the hash of all that decides what stands there (`encoder.cache`). An epoch is then a
list of window numbers. The price: the corpus's pieces lie on the disk, about 15 bytes each, once for each label set,
tokenizer and length.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nerbert.artifacts import read_json, write_json
from nerbert.cache import cached
from nerbert.corpus.shards import checked_shards, shard_hashes
from nerbert.encoder.corpus_labels import SilverLabels
from nerbert.encoder.preprocess import VERSION, Preprocessor, Sentences, ShardWindows, cut_shard, cut_shard_alone
from nerbert.encoder.settings import PretrainSettings
from nerbert.errors import InputError
from nerbert.executors import cores, run_ordered
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.model.windows import Windows, mapped, open_windows, write_windows
from nerbert.rng import Array, coins
from nerbert.terminal import Progress, progress

_COUNTS = "sentences.json"
_TYPES = {"copies": np.int32, "expected_copies": np.float64, "identities": np.uint64}
_FEW = 50_000
"""Sentences that one process has cut before others have started."""


class CorpusFeed:
    """The labelled windows of the train part, mapped, and which of them an epoch has."""

    def __init__(self, windows: Windows, sentences: Sentences, settings: PretrainSettings) -> None:
        self.windows, self.sentences = windows, sentences
        self._seed, self._redraw = settings.seed, settings.resample_each_epoch
        self._last: tuple[int, Array] | None = None

    def numbers_of(self, epoch: int) -> Array:
        """(windows of the epoch,): numbers in order, each as often as its sentence has copies then."""
        epoch = epoch if self._redraw else 0
        if self._last is None or self._last[0] != epoch:
            copies = self.copies_of(epoch)[self.windows.sentences]
            self._last = epoch, np.repeat(np.arange(len(copies)), copies)
        return self._last[1]

    def copies_of(self, epoch: int) -> Array:
        """(sentences,): as the corpus drew them, or drawn anew: ⌊r⌋, and one more with the rest's probability."""
        if not self._redraw:
            return self.sentences.copies
        whole = np.floor(self.sentences.expected_copies)
        chances = coins(self._seed, f"copies of epoch {epoch}", self.sentences.identities)
        return (whole + (chances < self.sentences.expected_copies - whole)).astype(np.int64)


def open_feed(
    manifest: Mapping[str, Any], labels: SilverLabels, pieces: SubwordTokenizer, settings: PretrainSettings,
    workers: int | None = None,
) -> CorpusFeed:  # fmt: skip
    """The train part's windows, from the cache; made first, by `workers` processes (None: all cores), if not there.

    Safe to call from several processes at once: one makes them. Raise InputError for a shard that isn't as the manifest
    says, and where there is nothing to train on.
    """
    cutter = Preprocessor(pieces, labels)
    origin = {"version": VERSION, "shards": shard_hashes(settings.corpus, manifest), **cutter.key()}
    make = partial(_make, manifest=manifest, corpus=settings.corpus, cutter=cutter, workers=workers)
    feed = CorpusFeed(*cached(settings.cache, "pieces", origin, make, _read), settings)
    if not len(feed.numbers_of(0)):
        raise InputError(_NOTHING)
    return feed


_NOTHING = "nothing to train on: no training sentence has copies and a word that the tokenizer knows"


def _make(folder: Path, manifest: Mapping[str, Any], corpus: Path, cutter: Preprocessor, workers: int | None) -> None:
    rows = sum(manifest["shards"].values())
    workers = workers or (1 if rows < _FEW else cores())
    task = partial(cut_shard if workers == 1 else cut_shard_alone, cutter=cutter)
    with progress("cutting sentences into pieces", rows) as bar:
        shards = run_ordered(task, checked_shards(corpus, manifest), workers)
        write_windows(folder, _written(folder, _shown(shards, bar)))


def _shown(shards: Iterable[list[ShardWindows]], bar: Progress) -> Iterator[ShardWindows]:
    for shard in shards:
        for part in shard:
            yield part
            bar.advance(part.rows)


def _written(folder: Path, parts: Iterable[ShardWindows]) -> Iterator[Windows]:
    """The parts' windows, numbered by their sentences' places in all, while what copies are drawn from is written."""
    count = 0
    files = {name: (folder / f"{name}.bin").open("wb") for name in _TYPES}
    try:
        for part in parts:
            yield replace(part.windows, sentences=part.windows.sentences + count)
            for name, file in files.items():
                file.write(np.ascontiguousarray(getattr(part.sentences, name), _TYPES[name]).data)
            count += len(part.sentences)
    finally:
        for file in files.values():
            file.close()
    write_json(folder / _COUNTS, {"sentences": count})


def _read(folder: Path) -> tuple[Windows, Sentences]:
    counts = read_json(folder / _COUNTS)
    size = counts.get("sentences") if isinstance(counts, dict) else None
    if type(size) is not int:
        raise InputError(f"{folder / _COUNTS}: damaged; delete the folder")
    windows = open_windows(folder)
    whole = ((windows.ends, len(windows.ids)), (windows.word_ends, len(windows.words)), (windows.sentences, size - 1))
    if len(windows) and any(column[-1] > last for column, last in whole):
        raise InputError(f"{folder}: damaged: its files don't belong together; delete the folder")
    return windows, Sentences(**{name: mapped(folder / f"{name}.bin", dtype, size) for name, dtype in _TYPES.items()})
