"""A corpus on the terminal: its funnel, its categories, sentences with coloured mentions; or all of it as JSON.

The JSON holds what the page shows (`nerbert.render.corpus`).
"""

import heapq
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from nerbert.corpus.shards import read_manifest, read_sentences
from nerbert.render import fields
from nerbert.render.corpus import make_overview, size_on_disk, size_rows, table1, write_page
from nerbert.render.facts import facts_of
from nerbert.render.terminal import print_json, say, table
from nerbert.rng import uniform
from nerbert.terminal import coloured, plain, visible

_CATEGORIES = 20


def show_corpus(
    corpus: Path, sentences: int = 8, *, as_json: bool = False, html: Path | None = None, overwrite: bool = False
) -> None:
    """Print the statistics of a corpus and some random sentences of it; or JSON, or write a page to `html`."""
    if html is not None:
        write_page(corpus, html, overwrite=overwrite)
        print(f"page: {visible(str(html))}", file=sys.stderr)
    if as_json:
        print_json(make_overview(corpus))
    if html is None and not as_json:
        _print_corpus(corpus, sentences)


def _print_corpus(corpus: Path, sentences: int) -> None:
    console = Console(soft_wrap=True)
    print_summary(read_manifest(corpus), corpus, console)
    for sentence in heapq.nsmallest(sentences, read_sentences(corpus), key=lambda each: uniform(0, "show", each.id)):
        spans = [(m.start, m.end, m.category) for m in sentence.mentions]
        place = f"  {sentence.title} · {sentence.id} · {sentence.split} · copies {sentence.copies}"
        console.print()
        console.print(coloured(console, sentence.text, spans))
        console.print(plain(place), style="dim")


def print_summary(manifest: Mapping[str, Any], corpus: Path, console: Console | None = None) -> None:
    """Print the funnel, the splits and the most frequent categories."""
    console = console or Console()
    print_funnel(manifest, console)
    columns = ("sentences", "words", "mentions", "copies", "words_with_copies")
    heads = ("split", *(name.replace("_", " ") for name in columns))
    console.print(table(heads, fields(manifest["splits"], *columns), numbers=range(1, 6)), "")
    sizes = size_rows(table1(manifest, size_on_disk(corpus, manifest)))
    console.print(table(("the paper's Table 1", "NER-BERT", "this corpus"), sizes, numbers=(1, 2)), "")
    categories = fields(manifest["categories"], "mentions", "with_copies")
    title = f"{len(categories)} categories, the first {min(_CATEGORIES, len(categories))}"
    heads = ("category", "mentions (train)", "with copies")
    console.print(table(heads, categories[:_CATEGORIES], numbers=(1, 2), title=title), "")
    say(console, "corpus", facts=facts_of(manifest), corpus=corpus)


def print_funnel(manifest: Mapping[str, Any], console: Console) -> None:
    """Print what came into each step, went out of it, and was dropped."""
    rows = [(step["step"], step["in"], step["out"],
             ", ".join(f"{name} {count:,}" for name, count in step["dropped"].items()) or "–")
            for step in manifest["steps"]]  # fmt: skip
    title = f"{manifest['wiki']}: what came in, went out, was dropped"
    console.print(table(("step", "in", "out", "dropped"), rows, numbers=(1, 2), title=title), "")
