"""Resolve the redirects of a whole wiki: title → the end of its chain, in a memory-mapped table.

Rows are sorted by hash on disk, and each redirect's target is looked up once. Chains are followed as row numbers only,
all at once, in steps that double; the titles stay in the file. Memory is two numbers per redirect. A title in a cycle
ends at itself; a title that leads into a cycle ends where it enters (as in `titles.fold_redirects`, which uses a dict).
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from shutil import rmtree
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from nerbert.corpus.knowledge.external_sort import HASHED, read_ranges, spill, starts_of
from nerbert.corpus.knowledge.mmap_table import Mapped, write_mapped
from nerbert.corpus.knowledge.triples import LONGEST_TITLE

_LAST = 1 << 62
_SHORT = 1 << 31
"""With fewer redirects, a number takes four bytes."""

Numbers: TypeAlias = npt.NDArray[Any]

REDIRECTS = pa.schema([*HASHED, ("end", pa.string())])
"""Schema of `redirects.arrow`: a title and the end of its chain."""
_STEP = pa.schema([*HASHED, ("target", pa.string())])
_ROW = pa.schema([("title", pa.string()), ("key", pa.int64()), ("target", pa.string())])


class Redirects:
    """A wiki's redirects; a title without a redirect ends at itself."""

    def __init__(self, path: Path) -> None:
        self._table = Mapped(path, REDIRECTS)

    def ends_of(self, titles: Sequence[str]) -> list[str]:
        """Return the end of each title's chain."""
        rows = self._table.rows_of(titles)
        ends, is_redirect = list(titles), np.flatnonzero(rows >= 0)
        for place, end in zip(is_redirect, self._table.take("end", rows[is_redirect]).to_pylist(), strict=True):
            ends[place] = end
        return ends


def write_redirects(redirects: Iterable[tuple[str, str]], path: Path, scratch: Path) -> int:
    """Write the table of `redirects`, pairs of normalised title and target; of a title's rows the last counts.

    Return the number of redirects that were omitted because one of their titles is too long or the target is empty.
    """
    scratch.mkdir()
    left_out = 0

    def rows() -> Iterator[tuple[str, int, str]]:
        nonlocal left_out
        for number, (title, target) in enumerate(redirects):
            if target and max(len(title), len(target)) <= LONGEST_TITLE:
                yield title, _LAST - number, target
            else:
                left_out += 1

    runs = spill(rows(), _ROW, scratch, _first)
    steps = (table.drop_columns("key") for table in read_ranges(runs, _first))
    write_mapped(steps, _STEP, {"kind": "redirect steps"}, scratch / "steps.arrow")
    table = Mapped(scratch / "steps.arrow", _STEP)
    write_mapped(_ends(table), REDIRECTS, {"kind": "redirects"}, path)
    rmtree(scratch)
    return left_out


def fold(following: Numbers) -> tuple[Numbers, Numbers]:
    """Follow chains of rows, where `following` is -1 at the end of a chain.

    Return for each row the end of its chain. Return also, for rows in or leading into a cycle, the row where they enter
    it; -1 for others.
    """
    here = np.arange(len(following), dtype=following.dtype)
    last = np.where(following < 0, here, following)
    left = np.flatnonzero(following[last] >= 0)
    steps = 1
    while len(left) and steps <= len(following):
        last[left] = last[last[left]]
        left = left[following[last[left]] >= 0]
        steps *= 2
    entered = np.full_like(following, -1)
    cycle = np.zeros(len(following), np.bool_)
    cycle[last[left]] = True
    entered[left] = np.where(cycle[left], left, following[left])
    while len(outside := left[~cycle[entered[left]]]):
        entered[outside] = entered[entered[outside]]
    return last, entered


def _ends(table: Mapped) -> Iterator[pa.Table]:
    """Yield the rows of the result.

    The end of a chain is the target of its last redirect; the end of a cycle is the title at its entry.
    """
    following: Numbers = np.empty(len(table), np.int32 if len(table) < _SHORT else np.int64)
    start = 0
    for batch in table.batches():
        following[start : start + batch.num_rows] = table.rows_of(batch["target"].to_pylist())
        start += batch.num_rows
    last, entered = fold(following)
    start = 0
    for batch in table.batches():
        part = slice(start, start := start + batch.num_rows)
        ends = table.take("target", last[part])
        circular = entered[part] >= 0
        if circular.any():
            ends = pc.if_else(pa.array(circular), table.take("title", np.maximum(entered[part], 0)), ends)
        yield pa.table([batch["hash"], batch["title"], ends], REDIRECTS)


def _first(table: pa.Table) -> pa.Table:
    return table.filter(pa.array(starts_of(table["hash"], table["title"])))
