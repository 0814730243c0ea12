"""Training data of a corpus: labelled windows of subwords, made once, memory-mapped from then on.

The choice: every sentence that can have copies is cut into windows shard by shard, in order, by one process or several,
into files whose folder is named by the hash of all that decides their content (`nerbert.cache`). An epoch is then a
list of window numbers. The price: the corpus's pieces lie on the disk, about 15 bytes each, once for each label set,
tokenizer and length.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from nerbert.artifacts import read_json, write_json
from nerbert.cache import cached
from nerbert.corpus.shards import checked_shards, shard_hashes
from nerbert.encoder.corpus_labels import CorpusLabels
from nerbert.encoder.preprocess import VERSION, Preprocessor, Sentences, ShardWindows, cut_shard, cut_shard_alone
from nerbert.encoder.settings import PretrainSettings
from nerbert.errors import InputError
from nerbert.executors import LocalExecutor, cores
from nerbert.labels import tag_names
from nerbert.model.tokenizer import BioLabels, SubwordTokenizer, WordLabels
from nerbert.model.windows import Windows, mapped, open_windows, write_windows
from nerbert.rng import Array
from nerbert.terminal import Progress, progress
from nerbert.training.loop import TrainingData

_COUNTS = "sentences.json"
_TYPES = {"copies": np.int32, "expected_copies": np.float64, "identities": np.uint64}
_FEW = 50_000
"""Sentences that one process has cut before others have started."""


def open_training_data(
    manifest: Mapping[str, Any], labels: CorpusLabels, pieces: SubwordTokenizer, settings: PretrainSettings,
    workers: int | None = None, own: WordLabels | None = None,
) -> TrainingData:  # fmt: skip
    """Open the train part's windows in the cache; `workers` processes (None: all cores) make them if there are none.

    `own` are the labels of an objective that reads some; another one shares the windows of BIO tags. Safe to call from
    several processes at once: one makes them. Raise InputError for a shard that isn't as the manifest says, and where
    there is nothing to train on.
    """
    cutter = Preprocessor(pieces, labels, own or BioLabels(tag_names(labels.categories)))
    origin = {"version": VERSION, "shards": shard_hashes(settings.corpus, manifest), **cutter.key()}
    make = partial(_make, manifest=manifest, corpus=settings.corpus, cutter=cutter, workers=workers)
    windows, sentences = cached(settings.cache, "pieces", origin, make, _read)
    data = TrainingData(windows, _numbers_of(windows, sentences, settings), pieces.pad_id)
    if not len(data.numbers_of(0)):
        raise InputError(_NOTHING)
    return data


def _numbers_of(windows: Windows, sentences: Sentences, settings: PretrainSettings) -> Callable[[int], Array]:
    """Return a function from an epoch to its windows' numbers, in order, each as often as its sentence has copies."""

    @lru_cache(maxsize=1)
    def numbers_of(epoch: int) -> Array:
        copies = sentences.drawn(epoch, settings.seed) if settings.resample_each_epoch else sentences.copies
        return np.repeat(np.arange(len(windows)), copies[windows.sentences])

    return numbers_of if settings.resample_each_epoch else lambda _: numbers_of(0)


_NOTHING = "nothing to train on: no training sentence has copies and a word that the tokenizer knows"


def _make(folder: Path, manifest: Mapping[str, Any], corpus: Path, cutter: Preprocessor, workers: int | None) -> None:
    rows = sum(manifest["shards"].values())
    workers = workers or (1 if rows < _FEW else cores())
    task = partial(cut_shard if workers == 1 else cut_shard_alone, cutter=cutter)
    with progress("cutting sentences into pieces", rows) as bar, LocalExecutor(workers) as executor:
        shards = executor.map_ordered(task, checked_shards(corpus, manifest))
        write_windows(folder, _written(folder, _shown(shards, bar)))


def _shown(shards: Iterable[list[ShardWindows]], bar: Progress) -> Iterator[ShardWindows]:
    for shard in shards:
        for part in shard:
            yield part
            bar.advance(part.rows)


def _written(folder: Path, parts: Iterable[ShardWindows]) -> Iterator[Windows]:
    """Yield the parts' windows, numbered by their sentences in all parts, and write the columns of the sentences."""
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
