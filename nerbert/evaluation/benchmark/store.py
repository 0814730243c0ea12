"""The folder of a benchmark: what is done is kept under its key, whole or not at all.

    benchmark.json          marks the folder as a benchmark's; no other is written to, unless it is empty
    cells/KEY.json          a cell: its scores and how it was made; a failed one with its reason
    predictions/KEY.json    what a tagger said of each test word, to be scored anew
    sources/KEY/            a checkpoint trained on a source domain; its manifest.json, written last, has its digests
    .benchmark/             what is under way; emptied by the next run

A key holds all that the outcome depends on, so a file is right or absent, whichever suite asks. A file with one odd
figure is refused whole, and its cell is run again, so whoever uses an outcome need not check it. The price: what no
suite asks for any more stays until someone deletes it.
"""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from nerbert.artifacts import check_own, publish, read_json, sha256_of, write_json
from nerbert.errors import InputError, NerbertError, OutputExists, at
from nerbert.evaluation.benchmark.cells import Cell, CellKey, Predictions, State
from nerbert.labels import split_tag
from nerbert.locks import held
from nerbert.records import Example

FORMAT = 1
MARKER = "benchmark.json"
MANIFEST = "manifest.json"
_LARGEST = 512 << 20
_LARGEST_NUMBER = 2**53


class Store:
    """Reads and writes a benchmark's folder; `notes` gathers what was found broken there."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.notes = folder, list[str]()
        self.cells, self.predictions = folder / "cells", folder / "predictions"
        self.sources, self.scratch = folder / "sources", folder / ".benchmark"
        self._whole: set[str] = set()

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Make the folder and keep other runs out of it; what an earlier one left under way is removed."""
        with _making(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        with held(self.folder, f"{self.folder}: another benchmark works there; wait for it or name another folder"):
            self._claim()
            self._clear()
            for each in (self.cells, self.predictions, self.sources, self.scratch):
                with _making(each):
                    each.mkdir(exist_ok=True)
            try:
                yield
            finally:
                self._clear()

    def _claim(self) -> None:
        """Mark the folder as a benchmark's; raise OutputExists if it is someone else's, or leads elsewhere."""
        marker = self.folder / MARKER
        if not os.path.lexists(marker):
            with _making(self.folder):
                taken = next((each for each in self.folder.iterdir() if not each.match(f".{MARKER}.*.partial")), None)
            if taken is not None:
                raise OutputExists(f"{self.folder}: holds {taken.name!r} but no {MARKER}, so it is no benchmark's "
                                   "folder; name a new or an empty one (-o)")  # fmt: skip
            write_json(marker, {"format": FORMAT, "made_by": "nerbert benchmark"})
        for each in (marker, self.cells, self.predictions, self.sources):
            if each.is_symlink():
                raise OutputExists(f"{each}: is a link, so it is left alone; delete it by hand, or name another folder")
        check_own(self.scratch)

    def _clear(self) -> None:
        """Remove what is half made: scratch folders, and drafts of files."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        for folder in (self.cells, self.predictions):
            for draft in folder.glob(".*.json.*.partial"):
                with suppress(OSError):
                    draft.unlink()

    def read_cell(self, key: str, place: CellKey, *, retry: bool = False) -> Cell | None:
        """Return the outcome of a cell.

        None if it is to be run: there is none, it is broken, or it failed and may go now.
        """
        path = self.cells / f"{key}.json"
        if not os.path.lexists(path):
            return None
        try:
            content = _read(path)
            with at(path):
                cell = _cell_of(content, place)
        except InputError as error:
            self.notes.append(f"{error}; so its cell is run again")
            return None
        return None if cell.state is State.FAILED and (retry or cell.try_again) else cell

    def write_cell(self, key: str, cell: Cell) -> None:
        """Keep a cell that is done, or that failed."""
        outcome = {"state": cell.state.value, "why": cell.why, "scores": cell.scores, "facts": cell.facts}
        path = self.cells / f"{key}.json"
        _make_way(path)
        write_json(path, {"format": FORMAT, **outcome})

    def has_predictions(self, key: str) -> bool:
        """Return whether a cell's test sentences have been tagged."""
        return os.path.isfile(self.predictions / f"{key}.json")  # noqa: PTH113  (raises nothing)

    def read_predictions(self, key: str, test: Sequence[Example]) -> Predictions | None:
        """Return what was said of the test sentences; None if there is nothing. What doesn't fit them is removed."""
        if not self.has_predictions(key):
            return None
        path = self.predictions / f"{key}.json"
        try:
            return _predictions_of(_read(path), test)
        except NerbertError:
            path.unlink()
            return None

    def write_predictions(self, key: str, found: Predictions) -> None:
        """Keep what a tagger said: a number for each tag, and confidences."""
        names = sorted({tag for tags in found.tags for tag in tags})
        numbers = {name: number for number, name in enumerate(names)}
        content = {
            "format": FORMAT, "facts": found.facts, "names": names,
            "tags": [[numbers[tag] for tag in tags] for tags in found.tags],
            "confidences": found.confidences,
        }  # fmt: skip
        path = self.predictions / f"{key}.json"
        _make_way(path)
        with publish(path) as draft:
            draft.write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")

    def source(self, key: str) -> Path:
        """Return where a source domain's checkpoint is, or is to be."""
        return self.sources / key

    def has_source(self, key: str) -> bool:
        """Return whether it is there and whole: sizes are looked at each time, bytes once by each `Store`."""
        try:
            files, _ = _manifest(self.source(key))
            if key not in self._whole and any(sha256_of(path) != digest for path, digest in files.items()):
                return False
        except (OSError, InputError):
            return False
        self._whole.add(key)
        return True

    def source_cost(self, key: str) -> dict[str, float] | None:
        """Return what a checkpoint cost, by kind of second.

        None if it isn't there as it was made (by its files' sizes).
        """
        try:
            return _manifest(self.source(key))[1]
        except (OSError, InputError):
            return None

    def keep_source(self, key: str, made: Path, cost: Any) -> None:
        """Keep a checkpoint's folder, with a manifest of its files and cost; a broken one that is there goes."""
        names = sorted(path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file())
        files = {name: {"size": (made / name).stat().st_size, "sha256": sha256_of(made / name)} for name in names}
        write_json(made / MANIFEST, {"format": FORMAT, "seconds": cost, "files": files})
        target = self.source(key)
        _make_way(target)
        target.unlink(missing_ok=True)
        made.replace(target)


def _manifest(folder: Path) -> tuple[dict[Path, str], dict[str, float]]:
    """Return a checkpoint's files with their digests, and what it cost; raise InputError unless all have their size."""
    content = read_json(folder / MANIFEST)
    with _refusing("not a checkpoint's manifest"):
        _check(content["format"] == FORMAT, "format")
        _check_seconds(content)
        files = {name: (each["size"], each["sha256"]) for name, each in content["files"].items()}
        _check("config.json" in files, "files")
        _check(not any(name.startswith("/") or ".." in name.split("/") for name in files), "name of a file")
        cost = dict(content["seconds"]["source"])
    for name, (size, _) in files.items():
        if (folder / name).stat().st_size != size:
            raise InputError(f"{folder / name}: not as it was made")
    return {folder / name: digest for name, (_, digest) in files.items()}, cost


def _cell_of(content: Any, place: CellKey) -> Cell:
    """Return a stored cell; raise InputError for anything else."""
    with _refusing("not a cell's outcome"):
        _check(content["format"] == FORMAT, "format")
        cell = Cell(place, State(content["state"]), content["why"], content["scores"], content["facts"])
        _check(cell.state is not State.NOT_RUN and isinstance(cell.why, str), "state or why")
        _check(isinstance(cell.scores, dict) and isinstance(cell.facts, dict), "scores or facts")
        _check_numbers([cell.scores, cell.facts])
        if cell.state is State.DONE:
            _check(_is_share(cell.scores["micro"]["f1"]), "f1")
            _check_seconds(cell.facts)
        return cell


def _predictions_of(content: Any, test: Sequence[Example]) -> Predictions:
    """Return stored predictions; raise InputError unless they fit the sentences."""
    with _refusing("not predictions of these sentences"):
        _check(content["format"] == FORMAT, "format")
        _check_numbers(content)
        _check_seconds(content["facts"])
        for name in content["names"]:
            split_tag(name)
        for example, numbers, row in zip(test, content["tags"], content["confidences"], strict=True):
            _check(len(example.words) == len(numbers) == len(row), "number of words")
            _check(all(type(number) is int and number >= 0 for number in numbers), "number of a tag")
            _check(all(map(_is_share, row)), "confidence")
        tags = [[content["names"][number] for number in numbers] for numbers in content["tags"]]
        return Predictions(tags, content["confidences"], dict(content["facts"]))


@contextmanager
def _refusing(what: str) -> Iterator[None]:
    """Raise InputError for any error that content of unknown shape causes."""
    try:
        yield
    except (NerbertError, LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        reason = str(error) if isinstance(error, NerbertError) else f"{type(error).__name__}: {error}"
        raise InputError(f"{what} ({reason[:200]})") from error


def _check(right: bool, what: str) -> None:
    if not right:
        raise InputError(f"odd {what}")


def _check_seconds(facts: dict[str, Any]) -> None:
    """Raise InputError unless the steps' seconds are numbers that can be added up."""
    for step, each in facts["seconds"].items():
        for kind in ("wall", "cpu"):
            _check(_is_number(each[kind]) and each[kind] >= 0, f"seconds.{step}.{kind}")


def _check_numbers(value: Any) -> None:
    """Raise InputError for a number, at any depth, that is infinite, NaN, or too large to count with."""
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            _check_numbers(each)
    elif _is_number(value):
        _check(abs(value) < _LARGEST_NUMBER, "number")  # false of NaN


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_share(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= 1


def _read(path: Path) -> Any:
    """Return the JSON of a file; raise InputError for what is no file."""
    if not os.path.isfile(path):  # noqa: PTH113  (raises nothing)
        raise InputError(f"{path}: is no file that can be read")
    return read_json(path, _LARGEST)


def _make_way(path: Path) -> None:
    """Remove a folder that is where a cell's file belongs: nobody puts anything of worth under a key's name."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)


@contextmanager
def _making(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"{folder}: can't be made or read: {error.strerror}") from error
