import csv
import io
import lzma
from html import escape
from pathlib import Path

import pytest

from nerbert.corpus.knowledge.ontology import Ontology, read_ontology
from nerbert.errors import InputError
from nerbert.tables import read_columns

FIXED = {name: parent for name, parent in read_columns("parents.tsv", "class", "parent")}  # noqa: C416


def export(**classes: str) -> io.BytesIO:
    pages = "".join(
        f"<page><title>OntologyClass:{name}</title><revision><text>{{{{Class | labels = {{{{label|en|x}}}} {fields}}}}}"
        "</text></revision></page>"
        for name, fields in classes.items()
    )
    other = "<page><title>OntologyProperty:Name</title><revision><text>{{DatatypeProperty}}</text></revision></page>"
    return io.BytesIO(f"<mediawiki>{other}{pages}</mediawiki>".encode())


def parent(name: str) -> str:
    return f"| rdfs:subClassOf = {name}\n"


@pytest.fixture
def ontology() -> Ontology:
    return read_ontology(
        export(
            Work=parent("owl:Thing"),
            Film=parent("work"),
            Song=parent("dul:InformationObject, MusicalWork"),
            MusicalWork=parent("Work, dul:InformationObject"),
            Holiday=parent("TimeInterval"),
            Chicken=parent("Egg"),
            Egg=parent("Chicken"),
            Self=parent("Self"),
        ),
        "o.xml",
    )


def test_paths_go_from_the_root_to_the_class(ontology: Ontology) -> None:
    assert ontology.path("Song") == ("Work", "MusicalWork", "Song")
    assert ontology.path("Film") == ("Work", "Film")
    assert ontology.path("Holiday") == ("Holiday",)
    assert len(ontology) == 8


@pytest.mark.parametrize("name", ["Film", "film", "dbo:Film", "http://dbpedia.org/ontology/Film", " film "])
def test_names_match_with_prefix_and_in_lower_case(ontology: Ontology, name: str) -> None:
    assert ontology.knows(name)
    assert ontology.path(name) == ("Work", "Film")


def test_unknown_classes_stand_alone_and_thing_is_nothing(ontology: Ontology) -> None:
    assert ontology.path("dbo:Spam") == ("Spam",)
    assert not ontology.knows("Spam")
    assert not ontology.knows("http://schema.org/Film")
    assert ontology.path("owl:Thing") == ontology.path("Thing") == ontology.path("") == ()
    assert not ontology.knows("")


def test_cycles_are_cut_where_they_close(ontology: Ontology) -> None:
    assert ontology.path("Egg") == ("Chicken", "Egg")
    assert ontology.path("Chicken") == ("Egg", "Chicken")
    assert ontology.path("Self") == ("Self",)


def test_thing_is_no_class_of_the_export() -> None:
    assert len(read_ontology(export(**{"Owl:Thing": "", "Film": parent("owl:Thing")}), "o.xml")) == 1


def test_an_export_without_classes_is_refused() -> None:
    with pytest.raises(InputError, match=r"^o\.xml: no page is called OntologyClass:"):
        read_ontology(export(), "o.xml")


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
    ontology = read_ontology(
        export(
            Animal=parent("owl:Thing"), Person=parent("Animal"), Agent=parent("owl:Thing"),
            ArchitecturalStructure=parent("owl:Thing"), Airport=parent("architecturalStructure"),
        ),
        "o.xml",
    )  # fmt: skip
    assert ontology.path("Person") == ("Agent", "Person")
    assert ontology.path("Airport") == ("ArchitecturalStructure", "Airport"), "Place is not in this ontology"


def test_wikidata_items_that_equal_a_class() -> None:
    fields = "| owl:equivalentClass = schema:Person, wikidata:Q215627 , wikidata:Q5"
    ontology = read_ontology(export(Person=fields, Man="| owl:equivalentClass = wikidata:Q5, wikidata:Qx"), "o.xml")
    assert ontology.equivalents == {"Q215627": "Person", "Q5": "Person"}


def words(fields: str, language: str = "en") -> dict[str, str]:
    """Return the words of a class with these fields."""
    page = (
        f"<page><title>OntologyClass:A</title><revision><text>{{{{Class {escape(fields)}}}}}</text></revision></page>"
    )
    read = read_ontology(io.BytesIO(f"<mediawiki>{page}</mediawiki>".encode()), "o.xml", language)
    return dict(read.words.get("A", {}))


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
