"""Count how often each multiset of categories occurs: the sampling needs nothing else about the sentences.

Sentences with the same categories are drawn alike, so millions of them reduce to their distinct multisets. Each is
stored as the bytes of its sorted category numbers, about 150 bytes per multiset. The categories must be known before.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_ROWS = 1 << 16


class Histogram:
    """Multiset of categories → number of its sentences; histograms of shards can be merged."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(sorted(set(names)))
        self._numbers = {name: number for number, name in enumerate(self.names)}
        self._code = "H" if len(self.names) <= 1 << 16 else "I"
        self._counts = Counter[bytes]()

    def add(self, categories: Iterable[str], sentences: int = 1) -> None:
        """Count sentences with these categories, repeats included; raise KeyError for one that is not in `names`."""
        numbers = sorted([self._numbers[category] for category in categories])
        self._counts[array(self._code, numbers).tobytes()] += sentences

    def merge(self, other: "Histogram") -> None:
        """Add another's counts; raise ValueError if it has other names."""
        if other.names != self.names:
            raise ValueError(f"histograms of {len(self.names)} and {len(other.names)} categories that are not the same")
        self._counts.update(other._counts)

    @property
    def sentences(self) -> int:
        """Number of sentences counted."""
        return self._counts.total()

    def __len__(self) -> int:
        """Return the number of distinct multisets."""
        return len(self._counts)

    def __iter__(self) -> Iterator[tuple[tuple[str, ...], int]]:
        """Yield each multiset, its names sorted, and its number of sentences."""
        for key, sentences in self._counts.items():
            yield tuple(self.names[number] for number in array(self._code, key)), sentences

    def mentions(self) -> Counter[str]:
        """Count mentions by category."""
        table = self.table()
        return Counter(dict(zip(table.names, map(int, table.by_category(table.sentences)), strict=True)))

    def table(self) -> "CategorySets":
        """Return the nonempty multisets as arrays, in an order that does not depend on their order of arrival."""
        keys = sorted(key for key in self._counts if key)
        numbers = np.frombuffer(b"".join(keys), dtype=f"u{array(self._code).itemsize}")
        mentions = np.fromiter(map(len, keys), np.int64, len(keys)) // numbers.itemsize
        starts = np.cumsum(mentions) - mentions
        first = np.ones(len(numbers), dtype=bool)
        first[1:] = numbers[1:] != numbers[:-1]
        first[starts] = True
        places = np.flatnonzero(first)
        seen, columns = np.unique(numbers[places], return_inverse=True)
        return CategorySets(
            names=tuple(self.names[number] for number in seen),
            columns=columns.astype(np.int32),
            times=np.diff(places, append=len(numbers)).astype(np.int32),
            starts=np.searchsorted(places, starts),
            mentions=mentions,
            sentences=np.fromiter(map(self._counts.__getitem__, keys), np.float64, len(keys)),
        )


@dataclass(frozen=True, slots=True)
class CategorySets:
    """Multisets as sparse rows: row r has the categories `columns[starts[r]:starts[r + 1]]`, each `times` times."""

    names: tuple[str, ...]
    columns: NDArray[np.int32]
    times: NDArray[np.int32]
    starts: NDArray[np.int64]
    mentions: NDArray[np.int64]
    sentences: Floats

    def sums(self, values: Floats) -> Floats:
        """Return for each row the sum of its distinct categories' values."""
        return self._by_row(lambda part: values[self.columns[part]])

    def means(self, values: Floats) -> Floats:
        """Return for each row the mean of its mentions' values."""
        return self._by_row(lambda part: values[self.columns[part]] * self.times[part]) / self.mentions

    def by_category(self, values: Floats, *, distinct: bool = False) -> Floats:
        """Return for each category the sum of the rows' values over its mentions, or over rows if `distinct`."""
        total = np.zeros(len(self.names))
        for rows, part in self._blocks():
            each = np.repeat(values[rows], np.diff(self.starts[rows], append=part.stop))
            each = each if distinct else each * self.times[part]
            total += np.bincount(self.columns[part], each, len(self.names))
        return total

    def _by_row(self, values: Callable[[slice], Floats]) -> Floats:
        blocks = [np.add.reduceat(values(part), self.starts[rows] - part.start) for rows, part in self._blocks()]
        return np.concatenate(blocks) if blocks else np.zeros(0)

    def _blocks(self) -> Iterator[tuple[slice, slice]]:
        """Yield blocks of rows with the range of their categories, which bounds the size of temporary arrays."""
        for first in range(0, len(self.starts), _ROWS):
            last = first + _ROWS
            stop = self.starts[last] if last < len(self.starts) else len(self.columns)
            yield slice(first, last), slice(int(self.starts[first]), int(stop))
