"""Find and read texts: files, folders, standard input; rows of any format.

A file's name decides its kind, or its content if the suffix is unknown or only means JSON or CSV. Cost: `--from` is
needed for text that begins like JSON or HTML. All invalid paths are reported before any work.
"""

import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path, PurePath
from queue import Empty, Queue
from threading import Thread
from time import monotonic
from typing import IO, Any

from nerbert.artifacts import publish
from nerbert.config import check_choice
from nerbert.errors import InputError, NerbertError, refused, shorten
from nerbert.formats.format import check_needs, foreign, formats_of_suffix, head_of, recognise_format
from nerbert.formats.jsonl import with_all_fields
from nerbert.formats.lines import ERRORS, TEXT, Stream
from nerbert.records import Document, Repairs
from nerbert.sources.files import find_files, open_plain, writable
from nerbert.terminal import tell
from nerbert.texts import kinds

JSON = ".json"
"""Read as JSON lines if the file itself is named; skipped in folders, where it is usually something else."""
STDIN = "-"
_NOT_TEXT = (*kinds.Page.suffixes, ".xhtml", ".xml")
"""Suffixes of files that are read as text only if the format is named."""


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file to tag, or standard input, or a `copy` of that; `name` is its path among the inputs. A `text` is read like
    standard input.

    `field` (or column) holds the texts; `errors` is the treatment of bytes that aren't UTF-8, if the format leaves a
    choice.
    """

    place: str
    name: PurePath
    kind: str
    field: str = TEXT
    errors: str = ERRORS[0]
    copy: Path | None = None
    text: str | None = None
    strip: str = "\r"
    """Characters to remove from a line's end."""

    def __str__(self) -> str:
        """Return the path or source for messages."""
        origin = "standard input" if self.text is None else "--text"
        return origin if self.place == STDIN else self.place

    @property
    def path(self) -> Path:
        """Path of the file, or of the copy of a pipe."""
        return self.copy or Path(self.place)

    @property
    def on_disk(self) -> bool:
        """True if it can be read from any offset: a file, or the copy of a pipe."""
        return self.copy is not None or (self.place != STDIN and not self.path.is_fifo())

    @property
    def _plain(self) -> bool:
        """True for an uncompressed file."""
        return self.on_disk and self.path.is_file() and kinds.unpacked_name(self.path) == self.path

    @property
    def size(self) -> int | None:
        """Size of an uncompressed file in bytes; None if unknown."""
        return self.path.stat().st_size if kinds.can(self.kind, "streams") and self._plain else None

    def documents(self, repairs: Repairs | None = None) -> Iterator[Document]:
        """Yield the file's texts while reading; errors name the line. `repairs` counts the format's omissions."""
        format_ = kinds.kind_named(self.kind)
        streams = kinds.can(self.kind, "streams")
        path = self.path
        repairs = Repairs() if repairs is None else repairs
        if not streams and self.field != TEXT:
            raise InputError(f"{self}: {self.kind} has a fixed field for its texts; leave --field {self.field} out")
        is_table = self.kind == kinds.CSV and self.field == TEXT and self._plain
        # A table with annotations is read as such, others by their column of texts
        if streams and not (is_table and format_.recognise(path, head_of(path))):
            on_disk = path if self.on_disk else None
            source = Stream(str(self), self.open_bytes, self.field, self.errors, on_disk, self.strip)
            yield from format_.read(source, repairs)
            return
        # Only rows that are read one by one can come from a pipe
        if not self.on_disk:
            raise InputError(f"{self}: {self.kind} can't be read from a pipe; name a file")
        if kinds.unpacked_name(path) != path:
            raise InputError(f"{self}: {self.kind} can't be read compressed; unpack it first")
        with refused(f"{self}: can't be read", of=OSError):
            for number, document in enumerate(format_.read(path, repairs), 1):
                yield with_all_fields(document, number)

    def at_hand(self, repairs: Repairs) -> Iterator[list[Document]]:
        """Yield texts in batches of about 64 KiB; from a pipe, yield available texts without waiting for more."""
        rows = self.documents(repairs)
        return in_lists(rows, before_fault=True) if self.on_disk or self.text is not None else at_hand(rows)

    def copy_to(self, folder: Path) -> "InputFile":
        """Return an input that can be read several times; copy standard input or a pipe into `folder` first."""
        path = Path(self.place)
        # A path that doesn't exist may be a name on the hub
        if self.place != STDIN and (path.is_file() or path.is_dir() or not path.exists()):
            return self
        copy = folder / "stdin"
        folder.mkdir(parents=True, exist_ok=True)
        with self.open_bytes() as stream, publish(copy) as draft, draft.open("wb") as file:
            shutil.copyfileobj(stream, file)
        return replace(self, copy=copy)

    @contextmanager
    def open_bytes(self) -> Iterator[IO[bytes]]:
        """Provide the file's bytes, decompressed if necessary."""
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
        source: AbstractContextManager[IO[bytes]] = nullcontext(sys.stdin.buffer)
        # Python can't exit while a thread waits inside `sys.stdin`
        with suppress(OSError, ValueError):
            source = os.fdopen(os.dup(sys.stdin.fileno()), "rb")
        with refused(f"{self}: can't be read", of=OSError), source as stream:
            yield stream


@dataclass(frozen=True, slots=True)
class JobPaths:
    """The inputs to tag, and their `folders`; `many`: there may be several files, even if there is only one now."""

    sources: list[InputFile]
    many: bool
    folders: list[Path]
    passed_over: list[Path]
    """Files in the folders that are not read."""

    @property
    def facts(self) -> dict[str, Any]:
        """The facts that determine how they are read, as JSON: a part of a job's fingerprint."""
        inputs = [{"name": writable(source.name), "kind": source.kind} for source in self.sources]
        return {"field": writable(self.sources[0].field), "inputs": inputs}

    @property
    def places(self) -> list[Path]:
        """The folders, and the files themselves."""
        return [Path(source.place) for source in self.sources] + self.folders

    def tell_skipped(self) -> None:
        """Print the number of files that were skipped, if any."""
        if self.passed_over:
            tell(f"files skipped: {len(self.passed_over):,}, such as {self.passed_over[0]}; name them, or give --from")


def find_sources(
    inputs: Sequence[str], kind: str, text: str | None = None, *, field: str = TEXT, errors: str = ERRORS[0]
) -> JobPaths:
    """Return the files at these paths, in order, or a `text` in place of standard input; `kind` is the kind of all, or
    "" to detect each. `field` and `errors` are as in `InputFile`.
    """
    if kind == kinds.HTML or not kinds.is_known(kind):
        check_choice("--from", kind, tuple(name for name in kinds.known_kinds() if name != kinds.HTML))
    check_choice("--errors", errors, ERRORS)
    sources: list[InputFile] = []
    passed_over: list[Path] = []
    folders = [Path(path) for path in inputs if os.path.isdir(path)]  # noqa: PTH112  ("" is no folder)
    many = len(inputs) > 1
    for argument in inputs or [STDIN]:
        if source := _find_source(argument, kind, text):
            sources.append(source)
        else:
            files, other = _in_folder(Path(argument), kind)
            sources += files
            passed_over += other
            many = True
    if [source.place for source in sources].count(STDIN) > 1:
        raise InputError("standard input (-) can be read only once; name it once")
    for name in dict.fromkeys(source.kind for source in sources):
        check_needs(kinds.kind_named(name))
    return JobPaths([replace(source, field=field, errors=errors) for source in sources], many, folders, passed_over)


def _find_source(argument: str, kind: str, text: str | None) -> InputFile | None:
    """Return standard input, a file, or a folder that a format reads as one; None for a folder of files. Raise
    InputError if there is nothing.
    """
    if argument == STDIN:
        stdin = PurePath("stdin" if text is None else "text")
        return InputFile(STDIN, stdin, kind or kinds.TEXT, text=text)
    path = Path(argument)
    # A format that reads folders also reads names on the hub, which needn't exist here
    if argument and kind and not kinds.kind_named(kind).suffixes:
        return InputFile(argument, PurePath(path.name or "data"), kind)
    if not os.path.lexists(argument):
        remedy = "give files or folders, - for standard input, or a text itself with --text"
        raise InputError(f"{shorten(argument, 80) or repr(argument)}: no such file or folder; {remedy}")
    if kind and path.is_dir():
        return None
    known = kind or what_is(path)
    return InputFile(argument, PurePath(path.name or "data"), known) if known else None


def what_is(path: Path) -> str:
    """Return the kind of a file, by its name or else by its content, or of a folder that a format reads as one; "" for
    a folder of files. Raise InputError if a file clearly isn't text.
    """
    if path.is_dir():
        return recognise_format(path)
    return kinds.kind_of_name(path) or _kind_by_content(path)


def _kind_by_content(path: Path) -> str:
    """Return the kind of a file whose name doesn't decide it; raise InputError if the file clearly isn't text."""
    suffix = kinds.unpacked_name(path).suffix.lower()
    default = kinds.JSONL if suffix == JSON else kinds.CSV if suffix in kinds.kind_named(kinds.CSV).suffixes else ""
    if not path.is_file():
        return default or kinds.TEXT
    names = formats_of_suffix(suffix)
    # `.json` and `.csv` say little: the content decides first
    if default or names:
        if kinds.unpacked_name(path) == path and (name := recognise_format(path)):
            return name
        if default != kinds.CSV:
            return default or names[0]
    with open_plain(path) as stream:
        seems = foreign(stream.read(1 << 16), path.name.lower())
    if suffix in _NOT_TEXT or seems:
        remedy = "extract its text, or name its format with --from (text: one row per line)"
        raise InputError(f"{path}: seems to be {seems or 'XML or HTML'}; {remedy}")
    return default or kinds.TEXT


def _in_folder(folder: Path, kind: str) -> tuple[list[InputFile], list[Path]]:
    """Return the files below a folder that have a known kind, or the given one, and the other files."""
    inside = folder.resolve()
    sources = []
    passed_over = []
    suffixes = kinds.kind_named(kind).suffixes if kind else ()
    for file in find_files(folder):
        fits = kinds.unpacked_name(file.path).suffix.lower() in suffixes
        file_kind = (kind if fits else "") if kind else kinds.kind_of_name(file.path)
        # A link that leads out of the folder isn't part of it
        if file_kind and file.path.is_file() and file.path.resolve().is_relative_to(inside):
            sources.append(InputFile(str(file.path), file.path.relative_to(folder), file_kind))
        else:
            passed_over.append(file.path)
    if not sources:
        ends = f"a name for {kind}" if kind else "a known name (.txt, .jsonl, .conll, .parquet)"
        raise InputError(f"{folder}: contains no file with {ends}; name the files themselves, with --from")
    return sources, passed_over


def check_no_input(inputs: JobPaths, output: Path) -> None:
    """Raise InputError if the output is an input."""
    for path in (Path(source.place) for source in inputs.sources if source.place != STDIN):
        if output.exists() and path.exists() and output.samefile(path):
            raise InputError(f"{output}: is the input itself; name another output")


def read_texts(paths: Iterable[str]) -> Iterator[str]:
    """Yield the texts of files and folders, as `nerbert tag` reads them by their names."""
    for file in find_sources(list(paths), "").sources:
        yield from (row.text for row in file.documents())


_LIST = 1 << 16
"""Size of a batch of texts that are tagged together, in bytes."""
_WAIT = 0.02
"""Time for which a batch waits for more texts from a pipe, in seconds."""
_AHEAD = 1000
"""Maximum number of texts from a pipe that wait to be tagged."""


def in_lists(
    documents: Iterable[Document], size: int = _LIST, most: int = 1 << 20, *, before_fault: bool = False
) -> Iterator[list[Document]]:
    """Yield texts in batches of `size` bytes or `most` rows; `before_fault`: yield the texts before an error, too."""
    held = list[Document]()
    bytes_ = 0
    try:
        for document in documents:
            held.append(document)
            bytes_ += document.size
            if bytes_ >= size or len(held) == most:
                yield held
                held = []
                bytes_ = 0
    except NerbertError:
        if held and before_fault:
            yield held
        raise
    if held:
        yield held


def at_hand(documents: Iterable[Document]) -> Iterator[list[Document]]:
    """Yield texts in batches as they arrive: a thread reads, and a batch ends when nothing has arrived for a while."""
    # Bounded, so that a fast pipe doesn't fill the memory
    ready = Queue[Document | BaseException | None](_AHEAD)

    def read() -> None:
        try:
            for document in documents:
                ready.put(document)
            ready.put(None)
        except BaseException as error:  # raised again below
            ready.put(error)

    Thread(target=read, daemon=True).start()
    while isinstance(item := ready.get(), Document):
        held = [item]
        size = item.size
        end = monotonic() + _WAIT
        # Texts that arrive within a moment are tagged together
        with suppress(Empty):
            while size < _LIST and isinstance(item := ready.get(timeout=max(0.0, end - monotonic())), Document):
                held.append(item)
                size += item.size
        yield held
        if not isinstance(item, Document):
            break
    # An error is raised after the texts before it
    if item is not None:
        raise item
