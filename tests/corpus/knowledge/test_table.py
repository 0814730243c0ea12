"""The table of types: against a dictionary, whatever the runs, ranges, batches and collisions."""

import itertools
import random as randoms
from collections.abc import Collection, Iterator
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

from nerbert.corpus.knowledge import external_sort as hashed
from nerbert.corpus.knowledge import mmap_table as mapped
from nerbert.corpus.knowledge import table
from nerbert.corpus.knowledge.claims import DISAMBIGUATION, Claim, ClassPath
from nerbert.corpus.knowledge.external_sort import hash_titles
from nerbert.corpus.knowledge.knowledge import ordered
from nerbert.corpus.knowledge.mmap_table import write_mapped
from nerbert.corpus.knowledge.table import ABSENT, BARRED, TYPES, Decided, TypeTable, write_types
from nerbert.errors import InputError, SettingsError
from tests.corpus.knowledge.looking import shrink, types_of

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
            shrink(patch)
            for module in (hashed, mapped):
                patch.setattr(module, "hash_titles", few_hashes)
        yield


def few_hashes(titles: Any) -> Any:
    return hash_titles(titles) >> np.uint64(62) << np.uint64(62)


def write(
    folder: Path, rows: list[tuple[int, Claim]], names: list[str], shown: Collection[int] = ()
) -> tuple[Path, Decided]:
    path = folder / "knowledge.arrow"
    decided = write_types(rows, names, path, folder / "scratch", shown)
    assert list(folder.iterdir()) == [path]
    return path, decided


def reference(rows: list[tuple[int, Claim]], shown: Collection[int]) -> dict[str, dict[int, ClassPath]]:
    """By title, by source, the claim that counts; of source -1 that it is a disambiguation page."""
    best: dict[str, dict[int, tuple[int, int, ClassPath]]] = {}
    for number, (source, (title, behind, path)) in enumerate(rows):
        place = -1 if path == DISAMBIGUATION else source
        of_title = best.setdefault(title, {})
        order = table._drawn(path) if behind else number
        of_title[place] = min(of_title.get(place, (1000, 0, path)), (behind, order, path))
    for of_title in best.values():
        if -1 in of_title and of_title[-1][0] and any(place in of_title for place in shown):
            del of_title[-1]
    return {title: {place: path for place, (_, _, path) in each.items()} for title, each in best.items()}


@given(claims, st.sampled_from([(), (1,), (0, 2)]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_table_says_what_a_dictionary_says(rows: list[tuple[int, Claim]], shown: tuple[int, ...]) -> None:
    expected = reference(rows, shown)
    with TemporaryDirectory() as folder:
        path, decided = write(Path(folder), rows, NAMES, shown)
        asked = [*expected, "absent", *reversed(expected), ""]
        typed = {title: min(each) for title, each in expected.items() if -1 not in each}
        assert types_of(path, asked) == {
            title: (expected[title][place], NAMES[place]) for title, place in typed.items()
        }
        barred = [BARRED if -1 in each else 0 for each in expected.values()]
        assert np.minimum(TypeTable(path).places_of(list(expected))[0], 0).tolist() == barred
        assert TypeTable(path).places_of(["absent"])[0].tolist() == [ABSENT]
        assert TypeTable(path).places_of([])[0].tolist() == []
    for place in range(3):
        assert decided.typed[place] == sum(place == each for each in typed.values())
        assert decided.lost[place] == sum(place in expected[title] and place != typed[title] for title in typed)
        assert decided.barred[place] == sum(place in each and -1 in each for each in expected.values())
    assert decided.disambiguation_pages == sum(-1 in each for each in expected.values())


def test_what_a_redirect_leads_to_comes_before_itself_and_disambiguation_before_both(tmp_path: Path) -> None:
    rows: list[tuple[int, Claim]] = [
        (0, ("Old", 0, ("C",))), (0, ("New", 0, ("P",))), (0, ("List", 0, DISAMBIGUATION)), (0, ("Own", 0, ("W",))),
    ]  # fmt: skip
    types = TypeTable(write(tmp_path, rows, ["s"])[0])
    titles, ends = ["Old", "Old", "Old", "X", "Own", "List"], ["New", "Unknown", "List", "Y", "Own", "Unknown"]
    classes, sources = types.places_at_end(titles, ends)
    assert [types.classes[place] if place >= 0 else () for place in classes.tolist()] == [
        ("P",), ("C",), (), (), ("W",), (),
    ]  # fmt: skip
    assert sources.tolist() == [0, 0, -1, -1, 0, -1]
    assert classes.min() == ABSENT


@given(claims, st.randoms())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bytes_do_not_depend_on_the_order(rows: list[tuple[int, Claim]], random: randoms.Random) -> None:
    """Where of a title no two claims of a source stand back by nothing, as with triples."""
    rows = list({(source, claim if claim[1] else claim[0]): (source, claim) for source, claim in rows}.values())
    digests = []
    for _ in range(2):
        with TemporaryDirectory() as folder:
            digests.append(write(Path(folder), rows, NAMES)[0].read_bytes())
        random.shuffle(rows)
    assert digests[0] == digests[1]


def test_the_file_opens_elsewhere(tmp_path: Path) -> None:
    rows: list[tuple[int, Claim]] = [(0, (f"T{n}", 0, PATHS[n % 4])) for n in range(7)]
    path, _ = write(tmp_path, [*rows, (0, ("L", 0, DISAMBIGUATION))], ["s"])
    frame = polars.read_ipc(path)
    assert frame.columns == ["hash", "title", "class", "source"]
    assert sorted(frame["title"].to_list()) == ["L", *(f"T{n}" for n in range(7))]
    assert frame["hash"].is_sorted()
    assert frame.filter(polars.col("title") == "L").select("class", "source").row(0) == (None, None)
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
        TypeTable(path).places_of(title)


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
        ("wikidata,infobox,instance-types,table", [2, 0, 1, 3]),
    ],
)
def test_what_is_not_named_follows_in_its_order(precedence: str, order: list[int]) -> None:
    assert ordered(dict(enumerate(SOURCES)), precedence) == order


@given(st.lists(st.sampled_from(list(itertools.chain(*SOURCES)))))
def test_the_order_holds_every_source_once(entries: list[str]) -> None:
    order = ordered(dict(enumerate(SOURCES)), ",".join(entries))
    assert sorted(order) == [0, 1, 2, 3]
    assert not entries or entries[0] in SOURCES[order[0]]


def test_an_entry_that_fits_nothing_names_what_is_there() -> None:
    with pytest.raises(
        SettingsError, match=r"'wikidate' is no source in use; there are a.nt \(instance-types\), .*kinds are infobox"
    ):
        ordered(dict(enumerate(SOURCES)), "table,wikidate")
