"""The story of `nerbert tag`: find what is to be read and where it goes, load the tagger, tag, write.

To standard output rows go as they come. A file is made in parts that outlive a kill: the same command goes on with the
first part that isn't done, and the file is the same to the byte, since parts are cut by the input alone and each is
tagged by itself. The price: the last sentences of a part go through the model in a smaller batch than they could.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path, PurePath
from stat import S_ISREG
from typing import TYPE_CHECKING, TypeAlias

from nerbert.artifacts import (
    check_free,
    check_free_file,
    publish_job,
    standard_output,
    write_json,
)
from nerbert.errors import InputError, SettingsError, at
from nerbert.formats.rows import TextRow
from nerbert.records import Span
from nerbert.sources.files import writable
from nerbert.tagger.jobs.inputs import Block, parts, read_blocks
from nerbert.tagger.jobs.outputs import Kept, LineOutput, Lines, Output, RowCounts, conll_lines, json_lines, text_lines
from nerbert.tagger.jobs.paths import (
    CONLL,
    HTML,
    JSONL,
    MANIFEST,
    PARQUET,
    InputFile,
    JobPaths,
    check_no_input,
    place_outputs,
)
from nerbert.tagger.jobs.plan import TagJob, fingerprint, load_tagger
from nerbert.tagger.jobs.preview import on_terminal
from nerbert.terminal import Progress, tell, throughput

if TYPE_CHECKING:
    from nerbert.tagger.tagger import Tagger


PageFactory: TypeAlias = Callable[[str, str, Sequence[str]], Output]
"""Makes the output of one HTML page: title, tagger's name, the tagger's types → output."""


def tag_files(job: TagJob, page: PageFactory | None = None) -> None:
    """Tag files, folders or standard input, and write the rows with their entities to standard output or to files.

    `page` makes HTML pages (`nerbert.render.tags_page.PageOutput`); without it, HTML is refused.
    """
    found, kind = job.find()
    if kind == HTML and page is None:
        raise SettingsError("--to html: no page writer was given; pass page=nerbert.render.tags_page.PageOutput")
    if job.output is None:
        _to_standard_output(_Run(job, kind, load_tagger(job), page), found)
    elif found.many:
        names = place_outputs(found, job.output, kind)
        check_free(job.output, overwrite=job.overwrite)
        _to_folder(_Run(job, kind, load_tagger(job), page), found, names, job.output)
    else:
        check_no_input(found, job.output)
        check_free_file(job.output, overwrite=job.overwrite)
        _to_file(_Run(job, kind, load_tagger(job), page), found, job.output)
    if found.passed_over:
        tell(f"{len(found.passed_over):,} files were passed over, say {found.passed_over[0]}")


@dataclass(frozen=True, slots=True)
class _Run:
    """A job whose tagger is loaded."""

    job: TagJob
    kind: str
    tagger: "Tagger"
    page: PageFactory | None

    def lines(self, *, terminal: bool = False) -> Lines:
        """Return the format, for those that grow line by line."""
        if self.kind == JSONL:
            return json_lines(utf16=self.job.utf16)
        if self.kind == CONLL:
            return conll_lines(self.tagger, terminal=terminal)
        return text_lines(terminal=terminal)

    def output(self, source: InputFile) -> Output:
        """Return the output of one file."""
        if self.kind == PARQUET:
            from nerbert.tagger.jobs.columns import ParquetOutput

            return ParquetOutput(utf16=self.job.utf16)
        if self.page and self.kind == HTML:
            return self.page(source.name.name, self.job.tagger, self.tagger.types)
        return LineOutput(self.lines())


def _to_standard_output(run: _Run, found: JobPaths) -> None:
    """Write rows as they come."""
    lines = run.lines(terminal=on_terminal())
    with standard_output() as stream, _progress(found.sources) as bar:
        for source in found.sources:
            for block in read_blocks(source, run.job.reading):
                stream.writelines(lines(block, _watched(_tagged(run.tagger, block), block, bar)))
                stream.flush()


def _to_file(run: _Run, found: JobPaths, target: Path) -> None:
    """Write one file, in parts until it is whole."""
    made = fingerprint(run.job, run.tagger, found, run.kind)
    job = publish_job(target, made, overwrite=run.job.overwrite, file=True)
    with job as (draft, work), _bar(found.sources) as bar:
        tally = _make(run, found.sources[0], Kept(work / "parts"), draft, bar)
    tell(f"{target}: {tally.summary()}")


def _to_folder(run: _Run, found: JobPaths, names: Sequence[PurePath], target: Path) -> None:
    """Write a file for each source, all in parts until the folder is whole."""
    made = fingerprint(run.job, run.tagger, found, run.kind)
    tallies: dict[str, RowCounts] = {}
    with publish_job(target, made, overwrite=run.job.overwrite) as (folder, work), _bar(found.sources) as bar:
        for number, (source, name) in enumerate(zip(found.sources, names, strict=True)):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            tallies[writable(name)] = _make(run, source, Kept(work / "parts" / f"{number:06d}"), path, bar)
        files = [{"file": name, "rows": each.rows, "entities": each.entities} for name, each in tallies.items()]
        write_json(folder / MANIFEST, {**made, "files": files})
    whole = RowCounts()
    for each in tallies.values():
        whole.add(each)
    tell(f"{target}: {len(tallies):,} files, {whole.summary()}")


def _make(run: _Run, source: InputFile, kept: Kept, target: Path, bar: Progress) -> RowCounts:
    """Make one file out of the parts that are done and those that are not."""
    output, whole, count = run.output(source), RowCounts(), 0
    try:
        for block in parts(source, run.job.reading):
            done = kept.find(count, block)
            if done is None:
                found = list(_watched(_tagged(run.tagger, block), block, bar))
                done = kept.write(count, block, found, output)
            else:
                bar.advance(done.rows, size=block.size, before=True)
            with at(block.name, block.rows[0].number if block.rows else None):
                output.check(kept.path(count))
            whole.add(done)
            count += 1
    except InputError as error:
        if count:
            error.args = (f"{error}. What was done before it is kept: mend it and give the same command again",)
        raise
    with at(str(source)):
        output.whole([kept.path(number) for number in range(count)], target, whole.entities)
    return whole


def _watched(found: Iterable[list[Span]], block: Block, bar: Progress) -> Iterator[list[Span]]:
    """Yield the entities of each row, and move the bar by the row's share of the block."""
    rows = max(1, len(block.rows))
    for done, spans in enumerate(found):
        yield spans
        bar.advance(size=block.size * (done + 1) // rows - block.size * done // rows)


def _tagged(tagger: "Tagger", block: Block) -> Iterator[list[Span]]:
    """Yield the entities of each row; name a row that can't be tagged, after those before it are given."""
    done = 0
    try:
        for spans in _together(tagger, block.rows):
            yield spans
            done += 1
    except InputError:
        for row in block.rows[done:]:
            with at(block.name, row.number):
                yield from _together(tagger, [row])


def _together(tagger: "Tagger", rows: Sequence[TextRow]) -> Iterator[list[Span]]:
    """Yield the entities of each row, those with words given among those without."""
    texts = tagger.tag_many(row.text for row in rows if row.example is None)
    sentences = tagger.tag_words(row.example for row in rows if row.example is not None)
    for row in rows:
        yield next(texts if row.example is None else sentences)


def _progress(sources: Sequence[InputFile]) -> AbstractContextManager[Progress]:
    """Return a bar if standard output is a file; it would disturb a person or a program that reads."""
    try:
        on_file = S_ISREG(os.fstat(sys.stdout.fileno()).st_mode)
    except (OSError, ValueError):
        on_file = False
    return _bar(sources) if on_file else nullcontext(Progress())


def _bar(sources: Iterable[InputFile]) -> AbstractContextManager[Progress]:
    sizes = [source.size for source in sources]
    return throughput("rows", None if None in sizes else sum(size or 0 for size in sizes))
