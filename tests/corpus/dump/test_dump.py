import bz2
import gzip
import hashlib
from itertools import islice
from pathlib import Path

import pytest

from nerbert.corpus.dump.dump import Dump
from nerbert.errors import InputError
from nerbert.records import RawPage

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


def refusal(tmp_path: Path, data: bytes) -> str:
    """The message with which a dump is refused: one line that names the file."""
    with pytest.raises(InputError) as caught:
        read(tmp_path, data)
    message = str(caught.value)
    assert message.startswith(str(tmp_path / "dump.xml") + ":")
    assert "\n" not in message
    assert "etch it again" in message or "etch the dump again" in message or "give a pages-articles dump" in message
    return message


def test_pages_and_site(tmp_path: Path) -> None:
    path = tmp_path / "dump.xml"
    path.write_bytes(XML)
    dump = Dump(path)
    pages = list(dump.pages())
    assert pages[0] == RawPage(1, 1001, "P1", 0, "", "wikitext", "text 1 é & [[x]]\n")
    assert [each.page_id for each in pages] == list(range(1, 40))
    assert (dump.site.wiki, dump.site.language) == ("dewiki", "de")
    assert (dump.site.namespace("datei: x"), dump.site.namespace("Spezial:x")) == (6, -1)
    facts = dump.facts()
    assert (facts["sha256"], facts["bytes"]) == (hashlib.sha256(XML).hexdigest(), len(XML))


def test_the_callers_wiki_and_language_win(tmp_path: Path) -> None:
    path = tmp_path / "dump.xml"
    path.write_bytes(XML)
    dump = Dump(path, wiki="mine", language="DE")
    list(dump.pages())
    assert (dump.site.wiki, dump.site.language) == ("mine", "de")


@pytest.mark.parametrize(("said", "told"), [(' xml:lang="de"', "'de'"), ("", "'dewiki'")])
def test_another_language_than_the_dumps_wins_and_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], said: str, told: str
) -> None:
    path = tmp_path / "dump.xml"
    path.write_bytes(XML.replace(b' xml:lang="de"', said.encode()))
    site = Dump(path, language="it").site
    assert f"dump.xml: its language is {told}, but it is read as 'it'" in capsys.readouterr().err
    assert (site.wiki, site.language, site.code) == ("itwiki", "it", "it")
    assert [site.namespace(f"{name}:x") for name in ("Categoria", "Datei", "Image")] == [14, 6, 6]


def test_simple_english_in_english_is_not_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "dump.xml"
    path.write_bytes(XML.replace(b' xml:lang="de"', b' xml:lang="en"').replace(b"dewiki", b"simplewiki"))
    assert Dump(path, language="en").site.wiki == "simplewiki"
    assert not capsys.readouterr().err


def test_a_language_without_wikipedia_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "dump.xml"
    path.write_bytes(XML)
    assert Dump(path, language="german").site.wikitext.trail.pattern == "[a-z]++"
    assert "dump.xml: language 'german' is of no known Wikipedia" in capsys.readouterr().err


@pytest.mark.parametrize("language", ["de", "DE-ch"])
def test_the_dumps_language_is_not_told(tmp_path: Path, capsys: pytest.CaptureFixture[str], language: str) -> None:
    path = tmp_path / "dump.xml"
    path.write_bytes(XML)
    assert Dump(path, language=language).site.wiki == "dewiki"
    assert capsys.readouterr().err == ""


def test_site_is_known_with_the_first_page(tmp_path: Path) -> None:
    path = tmp_path / "dump.xml"
    path.write_bytes(XML)
    dump = Dump(path)
    assert next(dump.pages()).title == "P1"
    assert dump.site.wiki == "dewiki"


def multistream(xml: bytes) -> bytes:
    return b"".join(bz2.compress(xml[start : start + 900]) for start in range(0, len(xml), 900))


def by_page(xml: bytes) -> bytes:
    """A bz2 file as MediaWiki makes them: a stream for the head, for some pages each, and for the end."""
    pages = [b"".join(map(str.encode, PAGES[place : place + 5])) for place in range(0, len(PAGES), 5)]
    return b"".join(map(bz2.compress, [HEAD.encode(), *pages, TAIL.encode()]))


@pytest.mark.parametrize("pack", [bz2.compress, multistream, by_page, gzip.compress])
def test_every_packing_gives_the_same_pages(tmp_path: Path, pack: "type[bytes]") -> None:
    packed = pack(XML)
    assert read(tmp_path, packed, "any.name") == read(tmp_path, XML)


def test_the_shared_multistream_dump_is_read_whole(shared: Path) -> None:
    path = shared / "data/wiki/dewiki-sample-pages-articles-multistream.xml.bz2"
    dump = Dump(path)
    pages = list(dump.pages())
    assert len(pages) == 216
    assert dump.facts()["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert sum(bool(each.redirect) for each in pages) == 29


def test_old_exports_lack_namespace_and_model(tmp_path: Path) -> None:
    xml = '<mediawiki xml:lang="de">'
    xml += "<page><title>A</title><id>1</id><revision><id>2</id><text>#REDIRECT [[B#c]]</text></revision></page>"
    xml += "<page><title>B</title><id>3</id><revision><id>4</id><text>#WEITERLEITUNG:[[:C]]</text></revision></page>"
    xml += "<page><title>C</title><id>5</id><revision><id>6</id><text> See #REDIRECT [[B]]</text></revision></page>"
    pages = read(tmp_path, (xml + TAIL).encode())
    assert [(each.ns, each.redirect, each.model) for each in pages] == [
        (None, "B#c", "wikitext"), (None, "C", "wikitext"), (None, "", "wikitext"),
    ]  # fmt: skip


def test_the_redirect_element_is_believed(tmp_path: Path) -> None:
    xml = HEAD + page(1, "#REDIRECT [[Other]]", more='<redirect title="Named" />') + TAIL
    assert read(tmp_path, xml.encode())[0].redirect == "Named"


@pytest.mark.parametrize(
    ("text", "redirect"),
    [
        ("#REDIRECT [[named]]", "Named"), ("#REDIRECT [[named# Part one |shown]] {{R}}", "Named# Part one"),
        ("\n #перенаправление: [[:named_#Part]]", "Named#Part"), ("#REDIRECT [[named#]]", "Named"),
        ("#REDIRECT [[named#|x]]", "Named"), ("see #x [[named#Part]]", "Named"),
        ("#REDIRECT\n[[named#Part]]", "Named#Part"),
        ("#REDIRECT [[named]] and [[#Part]]", "Named"), ("", "Named"), ("#REDIRECT [[#Part]]", "Named#Part"),
    ],
)  # fmt: skip
def test_the_section_of_a_redirect_stands_in_the_text(tmp_path: Path, text: str, redirect: str) -> None:
    xml = HEAD + page(1, text, more='<redirect title="Named" />') + TAIL
    assert read(tmp_path, xml.encode())[0].redirect == redirect


def test_a_redirect_to_a_section_of_nothing_is_none(tmp_path: Path) -> None:
    assert read(tmp_path, (HEAD + page(1, "#REDIRECT [[#Part]]") + TAIL).encode())[0].redirect == ""


def test_the_last_revision_counts(tmp_path: Path) -> None:
    xml = HEAD + "<page><title>A</title><ns>4</ns><id>1</id><revision><id>2</id><text>old</text></revision>"
    xml += "<revision><id>3</id><model>css</model><text>new</text></revision></page>" + TAIL
    assert read(tmp_path, xml.encode()) == [RawPage(1, 3, "A", 4, "", "css", "new")]


def test_of_parts_of_one_name_the_first_counts_and_others_tags_do_not(tmp_path: Path) -> None:
    own = '<o:id xmlns:o="http://example.org">8</o:id><title>A</title><id>1</id><id>2</id><redirect title="B" />'
    last = '<redirect /><revision><o:id xmlns:o="http://example.org">9</o:id><id>3</id><id>4</id></revision>'
    assert read(tmp_path, f"{HEAD}<page>{own}{last}</page>{TAIL}".encode()) == [
        RawPage(1, 3, "A", None, "B", "wikitext", "")
    ]


def test_a_page_without_text_or_title_is_a_page(tmp_path: Path) -> None:
    xml = HEAD + '<page><id>1</id><revision><id>3</id><text deleted="deleted" /></revision></page>' + TAIL
    assert read(tmp_path, xml.encode()) == [RawPage(1, 3, "", None, "", "wikitext", "")]


def test_line_ends_are_xmls(tmp_path: Path) -> None:
    assert read(tmp_path, (HEAD + page(1, "a\r\nb\u2028c\td") + TAIL).encode())[0].text == "a\nb\u2028c\td"


def test_a_prolog_and_a_byte_order_mark_are_fine(tmp_path: Path) -> None:
    prolog = b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?>\n<!-- <html> -->\n'
    assert read(tmp_path, prolog + XML) == read(tmp_path, XML)


BOMB = b'<!DOCTYPE m [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><mediawiki x="&b;"></mediawiki>'


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "not a complete MediaWiki export"),
        (b" \n", "not a complete MediaWiki export"),
        (b"not XML at all", "begins with b'not XML at all'"),
        (b"7z\xbc\xaf\x27\x1c", "not a complete MediaWiki export"),
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
        (XML.replace(b"<title>P7</title>", b"<title>P7</titel>"), r":\d+: not well-formed XML"),
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
)  # fmt: skip
def test_what_is_no_whole_dump_is_refused(tmp_path: Path, data: bytes, what: str) -> None:
    with pytest.raises(InputError, match=what):
        read(tmp_path, data)
    refusal(tmp_path, data)


def test_a_fault_names_its_line(tmp_path: Path) -> None:
    line = XML[: XML.index(b"<title>P7<")].count(b"\n") + 1
    message = refusal(tmp_path, XML.replace(b"<title>P7</title>", b"<title>P7</titel>"))
    assert f"dump.xml:{line}:" in message


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.xml", tmp_path):
        with pytest.raises(InputError, match="can't be read"):
            list(Dump(path).pages())


def test_pages_come_before_the_fault(tmp_path: Path) -> None:
    text = "y" * 100_000
    path = tmp_path / "dump.xml"
    path.write_bytes((HEAD + page(1, text) + page(2, text) + page(3, text + "&") + TAIL).encode())
    assert [each.page_id for each in islice(Dump(path).pages(), 2)] == [1, 2]
    with pytest.raises(InputError):
        list(Dump(path).pages())


def test_a_cut_off_dump_is_told_before_its_pages(tmp_path: Path) -> None:
    packed = by_page(XML)
    whole_streams = packed[: -len(bz2.compress(TAIL.encode()))]
    for name, data in (("a.xml", XML[: -len(TAIL)]), ("b.bz2", packed[:-10]), ("c.bz2", whole_streams)):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match=f"{name}: .*(not a complete MediaWiki export|cut off)"):
            Dump(tmp_path / name)


@pytest.mark.parametrize("pack", [bytes, multistream, gzip.compress])
def test_pages_that_were_read_are_freed(tmp_path: Path, pack: "type[bytes]") -> None:
    import tracemalloc

    def dump(pages: int) -> Dump:
        path = tmp_path / f"{pages}.xml.bz2"
        path.write_bytes(pack((HEAD + "".join(page(n, "z" * 50_000) for n in range(1, pages + 1)) + TAIL).encode()))
        return Dump(path)

    assert sum(1 for _ in dump(20).pages()) == 20  # the allocators' own memory is there now
    many = dump(400)
    tracemalloc.start()
    before = _resident()
    assert sum(len(each.text) for each in many.pages()) == 400 * 50_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6_000_000
    assert _resident() - before < 8_000_000


def _resident() -> int:
    """Bytes that this process has in memory (libxml2's, too, which tracemalloc does not see)."""
    import resource

    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
