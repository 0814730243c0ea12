"""An index brings borders and a second witness; a wrong one is an error that says where."""

import bz2
import re
from array import array
from collections.abc import Callable
from pathlib import Path

import pytest

from nerbert.corpus.dump.dump import Dump
from nerbert.corpus.dump.parse import read_pages
from nerbert.corpus.dump.parts import Index, is_index, pair_indexes, read_index
from nerbert.errors import InputError
from nerbert.sources.files import Source
from tests.raised import raises

HEAD, TAIL = b'<mediawiki xml:lang="en">\n', b"</mediawiki>\n"
REMEDY = "fetch index and dump of the same date, or leave the index out"


def page(number: int) -> bytes:
    body = f"<revision><id>9</id><text>text {number} {'é' * number}</text></revision>"
    return f"<page><title>P: {number}</title><id>{number}</id>{body}</page>\n".encode()


def write(folder: Path, pages: int = 20, each: int = 3) -> tuple[Path, Path]:
    """A multistream dump and its index."""
    name = "xwiki-1-pages-articles-multistream"
    data, lines = bz2.compress(HEAD), []
    for first in range(1, pages + 1, each):
        numbers = range(first, min(first + each, pages + 1))
        lines += [f"{len(data)}:{number}:P: {number}\n" for number in numbers]
        data += bz2.compress(b"".join(map(page, numbers)))
    dump, index = folder / f"{name}.xml.bz2", folder / f"{name}-index.txt.bz2"
    dump.write_bytes(data + bz2.compress(TAIL))
    index.write_bytes(bz2.compress("".join(lines).encode()))
    return dump, index


def read(dump: Path, index: Path, split_bytes: int = 500) -> list[list[int]]:
    """The ids of the pages of each part."""
    opened = Dump(dump, index=read_index(Source(str(index))))
    found = []
    for part in opened.parts(split_bytes):
        with part.open() as stream:
            found.append([each.page_id for each in read_pages(part, stream)])
    return found


def test_borders_are_streams_and_pages_are_the_same(tmp_path: Path) -> None:
    dump, index = write(tmp_path)
    parts = read(dump, index, 250)
    assert len(parts) > 2
    assert [number for part in parts for number in part] == list(range(1, 21))
    assert [each.page_id for each in Dump(dump).pages()] == list(range(1, 21))
    assert all(len(part) % 3 == 0 for part in parts[:-1])


def test_only_distinct_offsets_are_kept(tmp_path: Path) -> None:
    dump, path = write(tmp_path)
    index = read_index(Source(str(path)))
    assert (len(index.offsets), sum(index.pages), list(index.lines[:3])) == (7, 20, [1, 4, 7])
    assert index.facts()["file"] == path.name
    path.with_suffix("").write_bytes(bz2.decompress(path.read_bytes()))
    assert read(dump, path.with_suffix("")) == read(dump, path)


def test_the_shared_index_fits_its_dump(shared: Path) -> None:
    path = shared / "data/wiki/dewiki-sample-pages-articles-multistream.xml.bz2"
    index = shared / "data/wiki/dewiki-sample-pages-articles-multistream-index.txt.bz2"
    assert sum(map(len, read(path, index, 400_000))) == 216


def change(pattern: str, new: str, count: int = 1) -> Callable[[str], str]:
    return lambda text: re.sub(pattern, new, text, count=count, flags=re.MULTILINE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (change(r"^\d+:7:", "x:7:"), r"index\.txt\.bz2:7: not offset:id:title: b'x:7:P: 7"),
        (change(r"^(\d+):7:.*\n", ""), r"index\.txt\.bz2:\d+: the index names \d+ pages here where the dump has \d+"),
        (change(r"^(\d+):7:(.*)\n", r"\1:7:\2\n\1:7:\2\n"), r"index\.txt\.bz2:\d+: the index names \d+ pages here"),
        (change(r"^\d+:8:", "200:8:"), r"index\.txt\.bz2:8: offsets go down: b'200:8:P: 8"),
        (lambda text: f"{text}99999999:21:P\n", r"index\.txt\.bz2:21: names byte 99999999 of a dump of \d+"),
        (lambda text: f"7:0:P\n{text}", r"index\.txt\.bz2:1: no bz2 stream begins at byte 7 of the dump"),
        (lambda _: "", r"index\.txt\.bz2:1: an empty index"),
        (lambda text: text[: text.index(":10:") - 5], r"index\.txt\.bz2:\d+: (not offset|the index names \d+ pages)"),
    ],
)
def test_messages(tmp_path: Path, change: Callable[[str], str], message: str) -> None:
    dump, index = write(tmp_path)
    index.write_bytes(bz2.compress(change(bz2.decompress(index.read_bytes()).decode()).encode()))
    for split_bytes in (500, 1_000_000):
        with raises(InputError, REMEDY) as caught:
            read(dump, index, split_bytes)
        assert re.search(message, str(caught.value)), str(caught.value)


@pytest.mark.parametrize("more", [{"pages": 18}, {"each": 4}])
def test_the_index_of_another_date_is_refused(tmp_path: Path, more: dict[str, int]) -> None:
    (tmp_path / "old").mkdir()
    dump, _ = write(tmp_path)
    _, index = write(tmp_path / "old", **more)
    with raises(InputError, REMEDY):
        read(dump, index)


def test_a_damaged_index_and_a_dump_of_one_stream_are_refused(tmp_path: Path) -> None:
    dump, index = write(tmp_path)
    for data in (bz2.decompress(dump.read_bytes()), bz2.compress(bz2.decompress(dump.read_bytes()))):
        dump.write_bytes(data)
        with raises(InputError, "xml.bz2: is not a multistream bz2 file, so "):
            Dump(dump, index=read_index(Source(str(index))))
    index.write_bytes(index.read_bytes()[:-10])
    with raises(InputError, "index.txt.bz2: compressed data is cut off or damaged"):
        read_index(Source(str(index)))


def pairs(*names: str) -> list[tuple[str, str]]:
    found = pair_indexes([Source(name) for name in names])
    return [(dump.place, index.place if index else "") for dump, index in found]


def test_indexes_find_their_dumps_by_name() -> None:
    one, two = "d/x-multistream1.xml-p1p9.bz2", "https://y.org/x-multistream2.xml-p10p20.bz2?key=1"
    index = "e/x-multistream-index1.txt-p1p9.bz2"
    assert pairs(one, index, two) == [(one, index), (two, "")]
    assert pairs("a.xml.bz2", "a-index.txt") == [("a.xml.bz2", "a-index.txt")]
    assert pairs("-", "a.xml") == [("-", ""), ("a.xml", "")]
    assert is_index(Source("https://y.org/x-index.txt.bz2"))
    assert not is_index(Source("my-index.d/x.xml.bz2"))
    with raises(InputError, "a-index.txt.gz: an index without its dump, a.xml.bz2; give that too"):
        pairs("b.xml.bz2", "a-index.txt.gz")


def test_cuts_are_where_streams_begin() -> None:
    index = Index("i", "", array("q", [10, 20, 30, 95]), array("q", [1, 1, 1, 1]), array("q", [1, 2, 3, 4]))
    assert index.cuts(25, 100) == [0, 30, 95, 100]
    assert [list(index.between(*part).offsets) for part in ((0, 30), (30, 95), (95, 100))] == [[10, 20], [30], [95]]
    assert index.cuts(1000, 100) == [0, 100]
