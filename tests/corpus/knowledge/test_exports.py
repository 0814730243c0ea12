import io
from collections.abc import Iterator
from typing import Any

import pytest
from lxml import etree

from nerbert.corpus.knowledge.ontology import export_pages, templates
from nerbert.errors import InputError
from tests.raised import raises


def test_templates_nest_and_links_hide_bars() -> None:
    (outer,) = templates("text {{ outer_name | a = [[x|y]] | b = {{in|1}} tail <!-- | c = d --> | plain }} }} | z")
    assert (outer.name, [outer.text(name) for name in "ab3c"]) == ("Outer name", ["[[x|y]]", "tail", "plain", ""])
    assert ([inner.name for inner in outer.nested("b")], outer.nested("c")) == (["In"], ())
    (unclosed,) = templates("{{TemplateMapping | mapToClass = Film <!-- open")
    assert unclosed.text("mapToClass") == "Film"


@pytest.mark.parametrize("piece", ["{{", "[[", "}}", "|", "[[}}", "<!--", "{{|[["])
def test_what_is_nested_without_end_comes_to_an_end(piece: str) -> None:
    assert len(templates(piece * 100_000)) <= 100_000


def test_pages_have_their_newest_text() -> None:
    xml = b"<mediawiki><page><title>A</title><revision><text>1</text></revision>"
    xml += b"<revision><text>2</text></revision></page><page><title>B</title></page></mediawiki>"
    assert list(export_pages(io.BytesIO(xml), "x.xml")) == [("A", "2"), ("B", "")]


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

    monkeypatch.setattr("nerbert.corpus.knowledge.ontology.etree.iterparse", watched)
    pages = list(export_pages(Trickle(xml.replace("{}", many * 300).encode()), "x.xml"))
    assert pages[0] == ("A", "b")
    assert largest[0] < 60


class Trickle(io.BytesIO):
    """Gives few bytes at a time, so that the parser can't build far ahead of its events."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(100)


def test_broken_xml_names_file_and_line() -> None:
    with raises(InputError, "x.xml:2: XML is not well-formed"):
        list(export_pages(io.BytesIO(b"<mediawiki>\n<page><title>A</title>"), "x.xml"))


def test_entities_are_not_resolved() -> None:
    xml = b'<!DOCTYPE m [<!ENTITY e SYSTEM "file:///etc/passwd">]><m><page><title>A</title><revision><text>&e;</text></revision></page></m>'
    assert list(export_pages(io.BytesIO(xml), "x.xml")) == [("A", "")]
