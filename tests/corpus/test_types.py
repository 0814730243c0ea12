"""Redirects folded in the database; link targets, counted, resolved and typed."""

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nerbert.corpus import types
from nerbert.corpus.dump.deduplicate import Titles, read_titles
from nerbert.corpus.dump.sites import fold_redirects
from nerbert.corpus.knowledge.knowledge import open_knowledge
from nerbert.corpus.shards import TARGETS, TITLES, UNTYPED, read_table, shard_paths, write_table
from nerbert.corpus.types import SCRATCH, TargetReport, write_redirects, write_targets
from nerbert.executors import LocalExecutor
from tests.corpus.knowledge.looking import a_database

LINKS = [["R1", "A", "A", "X"], [], ["R2", "B", "Loop"], None, ["A", "R3", "Y", "Y", "X", "X"], ["Zed"] * 5]
REDIRECTS = {"R1": "A", "R2": "R1", "Loop": "Pool", "Pool": "Loop", "R3": "X"}
TYPES = {"A": "Film", "B": "City", "Zed": "City"}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """`pages/` of two parts and an empty one, `titles/`, and a table of titles beside them."""
    for kind in ("pages", "titles"):
        (tmp_path / "corpus" / kind).mkdir(parents=True)
    for number, part in enumerate((LINKS[:4], LINKS[4:], [])):
        rows = [
            {"links": None if each is None else [{"start": 0, "end": 1, "target": name} for name in each]}
            for each in part
        ]
        write_table(pa.Table.from_pylist(rows, schema=UNTYPED), tmp_path / f"corpus/pages/part-{number:05d}.parquet")
    pages = [
        {
            "page_number": number,
            "page_id": number,
            "revision": 1,
            "title": title,
            "ns": 0,
            "redirect": target,
            "fate": "redirect",
            "infoboxes": [],
        }
        for number, (title, target) in enumerate(REDIRECTS.items())
    ]
    ambiguous = {"title": "Zed", "redirect": "", "fate": "disambiguation_page"}
    pages.append({**pages[0], "page_number": 99, "page_id": 99, **ambiguous})
    write_table(pa.Table.from_pylist(pages, schema=TITLES), tmp_path / "corpus/titles/part-00000.parquet")
    (tmp_path / "t.tsv").write_text("".join(f"{title}\t{name}\n" for title, name in TYPES.items()))
    return tmp_path / "corpus"


def read_targets(corpus: Path, part: Path) -> dict[str, tuple[str, tuple[str, ...], str]]:
    rows = read_table(corpus / SCRATCH / part.name).to_pylist()
    return {row["target"]: (row["resolved_target"], tuple(row["class_path"]), row["source"]) for row in rows}


def write(corpus: Path, workers: int = 1) -> TargetReport:
    with LocalExecutor(workers) as executor:
        return write_targets(corpus, read_titles(corpus), open_knowledge([corpus.parent / "t.tsv"], "en"), executor)


def expected() -> dict[str, tuple[str, tuple[str, ...], str]]:
    ends = fold_redirects(REDIRECTS)
    resolved = {target: ends.get(target, target) for each in LINKS for target in each or ()}
    types = {title: ((name,), "t.tsv") for title, name in TYPES.items() if title != "Zed"}
    return {target: (end, *types.get(end, ((), ""))) for target, end in resolved.items()}


def test_targets_are_counted_resolved_and_typed(corpus: Path) -> None:
    report = write(corpus)
    (path,) = shard_paths(corpus / "targets")
    assert read_table(path).schema.equals(TARGETS)
    found: list[dict[str, Any]] = read_table(path).to_pylist()
    assert {row["target"]: row["links"] for row in found} == Counter(name for each in LINKS for name in each or ())
    typed = {row["target"]: (row["resolved_target"], tuple(row["class_path"]), row["source"]) for row in found}
    assert typed == expected()
    assert len(found) == len(typed)
    keys = [(-row["links"], row["target"]) for row in found]
    assert keys == sorted(keys)
    assert (report.targets, report.typed) == (9, 4)
    assert report.unresolved == [
        {"title": "Zed", "links": 5},
        {"title": "X", "links": 4},
        {"title": "Y", "links": 2},
        {"title": "Loop", "links": 1},
    ]


def test_parts_take_their_targets_and_few_untyped_titles_are_named(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(types, "_MOST_UNTYPED", 2)
    assert [entry["title"] for entry in write(corpus).unresolved] == ["Zed", "X"]
    assert sorted(path.name for path in (corpus / SCRATCH).iterdir()) == [f"part-{n:05d}.parquet" for n in range(3)]
    for path, links in zip(shard_paths(corpus / "pages"), (LINKS[:4], LINKS[4:], []), strict=True):
        names = {target for sentence in links for target in sentence or ()}
        assert read_targets(corpus, path) == {target: row for target, row in expected().items() if target in names}


def test_a_page_that_moved_keeps_its_class(corpus: Path) -> None:
    """What knows a redirect and not where it leads was made before the page moved."""
    (corpus.parent / "t.tsv").write_text("R3\tFilm\nR1\tCity\nA\tFilm\nLoop\tCity\n")
    report = write(corpus)
    rows = [row for path in shard_paths(corpus / "targets") for row in read_table(path).to_pylist()]
    found = {row["target"]: (row["resolved_target"], row["class_path"]) for row in rows}
    assert found["R3"] == ("X", ["Film"])
    assert found["X"] == ("X", [])
    assert found["R1"] == ("A", ["Film"])
    assert found["Loop"] == ("Loop", ["City"])
    part = read_targets(corpus, shard_paths(corpus / "pages")[1])
    assert part["R3"] == ("X", ("Film",), "t.tsv")
    assert report.typed == sum(bool(row["class_path"]) for row in rows)


def test_a_redirect_to_a_disambiguation_page_has_no_class(corpus: Path) -> None:
    path = corpus / "titles/part-00000.parquet"
    table = read_table(path).to_pylist()
    table.append({**table[0], "page_number": 98, "page_id": 98, "title": "Y", "redirect": "Zed"})
    write_table(pa.Table.from_pylist(table, schema=TITLES), path)
    (corpus.parent / "t.tsv").write_text("Y\tFilm\nX\tCity\n")
    write(corpus)
    rows = [row for path in shard_paths(corpus / "targets") for row in read_table(path).to_pylist()]
    assert {row["target"]: row["class_path"] for row in rows if row["target"] in "XY"} == {"Y": [], "X": ["City"]}
    assert {row["resolved_target"] for row in rows if row["target"] == "Y"} == {"Zed"}


def test_a_corpus_without_links_has_no_targets(tmp_path: Path, corpus: Path) -> None:
    for path in shard_paths(corpus / "pages"):
        path.unlink()
    report = write_targets(
        corpus, Titles({}, read_titles(corpus).superseded, 0), open_knowledge([tmp_path / "t.tsv"], "en")
    )
    assert report == TargetReport(0, 0, [])
    assert [read_table(path).num_rows for path in shard_paths(corpus / "targets")] == [0]


titles = st.sampled_from("ABCDEFGHIJKL")


def ends(pairs: list[tuple[str, str]], omitted: int = 0) -> dict[str, str]:
    with a_database() as database:
        assert write_redirects(database, iter(pairs)) == omitted
        return dict(database.execute("SELECT title, target FROM redirects").fetchall())


def folded(pairs: list[tuple[str, str]]) -> dict[str, str]:
    return {title: end for title, end in fold_redirects(dict(pairs)).items() if title != end}


@given(st.lists(st.tuples(titles, titles), max_size=30))
@settings(max_examples=60)
def test_ends_are_those_of_the_dictionary(pairs: list[tuple[str, str]]) -> None:
    assert ends(pairs) == folded(pairs)


@pytest.mark.parametrize("last", ["end", "0", "500", "999"])
def test_long_chains_and_cycles_are_folded(last: str) -> None:
    """With a cycle, all of it, half of it, or the last title alone, and titles that lead into it."""
    pairs = [(str(number), str(number + 1)) for number in range(999)] + [("999", last)]
    pairs += [(f"to {number}", str(number)) for number in range(0, 1000, 7)] + [("A", "B"), ("B", "A")]
    random.Random(1).shuffle(pairs)
    assert ends(pairs) == folded(pairs)


def test_what_leads_nowhere_is_omitted_and_counted() -> None:
    long = "é" * 1000
    pairs = [("A", ""), ("B", "x" * 1001), ("x" * 1001, "C"), ("D", "E"), (long, long[:-1] + "e")]
    assert ends(pairs, omitted=3) == {"D": "E", long: long[:-1] + "e"}
    assert ends([]) == {}
