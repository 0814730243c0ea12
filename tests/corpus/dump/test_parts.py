"""Parts that are read apart hold what the whole does: each page once, in order, wherever the cuts lie."""

import bz2
import gzip
import hashlib
import lzma
import re
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.corpus.dump.dump import Dump
from nerbert.corpus.dump.parts import MOST_PARTS, DumpPart, find_mark, read_pages, step_of
from nerbert.errors import InputError, SettingsError
from nerbert.records import RawPage
from nerbert.sources.files import Source
from tests.raised import raises

HEAD = b'<mediawiki xml:lang="de"\n  version="0.11"><siteinfo><dbname>dewiki</dbname></siteinfo>\n'
TAIL = b"</mediawiki>\n"


def page(number: int, text: str = "", more: str = "") -> bytes:
    text = text or f"text {number} é &lt;page&gt; <!-- a comment --> [[x]]\n" * (1 + number % 3)
    return (
        f"<page{more}>\n <title>P{number}</title><ns>0</ns><id>{number}</id><revision><id>{number + 1000}</id>"
        f'<text xml:space="preserve">{text}</text></revision>\n</page>\n'
    ).encode()


PAGES = [page(number) for number in range(1, 25)]
XML = HEAD + b"".join(PAGES) + TAIL
IDS = list(range(1, 25))


def streams(xml: bytes, *borders: int) -> bytes:
    """A bz2 file with a new stream at each border, as pbzip2 (anywhere) and MediaWiki (between pages) make them."""
    places = [0, *sorted(borders), len(xml)]
    return b"".join(bz2.compress(xml[one:other]) for one, other in pairwise(places))


def borders(xml: bytes) -> list[int]:
    """Where streams begin that hold two pages each."""
    places = [found.start() for found in re.finditer(rb"<page>\n", xml)]
    return [*places[::2], xml.rindex(TAIL)]


def by_page(pages: int, xml: bytes = XML) -> bytes:
    """A multistream file with so many pages a stream, head and end in streams of their own."""
    starts = [len(HEAD) + sum(map(len, PAGES[:number])) for number in range(0, len(PAGES), pages)]
    return streams(xml, *starts, len(xml) - len(TAIL))


def read_part(part: DumpPart) -> list[RawPage]:
    """The pages of a part."""
    with part.open() as stream:
        return list(read_pages(part, stream))


def read_parts(path: Path, split_bytes: int) -> list[list[RawPage]]:
    """The pages of each part."""
    with closing(Dump(path)) as dump:
        return [read_part(part) for part in dump.parts(split_bytes)]


def ids(parts: list[list[RawPage]]) -> list[int]:
    return [each.page_id for part in parts for each in part]


def whole(tmp_path: Path) -> list[RawPage]:
    (tmp_path / "whole.xml").write_bytes(XML)
    return list(Dump(tmp_path / "whole.xml").pages())


@pytest.mark.parametrize("split_bytes", [1, 64, 500, 1_000_000])
@pytest.mark.parametrize(
    "pack",
    [
        bytes,
        lambda _: by_page(1),
        lambda _: by_page(5),
        lambda xml: streams(xml, *range(0, len(xml), 97)),
        lambda xml: streams(xml, *range(0, len(xml), 611)),
        bz2.compress,
        gzip.compress,
        lzma.compress,
    ],
)
def test_every_page_is_read_once(tmp_path: Path, pack: Callable[[bytes], bytes], split_bytes: int) -> None:
    path = tmp_path / "dump"
    path.write_bytes(pack(XML))
    parts = read_parts(path, split_bytes)
    assert [each for part in parts for each in part] == whole(tmp_path)
    assert len(parts) > 1 or split_bytes >= 1000


@given(st.lists(st.integers(0, len(XML)), max_size=30), st.integers(1, 3000), st.booleans())
def test_no_cut_loses_a_page(borders: list[int], split_bytes: int, packed: bool) -> None:
    """Streams cut at any byte, in the middle of tags and characters too, as pbzip2 does."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        path = Path(folder) / "dump"
        path.write_bytes(streams(XML, *borders) if packed else XML)
        assert ids(read_parts(path, split_bytes)) == IDS


@pytest.mark.parametrize("pack", [bytes, lambda _: by_page(2)])
def test_a_part_that_is_not_read_to_its_border_is_an_error(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    """Each part must be a whole document: a cut elsewhere than between pages, or a part that is missing, is one."""
    path = tmp_path / "dump"
    path.write_bytes(pack(XML))
    first, *_, last = Dump(path).parts(300)
    for part in (
        replace(first, length=first.length - 40),
        replace(last, length=last.length - 20),
        replace(last, start=last.start - 40, length=last.length + 40),
    ):
        with raises(InputError):
            read_part(part)


@pytest.mark.parametrize("split_bytes", [300, 1_000_000])
@pytest.mark.parametrize("pack", [bytes, lambda xml: streams(xml, *borders(xml)), gzip.compress])
@pytest.mark.parametrize(
    ("xml", "message"),
    [
        (XML + XML, "Extra content"),
        (XML.replace(b"<title>P9", b"<!DOCTYPE x><title>P9"), "not well-formed"),
        (XML.replace(b"<title>P9", b'<!DOCTYPE x [<!ENTITY a "b">]><title>P9'), "not well-formed"),
        (XML.replace(b"text 9 ", b"text \xff "), "not well-formed XML: .*(UTF-8|bytes)"),
        (XML.replace(b"text 9 ", b"text &unknown; "), "Entity 'unknown' not defined"),
        (XML.replace(b"<title>P9<", b"<title>P9</page><"), "not well-formed XML"),
        (XML.replace(b"<id>9</id>", b""), "'P9', has no usable page id; fetch"),
        (XML.replace(b"</page>\n<page>\n <title>P9<", b"<page>\n <title>P9<"), "not well-formed|whole"),
    ],
)
def test_what_is_wrong_in_the_middle_is_told(
    tmp_path: Path, xml: bytes, message: str, pack: Callable[[bytes], bytes], split_bytes: int
) -> None:
    path = tmp_path / "dump"
    path.write_bytes(pack(xml))
    with raises(InputError) as caught:
        read_parts(path, split_bytes)
    assert re.search(f"^{path}:.*({message})", str(caught.value)), str(caught.value)


def test_messages(tmp_path: Path) -> None:
    path = tmp_path / "dump"
    with raises(SettingsError, f"split_bytes = 10: makes more than {MOST_PARTS} parts; choose"):
        step_of(24 << 30, packed=True, split_bytes=10)
    path.write_bytes(gzip.compress(XML))
    with raises(SettingsError, "split_bytes = 268435457: ") as caught:
        read_parts(path, (1 << 28) + 1)
    assert " take at most 268435456" in str(caught.value)
    path.write_bytes(XML)
    parts = list(Dump(path).parts(1000))
    path.write_bytes(XML[:2500])
    with raises(InputError, "bytes early: did it change?"):
        list(map(read_part, parts))
    for before, after, where in ((b"", b"<a/>" * 1_200_000, "after page 'P1'"), (b"<a/>" * 1_200_000, b"", "before")):
        path.write_bytes(HEAD + before + page(1) + after + page(2) + TAIL)
        with raises(InputError, "more than 4194304 bytes that are no page; give a pages") as refused:
            read_parts(path, 1 << 24)
        assert where in str(refused.value)


def test_lines_are_counted_over_chunks(tmp_path: Path) -> None:
    path = tmp_path / "dump"
    bad = XML.replace(b"<title>P20</title>", b"<title>P20</titel>")
    path.write_bytes(gzip.compress(bad))
    line = bad[: bad.index(b"<title>P20<")].count(b"\n") + 1
    with raises(InputError, f"{path}:{line}: not well-formed"):
        read_parts(path, 700)
    path.write_bytes(bad)
    for split_bytes, words in ((700, f"{path}: the part from byte "), (len(bad) // 2, "after page 'P19' (id 19): not")):
        with raises(InputError, words):
            read_parts(path, split_bytes)


@pytest.mark.parametrize("hiding", ["<!-- {} -->", "<![CDATA[{}]]>", "<?x {} ?>"])
def test_a_page_in_a_comment_is_never_a_page(tmp_path: Path, hiding: str) -> None:
    """Where a cut meets it, that is an error; where none does, it is a comment."""
    path = tmp_path / "dump"
    path.write_bytes(HEAD + page(1, f"text {hiding.format(page(99, 'x').decode())}") + page(2) + TAIL)
    refused = 0
    for split_bytes in (*range(1, 300, 20), 1_000_000):
        try:
            assert ids(read_parts(path, split_bytes)) == [1, 2]
        except InputError as error:
            assert re.search(r"not a complete|not well-formed", str(error))  # noqa: PT017
            refused += 1
    assert refused > 5


@pytest.mark.parametrize("before", [0, 1, 65_530, 65_531, 65_535, 65_536, 200_000])
def test_a_mark_is_found_across_blocks(tmp_path: Path, before: int) -> None:
    (tmp_path / "a").write_bytes(b"x" * (before + 7) + b"<page>" + b"y" * 99)
    source, mark = Source(str(tmp_path / "a")), re.compile(rb"<page(?=[\s/>])")
    assert find_mark(source, mark, 7, 1 << 20) == before + 7
    assert find_mark(source, mark, 7, before + 8) == before + 7
    assert find_mark(source, mark, 7, before + 7) is None
    assert find_mark(source, mark, before + 8, 1 << 20) is None


@pytest.mark.parametrize(
    ("size", "packed", "wanted", "step"),
    [
        (1000, True, 0, 1 << 20),
        (1000, False, 0, 4 << 20),
        (24 << 30, True, 0, 8 << 20),
        (90 << 30, False, 0, 32 << 20),
        (128 << 20, True, 0, 2 << 20),
        (1000, True, 10, 10),
    ],
)
def test_parts_follow_the_size(size: int, packed: bool, wanted: int, step: int) -> None:
    assert step_of(size, packed=packed, split_bytes=wanted) == step


def test_the_first_error_is_told(tmp_path: Path) -> None:
    """What is wrong with the XML, though the bytes behind it are gone too."""
    path = tmp_path / "dump"
    path.write_bytes(XML.replace(b"<title>P2<", b"<titel>P2<") + b" " * 1_000_000)
    (part,) = Dump(path).parts(10_000_000)
    path.write_bytes(path.read_bytes()[:500_000])
    with raises(InputError, "not well-formed"):
        read_part(part)


def test_a_page_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nerbert.corpus.dump.parts.LARGEST_PAGE", 1 << 17)
    path = tmp_path / "dump"
    xml = HEAD + page(1, "x" * (1 << 20)) + TAIL
    path.write_bytes(xml)
    with raises(InputError, "page 1 has more than 131072 bytes; refused"):
        list(Dump(path).pages())
    path.write_bytes(gzip.compress(HEAD + page(1, "x" * (1 << 20)) + page(2) + TAIL))
    with raises(InputError, "a page of more than 131072 bytes"):
        read_parts(path, 100)


def test_a_last_stream_longer_than_what_is_looked_at_is_no_fault(tmp_path: Path) -> None:
    noise = "".join(hashlib.sha256(str(number).encode()).hexdigest() for number in range(1 << 15))
    xml = HEAD + page(1) + page(2, noise * 2) + TAIL
    data = streams(xml, len(HEAD), len(HEAD) + len(page(1)))
    assert len(data) - data.rindex(b"BZh9") > 1 << 20
    (tmp_path / "dump.xml.bz2").write_bytes(data)
    dump = Dump(tmp_path / "dump.xml.bz2")
    assert not dump.splits
    assert [each.page_id for each in dump.pages()] == [1, 2]
