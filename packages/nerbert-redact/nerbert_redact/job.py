"""The steps of `nerbert redact`: tag as `nerbert tag` does, then write rows without the entities; undo that by a map.

Rows have their text and the requested fields. Cost: a file's rows are read once more, to collect its names.
"""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from pathlib import Path, PurePath
from tempfile import TemporaryFile
from typing import IO, Any

from nerbert.artifacts import check_free, publish, publish_job, sha256_of, write_json
from nerbert.config import check_choice
from nerbert.entity_labels import read_words
from nerbert.errors import InputError, SettingsError, at, few, need, refused
from nerbert.executors import HERE, Executor
from nerbert.formats.format import check_needs
from nerbert.formats.jsonl import ANNOTATIONS
from nerbert.formats.lines import ERRORS, TEXT, TOKENS, file_lines
from nerbert.model.loading import DEFAULTS, Loading
from nerbert.records import Document
from nerbert.schema import json_line, parse_json
from nerbert.sources.files import writable
from nerbert.tables import read_columns
from nerbert.tagger.jobs.files import MANIFEST, TaggedParts, check_output, describe_counts, tag_all, target_kind
from nerbert.tagger.jobs.job import TagJob
from nerbert.tagger.tagger import Tagger
from nerbert.terminal import percent, tell
from nerbert.texts.inputs import JobPaths, check_no_input
from nerbert.texts.kinds import JSONL, ROW_KINDS, kind_named, read_rows, write_rows
from nerbert.texts.kinds import TEXT as LINES
from nerbert_redact import redact

FILE, ROW = "file", "row"
KEY = "NERBERT_REDACT_KEY"
"""Environment variable with the key of hashes."""
_NEVER = (TEXT, TOKENS, "words", *ANNOTATIONS)
"""Fields that are not kept: they have the text, its words or entities."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RedactJob:
    """The texts to tag, as in `nerbert tag`, and the way to redact them."""

    tag: TagJob
    to: str = ""
    how: str = redact.REPLACE
    keep: tuple[str, ...] = ()
    """Other fields to keep; the texts of found entities are replaced in them, too."""
    document: str = FILE
    """Scope of numbers and repeats: a file or a row."""
    repeats: bool = True
    key: Path | None = None
    map: Path | None = None
    """File for the originals."""
    patterns: tuple[str, ...] | None = None
    """Labels of checked patterns to redact besides the tagger's entities; (): all of the tagger's language. They win an
    overlap with an entity."""

    def find(self) -> tuple[JobPaths, list[PurePath], str]:
        """Return the inputs, the outputs' names and kind; raise SettingsError or InputError for options that clash."""
        self._check_way()
        if (output := self.tag.output) is None:
            raise SettingsError("-o is missing; name a file or folder")
        paths, _ = self.tag.find()
        kind = self.to or (JSONL if paths.many else target_kind(output, ROW_KINDS))
        check_choice("--to", kind, ROW_KINDS)
        check_needs(kind_named(kind))
        if kind == LINES:
            if self.keep:
                raise SettingsError(
                    f"--keep {self.keep[0]}: text has no other fields; choose --to jsonl, csv or parquet"
                )
            paths = replace(paths, sources=[replace(source, strip="") for source in paths.sources])
        if self.map and self.map.resolve().is_relative_to(output.resolve()):
            raise InputError(f"{self.map}: the map undoes the redaction, so it can't be in the output; keep it apart")
        names = check_output(paths, output, kind, overwrite=self.tag.overwrite)
        if self.map:
            check_no_input(paths, self.map)
            check_free(self.map, overwrite=self.tag.overwrite, file=True)
        return paths, names, kind

    def _check_way(self) -> None:
        """Raise SettingsError for a way to redact that can't be, whatever the texts."""
        check_choice("--how", self.how, redact.WAYS)
        check_choice("--document", self.document, (FILE, ROW))
        if self.patterns is not None:
            known = [name for (name,) in read_columns("patterns.tsv", "name", package="nerbert_redact")]
            for name in self.patterns:
                check_choice("--patterns", "" if read_words(name) in map(read_words, known) else name, known)
            need("presidio", "presidio_analyzer")
        if never := [name for name in self.keep if name in (*_NEVER, self.tag.field)]:
            raise SettingsError(f"--keep {never[0]}: has the text, its words or entities, so it can't be kept")
        if self.key and self.how != redact.HASH:
            raise SettingsError(f"--key: is for --how hash, not {self.how}; leave one out")

    def pseudonyms(self) -> Callable[[set[str]], redact.Pseudonym]:
        """Return the function that makes a document's new pseudonyms; raise SettingsError without a key."""
        if self.how != redact.HASH:
            return redact.number_names if self.how == redact.REPLACE else lambda _: redact.mask_text
        if self.key is None:
            if (value := os.environ.get(KEY)) is None:
                raise SettingsError(f"--how hash: needs a secret key; give --key FILE, or the variable {KEY}")
            key = os.fsencode(value)
        else:
            with refused(f"{self.key}: can't be read", of=OSError):
                key = self.key.read_bytes()
        name = redact.hash_names(key.strip())
        return lambda _: name


class _RedactedRows:
    """The rows of a file without its entities; each iteration counts its replacements and writes them to `notes`."""

    def __init__(
        self,
        job: RedactJob,
        parts: TaggedParts,
        new: Callable[[set[str]], redact.Pseudonym],
        notes: IO[bytes],
        kind: str,
    ) -> None:
        self._job, self._parts, self._new, self._kind = job, parts, new, kind
        self._notes, self._start = notes, 0
        self.left_out = dict[str, None]()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        self.rows = 0
        self.without = 0
        self.marked = Counter[str]()
        self.repeats = Counter[str]()
        self._notes.seek(self._start)
        self._notes.truncate()
        by_row = self._job.document == ROW
        rest = list[redact.Region]()
        names, pseudonym = self._read_document(() if by_row else self._parts)
        for row, following in pairwise(chain(self._parts, [None])):
            if row is None:
                break
            if by_row:
                names, pseudonym = self._read_document([row])
            self.rows += 1
            if self._kind == LINES and "\n" in row.text:
                with at(self._parts.name, row.line):
                    raise InputError("a text of several lines can't be one line; choose --to jsonl")
            repeats = names if self._job.repeats else redact.FoundNames()
            cut, following_cut = repeats.find_cut(row.text, following.text if following and not by_row else "")
            done = redact.redact(row.text, row.spans, repeats, pseudonym, [*rest, *cut])
            rest = following_cut
            for name in done.replaced:
                (self.marked if name.marked else self.repeats)[name.type] += 1
                whole = {"name": name.name} if name.name != name.original else {}
                self._note(row=self.rows, start=name.start, pseudonym=name.pseudonym, original=name.original, **whole)
            self.without += not done.replaced
            self.left_out.update(dict.fromkeys(row.fields))
            with at(self._parts.name):
                kept = {
                    name: redact.redact_value(row.fields[name], names, pseudonym)
                    for name in self._job.keep
                    if name in row.fields
                }
            yield {TEXT: done.text, **kept}

    def _read_document(self, rows: Iterable[Document]) -> tuple[redact.FoundNames, redact.Pseudonym]:
        """Return the entities of a document, and pseudonyms that don't occur in it."""
        names = redact.FoundNames()
        taken = set[str]()
        for row in rows:
            for span in row.spans:
                names.add(span.text, span.type)
            for text in (row.text, *(f"{row.fields[name]}" for name in self._job.keep if name in row.fields)):
                taken |= redact.find_placeholders(text)
        return names, self._new(taken)

    def _note(self, **values: Any) -> None:
        if self._job.map:
            self._notes.write(f"{json_line(values)}\n".encode())

    def write(self, target: Path, name: PurePath) -> None:
        """Write the file, and the last row of its part of the map, which identifies it."""
        self._start = self._notes.tell()
        with self._parts.open_text() as like:
            write_rows(target, self._kind, self.__iter__, (TEXT, *self._job.keep), like)
        self._note(file=writable(name), kind=self._kind, sha256=sha256_of(target) if self._job.map else "")


def redact_texts(
    tagger: str | Path,
    texts: Sequence[str | Path],
    output: str | Path,
    *,
    to: str = "",
    how: str = redact.REPLACE,
    keep: Sequence[str] = (),
    document: str = FILE,
    repeats: bool = True,
    key: Path | None = None,
    originals: Path | None = None,
    patterns: Sequence[str] | None = None,
    labels: str = "",
    min_confidence: str = "",
    loading: Loading = DEFAULTS,
    from_: str = "",
    field: str = TEXT,
    errors: str = ERRORS[0],
    executor: Executor | None = None,
    overwrite: bool = False,
) -> None:
    """Write texts without the entities that a `tagger` (its folder or hub name) finds; it misses some.

    `texts` are files or folders, as `nerbert tag` reads them; `output` is a file, or a folder for several inputs. `how`
    replaces an entity: "replace" (its type with a number), "mask" (blocks) or "hash" (its type with a hash that needs
    the `key` in a file). Numbers and repeats apply to a `document`: "file" or "row". Other fields are left out, except
    those to `keep`. `patterns` are labels of numbers and addresses to replace, too; `[]` means all of the tagger's
    language. `labels` and `min_confidence` are written as in `nerbert tag`. The file `originals` is for
    `undo_redaction`. If the call is killed, repeat it to resume the tagging.
    """
    # Finished parts hold offsets of entities, not texts.
    job = RedactJob(
        tag=TagJob(
            tagger=str(tagger),
            inputs=tuple(map(str, texts)),
            output=Path(output),
            from_=from_,
            to=JSONL,
            field=field,
            errors=errors,
            labels=labels,
            min_confidence=min_confidence,
            overwrite=overwrite,
            loading=loading,
        ),
        to=to,
        how=how,
        keep=tuple(keep),
        document=document,
        repeats=repeats,
        key=key,
        map=originals,
        patterns=None if patterns is None else tuple(patterns),
    )
    paths, names, kind = job.find()
    new = job.pseudonyms()
    loaded = job.tag.load()
    output = Path(output)
    facts = job.tag.fingerprint(loaded, paths)
    amend = None
    if job.patterns is not None:
        from nerbert_redact.patterns import CheckedPatterns

        facts["patterns"] = list(job.patterns)
        amend = CheckedPatterns(job.patterns, loaded.language, loaded.types).add_to
    files = publish_job(output, facts, overwrite=job.tag.overwrite, file=not paths.many)
    with files as (draft, work), TemporaryFile() as notes:
        tagged = tag_all(paths.sources, work, loaded, executor or HERE, amend=amend)
        done = [_RedactedRows(job, parts, new, notes, kind) for parts in tagged]
        for name, rows in zip(names, done, strict=True):
            target = draft / name if paths.many else draft
            target.parent.mkdir(parents=True, exist_ok=True)
            rows.write(target, name)
        if paths.many:
            counts = [
                {
                    "file": writable(name),
                    "rows": rows.rows,
                    "without": rows.without,
                    "entities": rows.marked,
                    "repeats": rows.repeats,
                }
                for name, rows in zip(names, done, strict=True)
            ]
            write_json(draft / MANIFEST, {**facts, "to": kind, "how": job.how, "kept": list(job.keep), "files": counts})
        if job.map:
            notes.seek(0)
            with publish(job.map) as map_:
                map_.touch(0o600, exist_ok=False)  # only its owner can read it
                with map_.open("wb") as stream:
                    shutil.copyfileobj(notes, stream)
    _tell_coverage(job, loaded, output, done)


def _tell_coverage(job: RedactJob, tagger: Tagger, output: Path, done: Sequence[_RedactedRows]) -> None:
    """Print how much was redacted, and that entities missed by the tagger were not."""
    marked, repeats = (sum((getattr(file, name) for file in done), Counter[str]()) for name in ("marked", "repeats"))
    rows = sum(file.rows for file in done)
    without = sum(file.without for file in done)
    others = describe_counts(repeats) if job.repeats else "left as they are (--no-repeats)"
    tell(
        f"{output}: {rows:,} rows; entities redacted: {describe_counts(marked)}; repeats of them that the tagger "
        f"didn't mark: {others}; rows without any: {without:,}"
    )
    _tell_fields(job, done)
    dev = tagger.card.get("dev")
    recall = dev.get("recall") if isinstance(dev, Mapping) and not tagger.labels else None
    coverage = (
        f"On its dev data it found {percent(recall)} % of the entities."
        if isinstance(recall, int | float)
        else "How much that is isn't known of this tagger."
    )
    tell(f"What the tagger misses stays in the text. {coverage} Read a sample before you pass the texts on.")


def _tell_fields(job: RedactJob, done: Sequence[_RedactedRows]) -> None:
    """Print which fields were left out, and which ones to keep no row has."""
    fields = dict.fromkeys(name for file in done for name in file.left_out)
    if left := [name for name in fields if name not in (TEXT, job.tag.field, *job.keep)]:
        tell(f"fields left out: {few(left)} (--keep keeps some)")
    if missing := [name for name in job.keep if name not in fields and any(file.rows for file in done)]:
        tell(f"--keep: no row has {few(missing)}")


@dataclass(frozen=True, slots=True)
class _MapRow:
    """A replacement in a row, with the name that it is a part of; or, after a file's replacements, the file."""

    row: int = 0
    start: int = 0
    pseudonym: str = ""
    original: str = ""
    name: str = ""
    file: str = ""
    kind: str = ""
    sha256: str = ""


_Changes = dict[int, list[tuple[int, str, str]]]
"""Row → its replacements: start, pseudonym and original."""


def undo_redaction(map_: Path, redacted: Path, output: Path, *, edited: bool = False, overwrite: bool = False) -> None:
    """Write a redacted file with its original texts; other fields stay redacted.

    A file that was `edited` gets the originals in place of the pseudonyms that it still has. Raise InputError for a
    file that is not one of the map's, or was changed without `edited`.
    """
    check_free(output, overwrite=overwrite, file=True)
    if output.resolve() in (map_.resolve(), redacted.resolve()):
        raise InputError(f"{output}: is the input itself; name another output")
    kind, changes = _changes_of(map_, redacted, edited=edited)
    with at(map_):
        edit = redact.EditedText(chain(*changes.values())) if edited else None

    def rows() -> Iterator[dict[str, Any]]:
        for number, row in enumerate(read_rows(redacted, kind), 1):
            with at(redacted, row.line):
                text = edit.restore(row.text) if edit else redact.restore(row.text, changes.get(number, ()))
            yield {**row.fields, TEXT: text}

    names = {} if kind == LINES else dict.fromkeys(name for row in read_rows(redacted, kind) for name in row.fields)
    with publish(output) as draft, redacted.open("rb") as like:
        write_rows(draft, kind, rows, list(names), like)
    if edit:
        gone = ", ".join(name for name in edit.originals if name not in edit.seen)
        tell(
            f"{output}: {len(edit.seen):,} of {len(edit.originals):,} names restored"
            + (gone and f"; gone: {gone:.500}")
        )
    else:
        tell(f"{output}: {sum(map(len, changes.values())):,} entities restored")


def _changes_of(map_: Path, redacted: Path, *, edited: bool) -> tuple[str, _Changes]:
    """Return the kind of a redacted file, and its replacements; an `edited` one is found by its name."""
    with refused(f"{redacted}: can't be read", of=OSError):
        digest = sha256_of(redacted)
    files = dict[tuple[str, ...], tuple[str, _Changes]]()
    changes: _Changes = {}
    with refused(f"{map_}: can't be read", of=OSError):
        for line in file_lines(map_):
            change = parse_json(line.text, _MapRow, f"{map_}:{line.number}")
            if not change.file:
                original = (edited and change.name) or change.original
                changes.setdefault(change.row, []).append((change.start, change.pseudonym, original))
                continue
            if edited or change.sha256 == digest:
                files[PurePath(change.file).parts] = change.kind, changes
            changes = {}
    path_parts = redacted.resolve().parts
    matching = [names for names in files if len(files) == 1 or path_parts[-len(names) :] == names]
    if not matching or (kind := files[matching[0]][0]) not in ROW_KINDS:
        remedy = "" if edited else "; if you edited it: --edited"
        raise InputError(f"{redacted}: isn't a file that was redacted with this map, or was changed since{remedy}")
    return kind, files[max(matching, key=len)][1]
