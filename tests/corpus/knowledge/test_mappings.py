import csv
import io
import lzma
from collections import defaultdict
from pathlib import Path

import pytest

from nerbert.corpus.dump.sites import normalise_title
from nerbert.corpus.knowledge.exports import Mappings, Outcome, read_mappings
from nerbert.records import Infobox
from tests.corpus.knowledge.looking import wiki


def export(pages: dict[str, str]) -> io.BytesIO:
    return io.BytesIO(wiki(pages).encode())


def maps(name: str) -> str:
    return f"{{{{TemplateMapping | mapToClass = {name} }}}}"


def condition(operator: str, name: str, *, key: str = "kind", value: str = "") -> str:
    rule = f"templateProperty = {key} | operator = {operator} | value = {value} | mapping = {maps(name)}"
    return f"{{{{Condition | {rule} }}}}"


@pytest.fixture
def mappings() -> Mappings:
    cases = [
        condition("isSet", "Village", key="hamlet"),
        condition("equals", "Town", value="Market Town"),
        condition("contains", "City", value="city"),
        condition("resembles", "Spam", value="x"),
    ]
    inner = f"{{{{ConditionalMapping | cases = {condition('isSet', 'River', key='length')} }}}}"
    nested = f"{{{{Condition | operator = contains | templateProperty = kind | value = water | mapping = {inner} }}}}"
    pages = {
        "Mapping de:Infobox film": "{{TemplateMapping <!-- | mapToClass = Song --> | mapToClass = Film\n| a = {{x}}}}",
        "Mapping de:Infobox place": f"{{{{ ConditionalMapping | cases = {' '.join(cases)} {nested} "
        f"{condition('otherwise', 'Place')} | defaultMappings = {{{{PropertyMapping}}}} }}}}",
        "Mapping de:Infobox strict": f"{{{{ConditionalMapping | cases = {cases[0]} }}}}",
        "Mapping de:Authority": maps("owl:Thing"),
        "Mapping de:Old film": "#REDIRECT [[Mapping de:Older film]]",
        "Mapping de:Older film": "#redirect [[Mapping de:infobox_film]]",
        "Mapping de:Ring": "#REDIRECT [[Mapping de:Ring]]",
        "Mapping de:Empty": "<!-- nothing -->",
        "Mapping fr:Film": maps("Film"),
    }
    return read_mappings(export(pages), "m.xml")


@pytest.mark.parametrize(
    ("template", "parameters", "name"),
    [
        ("infobox_film", {}, "Film"),
        ("Old film", {}, "Film"),
        ("Ring", {}, None),
        ("Empty", {}, None),
        ("Unheard of", {}, None),
        ("Authority", {}, None),
        ("Infobox place", {}, "Place"),
        ("Infobox place", {"hamlet": "yes", "kind": "city"}, "Village"),
        ("Infobox place", {"hamlet": "  ", "kind": "old CITY"}, "City"),
        ("Infobox place", {"kind": "[[Town (UK)|market town]]"}, "Town"),
        ("Infobox place", {"kind": "'''Market Town''' of old"}, "Place"),
        ("Infobox place", {"kind": "x"}, "Place"),
        ("Infobox place", {"kind": "water", "length": "3"}, "River"),
        ("Infobox place", {"kind": "water"}, None),
        ("Infobox strict", {}, None),
    ],
)
def test_rules_are_asked_in_their_order(
    mappings: Mappings, template: str, parameters: dict[str, str], name: str | None
) -> None:
    assert mappings.class_of(Infobox(template, tuple(parameters.items()))) == name


def test_the_language_is_that_of_the_pages_and_what_maps_nothing_is_named(mappings: Mappings) -> None:
    assert [title for title, _ in mappings.unread] == ["Mapping de:Empty", "Mapping fr:Film", "Mapping de:Ring"]
    deep = "{{ConditionalMapping | cases = {{Condition | operator = otherwise | mapping = " * 20_000
    assert read_mappings(export({"Mapping en:Deep": deep}), "m.xml").class_of(Infobox("Deep")) is None


def test_redirects_in_another_case_and_in_circles() -> None:
    pages = {
        "Mapping en:Infobox software": maps("Software"),
        "Mapping en:Infobox old": "#REDIRECT [[Mapping en:Infobox Software]]",
        "Mapping en:A": "#REDIRECT [[Mapping en:B]]",
        "Mapping en:B": "#REDIRECT [[Mapping en:A]]",
        "Mapping en:C": "#REDIRECT [[Mapping en:Nothing]]",
    }
    read = read_mappings(export(pages), "m.xml")
    assert read.class_of(Infobox("Infobox old")) == "Software"
    assert [(title[-1], why) for title, why in read.unread] == [
        ("A", "redirects in a circle"),
        ("B", "redirects in a circle"),
        ("C", "redirects to Nothing"),
    ]


@pytest.mark.parametrize(("language", "size"), [("en", 757), ("de", 320), ("fr", 245), ("it", 126)])
def test_dbpedias_own_exports_agree_with_the_tables_derived_from_them(shared: Path, language: str, size: int) -> None:
    with lzma.open(shared / f"data/dbpedia/Mapping_{language}.xml.xz") as stream:
        mappings = read_mappings(stream, "m.xml")
    expected = defaultdict(list)
    with (shared / f"data/dbpedia/infobox_to_class.{language}.tsv").open(encoding="utf-8") as table:
        for row in csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE):
            if row["kind"] != "redirect" and not row["template"].startswith("Table/"):
                expected[normalise_title(row["template"])].append(row["class"])
    assert len(mappings.rules) == size
    assert {name: classes_of(mappings.rules[name]) for name in expected} == expected


def classes_of(outcome: Outcome) -> list[str]:
    if isinstance(outcome, str):
        return [outcome]
    return [name for case in outcome for name in classes_of(case.outcome)]


def test_a_name_in_other_case_maps_alike_unless_two_map_apart() -> None:
    pages = {"Infobox software": "Software", "Infobox Ship": "Ship", "Infobox ship": "Train"}
    mappings = read_mappings(export({f"Mapping en:{name}": maps(to) for name, to in pages.items()}), "m.xml")
    assert mappings.class_of(Infobox("infobox_Software")) == "Software"
    assert mappings.class_of(Infobox("Infobox Ship")) == "Ship"
    assert mappings.class_of(Infobox("Infobox SHIP")) is None
