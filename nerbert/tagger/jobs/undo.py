"""Undo a redaction by its map."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePath
from typing import Any

from nerbert.artifacts import check_free_file, publish, sha256_of
from nerbert.errors import InputError, at, os_refused
from nerbert.formats.kinds import ROW_KINDS, read_rows, write_rows
from nerbert.formats.kinds import TEXT as LINES
from nerbert.formats.rows import TEXT, file_lines
from nerbert.schema import parse_json
from nerbert.tagger.redact import EditedText, restore
from nerbert.terminal import tell


@dataclass(frozen=True, slots=True)
class _MapRow:
    """A replacement in a row; or, after those of a file, the file."""

    row: int = 0
    start: int = 0
    pseudonym: str = ""
    original: str = ""
    file: str = ""
    kind: str = ""
    sha256: str = ""


_Changes = dict[int, list[tuple[int, str, str]]]
"""By row what was replaced in it: start, pseudonym and original."""


def undo_redaction(map_: Path, redacted: Path, output: Path, *, edited: bool = False, overwrite: bool = False) -> None:
    """Write a redacted file with its texts as they were; other fields stay redacted.

    A file that was `edited` gets the originals in place of the pseudonyms that it still has. Raise InputError for a
    file that is not one of the map's, or was changed without `edited`.
    """
    check_free_file(output, overwrite=overwrite)
    if output.resolve() in (map_.resolve(), redacted.resolve()):
        raise InputError(f"{output}: is the input itself; name another output")
    kind, changes = _changes_of(map_, redacted, edited=edited)
    with at(map_):
        edit = EditedText(chain(*changes.values())) if edited else None

    def rows() -> Iterator[dict[str, Any]]:
        for number, row in enumerate(read_rows(redacted, kind), 1):
            with at(redacted, row.line):
                text = edit.restore(row.text) if edit else restore(row.text, changes.get(number, ()))
            yield {**row.fields, TEXT: text}

    names = {} if kind == LINES else dict.fromkeys(name for row in read_rows(redacted, kind) for name in row.fields)
    with publish(output) as draft:
        write_rows(draft, kind, rows, list(names))
    if edit:
        gone = ", ".join(each for each in edit.originals if each not in edit.seen)
        tell(f"{output}: {len(edit.seen):,} of {len(edit.originals):,} names restored"
             + (gone and f"; gone: {gone:.500}"))  # fmt: skip
    else:
        tell(f"{output}: {sum(map(len, changes.values())):,} entities restored")


def _changes_of(map_: Path, redacted: Path, *, edited: bool) -> tuple[str, _Changes]:
    """Return the kind of a redacted file, and what was replaced in it; of files with equal content by its name.

    An `edited` one is the map's only file, or has the name of one.
    """
    with os_refused(f"{redacted}: can't be read"):
        digest = sha256_of(redacted)
    found = dict[tuple[str, ...], tuple[str, _Changes]]()
    changes: _Changes = {}
    for each in _map_rows(map_):
        if not each.file:
            changes.setdefault(each.row, []).append((each.start, each.pseudonym, each.original))
            continue
        if edited or each.sha256 == digest:
            found[PurePath(each.file).parts] = each.kind, changes
        changes = {}
    own = [names for names in found if redacted.resolve().parts[-len(names) :] == names] if len(found) > 1 else [*found]
    if not own or (kind := found[own[0]][0]) not in ROW_KINDS:
        raise InputError(f"{redacted}: isn't a file that was redacted with this map, or was changed since")
    return kind, found[max(own, key=len)][1]


def _map_rows(map_: Path) -> Iterator[_MapRow]:
    with os_refused(f"{map_}: can't be read"):
        for line in file_lines(map_):
            yield parse_json(line.text, _MapRow, f"{map_}:{line.number}")
