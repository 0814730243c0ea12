import bz2
import gzip
import hashlib
import re
import resource
import tracemalloc
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from nerbert.corpus.dump.dump import Dump
from nerbert.errors import InputError
from nerbert.records import RawPage
from tests.commands import LINUX
from tests.raised import raises

HEAD = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.10/" xml:lang="de">
<siteinfo><sitename>W</sitename><dbname>dewiki</dbname><namespaces>
<namespace key="0" case="first-letter" /><namespace key="6">Datei</namespace><namespace key="-1">Spezial</namespace>
</namespaces></siteinfo>
"""
TAIL = "</mediawiki>\n"


def page(number: int, text: str = "x", title: str = "", *, more: str = "") -> str:
    return (
        f"<page><title>{title or f'P{number}'}</title><ns>0</ns><id>{number}</id>{more}"
        f"<revision><id>{number + 1000}</id>"
        f'<model>wikitext</model><text xml:space="preserve">{text}</text></revision></page>\n'
    )


PAGES = [page(number, f"text {number} é &amp; [[x]]\n") for number in range(1, 40)]
XML = (HEAD + "".join(PAGES) + TAIL).encode()


def read(tmp_path: Path, data: bytes, name: str = "dump.xml") -> list[RawPage]:
    path = tmp_path / name
    path.write_bytes(data)
    return list(Dump(path).pages())


def test_pages_and_site(tmp_path: Path) -> None:
    path = tmp_path / "dump.xml"
    path.write_bytes(XML)
    dump = Dump(path)
    pages = dump.pages()
    assert next(pages) == RawPage(1, 1001, "P1", 0, "", "wikitext", "text 1 é & [[x]]\n")
    assert (dump.site.wiki, dump.site.language) == ("dewiki", "de")
    assert [each.page_id for each in pages] == list(range(2, 40))
    assert (dump.site.namespace("datei: x"), dump.site.namespace("Spezial:x")) == (6, -1)
    facts = dump.facts()
    assert (facts["sha256"], facts["bytes"]) == (hashlib.sha256(XML).hexdigest(), len(XML))


SIMPLE = XML.replace(b' xml:lang="de"', b' xml:lang="en"').replace(b"dewiki", b"simplewiki")


@pytest.mark.parametrize(
    ("data", "given", "site", "told"),
    [
        (XML, {"wiki": "mine", "language": "DE"}, ("mine", "de", "de"), ""),
        (XML, {"language": "de"}, ("dewiki", "de", "de"), ""),
        (XML, {"language": "DE-ch"}, ("dewiki", "de", "de"), ""),
        (SIMPLE, {"language": "en"}, ("simplewiki", "en", "simple"), ""),
        (XML, {"language": "it"}, ("itwiki", "it", "it"), "dump.xml: its language is 'de', but it is read as 'it'"),
        (XML.replace(b' xml:lang="de"', b""), {"language": "it"}, ("itwiki", "it", "it"), "language is 'dewiki', but"),
        (XML, {"language": "german"}, ("germanwiki", "german", "german"), "'german' is of no known Wikipedia"),
    ],
)
def test_the_callers_wiki_and_language_win(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    data: bytes,
    given: dict[str, Any],
    site: tuple[str, ...],
    told: str,
) -> None:
    (tmp_path / "dump.xml").write_bytes(data)
    made = Dump(tmp_path / "dump.xml", **given).site
    assert (made.wiki, made.language, made.code) == site
    shown = capsys.readouterr().err
    assert told in shown
    assert bool(told) == bool(shown)
    if site[2] == "it":
        assert [made.namespace(f"{name}:x") for name in ("Categoria", "Datei", "Image")] == [14, 6, 6]
    assert site[2] != "german" or made.wikitext.trail.pattern == "[a-z]++"


def multistream(xml: bytes) -> bytes:
    return b"".join(bz2.compress(xml[start : start + 900]) for start in range(0, len(xml), 900))


def by_page(xml: bytes) -> bytes:
    """A bz2 file as MediaWiki makes them: a stream for the head, for some pages each, and for the end."""
    pages = [b"".join(map(str.encode, PAGES[place : place + 5])) for place in range(0, len(PAGES), 5)]
    return b"".join(map(bz2.compress, [HEAD.encode(), *pages, TAIL.encode()]))


def test_old_exports_lack_namespace_and_model(tmp_path: Path) -> None:
    xml = '<mediawiki xml:lang="de">'
    xml += "<page><title>A</title><id>1</id><revision><id>2</id><text>#REDIRECT [[B#c]]</text></revision></page>"
    xml += "<page><title>B</title><id>3</id><revision><id>4</id><text>#WEITERLEITUNG:[[:C]]</text></revision></page>"
    xml += "<page><title>C</title><id>5</id><revision><id>6</id><text> See #REDIRECT [[B]]</text></revision></page>"
    xml += "<page><title>D</title><id>7</id><revision><id>8</id><text>#REDIRECT [[#Part]]</text></revision></page>"
    pages = read(tmp_path, (xml + TAIL).encode())
    assert [(each.ns, each.redirect, each.model) for each in pages] == [
        (None, "B#c", "wikitext"),
        (None, "C", "wikitext"),
        (None, "", "wikitext"),
        (None, "", "wikitext"),
    ]


@pytest.mark.parametrize(
    ("text", "redirect"),
    [
        ("#REDIRECT [[named]]", "Named"),
        ("#REDIRECT [[Other]]", "Named"),
        ("#REDIRECT [[named# Part one |shown]] {{R}}", "Named# Part one"),
        ("\n #перенаправление: [[:named_#Part]]", "Named#Part"),
        ("#REDIRECT [[named#]]", "Named"),
        ("#REDIRECT [[named#|x]]", "Named"),
        ("see #x [[named#Part]]", "Named"),
        ("#REDIRECT\n[[named#Part]]", "Named#Part"),
        ("#REDIRECT [[named]] and [[#Part]]", "Named"),
        ("", "Named"),
        ("#REDIRECT [[#Part]]", "Named#Part"),
    ],
)
def test_the_section_of_a_redirect_stands_in_the_text(tmp_path: Path, text: str, redirect: str) -> None:
    xml = HEAD + page(1, text, more='<redirect title="Named" />') + TAIL
    assert read(tmp_path, xml.encode())[0].redirect == redirect


NEWEST_FIRST = """<id>1</id><revision><id>30</id><text>new</text></revision><revision><id>4</id></revision>
<revision><id>9</id><text>old</text></revision><revision><text>none</text></revision>"""
REVISIONS = """<title>A</title><ns>4</ns><id>1</id><revision><id>2</id><text>old</text></revision>
<revision><id>3</id><model>css</model><text>new</text></revision>"""
OTHER_TAGS = """<x:id xmlns:x="http://x.org">8</x:id><title>A</title><id>1</id><id>2</id><redirect title="B" />
<redirect /><revision><x:id xmlns:x="http://x.org">9</x:id><id>3</id><id>4</id></revision>"""


@pytest.mark.parametrize(
    ("page", "raw"),
    [
        (NEWEST_FIRST, RawPage(1, 30, "", None, "", "wikitext", "new")),
        (REVISIONS, RawPage(1, 3, "A", 4, "", "css", "new")),
        (OTHER_TAGS, RawPage(1, 3, "A", None, "B", "wikitext", "")),
        (
            '<id>1</id><revision><id>3</id><text deleted="deleted" /></revision>',
            RawPage(1, 3, "", None, "", "wikitext", ""),
        ),
    ],
)
def test_the_newest_revision_the_first_part_and_no_other_tags_count(tmp_path: Path, page: str, raw: RawPage) -> None:
    assert read(tmp_path, f"{HEAD}<page>{page}</page>{TAIL}".encode()) == [raw]


@pytest.mark.parametrize(
    ("target", "redirect"),
    [
        ("Caf%C3%A9", "Café"),
        ("Smith&amp;amp;Co", "Smith&Co"),
        ("caf&amp;eacute;", "café"),
        ("A&amp;#66;#x", "AB#x"),
        (" %41_b#&amp;eacute; ", "A_b#é"),
        ("A&amp;not", "A&not"),
        ("50%", "50%"),
        ("A%0AB", ""),
    ],
)
def test_a_redirect_without_the_exports_own_is_decoded(tmp_path: Path, target: str, redirect: str) -> None:
    assert read(tmp_path, (HEAD + page(1, f"#REDIRECT [[{target}]]") + TAIL).encode())[0].redirect == redirect


def test_line_ends_are_xmls(tmp_path: Path) -> None:
    assert read(tmp_path, (HEAD + page(1, "a\r\nb\u2028c\td") + TAIL).encode())[0].text == "a\nb\u2028c\td"


def test_a_prolog_and_a_byte_order_mark_are_fine(tmp_path: Path) -> None:
    prolog = b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?>\n<!-- <html> -->\n'
    assert read(tmp_path, prolog + XML) == read(tmp_path, XML)


STUB = (HEAD + page(1, "x") + page(7).replace(">x<", ' bytes="55" location="tt:30" id="30">x<') + TAIL).encode()
STUB = STUB.replace(b">x</text></revision></page>\n</me", b" /></revision></page>\n</me")
LINE = XML[: XML.index(b"<title>P7<")].count(b"\n") + 1
BOMB = b'<!DOCTYPE m [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><mediawiki x="&b;"></mediawiki>'


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "not a complete MediaWiki export"),
        (b" \n", "not a complete MediaWiki export"),
        (b"not XML at all", "begins with b'not XML at all'"),
        (b"7z\xbc\xaf\x27\x1c", "is a 7-Zip archive, which isn't read; unpack it"),
        (b"\x28\xb5\x2f\xfd\x04X", "is compressed by zstd, which isn't read; unpack it"),
        (b"-- MySQL dump 10.19\n--\nDROP TABLE", "is a table in SQL"),
        (b"/*M!999999 enable */", "is a table in SQL"),
        (bz2.compress(b"\nINSERT INTO `page` VALUES (1)"), "is a table in SQL"),
        (b'{"index":{"_id":"1"}}', "is JSON"),
        (STUB, "page 2, 'P7', has no text, only the number of its text, so this is a stub dump"),
        (STUB.replace(b'location="tt:30" ', b""), "this is a stub dump"),
        (b"<mediawiki><siteinfo><dbname>wikidatawiki</dbname></siteinfo></mediawiki>", "is a dump of Wikidata, whose"),
        (b"<!DOCTYPE html>\n<html><body>404</body></html>", "document type"),
        (b"<html><body>404</body></html>", "its root is <html>"),
        (b"<feed><page/></feed>", "its root is <feed>"),
        (b"<mediawikis></mediawikis>", "its root is <mediawikis>"),
        (BOMB, "document type"),
        (b'<?xml version="1.0"?>\n<!-- x -->' + BOMB, "document type"),
        (b"<?x ><mediawiki ?>" + BOMB, "document type"),
        (b"<!-- ><mediawiki -->" + BOMB, "document type"),
        (XML[: len(XML) // 2], "not a complete MediaWiki export|not well-formed"),
        (XML[: -len(TAIL)], "not a complete MediaWiki export"),
        (XML.replace(b"<title>P7</title>", b"<title>P7</titel>"), rf"dump.xml:{LINE}: not well-formed XML"),
        (XML.replace(b"text 7", b"text \xff"), r":\d+: not well-formed XML"),
        (XML.replace(b"text 7", b"text &nbsp;"), r":\d+: not well-formed XML: Entity 'nbsp' not defined"),
        (bz2.compress(XML)[:-20], "cut off or damaged"),
        (gzip.compress(XML, mtime=0)[:-20], "cut off or damaged"),
        (multistream(XML)[:-20], "cut off or damaged"),
        (b"BZh9" + b"x" * 100, "can't be read: Invalid data stream"),
        (b"\x1f\x8b" + b"x" * 100, "cut off or damaged"),
        (XML.replace(b"<id>7</id>", b""), "page 7, 'P7', has no usable page id"),
        (XML.replace(b"<id>7</id>", b"<id>seven</id>"), "page 7, 'P7', has no usable page id"),
        (XML.replace(b"<id>7</id>", b"<id>99999999999999999999</id>"), "page 7, 'P7', has no usable page id"),
        (XML.replace(b"<id>1007</id>", b""), "page 7, 'P7', has no usable revision id"),
        ((HEAD + "<page><title>A</title><id>1</id></page>" + TAIL).encode(), "page 1, 'A', has no usable revision id"),
        (XML.replace(b"<ns>0</ns><id>7<", b"<ns>x</ns><id>7<"), "page 7, 'P7', has namespace 'x'"),
        (XML.replace(b'key="6"', b'key="six"'), "namespace 'Datei' has key 'six'"),
    ],
)
def test_messages(tmp_path: Path, data: bytes, what: str) -> None:
    """Each names the file, often a line, and what to do."""
    with raises(InputError) as caught:
        read(tmp_path, data)
    message = str(caught.value)
    assert re.search(what, message), message
    assert message.startswith(f"{tmp_path / 'dump.xml'}:")
    assert re.search("etch (it|the dump) again|give a pages-articles dump", message)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.xml", tmp_path):
        with raises(InputError, "can't be read"):
            list(Dump(path).pages())


def test_pages_come_before_the_fault(tmp_path: Path) -> None:
    text = "y" * 100_000
    path = tmp_path / "dump.xml"
    path.write_bytes((HEAD + page(1, text) + page(2, text) + page(3, text + "&") + TAIL).encode())
    assert [each.page_id for each in islice(Dump(path).pages(), 2)] == [1, 2]
    with raises(InputError):
        list(Dump(path).pages())


def test_a_cut_off_dump_is_told_before_its_pages(tmp_path: Path) -> None:
    packed = by_page(XML)
    whole_streams = packed[: -len(bz2.compress(TAIL.encode()))]
    for name, data in (("a.xml", XML[: -len(TAIL)]), ("b.bz2", packed[:-10]), ("c.bz2", whole_streams)):
        (tmp_path / name).write_bytes(data)
        with raises(InputError, f"{name}: "):
            Dump(tmp_path / name)


@LINUX
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_pages_that_were_read_are_freed(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    """In Python's memory, and in libxml2's, which tracemalloc does not see."""

    def dump(pages: int) -> Dump:
        path = tmp_path / f"{pages}.xml"
        path.write_bytes(pack((HEAD + "".join(page(n, "z" * 50_000) for n in range(1, pages + 1)) + TAIL).encode()))
        return Dump(path)

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    assert sum(1 for _ in dump(20).pages()) == 20  # the allocators' own memory is there now
    many = dump(300)
    tracemalloc.start()
    before = resident()
    assert sum(len(raw.text) for raw in many.pages()) == 300 * 50_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6_000_000
    assert resident() - before < 8_000_000
