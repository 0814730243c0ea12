"""The folder of a benchmark: results are stored under their keys, whole or not at all.

    benchmark.json          marks the folder as a benchmark's; no other is written to, unless it is empty
    cells/KEY.json          a cell: what it is, its scores and how it was made; a failed one with its reason
    predictions/KEY.json    what a tagger said of each test word, to be scored again
    sources/KEY/            a checkpoint trained on a source domain; KEY.json: its digest and cost, written last
    .benchmark/             unfinished work; emptied by the next run

Each JSON file but the first holds a checksum of the rest, so a damaged one is noticed; those of older versions have
none. Cost: what no suite asks for any more stays until someone deletes it.
"""

import json
import os
import shutil
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, Field

from nerbert.artifacts import check_own, publish, write_json
from nerbert.errors import InputError, OutputExists, os_refused
from nerbert.evaluation.benchmark.cells import Cell, CellKey, Predictions, State
from nerbert.evaluation.benchmark.keys import encoder_digest
from nerbert.labels import split_tag
from nerbert.locks import held
from nerbert.parts import WHOLE, Share
from nerbert.records import Example
from nerbert.schema import Read, parse_json, read_checked

FORMAT = 4
MARKER = "benchmark.json"
_MARK = {"format": FORMAT, "made_by": "nerbert benchmark"}
_CHECKSUM = "checksum"
_LARGEST, _LARGEST_MARKER = 512 << 20, 1 << 16
_Share = Annotated[float, Field(ge=0, le=1)]
_Place = Annotated[int, Field(ge=0)]
_Entities: TypeAlias = list[list[tuple[_Place, _Place, str, _Share | None]]]
_Seconds = dict[str, Annotated[float, Field(ge=0, lt=1e9)]]


class _OpenRecord(BaseModel, extra="allow"):
    pass


class _Micro(_OpenRecord):
    f1: _Share


class _Scores(_OpenRecord):
    micro: _Micro


class _Facts(_OpenRecord):
    seconds: dict[str, _Seconds]


@dataclass(frozen=True, slots=True)
class _DoneFile:
    """A stored cell that is done."""

    format: Literal[4]
    state: Literal["done"]
    scores: _Scores
    facts: _Facts


@dataclass(frozen=True, slots=True)
class _FailedFile:
    format: Literal[4]
    state: Literal["failed"]
    why: str
    facts: dict[str, Any]


_CellFile = Annotated[_DoneFile | _FailedFile, Field(discriminator="state")]


@dataclass(frozen=True, slots=True)
class _PredictionsFile:
    format: Literal[4]
    facts: _Facts
    entities: _Entities
    greedy: list[list[str]] | None = None
    tuned: _Entities | None = None
    """The reading at dev's threshold, in files of older versions."""
    others: dict[str, _Entities] = field(default_factory=dict)
    sure: bool = True

    def readings(self) -> dict[str, _Entities]:
        """Return the further readings."""
        return self.others if self.tuned is None else {"best_on_dev": self.tuned, **self.others}


@dataclass(frozen=True, slots=True)
class _SourceFile:
    format: Literal[4]
    sha256: str
    seconds: _Seconds


class Store:
    """Reads and writes a benchmark's folder; `notes` collects broken files."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.notes = folder, list[str]()
        self.cells, self.predictions = folder / "cells", folder / "predictions"
        self.sources, self.scratch = folder / "sources", folder / ".benchmark"

    @contextmanager
    def hold(self, share: Share = WHOLE) -> Iterator[None]:
        """Make and lock the folder; unfinished work of an earlier run is removed, unless other parts may be at work."""
        taken = f"{self.folder}: another benchmark is using it; wait for it or name another folder"
        with ExitStack() as stack:
            with os_refused(f"{self.folder}: can't be made or read"):
                self.folder.mkdir(parents=True, exist_ok=True)
                stack.enter_context(held(self.folder, taken, shared=share.partial))
                self._claim()
                if not share.partial:
                    self._clear()
                    stack.callback(self._clear)
                for each in (self.cells, self.predictions, self.sources, self.scratch):
                    each.mkdir(exist_ok=True)
                if share.partial:
                    stack.enter_context(share.held(self.scratch, self.folder))
            yield

    def _claim(self) -> None:
        """Mark the folder as a benchmark's; raise OutputExists if it is someone else's, or leads elsewhere."""
        marker = self.folder / MARKER
        strange = [each for each in self.folder.iterdir() if not each.match(f".{MARKER}.*.partial")]
        if not os.path.lexists(marker):  # asked last: another part may have made it meanwhile
            if strange:
                why = f"holds {strange[0].name!r} but no {MARKER}, so it is not a benchmark's folder"
                raise OutputExists(f"{self.folder}: {why}; name a new or an empty one (-o)")
            write_json(marker, _MARK)
        check_own(marker, self.cells, self.predictions, self.sources, self.scratch)
        self._check_marker(marker)

    def _check_marker(self, marker: Path) -> None:
        """Raise OutputExists if a newer version made the folder; write a damaged marker again."""
        found = dict[str, Any]()
        with marker.open("rb") as stream, suppress(InputError):
            found = parse_json(stream.read(_LARGEST_MARKER), dict[str, Any], marker)
        made = found.get("format")
        if isinstance(made, int | float) and made > FORMAT:
            raise OutputExists(f"{self.folder}: made by a newer version of nerbert (format {made}, this one has "
                               f"{FORMAT}); upgrade nerbert, or name another folder (-o)")  # fmt: skip
        if made != FORMAT:
            write_json(marker, _MARK)

    def _clear(self) -> None:
        """Remove unfinished work: scratch folders, and drafts of files."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        for folder in (self.cells, self.predictions, self.sources):
            for draft in folder.glob(".*.json.*.partial"):
                with suppress(OSError):
                    draft.unlink()

    def read_cell(self, key: str, place: CellKey, *, retry: bool = False) -> Cell | None:
        """Return the outcome of a cell; None if it must run: it is missing, broken, or failed and is retried."""
        path = self.cells / f"{key}.json"
        if not os.path.lexists(path):
            return None
        try:
            cell = _read_cell(path, place)
        except InputError as error:
            self.notes.append(f"{error}; so its cell is run again")
            return None
        return None if cell.state is State.FAILED and (retry or cell.try_again) else cell

    def write_cell(self, key: str, cell: Cell) -> None:
        """Store a cell that is done, or that failed."""
        outcome = {"state": cell.state.value, "why": cell.why, "scores": cell.scores, "facts": cell.facts}
        write_json(self.cells / f"{key}.json", _summed({**cell.place._asdict(), **outcome}))

    def read_predictions(self, key: str, test: Sequence[Example] | None = None) -> Predictions | None:
        """Return the predictions for the test sentences; None if there are none. Broken or unfit ones are deleted."""
        path = self.predictions / f"{key}.json"
        if not os.path.lexists(path):
            return None
        try:
            file, content = _read(path, _PredictionsFile)
            _check_fit(file, test)
        except InputError:
            path.unlink()
            return None
        return Predictions(file.entities, content["facts"], file.greedy, file.readings(), file.sure)

    def write_predictions(self, key: str, place: CellKey, found: Predictions) -> None:
        """Store a system's entities in each sentence."""
        content = _summed({
            **place._asdict(), "facts": found.facts, "entities": found.entities, "greedy": found.greedy,
            "others": dict(found.others), "sure": found.sure,
        })  # fmt: skip
        with publish(self.predictions / f"{key}.json") as draft:
            draft.write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")

    def source(self, key: str) -> Path:
        """Return the path of a source domain's checkpoint, which may not exist yet."""
        return self.sources / key

    def source_cost(self, key: str, *, whole: bool = False) -> dict[str, float] | None:
        """Return a checkpoint's cost by kind of second; None if there is none, or, with `whole`, if it was changed."""
        with suppress(OSError, InputError):
            file, _ = _read(self.sources / f"{key}.json", _SourceFile)
            if not whole or encoder_digest(self.source(key)) == file.sha256:
                return file.seconds
        return None

    def keep_source(self, key: str, made: Path, cost: dict[str, float], about: dict[str, Any]) -> None:
        """Store a checkpoint's folder, then its digest and cost; a broken one is replaced."""
        digest, target = encoder_digest(made), self.source(key)
        shutil.rmtree(target, ignore_errors=True)
        made.replace(target)
        write_json(self.sources / f"{key}.json", _summed({**about, "sha256": digest, "seconds": cost}))


def _summed(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a file with its format and its checksum."""
    whole: dict[str, Any] = json.loads(json.dumps({"format": FORMAT, **content}))  # as it will be read
    return {**whole, _CHECKSUM: _checksum(whole)}


def _checksum(content: Mapping[str, Any]) -> int:
    """Return the CRC-32 of an object, whatever the order of its keys, without its checksum."""
    rest = {name: value for name, value in content.items() if name != _CHECKSUM}
    return zlib.crc32(json.dumps(rest, sort_keys=True).encode())


def _read(path: Path, kind: type[Read]) -> tuple[Read, dict[str, Any]]:
    """Return a stored file as a kind, and its content in the order in which it was written; raise InputError for a
    damaged one.
    """
    file, content = read_checked(path, kind, limit=_LARGEST)
    if content.get(_CHECKSUM, found := _checksum(content)) != found:
        raise InputError(f"{path}: is damaged: it has another checksum than it says")
    return file, content


def _read_cell(path: Path, place: CellKey) -> Cell:
    """Return a stored cell; raise InputError for anything else."""
    kind: type[_DoneFile | _FailedFile] = _CellFile  # type: ignore[assignment]
    file, content = _read(path, kind)
    if isinstance(file, _FailedFile):
        return Cell(place, State.FAILED, file.why, facts=file.facts)
    return Cell(place, State.DONE, scores=content["scores"], facts=content["facts"])


def _check_fit(file: _PredictionsFile, test: Sequence[Example] | None) -> None:
    """Raise InputError unless predictions are entities (and tags) that fit their sentences."""
    for tag in {tag for tags in file.greedy or () for tag in tags}:
        split_tag(tag)
    if test is None:
        return
    lengths = [len(each.words) for each in test]
    readings = [file.entities, *file.readings().values()]
    fits = all(
        len(each) == len(lengths)
        and all(start < end <= length for length, found in zip(lengths, each, strict=True) for start, end, *_ in found)
        for each in readings
    )
    if not fits or (file.greedy is not None and list(map(len, file.greedy)) != lengths):
        raise InputError("not predictions of these sentences")
