"""Files of texts: by name, folders by what lies in them, standard input; rows of any format.

A name decides; the content does where the name says no more than JSON or CSV. The price: text that begins like JSON or
HTML must be asked for. All errors of paths are found before any work.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path, PurePath
from typing import IO, cast

from nerbert.artifacts import publish
from nerbert.config import check_choice
from nerbert.errors import InputError, os_refused, shortened
from nerbert.formats.conll import Conll, conll_rows
from nerbert.formats.csv_rows import csv_rows
from nerbert.formats.examples import foreign, head_of, name_of
from nerbert.formats.format import Format, abilities, formats_of_suffix, known_formats, usable
from nerbert.formats.jsonl import JsonLines, array_rows, document_rows, json_rows
from nerbert.formats.rows import TEXT as TEXT_FIELD
from nerbert.formats.rows import Block, Lines, TextRow, blocks_at_hand, read_lines, text_rows
from nerbert.formats.tables import Tables
from nerbert.records import Repairs
from nerbert.registry import FORMATS
from nerbert.sources.files import find_files, open_plain
from nerbert.terminal import tell

TEXT, JSONL, CONLL, PARQUET, CSV, HTML = "text", "jsonl", "conll", "parquet", "csv", "html"
SUFFIXES = {
    TEXT: (".txt", ".text"), JSONL: JsonLines.suffixes[:2], CONLL: Conll.suffixes, PARQUET: (".parquet", ".pq"),
    HTML: (".html", ".htm"), CSV: Tables.suffixes,
}  # fmt: skip
"""How names of each kind of file end; the first is that of files to be written."""
_FOREIGN = (*SUFFIXES[HTML], ".xhtml", ".xml")
"""What is text only by name of the format."""
SOURCES = (TEXT, JSONL, CONLL, PARQUET, CSV)
"""What is read row by row, as it is."""
TARGETS = (TEXT, JSONL, CONLL, PARQUET, HTML)
"""What is written row by row, with all that the rows hold."""
PACKED = (".gz", ".bz2", ".xz")
"""How names of packed files end."""
JSON = ".json"
"""JSON lines where a file is named itself; in folders it is mostly something else."""
STDIN = "-"
_READERS: dict[str, Callable[[Lines, str], Iterator[TextRow | None]]] = {
    TEXT: text_rows, JSONL: json_rows, CONLL: conll_rows, CSV: csv_rows,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file to tag, or standard input, perhaps a `copy` of it; `name` is where it lies among the inputs.

    A `text` is read as if it came from standard input.
    """

    place: str
    name: PurePath
    kind: str
    copy: Path | None = None
    text: str | None = None

    def __str__(self) -> str:
        """Return the place as messages name it."""
        given = "standard input" if self.text is None else "--text"
        return given if self.place == STDIN else self.place

    @property
    def size(self) -> int | None:
        """Return the bytes of a file that is read as it is; None where that is not known."""
        path = Path(self.place)
        known = self.place != STDIN and self.kind in SOURCES and path.is_file() and unpacked_name(path) == path
        return path.stat().st_size if known else None

    @property
    def on_disk(self) -> bool:
        """Whether it can be read from any place: a file, or the copy of a pipe."""
        return self.copy is not None or (self.place != STDIN and not Path(self.place).is_fifo())

    def blocks(self, field: str, errors: str, repairs: Repairs | None = None) -> Iterator[Block]:
        """Yield what the file holds, block by block as it comes; raise InputError that names the line.

        `field` (or column) holds the text; `errors` says what becomes of bytes that are no UTF-8, where the format
        leaves a choice. What a format leaves out is counted in `repairs`.
        """
        if self.kind == PARQUET:
            from nerbert.formats.parquet import parquet_blocks

            yield from parquet_blocks(self._on_disk(), field, errors)
        else:
            yield from blocks_at_hand(str(self), self.rows(field, errors, repairs))

    def rows(self, field: str, errors: str, repairs: Repairs | None = None) -> Iterator[TextRow | None]:
        """Yield the rows of the file, where it isn't Parquet; None where the next one may take a while."""
        if format_ := self._format(field):
            with os_refused(f"{self}: can't be read"):
                found = format_.read(self._on_disk(), Repairs() if repairs is None else repairs)
                yield from document_rows(found)
        elif self.kind == JSONL and Path(self.place).suffix.lower() == JSON and self._is_plain():
            yield from array_rows(self.copy or Path(self.place), field)
        else:
            with self.opened() as stream:
                yield from _READERS[self.kind](read_lines(stream, str(self), errors), field)

    def _format(self, field: str) -> Format | None:
        """Return the annotation format that the file is read by; None if it is read row by row."""
        if self.kind in SOURCES:
            if self.kind != CSV or field != TEXT_FIELD or not FORMATS.contains(CSV) or not self._is_plain():
                return None
            path, tables = self.copy or Path(self.place), FORMATS.find(CSV)()
            return tables if tables.recognise(path, head_of(path)) else None
        if field != TEXT_FIELD:
            raise InputError(f"{self}: {self.kind} says where its texts are; leave --field {field} out")
        return FORMATS.find(self.kind)()

    def _is_plain(self) -> bool:
        """Return whether the file is on the disk as it is: no pipe, and not packed."""
        path = Path(self.place)
        return self.copy is not None or (self.place != STDIN and path.is_file() and unpacked_name(path) == path)

    def _on_disk(self) -> Path:
        """Return the path of a file that must be there as a whole."""
        if not self.on_disk:
            raise InputError(f"{self}: {_title(self.kind)} is read from the disk, so a pipe won't do; name the file")
        path = self.copy or Path(self.place)
        if self.kind != PARQUET and unpacked_name(path) != path:
            raise InputError(f"{self}: {_title(self.kind)} is read as it is, not packed; unpack it first")
        return path

    def copied(self, folder: Path) -> "InputFile":
        """Return an input that can be read several times: standard input or a pipe is copied into `folder` first."""
        path = Path(self.place)
        if self.place != STDIN and (path.is_file() or path.is_dir() or not path.exists()):
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
        if self.text is not None:
            yield BytesIO(self.text.encode("utf-8", "surrogateescape"))
            return
        if sys.stdin is None:
            raise InputError(f"{self}: is closed; name a file")
        if sys.stdin.isatty():
            tell("nerbert: reading from the terminal; end with Ctrl-D")
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


def check_source(option: str, kind: str) -> None:
    """Raise SettingsError unless `kind` can be read, or is empty."""
    if not FORMATS.contains(kind):
        check_choice(option, kind, tuple(dict.fromkeys((*SOURCES, *FORMATS))))


def check_usable(kinds: Iterable[str]) -> None:
    """Raise MissingExtra if a library that one of these kinds needs isn't there."""
    for kind in filter(FORMATS.contains, kinds):
        usable(FORMATS.find(kind)())


def given_text(text: str, kind: str) -> JobPaths:
    """Return a text itself as what is to be tagged."""
    return JobPaths(
        [InputFile(STDIN, PurePath("text"), kind or TEXT, text=text)], many=False, folders=[], passed_over=[]
    )


def find_sources(inputs: Sequence[str], kind: str) -> JobPaths:
    """Return the files at these places, in order; `kind` is that of all of them, or "" to go by names and content."""
    sources: list[InputFile] = []
    passed_over: list[Path] = []
    folders = [Path(place) for place in inputs if os.path.isdir(place)]  # noqa: PTH112  ("" is no folder)
    many = len(inputs) > 1
    for place in inputs or [STDIN]:
        path = Path(place)
        if place == STDIN:
            sources.append(InputFile(STDIN, PurePath("stdin"), kind or TEXT))
        elif place and (kind or os.path.lexists(place)) and (own := _whole(path, kind)):
            sources.append(InputFile(place, PurePath(path.name or "data"), own))
        elif place and path in folders:
            found, other = _in_folder(path, kind)
            sources += found
            passed_over += other
            many = True
        elif os.path.lexists(place):
            sources.append(InputFile(place, PurePath(path.name), kind or _kind_of(path) or _kind_by_content(path)))
        else:
            raise InputError(f"{shortened(place, 80) or repr(place)}: no such file or folder; {_remedy(place)}")
    if [source.place for source in sources].count(STDIN) > 1:
        raise InputError("standard input (-) can be read only once; name it once")
    check_usable({source.kind for source in sources})
    return JobPaths(sources, many, folders, passed_over)


def _remedy(place: str) -> str:
    """Return what to give in place of what is no file: an option, a text itself, or a file."""
    if place.startswith("-"):
        return "nor is there such an option: see --help"
    if any(map(str.isspace, place)) and not PurePath(place).suffix:
        return 'to tag a text itself: nerbert tag TAGGER --text "…", or echo "…" | nerbert tag TAGGER'
    return "give files or folders, or - for standard input"


def _whole(path: Path, kind: str) -> str:
    """Return the format that reads a folder (or a name of the hub) as one input; "" if none does."""
    if kind:
        return kind if kind not in SOURCES and not FORMATS.find(kind)().suffixes else ""
    with os_refused(f"{path}: can't be read"):
        return name_of(path) if path.is_dir() else ""


def _kind_of(path: PurePath) -> str:
    """Return the kind of a file by its name, compressed or not; "" if its name doesn't say."""
    suffix = unpacked_name(path).suffix.lower()
    return next((kind for kind in SOURCES if kind != CSV and suffix in SUFFIXES[kind]), "")


def _kind_by_content(path: Path) -> str:
    """Return the kind of a file whose name doesn't say it; raise InputError for what is plainly no text."""
    suffix = unpacked_name(path).suffix.lower()
    usual = JSONL if suffix == JSON else CSV if suffix in SUFFIXES[CSV] else ""
    if not path.is_file():
        return usual or TEXT
    known = formats_of_suffix(suffix)
    if usual or known:
        found = name_of(path) if unpacked_name(path) == path else ""
        return found or usual or known[0]
    with open_plain(path) as stream:
        seems = foreign(stream.read(1 << 16), path.name.lower())
    if suffix in _FOREIGN or seems not in ("", "CSV"):
        what = seems or "XML or HTML"
        raise InputError(
            f"{path}: seems to be {what}; take its text out first, or name its format with --from (text: a row a line)"
        )
    return TEXT


def _title(kind: str) -> str:
    return "Parquet" if kind == PARQUET else kind


def unpacked_name(path: PurePath) -> PurePath:
    """Return a file's name without the suffix of its compression."""
    return path.with_suffix("") if path.suffix.lower() in PACKED else path


def _in_folder(folder: Path, kind: str) -> tuple[list[InputFile], list[Path]]:
    """Return the files below a folder of a known kind, or of the one that is wanted; and the other files."""
    inside = folder.resolve()
    sources, passed_over = [], []
    wanted = suffixes_of(kind) if kind else ()
    for each in find_files(folder):
        own = kind if unpacked_name(each.path).suffix.lower() in wanted else "" if kind else _kind_of(each.path)
        if own and each.path.is_file() and each.path.resolve().is_relative_to(inside):
            sources.append(InputFile(str(each.path), each.path.relative_to(folder), own))
        else:
            passed_over.append(each.path)
    if not sources:
        ends = f"a name for {kind}" if kind else "a known name (.txt, .jsonl, .conll, .parquet)"
        raise InputError(f"{folder}: holds no file with {ends}; name the files themselves, with --from")
    return sources, passed_over


def nested_kinds() -> tuple[str, ...]:
    """Return the kinds that hold entities that lie in one another."""
    nested = (name for name, each in known_formats().items() if abilities(each).nested)
    return tuple(dict.fromkeys((TEXT, JSONL, *nested)))


def suffixes_of(kind: str) -> tuple[str, ...]:
    """Return how names of the files of a kind end; nothing for a format of folders."""
    return SUFFIXES[kind] if kind in SUFFIXES else FORMATS.find(kind)().suffixes


def check_no_input(found: JobPaths, output: Path) -> None:
    """Raise InputError if the output is what is read."""
    for path in (Path(source.place) for source in found.sources if source.place != STDIN):
        if output.exists() and path.exists() and output.samefile(path):
            raise InputError(f"{output}: is the input itself; name another output")
