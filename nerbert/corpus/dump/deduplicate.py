"""Select the pages that count: the newest revision of each page id, and no disambiguation pages. Read from `titles/`.

The files of pass 1 stay unchanged. Finding ids that occur twice takes eight bytes of memory per page.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nerbert.artifacts import link_file
from nerbert.corpus.dump.sites import TEMPLATE, fold_redirects, normalise_title, wiki_code
from nerbert.corpus.page_rows import ARTICLE
from nerbert.corpus.shards import TITLES, UNTYPED, open_writer, read_batches, read_table, shard_paths
from nerbert.executors import HERE, Executor
from nerbert.records import Infobox, Reason
from nerbert.tables import read_columns

_ROWS, _FEW_ROWS = 10_000, 2_000
_TEMPLATES = "infoboxes.list.element.template"
_ANYWHERE = "disambig|disambiguation|disambiguation page"
"""Templates of most wikis, including those without an entry in `disambiguation.tsv`."""

_FATE = pc.field("fate")
_SCANNED = _FATE.isin([ARTICLE, Reason.EMPTY_TEXT])
"""Pages whose templates are known; disambiguation pages often have no text besides a list."""

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Titles:
    """Template redirects with the ends of their chains, and the sorted numbers of a dump's superseded pages."""

    template_redirects: dict[str, str]
    superseded: Numbers
    superseded_articles: int


def read_titles(folder: Path) -> Titles:
    """Read `titles/`; of pages with the same id, the newest revision wins, or the first of equal revisions."""
    superseded = _find_superseded(folder)
    old = pc.field("page_number").isin(pa.array(superseded))
    articles = 0
    if len(superseded):
        articles = sum(map(len, _read_rows(folder, ["page_number", "fate"], old & (_FATE == ARTICLE))))
    # An older revision may redirect elsewhere
    redirects = (pc.field("ns") == TEMPLATE) & (pc.field("redirect") != "") & ~old
    pairs = _read_pairs(folder, ["title", "redirect"], redirects, ["page_number", "ns"])
    names = {_template_name(name): _template_name(target) for name, target in pairs}
    return Titles(fold_redirects(names), superseded, articles)


def write_newest(source: Path, folder: Path, titles: Titles, language: str, executor: Executor = HERE) -> int:
    """Write `pages/` and `titles/` in `folder` from pass 1's files, and return the number of disambiguation articles.

    Superseded and disambiguation pages lose their sentences; only disambiguation pages with text are counted.
    """
    for name in ("pages", "titles"):
        (folder / name).mkdir()
    ends = titles.template_redirects
    # A disambiguation template is often called by a shorter name that redirects to it
    redirects = {name: end for name, end in ends.items() if is_disambiguation("", (end,), language)}
    task = partial(_write_part, folder=folder, redirects=redirects, language=language)
    paths = shard_paths(source / "titles")
    old = titles.superseded
    numbers = (read_table(path, ["page_number"])["page_number"].to_numpy() if len(old) else old for path in paths)
    return sum(executor.map_ordered(task, zip(paths, (np.intersect1d(part, old) for part in numbers), strict=True)))


def is_disambiguation(title: str, templates: Iterable[str], language: str) -> bool:
    """Return whether a page only lists the meanings of its title; names must be normalised (`normalise_title`)."""
    bracket, names = _compile_patterns(language)
    # `Mercury (disambiguation)`; a title that is only a bracket isn't one
    name, _, end = title.rpartition(" (")
    if name and bracket.fullmatch(end.casefold()):
        return True
    return any(names.fullmatch(template.casefold()) for template in templates)


@cache
def _compile_patterns(language: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return the case-folded patterns of title brackets, with the closing bracket, and of template names."""
    marks = {code: cells for code, *cells in read_columns("disambiguation.tsv", "language", "templates", "brackets")}
    # Simple English uses the words of English
    code = "en" if language == "simple" else wiki_code(language)
    templates, brackets = marks.get(code) or marks.get(code.partition("-")[0]) or ("", "")
    names = "|".join(filter(None, [_ANYWHERE, templates]))
    return re.compile(f"(?:{(brackets or 'disambiguation').casefold()})\\)"), re.compile(names.casefold())


def redirect_pairs(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the normalised redirects of articles that count, except to sections (`Jack Dawson`, `Titanic#…`)."""
    to_page = pc.match_substring_regex(pc.field("redirect"), "^[^#]+$")
    condition = (pc.field("ns") == 0) & to_page & (_FATE != Reason.DUPLICATE_PAGE)
    for title, target in _read_pairs(folder, ["title", "redirect"], condition, ["ns", "fate"]):
        yield normalise_title(title), normalise_title(target)


def disambiguation_pages(folder: Path) -> Iterator[str]:
    """Yield the normalised titles of the removed disambiguation pages."""
    for rows in _read_rows(folder, ["title", "fate"], _FATE == Reason.DISAMBIGUATION_PAGE):
        yield from map(normalise_title, rows["title"].to_pylist())


def infobox_pages(folder: Path) -> Iterator[tuple[str, tuple[Infobox, ...]]]:
    """Yield the articles that have infoboxes, with or without text, with their infoboxes."""
    condition = _SCANNED & (pc.list_value_length(pc.field("infoboxes")) > 0)
    for rows in _read_rows(folder, ["title", "infoboxes", "fate"], condition, _FEW_ROWS):
        yield from zip(rows["title"].to_pylist(), _read_infoboxes(rows["infoboxes"].combine_chunks()), strict=True)


def page_categories(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the articles that have categories, with their categories."""
    yield from _read_pairs(folder, ["title", "categories"], _SCANNED, ["fate"])


def _find_superseded(folder: Path) -> Numbers:
    """Return the numbers of the pages that another page with the same id supersedes."""
    paths = shard_paths(folder / "titles")
    ids = np.empty(sum(pq.read_metadata(path).num_rows for path in paths), np.int64)
    end = 0
    for path in paths:
        rows = read_table(path, ["page_id"])["page_id"].to_numpy()
        ids[end : end + len(rows)] = rows
        end += len(rows)
    ids.sort()
    twice = np.unique(ids[1:][ids[1:] == ids[:-1]])
    if not len(twice):
        return twice
    # Of these columns, only the rows of repeated ids are kept, to save memory
    tables = (read_table(path, ["page_id", "revision", "page_number"]) for path in paths)
    columns = ([table[name].to_numpy() for name in ("page_id", "revision", "page_number")] for table in tables)
    repeated = [np.stack(part)[:, np.isin(part[0], twice)] for part in columns]
    page_ids, revisions, numbers = np.concatenate(repeated, axis=1)
    # Of each id, the newest revision first, and of equal ones the first page; the others go
    order = np.lexsort((numbers, -revisions, page_ids))
    page_ids = page_ids[order]
    numbers = numbers[order]
    return np.sort(numbers[1:][page_ids[1:] == page_ids[:-1]])


def _write_part(part: tuple[Path, Numbers], folder: Path, redirects: Mapping[str, str], language: str) -> int:
    """Write one part of `pages/` and `titles/`; return the number of its disambiguation articles."""
    path, superseded = part
    ambiguous, articles = _find_disambiguation(path, superseded, redirects, language)
    fates = {Reason.DUPLICATE_PAGE: superseded, Reason.DISAMBIGUATION_PAGE: ambiguous}
    gone = np.concatenate([superseded, ambiguous])
    pages = path.parent.parent / "pages" / path.name
    _rewrite_part(path, folder / "titles", TITLES, gone, partial(_set_fates, fates=fates))
    _rewrite_part(pages, folder / "pages", UNTYPED, gone, lambda table: table.filter(pa.array(~_is_of(table, gone))))
    return articles


def _find_disambiguation(
    path: Path, superseded: Numbers, redirects: Mapping[str, str], language: str
) -> tuple[Numbers, int]:
    """Return the numbers of a part's disambiguation pages, and the count of those with text."""
    numbers = []
    articles = 0
    condition = _SCANNED & ~pc.field("page_number").isin(pa.array(superseded))
    for batch in read_batches(path, ["page_number", "title", "fate", _TEMPLATES]):
        for row in pa.Table.from_batches([batch]).filter(condition).to_pylist():
            title = normalise_title(row["title"])
            templates = (normalise_title(box["template"]) for box in row["infoboxes"] or ())
            # A call may use a redirect, as `Disambig` for `Disambiguation`
            if is_disambiguation(title, (redirects.get(name, name) for name in templates), language):
                numbers.append(row["page_number"])
                articles += row["fate"] == ARTICLE
    return np.array(numbers, np.int64), articles


def _rewrite_part(path: Path, folder: Path, schema: pa.Schema, gone: Numbers, change: Any) -> None:
    """Write a part with `change` applied to each batch, or link it if it has no rows of pages in `gone`."""
    # Few parts have such pages; linking the others saves writing them again
    if not len(gone) or not any(_is_of(batch, gone).any() for batch in read_batches(path, ["page_number"])):
        link_file(path, folder / path.name)
        return
    with open_writer(folder / path.name, schema) as add:
        for batch in read_batches(path, rows=_ROWS):
            add(change(pa.Table.from_batches([batch])))


def _set_fates(table: pa.Table, fates: Mapping[Reason, Numbers]) -> pa.Table:
    fate = table["fate"]
    for reason, numbers in fates.items():
        fate = pc.if_else(pa.array(_is_of(table, numbers)), str(reason), fate)
    return table.set_column(table.column_names.index("fate"), "fate", fate)


def _is_of(rows: pa.Table | pa.RecordBatch, numbers: Numbers) -> npt.NDArray[np.bool_]:
    return np.isin(rows["page_number"].to_numpy(), numbers)


def _read_rows(folder: Path, columns: Sequence[str], condition: pc.Expression, size: int = _ROWS) -> Iterator[pa.Table]:
    """Yield the rows of `titles/` that meet the condition; null counts as false."""
    for path in shard_paths(folder / "titles"):
        for batch in read_batches(path, columns, size):
            yield pa.Table.from_batches([batch]).filter(condition)


def _read_pairs(
    folder: Path, columns: Sequence[str], condition: pc.Expression, others: Sequence[str]
) -> Iterator[tuple[Any, ...]]:
    """Yield the values of `columns` in the rows that meet the condition; `others` are further columns it needs."""
    for rows in _read_rows(folder, [*columns, *others], condition):
        yield from zip(*(rows[name].to_pylist() for name in columns), strict=True)


def _read_infoboxes(column: pa.Array) -> Iterator[tuple[Infobox, ...]]:
    """Return the infoboxes of each row; reading flat columns is four times as fast as reading dicts."""
    boxes = pc.list_flatten(column)
    parameters = pc.struct_field(boxes, "parameters")
    flat = pc.list_flatten(parameters)
    pairs = zip(*(pc.struct_field(flat, name).to_pylist() for name in ("name", "value")), strict=True)
    of_box = (tuple(islice(pairs, length or 0)) for length in pc.list_value_length(parameters).to_pylist())
    infoboxes = map(Infobox, pc.struct_field(boxes, "template").to_pylist(), of_box)
    return (tuple(islice(infoboxes, length or 0)) for length in pc.list_value_length(column).to_pylist())


def _template_name(title: str) -> str:
    return normalise_title(title.partition("#")[0].partition(":")[2] or title)
