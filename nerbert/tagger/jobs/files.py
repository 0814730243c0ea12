"""Outputs of tagging, and the parts in which files are tagged, so that finished parts survive a kill.

A part holds entities and the digest of its rows. Cost: the input is read once more.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from itertools import chain
from operator import attrgetter
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import IO, Any, NamedTuple, NoReturn, TypeAlias

from nerbert.artifacts import Made, artifact, check_apart, check_free
from nerbert.errors import InputError, NerbertError, SettingsError, at
from nerbert.executors import Executor, Resources
from nerbert.formats.format import formats_of_suffix
from nerbert.records import SPAN_COLUMNS, Document, Example, Repairs, Span
from nerbert.tagger.foreign import tell_foreign, tell_not_found
from nerbert.tagger.self_check_answers import JobTagger
from nerbert.tagger.spans import OFFSETS, counted_spans
from nerbert.terminal import Progress, progress
from nerbert.texts import kinds
from nerbert.texts.inputs import JSON, InputFile, JobPaths, check_no_input, in_lists

MANIFEST = "manifest.json"
"""File in an output folder that records how the outputs were made."""
_PART = 1 << 18
"""Bytes of input in a part, which is tagged and stored as a whole."""
_MOST_ROWS = 5_000
"""Maximum rows of a part."""


def target_kind(output: Path, allowed: Sequence[str] = ()) -> str:
    """Return the kind of a file to write, by its name; raise SettingsError if it tells none of those `allowed`."""
    suffix = output.suffix.lower()
    if suffix in kinds.PACKED:
        raise SettingsError(f"{output}: can't be packed here; write to standard output, and to gzip from there")
    if kind := kinds.HTML if suffix in kinds.Page.suffixes else kinds.kind_of_name(output):
        return kind
    formats = formats_of_suffix(suffix)
    if len(formats) == 1:
        return formats[0]
    if formats:
        raise SettingsError(f"{output}: several formats have such names; give --to one of {', '.join(formats)}")
    names = ", ".join(allowed or kinds.known_kinds())
    raise SettingsError(f"{output}: its name tells no format; give --to one of {names}")


def check_output(paths: JobPaths, output: Path, kind: str, *, overwrite: bool) -> list[PurePath]:
    """Return the name of an output, or of each source's in the folder `output`; raise an error if it isn't free."""
    file = not paths.many and bool(kinds.kind_named(kind).suffixes)
    if not file:
        check_apart(output, paths.places)
    names = _name_outputs(paths, output, kind) if paths.many else [PurePath(output.name)]
    if not paths.many:
        check_no_input(paths, output)
    check_free(output, overwrite=overwrite, file=file)
    return names


def _name_outputs(paths: JobPaths, output: Path, kind: str) -> list[PurePath]:
    """Return the path of each source's output within a folder: its name with the suffix of the output's kind."""
    taken: dict[PurePath, InputFile] = {}
    suffix = next(iter(kinds.kind_named(kind).suffixes), "")
    known = {JSON, *(each for name in kinds.known_kinds() for each in kinds.kind_named(name).suffixes)}
    for source in paths.sources:
        name = kinds.unpacked_name(source.name)
        is_kind = name.suffix.lower() in {*known, *kinds.kind_named(source.kind).suffixes}
        name = name.with_suffix(suffix) if is_kind else name.with_name(name.name + suffix)
        if name in taken:
            raise InputError(f"{source} and {taken[name]}: both would become {output / name}; tag them one by one")
        taken[name] = source
    for name, source in taken.items():
        if other := next((parent for parent in name.parents if parent in taken or parent.name == MANIFEST), None):
            raise InputError(f"{source}: would lie in {output / other}, which is a file there; tag it by itself")
    return list(taken)


@contextmanager
def named_draft(target: Path, draft: Path, work: Path, kind: str) -> Iterator[Path]:
    """Provide the path to write an output to: its draft, or its own name for an annotation format, which needs it."""
    if kinds.keeps_rows(kind):
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


def describe_counts(entities: Counter[str], noun: str = "") -> str:
    """Return numbers of entities in words, the most frequent types first: `3 entities (person 2, port 1)`."""
    types = ", ".join(f"{name} {count:,}" for name, count in entities.most_common())
    return f"{entities.total():,}{noun and f' {noun}'}{f' ({types})' if types else ''}"


class FilePart(NamedTuple):
    """Rows that are tagged and stored together: number and name of the file, path of their entities, their digest."""

    file: int
    name: str
    mark: Path
    rows: Sequence[Document]
    digest: str


_values = attrgetter(*SPAN_COLUMNS)
"""Returns what a part has of a span: all but its text."""


class TaggedParts:
    """An input file with its parts in a folder; iterating yields its tagged rows, read again each time.

    Standard input or a pipe is copied into the folder first. The entities' offsets are in units of `offsets`.
    """

    def __init__(self, source: InputFile, folder: Path, offsets: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._source, self._folder, self._offsets = source, folder, offsets
        self.name = str(source)
        self.count = 0
        self.rows = 0
        self.entities = Counter[str]()
        self.repairs = Repairs()
        self.characters = 0

    def parts(self, file: int) -> Iterator[FilePart]:
        """Yield the parts of the `file`-th file in the form that workers get, and count them."""
        self._source = self._source.copy_to(self._folder)
        for part in self._parts(file, self.repairs):
            yield part._replace(rows=[replace(row, fields={}) for row in part.rows])
            self.count = self.count + 1
            self.rows = self.rows + len(part.rows)
            self.characters += sum(len(row.text) for row in part.rows)

    def __iter__(self) -> Iterator[Document]:
        number = 0
        for number, part in enumerate(self._parts(0, Repairs()), 1):  # noqa: B007
            for row, entities in zip(part.rows, _tag_once(part, self._refuse_change).result, strict=True):
                bare = [Span(**dict(zip(SPAN_COLUMNS, entity, strict=True))) for entity in entities]
                spans = [replace(span, text=row.text[span.start : span.end]) for span in bare]
                yield replace(row, spans=tuple(counted_spans(row.text, spans, self._offsets)))
        if number != self.count:
            self._refuse_change()

    def open_text(self) -> AbstractContextManager[IO[bytes] | None]:
        """Provide the file's bytes, if they are lines of text."""
        return self._source.open_bytes() if self._source.kind == kinds.TEXT else nullcontext()

    def _parts(self, file: int, repairs: Repairs) -> Iterator[FilePart]:
        """Yield the file's rows in parts that depend only on the input."""
        documents = self._source.documents(repairs)
        for number, rows in enumerate(in_lists(documents, _PART, _MOST_ROWS)):
            digest = hashlib.sha256()
            for row in rows:
                digest.update(f"{len(row.text)} {row.text} {row.words or ''}\n".encode("utf-8", "surrogatepass"))
            yield FilePart(file, self.name, self._folder / f"{number:06d}.json", rows, digest.hexdigest())

    def _refuse_change(self) -> NoReturn:
        raise InputError(f"{self._source}: changed while it was read; rerun the command")


Amend: TypeAlias = Callable[[Sequence[Span], str], Sequence[Span]]
"""Returns the entities to store, given those that the tagger found, and their text."""


def tag_all(
    sources: Sequence[InputFile],
    work: Path,
    tagger: JobTagger,
    executor: Executor,
    offsets: str = OFFSETS[0],
    amend: Amend | None = None,
) -> list[TaggedParts]:
    """Return files whose parts are in `work`; tag the missing ones, under a bar over all bytes if known.

    The executor's workers write the parts, so no finished part is lost. The entities' offsets are in units of
    `offsets`.
    """
    tagged = [TaggedParts(source, work / "parts" / f"{n:06d}", offsets) for n, source in enumerate(sources)]
    sizes = [source.size for source in sources]
    needs = Resources(gpus=float("cuda" in tagger.head.name))
    with progress("rows", None if None in sizes else sum(size or 0 for size in sizes), of_bytes=True) as bar:
        total = bar.items
        parts = chain.from_iterable(file.parts(number) for number, file in enumerate(tagged))
        tag = partial(_tag_part, tagger=tagger, bar=bar, amend=amend)
        for done in executor.map_ordered(tag, parts, needs):
            tagged[done.file].entities.update(done.entities)
            total += done.rows
            if total > bar.items:  # tagged by an earlier run, or in another process, whose bar is not visible
                bar.advance(total - bar.items, size=done.size, before=done.before)
    tell_not_found(
        tagger, sum(file.characters for file in tagged), set[str]().union(*(file.entities for file in tagged))
    )
    return tagged


class _TaggedPart(NamedTuple):
    """A tagged part; `before` is True if an earlier run tagged it."""

    file: int
    rows: int
    size: int
    entities: Counter[str]
    before: bool


def _tag_part(part: FilePart, tagger: JobTagger, bar: Progress, amend: Amend | None) -> _TaggedPart:
    def find() -> Iterable[Sequence[Span]]:
        spans = tag_rows(tagger, part.name, part.rows, bar)
        # Spans come first: `map` asks them for their end, where the bar counts the last row
        return map(amend, spans, [row.text for row in part.rows]) if amend else spans

    tagged = _tag_once(part, find)
    type_ = [*SPAN_COLUMNS].index("type")
    entities = Counter(entity[type_] for row in tagged.result for entity in row)
    return _TaggedPart(part.file, len(part.rows), sum(row.size for row in part.rows), entities, tagged.before)


def _tag_once(part: FilePart, find: Callable[[], Iterable[Iterable[Span]]]) -> Made[list[list[Any]]]:
    """Return the entities of each row of a part; find and keep them unless an earlier run did."""
    return artifact(
        part.mark,
        part.digest,
        [],
        lambda: [list(map(_values, spans)) for spans in find()],
        list[list[Any]],
    )


def tag_rows(tagger: JobTagger, name: str, rows: Sequence[Document], bar: Progress) -> Iterator[list[Span]]:
    """Yield the entities of each row; an error names its row of the file `name`, and comes after the rows before it."""
    done = 0
    tell_foreign((row.text for row in rows), tagger)
    try:
        for spans in tagger.tag_many(map(_content, rows)):
            yield spans
            bar.advance(size=rows[done].size)
            done += 1
    except InputError:
        for row in rows[done:]:
            with at(name, row.line):
                yield from tagger.tag_many([_content(row)])


def _content(row: Document) -> str | Example:
    return row.sentence or row.text
