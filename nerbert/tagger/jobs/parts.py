"""The tagged parts of a file, which outlive a kill: only the entities, since all else is read from the input again.

A part is one file, with the digest of its rows; the folder's fingerprint guards the rest (tagger, settings). So an
input that was corrected in one line costs the parts from there on, and another kind of output costs none. The price:
the input is read once more, which takes little time beside tagging.
"""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NoReturn, TypeAlias

from nerbert.artifacts import artifact, publish
from nerbert.errors import InputError
from nerbert.formats.rows import Block
from nerbert.records import Span
from nerbert.tagger.jobs.files import STDIN, InputFile
from nerbert.tagger.spans import utf16_spans

Entity: TypeAlias = tuple[int, int, str, float]
"""Start, end, type and confidence."""
Find: TypeAlias = Callable[[Block], Sequence[Sequence[Span]]]
"""Finds the entities of each row of a block."""


class TaggedParts:
    """An input file with its parts in a folder; as an iterable its blocks with their entities, read anew each time.

    Standard input or a pipe is copied into the folder first. With `utf16` the entities' offsets count UTF-16 units.
    """

    def __init__(self, source: InputFile, folder: Path, field: str, errors: str, *, utf16: bool) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._source, self._folder, self._how, self._utf16 = source, folder, (field, errors), utf16
        self.count, self.rows, self.entities = 0, 0, Counter[str]()

    def tag(self, find: Find, advance: Callable[[Block], None]) -> None:
        """Tag the parts that aren't done, and count all; `advance` is called for each one that is."""
        if self._source.place == STDIN or not Path(self._source.place).is_file():
            copy = self._folder / "stdin"
            with self._source.opened() as stream, publish(copy) as draft, draft.open("wb") as file:
                shutil.copyfileobj(stream, file)
            self._source = replace(self._source, copy=copy)
        for block in self._source.parts(*self._how):
            rows, before = self._rows(self.count, block, partial(find, block))
            if before:
                advance(block)
            self.count, self.rows = self.count + 1, self.rows + len(block.rows)
            self.entities.update(type_ for row in rows for _, _, type_, _ in row)

    def __iter__(self) -> Iterator[tuple[Block, list[list[Span]]]]:
        number = 0
        for number, block in enumerate(self._source.parts(*self._how), 1):
            rows, _ = self._rows(number - 1, block, self._changed)
            found = []
            for row, entities in zip(block.rows, rows, strict=True):
                spans = [Span(*each[:3], row.text[each[0] : each[1]], each[3]) for each in entities]
                found.append(utf16_spans(row.text, spans) if self._utf16 else spans)
            yield block, found
        if number != self.count:
            self._changed()

    def _rows(
        self, number: int, block: Block, find: Callable[[], Sequence[Sequence[Span]]]
    ) -> tuple[list[list[Entity]], bool]:
        """Return the entities of each row of a part, and whether they were found before."""
        mark = self._folder / f"{number:06d}.json"
        made = artifact(
            mark, block.digest, [], lambda: [list(map(_entity, spans)) for spans in find()], list[list[Entity]]
        )
        return made.result, made.before

    def _changed(self) -> NoReturn:
        raise InputError(f"{self._source}: changed while it was read; give the same command again")


def _entity(span: Span) -> Entity:
    return span.start, span.end, span.type, span.confidence
