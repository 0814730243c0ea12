"""Which claim gives a title its class: against a dictionary, and what the database must not do."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nerbert.corpus.knowledge import database as module
from nerbert.corpus.knowledge.claims import DISAMBIGUATION, Claim, ClassPath, TitleCounts
from nerbert.corpus.knowledge.database import open_database, write_types
from nerbert.errors import InputError, WriteError
from tests.corpus.knowledge.looking import a_database
from tests.raised import raises

NAMES = ["b", "a", "b"]
PATHS: list[ClassPath] = [("P",), ("P", "C"), ("W",), ("W", "F", "G"), DISAMBIGUATION]
claims = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.tuples(st.text(st.sampled_from("aé\0\U0001f600"), max_size=3), st.integers(0, 100), st.sampled_from(PATHS)),
    ),
    max_size=40,
)

Types = dict[str, tuple[ClassPath, str] | None]


def write(
    rows: list[tuple[int, Claim]], names: list[str], shown: Collection[int] = ()
) -> tuple[Types, list[TitleCounts], int]:
    """Return every title with its class and source, None for disambiguation pages, and the counts."""
    with a_database() as database:
        counts, pages = write_types(database, rows, names, shown)
        found = database.execute(
            "SELECT title, class_path, name FROM types LEFT JOIN classes USING (class) LEFT JOIN sources USING (source)"
        ).fetchall()
    types: Types = {title: None if path is None else (tuple(path), name) for title, path, name in found}
    assert len(types) == len(found)
    return types, counts, pages


def reference(rows: list[tuple[int, Claim]], shown: Collection[int]) -> dict[str, dict[int, ClassPath]]:
    """By title, by source, the claim that counts; of source -1 that it is a disambiguation page."""
    best: dict[str, dict[int, tuple[int, int, ClassPath]]] = {}
    for number, (source, (title, behind, path)) in enumerate(rows):
        place = -1 if path == DISAMBIGUATION else source
        of_title = best.setdefault(title, {})
        order = module._draw_tie(path) if behind else number
        of_title[place] = min(of_title.get(place, (1000, 0, path)), (behind, order, path))
    for of_title in best.values():
        if -1 in of_title and of_title[-1][0] and any(place in of_title for place in shown):
            del of_title[-1]
    return {title: {place: path for place, (_, _, path) in each.items()} for title, each in best.items()}


@given(claims, st.sampled_from([(), (1,), (0, 2)]), st.integers(1, 50))
@settings(max_examples=60)
def test_the_table_says_what_a_dictionary_says(
    rows: list[tuple[int, Claim]], shown: tuple[int, ...], batch: int
) -> None:
    expected = reference(rows, shown)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_ROWS", batch)
        types, counts, pages = write(rows, NAMES, shown)
    typed = {title: min(each) for title, each in expected.items() if -1 not in each}
    assert {title: each for title, each in types.items() if each} == {
        title: (expected[title][place], NAMES[place]) for title, place in typed.items()
    }
    assert types.keys() == expected.keys()
    for place, count in enumerate(counts):
        assert count.typed == sum(place == each for each in typed.values())
        assert count.lost_to_precedence == sum(place in expected[name] and place != typed[name] for name in typed)
        assert count.disambiguation_pages == sum(place in each and -1 in each for each in expected.values())
    assert pages == sum(-1 in each for each in expected.values())


@pytest.mark.parametrize("threads", [1, 8])
def test_threads_and_little_memory_change_nothing(
    tmp_path: Path, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More rows than fit into memory are spilled into the folder, which is empty afterwards."""
    monkeypatch.setattr(module, "_MEGABYTES", 40 // (1 + threads))
    titles = [f"{number} {'x' * 500}" for number in range(50_000)]
    named = [(number, number * 5 % 7) for number in range(len(titles))] + [(n, n % 7) for n in range(len(titles))]
    rows: list[tuple[int, Claim]] = [(0, (titles[number], 1, (f"C{name}",))) for number, name in named]
    best: dict[str, str] = {}
    for number, name in named:
        other = best.get(titles[number], f"C{name}")
        best[titles[number]] = min(other, f"C{name}", key=lambda each: module._draw_tie((each,)))
    with open_database(tmp_path / "spill", threads) as database:
        write_types(database, rows, ["s"])
        found = database.execute("SELECT title, class_path[1] FROM types JOIN classes USING (class)").fetchall()
        assert any((tmp_path / "spill").iterdir())
    assert dict(found) == best
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_text('{folder}/t.csv')",
        "SELECT * FROM '{folder}/t.csv'",
        "COPY (SELECT 1) TO '{folder}/u.csv'",
        "ATTACH '{folder}/other.duckdb'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SELECT * FROM 'https://example.org/t.csv'",
        "SET memory_limit = '10GB'",
        "SET enable_external_access = true",
        "SET temp_directory = '{folder}'",
    ],
)
def test_files_the_network_and_extensions_are_out_of_reach(tmp_path: Path, statement: str) -> None:
    (tmp_path / "t.csv").write_text("a\n1\n")
    with a_database() as database, pytest.raises(duckdb.Error, match=r"(?i)disabled|locked|cannot"):
        database.execute(statement.format(folder=tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_as_many_sources_as_are_allowed_are_told_apart() -> None:
    rows: list[tuple[int, Claim]] = [(place, ("A", 0, (f"C{place}",))) for place in range(125, 40, -1)]
    types, counts, _ = write(rows, [f"s{place}" for place in range(126)])
    assert types == {"A": (("C41",), "s41")}
    assert [place for place, count in enumerate(counts) if count.typed] == [41]
    assert [place for place, count in enumerate(counts) if count.lost_to_precedence] == [*range(42, 126)]


def test_messages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of a source stays itself; one of the database is one line."""

    def damaged() -> Any:
        yield 0, ("A", 0, ("C",))
        raise InputError("t.tsv:2: damaged")

    with raises(InputError, "t.tsv:2: damaged"), a_database() as database:
        write_types(database, damaged(), ["s"])
    monkeypatch.setattr(module, "_MOST_CLASSES", 20)
    rows: list[tuple[int, Claim]] = [(0, (f"T{n}", 0, (f"C{n}",))) for n in range(21)]
    assert len(write(rows[:20], ["s"])[0]) == 20
    with raises(InputError, "more than 20 classes, at last 'C20'"):
        write(rows, ["s"])
    with raises(WriteError, "is there room on the disk?"), open_database(tmp_path / "database") as database:
        database.execute("SELECT error('No space left')")
