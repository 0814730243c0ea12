"""A large dump out of a small one: copies of its pages under fresh ids and titles, plain and as true multistream bz2.

The price of copies: a compressor and a processor's caches see text that they know; streams of 100 pages and blocks of
900 kB keep bz2 from gaining by it. Titles change ("Paris (copy 3)"), so no page links to itself where it did not.
"""

import argparse
import bz2
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

_PAGE = re.compile(rb"  <page>.*?</page>\n", re.DOTALL)
_TITLE = re.compile(rb"<title>([^<]*)</title>")
_ID = re.compile(rb"<id>(\d+)</id>")
_STEP, _STREAM = 100_000_000, 100


def make(sample: Path, folder: Path, least: int) -> tuple[Path, Path]:
    """Write at least `least` bytes of XML as `big.xml` and `big.xml.bz2` into `folder`, unless they are there."""
    plain, packed = folder / "big.xml", folder / "big.xml.bz2"
    if plain.exists() and packed.exists() and plain.stat().st_size >= least:
        return plain, packed
    folder.mkdir(parents=True, exist_ok=True)
    xml = bz2.decompress(sample.read_bytes())
    pages = _PAGE.findall(xml)
    head, foot = xml[: xml.index(pages[0])], b"</mediawiki>\n"
    copies = -(-least // sum(map(len, pages)))
    with plain.open("wb") as loose, packed.open("wb") as tight:
        for part in _streams(head, pages, foot, copies):
            loose.write(part)
            tight.write(bz2.compress(part))
    return plain, packed


def copies_of(sample: Path, folder: Path, copies: int) -> Path:
    """Write so many copies of a sample as one multistream bz2 dump; return its path."""
    return make(sample, folder, copies * len(bz2.decompress(sample.read_bytes())))[1]


def _streams(head: bytes, pages: Sequence[bytes], foot: bytes, copies: int) -> Iterator[bytes]:
    yield head
    fresh = (_copy(page, number) for number in range(copies) for page in pages)
    while part := b"".join(islice(fresh, _STREAM)):
        yield part
    yield foot


def _copy(page: bytes, number: int) -> bytes:
    """The page under another title and id; the first copy is the page itself."""
    if not number:
        return page
    page = _TITLE.sub(rb"<title>\1 (copy %d)</title>" % number, page, count=1)
    return _ID.sub(lambda found: b"<id>%d</id>" % (int(found.group(1)) + number * _STEP), page, count=1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sample", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--megabytes", type=int, default=200)
    options = parser.parse_args()
    make(options.sample, options.folder, options.megabytes * 1_000_000)
