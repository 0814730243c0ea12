"""Map link targets to classes: resolve redirects, then look up the knowledge table.

If the table does not know a redirect's end, the redirect itself is looked up, because pages move and knowledge ages.

Both tables are memory-mapped files (`knowledge.mmap_table`). A worker looks up its part's links, so its memory depends
on the part. Targets are counted by part, and the counts are merged by ranges of the hash of the resolved target. Memory
therefore does not grow with the wiki. The results are the files in `targets/`, which show why a link has its type.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nerbert.corpus.dump.deduplicate import Titles, disambiguation_pages, infobox_pages, redirect_pairs
from nerbert.corpus.knowledge.external_sort import range_bits, read_range, starts_of, write_run
from nerbert.corpus.knowledge.knowledge import Knowledge
from nerbert.corpus.knowledge.redirects import Redirects, write_redirects
from nerbert.corpus.knowledge.table import TypeTable
from nerbert.corpus.shards import TARGETS, read_batches, shard_paths, write_table
from nerbert.executors import HERE, Executor
from nerbert.terminal import progress

SCRATCH = "scratch"
"""Folder of data that typing needs and the corpus does not: the table of redirects."""
_REDIRECTS, _KNOWLEDGE = f"{SCRATCH}/redirects.arrow", "knowledge.arrow"
_MOST_UNTYPED = 100

Targets = Mapping[str, tuple[str, tuple[str, ...], str]]
"""Link target → (resolved target, class path, source)."""


@dataclass(frozen=True, slots=True)
class TargetReport:
    """Number of targets, or of those in a range; of typed ones; and the most linked untyped titles, as in the manifest.

    `bad_redirects` name an impossible title and are ignored.
    """

    targets: int
    typed: int
    unresolved: list[dict[str, Any]]
    bad_redirects: int = 0


def write_targets(folder: Path, titles: Titles, knowledge: Knowledge, executor: Executor = HERE) -> TargetReport:
    """Write `knowledge.arrow`, the table of redirects, and `targets/`: every target with its type."""
    scratch, runs = folder / SCRATCH, folder / SCRATCH / "links"
    runs.mkdir(parents=True)
    bad_redirects = write_redirects(redirect_pairs(folder), folder / _REDIRECTS, scratch / "redirects")
    knowledge.write_table(
        folder / _KNOWLEDGE,
        scratch / "knowledge",
        infobox_pages(folder),
        titles.template_redirects,
        disambiguation_pages(folder),
    )
    parts = shard_paths(folder / "pages")
    with progress("counting link targets", len(parts)) as bar:
        for _ in executor.map_ordered(partial(_count_part, folder=folder, runs=runs), parts):
            bar.advance()
    (folder / "targets").mkdir()
    bits = range_bits(runs.iterdir())
    task = partial(_type_range, folder=folder, runs=runs, bits=bits)
    with progress("typing link targets", 1 << bits) as bar:
        ranges = []
        for done in executor.map_ordered(task, range(1 << bits)):
            ranges.append(done)
            bar.advance()
    rmtree(runs)
    untyped = chain.from_iterable(each.unresolved for each in ranges)
    unresolved = sorted(untyped, key=lambda each: (-each["links"], each["title"]))
    targets, typed = sum(each.targets for each in ranges), sum(each.typed for each in ranges)
    return TargetReport(targets, typed, unresolved[:_MOST_UNTYPED], bad_redirects)


def read_targets(folder: Path, part: Path) -> Targets:
    """Return target → (resolved target, class path, source) for the links of one part of `pages/`.

    `folder` is the corpus.
    """
    targets = pc.unique(_links(part)["target"]).to_pylist()
    resolved = Redirects(folder / _REDIRECTS).ends_of(targets)
    types = TypeTable(folder / _KNOWLEDGE)
    classes, sources = (places.tolist() for places in types.places_at_end(targets, resolved))
    paths, names = (*types.classes, ()), (*types.sources, "")
    return {
        target: (end, paths[path], names[source])
        for target, end, path, source in zip(targets, resolved, classes, sources, strict=True)
    }


def _links(part: Path) -> pa.Table:
    """Return the link targets of a part of `pages/` with their counts, by batch."""
    pieces = [
        pc.value_counts(pc.struct_field(pc.list_flatten(batch["links"]), "target"))
        for batch in read_batches(part, ["links"])
    ]
    schema = pa.schema([("target", pa.string()), ("links", pa.int64())])
    return pa.concat_tables(
        [schema.empty_table(), *(pa.table([piece.field(0), piece.field(1)], schema) for piece in pieces)]
    )


def _count_part(part: Path, folder: Path, runs: Path) -> None:
    """Write a part's link targets as a run: the resolved target, the target, its links."""
    links = _links(part).group_by("target").aggregate([("links", "sum")])
    resolved = Redirects(folder / _REDIRECTS).ends_of(links["target"].to_pylist())
    columns = [pa.array(resolved, pa.string()), links["target"], links["links_sum"]]
    write_run(pa.table(columns, ["title", "target", "links"]), runs / f"{part.stem}.arrow", _summed)


def _summed(table: pa.Table) -> pa.Table:
    """Return sorted rows with the rows of each target merged."""
    starts = np.flatnonzero(starts_of(table["title"], table["target"]))
    if not len(starts):
        return table
    links = np.add.reduceat(table["links"].to_numpy(), starts)
    return table.take(pa.array(starts)).set_column(table.column_names.index("links"), "links", pa.array(links))


def _type_range(number: int, folder: Path, runs: Path, bits: int) -> TargetReport:
    """Write the part of `targets/` with one range of hashes, most linked first."""
    table = read_range(sorted(runs.iterdir()), number, bits, _summed)
    types = TypeTable(folder / _KNOWLEDGE)
    asked = [table[name].to_pylist() if table.num_rows else [] for name in ("target", "title")]
    classes, sources = types.places_at_end(*asked)
    paths = pa.array([*map(list, types.classes), []], TARGETS.field("class_path").type)
    names = pa.array([*types.sources, ""], pa.string())
    typed = classes >= 0
    if table.num_rows:
        columns = [
            table["target"], table["title"], table["links"],
            paths.take(pa.array(np.where(typed, classes, len(types.classes)))),
            names.take(pa.array(np.where(typed, sources, len(types.sources)))),
        ]  # fmt: skip
        rows = pa.table(columns, TARGETS).sort_by([("links", "descending"), ("target", "ascending")])
    else:
        rows = TARGETS.empty_table()
    write_table(rows, folder / "targets" / f"part-{number:05d}.parquet")
    return TargetReport(len(typed), int(typed.sum()), _most_linked(table.filter(pa.array(~typed))))


def _most_linked(table: pa.Table) -> list[dict[str, Any]]:
    if not table.num_rows:
        return []
    sums = table.group_by("title").aggregate([("links", "sum")])
    most = sums.sort_by([("links_sum", "descending"), ("title", "ascending")]).slice(0, _MOST_UNTYPED)
    named: list[dict[str, Any]] = pa.table({"title": most["title"], "links": most["links_sum"]}).to_pylist()
    return named
