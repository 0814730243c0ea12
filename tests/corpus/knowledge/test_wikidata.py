import bz2
import gzip
import json
import lzma
import random as randoms
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nerbert.corpus.knowledge import wikidata
from nerbert.corpus.knowledge.claims import DISAMBIGUATION, ClaimCounts, ClassPath, claims_of
from nerbert.corpus.knowledge.exports import Ontology
from nerbert.corpus.knowledge.wikidata import site_of, wikidata_answers
from nerbert.errors import InputError
from nerbert.records import Reason
from nerbert.sources import files as source_files
from nerbert.sources.files import FoundFile, read_blocks
from tests.corpus.knowledge.looking import a_database
from tests.raised import raises

DISAMBIGUATION_PAGE, CATEGORY, LIST, TEMPLATE = 4167410, 4167836, 13406463, 11266439
ONTOLOGY = Ontology(
    {
        "Agent": "",
        "Person": "Agent",
        "Artist": "Person",
        "Deep": "Artist",
        "Place": "",
        "City": "Place",
        "Template": "",
    },
    {
        "Q5": "Person",
        "Q50": "Artist",
        "Q51": "Artist",
        "Q6": "Place",
        "Q7": "City",
        f"Q{TEMPLATE}": "Template",
        "Q8": "Deep",
        "Q35120": "owl:Thing",
    },
)


@dataclass(frozen=True)
class Entity:
    """An item of a small Wikidata."""

    number: int
    title: str = ""
    classes: tuple[int, ...] = ()
    parents: tuple[int, ...] = ()

    def json(self) -> str:
        claims = {
            name: [statement(name, value) for value in values]
            for name, values in (("P31", self.classes), ("P279", self.parents))
            if values
        }
        links = {"enwiki": {"site": "enwiki", "title": self.title, "badges": []}} if self.title else {}
        return entity(self.number, claims, links)


def statement(name: str, value: int, rank: str = "normal") -> dict[str, Any]:
    item = {"entity-type": "item", "numeric-id": value, "id": f"Q{value}"}
    snak = {"snaktype": "value", "property": name, "datavalue": {"value": item, "type": "wikibase-entityid"}}
    return {"mainsnak": snak, "type": "statement", "rank": rank}


def entity(number: int, claims: dict[str, Any], links: dict[str, Any]) -> str:
    found: dict[str, Any] = {
        "type": "item",
        "id": f"Q{number}",
        "labels": [],
        "claims": claims or [],
        "sitelinks": links or [],
    }
    return json.dumps(found, separators=(",", ":"), ensure_ascii=False)


def dump(entities: Iterable[str]) -> str:
    return "[\n" + ",\n".join(entities) + "\n]\n"


def read_text(folder: Path, text: str | bytes, site: str = "enwiki") -> tuple[list[tuple[str, ClassPath]], ClaimCounts]:
    path, tally = folder / "dump", ClaimCounts()
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    found = FoundFile(path, path.name, direct=True)
    with a_database() as database:
        answers = wikidata_answers(database, found, site, ONTOLOGY, tally)
        return [(title, path) for title, _, path in claims_of(answers, tally)], tally


def read(folder: Path, *entities: Entity) -> tuple[list[tuple[str, ClassPath]], ClaimCounts]:
    return read_text(folder, dump(one.json() for one in entities))


def answer_by_walking(one: Entity, all_parents: dict[int, set[int]]) -> ClassPath | int | None:
    """What the rows should say, found by walking up from each class: a path, an unknown class, or nothing."""
    paths = {int(item[1:]): ONTOLOGY.path(name) for item, name in ONTOLOGY.equivalents.items()}

    def levels(start: int) -> Iterable[set[int]]:
        seen, level = {start}, {start}
        while level:
            yield level
            level = {parent for name in level for parent in all_parents.get(name, set())} - seen
            seen |= level

    above = [list(levels(name)) for name in one.classes]
    flat = [set().union(*found) for found in above]
    if any(DISAMBIGUATION_PAGE in found for found in flat):
        return DISAMBIGUATION
    if any({17442446, CATEGORY, LIST, TEMPLATE} & found for found in flat):
        return None
    candidates = []
    for name, found in zip(one.classes, above, strict=True):
        for far, level in enumerate(found):
            if known := [item for item in level if paths.get(item)]:
                best = min(known, key=lambda item: (-len(paths[item]), item))
                candidates.append((-len(paths[best]), far, name, paths[best]))
                break
    return min(candidates)[3] if candidates else min(one.classes, default=None)


WIKIMEDIA = (DISAMBIGUATION_PAGE, CATEGORY, LIST, TEMPLATE)
numbers = st.sampled_from([5, 50, 51, 6, 7, 8, 35120, *range(100, 112), *WIKIMEDIA])
values = st.lists(numbers, max_size=3, unique=True).map(tuple)


@st.composite
def worlds(draw: st.DrawFn) -> list[Entity]:
    names = draw(st.lists(numbers | st.integers(1, 1 << 31), unique=True, min_size=1, max_size=25))
    titled = [Entity(name, f"Page é {name}", draw(values), draw(values)) for name in names[::2]]
    return titled + [Entity(name, "", draw(values), draw(values)) for name in names[1::2]]


@given(worlds(), st.randoms())
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_dump_says_what_walking_up_says_in_any_order(
    tmp_path: Path, world: list[Entity], random: randoms.Random
) -> None:
    parents: dict[int, set[int]] = {one.number: set(one.parents) for one in world}
    answers = {one.title: answer_by_walking(one, parents) for one in world if one.title}
    rows, tally = read(tmp_path, *random.sample(world, len(world)))
    assert dict(rows) == {title: path for title, path in answers.items() if isinstance(path, tuple)}
    assert len(rows) == len(dict(rows))
    unknown = [f"Q{name}" for name in answers.values() if isinstance(name, int)]
    assert sorted(tally.unknown.elements()) == sorted(unknown)
    assert tally.rows == len(answers) == len(rows) + tally.other_rows + tally.dropped.total()
    assert (rows, tally) == read(tmp_path, *world)


def test_titles_are_normalised_and_those_of_other_wikis_do_not_count(tmp_path: Path) -> None:
    links = {site: {"site": site, "title": "Other"} for site in ("dewiki", "enwikiquote", "simplewiki")}
    mine = {"enwiki": {"site": "enwiki", "title": "\u00e9mile_Zola"}}
    person = {"P31": [statement("P31", 5)]}
    rows, tally = read_text(tmp_path, dump([entity(9, person, links | mine), entity(8, person, links)]))
    assert rows == [("Émile Zola", ("Agent", "Person"))]
    assert tally.rows == 1


@pytest.mark.parametrize(
    ("name", "language", "site"),
    [
        ("simplewiki", "en", "simplewiki"),
        ("zh_min_nanwiki", "nan", "zh_min_nanwiki"),
        ("", "nb", "nowiki"),
        ("testwiki", "de", "dewiki"),
        ("dewiki'x", "fr", "frwiki"),
        ("../dewiki", "fr", "frwiki"),
        ("", "be-tarask", "be_x_oldwiki"),
        ("", "pt-br", "pt_brwiki"),
    ],
)
def test_the_name_of_a_wikipedia_says_more_than_its_language(name: str, language: str, site: str) -> None:
    assert site_of(language, name) == site


def test_the_best_rank_of_an_items_claims_counts(tmp_path: Path) -> None:
    def page(number: int, *claims: dict[str, Any]) -> str:
        return entity(number, {"P31": list(claims)}, {"enwiki": {"title": f"P{number}"}})

    unsaid = {"mainsnak": {"snaktype": "somevalue", "property": "P31"}, "rank": "preferred"}
    lines = [
        '{"type":"property","id":"P279","claims":{"P279":[]},"labels":{}}',
        '{"type":"lexeme","id":"L1","claims":{"P279":[]}}',
        page(1, statement("P31", 50), statement("P31", 6, "preferred"), statement("P31", 8, "deprecated")),
        page(2, statement("P31", 8, "deprecated"), statement("P31", 5)),
        page(3, statement("P31", 8, "deprecated")),
        page(4, statement("P31", 5), unsaid),
    ]
    rows, tally = read_text(tmp_path, dump(lines))
    assert dict(rows) == {"P1": ("Place",), "P2": ("Agent", "Person")}
    assert (tally.rows, tally.other_rows, tally.dropped.total()) == (4, 2, 0)


@pytest.mark.parametrize(
    "line",
    [
        '{"enwiki"',
        '["enwiki"]',
        '{"id":"Q1","sitelinks":"enwiki"}',
        '{"sitelinks":{"enwiki":{"title":"A"}}}',
        '{"id":7,"claims":{},"sitelinks":{"enwiki":{"title":"A"}}}',
        '{"id":"Q1","claims":{},"sitelinks":{"enwiki":[1]}}',
        '{"id":"Q1","claims":{},"sitelinks":{"enwiki":{"title":" "}}}',
        '{"id":"Q1","claims":{},"sitelinks":{"enwiki":{"title":"\\ud800"}}}',
        '{"id":"Q4294967296","claims":{},"sitelinks":{"enwiki":{"title":"A"}}}',
        '{"id":"Q1","claims":{"P31":{"rank":1}},"sitelinks":{"enwiki":{"title":"A"}}}',
        '{"id":"Q1","claims":{"P31":[{"rank":"normal"}]},"sitelinks":{"enwiki":{"title":"A"}}}',
        '{"id":"Q1","claims":{"P279":[{"rank":"normal","mainsnak":{"snaktype":"value"}}]},"sitelinks":[]}',
        '{"enwiki":' + "[" * 100_000,
        '{"enwiki":' + "1" * 5000 + "}",
    ],
)
def test_broken_entities_are_told_and_nothing_else_is_lost(tmp_path: Path, line: str) -> None:
    rows, tally = read_text(tmp_path, dump([line, Entity(9, "A", (5,)).json()]))
    assert rows == [("A", ("Agent", "Person"))]
    assert tally.dropped == {Reason.BAD_ROW: 1}
    assert tally.bad_rows[0].startswith("dump:2:")


def test_a_line_too_long_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wikidata, "LONGEST_LINE", 2000)
    monkeypatch.setattr(source_files, "_BLOCK", 500)
    text = "\n".join([Entity(8, "B", (6,)).json(), '"enwiki"' * 3000, Entity(9, "A", (5,)).json()])
    rows, tally = read_text(tmp_path, text)
    assert dict(rows) == {"B": ("Place",), "A": ("Agent", "Person")}
    assert tally.bad_rows == ["dump:2: a line too long"]


@given(
    lines=st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"")), max_size=30),
    size=st.integers(1, 40),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_blocks_are_whole_lines_and_only_long_ones_are_lost(
    tmp_path: Path, lines: list[bytes], size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, lost = tmp_path / "lines", list[int]()
    path.write_bytes(b"\n".join(lines))
    with monkeypatch.context() as patched:
        patched.setattr(source_files, "_BLOCK", size)
        blocks = list(read_blocks(path, 15, lost.append))
    found = {
        first + n: line for first, block in blocks for n, line in enumerate(block.removesuffix(b"\n").split(b"\n"))
    }
    bom = dict(enumerate(path.read_bytes().removeprefix(source_files.BOM).split(b"\n"), 1))
    assert all(found.get(number, b"") == line for number, line in bom.items() if number not in lost)
    assert set(found) <= set(bom) - set(lost)
    assert all(len(bom[number]) > 15 for number in lost)
    assert all(number in lost for number, line in bom.items() if len(line) > 15 + size)


@pytest.mark.parametrize("pack", [bz2.compress, gzip.compress, lzma.compress])
def test_packed_dumps_are_read(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    text = dump([Entity(9, "A", (5,)).json()]).encode()
    assert read_text(tmp_path, pack(text))[0] == [("A", ("Agent", "Person"))]
    with raises(InputError, "cut off or damaged"):
        read_text(tmp_path, pack(text)[:-5])
    with raises(InputError, "no item has a page of dewiki; "):
        read_text(tmp_path, text, "dewiki")


def test_long_chains_of_classes_are_followed_once(tmp_path: Path) -> None:
    chain = [Entity(number, "", (), (number + 1,)) for number in range(1000, 6000)]
    titled = [Entity(100_000 + number, f"P{number}", (number,)) for number in range(1000, 6000)]
    rows, tally = read(tmp_path, *chain, *titled, Entity(6000, "", (), (7, 1000)))
    assert (len(rows), tally.unknown.total()) == (5000, 0)
    assert {path for _, path in rows} == {("Place", "City")}
