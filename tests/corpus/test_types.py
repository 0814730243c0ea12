"""Superseded pages, and steps that can be done again."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from nerbert.corpus.shards import TARGETS, TITLES, UNTYPED, read_table, shard_paths, write_table
from nerbert.corpus.types import read_targets, read_titles, write_newest

Page = tuple[int, int, int]
"""Number, id, revision."""


def lay(folder: Path, *parts: list[Page]) -> None:
    """Pass 1's files with a sentence for each page."""
    for kind in ("pages", "titles"):
        (folder / kind).mkdir(parents=True)
    for number, pages in enumerate(parts):
        common = [{"page_number": place, "page_id": page, "revision": revision} for place, page, revision in pages]
        titles = [{**row, "title": f"T{row['page_id']}", "ns": 0, "redirect": "", "fate": "article", "infoboxes": []}
                  for row in common]  # fmt: skip
        sentences = [{**row, "text": "x", "links": [], "words": []} for row in common]
        name = f"part-{number:05d}.parquet"
        write_table(pa.Table.from_pylist(sentences, schema=UNTYPED), folder / "pages" / name)
        write_table(pa.Table.from_pylist(titles, schema=TITLES), folder / "titles" / name)


def rows(folder: Path, kind: str) -> list[dict[str, Any]]:
    return [row for path in shard_paths(folder / kind) for row in read_table(path).to_pylist()]


def test_the_newest_revision_wins_and_a_tie_goes_to_the_first(tmp_path: Path) -> None:
    lay(tmp_path / "in", [(0, 1, 5), (1, 2, 5), (2, 3, 5)], [(10, 1, 7), (11, 2, 5)], [(20, 1, 6), (21, 4, 1)], [])
    titles = read_titles(tmp_path / "in")
    assert (sorted(titles.superseded), titles.superseded_articles) == ([0, 11, 20], 3)


def test_superseded_sentences_go_and_pass_1_stays(tmp_path: Path) -> None:
    lay(tmp_path / "in", [(0, 1, 5), (1, 2, 5)], [(10, 1, 7)], [(20, 3, 1)])
    before = {path: path.read_bytes() for path in (tmp_path / "in").rglob("*.parquet")}
    for again in ("one", "two"):
        (tmp_path / again).mkdir()
        write_newest(tmp_path / "in", tmp_path / again, read_titles(tmp_path / "in"))
        assert [row["page_number"] for row in rows(tmp_path / again, "pages")] == [1, 10, 20]
        assert [row["fate"] for row in rows(tmp_path / again, "titles")] == ["duplicate_page", *["article"] * 3]
    assert {path: path.read_bytes() for path in (tmp_path / "in").rglob("*.parquet")} == before
    linked = [
        path.name
        for path in shard_paths(tmp_path / "one" / "pages")
        if path.stat().st_ino == (tmp_path / "in" / "pages" / path.name).stat().st_ino
    ]
    assert linked == ["part-00001.parquet", "part-00002.parquet"]


def test_a_part_takes_only_its_own_targets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nerbert.corpus.types._TARGETS_AT_ONCE", 7)
    targets = [
        {"target": f"T{n}", "resolved_target": f"R{n}", "links": 1, "class_path": ["A", "B"][: n % 3], "source": "s"}
        for n in range(100)
    ]
    write_table(pa.Table.from_pylist(targets, schema=TARGETS), tmp_path / "targets.parquet")
    links = [[3, 50], [], [50, 98], None]
    rows = [
        {"links": [{"start": 0, "end": 1, "target": f"T{n}"} for n in each] if each is not None else None}
        for each in links
    ]
    write_table(pa.Table.from_pylist(rows, schema=UNTYPED), tmp_path / "part-00000.parquet")
    write_table(pa.Table.from_pylist([], schema=UNTYPED), tmp_path / "part-00001.parquet")
    assert read_targets(tmp_path / "targets.parquet", tmp_path / "part-00000.parquet") == {
        "T3": ("R3", (), "s"), "T50": ("R50", ("A", "B"), "s"), "T98": ("R98", ("A", "B"), "s"),
    }  # fmt: skip
    assert read_targets(tmp_path / "targets.parquet", tmp_path / "part-00001.parquet") == {}
