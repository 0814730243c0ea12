"""Data kept while a Wikidata dump is read: classes of items, parents of classes, titles of one wiki.

An item's classes and its title can be anywhere in a dump. Both are therefore written to files, partitioned by the
item's number, and joined part by part. Parents of classes stay in memory (some five million, 8 bytes each). The cost:
about 10 bytes on disk for each class of an item and each title, 1.5 GB for all of Wikidata.
"""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Pairs: TypeAlias = npt.NDArray[np.uint32]
"""Rows of two item numbers: the subject and the object of `instance of` or `subclass of`."""
HIGHEST = (1 << 32) - 1
_PARTS = 64
_FULL = 1 << 20


@dataclass(slots=True)
class Items:
    """The facts of a dump; `folder` must be empty and takes the data that does not stay in memory."""

    folder: Path
    links: int = 0
    _classes: "array[int]" = field(default_factory=lambda: array("I"))
    _parents: "array[int]" = field(default_factory=lambda: array("I"))
    _titles: list[tuple[int, str]] = field(default_factory=list)

    def add_class(self, item: int, name: int) -> None:
        """Store that `item` is an instance of `name`."""
        self._classes.extend((item, name))
        if len(self._classes) >= 2 * _FULL:
            self._spill_classes()

    def add_parent(self, name: int, parent: int) -> None:
        """Store that the class `name` is a subclass of `parent`."""
        self._parents.extend((name, parent))

    def add_title(self, item: int, title: str) -> None:
        """Store that a page of the wiki is about `item`."""
        self.links += 1
        self._titles.append((item, title))
        if len(self._titles) >= _FULL // 4:
            self._spill_titles()

    def parents(self) -> Pairs:
        """Return all pairs of class and parent."""
        return np.array(self._parents, dtype=np.uint32).reshape(-1, 2)

    def parts(self) -> Iterator[tuple[Pairs, list[tuple[int, str]]]]:
        """Yield the parts: pairs of item and class for items with a title, and the sorted titles."""
        self._spill_classes()
        self._spill_titles()
        for part in range(_PARTS):
            titles = self._read_titles(part)
            items = np.unique(np.array([item for item, _ in titles], dtype=np.uint32))
            pairs = self._read_classes(part)
            yield pairs[np.isin(pairs[:, 0], items)], titles

    def _spill_classes(self) -> None:
        pairs = np.array(self._classes, dtype=np.uint32).reshape(-1, 2)
        parts = pairs[:, 0] % _PARTS
        for part in np.unique(parts).tolist():
            with self._file("classes", part).open("ab") as stream:
                stream.write(pairs[parts == part].tobytes())
        del self._classes[:]

    def _spill_titles(self) -> None:
        lines: list[list[str]] = [[] for _ in range(_PARTS)]
        for item, title in self._titles:
            lines[item % _PARTS].append(f"{item}\t{title}\n")
        for part, found in enumerate(lines):
            with self._file("titles", part).open("a", encoding="utf-8", newline="\n") as stream:
                stream.writelines(found)
        self._titles.clear()

    def _read_classes(self, part: int) -> Pairs:
        path = self._file("classes", part)
        return np.fromfile(path, dtype=np.uint32).reshape(-1, 2) if path.exists() else np.empty((0, 2), np.uint32)

    def _read_titles(self, part: int) -> list[tuple[int, str]]:
        with self._file("titles", part).open(encoding="utf-8", newline="\n") as stream:
            cells = (line.rstrip("\n").split("\t", 1) for line in stream)
            return sorted({(int(item), title) for item, title in cells})

    def _file(self, kind: str, part: int) -> Path:
        return self.folder / f"{kind}-{part:02d}"
