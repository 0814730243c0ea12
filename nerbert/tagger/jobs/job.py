"""The steps of `nerbert tag`: find inputs and outputs, load the tagger, tag, write.

A file is tagged in parts that depend only on the input. Cost: a part's last batch is smaller.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePath
from typing import Any, TypeAlias

from nerbert.about import __version__
from nerbert.artifacts import publish_job, write_json
from nerbert.config import check_choice
from nerbert.entity_labels import entity_labels, parse_labels
from nerbert.errors import InputError, SettingsError, at
from nerbert.executors import HERE, Executor, LocalExecutor
from nerbert.formats.documents import repairs_line
from nerbert.formats.format import TextWriter, WritingRows, abilities, check_needs
from nerbert.formats.jsonl import tagged_document
from nerbert.formats.lines import ERRORS
from nerbert.model.folder import ModelFolder
from nerbert.model.heads import NEEDS_LABELS
from nerbert.model.loading import DEFAULTS, Loading
from nerbert.model.onnx import read_exported
from nerbert.records import SPAN_COLUMNS, EntityLabel, Repair, Repairs
from nerbert.sources.files import writable
from nerbert.tagger.foreign import tell_not_found, with_notes
from nerbert.tagger.jobs import files
from nerbert.tagger.self_check_answers import JobTagger
from nerbert.tagger.spans import OFFSETS
from nerbert.tagger.tagger import Tagger
from nerbert.tagger.thresholds import answering_of, check_thresholds, parse_thresholds
from nerbert.terminal import Progress, standard_output, tell
from nerbert.texts import kinds
from nerbert.texts.inputs import InputFile, JobPaths, find_sources

_FORMAT = 4
"""Raise it when the format of parts changes."""


PageWriter: TypeAlias = Callable[..., None]
"""Writes an HTML page: path, tagged rows, `title`, `tagger`, `types`, as `nerbert.render.tags_page.write_page` does."""


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
    field: str = kinds.TEXT
    errors: str = ERRORS[0]
    offsets: str = OFFSETS[0]
    labels: str | Iterable[str | EntityLabel] | None = ""
    """Labels to find, also in the syntax of `parse_labels`; "" or None: the types that the tagger was trained on."""
    min_confidence: str | float | Mapping[str, float] | None = ""
    """Thresholds, also in the syntax of `parse_thresholds`; "" or None: the tagger's own."""
    overwrite: bool = False
    loading: Loading = DEFAULTS

    def find(self) -> tuple[JobPaths, str]:
        """Return the files to tag and the kind of the output; raise SettingsError for options that clash."""
        if not kinds.is_known(self.to):
            check_choice("--to", self.to, kinds.known_kinds())
        check_choice("--offsets", self.offsets, OFFSETS)
        if self.json and self.to not in ("", kinds.JSONL):
            raise SettingsError(f"--json is --to jsonl, so --to {self.to} contradicts it; leave one out")
        if self.text is not None and self.inputs:
            raise SettingsError(f"--text: is tagged instead of files, such as {self.inputs[0]!r:.80}; leave one out")
        paths = find_sources(self.inputs, self.from_, self.text, field=self.field, errors=self.errors)
        kind = kinds.JSONL if self.json else self.to
        if not kind:
            many = kinds.JSONL if paths.many else ""
            kind = kinds.TEXT if self.output is None else many or files.target_kind(self.output)
        check_needs(kinds.kind_named(kind))
        self._check_output(kind)
        return paths, kind

    def _check_output(self, kind: str) -> None:
        """Raise SettingsError for options that a kind of output can't keep."""
        if self.output is None and not kinds.can(kind, "writer"):
            noun = "file" if kinds.kind_named(kind).suffixes else "folder"
            raise SettingsError(f"--to {kind}: is made as a whole, so name a {noun} for it with -o")
        if self.offsets != OFFSETS[0] and not kinds.can(kind, "for_programs"):
            why = "has no offsets for programs" if kinds.keeps_rows(kind) else "counts as its own readers do"
            raise SettingsError(f"--offsets {self.offsets}: {kind} {why}; choose jsonl or parquet")
        if self.loading.decoding == "nested" and not abilities(kinds.kind_named(kind)).nested:
            nested = ", ".join(name for name in kinds.known_kinds() if abilities(kinds.kind_named(name)).nested)
            raise SettingsError(f"--decoding nested: {kind} can't hold entities inside others; choose one of {nested}")

    @property
    def asked(self) -> Sequence[EntityLabel]:
        """Return the labels to find; none: the types that the tagger was trained on."""
        if isinstance(self.labels, str):
            return parse_labels(self.labels) if self.labels else ()
        return () if self.labels is None else entity_labels(self.labels)

    def load(self, types: Sequence[str] = ()) -> Tagger:
        """Load the tagger with the job's options; its offsets are characters, since outputs mark the text with them.

        If the job names no labels, it finds those of `types` that it knows, by default what it was trained on.
        """
        labels = self.asked
        least = parse_thresholds(self.min_confidence)
        if Path(self.tagger).is_file():
            raise InputError(f"{self.tagger}: is a file, but is read as the tagger, a folder or a name")
        loaded = Tagger.load(self.tagger, thresholds=least, **vars(self.loading))
        known = [name for name in types if name in (loaded.types or types)]
        if types and not (labels or known):
            raise InputError(
                f"{self.tagger}: knows none of the types {', '.join(types):.200}, only {', '.join(loaded.types):.200}"
            )
        tagger = loaded.for_labels(labels or known)
        if not tagger.types:
            raise InputError(f"{self.tagger}: {NEEDS_LABELS}")
        if not loaded.types:  # otherwise `load` checked them
            check_thresholds(least, (label.name for label in tagger.labels))
        if note := "; ".join(self._list_defaults(tagger)):
            tell(f"{self.tagger}: {note}")
        return tagger

    def _list_defaults(self, tagger: Tagger) -> Iterator[str]:
        """Yield notes on defaults from the tagger's folder: int8 instead of more exact weights, thresholds."""
        automatic = self.loading.backend == self.loading.precision == "auto"
        folder = tagger.origin.folder if tagger.origin else ""
        exported = read_exported(folder) if automatic and "int8" in tagger.head.name.split() else None
        if exported and not exported.card.constants and ModelFolder(folder).backend == "torch":
            yield "the exported int8 model is used (--precision fp32 for a more exact one)"
        kept = tagger.card.get("thresholds") if self.min_confidence in ("", None) else {}
        if kept and (thresholds := answering_of(tagger.head, tagger.scaling, kept, tagger.types)).thresholds:
            yield f"entities below its own {thresholds.bounds} are left out (--min-confidence sets others)"

    def fingerprint(self, tagger: JobTagger, paths: JobPaths) -> dict[str, Any]:
        """Return all that entities depend on, except the inputs' content, which each part's digest covers."""
        loading = {name: getattr(self.loading, name) for name in ("decoding", "on_too_long", "head")}
        return {
            "format": _FORMAT,
            "fields": [*SPAN_COLUMNS],
            "made_by": f"nerbert {__version__}",
            "tagger": {
                "sha256": tagger.fingerprint,
                "backend": tagger.head.name,
                **loading,
                "min_confidence": writable("" if self.min_confidence is None else self.min_confidence),
            },
            **({"labels": [label.text for label in tagger.labels]} if tagger.labels else {}),
            **paths.facts,
        }


def tag_files(
    job: TagJob,
    page: PageWriter | None = None,
    executor: Executor | None = None,
    load: Callable[[TagJob], JobTagger] = TagJob.load,
) -> None:
    """Tag files, folders or standard input, and write the rows with their entities to standard output or to files.

    `page` writes HTML pages (`nerbert.render.tags_page.write_page`); without it, HTML is refused. Parts of files are
    tagged by the `executor`'s workers, each of which loads the tagger once; without one in this process. `load` loads
    the tagger once the rest of the job has been checked.
    """
    executor = executor or HERE
    paths, kind = job.find()
    if job.output is None and (executor.workers > 1 or not isinstance(executor, LocalExecutor)):
        raise SettingsError(
            f"executor {type(executor).__name__}, workers = {executor.workers}: rows go to standard "
            "output from one process; name a file or folder with -o"
        )
    if kind == kinds.HTML and page is None:
        raise SettingsError("--to html: no page writer was given; pass page=nerbert.render.tags_page.write_page")
    names = [] if job.output is None else files.check_output(paths, job.output, kind, overwrite=job.overwrite)
    run = _Run(job, paths, kind, load(job), page)
    if job.output is None:
        run.to_standard_output()
    else:
        run.to_files(job.output, names, executor)
    paths.tell_skipped()


@dataclass(frozen=True, slots=True)
class _Run:
    """A job whose tagger is loaded."""

    job: TagJob
    paths: JobPaths
    kind: str
    tagger: JobTagger
    page: PageWriter | None

    def to_standard_output(self) -> None:
        """Write each row as soon as it is tagged."""
        write = self._text_writer(terminal=on_terminal())
        left_out = Repairs()
        characters = 0
        types = set[str]()
        with standard_output() as stream:
            for source in self.paths.sources:
                for rows in source.at_hand(left_out):
                    tagged = files.tag_rows(self.tagger, str(source), rows, Progress())
                    for row, spans in zip(rows, tagged, strict=True):
                        with at(str(source), row.line):
                            stream.write(write(replace(row, spans=tuple(spans))))
                        characters += len(row.text)
                        types.update(span.type for span in spans)
                    stream.flush()
        tell_not_found(self.tagger, characters, types)
        _tell_rejected(left_out)

    def to_files(self, target: Path, names: Sequence[PurePath], executor: Executor) -> None:
        """Write one file, or for several inputs one each into a folder; they appear when all is tagged and written."""
        facts = self.job.fingerprint(self.tagger, self.paths)
        many = self.paths.many
        job = self.job
        writers = list(map(self._writer, self.paths.sources))  # a writer that can't write fails before the tagging
        file = not many and bool(kinds.kind_named(self.kind).suffixes)
        with publish_job(target, facts, overwrite=job.overwrite, file=file) as (draft, work):
            done = files.tag_all(self.paths.sources, work, self.tagger, executor, job.offsets)
            for write, name, parts in zip(writers, names, done, strict=True):
                if many:
                    (draft / name).parent.mkdir(parents=True, exist_ok=True)
                    write(draft / name, parts)
                else:
                    with files.named_draft(target, draft, work, self.kind) as path:
                        write(path, parts)
                _tell_rejected(parts.repairs)
            if many:
                rows = [
                    {"file": writable(name), "rows": parts.rows, "entities": parts.entities}
                    for name, parts in zip(names, done, strict=True)
                ]
                write_json(draft / files.MANIFEST, {**facts, "to": self.kind, "offsets": job.offsets, "files": rows})
        entities = sum((parts.entities for parts in done), Counter[str]())
        tell(
            f"{target}: {f'{len(done):,} files, ' if many else ''}{sum(parts.rows for parts in done):,} rows, "
            f"{files.describe_counts(entities, 'entities')}"
        )

    def _writer(self, source: InputFile) -> Callable[[Path, files.TaggedParts], None]:
        """Return the function that writes all rows of a file."""
        kind = kinds.kind_named(self.kind)
        if hasattr(kind, "write_rows"):
            like = Path(source.place) if source.kind == self.kind else None
            return lambda path, rows: kind.write_rows(path, rows, rows.name, like)
        if self.kind == kinds.HTML and self.page:
            return partial(self.page, title=source.name.name, tagger=self.job.tagger, types=self.tagger.types)
        if hasattr(kind, "writer"):
            return partial(_write_texts, self._text_writer())
        return lambda path, rows: kind.write(path, (tagged_document(row, self.job.field) for row in rows))

    def _text_writer(self, *, terminal: bool = False) -> TextWriter:
        """Return the function that writes tagged texts one by one."""
        write: TextWriter = kinds.kind_named(self.kind).writer(
            WritingRows(self.tagger.sentences, self.tagger.types, terminal)
        )
        return (lambda row: write(with_notes(row, self.tagger))) if self.kind == kinds.JSONL else write


def _write_texts(write: TextWriter, target: Path, tagged: files.TaggedParts) -> None:
    with target.open("wb") as stream:
        for row in tagged:
            with at(tagged.name, row.line):
                stream.write(write(row))


def _tell_rejected(repairs: Repairs) -> None:
    if count := repairs[Repair.REJECTED]:
        tell(repairs_line(Repairs({Repair.REJECTED: count})))


def on_terminal() -> bool:
    """Return whether standard output is a terminal."""
    return sys.stdout is not None and sys.stdout.isatty()
