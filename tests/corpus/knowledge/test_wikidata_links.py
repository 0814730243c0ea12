"""Wikidata's table of links to pages: read as MySQL would, and beside a truthy dump as good as a full one."""

import gzip
import random as randoms
import re
import tracemalloc
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nerbert.corpus.knowledge import wikidata_dumps
from nerbert.corpus.knowledge.claims import ClaimCounts, ClassPath
from nerbert.corpus.knowledge.detect import SourceKind
from nerbert.corpus.knowledge.knowledge import open_knowledge
from nerbert.corpus.knowledge.wikidata_dumps import read_links
from nerbert.corpus.wikitext.titles import normalise_title
from nerbert.errors import InputError
from nerbert.records import Reason
from nerbert.sources.files import FoundFile
from tests.corpus.knowledge.test_knowledge import typed, wiki
from tests.corpus.knowledge.test_wikidata import ENGLISH, Entity, read, read_text, worlds

HEAD = "-- MariaDB dump 10.19\n--\nDROP TABLE IF EXISTS `wb_items_per_site`;\nCREATE TABLE `wb_items_per_site` (\n);\n"
ESCAPES = {"\\": "\\\\", "'": "\\'", '"': '\\"', "\n": "\\n", "\r": "\\r", "\x00": "\\0", "\x1a": "\\Z"}
MEANT = {written: letter for letter, written in ESCAPES.items()} | {
    "\\t": "\t",
    "\\b": "\b",
    "\\%": "\\%",
    "\\_": "\\_",
}
PERSON = ("Agent", "Person")
Row = tuple[int, str, str]


def escaped(title: str) -> str:
    return "".join(ESCAPES.get(letter, letter) for letter in title)


def row(item: int, site: str, title: str) -> str:
    return f"({item * 7},{item},'{site}','{escaped(title)}')"


def sql(rows: Iterable[Row], between: str = ",", after: str = " ", many: int = 1000) -> bytes:
    """A table as mysqldump writes it: rows of a statement on one line, or, `between` says so, each on its own."""
    written = [row(*each) for each in rows]
    statements = [between.join(written[begin : begin + many]) for begin in range(0, len(written), many)]
    inserts = [f"INSERT INTO `wb_items_per_site` VALUES{after}{rows};\n" for rows in statements]
    return (HEAD + "".join(inserts) + "UNLOCK TABLES;\n").encode()


class Kept:
    """What keeps its titles in order."""

    def __init__(self) -> None:
        self.kept: list[tuple[int, str]] = []

    def add_title(self, item: int, title: str) -> None:
        self.kept.append((item, title))

    def add_class(self, item: int, name: int) -> None:
        raise NotImplementedError

    add_parent = add_class


def links(path: Path, data: bytes, site: str = "enwiki") -> tuple[list[tuple[int, str]], list[tuple[int, bytes]]]:
    """The titles of a site, and the bad rows."""
    path.write_bytes(data)
    items, bad = Kept(), list[tuple[int, bytes]]()
    read_links(path, site, items, lambda place, text: bad.append((place, text)))
    return items.kept, bad


titles = st.text(min_size=1, max_size=40) | st.text("'\\,()\"; \nenwiki12`", min_size=1, max_size=30)
sites = st.sampled_from(["enwiki", "dewiki", "enwikiquote", "simplewiki", "zh_yuewiki"])
rows = st.lists(st.tuples(st.integers(1, (1 << 32) - 1), sites, titles), max_size=60)


@given(
    table=rows,
    form=st.sampled_from([(",", " "), (",\n", "\n")]),
    many=st.integers(1, 40),
    block=st.integers(1, 400),
)
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_table_says_what_was_written(
    tmp_path: Path, table: list[Row], form: tuple[str, str], many: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(wikidata_dumps, "_BLOCK", block)
        patched.setattr(wikidata_dumps, "_AFTER", 200)
        for site in ("enwiki", "zh_yuewiki"):
            found, bad = links(tmp_path / "t", sql(table, *form, many), site)
            wanted = [(item, normalise_title(title)) for item, name, title in table if name == site]
            assert found == [each for each in wanted if each[1]]
            assert len(bad) == sum(not title for _, title in wanted)


def naive(text: str, site: str) -> tuple[list[tuple[int, str]], int]:
    """Read a table letter by letter, from each place where a row of the site could begin."""
    found, bad = list[tuple[int, str]](), 0
    for mark in re.finditer(rf",'{site}','", text):
        numbers = re.search(r"\((\d{1,20}),([1-9]\d{0,9})$", text[: mark.start()])
        title, place, closed = "", mark.end(), False
        while place < len(text) and not closed:
            pair = text[place : place + 2]
            closed = text[place] == "'" and pair != "''"
            if pair[0] == "\\" or pair == "''":
                title, place = title + MEANT.get(pair, pair[1:]), place + 1
            elif not closed:
                title += text[place]
            place += 1
        title = normalise_title(title)
        if numbers and closed and text[place : place + 1] == ")" and title and 0 < int(numbers[2]) < 1 << 32:
            found.append((int(numbers[2]), title))
        else:
            bad += 1
    return found, bad


@given(table=rows, random=st.randoms(), block=st.integers(1, 300))
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_table_loses_only_what_is_damaged(
    tmp_path: Path, table: list[Row], random: randoms.Random, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = sql(table, many=5).decode()
    for _ in range(random.randint(1, 3)):
        place = random.randrange(len(text))
        text = text[:place] + random.choice(["", "'", "\\", ",", "(", ")", "''"]) + text[place + random.randint(0, 9) :]
    with monkeypatch.context() as patched:
        patched.setattr(wikidata_dumps, "_BLOCK", block)
        patched.setattr(wikidata_dumps, "_AFTER", 600)
        found, bad = links(tmp_path / "t", text.encode())
    assert (found, len(bad)) == naive(text, "enwiki")
    assert all(text.encode()[place:].startswith(b",'enwiki','") for place, _ in bad)


@pytest.mark.parametrize(
    "bad",
    [
        b"(1,0,'enwiki','A')", b"(1,'enwiki','A')", b"(1,x,'enwiki','A')", b"1,2,'enwiki','A')", b"(1,02,'enwiki','A')",
        b"(1,4294967296,'enwiki','A')", b"(1,-2,'enwiki','A')", b"(1,2,'enwiki','')", b"(1,2,'enwiki',' _')",
        b"(1,2,'enwiki','A", b"(1,2,'enwiki','A'", b"(1,2,'enwiki','A\\')", b"(1,2,'enwiki','A',7)",
        b"(1,2,'enwiki','\xff')", b"(1,2,'enwiki','\xed\xa0\x80')", b"(1,2,'enwiki','" + b"x" * 1100 + b"')",
        b"(1,2,'enwiki','", b"(1,2,'enwiki','" + b"\\" * 1101 + b"')", b"(" + b"1" * 50 + b",2,'enwiki','A')",
    ],
)  # fmt: skip
def test_broken_rows_are_told_and_nothing_after_them_is_lost(tmp_path: Path, bad: bytes) -> None:
    first, last = row(8, "enwiki", "B").encode(), row(9, "enwiki", "O'A").encode()
    data = HEAD.encode() + b"INSERT INTO `wb_items_per_site` VALUES " + b",".join((first, bad, last)) + b";\n"
    found, told = links(tmp_path / "t", data)
    assert found == [(8, "B"), (9, "O'A")]
    assert [data[place:].startswith(b",'enwiki','") for place, _ in told] == [True]
    assert bad.partition(b"enwiki")[2][:50] in told[0][1]
    assert b"\n" not in told[0][1]


def test_what_mysql_escapes_is_unescaped(tmp_path: Path) -> None:
    data = rb"""(1,2,'enwiki','a\'b''c\\d\"e\tf\ng\rh\Zi\0j\bk\%l\_m\qn'),(3,4,'enwiki','X(1,2,\'enwiki\',\'Y\')')"""
    found, bad = links(tmp_path / "t", data)
    assert found == [(2, "A'b'c\\d\"e f g h\x1ai\0j\bk\\%l\\ mqn"), (4, "X(1,2,'enwiki','Y')")]
    assert bad == []


def test_memory_does_not_grow_with_a_statement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A statement of megabytes on one line, most of it without the wiki, is read by blocks."""
    wanted = [*range(9, 9000, 9), 79_999]
    table = [(number, "enwiki" if number in wanted else "dewiki", f"Page {number}") for number in range(1, 80_000)]
    path = tmp_path / "t"
    path.write_bytes(sql(table, many=100_000))
    assert max(map(len, path.read_bytes().split(b"\n"))) > 2_000_000
    monkeypatch.setattr(wikidata_dumps, "_BLOCK", 10_000)
    items = Kept()
    tracemalloc.start()
    read_links(path, "enwiki", items, lambda _, __: None)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [item for item, _ in items.kept] == wanted
    assert peak < 1_000_000


def truthy(world: Iterable[Entity]) -> list[str]:
    return [line for one in world for line in one.triples() if "/prop/direct/" in line]


def read_both(folder: Path, triples: str, table: bytes) -> tuple[list[tuple[str, ClassPath]], ClaimCounts, ClaimCounts]:
    """Read a truthy dump with a table of links."""
    (folder / "truthy").write_text(triples, encoding="utf-8")
    (folder / "links").write_bytes(table)
    tally = ClaimCounts()
    found = FoundFile(folder / "links", "links", direct=True)
    return *read(folder / "truthy", SourceKind.WIKIDATA_TRUTHY, wiki=ENGLISH, table=(found, tally)), tally


@given(worlds(), st.randoms())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_truthy_triples_and_links_say_what_the_full_dump_says(
    tmp_path: Path, world: list[Entity], random: randoms.Random
) -> None:
    full = [line for one in world for line in one.triples()]
    table = [(one.number, site, one.title) for one in world if one.title for site in ("enwiki", "dewiki")]
    for each in (full, lines := truthy(world), table):
        random.shuffle(each)
    rows, tally, links_tally = read_both(tmp_path, "\n".join(lines), gzip.compress(sql(table)))
    assert (rows, tally) == read_text(tmp_path, "\n".join(full), SourceKind.WIKIDATA_TRIPLES)
    assert (links_tally.rows, links_tally.dropped.total()) == (len(table) // 2, 0)


def test_bad_rows_count_for_the_table(tmp_path: Path) -> None:
    table = sql([(9, "enwiki", "A")]) + b"INSERT INTO `wb_items_per_site` VALUES (1,x,'enwiki','B'),(2,3,'dewiki','C"
    rows, tally, links_tally = read_both(tmp_path, "\n".join(truthy([Entity(9, "", (5,))])), table)
    assert rows == [("A", PERSON)]
    assert (tally.rows, tally.dropped.total()) == (1, 0)
    assert (links_tally.rows, links_tally.dropped) == (2, {Reason.BAD_ROW: 1})
    assert re.fullmatch(r"links:byte \d+: \(1,x,'enwiki','B.*", links_tally.bad_rows[0])


def test_a_table_without_the_wiki_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"links: no item has a page of enwiki; .*--set wiki="):
        read_both(tmp_path, "\n".join(truthy([Entity(9, "", (5,))])), sql([(9, "dewiki", "A")]))


ONTOLOGY = wiki(
    "<page><title>OntologyClass:Person</title><revision><text>{{Class | owl:equivalentClass = wikidata:Q5}}</text>"
    "</revision></page>"
)


def knowledge_files(folder: Path) -> dict[str, Path]:
    contents = {
        "ontology": ONTOLOGY.encode(),
        "truthy": "".join(f"{line}\n" for line in truthy([Entity(9, "", (5,)), Entity(8, "", (5,))])).encode(),
        "links": gzip.compress(sql([(9, "enwiki", "A"), (8, "simplewiki", "B"), (8, "enwiki", "Category:B")])),
        "titles": b"title\tclass\nA\tPerson\n",
    }
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    return {name: folder / name for name in contents}


@pytest.mark.parametrize("order", ["ontology truthy links", "links truthy ontology", "truthy ontology links"])
def test_knowledge_reads_both_in_any_order(tmp_path: Path, order: str) -> None:
    files = knowledge_files(tmp_path)
    knowledge = open_knowledge([files[name] for name in order.split()], "en", wiki="enwiki")
    assert knowledge.passed_over == ()
    assert typed(knowledge, "A", "B", "Category:B") == dict.fromkeys(["A", "Category:B"], ("Person", "truthy"))
    report: Any = knowledge.report()
    used = {source["path"]: source for source in report["used"]}
    assert used["links"]["kind"] == "wikidata sitelinks"
    assert (used["links"]["rows"], used["truthy"]["rows"], used["truthy"]["typed"]) == (2, 2, 2)


@pytest.mark.parametrize(("name", "titles"), [("simplewiki", ["B"]), ("samplewiki", ["A", "Category:B"])])
def test_the_name_of_the_wiki_chooses_the_links(tmp_path: Path, name: str, titles: list[str]) -> None:
    files = knowledge_files(tmp_path)
    del files["titles"]
    knowledge = open_knowledge(list(files.values()), "en", wiki=name)
    assert typed(knowledge, "A", "B", "Category:B") == dict.fromkeys(titles, ("Person", "truthy"))


def test_one_without_the_other_is_passed_over_or_refused(tmp_path: Path) -> None:
    files = knowledge_files(tmp_path)
    links, truthy = files.pop("links"), files.pop("truthy")
    knowledge = open_knowledge([*files.values(), links], "en")
    assert [(name, "latest-truthy.nt.gz" in why) for name, why in knowledge.passed_over] == [("links", True)]
    with pytest.raises(InputError, match=r"truthy: .*wb_items_per_site\.sql\.gz.*latest-all\.json\.gz"):
        open_knowledge([*files.values(), truthy], "en")
    links.unlink()
    assert [name for name, _ in open_knowledge([tmp_path], "en").passed_over] == ["truthy"]
