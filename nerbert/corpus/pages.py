"""Pass 1: convert dumps to untyped sentences with their links, and a row for every page.

Finished parts are kept if the build is killed. Limitation: a changed input is noticed only by its size and time.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Any

import pyarrow as pa

from nerbert.about import __version__
from nerbert.artifacts import Made, artifact
from nerbert.corpus.dump.dump import Dump
from nerbert.corpus.dump.parts import MOST_PARTS, DumpPart, read_pages
from nerbert.corpus.dump.sites import Site
from nerbert.corpus.page_rows import PageReport, PageRows
from nerbert.corpus.settings import PASS_1, CorpusSettings
from nerbert.corpus.shards import FORMAT, TITLES, UNTYPED, open_writer
from nerbert.corpus.wikitext.scan import SCANNER
from nerbert.errors import InputError
from nerbert.executors import Executor
from nerbert.sentences import RuleSplitter
from nerbert.terminal import Progress
from nerbert.words import splitter_named

_NAME = re.compile(r"part-([0-9]{5})\.\w+")
_PLACES = 24
"""Low bits of a page's number for its index within its part; the higher bits are the part's number."""


@dataclass(frozen=True, slots=True)
class _PartTask:
    number: int
    dump: int
    part: DumpPart
    site: Site
    settings: CorpusSettings
    plan: str
    """Digest of everything that all parts of the dump depend on."""

    def fingerprint(self) -> str:
        """Return the digest of everything that the part's files depend on."""
        return _digest([self.plan, str(self.site), self.part.root.hex(), self.part.number, self.part.key()])


@dataclass(frozen=True, slots=True)
class _PartReport:
    """The content of a part's file in `done/`: its counts, and the SHA-256 of its bytes of the input."""

    pages: PageReport
    sha256: str


def fingerprint(dumps: Sequence[Dump], settings: CorpusSettings) -> dict[str, Any]:
    """Return everything that pass 1's files depend on; a pipe's content is hashed by part instead."""
    return {
        "nerbert": __version__,
        "pyarrow": pa.__version__,
        "format": FORMAT,
        "titles": TITLES.names,
        "scanner": SCANNER,
        "sentence_splitter": RuleSplitter(dumps[0].site.language).name,
        "word_splitter": splitter_named(settings.word_splitter),
        "settings": {name: value for name, value in settings.to_dict().items() if name in PASS_1},
        "inputs": [dump.identity for dump in dumps],
    }


def write_pages(
    dumps: Sequence[Dump], folder: Path, settings: CorpusSettings, executor: Executor, progress: Progress
) -> PageReport:
    """Read all dumps once, and write `pages/`, `titles/` and `done/` in `folder`; keep finished, unchanged parts."""
    for name in ("pages", "titles", "done"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    report = PageReport()
    digests = [list[str]() for _ in dumps]
    skipped = 0
    for dump, length, made in executor.map_ordered(partial(_write_part, folder=folder), _tasks(dumps, settings)):
        report.add(made.result.pages)
        digests[dump].append(made.result.sha256)
        skipped += made.before
        note = f"{skipped} parts were done already" if skipped else ""
        progress.advance(made.result.pages.fates.total(), note, size=length, before=made.before)
    # All parts are read now, so a change of the input during the build shows
    for source, hashes in zip(dumps, digests, strict=True):
        source.finish(hashes)
    # Parts left by a longer input
    for path in folder.glob("*/part-*"):
        match = _NAME.fullmatch(path.name)
        if match and int(match[1]) >= sum(map(len, digests)):
            path.unlink()
    return report


def _tasks(dumps: Sequence[Dump], settings: CorpusSettings) -> Iterator[_PartTask]:
    """Yield the parts of all dumps; those of a dump whose content may change unnoticed never match finished parts."""
    plan = fingerprint(dumps, settings)
    number = 0
    for index, dump in enumerate(dumps):
        # Never the same twice, so that no finished part of such a dump is reused
        dump_plan = _digest([plan, "" if dump.resumes else token_hex()])
        for part in dump.parts(settings.split_bytes):
            if number == MOST_PARTS:
                raise InputError(
                    f"{part}: would be part {number} of at most {MOST_PARTS - 1}; take a larger --set split_bytes"
                )
            yield _PartTask(number, index, part, dump.site, settings, dump_plan)
            number += 1


def _write_part(task: _PartTask, folder: Path) -> tuple[int, int, Made[_PartReport]]:
    """Write a part's files, then its `done/` file, unless finished; return its dump's index, length and report."""
    name = f"part-{task.number:05d}"
    files = [folder / table / f"{name}.parquet" for table in ("pages", "titles")]
    mark = folder / "done" / f"{name}.json"
    made = artifact(mark, task.fingerprint(), files, partial(_write, task, files), _PartReport)
    return task.dump, task.part.length, made


def _write(task: _PartTask, files: Sequence[Path]) -> _PartReport:
    rows = PageRows(task.site, task.settings)
    with task.part.open() as stream, open_writer(files[0], UNTYPED) as pages, open_writer(files[1], TITLES) as titles:
        for index, page in enumerate(read_pages(task.part, stream, task.site.wikitext.redirects)):
            # The page's index must not reach into the bits of the part's number
            if index >> _PLACES:
                raise InputError(f"{task.part}: more than {index} pages in a part; take a smaller --set split_bytes")
            rows.add(page, task.number << _PLACES | index)
            if rows.full:
                for table, add in zip(rows.take(), (pages, titles), strict=True):
                    add(table)
        for table, add in zip(rows.take(), (pages, titles), strict=True):
            add(table)
        return _PartReport(rows.report, stream.digest())


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
