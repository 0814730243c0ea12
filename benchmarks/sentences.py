"""Sentence splitters against each other: words per CPU second over the clean text of a dump, in one process.

`python benchmarks/sentences.py SAMPLE.xml.bz2 [--repeats 5]`

Every side gets whole pages of clean text, whose paragraphs are lines, and gives spans; making the text and the first
use are not counted. Sides run alternately. Punkt, which the paper takes, runs as NLTK has it, with a list of
abbreviations; blingfire and sentencex run where they are installed. None of them is a part of nerbert. Words are those
of `str.split`.
"""

import argparse
import json
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from time import process_time

from columns import splitter
from report import ratio, surroundings

from nerbert.corpus.dump.dump import Dump
from nerbert.corpus.wikitext.scan import clean_page
from nerbert.sentences import RuleSplitter

Split = Callable[[str], object]


def main() -> None:
    """Measure all sides alternately; print a table, then one line of JSON."""
    options = _options()
    dump = Dump(options.sample)
    articles = (page for page in dump.pages() if not page.redirect and not page.ns)
    pages = [clean for page in articles if (clean := clean_page(page.title, page.text, dump.site).text)]
    words = sum(len(page.split()) for page in pages)
    sides = _sides(dump.site.language)
    speeds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(options.repeats):
        for name, split in sides.items():
            speeds[name].append(words / _cost(split, pages) / 1e6)
            print(f"run {number + 1}: {name}: {speeds[name][-1]:.2f} M words per CPU s", file=sys.stderr)
    print(f"{len(pages):,} pages, {sum(map(len, pages)):,} characters, {words:,} words\n")
    print("| splitter | M words per CPU s | against rules |\n|---|---|---|")
    for name, own in speeds.items():
        spread = f"{median(own):.2f} ({min(own):.2f}–{max(own):.2f})"
        print(f"| {name} | {spread} | {ratio(own, speeds['rules'])} |")
    around = surroundings([options.sample], ("nerbert", "nltk", "blingfire", "sentencex"))
    print(json.dumps({**around, "words": words, "speeds": speeds}))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sample", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    return parser.parse_args()


def _sides(language: str) -> dict[str, Split]:
    sides: dict[str, Split] = {"rules": RuleSplitter(language).spans, "punkt": splitter("punkt")}
    if find_spec("blingfire"):
        from blingfire import text_to_sentences_and_offsets

        sides["blingfire"] = lambda page: [text_to_sentences_and_offsets(line) for line in page.split("\n")]
    if find_spec("sentencex"):
        from sentencex import get_sentence_boundaries

        sides["sentencex"] = lambda page: get_sentence_boundaries(language, page)
    return sides


def _cost(split: Split, pages: list[str]) -> float:
    begun = process_time()
    for page in pages:
        split(page)
    return process_time() - begun


if __name__ == "__main__":
    main()
