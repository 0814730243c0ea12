import bz2
import gzip
import json
import lzma
import random as randoms
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nerbert.corpus.knowledge import wikidata_dumps
from nerbert.corpus.knowledge.claims import DISAMBIGUATION, ClaimCounts, ClassPath
from nerbert.corpus.knowledge.detect import SourceKind
from nerbert.corpus.knowledge.ontology import Ontology
from nerbert.corpus.knowledge.wikidata import Items, wikidata_rows
from nerbert.corpus.knowledge.wikidata_dumps import Wiki
from nerbert.errors import InputError
from nerbert.records import Reason
from nerbert.sources import files as source_files
from nerbert.sources.files import FoundFile, read_blocks
from tests.corpus.knowledge.looking import a_database

WIKIDATA = "http://www.wikidata.org/"
ENGLISH = Wiki.of("en")
DISAMBIGUATION_PAGE, HUMAN_NAME_DISAMBIGUATION, CATEGORY, LIST, TEMPLATE = (
    4167410,
    22808320,
    4167836,
    13406463,
    11266439,
)
ONTOLOGY = Ontology.of(
    {"Agent": "", "Person": "Agent", "Artist": "Person", "Deep": "Artist", "Place": "", "City": "Place",
     "Template": ""},
    {"Q5": "Person", "Q50": "Artist", "Q51": "Artist", "Q6": "Place", "Q7": "City", f"Q{TEMPLATE}": "Template",
     "Q8": "Deep", "Q35120": "owl:Thing"},
)  # fmt: skip


@dataclass(frozen=True)
class Entity:
    """An item of a small Wikidata."""

    number: int
    title: str = ""
    classes: tuple[int, ...] = ()
    parents: tuple[int, ...] = ()

    def triples(self, host: str = "en.wikipedia.org") -> list[str]:
        me = f"<{WIKIDATA}entity/Q{self.number}>"
        page = f"<https://{host}/wiki/{quote(self.title.replace(' ', '_'), safe=';@$!*(),/~:')}>"
        links = [f'{page} <http://schema.org/name> "a page"@en .', f"{page} <http://schema.org/about> {me} ."]
        said = [("P31", value) for value in self.classes] + [("P279", value) for value in self.parents]
        return (links if self.title else []) + [
            f"{me} <{WIKIDATA}prop/direct/{name}> <{WIKIDATA}entity/Q{value}> ." for name, value in said
        ]

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


def read(
    path: Path,
    kind: SourceKind,
    ontology: Ontology = ONTOLOGY,
    wiki: Wiki = ENGLISH,
    table: tuple[FoundFile, ClaimCounts] | None = None,
) -> tuple[list[tuple[str, ClassPath]], ClaimCounts]:
    tally, found = ClaimCounts(), FoundFile(path, path.name, direct=True)
    with a_database() as database:
        return list(wikidata_rows(database, found, kind, wiki, ontology, tally, table)), tally


def read_text(
    folder: Path, text: str | bytes, kind: SourceKind, language: str = "en"
) -> tuple[list[tuple[str, ClassPath]], ClaimCounts]:
    path = folder / "dump"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read(path, kind, wiki=Wiki.of(language))


def triples(folder: Path, *entities: Entity, more: str = "") -> tuple[list[tuple[str, ClassPath]], ClaimCounts]:
    text = "".join(f"{line}\n" for one in entities for line in one.triples())
    return read_text(folder, text + more, SourceKind.WIKIDATA_TRIPLES)


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


numbers = st.sampled_from([5, 50, 51, 6, 7, 8, 35120, *range(100, 112), DISAMBIGUATION_PAGE, CATEGORY, TEMPLATE])
values = st.lists(numbers, max_size=3, unique=True).map(tuple)


@st.composite
def worlds(draw: st.DrawFn) -> list[Entity]:
    names = draw(st.lists(numbers | st.integers(1, 1 << 31), unique=True, min_size=1, max_size=25))
    titled = [Entity(name, f"Page é {name}", draw(values), draw(values)) for name in names[::2]]
    return titled + [Entity(name, "", draw(values), draw(values)) for name in names[1::2]]


@given(worlds(), st.randoms())
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_both_forms_say_what_walking_up_says_in_any_order(
    tmp_path: Path, world: list[Entity], random: randoms.Random
) -> None:
    parents: dict[int, set[int]] = {one.number: set(one.parents) for one in world}
    answers = {one.title: answer_by_walking(one, parents) for one in world if one.title}
    lines = [line for one in world for line in one.triples()]
    random.shuffle(lines)
    shuffled = random.sample(world, len(world))
    forms = [
        read_text(tmp_path, "\n".join(lines), SourceKind.WIKIDATA_TRIPLES),
        read_text(tmp_path, dump(one.json() for one in shuffled), SourceKind.WIKIDATA_JSON),
    ]
    for rows, tally in forms:
        assert dict(rows) == {title: path for title, path in answers.items() if isinstance(path, tuple)}
        assert len(rows) == len(dict(rows))
        unknown = [f"Q{name}" for name in answers.values() if isinstance(name, int)]
        assert sorted(tally.unknown.elements()) == sorted(unknown)
        assert tally.rows == len(answers) == len(rows) + tally.other_rows + tally.dropped.total()
    assert forms[0] == forms[1]


def test_of_several_classes_the_deepest_counts_then_the_nearest(tmp_path: Path) -> None:
    world = [
        Entity(1, "Deepest", (6, 101)), Entity(2, "Nearest", (5, 7)), Entity(101, "", (), (102,)),
        Entity(102, "", (), (50, 5)), Entity(3, "Nothing known", (104, 103)), Entity(103, "", (), (104,)),
        Entity(104, "", (), (103,)),
    ]  # fmt: skip
    rows, tally = triples(tmp_path, *world)
    assert dict(rows) == {"Deepest": ("Agent", "Person", "Artist"), "Nearest": ("Agent", "Person")}
    assert tally.unknown == {"Q103": 1}
    assert tally.dropped == {Reason.UNKNOWN_CLASS: 1}


def test_disambiguation_pages_are_told_and_other_pages_of_wikimedia_left_out(tmp_path: Path) -> None:
    rows, tally = triples(
        tmp_path,
        Entity(1, "Ada", (5, DISAMBIGUATION_PAGE)),
        Entity(2, "Ada Smith", (HUMAN_NAME_DISAMBIGUATION,)),
        Entity(HUMAN_NAME_DISAMBIGUATION, "", (), (DISAMBIGUATION_PAGE,)),
        Entity(3, "Category:Ada", (CATEGORY,)),
        Entity(4, "List of Adas", (LIST, 5)),
        Entity(5, "Template:Ada", (TEMPLATE,)),
        Entity(6, "No class"),
    )
    assert dict(rows) == {"Ada": DISAMBIGUATION, "Ada Smith": DISAMBIGUATION}
    assert (tally.rows, tally.other_rows, tally.dropped.total()) == (6, 4, 0)


def test_titles_are_unescaped_and_those_of_other_wikis_do_not_count(tmp_path: Path) -> None:
    me = f"<{WIKIDATA}entity/Q9>"
    hosts = ["de.wikipedia.org", "en.wikiquote.org", "simple.wikipedia.org", "en.wikipedia.org.example.com"]
    more = "".join(f"<https://{host}/wiki/Other> <http://schema.org/about> {me} .\n" for host in hosts)
    more += f"<http://en.wikipedia.org/wiki/AC%2FDC_%28\\u00E4%29%27s>\t<http://schema.org/about>\t{me} . \r\n"
    rows, tally = triples(tmp_path, Entity(9, "émile_Zola", (5,)), more=more)
    assert rows == [("AC/DC (ä)'s", ("Agent", "Person")), ("Émile Zola", ("Agent", "Person"))]
    assert tally.rows == 2


@pytest.mark.parametrize(
    ("language", "site", "host"),
    [("de", "dewiki", "de"), ("simple", "simplewiki", "simple"), ("zh-yue", "zh_yuewiki", "zh-yue"),
     ("be-tarask", "be_x_oldwiki", "be-tarask"), ("be-x-old", "be_x_oldwiki", "be-tarask"), ("nb", "nowiki", "no")],
)  # fmt: skip
def test_wikis_have_their_names(tmp_path: Path, language: str, site: str, host: str) -> None:
    text = "\n".join(Entity(1, "A", (5,)).triples(f"{host}.wikipedia.org"))
    assert read_text(tmp_path, text, SourceKind.WIKIDATA_TRIPLES, language)[0] == [("A", ("Agent", "Person"))]
    text = entity(1, {"P31": [statement("P31", 5)]}, {site: {"site": site, "title": "A"}})
    assert read_text(tmp_path, dump([text]), SourceKind.WIKIDATA_JSON, language)[0] == [("A", ("Agent", "Person"))]
    assert Wiki.of("pt-br") == Wiki("pt_brwiki", ("pt-br.wikipedia.org",))
    assert Wiki.of("", site) == Wiki.of(language)


@pytest.mark.parametrize(
    ("name", "language", "site", "host"),
    [
        ("enwiki", "en", "enwiki", "en"), ("simplewiki", "en", "simplewiki", "simple"),
        ("zh_yuewiki", "zh", "zh_yuewiki", "zh-yue"), ("zh_min_nanwiki", "nan", "zh_min_nanwiki", "zh-min-nan"),
        ("bhwiki", "bho", "bhwiki", "bh"), ("alswiki", "gsw", "alswiki", "als"), ("cebwiki", "ceb", "cebwiki", "ceb"),
        ("samplewiki", "en", "enwiki", "en"), ("commonswiki", "en", "enwiki", "en"), ("", "de", "dewiki", "de"),
        ("testwiki", "de", "dewiki", "de"), ("dewiktionary", "fr", "frwiki", "fr"), ("dewiki'x", "fr", "frwiki", "fr"),
        ("../dewiki", "fr", "frwiki", "fr"), ("DEWIKI", "fr", "frwiki", "fr"), ("wiki", "fr", "frwiki", "fr"),
    ],
)  # fmt: skip
def test_the_name_of_a_wikipedia_says_more_than_its_language(name: str, language: str, site: str, host: str) -> None:
    wiki = Wiki.of(language, name)
    assert (wiki.site, wiki.hosts[0]) == (site, f"{host}.wikipedia.org")


def test_the_best_rank_of_json_counts(tmp_path: Path) -> None:
    def page(number: int, *claims: dict[str, Any]) -> str:
        return entity(number, {"P31": list(claims)}, {"enwiki": {"title": f"P{number}"}})

    unsaid = {"mainsnak": {"snaktype": "somevalue", "property": "P31"}, "rank": "preferred"}
    lines = [
        page(1, statement("P31", 50), statement("P31", 6, "preferred"), statement("P31", 8, "deprecated")),
        page(2, statement("P31", 8, "deprecated"), statement("P31", 5)),
        page(3, statement("P31", 8, "deprecated")),
        page(4, statement("P31", 5), unsaid),
    ]
    rows, tally = read_text(tmp_path, dump(lines), SourceKind.WIKIDATA_JSON)
    assert dict(rows) == {"P1": ("Place",), "P2": ("Agent", "Person")}
    assert (tally.rows, tally.other_rows) == (4, 2)


def test_properties_lexemes_and_values_that_are_no_items_are_passed_over(tmp_path: Path) -> None:
    page = "<https://en.wikipedia.org/wiki/A>"
    more = [
        f"<{WIKIDATA}entity/P31> <{WIKIDATA}prop/direct/P31> <{WIKIDATA}entity/Q5> .",
        f"<{WIKIDATA}entity/L7-S1> <{WIKIDATA}prop/direct/P31> <{WIKIDATA}entity/Q5> .",
        f"<{WIKIDATA}entity/Q1> <{WIKIDATA}prop/direct/P31> <{WIKIDATA}.well-known/genid/abc> .",
        f"<{WIKIDATA}entity/Q1> <{WIKIDATA}prop/direct/P31> _:b1 .",
        f"<{WIKIDATA}prop/direct/P31> <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <http://example.com/P> .",
        f'<{WIKIDATA}entity/Q1> <{WIKIDATA}prop/direct/P1> "</prop/direct/P31>" .',
        f'{page} <http://schema.org/inLanguage> "en" .',
    ]
    rows, tally = triples(tmp_path, Entity(1, "A"), more="\n".join(more))
    assert (rows, tally.rows, tally.dropped.total()) == ([], 1, 0)
    lines = [
        '{"type":"property","id":"P279","claims":{"P279":[]},"labels":{}}',
        '{"type":"lexeme","id":"L1","claims":{"P279":[]}}',
        entity(1, {"P31": [statement("P31", 5)]}, {"enwiki": {"title": "A"}}),
    ]
    rows, tally = read_text(tmp_path, dump(lines), SourceKind.WIKIDATA_JSON)
    assert (rows, tally.dropped.total()) == ([("A", ("Agent", "Person"))], 0)


@pytest.mark.parametrize(
    "line",
    [
        b"<entity/Q1> <http://www.wikidata.org/prop/direct/P31> <http://www.wiki",
        b"<entity/Q4294967296> <http://www.wikidata.org/prop/direct/P31> <entity/Q5> .",
        b"<entity/Q1> <http://www.wikidata.org/prop/direct/P279> <entity/Q4294967296> .",
        b"<https://en.wikipedia.org/wiki/%FF> <http://schema.org/about> <entity/Q5> .",
        b"<https://en.wikipedia.org/wiki/\xff> <http://schema.org/about> <entity/Q5> .",
        b"<https://en.wikipedia.org/wiki/\\uD800> <http://schema.org/about> <entity/Q5> .",
        b"<https://en.wikipedia.org/wiki/> <http://schema.org/about> <entity/Q5> .",
        b"<https://en.wikipedia.org/wiki/" + b"x" * 1001 + b"> <http://schema.org/about> <entity/Q5> .",
    ],
)
def test_broken_triples_are_told_and_nothing_else_is_lost(tmp_path: Path, line: bytes) -> None:
    line = line.replace(b"<entity/", f"<{WIKIDATA}entity/".encode())
    good = "\n".join(Entity(9, "A", (5,)).triples()).encode()
    rows, tally = read_text(tmp_path, good + b"\n" + line + b"\n" + good, SourceKind.WIKIDATA_TRIPLES)
    assert rows == [("A", ("Agent", "Person"))]
    assert tally.dropped == {Reason.BAD_ROW: 1}
    assert [text[:7] for text in tally.bad_rows] == ["dump:4:"]
    assert len(tally.bad_rows[0]) < 250


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
    rows, tally = read_text(tmp_path, dump([line, Entity(9, "A", (5,)).json()]), SourceKind.WIKIDATA_JSON)
    assert rows == [("A", ("Agent", "Person"))]
    assert tally.dropped == {Reason.BAD_ROW: 1}
    assert tally.bad_rows[0].startswith("dump:2:")


class Counted(bytes):
    """Bytes that note how many of them were searched for lines."""

    searched = 0

    def count(self, sub: Any, start: Any = 0, end: Any = None, /) -> int:
        Counted.searched += (len(self) if end is None else end) - start
        return super().count(sub, start, end)


def test_numbering_bad_lines_reads_a_block_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = Entity(9, "A", (5,)).triples()
    bad = [f"<{WIKIDATA}entity/Q5> <{WIKIDATA}prop/direct/P31> broken"] * 500
    text = "\n".join([*good, *bad, *good]).encode()
    monkeypatch.setattr(Counted, "searched", 0)
    monkeypatch.setattr(wikidata_dumps, "read_blocks", lambda *_: [(1, Counted(text))])
    told: list[int] = []
    with a_database() as database:
        wikidata_dumps.read_triples(tmp_path / "x", ENGLISH, Items(database), lambda number, _: told.append(number))
    assert told == [*range(len(good) + 1, len(good) + 501)]
    assert Counted.searched <= len(text) * 4


@pytest.mark.parametrize("kind", [SourceKind.WIKIDATA_TRIPLES, SourceKind.WIKIDATA_JSON])
def test_a_line_too_long_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: SourceKind) -> None:
    monkeypatch.setattr(wikidata_dumps, "LONGEST_LINE", 2000)
    monkeypatch.setattr(source_files, "_BLOCK", 500)
    first, last = Entity(8, "B", (6,)), Entity(9, "A", (5,))
    good = [[one.json()] if kind == SourceKind.WIKIDATA_JSON else one.triples() for one in (first, last)]
    text = "\n".join([*good[0], '"enwiki"' * 3000, *good[1]])
    rows, tally = read_text(tmp_path, text, kind)
    assert dict(rows) == {"B": ("Place",), "A": ("Agent", "Person")}
    assert tally.bad_rows == [f"dump:{len(good[0]) + 1}: a line too long"]


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
    assert read_text(tmp_path, pack(text), SourceKind.WIKIDATA_JSON)[0] == [("A", ("Agent", "Person"))]
    with pytest.raises(InputError, match="cut off or damaged"):
        read_text(tmp_path, pack(text)[:-5], SourceKind.WIKIDATA_JSON)


def test_a_dump_that_names_no_page_of_the_wiki_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no item has a page of dewiki; .* give .*latest-all\.json"):
        read_text(tmp_path, "\n".join(Entity(9, "A", (5,)).triples()), SourceKind.WIKIDATA_TRIPLES, "de")


def test_long_chains_of_classes_are_followed_once(tmp_path: Path) -> None:
    chain = [Entity(number, "", (), (number + 1,)) for number in range(1000, 6000)]
    titled = [Entity(100_000 + number, f"P{number}", (number,)) for number in range(1000, 6000)]
    rows, tally = triples(tmp_path, *chain, *titled, Entity(6000, "", (), (7, 1000)))
    assert (len(rows), tally.unknown.total()) == (5000, 0)
    assert {path for _, path in rows} == {("Place", "City")}
