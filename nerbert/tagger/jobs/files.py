"""Where tagged texts go, and the parts in which files are tagged, so that finished ones outlive a kill.

A part holds entities and the digest of its rows. Cost: the input is read once more.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import NamedTuple, NoReturn, TypeAlias

from nerbert.artifacts import Made, artifact, json_line, sha256_of
from nerbert.errors import InputError, NerbertError, SettingsError, refused
from nerbert.executors import ONE_CORE, Executor, Resources
from nerbert.formats.format import formats_of_suffix
from nerbert.formats.inputs import JSON, InputFile, JobPaths
from nerbert.formats.kinds import (
    HTML,
    PACKED,
    PARQUET,
    keeps_rows,
    kind_of_name,
    known_kinds,
    suffixes_of,
    unpacked_name,
)
from nerbert.formats.plain import Page
from nerbert.formats.rows import Block
from nerbert.records import Document, Repairs, Span
from nerbert.tagger.spans import OFFSETS, counted_spans
from nerbert.terminal import Progress

MANIFEST = "manifest.json"
"""The file in a folder of outputs that names what they were made from."""
SIGNATURE = "tagger"
"""The field with a tagger's fingerprint."""
_PART = 1 << 18
"""Bytes of input that are tagged, and kept, together."""


def target_kind(output: Path) -> str:
    """Return the kind of a file to write, by its name; raise SettingsError if its name doesn't say."""
    suffix = output.suffix.lower()
    if suffix in PACKED:
        raise SettingsError(f"{output}: can't be packed here; write to standard output, and to gzip from there")
    if kind := HTML if suffix in Page.suffixes else kind_of_name(output):
        return kind
    formats = formats_of_suffix(suffix)
    if len(formats) == 1:
        return formats[0]
    if formats:
        raise SettingsError(f"{output}: several formats have such names; give --to one of {', '.join(formats)}")
    raise SettingsError(f"{output}: its name tells no format; give --to one of {', '.join(known_kinds())}")


def place_outputs(paths: JobPaths, output: Path, kind: str) -> list[PurePath]:
    """Return where each source's output goes within the folder `output`; raise InputError for clashes."""
    check_apart(paths, output)
    taken: dict[PurePath, InputFile] = {}
    for source in paths.sources:
        name = _renamed(source, kind)
        if name in taken:
            raise InputError(f"{source} and {taken[name]}: both would become {output / name}; tag them one by one")
        taken[name] = source
    for name, source in taken.items():
        if other := next((each for each in name.parents if each in taken or each.name == MANIFEST), None):
            raise InputError(f"{source}: would lie in {output / other}, which is a file there; tag it by itself")
    return list(taken)


def _renamed(source: InputFile, kind: str) -> PurePath:
    """Return a file's name with the suffix of another kind, in place of its own if that says a kind."""
    name, (suffix, *_) = unpacked_name(source.name), (*suffixes_of(kind), "")
    known = {JSON, *(each for one in (*known_kinds(), source.kind) for each in suffixes_of(one))}
    return name.with_suffix(suffix) if name.suffix.lower() in known else name.with_name(name.name + suffix)


@contextmanager
def named_draft(target: Path, draft: Path, work: Path, kind: str) -> Iterator[Path]:
    """Provide where an output is written: its draft; for an annotation format, which depends on names, its own name."""
    if keeps_rows(kind):
        yield draft
        return
    with TemporaryDirectory(prefix=".", suffix=".work", dir=work) as folder:
        path = Path(folder) / target.name
        try:
            yield path
        except NerbertError as error:
            error.args = (str(error).replace(str(path), str(target)),)
            raise
        path.replace(draft)


def check_apart(paths: JobPaths, output: Path) -> None:
    """Raise InputError if inputs lie in the output folder, or the output in one of theirs."""
    target = output.resolve()
    inside = [source.place for source in paths.sources if Path(source.place).resolve().is_relative_to(target)]
    around = [folder for folder in paths.folders if target.is_relative_to(folder.resolve())]
    for place in [*inside, *around]:
        raise InputError(f"{output}: output and input ({place}) lie in one another; choose another place")


def _parts(source: InputFile, field: str, errors: str, repairs: Repairs | None = None) -> Iterator[Block]:
    """Yield a file's rows in blocks that depend on the input alone, each with its digest."""
    if source.kind == PARQUET:
        with refused(f"{source}: can't be read as Parquet"):
            whole = sha256_of(source.copy or Path(source.place))
        for block in source.blocks(field, errors):
            first = block.rows[0].line if block.rows else 1
            yield replace(block, name=str(source), digest=f"{whole}: {len(block.rows)} from row {first}, {errors}")
        return
    held, size = list[Document](), 0
    for row in filter(None, source.rows(field, errors, repairs)):
        held.append(row)
        size += row.size
        if size >= _PART:
            yield _part(source, held, size)
            held, size = [], 0
    if held:
        yield _part(source, held, size)


def _part(source: InputFile, rows: Sequence[Document], size: int) -> Block:
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json_line([row.text, row.words]).encode("utf-8", "surrogatepass") + b"\n")
    return Block(str(source), rows, size, digest=digest.hexdigest())


def signed(block: Block, fingerprint: str) -> Block:
    """Return rows with a tagger's fingerprint in the field `tagger`; unchanged for ""."""
    if not fingerprint:
        return block
    if block.batch is None:
        rows = [replace(row, fields={**row.fields, SIGNATURE: fingerprint}) for row in block.rows]
        return replace(block, rows=rows)
    import pyarrow as pa

    there = [name for name in block.batch.schema.names if name != SIGNATURE]
    column = pa.array([fingerprint] * block.batch.num_rows, pa.string())
    return replace(block, batch=block.batch.select(there).append_column(SIGNATURE, column))


Entity: TypeAlias = tuple[int, int, str, float]
"""Start, end, type and confidence."""
Find: TypeAlias = Callable[[Block], Sequence[Sequence[Span]]]
"""Finds the entities of each row of a block."""


class TaggedParts:
    """An input file with its parts in a folder; as an iterable its blocks, tagged, read again each time.

    Standard input or a pipe is copied into the folder first. The entities' places count `offsets`; rows that are read
    are signed with the `fingerprint`, if there is one.
    """

    def __init__(
        self, source: InputFile, folder: Path, field: str, errors: str, *, offsets: str = OFFSETS[0],
        fingerprint: str = "",
    ) -> None:  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        self._fingerprint = fingerprint
        self._source, self._folder, self._how, self._offsets = source, folder, (field, errors), offsets
        self.count, self.rows, self.entities, self.repairs = 0, 0, Counter[str](), Repairs()

    def parts(self, file: int) -> Iterator["_Part"]:
        """Yield the parts of the `file`-th file as they travel to workers, and count."""
        self._source = self._source.copied(self._folder)
        for block in _parts(self._source, *self._how, self.repairs):
            rows = [replace(row, fields={}) for row in block.rows]
            yield _Part(file, self._mark(self.count), replace(block, rows=rows, batch=None))
            self.count, self.rows = self.count + 1, self.rows + len(rows)

    def __iter__(self) -> Iterator[Block]:
        number = 0
        for number, block in enumerate(_parts(self._source, *self._how), 1):
            rows, made = [], _made(self._mark(number - 1), block, self._changed)
            for row, entities in zip(block.rows, made.result, strict=True):
                spans = [Span(*each[:3], row.text[each[0] : each[1]], each[3]) for each in entities]
                rows.append(replace(row, spans=tuple(counted_spans(row.text, spans, self._offsets))))
            yield signed(replace(block, rows=rows), self._fingerprint)
        if number != self.count:
            self._changed()

    def _mark(self, number: int) -> Path:
        return self._folder / f"{number:06d}.json"

    def _changed(self, _: Block | None = None) -> NoReturn:
        raise InputError(f"{self._source}: changed while it was read; rerun the command")


class _Part(NamedTuple):
    """A part to tag: of which file, where its entities go, and its rows without their other fields."""

    file: int
    mark: Path
    block: Block


class _TaggedPart(NamedTuple):
    """A tagged part; `before`: by an earlier run."""

    file: int
    rows: int
    size: int
    entities: Counter[str]
    before: bool


def tag_parts(
    files: Sequence[TaggedParts], find: Find, bar: Progress, executor: Executor, needs: Resources = ONE_CORE
) -> None:
    """Tag the parts of files that aren't done, and count all; `find` travels to the workers of the executor.

    They write the parts, so nothing that one of them has done is lost. `find` may advance the bar; in other processes
    that has no effect, so what is missing is added here.
    """
    total, parts = bar.items, chain.from_iterable(each.parts(number) for number, each in enumerate(files))
    for done in executor.map_ordered(partial(_tag_part, find=find), parts, needs):
        total += done.rows
        files[done.file].entities.update(done.entities)
        if total > bar.items:
            bar.advance(total - bar.items, size=done.size, before=done.before)


def _tag_part(part: _Part, find: Find) -> _TaggedPart:
    made = _made(part.mark, part.block, find)
    entities = Counter(type_ for row in made.result for _, _, type_, _ in row)
    return _TaggedPart(part.file, len(part.block.rows), part.block.size, entities, made.before)


def _made(mark: Path, block: Block, find: Find) -> Made[list[list[Entity]]]:
    """Return the entities of each row of a part; find and keep them unless an earlier run did."""

    def make() -> list[list[Entity]]:
        return [[(each.start, each.end, each.type, each.confidence) for each in spans] for spans in find(block)]

    return artifact(mark, block.digest, [], make, list[list[Entity]])
