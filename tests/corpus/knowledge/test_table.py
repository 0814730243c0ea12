"""The table of types: against a dictionary, whatever the runs, ranges, batches and collisions."""

import itertools
import random as randoms
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import ipc

from nerbert.corpus.knowledge import hashed, mapped, table
from nerbert.corpus.knowledge.answers import DISAMBIGUATION, Claim, ClassPath
from nerbert.corpus.knowledge.hashed import hash_titles
from nerbert.corpus.knowledge.mapped import write_mapped
from nerbert.corpus.knowledge.precedence import ordered
from nerbert.corpus.knowledge.table import TYPES, Decided, TypeTable, write_types
from nerbert.errors import InputError, SettingsError

NAMES = ["b", "a", "b"]
PATHS: list[ClassPath] = [("P",), ("P", "C"), ("W",), ("W", "F", "G"), DISAMBIGUATION]
claims = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.tuples(st.text(st.sampled_from("aé\U0001f600"), max_size=3), st.integers(0, 100), st.sampled_from(PATHS)),
    ),
    max_size=40,
)


@pytest.fixture(autouse=True, params=[False, True], ids=["plain", "tiny"])
def sizes(request: pytest.FixtureRequest) -> Iterator[None]:
    """All as it is, and with a handful of rows a run, a range and a batch, and hashes that collide."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param:
            patch.setattr(hashed, "_RUN_ROWS", 3)
            patch.setattr(hashed, "_RANGE_BYTES", 4000)
            patch.setattr(mapped, "_BATCH", 2)
            for module in (hashed, mapped):
                patch.setattr(module, "hash_titles", few_hashes)
        yield


def few_hashes(titles: Any) -> Any:
    return hash_titles(titles) >> np.uint64(62) << np.uint64(62)


def write(folder: Path, rows: list[tuple[int, Claim]], names: list[str]) -> tuple[Path, Decided]:
    path = folder / "knowledge.arrow"
    decided = write_types(rows, names, path, folder / "scratch")
    assert list(folder.iterdir()) == [path]
    return path, decided


def reference(rows: list[tuple[int, Claim]]) -> dict[str, dict[int, ClassPath]]:
    """By title, by source, the claim that counts."""
    best: dict[str, dict[int, tuple[int, int, ClassPath]]] = {}
    for number, (source, (title, behind, path)) in enumerate(rows):
        place = -1 if path == DISAMBIGUATION else source
        of_title = best.setdefault(title, {})
        of_title[place] = min(of_title.get(place, (1000, 0, path)), (behind, number, path))
    return {title: {place: path for place, (_, _, path) in each.items()} for title, each in best.items()}


@given(claims)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_table_says_what_a_dictionary_says(rows: list[tuple[int, Claim]]) -> None:
    expected = reference(rows)
    with TemporaryDirectory() as folder:
        path, decided = write(Path(folder), rows, NAMES)
        types = TypeTable(path)
        asked = [*expected, "absent", *reversed(expected), ""]
        found = {title: (each.class_path, each.source) for title, each in types.types_of(asked).items()}
        typed = {title: min(each) for title, each in expected.items() if -1 not in each}
        assert found == {title: (expected[title][place], NAMES[place]) for title, place in typed.items()}
        assert len(types) == len(typed)
        assert types.places_of([])[0].tolist() == []
    for place in range(3):
        assert decided.typed[place] == sum(place == each for each in typed.values())
        assert decided.lost[place] == sum(place in expected[title] and place != typed[title] for title in typed)
        assert decided.barred[place] == sum(place in each and -1 in each for each in expected.values())
    assert decided.disambiguation_pages == sum(-1 in each for each in expected.values())


@given(claims, st.randoms())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bytes_do_not_depend_on_the_order(rows: list[tuple[int, Claim]], random: randoms.Random) -> None:
    """Where no two rows of a source claim the same title; and when sources change places and claims with them."""
    rows = list({(source, claim[0]): (source, claim) for source, claim in rows}.values())
    digests = []
    for _ in range(2):
        with TemporaryDirectory() as folder:
            digests.append(write(Path(folder), rows, NAMES)[0].read_bytes())
        random.shuffle(rows)
    assert digests[0] == digests[1]


def test_the_file_opens_elsewhere(tmp_path: Path) -> None:
    rows: list[tuple[int, Claim]] = [(0, (f"T{n}", 0, PATHS[n % 4])) for n in range(7)]
    path, _ = write(tmp_path, rows, ["s"])
    frame = polars.read_ipc(path)
    assert frame.columns == ["hash", "title", "class", "source"]
    assert sorted(frame["title"].to_list()) == [f"T{n}" for n in range(7)]
    assert frame["hash"].is_sorted()
    with pa.memory_map(str(path)) as source:
        metadata = ipc.open_file(source).schema.metadata
    assert metadata[b"sources"] == b'["s"]'
    assert metadata[b"classes"] == b'[["P"], ["P", "C"], ["W"], ["W", "F", "G"]]'


def test_the_hash_is_blake2b_of_utf8() -> None:
    assert hash_titles([]).tolist() == []
    assert hash_titles(["Zürich"]).tolist() == [int("707438faa779d508", 16)]


def test_damage_and_other_versions_are_refused(tmp_path: Path) -> None:
    rows: list[tuple[int, Claim]] = [(0, (f"T{n}", 0, ("A",))) for n in range(50)]
    path, _ = write(tmp_path, rows, ["s"])
    whole = path.read_bytes()
    for broken in (b"", whole[:-1], whole[: len(whole) // 2], whole[8:], b"x" * 1000):
        path.write_bytes(broken)
        with pytest.raises(InputError, match=r"knowledge.arrow: not a readable table .*build the corpus again"):
            TypeTable(path)
    with pytest.raises(InputError, match="not a readable table"):
        TypeTable(tmp_path / "absent")
    path.write_bytes(whole.replace(b'"A"', b'"\xff"'))
    with pytest.raises(InputError, match="not a readable table"):
        TypeTable(path)
    write_mapped([], TYPES, {"format": 2, "classes": [], "sources": []}, path)
    with pytest.raises(InputError, match="not a table of this version"):
        TypeTable(path)
    write_mapped([], pa.schema([("hash", pa.uint64())]), {}, path)
    with pytest.raises(InputError, match="not a table of this version"):
        TypeTable(path)
    for facts in ({}, {"classes": [["A"]], "sources": "s"}, {"classes": ["A"], "sources": []}, {"classes": 1}):
        write_mapped([], TYPES, facts, path)
        with pytest.raises(InputError, match="metadata names no classes or sources"):
            TypeTable(path)


def test_a_class_without_a_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "knowledge.arrow"
    title = ["T"]
    columns = [pa.array(hashed.hash_titles(title)), title, pa.array([7], pa.uint16()), pa.array([0], pa.uint16())]
    write_mapped([pa.table(columns, TYPES)], TYPES, {"classes": [["A"]], "sources": ["s"]}, path)
    with pytest.raises(InputError, match=r"damaged \(class 7\)"):
        TypeTable(path).types_of(title)


def test_too_many_classes_or_sources_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "_MOST_CLASSES", 20)
    rows = ((0, (f"T{n}", 0, (f"C{n}",))) for n in range(21))
    with pytest.raises(InputError, match=r"more than 20 classes, at last 'C20'"):
        write_types(rows, ["s"], tmp_path / "k", tmp_path / "one")
    with pytest.raises(InputError, match="join some"):
        write_types([], ["s"] * 2000, tmp_path / "k", tmp_path / "two")


SOURCES = [("a.nt", "instance-types"), ("t.tsv", "table"), ("m.xml", "infobox"), ("u.tsv", "table")]


@pytest.mark.parametrize(
    ("precedence", "order"),
    [
        ("", [0, 1, 2, 3]),
        (",, ", [0, 1, 2, 3]),
        ("table", [1, 3, 0, 2]),
        ("u.tsv,table", [3, 1, 0, 2]),
        ("infobox, u.tsv", [2, 3, 0, 1]),
        ("table,u.tsv,a.nt", [1, 3, 0, 2]),
    ],
)
def test_what_is_not_named_follows_in_its_order(precedence: str, order: list[int]) -> None:
    assert ordered(SOURCES, precedence) == order


@given(st.lists(st.sampled_from(list(itertools.chain(*SOURCES)))))
def test_the_order_holds_every_source_once(entries: list[str]) -> None:
    order = ordered(SOURCES, ",".join(entries))
    assert sorted(order) == [0, 1, 2, 3]
    assert not entries or entries[0] in SOURCES[order[0]]


def test_an_entry_that_fits_nothing_names_what_is_there() -> None:
    with pytest.raises(
        SettingsError, match=r"'wikidata' is no source in use; there are a.nt \(instance-types\), t.tsv"
    ):
        ordered(SOURCES, "table,wikidata")
