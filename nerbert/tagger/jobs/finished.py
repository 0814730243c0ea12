"""Finished parts of one output: a file each, and beside it a mark that says what it was made from.

A part is taken over from an earlier run only if its rows are those of now, by their SHA-256; what else they hang on
(tagger, settings) the plan of the folder guards. So an input that was mended in one line costs the parts from there on.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nerbert.artifacts import publish, read_json, write_json
from nerbert.errors import InputError
from nerbert.records import Span
from nerbert.tagger.jobs.inputs import Block
from nerbert.tagger.jobs.outputs import Output


@dataclass(slots=True)
class RowCounts:
    """Rows, and entities by type."""

    rows: int = 0
    entities: Counter[str] = field(default_factory=Counter)

    def add(self, other: "RowCounts") -> None:
        """Count what another tally has."""
        self.rows += other.rows
        self.entities.update(other.entities)

    def told(self) -> str:
        """In words, the most frequent types first."""
        count = self.entities.total()
        types = ", ".join(f"{name} {each:,}" for name, each in self.entities.most_common())
        return f"{self.rows:,} rows, {count:,} entities{f' ({types})' if types else ''}"


class Kept:
    """The parts of one output, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, number: int) -> Path:
        """Where a part is."""
        return self._folder / f"{number:06d}.part"

    def find(self, number: int, block: Block) -> RowCounts | None:
        """What a part counts, if it is done and of these rows."""
        part, mark = self.path(number), self._mark(number)
        if not part.is_file() or not mark.is_file():
            return None
        try:
            told = read_json(mark)
            same = told["rows_sha256"] == block.digest and told["size"] == part.stat().st_size
            return RowCounts(int(told["rows"]), Counter(told["entities"])) if same else None
        except (InputError, KeyError, TypeError, ValueError):
            return None

    def write(self, number: int, block: Block, found: Sequence[Sequence[Span]], output: Output) -> RowCounts:
        """Write a part and then its mark; the mark of another part that stood there goes first."""
        part = self.path(number)
        self._mark(number).unlink(missing_ok=True)
        with publish(part) as draft:
            output.part(block, found, draft)
        tally = RowCounts(len(block.rows), Counter(span.type for spans in found for span in spans))
        told: dict[str, Any] = {"rows_sha256": block.digest, "size": part.stat().st_size, "rows": tally.rows}
        write_json(self._mark(number), told | {"entities": tally.entities})
        return tally

    def _mark(self, number: int) -> Path:
        return self._folder / f"{number:06d}.json"
