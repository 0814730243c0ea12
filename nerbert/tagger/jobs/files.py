"""What is tagged and where it goes: files by name, folders by what lies in them, standard input; rows and tagged parts.

All errors of paths are found before any work. A folder means the files of known kinds below it; links that lead out of
it are passed over, and so are other files, which is reported. An output takes the name of its input with another
suffix. Two inputs that want the same name are an error; no number is appended.

A file's tagged parts outlive a kill. A part is one file of entities alone, with the digest of its rows; the folder's
fingerprint guards the rest (tagger, settings). So an input that was corrected in one line costs the parts from there
on, and another kind of output costs none. The price: the input is read once more, which takes little time beside
tagging.
"""

import hashlib
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePath
from typing import IO, NoReturn, TypeAlias, cast

from nerbert.artifacts import artifact, publish, sha256_of
from nerbert.errors import InputError, SettingsError, os_refused, refused
from nerbert.formats.conll import Conll, conll_rows
from nerbert.formats.jsonl import JsonLines, json_rows
from nerbert.formats.rows import Block, Lines, TextRow, blocks_at_hand, read_lines, text_rows
from nerbert.records import Span
from nerbert.sources.files import find_files, open_plain
from nerbert.tagger.tagger import utf16_spans

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

        def make() -> list[list[Entity]]:
            return [[(each.start, each.end, each.type, each.confidence) for each in spans] for spans in find()]

        made = artifact(self._folder / f"{number:06d}.json", block.digest, [], make, list[list[Entity]])
        return made.result, made.before

    def _changed(self) -> NoReturn:
        raise InputError(f"{self._source}: changed while it was read; give the same command again")
