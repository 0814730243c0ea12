"""Data kept while a Wikidata dump is read: classes of items, parents of classes, titles of one wiki.

An item's classes and its title can be anywhere in a dump. Both are therefore written to files, partitioned by the
item's number, and joined part by part. Parents of classes stay in memory (some five million, 8 bytes each). The cost:
about 10 bytes on disk for each class of an item and each title, 1.5 GB for all of Wikidata.
"""

from array import array
from collections.abc import Iterator
from pathlib import Path
from struct import Struct
from tempfile import TemporaryFile
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Pairs: TypeAlias = npt.NDArray[np.uint32]
"""Rows of two item numbers: the subject and the object of `instance of` or `subclass of`."""
HIGHEST = (1 << 32) - 1
_PARTS = 64
_PAIR = Struct("=II")


class Items:
    """The facts of a dump; `folder` takes the data that does not stay in memory, until `close`."""

    def __init__(self, folder: Path) -> None:
        self.links = 0
        self._parents = array("I")
        self._classes, self._titles = (
            [TemporaryFile(dir=folder) for _ in range(_PARTS)]  # noqa: SIM115  (`close` closes them)
            for _ in range(2)
        )

    def close(self) -> None:
        """Remove the files."""
        for file in (*self._classes, *self._titles):
            file.close()

    def add_class(self, item: int, name: int) -> None:
        """Store that `item` is an instance of `name`."""
        self._classes[item % _PARTS].write(_PAIR.pack(item, name))

    def add_parent(self, name: int, parent: int) -> None:
        """Store that the class `name` is a subclass of `parent`."""
        self._parents.extend((name, parent))

    def add_title(self, item: int, title: str) -> None:
        """Store that a page of the wiki is about `item`."""
        self.links += 1
        self._titles[item % _PARTS].write(f"{item}\t{title}\n".encode())

    def parents(self) -> Pairs:
        """Return all pairs of class and parent."""
        return np.array(self._parents, dtype=np.uint32).reshape(-1, 2)

    def parts(self) -> Iterator[tuple[Pairs, list[tuple[int, str]]]]:
        """Yield the parts: pairs of item and class for items with a title, and the sorted titles."""
        for classes, lines in zip(self._classes, self._titles, strict=True):
            classes.seek(0)
            lines.seek(0)
            cells = (line.split("\t", 1) for line in lines.read().decode().split("\n")[:-1])
            titles = sorted({(int(item), title) for item, title in cells})
            pairs = np.frombuffer(classes.read(), np.uint32).reshape(-1, 2)
            yield pairs[np.isin(pairs[:, 0], [item for item, _ in titles])], titles
