"""Link targets → classes: redirects resolved, then the knowledge asked once for each title that is linked at all.

Only linked titles are kept, so memory follows the corpus, not the knowledge. The result is a file, `targets.parquet`:
who wants to know why a link is typed so reads it there. A worker takes from it what one part links to, so its memory
follows the part; the price is that the file is looked through once for each part.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from nerbert.corpus.knowledge.knowledge import Knowledge
from nerbert.corpus.rows import ARTICLE
from nerbert.corpus.shards import TARGETS, read_table, shard_paths, write_table
from nerbert.corpus.sites import TEMPLATE
from nerbert.corpus.tables import read_batches
from nerbert.corpus.titles import fold_redirects, normalise_title
from nerbert.files import link_file
from nerbert.records import ENTITY, Infobox, Mention, Reason

_TARGETS_AT_ONCE = 1 << 17
"""Rows; for each such batch Arrow hashes the part's targets anew, so that few batches are fast."""

Targets = Mapping[str, tuple[str, tuple[str, ...], str]]
"""Link target → (resolved target, class path, source)."""


@dataclass(frozen=True, slots=True)
class Titles:
    """What the page rows say: redirects, and the places of pages that another row with the same id supersedes."""

    redirects: dict[str, str]
    template_redirects: dict[str, str]
    superseded: frozenset[int]
    superseded_articles: int


def read_titles(folder: Path) -> Titles:
    """Read `titles/`: of pages with the same id the newest revision wins, a tie goes to the first."""
    superseded = _find_superseded(folder)
    articles = 0
    redirects: dict[str, str] = {}
    template_redirects: dict[str, str] = {}
    for row in _rows(folder, ["page_number", "title", "ns", "redirect", "fate"]):
        if row["page_number"] in superseded:
            articles += row["fate"] == ARTICLE
        elif row["redirect"] and row["ns"] == 0:
            redirects[normalise_title(row["title"])] = normalise_title(row["redirect"].partition("#")[0])
        elif row["redirect"] and row["ns"] == TEMPLATE:
            template_redirects[_template_name(row["title"])] = _template_name(row["redirect"])
    return Titles(redirects, template_redirects, superseded, articles)


def _find_superseded(folder: Path) -> frozenset[int]:
    """Numbers of the pages that another with the same id supersedes; only ids that come twice leave Arrow."""
    columns = ["page_id", "revision", "page_number"]
    table = pa.concat_tables([read_table(path, columns) for path in shard_paths(folder / "titles")])
    counts = pc.value_counts(table["page_id"])
    twice = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    best: dict[int, tuple[int, int]] = {}
    superseded = []
    for row in table.filter(pc.is_in(table["page_id"], twice)).to_pylist():
        new = (row["revision"], row["page_number"])
        old = best.setdefault(row["page_id"], new)
        if new[0] > old[0]:
            best[row["page_id"]] = new
            superseded.append(old[1])
        elif new != old:
            superseded.append(new[1])
    return frozenset(superseded)


def write_newest(source: Path, folder: Path, titles: Titles) -> None:
    """Make `pages/` and `titles/` in `folder` from pass 1's: without superseded pages' sentences, their fate noted.

    Pass 1's files stay as they are, so this can be done again; what doesn't change is linked, not copied.
    """
    for kind, change in (("pages", _without), ("titles", _noted)):
        (folder / kind).mkdir()
        for path in shard_paths(source / kind):
            old = _superseded(read_table(path, ["page_number"]), titles)
            if pc.any(old).as_py():
                write_table(change(read_table(path), old), folder / kind / path.name)
            else:
                link_file(path, folder / kind / path.name)


def _without(table: pa.Table, old: pa.Array) -> pa.Table:
    return table.filter(pc.invert(old))


def _noted(table: pa.Table, old: pa.Array) -> pa.Table:
    fate = pc.if_else(old, str(Reason.DUPLICATE_PAGE), table["fate"])
    return table.set_column(table.column_names.index("fate"), "fate", fate)


def _superseded(table: pa.Table, titles: Titles) -> pa.Array:
    return pc.is_in(table["page_number"], pa.array(sorted(titles.superseded), pa.int64()))


def write_targets(folder: Path, titles: Titles, knowledge: Knowledge) -> tuple[int, int]:
    """Write `targets.parquet`; the number of targets, and how many are typed."""
    links: Counter[str] = Counter()
    for path in shard_paths(folder / "pages"):
        for batch in read_batches(path, ["links"]):
            links.update(pc.struct_field(pc.list_flatten(batch["links"]), "target").to_pylist())
    ends = fold_redirects(titles.redirects)
    resolved = {target: ends.get(target, target) for target in links}
    types = knowledge.type_titles(set(resolved.values()), _infobox_pages(folder), titles.template_redirects)
    rows = [
        {
            "target": target, "resolved_target": resolved[target], "links": links[target],
            "class_path": list(types[resolved[target]].class_path) if resolved[target] in types else [],
            "source": types[resolved[target]].source if resolved[target] in types else "",
        }
        for target in sorted(links, key=lambda name: (-links[name], name))
    ]  # fmt: skip
    write_table(pa.Table.from_pylist(rows, schema=TARGETS), folder / "targets.parquet")
    return len(rows), sum(bool(row["class_path"]) for row in rows)


def read_targets(path: Path, part: Path) -> Targets:
    """Target → (resolved target, class path, source) for the links of one part of `pages/`."""
    wanted = _linked(part)
    found: dict[str, tuple[str, tuple[str, ...], str]] = {}
    for batch in read_batches(path, ["target", "resolved_target", "class_path", "source"], _TARGETS_AT_ONCE):
        for row in batch.filter(pc.is_in(batch["target"], wanted)).to_pylist():
            found[row["target"]] = (row["resolved_target"], tuple(row["class_path"]), row["source"])
    return found


def _linked(part: Path) -> pa.Array:
    """What a part of `pages/` links to, each once."""
    targets = [
        pc.unique(pc.struct_field(pc.list_flatten(batch["links"]), "target")) for batch in read_batches(part, ["links"])
    ]
    return pc.unique(pa.chunked_array(targets, pa.string()))


def type_link(link: Mapping[str, Any], targets: Targets) -> Mention:
    """A link of `pages/` as a mention; its category is its deepest class, or ENTITY."""
    resolved, path, source = targets[link["target"]]
    category = path[-1] if path else ENTITY
    return Mention(link["start"], link["end"], link["target"], resolved, path, source, category)


def _infobox_pages(folder: Path) -> Iterator[tuple[str, tuple[Infobox, ...]]]:
    for row in _rows(folder, ["title", "infoboxes", "fate"]):
        if row["infoboxes"] and row["fate"] == ARTICLE:
            yield normalise_title(row["title"]), tuple(_infobox(box) for box in row["infoboxes"])


def _infobox(box: Mapping[str, Any]) -> Infobox:
    return Infobox(box["template"], tuple((each["name"], each["value"]) for each in box["parameters"]))


def _rows(folder: Path, columns: list[str]) -> Iterator[dict[str, Any]]:
    for path in shard_paths(folder / "titles"):
        for batch in read_batches(path, columns):
            yield from batch.to_pylist()


def _template_name(title: str) -> str:
    return normalise_title(title.partition("#")[0].partition(":")[2] or title)
