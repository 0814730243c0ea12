"""The folder of a benchmark: what is done stands in it under its key, whole or not at all.

    cells/KEY.json          a cell: its scores and how it was made; a failed one with its reason
    predictions/KEY.json    what a tagger said of each test word, to be scored anew
    sources/KEY/            a checkpoint trained on a source domain
    .scratch/               what is under way; emptied by the next run

The choice: a key says all that the outcome hangs on, so a file is right or absent, whichever suite asks. The price:
what no suite asks for any more stays until someone deletes it.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nerbert.errors import InputError, NerbertError
from nerbert.evaluation.benchmark.cells import Cell, Place, State
from nerbert.evaluation.benchmark.parts import Found
from nerbert.files import publish, read_json, write_json
from nerbert.labels import split_tag
from nerbert.locks import held
from nerbert.records import Example

FORMAT = 1
_AGAIN = "try_again"
"""Marks a failure that says more of the machine than of the cell (it was killed, the disk was full)."""
_LARGEST = 512 << 20


class Store:
    """Reads and writes a benchmark's folder; `notes` gathers what was found broken there."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.notes = folder, list[str]()
        self.cells, self.predictions = folder / "cells", folder / "predictions"
        self.sources, self.scratch = folder / "sources", folder / ".scratch"

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Make the folder and keep other runs out of it; what an earlier one left under way is removed."""
        for each in (self.cells, self.predictions, self.sources):
            try:
                each.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise InputError(f"{each}: can't be made: {error.strerror}") from error
        with held(self.folder, f"{self.folder}: another benchmark works there; wait for it or name another folder"):
            self._clear()
            self.scratch.mkdir(exist_ok=True)
            try:
                yield
            finally:
                self._clear()

    def _clear(self) -> None:
        """Remove what is half made: scratch folders, and drafts of files."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        for folder in (self.cells, self.predictions):
            for draft in folder.glob(".*.partial"):
                draft.unlink(missing_ok=True)

    def read_cell(self, key: str, place: Place, *, retry: bool = False) -> Cell | None:
        """The outcome of a cell; None if it is to be run: there is none, it is broken, or it failed and may go now."""
        path = self.cells / f"{key}.json"
        if not path.is_file():
            return None
        try:
            cell, again = _cell(read_json(path, _LARGEST), place)
        except (InputError, KeyError, TypeError, ValueError) as error:
            self.notes.append(f"{path}: can't be used, so its cell is run again ({str(error) or type(error).__name__})")
            return None
        return None if cell.state is State.FAILED and (retry or again) else cell

    def write_cell(self, key: str, cell: Cell, *, try_again: bool = False) -> None:
        """Keep a cell that is done, or that failed."""
        outcome = {"state": cell.state.value, "why": cell.why, "scores": cell.scores, "facts": cell.facts}
        write_json(self.cells / f"{key}.json", {"format": FORMAT, **outcome, _AGAIN: try_again})

    def has_predictions(self, key: str) -> bool:
        """Whether a cell's test sentences have been tagged."""
        return (self.predictions / f"{key}.json").is_file()

    def read_predictions(self, key: str, test: Sequence[Example]) -> Found | None:
        """What was said of the test sentences; None if there is nothing. What doesn't fit them is removed."""
        if not self.has_predictions(key):
            return None
        path = self.predictions / f"{key}.json"
        try:
            return _found(read_json(path, _LARGEST), test)
        except (NerbertError, KeyError, TypeError, ValueError, IndexError):
            path.unlink()
            return None

    def write_predictions(self, key: str, found: Found) -> None:
        """Keep what a tagger said: a number for each tag, and confidences."""
        names = sorted({tag for tags in found.tags for tag in tags})
        numbers = {name: number for number, name in enumerate(names)}
        content = {
            "format": FORMAT, "facts": found.facts, "names": names,
            "tags": [[numbers[tag] for tag in tags] for tags in found.tags],
            "confidences": found.confidences,
        }  # fmt: skip
        with publish(self.predictions / f"{key}.json") as draft:
            draft.write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")

    def source(self, key: str) -> Path:
        """Where a source domain's checkpoint is, or is to be."""
        return self.sources / key

    def has_source(self, key: str) -> bool:
        """Whether it is there."""
        return self.source(key).is_dir()


def _cell(content: Any, place: Place) -> tuple[Cell, bool]:
    """A cell as it was kept, and whether to try it again if it failed."""
    if content["format"] != FORMAT:
        raise InputError(f"format {content['format']!r:.20}, not {FORMAT}")
    cell = Cell(place, State(content["state"]), content["why"], content["scores"], content["facts"])
    if cell.state is State.NOT_RUN or not isinstance(cell.why, str) or not isinstance(cell.facts, dict):
        raise InputError("not a cell's outcome")
    if cell.state is State.DONE:
        float(cell.scores["micro"]["f1"])
    return cell, bool(content.get(_AGAIN))


def _found(content: Any, test: Sequence[Example]) -> Found:
    """Predictions, checked against the sentences that they are of."""
    if content["format"] != FORMAT:
        raise InputError(f"format {content['format']!r:.20}, not {FORMAT}")
    names = content["names"]
    for name in names:
        split_tag(name)
    tags = [[names[number] for number in numbers] for numbers in content["tags"]]
    confidences = [[float(each) for each in row] for row in content["confidences"]]
    for example, row, other in zip(test, tags, confidences, strict=True):
        if not len(example.words) == len(row) == len(other):
            raise InputError("other sentences than those to be scored")
    return Found(tags, confidences, dict(content["facts"]))
