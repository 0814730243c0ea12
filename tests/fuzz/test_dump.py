"""Hostile dumps: damaged and lying XML and packing; pages once each, or one line; bounded memory and time."""

import bz2
import gzip
import lzma
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import strategies as st

from nerbert.corpus.dump.deduplicate import is_disambiguation
from nerbert.corpus.dump.dump import Dump
from nerbert.corpus.dump.parts import read_pages
from nerbert.corpus.dump.sites import make_site
from nerbert.corpus.knowledge.wikidata import site_of
from nerbert.corpus.wikitext.protected import without_ours
from nerbert.corpus.wikitext.scan import scan_page
from nerbert.records import RawPage
from tests.corpus.dump.test_dump import HEAD, TAIL, page
from tests.corpus.wikitext.test_scan import check as check_page
from tests.fuzz.conftest import Fuzz
from tests.fuzz.mutator import mutated
from tests.fuzz.properties import answer

pytestmark = pytest.mark.fuzz
OLD = page(7, "#WEITERLEITUNG [[P1#a]]", more='<redirect title="P1" />').replace("<model>wikitext</model>", "")
PAGES = [page(1, "text é &amp; [[x]]\n"), page(2, "{{y}}", "A:b"), OLD, page(8, "")]
XML = (HEAD + "".join(PAGES) + TAIL).encode()
DECLARED = b'<?xml version="1.0" encoding="UTF-8"?>\n' + XML
STREAMS = [HEAD.encode(), *("".join(some).encode() for some in (PAGES[:2], PAGES[2:])), TAIL.encode()]
WORDS = (
    b"<page>",
    b"</page>",
    b"<page ",
    b"<title>",
    b"</title>",
    b"<ns>",
    b"<id>",
    b"</id>",
    b"<revision>",
    b"<text",
    b"</text>",
    b"<redirect title=",
    b"</mediawiki>",
    b"<mediawiki",
    b"<!--",
    b"-->",
    b"<![CDATA[",
    b"]]>",
    b"<?x ?>",
    b"<!DOCTYPE x [<!ENTITY a 'b'>]>",
    b"&a;",
    b"&#0;",
    b"&#x1b;",
    b"&#xd800;",
    b"&lt;",
    b"&amp;",
    b"\xc3",
    b'encoding="latin-1"',
    b'encoding="\xff"',
    b"xmlns:a='b'",
    b"a:",
    b"xml:lang='x'",
    b"<a>" * 300,
    b"<page>" * 300,
    b" a='b'" * 300,
    b'<namespace key="x">',
    b"<siteinfo>",
    b"\xff\xfe",
    b"x" * 70_000,
    b"<a " + b"x" * 70_000,
    b"<" * 3000,
    b"\n#REDIRECT [[" + b" " * 3000,
)


def packed(streams: Sequence[bytes]) -> bytes:
    """A multistream bz2 file."""
    return b"".join(map(bz2.compress, streams))


def check_pages(pages: Sequence[RawPage]) -> None:
    """Check what holds for every page of a dump."""
    for each in pages:
        assert min(each.page_id, each.revision) >= 0
        for text in (each.title, each.redirect, each.model, each.text):
            text.encode()  # no half characters
            assert not set(text) & {*map(chr, range(9)), "\x0b", "\x0c", *map(chr, range(14, 32))}


def pages_of(path: Path, *, split: int = 0) -> list[RawPage]:
    """The pages of a dump, read in one piece or in parts of so many bytes."""
    dump = Dump(path)
    try:
        if not split:
            return list(dump.pages())
        found = list[RawPage]()
        for part in dump.parts(split):
            with part.open() as stream:
                found += read_pages(part, stream, dump.site.wikitext.redirects)
        return found
    finally:
        dump.close()


def reading(folder: Path, name: str = "pages.xml") -> Callable[[bytes], None]:
    """Return the check of a dump's bytes: it has the same pages whole and in parts, or is refused by its name."""
    path = folder / name

    def check(case: bytes) -> None:
        path.write_bytes(case)
        pages = answer(lambda: pages_of(path), naming=(str(path),))
        some = answer(lambda: pages_of(path, split=300), naming=(str(path),))
        if pages is not None:
            check_pages(pages)
        assert some is None or some == pages
        assert path.read_bytes() == case
        assert [*folder.iterdir()] == [path]

    return check


def test_any_xml(fuzz: Fuzz, tmp_path: Path) -> None:
    found = [b'<?xml version="1.0" encoding="\xff"?>' + XML]
    fuzz(mutated([XML, DECLARED], WORDS, edits=3), reading(tmp_path), found=found, share=2)


def test_any_damage_of_streams(fuzz: Fuzz, tmp_path: Path) -> None:
    cut = [packed([XML[:600], XML[600:]]), bz2.compress(XML), packed(STREAMS)[:-8]]
    words = [*STREAMS, b"BZh9", b"BZh91AY&SY", b"BZh9\x17\x72\x45\x38\x50\x90", bz2.compress(b""), bz2.compress(XML)]
    fuzz(mutated([packed(STREAMS), *cut], words, edits=2), reading(tmp_path, "pages.xml.bz2"), share=2)
    others = [gzip.compress(XML, mtime=0), lzma.compress(XML), gzip.compress(XML[:900], mtime=0) * 2]
    (tmp_path / "pages.xml.bz2").unlink()
    fuzz(
        mutated(others, [b"\x1f\x8b\x08", b"\xfd7zXZ\0", b"7z\xbc\xaf", b"(\xb5/\xfd"], edits=2),
        reading(tmp_path, "pages.xml.gz"),
    )


def test_any_broken_xml_in_streams(fuzz: Fuzz, tmp_path: Path) -> None:
    """Whole streams that hold anything, between the right ones or instead of them."""
    check = reading(tmp_path, "pages.xml.bz2")
    stream = mutated([*STREAMS, XML], WORDS, edits=2)
    fuzz(st.lists(stream | st.sampled_from(STREAMS), max_size=5), lambda case: check(packed(case)))


def test_any_site(fuzz: Fuzz) -> None:
    """Names of a wiki, a language and namespaces: links of its pages are still right."""

    def check(case: tuple[str, str, dict[str, int], str]) -> None:
        wiki, language, names, source = case
        site = make_site(wiki, language, names)
        check_page(scan_page("T", without_ours(source), site))
        assert isinstance(is_disambiguation(source, (source,), language), bool)
        assert site_of(language, wiki).endswith("wiki")

    name = st.sampled_from(
        ["File", "Talk", "x y", " ", "(", "[", "\\ ", "\\", "İ", "ß", "*", "a|b", ":", ""]
    ) | st.text(max_size=3)
    code = st.sampled_from(["", "en", "zh-yue", "be_x_old", "TR", "x", "de-", "-", "simple", "en_US"]) | st.text(
        max_size=3
    )
    source = st.lists(name | st.sampled_from(["[[", "]]", ":", "|", "#", "a", "de:"]), max_size=12).map("".join)
    fuzz(
        st.tuples(code.map("{}wiki".format), code, st.dictionaries(name, st.integers(-2, 15), max_size=3), source),
        check,
    )
