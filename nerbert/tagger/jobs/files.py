"""What is tagged and where it goes: files by name, folders by what lies in them, standard input; how rows are read.

All errors of paths are found before any work. A folder means the files of known kinds below it; links that lead out of
it are passed over, and so are other files, which is reported. An output takes the name of its input with another
suffix. Two inputs that want the same name are an error; no number is appended.
"""

import hashlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import IO, cast

from nerbert.artifacts import sha256_of
from nerbert.errors import InputError, SettingsError, refused
from nerbert.formats.conll import Conll, conll_rows
from nerbert.formats.jsonl import JsonLines, json_rows
from nerbert.formats.rows import Block, Lines, TextRow, blocks_at_hand, read_lines
from nerbert.formats.text import text_rows
from nerbert.sources.files import find_files, open_plain

TEXT, JSONL, CONLL, PARQUET, HTML = "text", "jsonl", "conll", "parquet", "html"
SUFFIXES = {
    TEXT: (".txt", ".text"), JSONL: JsonLines.suffixes, CONLL: Conll.suffixes, PARQUET: (".parquet", ".pq"),
    HTML: (".html", ".htm"),
}  # fmt: skip
"""How names of each kind of file end; the first is that of files to be written."""
SOURCES = (TEXT, JSONL, CONLL, PARQUET)
"""What can be read."""
_PACKED = (".gz", ".bz2", ".xz")
_JSON = ".json"
"""JSON lines where a file is named itself; in folders it is mostly something else."""
STDIN = "-"
MANIFEST = "manifest.json"
"""What says of a folder of outputs what they were made from."""
_READERS: dict[str, Callable[[Lines, str], Iterator[TextRow | None]]] = {
    TEXT: text_rows, JSONL: json_rows, CONLL: conll_rows,
}  # fmt: skip
_PART = 1 << 18
"""Bytes of input that are tagged, and kept, together."""


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
        known = self.place != STDIN and path.is_file() and _unpacked_name(path) == path
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
                yield from blocks_at_hand(str(self), self._rows(stream, field, errors))

    def parts(self, field: str, errors: str) -> Iterator[Block]:
        """Yield the same rows in blocks that depend on the input alone, each with its digest."""
        if self.kind == PARQUET:
            with refused(f"{self}: can't be read as Parquet"):
                whole = sha256_of(self.copy or Path(self.place))
            for block in self.blocks(field, errors):
                first = block.rows[0].number if block.rows else 1
                yield replace(block, name=str(self), digest=f"{whole}: {len(block.rows)} from row {first}, {errors}")
            return
        held: list[TextRow] = []
        with self.opened() as stream:
            size = 0
            for row in filter(None, self._rows(stream, field, errors)):
                held.append(row)
                size += row.size
                if size >= _PART:
                    yield self._part(held, size)
                    held, size = [], 0
        if held:
            yield self._part(held, size)

    def _rows(self, stream: IO[bytes], field: str, errors: str) -> Iterator[TextRow | None]:
        return _READERS[self.kind](read_lines(stream, str(self), errors), field)

    def _part(self, rows: Sequence[TextRow], size: int) -> Block:
        """Return a part; an empty line between rows is what no row holds, so the digest covers where rows end."""
        digest = hashlib.sha256("\n\n".join(row.source for row in rows).encode()).hexdigest()
        return Block(str(self), rows, size, digest=digest)

    @contextmanager
    def opened(self) -> Iterator[IO[bytes]]:
        """Provide the file's bytes, unpacked where it is packed."""
        if self.copy or self.place != STDIN:
            with self.copy.open("rb") if self.copy else open_plain(Path(self.place)) as stream:
                yield stream
            return
        if sys.stdin is None:
            raise InputError(f"{self}: is closed; name a file")
        try:
            yield cast("IO[bytes]", sys.stdin.buffer)
        except OSError as error:
            raise InputError(f"{self}: can't be read: {error.strerror}") from error


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
            usual = JSONL if _unpacked_name(path).suffix.lower() == _JSON else TEXT
            sources.append(InputFile(place, PurePath(path.name), kind or _kind_of(path) or usual))
        else:
            named = place or "''"
            raise InputError(f"{named}: no such file or folder; give files or folders, or - for standard input")
    if [source.place for source in sources].count(STDIN) > 1:
        raise InputError("standard input (-) can be read only once; name it once")
    return JobPaths(sources, bool(folders) or len(inputs) > 1, folders, passed_over)


def _kind_of(path: PurePath) -> str:
    """Return the kind of a file by its name, compressed or not; "" if its name doesn't say."""
    suffix = _unpacked_name(path).suffix.lower()
    return next((kind for kind in SOURCES if suffix in SUFFIXES[kind]), "")


def _unpacked_name(path: PurePath) -> PurePath:
    """Return a file's name without the suffix of its compression."""
    return path.with_suffix("") if path.suffix.lower() in _PACKED else path


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


def target_kind(output: Path) -> str:
    """Return the kind of a file to write, by its name; raise SettingsError if its name doesn't say."""
    suffix = output.suffix.lower()
    if suffix in _PACKED:
        raise SettingsError(f"{output}: can't be packed here; write to standard output, and to gzip from there")
    if (kind := next((kind for kind in SUFFIXES if suffix in SUFFIXES[kind]), None)) is None:
        raise SettingsError(f"{output}: its name tells no format; give --to one of {', '.join(SUFFIXES)}")
    return kind


def place_outputs(found: JobPaths, output: Path, kind: str) -> list[PurePath]:
    """Return where each source's output goes within the folder `output`; raise InputError for clashes."""
    _check_apart(found, output)
    taken: dict[PurePath, InputFile] = {}
    for source in found.sources:
        name = _renamed(source.name, kind)
        if name in taken:
            raise InputError(f"{source} and {taken[name]}: both would become {output / name}; tag them one by one")
        taken[name] = source
    for name, source in taken.items():
        if other := next((each for each in name.parents if each in taken or each.name == MANIFEST), None):
            raise InputError(f"{source}: would lie in {output / other}, which is a file there; tag it by itself")
    return list(taken)


def check_no_input(found: JobPaths, output: Path) -> None:
    """Raise InputError if the output is what is read."""
    for source in found.sources:
        if source.place != STDIN and output.exists() and output.samefile(source.place):
            raise InputError(f"{output}: is the input itself; name another output")


def _renamed(path: PurePath, kind: str) -> PurePath:
    """Return a file's name with the suffix of another kind, in place of its own if that says a kind."""
    name = _unpacked_name(path)
    told = any(name.suffix.lower() in (_JSON, *each) for each in SUFFIXES.values())
    return name.with_suffix(SUFFIXES[kind][0]) if told else name.with_name(name.name + SUFFIXES[kind][0])


def _check_apart(found: JobPaths, output: Path) -> None:
    """Raise InputError if inputs lie in the output folder, or the output in one of theirs."""
    target = output.resolve()
    inside = [source.place for source in found.sources if Path(source.place).resolve().is_relative_to(target)]
    around = [folder for folder in found.folders if target.is_relative_to(folder.resolve())]
    for place in [*inside, *around]:
        raise InputError(f"{output}: output and input ({place}) lie in one another; choose another place")
