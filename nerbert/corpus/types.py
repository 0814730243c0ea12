"""Link targets → classes: redirects resolved, then the knowledge asked once for each title that is linked at all.

Only linked titles are kept, so memory follows the corpus, not the knowledge. The result is a file, `targets.parquet`,
that each worker opens: who wants to know why a link is typed so reads it there.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from nerbert.corpus.knowledge import Knowledge
from nerbert.corpus.pages import ARTICLE
from nerbert.corpus.shards import TARGETS, read_table, shard_paths, write_table
from nerbert.corpus.sites import TEMPLATE
from nerbert.corpus.titles import fold_redirects, normalise_title
from nerbert.records import ENTITY, Infobox, Mention


@dataclass(frozen=True, slots=True)
class Titles:
    """What the page rows say: redirects, and which pages are older revisions of another row."""

    redirects: dict[str, str]
    template_redirects: dict[str, str]
    superseded: frozenset[int]
    superseded_articles: int


def read_titles(folder: Path) -> Titles:
    """Read `titles/`: of pages with the same id the newest revision wins, a tie goes to the first."""
    newest: dict[int, tuple[int, int]] = {}
    superseded: set[int] = set()
    articles, redirects, template_redirects = 0, {}, {}
    rows = list(_rows(folder, ["page_number", "page_id", "revision", "title", "ns", "redirect", "fate"]))
    for row in rows:
        best = newest.get(row["page_id"])
        if best is None or row["revision"] > best[0]:
            newest[row["page_id"]] = (row["revision"], row["page_number"])
    for row in rows:
        if newest[row["page_id"]][1] != row["page_number"]:
            superseded.add(row["page_number"])
            articles += row["fate"] == ARTICLE
        elif row["redirect"] and row["ns"] == 0:
            redirects[normalise_title(row["title"])] = normalise_title(row["redirect"].partition("#")[0])
        elif row["redirect"] and row["ns"] == TEMPLATE:
            template_redirects[_template_name(row["title"])] = _template_name(row["redirect"])
    return Titles(redirects, template_redirects, frozenset(superseded), articles)


def write_targets(folder: Path, titles: Titles, knowledge: Knowledge) -> tuple[int, int]:
    """Write `targets.parquet`; the number of targets, and how many are typed."""
    links: Counter[str] = Counter()
    for path in shard_paths(folder / "pages"):
        for row in read_table(path, ["links", "page_number"]).to_pylist():
            if row["page_number"] not in titles.superseded:
                links.update(link["target"] for link in row["links"])
    ends = fold_redirects(titles.redirects)
    resolved = {target: ends.get(target, target) for target in links}
    types = knowledge.type_titles(set(resolved.values()), _infobox_pages(folder, titles), titles.template_redirects)
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


@cache
def _targets(path: Path) -> dict[str, tuple[str, tuple[str, ...], str]]:
    """Target → (resolved target, class path, source); read once in each worker."""
    return {
        row["target"]: (row["resolved_target"], tuple(row["class_path"]), row["source"])
        for row in read_table(path).to_pylist()
    }


def type_link(link: Mapping[str, Any], targets: Path) -> Mention:
    """A link of `pages/` as a mention; its category is its deepest class, or ENTITY."""
    resolved, path, source = _targets(targets)[link["target"]]
    category = path[-1] if path else ENTITY
    return Mention(link["start"], link["end"], link["target"], resolved, path, source, category)


def _infobox_pages(folder: Path, titles: Titles) -> Iterator[tuple[str, tuple[Infobox, ...]]]:
    for row in _rows(folder, ["page_number", "title", "infoboxes", "fate"]):
        if row["infoboxes"] and row["fate"] == ARTICLE and row["page_number"] not in titles.superseded:
            yield normalise_title(row["title"]), tuple(_infobox(box) for box in row["infoboxes"])


def _infobox(box: Mapping[str, Any]) -> Infobox:
    return Infobox(box["template"], tuple((each["name"], each["value"]) for each in box["parameters"]))


def _rows(folder: Path, columns: list[str]) -> Iterator[dict[str, Any]]:
    for path in shard_paths(folder / "titles"):
        for batch in read_table(path, columns).to_batches(max_chunksize=5000):
            yield from batch.to_pylist()


def _template_name(title: str) -> str:
    return normalise_title(title.partition("#")[0].partition(":")[2] or title)
