"""A corpus on the terminal: its funnel, its categories, sentences with coloured mentions; or all of it as JSON.

The JSON holds what the page shows (`nerbert.render.corpus.page`); characters that drive a terminal are escaped in it.
"""

import heapq
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from nerbert.corpus.shards import read_manifest, read_sentences
from nerbert.render.corpus import facts
from nerbert.render.corpus.page import make_overview, size_on_disk, write_page
from nerbert.render.corpus.phrases import NO_LABEL, note_words
from nerbert.render.terminal import table
from nerbert.render.values import dict_of
from nerbert.rng import uniform
from nerbert.terminal import coloured, plain, visible

_CATEGORIES = 20
_ACTS = re.compile(r"[\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def show_corpus(
    corpus: Path, sentences: int = 8, *, as_json: bool = False, html: Path | None = None, overwrite: bool = False
) -> None:
    """Print the statistics of a corpus and some random sentences of it; or JSON, or write a page to `html`."""
    if html is not None:
        write_page(corpus, html, overwrite=overwrite)
        print(f"page: {visible(str(html))}", file=sys.stderr)
    if as_json:
        text = json.dumps(make_overview(corpus), ensure_ascii=False, indent=2)
        print(_ACTS.sub(lambda found: f"\\u{ord(found[0]):04x}", text))
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
    columns = ("split", "sentences", "words", "mentions", "copies", "words with copies")
    console.print(table(columns, facts.splits(manifest), numbers=range(1, 6)), "")
    sizes = facts.size_rows(facts.table1(manifest, size_on_disk(corpus, manifest)))
    console.print(table(("the paper's Table 1", "NER-BERT", "this corpus"), sizes, numbers=(1, 2)), "")
    categories = [(name, each["mentions"], each["with_copies"]) for name, each in manifest["categories"].items()]
    title = f"{len(categories)} categories, the first {min(_CATEGORIES, len(categories))}"
    heads = ("category", "mentions (train)", "with copies")
    console.print(table(heads, categories[:_CATEGORIES], numbers=(1, 2), title=title), "")
    for line in _lines(manifest):
        console.print(plain(line))
    if set(manifest["mention_sources"]) <= {"untyped"}:
        missing = "no link has a type: give tables, infobox mappings or Wikidata for this wiki's titles (--knowledge)"
        console.print(plain(missing), style="bold")
    console.print(plain(f"corpus: {corpus}"))


def print_funnel(manifest: Mapping[str, Any], console: Console) -> None:
    """Print what came into each step, went out of it, and was dropped."""
    rows = [(step["step"], step["in"], step["out"], _counts(step["dropped"]) or "–") for step in manifest["steps"]]
    title = f"{manifest['wiki']}: what came in, went out, was dropped"
    console.print(table(("step", "in", "out", "dropped"), rows, numbers=(1, 2), title=title), "")


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _lines(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Yield what no table says."""
    yield f"label set: {manifest['label_set']['name']}; ENTITY: {NO_LABEL}"
    if note := note_words(facts.counts_of(dict_of(manifest, "notes"), "filter 1")):
        yield f"filter 1: {note}"
    drawn = facts.drawn_by(manifest)
    if exponents := ", ".join(f"{name} {value:.2f}{' (this corpus)' if name == drawn else ''}"
                              for name, value in facts.exponents(manifest).items()):  # fmt: skip
        yield f"mentions after sampling are expected to follow mentions before with the exponent: {exponents}"
    yield f"types by source: {_counts(manifest['mention_sources'])}"
    if passed_over := ", ".join(each["path"] for each in manifest["knowledge"]["passed_over"]):
        yield f"passed over (reasons in manifest.json): {passed_over}"
