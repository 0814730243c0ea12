"""Superseded pages, disambiguation pages, and steps that can be done again."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import example, given
from hypothesis import strategies as st

from nerbert.corpus.dump.deduplicate import (
    disambiguation_pages,
    infobox_pages,
    read_titles,
    redirect_pairs,
    write_newest,
)
from nerbert.corpus.shards import TITLES, UNTYPED, read_table, shard_paths, write_table
from nerbert.executors import LocalExecutor
from nerbert.records import Infobox

Page = dict[str, Any]


def page(number: int, identity: int, revision: int, **more: Any) -> Page:
    return {
        "page_number": number,
        "page_id": identity,
        "revision": revision,
        "title": f"T{identity}",
        "ns": 0,
        "redirect": "",
        "fate": "article",
        "infoboxes": [],
        **more,
    }


def boxes(*templates: str) -> list[dict[str, Any]]:
    return [{"template": name, "parameters": [{"name": "a", "value": "b"}]} for name in templates]


def lay(folder: Path, *parts: list[Page]) -> Path:
    """Pass 1's files with a sentence for each page."""
    for kind in ("pages", "titles"):
        (folder / kind).mkdir(parents=True)
    for number, pages in enumerate(parts):
        common = ("page_number", "page_id", "revision")
        sentences = [{**{name: row[name] for name in common}, "text": "x", "links": [], "words": []} for row in pages]
        name = f"part-{number:05d}.parquet"
        write_table(pa.Table.from_pylist(sentences, schema=UNTYPED), folder / "pages" / name)
        write_table(pa.Table.from_pylist(pages, schema=TITLES), folder / "titles" / name)
    return folder


def rows(folder: Path, kind: str) -> list[dict[str, Any]]:
    return [row for path in shard_paths(folder / kind) for row in read_table(path).to_pylist()]


def newest_of(folder: Path, to: Path, language: str = "en", workers: int = 1) -> int:
    to.mkdir()
    with LocalExecutor(workers) as executor:
        return write_newest(folder, to, read_titles(folder), language, executor)


@example([[(1, 5), (2, 5), (3, 5)], [(1, 7), (2, 5)], [(1, 6), (4, 1)], []])
@given(st.lists(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 3)), max_size=5), max_size=3))
def test_superseded_is_all_but_the_best_of_each_id(parts: list[list[tuple[int, int]]]) -> None:
    numbered = [[(n * 100 + m, *each) for m, each in enumerate(part)] for n, part in enumerate(parts)]
    best: dict[int, tuple[int, int]] = {}
    for number, identity, revision in (each for part in numbered for each in part):
        best[identity] = max(best.get(identity, (0, 0)), (revision, -number))
    kept = {-number for _, number in best.values()}
    with TemporaryDirectory() as folder:
        titles = read_titles(lay(Path(folder), *([page(*row) for row in part] for part in numbered)))
    found = titles.superseded
    assert found.tolist() == [number for part in numbered for number, _, _ in part if number not in kept]
    assert found.dtype == np.int64
    assert titles.superseded_articles == len(found)


def test_superseded_sentences_go_and_pass_1_stays(tmp_path: Path) -> None:
    lay(tmp_path / "in", [page(0, 1, 5), page(1, 2, 5)], [page(10, 1, 7)], [page(20, 3, 1)])
    before = {path: path.read_bytes() for path in (tmp_path / "in").rglob("*.parquet")}
    for workers, again in ((1, "one"), (2, "two")):
        assert newest_of(tmp_path / "in", tmp_path / again, workers=workers) == 0
        assert [row["page_number"] for row in rows(tmp_path / again, "pages")] == [1, 10, 20]
        assert [row["fate"] for row in rows(tmp_path / again, "titles")] == ["duplicate_page", *["article"] * 3]
    assert {path: path.read_bytes() for path in (tmp_path / "in").rglob("*.parquet")} == before
    linked = [
        path.name
        for path in shard_paths(tmp_path / "one" / "pages")
        if path.stat().st_ino == (tmp_path / "in" / "pages" / path.name).stat().st_ino
    ]
    assert linked == ["part-00001.parquet", "part-00002.parquet"]


def test_disambiguation_pages_are_told_by_title_and_template(tmp_path: Path) -> None:
    template = {"ns": 10, "fate": "redirect"}
    lay(
        tmp_path / "in",
        [
            page(0, 1, 1, title="Mercury (disambiguation)"),
            page(1, 2, 1, title="Ada", infoboxes=boxes("Infobox person", "Other box")),
            page(2, 3, 1, title="Java", infoboxes=boxes("Odd name")),
            page(3, 4, 1, title="Rome", infoboxes=boxes("Disambiguation")),
        ],
        [
            page(10, 4, 9, title="Rome", infoboxes=boxes("Infobox settlement")),
            page(11, 5, 1, title="Old (disambiguation)", fate="redirect", redirect="Old"),
            page(12, 6, 1, title="Template:Odd name", redirect="Template:Odder name", **template),
            page(13, 7, 1, title="Template:Odder name", redirect="Template:disambiguation#top", **template),
            page(14, 8, 1, title="Template:Other box", redirect="Template:Infobox film", **template),
        ],
    )
    assert newest_of(tmp_path / "in", tmp_path / "out") == 2
    fates = [row["fate"] for row in rows(tmp_path / "out", "titles")]
    assert fates[:5] == ["disambiguation_page", "article", "disambiguation_page", "duplicate_page", "article"]
    assert fates[5:] == ["redirect"] * 4
    assert {row["page_number"] for row in rows(tmp_path / "out", "pages")} == {1, 10, 11, 12, 13, 14}
    assert list(disambiguation_pages(tmp_path / "out")) == ["Mercury (disambiguation)", "Java"]
    assert list(infobox_pages(tmp_path / "out")) == [
        ("Ada", (Infobox("Infobox person", (("a", "b"),)), Infobox("Other box", (("a", "b"),)))),
        ("Rome", (Infobox("Infobox settlement", (("a", "b"),)),)),
    ]
    assert newest_of(tmp_path / "in", tmp_path / "again", language="xx") <= 2


def test_redirects_are_those_of_articles_that_nothing_supersedes(tmp_path: Path) -> None:
    chain = [
        page(n, n, 1, title=f"Template:T{n}", ns=10, redirect=f"Template:T{n + 1}", fate="redirect")
        for n in range(20, 29)
    ]
    lay(
        tmp_path / "in",
        chain,
        [
            page(0, 1, 1, title="a_b", redirect="C#History", fate="redirect"),
            page(1, 2, 1, title="Old", redirect="Never", fate="redirect"),
            page(2, 2, 2, title="Old", redirect="now", fate="redirect"),
            page(3, 3, 1, title="Template:X", ns=10, redirect="Template:y z", fate="redirect"),
            page(4, 4, 1, title="Category:X", ns=14, redirect="Category:Y", fate="not_an_article"),
            page(5, 5, 1, title="Here", redirect="#Below", fate="redirect"),
            page(7, 7, 1, title="Nothing", redirect=None),
            page(6, 6, 1, title="Nowhere", ns=None, redirect=None, fate="no_title", infoboxes=None),
        ],
    )
    titles = read_titles(tmp_path / "in")
    assert titles.template_redirects == {"X": "Y z"} | {f"T{n}": "T29" for n in range(20, 29)}
    assert newest_of(tmp_path / "in", tmp_path / "out") == 0
    assert list(redirect_pairs(tmp_path / "out")) == [("Old", "Now")]


def test_pages_without_text_disambiguate_and_have_infoboxes(tmp_path: Path) -> None:
    empty = {"fate": "empty_text"}
    lay(
        tmp_path / "in",
        [
            page(0, 1, 1, title="Mercury", infoboxes=boxes("Disambig"), **empty),
            page(1, 2, 1, title="Venus", infoboxes=boxes("Disambig")),
            page(2, 3, 1, title="Ada", infoboxes=boxes("Infobox person"), **empty),
            page(3, 4, 1, title="Long", infoboxes=boxes("Disambig"), fate="page_too_long"),
            page(4, 5, 1, title="Mars", infoboxes=boxes("Disambig"), **empty),
            page(5, 5, 2, title="Mars", infoboxes=boxes("Infobox planet"), **empty),
        ],
    )
    assert newest_of(tmp_path / "in", tmp_path / "out") == 1
    assert list(disambiguation_pages(tmp_path / "out")) == ["Mercury", "Venus"]
    assert [title for title, _ in infobox_pages(tmp_path / "out")] == ["Ada", "Mars"]
    assert [row["fate"] for row in rows(tmp_path / "out", "titles")] == [
        "disambiguation_page",
        "disambiguation_page",
        "empty_text",
        "page_too_long",
        "duplicate_page",
        "empty_text",
    ]
