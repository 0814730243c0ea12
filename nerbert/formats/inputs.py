"""Files of texts: by name, folders by what lies in them, standard input; text, JSON lines, CoNLL, Parquet; rows of any.

All errors of paths are found before any work. A folder means the files of known kinds below it; links that lead out of
it are passed over, and so are other files, which is reported.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import IO, cast

from nerbert.artifacts import publish
from nerbert.errors import InputError, os_refused
from nerbert.formats.conll import Conll, conll_rows
from nerbert.formats.jsonl import json_rows
from nerbert.formats.rows import Block, Lines, TextRow, blocks_at_hand, read_lines, text_rows
from nerbert.sources.files import find_files, open_plain

TEXT, JSONL, CONLL, PARQUET, HTML = "text", "jsonl", "conll", "parquet", "html"
SUFFIXES = {
    TEXT: (".txt", ".text"), JSONL: (".jsonl", ".ndjson"), CONLL: Conll.suffixes, PARQUET: (".parquet", ".pq"),
    HTML: (".html", ".htm"),
}  # fmt: skip
"""How names of each kind of file end; the first is that of files to be written."""
SOURCES = (TEXT, JSONL, CONLL, PARQUET)
"""What can be read."""
PACKED = (".gz", ".bz2", ".xz")
"""How names of packed files end."""
JSON = ".json"
"""JSON lines where a file is named itself; in folders it is mostly something else."""
STDIN = "-"
_READERS: dict[str, Callable[[Lines, str], Iterator[TextRow | None]]] = {
    TEXT: text_rows, JSONL: json_rows, CONLL: conll_rows,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file to tag, or standard input, perhaps a `copy` of it; `name` is where it lies among the inputs."""

    place: str
    name: PurePath
    kind: str
    copy: Path | None = None

    def __str__(self) -> str:
        """Return the place as messages name it."""
        return "standard input" if self.place == STDIN else self.place

    @property
    def size(self) -> int | None:
        """Return the bytes of a file that is read as it is; None where that is not known."""
        path = Path(self.place)
        known = self.place != STDIN and path.is_file() and unpacked_name(path) == path
        return path.stat().st_size if known else None

    @property
    def on_disk(self) -> bool:
        """Whether it can be read from any place: a file, or the copy of a pipe."""
        return self.copy is not None or (self.place != STDIN and not Path(self.place).is_fifo())

    def blocks(self, field: str, errors: str) -> Iterator[Block]:
        """Yield what the file holds, block by block as it comes; raise InputError that names the line.

        `field` (or column) holds the text; `errors` says what becomes of bytes that are no UTF-8.
        """
        if self.kind == PARQUET:
            from nerbert.formats.parquet import parquet_blocks

            if not self.on_disk:
                raise InputError(f"{self}: Parquet is read from its end on, so a pipe won't do; name the file")
            yield from parquet_blocks(self.copy or Path(self.place), field, errors)
        else:
            with self.opened() as stream:
                yield from blocks_at_hand(str(self), self.rows(stream, field, errors))

    def rows(self, stream: IO[bytes], field: str, errors: str) -> Iterator[TextRow | None]:
        """Yield the rows of the file's bytes, where it isn't Parquet; None where the next one may take a while."""
        return _READERS[self.kind](read_lines(stream, str(self), errors), field)

    def copied(self, folder: Path) -> "InputFile":
        """Return an input that can be read several times: standard input or a pipe is copied into `folder` first."""
        if self.place != STDIN and Path(self.place).is_file():
            return self
        copy = folder / "stdin"
        folder.mkdir(parents=True, exist_ok=True)
        with self.opened() as stream, publish(copy) as draft, draft.open("wb") as file:
            shutil.copyfileobj(stream, file)
        return replace(self, copy=copy)

    @contextmanager
    def opened(self) -> Iterator[IO[bytes]]:
        """Provide the file's bytes, unpacked where it is packed."""
        if self.copy or self.place != STDIN:
            with self.copy.open("rb") if self.copy else open_plain(Path(self.place)) as stream:
                yield stream
            return
        if sys.stdin is None:
            raise InputError(f"{self}: is closed; name a file")
        with os_refused(f"{self}: can't be read"):
            yield cast("IO[bytes]", sys.stdin.buffer)


@dataclass(frozen=True, slots=True)
class JobPaths:
    """What is to be tagged, from which `folders`; `many` says whether it may be many files, even if it is one."""

    sources: list[InputFile]
    many: bool
    folders: list[Path]
    passed_over: list[Path]
    """Files in the folders that are not read."""


def find_sources(inputs: Sequence[str], kind: str) -> JobPaths:
    """Return the files at these places, in order; `kind` is that of all of them, or "" to go by their names."""
    sources: list[InputFile] = []
    passed_over: list[Path] = []
    folders = [Path(place) for place in inputs if os.path.isdir(place)]  # noqa: PTH112  ("" is no folder)
    for place in inputs or [STDIN]:
        path = Path(place)
        if place == STDIN:
            sources.append(InputFile(STDIN, PurePath("stdin"), kind or TEXT))
        elif place and path in folders:
            found, other = _in_folder(path, kind)
            sources += found
            passed_over += other
        elif os.path.lexists(place):
            usual = JSONL if unpacked_name(path).suffix.lower() == JSON else TEXT
            sources.append(InputFile(place, PurePath(path.name), kind or _kind_of(path) or usual))
        else:
            named = place or "''"
            raise InputError(f"{named}: no such file or folder; give files or folders, or - for standard input")
    if [source.place for source in sources].count(STDIN) > 1:
        raise InputError("standard input (-) can be read only once; name it once")
    return JobPaths(sources, bool(folders) or len(inputs) > 1, folders, passed_over)


def _kind_of(path: PurePath) -> str:
    """Return the kind of a file by its name, compressed or not; "" if its name doesn't say."""
    suffix = unpacked_name(path).suffix.lower()
    return next((kind for kind in SOURCES if suffix in SUFFIXES[kind]), "")


def unpacked_name(path: PurePath) -> PurePath:
    """Return a file's name without the suffix of its compression."""
    return path.with_suffix("") if path.suffix.lower() in PACKED else path


def _in_folder(folder: Path, kind: str) -> tuple[list[InputFile], list[Path]]:
    """Return the files below a folder of a known kind, or of the one that is wanted; and the other files."""
    inside = folder.resolve()
    sources, passed_over = [], []
    for each in find_files(folder):
        own = _kind_of(each.path)
        if own and kind in ("", own) and each.path.is_file() and each.path.resolve().is_relative_to(inside):
            sources.append(InputFile(str(each.path), each.path.relative_to(folder), own))
        else:
            passed_over.append(each.path)
    if not sources:
        ends = f"a name for {kind}" if kind else "a known name (.txt, .jsonl, .conll, .parquet)"
        raise InputError(f"{folder}: holds no file with {ends}; name the files themselves, with --from")
    return sources, passed_over


def check_no_input(found: JobPaths, output: Path) -> None:
    """Raise InputError if the output is what is read."""
    for source in found.sources:
        if source.place != STDIN and output.exists() and output.samefile(source.place):
            raise InputError(f"{output}: is the input itself; name another output")
