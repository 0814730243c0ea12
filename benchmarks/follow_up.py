"""What wikiextractor's output still needs to be pass 1's: links with exact offsets, sentences, words, Parquet.

`python benchmarks/follow_up.py FOLDER_OF_JSON FOLDER [--sentences punkt|nerbert]`; the input is what
`wikiextractor --json --links` wrote. Nothing of wikiextractor is imported. Kept lean on purpose: one regular expression
finds the links (with the letters after them that MediaWiki counts in), and text outside them is copied in one piece.
"""

import argparse
import json
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from urllib.parse import unquote

from columns import Columns, splitter

from nerbert.records import Link

_ANCHOR = re.compile(r'<a href="([^"]*)">(.*?)</a>([a-z]*)')


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("extracted", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sentences", choices=["punkt", "nerbert"], default="punkt")
    options = parser.parse_args()
    columns = Columns(options.folder, splitter(options.sentences))
    for number, page in enumerate(_pages(options.extracted)):
        text, links = unlinked(unescape(page["text"]))
        key = (int(page["id"]), int(page["revid"] or 0), unescape(page["title"]), number)
        columns.add(key, text, links)
    columns.flush()


def _pages(folder: Path) -> Iterator[dict[str, str]]:
    for path in sorted(folder.rglob("wiki_*")):
        with path.open("rb") as lines:
            yield from map(json.loads, lines)


def unlinked(marked: str) -> tuple[str, list[Link]]:
    """The text without `<a href="…">`, and the links' spans in it; links to nothing and to other hosts are text."""
    pieces: list[str] = []
    links: list[Link] = []
    place = length = 0
    for match in _ANCHOR.finditer(marked):
        before, anchor = marked[place : match.start()], match.group(2) + match.group(3)
        start = length + len(before)
        length = start + len(anchor)
        pieces += (before, anchor)
        place = match.end()
        target = _title(match.group(1))
        if target and anchor:
            links.append(Link(start, length, target))
    pieces.append(marked[place:])
    return "".join(pieces), links


def _title(address: str) -> str:
    """The article's title that a link's address names; "" for another host."""
    if address.startswith(("http%3A", "https%3A")):
        return ""
    title = unescape(unquote(address)).partition("#")[0].replace("_", " ").strip()
    return title[:1].upper() + title[1:]


if __name__ == "__main__":
    main()
