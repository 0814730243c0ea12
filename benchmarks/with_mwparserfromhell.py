"""Pass 1 by mwparserfromhell: parse each page, walk the tree for text and links, then the same follow-up.

`python benchmarks/with_mwparserfromhell.py DUMP FOLDER [--sentences punkt|nerbert]`; the walk is the test oracle's
(tests/corpus/oracle.py), so its text is the one that the scanner is proved against. The dump is read as nerbert
reads it.
"""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from columns import Columns, splitter

from nerbert.corpus.dump.dump import Dump
from nerbert.records import Link

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "corpus"))


def main() -> None:
    """Run it."""
    from oracle import oracle_paragraphs

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dump", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sentences", choices=["punkt", "nerbert"], default="punkt")
    options = parser.parse_args()
    columns = Columns(options.folder, splitter(options.sentences))
    dump = Dump(options.dump)
    for number, page in enumerate(dump.pages()):
        if page.redirect or (page.ns if page.ns is not None else dump.site.namespace(page.title)):
            continue
        text, links = _page(oracle_paragraphs(page.title, page.text, dump.site))
        columns.add((page.page_id, page.revision, page.title, number), text, links)
    columns.flush()


def _page(paragraphs: Iterable[tuple[str, list[tuple[int, int, str]]]]) -> tuple[str, list[Link]]:
    """A page's paragraphs as lines of one text, and its links."""
    lines: list[str] = []
    links: list[Link] = []
    offset = 0
    for raw, spans in paragraphs:
        lines.append(raw.replace("\n", " "))
        links += [Link(offset + start, offset + end, target) for start, end, target in spans if start < end]
        offset += len(raw) + 1
    return "\n".join(lines), links


if __name__ == "__main__":
    main()
