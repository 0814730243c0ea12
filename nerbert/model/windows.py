"""Windows of subwords as flat columns, in memory or mapped from files, and padded micro-batches of them; no torch."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from tempfile import TemporaryFile, gettempdir
from typing import Any, Literal

import numpy as np

from nerbert.artifacts import write_json, writing
from nerbert.errors import InputError
from nerbert.rng import Array
from nerbert.schema import read_json

IGNORED = -100
"""The label of what gives no loss (torch's own default)."""
START_COST = 50
"""Overhead of a micro-batch on a CPU, in pieces: measured with MiniLM in bf16 (26 ms of CPU)."""
WINDOWS_FORMAT = 2
"""Of these files; it is in the key of what caches them, so that two versions of nerbert don't replace each other's."""
_BLOCK = 1 << 22
"""Numbers that are written at once."""
_COUNTS = "windows.json"
_TYPES = {
    "ids": np.int32,
    "ends": np.int64,
    "words": np.int32,
    "positions": np.int32,
    "labels": np.int32,
    "word_ends": np.int64,
    "sentences": np.int64,
}


Label = int | tuple[int, ...]
"""What a word is labelled with: a number, or several."""


@dataclass(frozen=True, slots=True)
class Window:
    """Pieces that go through the model together, specials included.

    `words` are the sentence's words that are read off here, `positions` the places of their first pieces, `labels`
    their labels (empty at prediction): one number a word, or several. A word with the position of the word before it
    shares that one's piece. `sentence` is the number of the sentence that it was cut from.
    """

    sentence: int
    ids: tuple[int, ...]
    words: tuple[int, ...]
    positions: tuple[int, ...]
    labels: tuple[Label, ...] = ()


@dataclass(frozen=True, slots=True)
class Windows:
    """Many windows: `ids` is (pieces,); `words`, `positions`, `labels` are (words,); the rest is (windows,).

    `ends` and `word_ends` say where a window's pieces and words end, `sentences` where it comes from. `labels` is
    (words, labels a word) if there are several, and empty at prediction.
    """

    ids: Array
    ends: Array
    words: Array
    positions: Array
    labels: Array
    word_ends: Array
    sentences: Array

    @classmethod
    def pack(cls, windows: Iterable[Window]) -> "Windows":
        """Return the columns of some windows."""
        rows = list(windows)
        lists = [(row.ids, row.words, row.positions, row.labels) for row in rows]
        of_ids, of_words, of_positions, of_labels = zip(*lists, strict=True) if rows else ((),) * 4
        ends, word_ends = (np.cumsum([*map(len, column)], dtype=np.int64) for column in (of_ids, of_positions))
        ids, words, positions = (
            np.fromiter(chain.from_iterable(column), np.int32) for column in (of_ids, of_words, of_positions)
        )
        labels = np.array([*chain.from_iterable(of_labels)], np.int32)
        return cls(ids, ends, words, positions, labels, word_ends, np.array([row.sentence for row in rows], np.int64))

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def lengths(self) -> Array:
        """Return (windows,): pieces of each."""
        return np.diff(self.ends, prepend=0)

    def lengths_of(self, numbers: Array) -> Array:
        """Return pieces of some windows."""
        return _lengths(self.ends, numbers)


def take_column(column: Array, ends: Array, numbers: Array) -> tuple[Array, Array]:
    """Return what a column holds of some windows, one after the other, and how much of each."""
    places, lengths = places_of(ends, numbers)
    return column[places], lengths


def places_of(ends: Array, numbers: Array) -> tuple[Array, Array]:
    """Return where some windows lie in a column, one after the other, and how much each has there."""
    lengths = _lengths(ends, numbers)
    before = np.cumsum(lengths) - lengths
    return np.repeat(ends[numbers] - lengths - before, lengths) + np.arange(int(lengths.sum())), lengths


def _lengths(ends: Array, numbers: Array) -> Array:
    return ends[numbers] - np.where(numbers > 0, ends[numbers - 1], 0)


def write_windows(folder: Path, parts: Iterable[Windows]) -> None:
    """Write windows into an existing folder, a file a column, a part at a time; their counts come last."""
    pieces = words = count = labels = 0
    with ExitStack() as stack:
        files = {name: stack.enter_context((folder / f"{name}.bin").open("wb")) for name in _TYPES}
        for part in parts:
            shift = {"ends": pieces, "word_ends": words}
            for name, dtype in _TYPES.items():
                column = getattr(part, name) + shift.get(name, 0)
                files[name].write(np.ascontiguousarray(column, dtype).data)
            pieces += len(part.ids)
            words += len(part.positions)
            count += len(part)
            labels += part.labels.size
    # The counts come last: a folder that was cut off has none, or files of another size.
    counts = {"windows": count, "pieces": pieces, "words": words, "labels": labels}
    write_json(folder / _COUNTS, {"format": WINDOWS_FORMAT, **counts})


@dataclass(frozen=True, slots=True)
class _Counts:
    """What `windows.json` holds."""

    format: Literal[2]
    windows: int
    pieces: int
    words: int
    labels: int


def open_windows(folder: Path) -> Windows:
    """Return the labelled windows of a folder, mapped; raise InputError for files that aren't whole."""
    counts = read_json(folder / _COUNTS, _Counts, remedy="delete the folder")
    kinds = {"ids": "pieces", "words": "words", "positions": "words", "labels": "labels"}
    sizes = {name: getattr(counts, kinds.get(name, "windows")) for name in _TYPES}
    windows = Windows(**{name: map_file(folder / f"{name}.bin", dtype, sizes[name]) for name, dtype in _TYPES.items()})
    if counts.labels % max(1, counts.words):
        raise InputError(f"{folder / _COUNTS}: its words and labels don't belong together; delete the folder")
    several = counts.labels > counts.words > 0
    return replace(windows, labels=windows.labels.reshape(counts.words, -1)) if several else windows


def map_file(path: Path, number_type: type, size: Any) -> Array:
    """Map a file of `size` numbers; raise InputError if it isn't of that size."""
    dtype = np.dtype(number_type)
    if type(size) is not int or not path.is_file() or path.stat().st_size != size * dtype.itemsize:
        raise InputError(f"{path}: cut off or missing; delete the folder {path.parent}, it is made again")
    # An empty file can't be mapped.
    return np.memmap(path, dtype, "r") if size else np.empty(0, dtype)


def copied_to_file(column: Array, beside: Array | None = None) -> Array:
    """Return a copy of a column that is mapped from a file without a name: in the folder of the file that `beside` is
    mapped from if that may be written, else among temporary files. It is in memory if `beside` is. Raise WriteError for
    a full disk."""
    home = getattr(beside, "filename", None)
    if not len(column) or (home is None and beside is not None):
        return np.array(column)
    folder = Path(home).parent if home else None
    # The cache may be read-only, or another user's.
    directory = str(folder) if folder and os.access(folder, os.W_OK) else gettempdir()
    with writing(Path(directory) / "labels"), TemporaryFile(dir=directory) as file:
        # Written, not mapped: a mapped page without room on the disk kills the process, a
        # write raises an error.
        for start in range(0, len(column), _BLOCK):
            file.write(np.ascontiguousarray(column[start : start + _BLOCK]).data)
        file.flush()
        return np.memmap(file, column.dtype, "r+", shape=column.shape)


_MOST = 512
"""Most windows in a search for a group: beyond, a cut costs next to nothing."""


@dataclass(frozen=True, slots=True)
class Padded:
    """Windows side by side: `ids` and `mask` are (windows, pieces), `rows` and `columns` (terms,): what is read off."""

    ids: Array
    mask: Array
    rows: Array
    columns: Array


def pad_windows(windows: Windows, numbers: Array, pad_id: int) -> Padded:
    """Return some windows, padded to the longest of them."""
    pieces, lengths = take_column(windows.ids, windows.ends, numbers)
    inside = np.arange(int(lengths.max())) < lengths[:, None]
    ids = np.full(inside.shape, pad_id, np.int64)
    ids[inside] = pieces
    columns, words = take_column(windows.positions, windows.word_ends, numbers)
    return Padded(ids, inside, np.repeat(np.arange(len(numbers)), words), columns)


def padded_rows(rows: Sequence[Sequence[int]], pad_id: int) -> tuple[Array, Array]:
    """Return the ids and the mask of some rows, (rows, pieces) each."""
    mask = np.arange(max(map(len, rows))) < np.array([len(row) for row in rows])[:, None]
    ids = np.full(mask.shape, pad_id, np.int64)
    ids[mask] = np.concatenate([np.array(row, np.int64) for row in rows])
    return ids, mask.astype(np.int64)


def micro_batches(lengths: Sequence[int] | Array, max_tokens: int) -> Iterator[list[int]]:
    """Yield places in `lengths` in groups of a padded size up to `max_tokens`; a longer window is alone."""
    group: list[int] = []
    # Rising lengths: the one that comes next decides the padded size of all in the group.
    for index in _by_length(lengths):
        if group and (len(group) + 1) * int(lengths[index]) > max_tokens:
            yield group
            group = []
        group.append(index)
    if group:
        yield group


def cheapest_cuts(lengths: Sequence[int] | Array, max_tokens: int, start_cost: int) -> list[list[int]]:
    """Return `micro_batches` of the least cost: padded pieces, and `start_cost` a group; by dynamic programming."""
    order = _by_length(lengths)
    costs = [0]
    begins = [0]
    for end, index in enumerate(order, 1):
        longest = int(lengths[index])
        fits = range(max(0, end - min(_MOST, max(1, max_tokens // longest))), end)
        # The cheapest way to this end: the cheapest to some earlier one, and one group from there.
        cost, begin = min((costs[begin] + (end - begin) * longest + start_cost, begin) for begin in fits)
        costs.append(cost)
        begins.append(begin)
    groups = list[list[int]]()
    end = len(order)
    while end:
        groups.append(order[begins[end] : end])
        end = begins[end]
    return groups[::-1]


def _by_length(lengths: Sequence[int] | Array) -> list[int]:
    # Stable, so that equal lengths keep their order and the same data give the same batches.
    order: list[int] = np.argsort(np.asarray(lengths), kind="stable").tolist()
    return order
