"""BRAT: a folder of texts (`NAME.txt`) and their annotations (`NAME.ann`), subfolders included.

Line ends are often changed after annotation, so a text is read without `\r` and byte order mark if more entities fit
then. A discontinuous entity counts only if there is only white space between its pieces.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from nerbert.artifacts import publish_folder
from nerbert.errors import InputError, at, refused
from nerbert.formats.format import LEAST, Abilities
from nerbert.formats.json_files import json_text, json_value
from nerbert.formats.lines import file_lines, read_text
from nerbert.records import Document, Repair, Repairs, Span
from nerbert.sources.files import find_files, writable

_ANN, _TXT, _LIST = ".ann", ".txt", "nerbert.list"
_BEGIN = re.compile(rb"^(\xef\xbb\xbf)?[TREAMN#*][^\t\n]*\t", re.MULTILINE)
_ENTITY = re.compile(
    r"T[^\t]*\t([^\t]+?) +([0-9]{1,15} [0-9]{1,15}(?:;[0-9]{1,15} [0-9]{1,15})*) *(?:\t(.*))?", re.DOTALL
)
_OTHER = re.compile(r"[REAMN#*][^\t]*\t")
"""Relations, events, attributes (M: old form), normalisations, notes, equivalences."""
_TYPE = re.compile(r"-*[A-Za-z0-9_][A-Za-z0-9_-]*")
"""A type in BRAT's configuration, where a line of only hyphens is a separator."""
_PIECE = re.compile(r"[^\t\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]+")
"""A piece of text without the characters that end a line or a column in BRAT."""
_NAME = re.compile(r'(?![. ])[^\x00-\x1f\x7f-\x9f\\/:*?"<>|\ud800-\udfff]+(?<![. ])')
_LONGEST_NAME, _MOST_FOLDERS = 200, 8


class Brat:
    """The format `brat`."""

    suffixes: ClassVar[tuple[str, ...]] = ()
    holds: ClassVar[Abilities] = replace(
        LEAST,
        nested=True,
        text="whole",
        fields=lambda document: {name: value for name, value in document.fields.items() if name == "id"},
    )

    def recognise(self, path: Path, head: bytes) -> bool:
        """Return whether a folder holds an `.ann` file, or a file is one."""
        if path.is_dir():
            return any(file.name.endswith(_ANN) for file in find_files(path))
        # A text without entities has an empty file of annotations
        return path.name.endswith(_ANN) and (not head.strip() or bool(_BEGIN.search(head)))

    def read(self, path: Path, repairs: Repairs) -> Iterator[Document]:
        """Yield the texts of a folder in the order of its list, or else of their names; or the text of one file."""
        if not path.is_dir():
            yield _document(path.with_suffix(_ANN), writable(path.stem), None, repairs)
            return
        root = Path(os.path.realpath(path))
        ids = _read_ids(path / _LIST)
        order = {f"{name}{_ANN}": number for number, name in enumerate(ids)}
        for file in sorted(find_files(path), key=lambda file: order.get(file.name, len(order))):
            if file.name.endswith(_ANN):
                name = file.name.removesuffix(_ANN)
                document = _document(file.path, name, root, repairs)
                yield replace(document, fields={"id": ids[name]}) if name in ids else document
            # A text without annotations may be a forgotten file, so it isn't taken for one without entities
            elif file.name.endswith(_TXT):
                _check(file.path.with_suffix(_ANN), file.path, root)

    def write(self, path: Path, documents: Iterable[Document]) -> None:
        """Write a folder; a text's field `id`, or a number, names its files. Raise InputError for an invalid type."""
        types: dict[str, None] = {}
        ids: dict[str, Any] = {}
        number = 0
        with publish_folder(path) as folder:
            for document in documents:
                name = _file_name(document)
                # The id may be no file name, or be taken: `a/b` beside a text `a`
                while not name or not _is_free(folder, name):
                    number += 1
                    name = f"{number:06}"
                with at(part=name):
                    lines = [_line(index, span, document.text) for index, span in enumerate(document.spans, 1)]
                types.update(dict.fromkeys(span.type for span in document.spans))
                ids[name] = document.fields.get("id", name)
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / f"{name}{_TXT}").write_bytes(document.text.encode("utf-8", "replace"))
                (folder / f"{name}{_ANN}").write_bytes("".join(lines).encode("utf-8", "replace"))
            sections = ["[entities]", *types, "", "[relations]", "", "[events]", "", "[attributes]", ""]
            (folder / "annotation.conf").write_bytes("\n".join(sections).encode())
            _write_ids(folder, ids)


def _read_ids(path: Path) -> dict[str, Any]:
    """Return the texts' ids by name, in the order of the folder's list; an empty dict without a list."""
    ids: dict[str, Any] = {}
    if path.is_file():
        with refused(f"{path}: can't be read", of=OSError):
            for line in file_lines(path):
                if line.text:
                    name, _, id_ = line.text.partition("\t")
                    with line.locate_errors():
                        ids[name] = json_value(id_)
    return ids


def _document(path: Path, name: str, root: Path | None, repairs: Repairs) -> Document:
    """Return the text for a file of annotations, with its entities."""
    source = path.with_suffix(_TXT)
    _check(path, source, root)
    _check(source, path, root)
    marked: list[tuple[Span, bool]] = []
    with refused(f"{path}: can't be read", of=OSError):
        for line in file_lines(path):
            if not line.text.strip():
                continue
            with line.locate_errors():
                entity = _entity(line.text)
            if entity is None:
                repairs[Repair.PASSED_OVER] += 1
            else:
                marked.append(entity)
    # After the annotations, as their offsets show which form of the text they count in
    with refused(f"{source}: can't be read", of=OSError), source.open("rb") as stream:
        text = _as_counted(read_text(stream, source), [span for span, _ in marked], repairs)
    spans = list[Span]()
    for span, in_pieces in marked:
        surface = text[span.start : span.end]
        if in_pieces and "".join(surface.split()) != "".join(span.text.split()):  # text between the pieces
            repairs[Repair.PIECES] += 1
        else:
            spans.append(replace(span, text=surface) if in_pieces else span)
    return Document(text, tuple(spans), group=name, fields={"id": name})


def _check(path: Path, other: Path, root: Path | None) -> None:
    """Raise InputError if `path`, which belongs to the file `other`, is missing or outside the folder."""
    if not path.is_file():
        lacks = "text" if path.name.endswith(_TXT) else "annotations (an empty file if it has no entities)"
        raise InputError(f"{other}: lacks {path.name}, its {lacks}; add that, or move {other.name} away")
    if root is not None and not Path(os.path.realpath(path)).is_relative_to(root):
        raise InputError(f"{path}: is a link that leads out of the folder; put a copy of the file there")


def _entity(line: str) -> tuple[Span, bool] | None:
    """Return the span of a line's entity, including gaps, and whether it has several pieces; None for other lines."""
    match = _ENTITY.fullmatch(line)
    if match is None:
        # Relations and notes are fine; any other line is broken
        if _OTHER.match(line):
            return None
        raise InputError(
            f"broken line {line!r:.60}: expected T1, a tab, the type, a space, start, a space, end, a tab, the text"
        )
    pieces = sorted((int(start), int(end)) for start, end in map(str.split, match[2].split(";")))
    if broken := next((piece for piece in pieces if piece[0] >= piece[1]), None):
        raise InputError(f"entity {broken[0]}–{broken[1]} of type {match[1]!r:.60} is empty; mark a text, or delete it")
    return Span(pieces[0][0], max(end for _, end in pieces), match[1], match[3] or ""), len(pieces) > 1


def _as_counted(text: str, spans: list[Span], repairs: Repairs) -> str:
    """Return a text in the form that its entities' offsets refer to: with or without `\\r` and byte order mark."""

    def count_fits(form: str) -> int:
        return sum(form[span.start : span.end].split() == span.text.split() for span in spans)

    unix = text.replace("\r\n", "\n")
    bare = text.removeprefix("\ufeff")
    forms = dict.fromkeys((text, unix, bare, unix.removeprefix("\ufeff")))
    # Without `\r` and byte order mark there is one form, and nothing to choose
    chosen = max(forms, key=count_fits) if len(forms) > 1 else text
    repairs[Repair.UNIT] += len(spans) if chosen != text else 0
    return chosen


def _line(number: int, span: Span, text: str) -> str:
    """Return the line of an entity; an entity that spans several lines has a piece on each."""
    if not _TYPE.fullmatch(span.type):
        raise InputError(
            f"type {span.type!r:.60}: a type in BRAT has only letters from a to z, digits, - and _; rename it, or "
            "choose jsonl"
        )
    pieces = [piece for piece in _PIECE.finditer(text, span.start, span.end) if not piece[0].isspace()]
    offsets = ";".join(f"{piece.start()} {piece.end()}" for piece in pieces)
    return f"T{number}\t{span.type} {offsets}\t{' '.join(piece[0] for piece in pieces)}\n"


def _write_ids(folder: Path, ids: Mapping[str, Any]) -> None:
    names = (file.name.removesuffix(_ANN) for file in find_files(folder) if file.name.endswith(_ANN))
    # The list is needed only if names don't give back the ids and their order
    if [*ids.items()] != [(name, name) for name in names]:
        lines = [f"{name}\t{json_text(id_)}\n" for name, id_ in ids.items()]
        (folder / _LIST).write_text("".join(lines), encoding="utf-8", newline="\n")


def _file_name(document: Document) -> str:
    """Return the field `id` of a text if it is a valid file name on any system, and in this locale; else ""."""
    name = document.fields.get("id")
    parts = name.split("/") if isinstance(name, str) else [""]
    fit = all(_NAME.fullmatch(part) and len(part.encode()) <= _LONGEST_NAME for part in parts)
    # A name may be valid UTF-8, but not in the encoding of file names here
    with suppress(UnicodeEncodeError):
        return os.fsdecode(os.fsencode("/".join(parts))) if fit and len(parts) <= _MOST_FOLDERS else ""
    return ""


def _is_free(folder: Path, name: str) -> bool:
    """Return whether this name is unused, and no file has the name of one of its folders."""
    files = [folder / f"{name}{suffix}" for suffix in (_TXT, _ANN)]
    above = files[0].relative_to(folder).parents
    return not any(path.exists() for path in files) and not any((folder / path).is_file() for path in above)
