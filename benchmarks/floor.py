"""What no pass 1 in Python can do without, one stage at a time: the floor under its cost.

`python benchmarks/floor.py DUMP.xml.bz2` on a small dump: decompression, XML, a search for links, sentences, words,
each alone and on the same pages; CPU milliseconds per MB of XML, the least of three runs. What a scanner adds above
their sum is its own.
"""

import argparse
import bz2
import io
import json
import re
import time
from collections.abc import Callable
from pathlib import Path

from columns import splitter
from lxml import etree

from nerbert.corpus.dump.dump import Dump
from nerbert.corpus.wikitext.scan import scan_page
from nerbert.corpus.word_columns import words_of

_LINK = re.compile(r"\[\[([^\[\]|{}]+)(?:\|([^\[\]]*))?\]\]")


def main() -> None:
    """Measure, and print a table and the same as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dump", type=Path)
    costs = stages(parser.parse_args().dump)
    print("| stage alone | CPU ms per MB | MB per CPU s |\n|---|---|---|")
    for name, cost in costs.items():
        print(f"| {name} | {cost:.1f} | {1000 / cost:.1f} |")
    print(json.dumps(costs))


def stages(path: Path) -> dict[str, float]:
    """CPU milliseconds per MB of XML for each stage alone, and their sum."""
    packed = path.read_bytes()
    xml = bz2.decompress(packed)
    dump = Dump(path)
    pages = [page for page in dump.pages() if not page.redirect and not (page.ns or dump.site.namespace(page.title))]
    texts = [scan_page(page.title, page.text, dump.site).text for page in pages]
    split, punkt = splitter("nerbert"), splitter("punkt")
    sentences = [text[start:end] for text in texts for start, end in split(text)]
    todo: dict[str, Callable[[], object]] = {
        "bz2": lambda: bz2.decompress(packed),
        "XML (lxml iterparse)": lambda: _parse(xml),
        "links (one regular expression)": lambda: [_LINK.findall(page.text) for page in pages],
        "sentences (nerbert's)": lambda: [split(text) for text in texts],
        "words (as columns)": lambda: [words_of(sentences[n : n + 500]) for n in range(0, len(sentences), 500)],
    }
    costs = {name: _least(stage) / (len(xml) / 1e6) for name, stage in todo.items()}
    costs["sum of these"] = sum(costs.values())
    alone = _least(lambda: [punkt(text) for text in texts])
    return costs | {"sentences (Punkt, not in the sum)": alone / (len(xml) / 1e6)}


def _parse(xml: bytes) -> int:
    """Read the text of every page, as lxml's iterparse gives it."""
    size = 0
    for _, page in etree.iterparse(io.BytesIO(xml), tag="{*}page"):
        size += len(page.findtext("{*}revision/{*}text") or "")
        page.clear()
    return size


def _least(stage: Callable[[], object]) -> float:
    """CPU milliseconds, the least of three runs."""
    taken = []
    for _ in range(3):
        begin = time.process_time()
        stage()
        taken.append(1000 * (time.process_time() - begin))
    return min(taken)


if __name__ == "__main__":
    main()
