"""The steps of `nerbert tag`: find inputs and outputs, load the tagger, tag, write.

A file is tagged in parts, cut by the input alone. Cost: a part's last batch is smaller.
"""

import dataclasses
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePath
from typing import Any, Protocol

from nerbert import __version__
from nerbert.artifacts import check_free, check_free_file, publish_job, write_json
from nerbert.config import check_choice
from nerbert.errors import InputError, SettingsError, at
from nerbert.executors import HERE, Executor, LocalExecutor, Resources
from nerbert.formats.documents import repairs_line
from nerbert.formats.entity_labels import parse_labels
from nerbert.formats.format import TextWriter, WritingRows, abilities
from nerbert.formats.inputs import InputFile, JobPaths, check_no_input, check_source, find_sources, given_text
from nerbert.formats.jsonl import tagged_document
from nerbert.formats.kinds import (
    HTML,
    JSONL,
    TEXT,
    can,
    check_usable,
    is_known,
    keeps_rows,
    kind_named,
    known_kinds,
    suffixes_of,
)
from nerbert.formats.rows import ERRORS
from nerbert.model.folder import ModelFolder
from nerbert.model.heads import NEEDS_LABELS
from nerbert.records import Document, EntityLabel, Example, Repair, Repairs, Span
from nerbert.sources.files import writable
from nerbert.tagger.jobs.files import (
    MANIFEST,
    FilePart,
    TaggedParts,
    check_apart,
    named_draft,
    place_outputs,
    tag_parts,
    target_kind,
)
from nerbert.tagger.spans import OFFSETS, Spans
from nerbert.tagger.tagger import Tagger
from nerbert.tagger.thresholds import answering_of, check_thresholds, parse_thresholds
from nerbert.terminal import Progress, progress, standard_output, tell

_FORMAT = 4
"""Raise it when the format of parts changes."""
SIGNATURE = "tagger"
"""The field with a tagger's fingerprint."""


class PageWriter(Protocol):
    """Writes tagged rows as one HTML page."""

    def __call__(
        self, target: Path, tagged: Iterable[Document], /, *, title: str, tagger: str, types: Sequence[str]
    ) -> None:
        """Write the page; `types` are the tagger's."""


class Answerer(Protocol):
    """What computes entities."""

    @property
    def name(self) -> str:
        """Return the back end, and all else that entities depend on besides the weights."""


class JobTagger(Protocol):
    """What a job asks of a tagger, wherever that computes; `Tagger` is one."""

    @property
    def head(self) -> Answerer:
        """Return what computes entities."""

    @property
    def fingerprint(self) -> str:
        """Return the fingerprint of its weights."""

    @property
    def types(self) -> list[str]:
        """Return the types that it finds, sorted."""

    @property
    def labels(self) -> tuple[EntityLabel, ...]:
        """Return the labels to find, if given."""

    @property
    def sentences(self) -> Callable[[str], Iterable[tuple[int, Example]]]:
        """Return what cuts a text into sentences of words."""

    def tag_many(self, texts: Iterable[str | Example], /) -> Iterator[Spans]:
        """Yield the entities of each text, in order; raise InputError for one that can't be tagged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TagJob:
    """Inputs, tagger and output of a job, as on the command line."""

    tagger: str
    inputs: tuple[str, ...] = ()
    text: str | None = None
    """A text to tag instead of inputs."""
    output: Path | None = None
    from_: str = ""
    to: str = ""
    json: bool = False
    field: str = TEXT
    errors: str = ERRORS[0]
    offsets: str = OFFSETS[0]
    sign: bool = False
    """Whether each row has the tagger's fingerprint, in the field `tagger`."""
    labels: str = ""
    """Labels to find, as `parse_labels` reads them; "": what the tagger was trained on."""
    min_confidence: str = ""
    overwrite: bool = False
    loading: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Other parameters of `Tagger.load`: back end, precision, device, threads, decoding, on_too_long."""

    def find(self) -> tuple[JobPaths, str]:
        """Return the files to tag and the kind of the output; raise SettingsError for options that clash."""
        check_source("--from", self.from_)
        if not is_known(self.to):
            check_choice("--to", self.to, known_kinds())
        check_choice("--errors", self.errors, ERRORS)
        check_choice("--offsets", self.offsets, OFFSETS)
        if self.json and self.to not in ("", JSONL):
            raise SettingsError(f"--json is --to jsonl, so --to {self.to} contradicts it; leave one out")
        if self.text is not None and self.inputs:
            raise SettingsError(f"--text: is tagged instead of files, such as {self.inputs[0]!r:.80}; leave one out")
        paths = find_sources(self.inputs, self.from_) if self.text is None else given_text(self.text, self.from_)
        kind = JSONL if self.json else self.to or self._usual_kind(paths)
        check_usable(kind)
        if self.output is None and not can(kind, "writer"):
            what = "file" if suffixes_of(kind) else "folder"
            raise SettingsError(f"--to {kind}: is made as a whole, so name a {what} for it with -o")
        if self.offsets != OFFSETS[0] and not can(kind, "for_programs"):
            why = "has no offsets for programs" if keeps_rows(kind) else "counts as its own readers do"
            raise SettingsError(f"--offsets {self.offsets}: {kind} {why}; choose jsonl or parquet")
        if self.loading.get("decoding") == "nested" and not abilities(kind_named(kind)).nested:
            nested = ", ".join(each for each in known_kinds() if abilities(kind_named(each)).nested)
            raise SettingsError(f"--decoding nested: {kind} can't hold entities inside others; choose one of {nested}")
        if self.sign and not can(kind, "for_programs"):
            raise SettingsError(f"--fingerprint: {kind} has no fields for all rows; choose jsonl or parquet")
        return paths, kind

    def _usual_kind(self, paths: JobPaths) -> str:
        if self.output is None:
            return TEXT
        return JSONL if paths.many else target_kind(self.output)

    def load(self) -> Tagger:
        """Load the tagger as the job wants it; its offsets are characters, since outputs mark the text with them."""
        labels = parse_labels(self.labels) if self.labels else None
        least = parse_thresholds(self.min_confidence)
        loaded = Tagger.load(self.tagger, thresholds=least, **self.loading)
        tagger = loaded.for_labels(labels)
        if not tagger.types:
            raise InputError(f"{self.tagger}: {NEEDS_LABELS}")
        if not loaded.types:  # else they were looked at
            check_thresholds(least, (each.name for each in tagger.labels))
        if note := "; ".join(self._unasked(tagger)):
            tell(f"{self.tagger}: {note}")
        return tagger

    def _unasked(self, tagger: Tagger) -> Iterator[str]:
        """Yield what the tagger's folder decides by itself: int8 before its own weights, thresholds."""
        as_usual = all(self.loading.get(name, "auto") == "auto" for name in ("backend", "precision"))
        folder = Path(tagger.origin.folder if tagger.origin else "")
        if as_usual and "int8" in tagger.head.name.split() and ModelFolder(str(folder)).backend == "torch":
            yield "the exported int8 model is used (--precision fp32 for a more exact one)"
        kept = {} if self.min_confidence else tagger.card.get("thresholds")
        if kept and (own := answering_of(tagger, kept, tagger.types)).thresholds:
            yield f"entities below its own {own.bounds} are left out (--min-confidence sets others)"

    def fingerprint(self, tagger: JobTagger, paths: JobPaths) -> dict[str, Any]:
        """Return all that entities depend on but the inputs' content, which each part covers by itself."""
        loading = {name: self.loading.get(name) for name in ("decoding", "on_too_long", "head")}
        return {
            "format": _FORMAT, "made_by": f"nerbert {__version__}",
            "tagger": {"sha256": tagger.fingerprint, "backend": tagger.head.name, **loading,
                       "min_confidence": writable(self.min_confidence)},
            **({"labels": [each.text for each in tagger.labels]} if tagger.labels else {}),
            "field": writable(self.field),
            "inputs": [{"name": writable(source.name), "kind": source.kind} for source in paths.sources],
        }  # fmt: skip


def tag_files(
    job: TagJob, page: PageWriter | None = None, executor: Executor | None = None,
    load: Callable[[TagJob], JobTagger] = TagJob.load,
) -> None:  # fmt: skip
    """Tag files, folders or standard input, and write the rows with their entities to standard output or to files.

    `page` writes HTML pages (`nerbert.render.tags_page.write_page`); without it, HTML is refused. Parts of files are
    tagged by the `executor`'s workers, each of which loads the tagger once; without one in this process. `load` makes
    the tagger when the rest of the job is known to be right.
    """
    executor = executor or HERE
    paths, kind = job.find()
    if job.output is None and (executor.workers > 1 or not isinstance(executor, LocalExecutor)):
        raise SettingsError(f"executor {type(executor).__name__}, workers = {executor.workers}: rows go to standard "
                            "output from one process; name a file or folder with -o")  # fmt: skip
    if kind == HTML and page is None:
        raise SettingsError("--to html: no page writer was given; pass page=nerbert.render.tags_page.write_page")
    if job.output is None:
        _Run(job, paths, kind, load(job), page, executor).to_standard_output()
    elif paths.many:
        names = place_outputs(paths, job.output, kind)
        check_free(job.output, overwrite=job.overwrite)
        _Run(job, paths, kind, load(job), page, executor).to_folder(job.output, names)
    else:
        check_no_input(paths, job.output)
        if not suffixes_of(kind):
            check_apart(paths, job.output)
        (check_free_file if suffixes_of(kind) else check_free)(job.output, overwrite=job.overwrite)
        _Run(job, paths, kind, load(job), page, executor).to_file(job.output)
    if paths.passed_over:
        tell(f"files skipped: {len(paths.passed_over):,}, such as {paths.passed_over[0]}; name them, or give --from")


@dataclass(frozen=True, slots=True)
class _Run:
    """A job whose tagger is loaded."""

    job: TagJob
    paths: JobPaths
    kind: str
    tagger: JobTagger
    page: PageWriter | None
    executor: Executor

    def to_standard_output(self) -> None:
        """Write each row at once."""
        write, left_out = self._text_writer(terminal=on_terminal()), Repairs()
        with standard_output() as stream:
            for source in self.paths.sources:
                for rows in source.at_hand(self.job.field, self.job.errors, left_out):
                    for row, spans in zip(rows, tag_rows(self.tagger, str(source), rows, Progress()), strict=True):
                        with at(str(source), row.line):
                            stream.write(write(replace(row, spans=tuple(spans))))
                    stream.flush()
        _tell_rejected(left_out)

    def to_file(self, target: Path) -> None:
        """Write one file, when all its parts are tagged."""
        made = self.job.fingerprint(self.tagger, self.paths)
        job = publish_job(target, made, overwrite=self.job.overwrite, file=bool(suffixes_of(self.kind)))
        with job as (draft, work), named_draft(target, draft, work, self.kind) as path:
            done = self._make(work, [path])
        tell(f"{target}: {_summary(done)}")

    def to_folder(self, target: Path, names: Sequence[PurePath]) -> None:
        """Write a file for each source into a folder that appears when it is whole."""
        made = self.job.fingerprint(self.tagger, self.paths)
        with publish_job(target, made, overwrite=self.job.overwrite) as (folder, work):
            for name in names:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
            done = self._make(work, [folder / name for name in names])
            files = [{"file": writable(name), "rows": each.rows, "entities": each.entities}
                     for name, each in zip(names, done, strict=True)]  # fmt: skip
            write_json(folder / MANIFEST, {**made, "to": self.kind, "offsets": self.job.offsets, "files": files})
        tell(f"{target}: {len(files):,} files, {_summary(done)}")

    def _make(self, work: Path, targets: Sequence[Path]) -> list[TaggedParts]:
        """Tag the missing parts of all files, then write all rows with their entities."""
        writers = list(map(self._writer, self.paths.sources))  # one that can't write fails before all is tagged
        how = partial(TaggedParts, field=self.job.field, errors=self.job.errors, offsets=self.job.offsets)
        files = tag_all(self.paths.sources, work, how, self.tagger, self.executor)
        for write, target, parts in zip(writers, targets, files, strict=True):
            write(target, parts)
            _tell_rejected(parts.repairs)
        return files

    @property
    def _signature(self) -> dict[str, str]:
        """Return the field that signs each row, if rows are signed."""
        return {SIGNATURE: self.tagger.fingerprint} if self.job.sign else {}

    def _writer(self, source: InputFile) -> Callable[[Path, TaggedParts], None]:
        """Return what writes all rows of a file."""
        kind = kind_named(self.kind)
        if hasattr(kind, "write_rows"):
            like = Path(source.place) if source.kind == self.kind else None
            return lambda path, rows: kind.write_rows(path, rows, rows.name, self._signature, like)
        if self.kind == HTML and self.page:
            return partial(self.page, title=source.name.name, tagger=self.job.tagger, types=self.tagger.types)
        if hasattr(kind, "writer"):
            return partial(_write_texts, self._text_writer())
        field = self.job.field
        return lambda path, rows: kind.write(path, (tagged_document(row, field) for row in rows))

    def _text_writer(self, *, terminal: bool = False) -> TextWriter:
        """Return what writes tagged texts one by one."""
        write: TextWriter = kind_named(self.kind).writer(
            WritingRows(self.tagger.sentences, self.tagger.types, terminal)
        )
        signature = self._signature
        if not signature:
            return write
        return lambda row: write(replace(row, fields={**row.fields, **signature}))


def _write_texts(write: TextWriter, target: Path, tagged: TaggedParts) -> None:
    with target.open("wb") as stream:
        for row in tagged:
            with at(tagged.name, row.line):
                stream.write(write(row))


def _tell_rejected(repairs: Repairs) -> None:
    if count := repairs[Repair.REJECTED]:
        tell(repairs_line(Repairs({Repair.REJECTED: count})))


def _summary(done: Sequence[TaggedParts]) -> str:
    """Return the counts of tagged files in words, the most frequent types first."""
    entities = sum((each.entities for each in done), Counter[str]())
    types = ", ".join(f"{name} {each:,}" for name, each in entities.most_common())
    rows = sum(each.rows for each in done)
    return f"{rows:,} rows, {entities.total():,} entities{f' ({types})' if types else ''}"


def tag_all(
    sources: Sequence[InputFile], work: Path, how: Callable[[InputFile, Path], TaggedParts], tagger: JobTagger,
    executor: Executor,
) -> list[TaggedParts]:  # fmt: skip
    """Return files whose parts are in `work`; tag the missing ones, under a bar over all bytes if known."""
    files = [how(source, work / "parts" / f"{number:06d}") for number, source in enumerate(sources)]
    sizes = [source.size for source in sources]
    needs = Resources(gpus=float("cuda" in tagger.head.name))
    with progress("rows", None if None in sizes else sum(size or 0 for size in sizes), of_bytes=True) as bar:
        tag_parts(files, partial(_found_in, tagger=tagger, bar=bar), bar, executor, needs)
    return files


def _found_in(part: FilePart, tagger: JobTagger, bar: Progress) -> list[list[Span]]:
    return list(tag_rows(tagger, part.name, part.rows, bar))


def tag_rows(tagger: JobTagger, name: str, rows: Sequence[Document], bar: Progress) -> Iterator[list[Span]]:
    """Yield the entities of each row; an error names its row of the file `name`, after those before it are yielded."""
    done = 0
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


def on_terminal() -> bool:
    """Return whether standard output is a terminal."""
    return sys.stdout is not None and sys.stdout.isatty()
