"""Where tagged texts go, and the parts in which files are tagged, so that finished ones outlive a kill.

A part holds entities and the digest of its rows. Cost: the input is read once more.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import NamedTuple, NoReturn, TypeAlias

from nerbert.artifacts import Made, artifact
from nerbert.errors import InputError, NerbertError, SettingsError
from nerbert.executors import ONE_CORE, Executor, Resources
from nerbert.formats.format import formats_of_suffix
from nerbert.formats.inputs import JSON, InputFile, JobPaths, in_lists
from nerbert.formats.kinds import (
    HTML,
    PACKED,
    Page,
    keeps_rows,
    kind_of_name,
    known_kinds,
    suffixes_of,
    unpacked_name,
)
from nerbert.records import Document, Repairs, Span
from nerbert.tagger.spans import OFFSETS, counted_spans
from nerbert.terminal import Progress

MANIFEST = "manifest.json"
"""The file in a folder of outputs that names what they were made from."""
_PART = 1 << 18
"""Bytes of input that are tagged, and kept, together."""
_MOST_ROWS = 5_000
"""Maximum rows of such a part."""


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


class FilePart(NamedTuple):
    """Rows that are tagged and kept together: of which file, where their entities go, and their digest."""

    file: int
    name: str
    mark: Path
    rows: Sequence[Document]
    digest: str

    @property
    def size(self) -> int:
        """Return the bytes of its rows."""
        return sum(row.size for row in self.rows)


def _digest(rows: Iterable[Document]) -> str:
    digest = hashlib.sha256()
    for row in rows:
        digest.update(f"{len(row.text)} {row.text} {row.words or ''}\n".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


Entity: TypeAlias = tuple[int, int, str, float]
"""Start, end, type and confidence."""
Find: TypeAlias = Callable[[FilePart], Sequence[Sequence[Span]]]
"""Finds the entities of each row of a part."""


class TaggedParts:
    """An input file with its parts in a folder; as an iterable its rows, tagged, read again each time.

    Standard input or a pipe is copied into the folder first. The entities' places count `offsets`.
    """

    def __init__(
        self, source: InputFile, folder: Path, field: str, errors: str, *, offsets: str = OFFSETS[0]
    ) -> None:  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        self._source, self._folder, self._how, self._offsets = source, folder, (field, errors), offsets
        self.name, self.count, self.rows, self.entities, self.repairs = str(source), 0, 0, Counter[str](), Repairs()

    def parts(self, file: int) -> Iterator[FilePart]:
        """Yield the parts of the `file`-th file as they travel to workers, and count."""
        self._source = self._source.copied(self._folder)
        for part in self._parts(file, self.repairs):
            yield part._replace(rows=[replace(row, fields={}) for row in part.rows])
            self.count, self.rows = self.count + 1, self.rows + len(part.rows)

    def __iter__(self) -> Iterator[Document]:
        number = 0
        for number, part in enumerate(self._parts(0, Repairs()), 1):  # noqa: B007
            for row, entities in zip(part.rows, _made(part, self._changed).result, strict=True):
                spans = [Span(*each[:3], row.text[each[0] : each[1]], each[3]) for each in entities]
                yield replace(row, spans=tuple(counted_spans(row.text, spans, self._offsets)))
        if number != self.count:
            self._changed()

    def _parts(self, file: int, repairs: Repairs) -> Iterator[FilePart]:
        """Yield the file's rows in parts that depend on the input alone."""
        documents = self._source.documents(*self._how, repairs)
        for number, rows in enumerate(in_lists(documents, _PART, _MOST_ROWS)):
            yield FilePart(file, self.name, self._folder / f"{number:06d}.json", rows, _digest(rows))

    def _changed(self, _: FilePart | None = None) -> NoReturn:
        raise InputError(f"{self._source}: changed while it was read; rerun the command")


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


def _tag_part(part: FilePart, find: Find) -> _TaggedPart:
    made = _made(part, find)
    entities = Counter(type_ for row in made.result for _, _, type_, _ in row)
    return _TaggedPart(part.file, len(part.rows), part.size, entities, made.before)


def _made(part: FilePart, find: Find) -> Made[list[list[Entity]]]:
    """Return the entities of each row of a part; find and keep them unless an earlier run did."""

    def make() -> list[list[Entity]]:
        return [[(each.start, each.end, each.type, each.confidence) for each in spans] for spans in find(part)]

    return artifact(part.mark, part.digest, [], make, list[list[Entity]])
