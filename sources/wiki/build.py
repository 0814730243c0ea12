"""The sample wiki's dump from its pages: `python sources/wiki/build.py`, or with `--check` to only compare.

The form is that of Wikimedia's multistream dumps: a bz2 stream with the head, streams of pages, one with the closing
tag. Ids, dates and names come from hashes of title and text, so that the same sources give the same bytes, a new page
changes no other's id, and pages of all kinds stand mixed. The price: ids say nothing of when a page was written.
"""

import argparse
import bz2
import hashlib
import re
import string
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

SOURCES = Path(__file__).parent
OUTPUT = SOURCES.parents[1] / "nerbert" / "sample" / "wiki"
NAME = "samplewiki-20261101-pages-articles-multistream"
PAGES_A_STREAM = 25
"""Wikimedia's dumps have 100."""

_FOLDERS = (("articles", "", 0), ("categories", "Category:", 14), ("templates", "Template:", 10))
_NAMESPACES = {
    -2: "Media",
    -1: "Special",
    0: "",
    1: "Talk",
    2: "User",
    3: "User talk",
    4: "Nerbert sample wiki",
    5: "Nerbert sample wiki talk",
    6: "File",
    7: "File talk",
    8: "MediaWiki",
    9: "MediaWiki talk",
    10: "Template",
    11: "Template talk",
    12: "Help",
    13: "Help talk",
    14: "Category",
    15: "Category talk",
    828: "Module",
    829: "Module talk",
}
_WRITERS = ("Harbourmaster", "Quill", "Ann Example", "Lamplighter", "Marginal Note", "Ropewalk", "Second Draft", "Tern")
"""Invented, all of them."""
_FIRST_DAY, _DAYS = datetime(2024, 1, 1, tzinfo=UTC), 1000
_PAGE_IDS = 80_000_000
_FIRST_REVISION = 1_100_000_000
_BAD_TITLE = re.compile(r"[\[\]{}|#<>_\t\n]|^[a-z ]|^$| $|  ")
_DIGITS = string.digits + string.ascii_lowercase
_XML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"})

_HEAD = """\
<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" \
xsi:schemaLocation="http://www.mediawiki.org/xml/export-0.11/ http://www.mediawiki.org/xml/export-0.11.xsd" \
version="0.11" xml:lang="en">
  <siteinfo>
    <sitename>Nerbert sample wiki</sitename>
    <dbname>samplewiki</dbname>
    <base>https://sample.example/wiki/Main_Page</base>
    <generator>MediaWiki 1.43.0</generator>
    <case>first-letter</case>
    <namespaces>
{namespaces}
    </namespaces>
  </siteinfo>
"""
_PAGE = """\
  <page>
    <title>{title}</title>
    <ns>{namespace}</ns>
    <id>{id}</id>
{redirect}    <revision>
      <id>{revision}</id>
      <parentid>{parent}</parentid>
      <timestamp>{time}</timestamp>
      <contributor>
        <username>{writer}</username>
        <id>{writer_id}</id>
      </contributor>
      <comment>written for the nerbert sample</comment>
      <origin>{revision}</origin>
      <model>wikitext</model>
      <format>text/x-wiki</format>
      <text bytes="{size}" sha1="{sha1}" xml:space="preserve">{text}</text>
      <sha1>{sha1}</sha1>
    </revision>
  </page>
"""


@dataclass(frozen=True, slots=True)
class Page:
    """A page as its sources say; `redirect` is the title it leads to, without a section."""

    title: str
    namespace: int
    text: str
    redirect: str = ""

    @property
    def id(self) -> int:
        """The page's number: from its title alone."""
        return _number(self.title) % _PAGE_IDS + 1


def read_pages(folder: Path) -> list[Page]:
    """The pages of a folder of sources, by id; raise SystemExit that names what can't be a page."""
    pages = sorted([*_written(folder), *_redirects(folder / "redirects.tsv")], key=lambda page: page.id)
    for page in pages:
        if _BAD_TITLE.search(page.title.partition(":")[2] if page.namespace else page.title):
            raise SystemExit(f"{page.title!r}: can't be a title on a wiki; rename it")
    for one, other in pairwise(pages):
        if one.id == other.id:
            raise SystemExit(f"{one.title!r} and {other.title!r} get one id, {one.id}; rename or remove one of them")
    return pages


def _written(folder: Path) -> Iterator[Page]:
    for name, prefix, namespace in _FOLDERS:
        for path in sorted((folder / name).glob("*.wiki")):
            title = unicodedata.normalize("NFC", prefix + path.stem)
            yield Page(title, namespace, path.read_text(encoding="utf-8").rstrip())


def _redirects(table: Path) -> Iterator[Page]:
    """Lines of alias, target and, where there is one, the template that says what kind of redirect it is."""
    for number, line in enumerate(table.read_text(encoding="utf-8").splitlines(), 1):
        alias, *rest = line.split("\t")
        if len(rest) not in (1, 2) or not all(rest):
            raise SystemExit(f"{table.name}:{number}: not alias, target and perhaps a template, between tabs")
        namespace = next(key for _, prefix, key in reversed(_FOLDERS) if alias.startswith(prefix))
        text = f"#REDIRECT [[{rest[0]}]]" + "".join(f"\n\n{{{{{kind}}}}}" for kind in rest[1:])
        yield Page(alias, namespace, text, rest[0].partition("#")[0])


def build(pages: Sequence[Page]) -> dict[str, bytes]:
    """The dump: its name and bytes."""
    dump = bz2.compress(_head().encode())
    for place in range(0, len(pages), PAGES_A_STREAM):
        some = pages[place : place + PAGES_A_STREAM]
        dump += bz2.compress("".join(map(_xml, some)).encode())
    dump += bz2.compress(b"</mediawiki>\n")
    return {f"{NAME}.xml.bz2": dump}


def _head() -> str:
    ends = {key: f">{name}</namespace>" if name else " />" for key, name in _NAMESPACES.items()}
    lines = [f'      <namespace key="{key}" case="first-letter"{end}' for key, end in ends.items()]
    return _HEAD.format(namespaces="\n".join(lines))


def _xml(page: Page) -> str:
    seconds = _number(f"{page.title}\n{page.text}") % (_DAYS * 86400)
    writer = seconds % len(_WRITERS)
    revision, data = _FIRST_REVISION + seconds, page.text.encode()
    return _PAGE.format(
        title=_escape(page.title),
        namespace=page.namespace,
        id=page.id,
        redirect=f'    <redirect title="{_escape(page.redirect)}" />\n' if page.redirect else "",
        revision=revision,
        parent=revision - 1 - seconds % 997,
        time=f"{_FIRST_DAY + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}",
        writer=_WRITERS[writer],
        writer_id=writer + 11,
        size=len(data),
        sha1=_base36(hashlib.sha1(data, usedforsecurity=False).digest()),
        text=_escape(page.text),
    )


def _base36(digest: bytes) -> str:
    """A digest as MediaWiki writes it: 31 digits and small letters."""
    number, digits = int.from_bytes(digest), ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits.rjust(31, "0")


def _escape(text: str) -> str:
    return text.translate(_XML)


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])


def main() -> None:
    """Write the dump, or exit with 1 if those that are there are others."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if the files are not these")
    check: bool = parser.parse_args().check
    files = build(read_pages(SOURCES))
    if not check:
        OUTPUT.mkdir(exist_ok=True)
        for name, data in files.items():
            (OUTPUT / name).write_bytes(data)
    elif stale := [name for name, data in files.items() if not _holds(OUTPUT / name, data)]:
        sys.exit(f"{', '.join(stale)}: not what the sources give; run: python sources/wiki/build.py")


def _holds(path: Path, data: bytes) -> bool:
    return path.is_file() and path.read_bytes() == data


if __name__ == "__main__":
    main()
