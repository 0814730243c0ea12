"""The ontology, and the export of a wiki that it and mappings are read from."""

import csv
import io
import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from nerbert.corpus.knowledge.exports import Ontology, export_pages, read_ontology, templates
from nerbert.errors import InputError
from nerbert.tables import read_columns
from tests.corpus.knowledge.looking import wiki
from tests.raised import raises

FIXED = {name: parent for name, parent in read_columns("parents.tsv", "class", "parent")}  # noqa: C416


def read(language: str = "en", **classes: str) -> Ontology:
    """Read an export with these fields of classes."""
    pages = {f"OntologyClass:{name}": f"{{{{Class {fields} }}}}" for name, fields in classes.items()}
    text = wiki({"OntologyProperty:Name": "{{DatatypeProperty}}", **pages})
    return read_ontology(io.BytesIO(text.encode()), "o.xml", language)


def below(**parents: str) -> Ontology:
    """Read an export of classes with these parents."""
    return read(**{name: f"| labels = {{{{label|en|x}}}} | rdfs:subClassOf = {to}\n" for name, to in parents.items()})


@pytest.fixture(scope="module")
def ontology() -> Ontology:
    return below(
        Work="owl:Thing",
        Film="work",
        Song="dul:InformationObject, MusicalWork",
        MusicalWork="Work, dul:InformationObject",
        Holiday="TimeInterval",
        Chicken="Egg",
        Egg="Chicken",
        Self="Self",
    )


@pytest.mark.parametrize(
    ("name", "path", "known"),
    [
        ("Song", "Work/MusicalWork/Song", True),
        ("Film", "Work/Film", True),
        ("film", "Work/Film", True),
        ("dbo:Film", "Work/Film", True),
        ("http://dbpedia.org/ontology/Film", "Work/Film", True),
        (" film ", "Work/Film", True),
        ("Holiday", "Holiday", True),
        ("Egg", "Chicken/Egg", True),
        ("Chicken", "Egg/Chicken", True),
        ("Self", "Self", True),
        ("dbo:Spam", "Spam", False),
        ("Spam", "Spam", False),
        ("owl:Thing", "", False),
        ("Thing", "", False),
        ("", "", False),
    ],
)
def test_paths_go_from_the_root_to_the_class(ontology: Ontology, name: str, path: str, known: bool) -> None:
    """Names match with their prefix and in lower case; unknown classes stand alone; cycles are cut where they close."""
    assert ("/".join(ontology.path(name)), ontology.knows(name)) == (path, known)


def test_classes_are_those_of_the_export_but_thing(ontology: Ontology) -> None:
    assert len(ontology) == 8
    assert not ontology.knows("http://schema.org/Film")
    assert len(below(**{"Owl:Thing": "", "Film": "owl:Thing"})) == 1
    with raises(InputError, "o.xml: no page is called OntologyClass:"):
        read()


def test_dbpedias_own_export_agrees_with_the_table_derived_from_it(shared: Path) -> None:
    with lzma.open(shared / "data/dbpedia/ontology.xml.xz") as stream:
        ontology = read_ontology(stream, "ontology.xml.xz")
    with (shared / "data/dbpedia/classes.tsv").open(encoding="utf-8") as table:
        rows = [
            row for row in csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE) if row["class"] != "Owl:Thing"
        ]
    assert len(ontology) == len(rows) == 799
    for row in rows:
        above = FIXED.get(row["class"], row["parent"])
        expected = ontology.path(above) if ontology.knows(above) else ()
        assert ontology.path(row["class"]) == (*expected, row["class"])


def test_a_few_parents_are_fixed_whatever_the_wiki_says() -> None:
    ontology = below(
        Animal="owl:Thing",
        Person="Animal",
        Agent="owl:Thing",
        ArchitecturalStructure="owl:Thing",
        Airport="architecturalStructure",
    )
    assert ontology.path("Person") == ("Agent", "Person")
    assert ontology.path("Airport") == ("ArchitecturalStructure", "Airport"), "Place is not in this ontology"


def test_wikidata_items_that_equal_a_class() -> None:
    fields = "| owl:equivalentClass = schema:Person, wikidata:Q215627 , wikidata:Q5"
    ontology = read(Person=fields, Man="| owl:equivalentClass = wikidata:Q5, wikidata:Qx")
    assert ontology.equivalents == {"Q215627": "Person", "Q5": "Person"}


def words(fields: str, language: str = "en") -> dict[str, str]:
    """Return the words of a class with these fields."""
    return dict(read(language, A=fields).words.get("A", {}))


def test_words_are_in_the_language_else_in_english() -> None:
    fields = "| labels = {{label|en|ship}} {{label|de|Schiff}} | comments = {{comment|en|It floats.}} {{comment|de| }}"
    assert words(fields) == {"label": "ship", "description": "It floats."}
    assert words(fields, "de") == {"label": "Schiff", "description": "It floats."}
    assert words("| labels = {{label|el|πλοίο}}") == {}
    assert words("| rdfs:label@en = ship | rdfs:label@de = Schiff | labels = {{label|ur|x}}", "de") == {
        "label": "Schiff"
    }
    assert words("| labels = {{label}} {{label|en}} {{other|en|x}} ship") == {}


@pytest.mark.parametrize(
    ("wikitext", "plain"),
    [
        ('Art&lt;/b&gt; <b>of</b> war<ref name="a">http://a.org/?x=y</ref>', "Art</b> of war"),
        ("one\n two<ref name='a'/>  &amp; three <ref>open", "one two & three"),
        ("''a'' [[b]] [[c|d]] [http://e.org f g] [//h.org] (http://i.org) it's", "a b d f g it's"),
        ("a = b = c", "a=b = c"),
        ("{{nested|x}}y\x85&#27;&#x202e;z", "y \\u202ez"),
        ("x" * 299 + ". Y", "x" * 299 + "."),
        ("One. Two, e.g. " + "x" * 290, "One."),
        ("word " * 80, ("word " * 60).strip()),
        ("x" * 400, "x" * 300),
    ],
)
def test_descriptions_are_one_plain_line(wikitext: str, plain: str) -> None:
    assert words(f"| comments = {{{{comment|en|{wikitext}}}}}") == {"description": plain}


def test_labels_are_short() -> None:
    assert words(f"| labels = {{{{label|en|{'word ' * 50}}}}}") == {"label": ("word " * 40).strip()}


def test_templates_nest_and_links_hide_bars() -> None:
    (outer,) = templates("text {{ outer_name | a = [[x|y]] | b = {{in|1}} tail <!-- | c = d --> | plain }} }} | z")
    assert (outer.name, [outer.text(name) for name in "ab3c"]) == ("Outer name", ["[[x|y]]", "tail", "plain", ""])
    assert ([inner.name for inner in outer.find_nested("b")], outer.find_nested("c")) == (["In"], ())
    (unclosed,) = templates("{{TemplateMapping | mapToClass = Film <!-- open")
    assert unclosed.text("mapToClass") == "Film"


@pytest.mark.parametrize("piece", ["{{", "[[", "}}", "|", "[[}}", "<!--", "{{|[["])
def test_what_is_nested_without_end_comes_to_an_end(piece: str) -> None:
    assert len(templates(piece * 100_000)) <= 100_000


def test_pages_have_their_newest_text() -> None:
    xml = b"<mediawiki><page><title>A</title><revision><text>1</text></revision>"
    xml += b"<revision><text>2</text></revision></page><page><title>B</title></page></mediawiki>"
    assert list(export_pages(io.BytesIO(xml), "x.xml")) == [("A", "2"), ("B", "")]
    xml = xml.replace(b"<text>1", b"<id>3</id><text>1").replace(b"<text>2", b"<id>2</id><text>2")
    assert list(export_pages(io.BytesIO(xml), "x.xml")) == [("A", "1"), ("B", "")]


@pytest.mark.parametrize(
    "xml",
    [
        "<m>{}<page><title>A</title><revision><text>b</text></revision></page></m>",
        "<m><page><title>A</title><revision><text>b</text></revision></page>{}<page/></m>",
        "<m><page>{}<title>A</title><revision><text>b</text></revision></page></m>",
        "<m><page><title>A</title><revision>{}<text>b</text>{}</revision></page></m>",
    ],
)
@pytest.mark.parametrize("many", ["<x/>", "<x><y/></x>", "<!-- c --><x/>", "<revision><text>a</text></revision>"])
def test_memory_is_bounded_whatever_stands_between(xml: str, many: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tree never holds more than a few nodes."""
    largest, parse = [0], etree.iterparse

    def watched(*args: Any, **options: Any) -> Iterator[tuple[str, Any]]:
        for event, element in parse(*args, **options):
            nodes = sum(1 for _ in element.getroottree().getroot().iter())
            largest[0] = max(largest[0], nodes)
            yield event, element

    monkeypatch.setattr("nerbert.corpus.knowledge.exports.etree.iterparse", watched)
    pages = list(export_pages(Trickle(xml.replace("{}", many * 300).encode()), "x.xml"))
    assert pages[0] == ("A", "b")
    assert largest[0] < 60


class Trickle(io.BytesIO):
    """Gives few bytes at a time, so that the parser can't build far ahead of its events."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(100)


def test_entities_are_not_resolved() -> None:
    xml = b'<!DOCTYPE m [<!ENTITY e SYSTEM "file:///etc/passwd">]><m><page><title>A</title><revision><text>&e;</text></revision></page></m>'
    assert list(export_pages(io.BytesIO(xml), "x.xml")) == [("A", "")]
