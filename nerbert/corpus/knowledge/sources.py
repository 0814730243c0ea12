"""Files of knowledge and their rows: found below a path, unpacked, cut into lines, read as pairs of title and class.

The choice: compression is told by magic bytes, lines are split from large blocks of bytes and decoded one by one, so a
bad byte costs one row, not the file. The price: of a line longer than a block only the beginning is sure to be right;
no title or class is that long. Where lines can be (Wikidata), `read_blocks` gives blocks of whole lines.
"""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TypeAlias
from urllib.parse import unquote

from nerbert.corpus.dump.packed import DAMAGED, unpacked
from nerbert.corpus.wikitext.titles import normalise_title
from nerbert.errors import InputError

_BLOCK = 1 << 20
_LARGE_BLOCK = 4 << 20
LONGEST_TITLE = 1000
"""Characters of a title or a class; MediaWiki's titles have 255 bytes at most."""
BOM = b"\xef\xbb\xbf"
TYPE_TRIPLE = re.compile(
    r"<https?://(?:([a-z-]+)\.)?dbpedia\.org/resource/([^<>\s]*)>\s*<http://www\.w3\.org/1999/02/22-rdf-syntax-ns#type>"
    r"\s*<http://dbpedia\.org/ontology/([^<>\s]+)>\s*(?:<[^<>\s]*>\s*)?\.\s*"
)
DISAMBIGUATION_TRIPLE = re.compile(
    r"<https?://(?:([a-z-]+)\.)?dbpedia\.org/resource/([^<>\s]*)>\s*<http://dbpedia\.org/ontology/wikiPageDisambiguates>"
    r"\s*<[^<>\s]*>\s*(?:<[^<>\s]*>\s*)?\.\s*"
)
_TRIPLE = re.compile(r"(?:<[^<>\s]*+>|_:[^<>\s]++)\s*+<[^<>\s]*+>\s*+[<\"_]")
"""How any triple begins; it never goes back, so that no line costs more than its length."""
_ESCAPE = re.compile(r"\\u([0-9A-Fa-f]{4})|\\U([0-9A-Fa-f]{8})")

Pair: TypeAlias = tuple[str, str]
"""Title and class of a row; NO_TYPE for a row that is whole but types nothing."""
NO_TYPE: Pair = ("", "")


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file: where it is, its name within the path that was given, and whether it was named itself.

    The name can be written in UTF-8 whatever the file system holds: bytes that are none are escaped (`\\udcff`).
    """

    path: Path
    name: str
    direct: bool


def find_files(path: Path) -> Iterator[FoundFile]:
    """Yield `path`, or the files below it sorted by name, without hidden ones; a link to a folder isn't followed."""
    if path.is_dir():
        yield from (
            FoundFile(file, _writable(file.relative_to(path).as_posix()), direct=False) for file in _below(path)
        )
    elif path.is_file():
        yield FoundFile(path, _writable(path.name), direct=True)
    else:
        raise InputError(f"{path}: {'not a file or a folder' if path.exists() else 'no such file or folder'}")


def find_all(paths: Sequence[Path]) -> list[FoundFile]:
    """The files at all `paths`, in order; names that files share begin with as many folders as tell them apart."""
    files = [(found, _whole_name(path, found)) for path in paths for found in find_files(path)]
    return [replace(found, name=name) for (found, _), name in zip(files, _apart(files), strict=True)]


@contextmanager
def open_plain(path: Path) -> Iterator[IO[bytes]]:
    """Open a file's bytes, unpacked where it is packed; damage is an InputError that says where."""
    try:
        with path.open("rb") as raw:
            try:
                yield unpacked(raw)
            except (*DAMAGED, OSError) as error:
                place = f"{path}: cut off or damaged near byte {raw.tell()}"
                raise InputError(f"{place}: {error}; fetch it again") from error
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror or error}") from error


def read_lines(path: Path) -> Iterator[bytes]:
    """Yield a file's lines without their ends; of a line longer than a block only its beginning is sure to be right."""
    with open_plain(path) as stream:
        rest = stream.read(3).removeprefix(BOM)
        while block := stream.read(_BLOCK):
            lines = (rest + block).split(b"\n")
            rest = lines.pop()[:_BLOCK]
            yield from lines
        if rest:
            yield rest


def read_blocks(path: Path, longest: int, too_long: Callable[[int], None]) -> Iterator[tuple[int, bytes]]:
    """Yield blocks of whole lines, each with the number of its first line.

    A line that is more than a block longer than `longest` is left out, and `too_long` is told its number.
    """
    with open_plain(path) as stream:
        number, kept, lost = 1, stream.read(len(BOM)).removeprefix(BOM), False
        while block := stream.read(_LARGE_BLOCK):
            if lost:
                begin = block.find(b"\n") + 1
                block, number, lost = (block[begin:], number + 1, False) if begin else (b"", number, True)
            data = kept + block
            end = data.rfind(b"\n") + 1
            if end:
                yield number, data[:end]
                number += data.count(b"\n", 0, end)
            kept = data[end:]
            if len(kept) > longest:
                too_long(number)
                kept, lost = b"", True
        if kept:
            yield number, kept


def decode(line: bytes) -> str | None:
    """Return a line's text without a carriage return; None if it is not UTF-8."""
    try:
        return line.decode("utf-8").rstrip("\r")
    except UnicodeDecodeError:
        return None


def parse_row(line: bytes) -> Pair | None:
    """Title and class of a table's row; None if one is missing."""
    cells = (decode(line) or "").split("\t", 2)
    if len(cells) < 2 or max(map(len, cells[:2])) > LONGEST_TITLE:
        return None
    title, name = normalise_title(cells[0]), cells[1].strip()
    return (title, name) if title and name else None


def edition_of(triple: "re.Match[str]") -> str:
    """The code of the DBpedia that a triple stems from; English has the host without one."""
    return triple.group(1) or "en"


def parse_triple(line: bytes, editions: Collection[str]) -> Pair | None:
    """Title and class of a type triple; NO_TYPE for other triples and editions, and comments; None if broken."""
    text = decode(line) or ""
    match = TYPE_TRIPLE.fullmatch(text)
    if not match:
        return NO_TYPE if is_other_triple(text) else None
    if edition_of(match) not in editions:
        return NO_TYPE
    title, name = title_of_iri(match.group(2)), _unescaped(match.group(3))
    return (title, name) if title and name else None


def parse_disambiguation(line: bytes, editions: Collection[str]) -> tuple[str] | None:
    """The disambiguation page that a triple names; "" for other triples, editions and comments; None if broken."""
    text = decode(line) or ""
    match = DISAMBIGUATION_TRIPLE.fullmatch(text)
    if not match:
        return ("",) if is_other_triple(text) else None
    if edition_of(match) not in editions:
        return ("",)
    title = title_of_iri(match.group(2))
    return (title,) if title else None


def title_of_iri(name: str) -> str:
    """The title that the end of an IRI stands for, its escapes (`%C3%A4`, `\\u00E4`) undone; "" if they are broken."""
    plain = _unescaped(name)
    try:
        return normalise_title(unquote(plain, errors="strict"))
    except UnicodeDecodeError:
        return ""


def is_other_triple(text: str) -> bool:
    """Whether a line belongs into a file of triples without typing a title: another triple, a comment, a prefix."""
    return text.startswith(("#", "@")) or bool(_TRIPLE.match(text) and text.rstrip().endswith("."))


def _whole_name(path: Path, found: FoundFile) -> str:
    """The name of a file from the root on; links on the way to the given path are followed."""
    folder = path.parent.resolve() if found.direct else path.resolve()
    return f"{_writable(folder.as_posix())}/{found.name}"


def _apart(files: Sequence[tuple[FoundFile, str]]) -> list[str]:
    """A name for each file: the end of its whole one, longer by a folder until no other file has it."""
    names = [found.name for found, _ in files]
    while True:
        holders: dict[str, set[str]] = {}
        for name, (_, whole) in zip(names, files, strict=True):
            holders.setdefault(name, set()).add(whole)
        longer = [_longer(name, whole) if len(holders[name]) > 1 else name
                  for name, (_, whole) in zip(names, files, strict=True)]  # fmt: skip
        if longer == names:
            return names
        names = longer


def _longer(name: str, whole: str) -> str:
    """A name with one folder more before it."""
    before = whole.removesuffix(name).rstrip("/")
    return f"{before.rpartition('/')[2]}/{name}" if before else name


def _writable(name: str) -> str:
    """A file's name so that it can be written in UTF-8."""
    return name.encode("utf-8", "backslashreplace").decode()


def _below(folder: Path) -> Iterator[Path]:
    try:
        entries = sorted(folder.iterdir(), key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(f"{folder}: can't be listed: {error.strerror}") from error
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir() and not entry.is_symlink():
            yield from _below(entry)
        else:
            yield entry


def _unescaped(iri: str) -> str:
    """`iri` without its escapes; "" if one names no character."""
    if "\\" not in iri:
        return iri
    try:
        plain = _ESCAPE.sub(lambda match: chr(int(match.group(1) or match.group(2), 16)), iri)
        plain.encode()
    except (ValueError, OverflowError):
        return ""
    return plain
