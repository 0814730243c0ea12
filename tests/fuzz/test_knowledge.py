"""Hostile knowledge: exports, mappings, triples, Wikidata, tables, label sets, lists of names and labels."""

from array import array
from collections.abc import Iterator
from functools import partial
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import strategies as st

from nerbert.corpus.dump.sites import normalise_title
from nerbert.corpus.knowledge import claims
from nerbert.corpus.knowledge.claims import ClaimCounts, parse_row, parse_triple, read_rows
from nerbert.corpus.knowledge.detect import is_header
from nerbert.corpus.knowledge.exports import Ontology, read_mappings, read_ontology
from nerbert.corpus.knowledge.knowledge import open_knowledge
from nerbert.corpus.knowledge.wikidata import HIGHEST, _read_items
from nerbert.errors import visible
from nerbert.label_sets import open_label_set
from nerbert.records import Infobox, Reason
from nerbert.sources.files import FoundFile
from nerbert_papers.gazetteers import GazetteersSettings, open_gazetteers
from tests.corpus.knowledge.looking import a_database, types_of
from tests.corpus.knowledge.test_wikidata import ONTOLOGY, Entity, dump
from tests.fuzz.conftest import Fuzz
from tests.fuzz.mutator import mutated
from tests.fuzz.properties import answer

pytestmark = pytest.mark.fuzz


def export(*pages: tuple[str, str]) -> bytes:
    """A MediaWiki export of titles and texts."""
    made = "".join(
        f"<page><title>{title}</title><revision><text>{text}</text></revision></page>\n" for title, text in pages
    )
    return f"<mediawiki>\n{made}</mediawiki>\n".encode()


CLASSES = export(
    (
        "OntologyClass:Person",
        (
            "{{Class | labels = {{label|en|person}} | rdfs:subClassOf = owl:Thing "
            "| comments = {{comment|en|A ''human'' [[being|one]]. Born.}} | owl:equivalentClass = wikidata:Q5 }}"
        ),
    ),
    ("OntologyClass:Artist", "{{Class | rdfs:label@en = artist | rdfs:subClassOf = Person, Agent }}"),
    ("OntologyClass:City", "{{Class &lt;!-- x --> | rdfs:subClassOf = Place }}"),
)
MAPPED = export(
    ("Mapping en:Infobox person", "{{TemplateMapping | mapToClass = Person | mappings = {{PropertyMapping | a = b}}}}"),
    (
        "Mapping en:Infobox place",
        (
            "{{ConditionalMapping | cases = {{Condition | templateProperty = kind | operator = "
            "equals | value = [[city]] | mapping = {{TemplateMapping | mapToClass = City }}}} {{Condition | operator = "
            "otherwise | mapping = {{TemplateMapping | mapToClass = Place }}}}}}"
        ),
    ),
    ("Mapping en:Infobox human", "#REDIRECT [[Mapping en:Infobox person]]"),
)
TYPE = "<http://dbpedia.org/resource/{}> <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <http://{}> .\n"
TRIPLES = "".join(
    (
        "# started\n",
        TYPE.format("Caf%C3%A9_(film)", "dbpedia.org/ontology/Artist"),
        TYPE.format("B\\u00E9b\\U0001F600", "dbpedia.org/ontology/City"),
        TYPE.format("C", "www.w3.org/2002/07/owl#Thing"),
        "<http://dbpedia.org/resource/D> <http://dbpedia.org/ontology/wikiPageDisambiguates> <http://x/E> .\n",
    )
).encode()
TABLE = b"title\tclass\nAda\tPerson\nBonn\tCity\nthe_Rhine \tdbo:River\textra\n"
ITEMS = dump([Entity(1, "Ada", (5,)).json(), Entity(2, "Bonn", (6,), (7,)).json(), Entity(50, "", (), (5,)).json()])
SEEDS = (CLASSES, MAPPED, TRIPLES, TABLE, ITEMS.encode())
WORDS = (
    b"{{",
    b"}}",
    b"[[",
    b"]]",
    b"|",
    b"=",
    b"<!--",
    b"-->",
    b"{{Class",
    b"{{TemplateMapping",
    b"mapToClass = ",
    b"{{ConditionalMapping | cases = ",
    b"{{Condition",
    b"| operator = otherwise",
    b"#REDIRECT ",
    b"#REDIRECT [[",
    b"Mapping en:",
    b"Mapping de:x",
    b"OntologyClass:",
    b"Person",
    b"owl:Thing",
    b"rdfs:subClassOf = ",
    b"&#0;",
    b"<page>",
    b"</page>",
    b"<title>",
    b"<text>",
    b"</text>",
    b"</mediawiki>",
    b"<!DOCTYPE a>",
    b"\\u00e9",
    b"\\uD800",
    b"\\U00110000",
    b"%C3",
    b"%00",
    b"%",
    b"> ",
    b" .",
    b"_:b ",
    b"\t",
    b"\r\n",
    b'"id":"Q1"',
    b'"Q4294967296"',
    b"Q0",
    b'"rank":"preferred"',
    b'"claims":[]',
    b'"sitelinks":{"enwiki":{"title":""}}',
    b'"P279"',
    b'"\\ud800"',
    b"\x85",
    b"<ref>",
    b"(http://x)",
    b"[http://x y]",
    b"''",
    b"&amp;amp;",
    b" " * 40,
    b"title\tclass",
    b"#",
    b": ",
)
ANY = mutated(SEEDS, WORDS, edits=3)


def test_any_export(fuzz: Fuzz) -> None:
    def check(case: bytes) -> None:
        if found := answer(lambda: read_ontology(BytesIO(case), "an.xml"), naming=("an.xml",)):
            for name in [*found.parents, "owl:Thing", "x"]:
                path = found.path(name)
                assert len(set(path)) == len(path)
            for word in (each for words in found.words.values() for each in words.values()):
                assert visible(word) == word
                assert word == " ".join(word.split()) != ""
                assert len(word) <= 300
        if mappings := answer(lambda: read_mappings(BytesIO(case), "an.xml"), naming=("an.xml",)):
            ends = {name: name[::-1] for name in mappings.rules}
            for name in mappings.rules:
                box = Infobox(name, (("kind", "city"), ("", "x")))
                assert mappings.add_redirects(ends).class_of(box) == mappings.class_of(box) != ""

    fuzz(mutated(SEEDS[:2], WORDS, edits=3), check)


def rows_of(name: str, found: FoundFile, tally: ClaimCounts) -> Iterator[claims.Claim]:
    """The claims of a file of one kind."""
    if name == "table":
        rows, classify = read_rows(found, parse_row, tally, is_header), claims.classifier(ONTOLOGY)
    else:
        pattern = claims.TYPE_TRIPLE if name == "triples" else claims.DISAMBIGUATION_TRIPLE
        rows = read_rows(found, partial(parse_triple, pattern=pattern, editions=("en",)), tally)
        classify = claims.classifier(ONTOLOGY) if name == "triples" else lambda to: (True, ("x",) if to else ())
    return claims.claims_of(((title, classify(to)) for title, to in rows), tally)


def test_any_rows(fuzz: Fuzz, tmp_path: Path) -> None:
    """Each line is counted once: a claim, an unknown class, of no use, or bad."""
    path = tmp_path / "rows"

    def check(case: tuple[bytes, str]) -> None:
        data, name = case
        path.write_bytes(data)
        tally = ClaimCounts()
        found = [*rows_of(name, FoundFile(path, "rows", direct=True), tally)]
        plain = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
        lines = [line for line in plain if line.strip()]
        headed = name == "table" and is_header(plain[0])
        assert tally.rows == len(lines) - headed
        assert len(found) == tally.rows - tally.other_rows - tally.dropped.total()
        assert tally.dropped.keys() <= {Reason.BAD_ROW, Reason.UNKNOWN_CLASS}
        for title, _, _ in found:
            assert title == normalise_title(title) != ""
            title.encode()

    kinds = st.sampled_from(["table", "triples", "disambiguations"])
    fuzz(st.tuples(mutated(SEEDS[2:4], WORDS), kinds), check, share=2)


def test_any_items(fuzz: Fuzz, tmp_path: Path) -> None:
    path = tmp_path / "items"

    def check(case: bytes) -> None:
        path.write_bytes(case)
        parents, bad = array("I"), list[int]()
        for item, title, of in _read_items(path, "enwiki", parents, lambda number, _: bad.append(number)):
            assert 0 < item <= HIGHEST
            assert title == normalise_title(title) != ""
            assert of is None or 0 < of <= HIGHEST
        assert len(parents) % 2 == 0
        assert bad == sorted(set(bad))

    fuzz(mutated([ITEMS.encode()], WORDS, edits=3), check)


def test_any_files_of_knowledge(fuzz: Fuzz, tmp_path: Path) -> None:
    names = ("a.xml", "b.xml", "c.ttl", "d.tsv", "e.json")

    def check(case: list[bytes]) -> None:
        for name, data in zip(names, case, strict=True):
            (tmp_path / name).write_bytes(data)

        def use() -> None:
            knowledge = open_knowledge([tmp_path], "en")
            with a_database() as database:
                knowledge.write_types(database, [("Ada", (Infobox("Infobox person", ()),))])
                types_of(database, ["Ada"])
            knowledge.report()

        answer(use, naming=(str(tmp_path), "--knowledge"))
        assert {each.name for each in tmp_path.iterdir()} == {*names}

    files = (mutated([seed], WORDS, edits=2) | ANY for seed in SEEDS)
    fuzz(st.tuples(*files).map(list), check, share=0.1)


def test_any_single_file_of_knowledge(fuzz: Fuzz, tmp_path: Path) -> None:
    path = tmp_path / "a file"

    def check(case: bytes) -> None:
        path.write_bytes(case)
        answer(lambda: open_knowledge([path], "en"), naming=(str(path), "--knowledge"))
        assert path.read_bytes() == case

    fuzz(ANY, check)


def test_any_label_set(fuzz: Fuzz, tmp_path: Path) -> None:
    path = tmp_path / "labels.tsv"

    def check(case: tuple[bytes, bool]) -> None:
        path.write_bytes(case[0])
        labels = answer(lambda: open_label_set(str(path), ["Person", "City"] if case[1] else ()), naming=(str(path),))
        if labels:
            assert all(each.isprintable() and each for each in labels.labels)
            assert labels.label(["Agent", "Person"]) in labels.labels

    seeds = [b"class\tlabel\n# a comment\nPerson\tperson\ndbo:City\tplace\n"]
    fuzz(st.tuples(mutated(seeds, WORDS, edits=3), st.booleans()), check)


def test_any_list_of_names(fuzz: Fuzz, tmp_path: Path) -> None:
    folder, cache = tmp_path / "lists", tmp_path / "cache"
    folder.mkdir()

    def check(case: tuple[bytes, str]) -> None:
        data, name = case
        path = folder / name
        path.write_bytes(data)
        settings = GazetteersSettings(files=(path,))
        if found := answer(lambda: open_gazetteers(settings, str(cache)), naming=(str(path),)):
            assert found.types
            assert all(each.isprintable() for each in found.types)
            assert found.facts["entries"]

    data = mutated([b"Ada\nthe Rhine\n", b"entry\ttype\nAda\tperson\nBonn\tcity\n"], WORDS, edits=3)
    fuzz(st.tuples(data, st.sampled_from(["person.txt", "x.tsv", "y.tsv.gz"])), check, share=0.5)


def test_any_chain_of_classes_ends(fuzz: Fuzz) -> None:
    names = st.sampled_from(["A", "a", "B", "C", "owl:Thing", "ß", "SS", ""])

    def check(case: dict[str, str]) -> None:
        ontology = Ontology(case)
        for name in case:
            assert len(ontology.path(name)) <= len(case) + 1

    fuzz(st.dictionaries(names, names), check)
