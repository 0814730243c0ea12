"""Pass 1: convert dumps to untyped sentences with their links, and a row for every page.

All later steps read only these columns, so the dump is read once. A part of a dump becomes one part of the files,
written by the worker that read it: `pages/part-N`, `titles/part-N`, and last a mark, `done/part-N.json`. So finished
parts survive a kill, and the result does not depend on the number of workers. The cost: file sizes follow the dump's
text, and a run that resumes reads the bytes of finished parts again, unless a server names the input's version.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from nerbert import __version__
from nerbert.artifacts import read_json, write_json
from nerbert.corpus.dump.dump import Dump
from nerbert.corpus.dump.parse import DumpPart, read_pages
from nerbert.corpus.dump.sites import Site
from nerbert.corpus.dump.splits import MOST_PARTS, Seen
from nerbert.corpus.rows import PageReport, PageRows
from nerbert.corpus.sentences import RuleSplitter
from nerbert.corpus.settings import LATER, CorpusSettings
from nerbert.corpus.shards import FORMAT, TITLES, UNTYPED, writing
from nerbert.corpus.wikitext.scan import SCANNER
from nerbert.errors import InputError, StaleOutput
from nerbert.executors import Executor
from nerbert.terminal import Progress
from nerbert.words import SPLITTER

_NAME = re.compile(r"part-([0-9]{5})\.\w+")
_COUNTED = ("fates", "links")
_PLACES = 24
"""Bits of a page's number for its index within its part; the part's number has the bits above."""


@dataclass(frozen=True, slots=True)
class _PartTask:
    """One part to read and write; `digest` identifies its inputs."""

    number: int
    dump: int
    part: DumpPart
    site: Site
    settings: CorpusSettings
    fingerprint: str
    versioned: bool
    """Whether `digest` changes with the input's content."""

    def digest(self) -> str:
        fingerprint = [self.fingerprint, str(self.site), self.part.root.hex()]
        return _digest([*fingerprint, self.part.number, self.part.data.key()])


@dataclass(frozen=True, slots=True)
class _Done:
    """The results of a finished part."""

    dump: int
    length: int
    seen: Seen
    report: PageReport
    before: bool
    """Whether an earlier run finished it."""


def fingerprint(dumps: Sequence[Dump], settings: CorpusSettings) -> dict[str, Any]:
    """Return everything that pass 1's files depend on; each part identifies the content that a pipe gives it."""
    return {
        "nerbert": __version__,
        "pyarrow": pa.__version__,
        "format": FORMAT,
        "scanner": SCANNER,
        "sentence_splitter": RuleSplitter.name,
        "word_splitter": SPLITTER,
        "settings": {name: value for name, value in settings.to_dict().items() if name not in LATER},
        "inputs": [dump.identity | {"index": dump.index and dump.index.sha256} for dump in dumps],
    }


def write_pages(
    dumps: Sequence[Dump],
    folder: Path,
    settings: CorpusSettings,
    executor: Executor,
    progress: Progress,
    *,
    overwrite: bool = False,
) -> PageReport:
    """Read all dumps once, and write `pages/`, `titles/` and `done/` below `folder`; finished parts are kept.

    Parts that were made from other input are made again with `overwrite`; else they are an error.
    """
    for name in ("pages", "titles", "done"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    report, seen = PageReport(), [list[Seen]() for _ in dumps]
    skipped = 0
    task = partial(write_part, folder=folder, overwrite=overwrite)
    for done in executor.map_ordered(task, _tasks(dumps, settings)):
        report.add(done.report)
        seen[done.dump].append(done.seen)
        skipped += done.before
        note = f"{skipped} parts were done already" if skipped else ""
        progress.advance(done.seen.pages, note, size=done.length, before=done.before)
    for dump, parts in zip(dumps, seen, strict=True):
        dump.check(parts)
    _remove_from(folder, sum(map(len, seen)))
    return report


def _remove_from(folder: Path, number: int) -> None:
    """Remove the parts from a number on, which a longer input left."""
    for path in folder.glob("*/part-*"):
        match = _NAME.fullmatch(path.name)
        if match and int(match[1]) >= number:
            path.unlink()


def _tasks(dumps: Sequence[Dump], settings: CorpusSettings) -> Iterator[_PartTask]:
    basis, number = _digest(fingerprint(dumps, settings)), 0
    for place, dump in enumerate(dumps):
        for part in dump.parts(settings.split_bytes):
            if number == MOST_PARTS:
                raise InputError(f"{part}: would be part {number}, the last has to be {MOST_PARTS - 1}; take a larger "
                                 "--set split_bytes")  # fmt: skip
            yield _PartTask(number, place, part, dump.site, settings, basis, dump.versioned)
            number += 1


def write_part(task: _PartTask, folder: Path, *, overwrite: bool = False) -> _Done:
    """Write one part's files and its mark, unless they exist."""
    name, digest = f"part-{task.number:05d}", task.digest()
    mark = folder / "done" / f"{name}.json"
    files = [folder / kind / f"{name}.parquet" for kind in ("pages", "titles")]
    found = _read_mark(mark)
    if found is not None and all(path.exists() for path in files):
        same = found.digest == digest and (task.versioned or task.part.data.digest() == found.seen.sha256)
        if not same and not overwrite:
            raise StaleOutput(f"{mark}: made from other input than {task.part}; give the same again, or --overwrite "
                              "to begin anew")  # fmt: skip
        if same and found.sizes == [path.stat().st_size for path in files]:
            return _Done(task.dump, task.part.data.length, found.seen, found.report, before=True)
    mark.unlink(missing_ok=True)
    seen = Seen()
    report = _write(task, files, seen)
    del seen.heads[1:]
    counts = {kind: dict(getattr(report, kind)) for kind in _COUNTED}
    sizes = [path.stat().st_size for path in files]
    write_json(mark, {"digest": digest, "sizes": sizes, "seen": asdict(seen), "report": counts})
    return _Done(task.dump, task.part.data.length, seen, report, before=False)


@dataclass(frozen=True, slots=True)
class _PartMark:
    """The mark of a finished part, written last: the digest of its inputs, its file sizes, and its results."""

    digest: str
    sizes: list[int]
    seen: Seen
    report: PageReport


def _read_mark(path: Path) -> _PartMark | None:
    """Return the mark of a finished part; None if there is none, or an invalid one (torn by a loss of power)."""
    try:
        found = read_json(path)
        seen, report = Seen(**found.pop("seen")), found.pop("report")
        counts = [Counter({str(name): int(count) for name, count in report[kind].items()}) for kind in _COUNTED]
        whole = isinstance(seen.pages, int) and isinstance(seen.heads, list) and isinstance(seen.sha256, str)
        return _PartMark(seen=seen, report=PageReport(*counts), **found) if whole else None
    except (InputError, TypeError, ValueError, KeyError, AttributeError):
        return None


def _write(task: _PartTask, files: Sequence[Path], seen: Seen) -> PageReport:
    rows = PageRows(task.site, task.settings)
    with writing(files[0], UNTYPED) as pages, writing(files[1], TITLES) as titles:
        for place, page in enumerate(read_pages(task.part, seen)):
            if place >> _PLACES:
                raise InputError(f"{task.part}: more than {place} pages in a part; take a smaller --set split_bytes")
            rows.add(page, task.number << _PLACES | place)
            if rows.full:
                _hand_over(rows, pages, titles)
        _hand_over(rows, pages, titles)
    return rows.report


def _hand_over(rows: PageRows, *adding: Callable[[pa.Table], None]) -> None:
    for table, add in zip(rows.take(), adding, strict=True):
        add(table)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
