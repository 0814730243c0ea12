"""A corpus on the terminal: its funnel, its categories, sentences with coloured mentions; or all of it as JSON.

The JSON is what the page shows (`nerbert.render.corpus`); characters that drive a terminal are escaped in it.
"""

import heapq
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from nerbert.corpus.shards import read_manifest, read_sentences
from nerbert.render.corpus import facts, make_overview, write_page
from nerbert.render.corpus.phrases import NO_LABEL, note_words, size
from nerbert.render.corpus.reading import size_on_disk
from nerbert.rng import coin
from nerbert.terminal import coloured, plain, visible

_CATEGORIES = 20
_ACTS = re.compile(r"[\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def show_corpus(
    corpus: Path, sentences: int = 8, *, as_json: bool = False, html: Path | None = None, overwrite: bool = False
) -> None:
    """Print the statistics of a corpus and some of its sentences, drawn by coin; or JSON, or write a page to `html`."""
    if html is not None:
        write_page(corpus, html, overwrite=overwrite)
        print(f"page: {visible(str(html))}", file=sys.stderr)
    if as_json:
        text = json.dumps(make_overview(corpus), ensure_ascii=False, indent=2)
        print(_ACTS.sub(lambda found: f"\\u{ord(found[0]):04x}", text))
    if html is None and not as_json:
        _print_corpus(corpus, sentences)


def _print_corpus(corpus: Path, sentences: int) -> None:
    manifest = read_manifest(corpus)
    console = Console(soft_wrap=True)
    print_summary(manifest, corpus, console)
    drawn = heapq.nsmallest(sentences, read_sentences(corpus), key=lambda each: coin(0, "show", each.id))
    for sentence in drawn:
        spans = [(m.start, m.end, m.category) for m in sentence.mentions]
        console.print()
        console.print(coloured(sentence.text, spans))
        place = f"  {sentence.title} · {sentence.id} · {sentence.split} · copies {sentence.copies}"
        console.print(plain(place), style="dim")


def print_summary(manifest: Mapping[str, Any], corpus: Path, console: Console | None = None) -> None:
    """Print the funnel, the splits and the most frequent categories."""
    console = console or Console()
    print_funnel(manifest, console)
    console.print(_splits(manifest))
    console.print(_table1(manifest, corpus))
    console.print(_categories(manifest))
    console.print(plain(f"label set: {manifest['label_set']['name']}; ENTITY: {NO_LABEL}"))
    if folded := note_words(facts.notes_of(manifest, "filter 1")):
        console.print(plain(f"filter 1: {folded}"))
    if ways := ", ".join(_ways(manifest)):
        console.print(
            plain(f"mentions after sampling are expected to follow mentions before with the exponent: {ways}")
        )
    sources = ", ".join(f"{name} {count:,}" for name, count in manifest["mention_sources"].items())
    console.print(plain(f"types by source: {sources}"))
    if set(manifest["mention_sources"]) <= {"untyped"}:
        told = "no link has a type: give tables, infobox mappings or Wikidata for this wiki's titles (--knowledge)"
        console.print(plain(told), style="bold")
    if passed_over := ", ".join(each["path"] for each in manifest["knowledge"]["passed_over"]):
        console.print(plain(f"passed over (reasons in manifest.json): {passed_over}"))
    console.print(plain(f"corpus: {corpus}"))


def print_funnel(manifest: Mapping[str, Any], console: Console) -> None:
    """Print what came into each step, went out of it, and was dropped."""
    console.print(_funnel(manifest))


def _ways(manifest: Mapping[str, Any]) -> Iterator[str]:
    """The exponents, with this corpus's told."""
    for name, found in facts.exponents(manifest).items():
        yield f"{name} {found:.2f}{' (this corpus)' if name == facts.drawn_by(manifest) else ''}"


def _funnel(manifest: Mapping[str, Any]) -> Table:
    title = plain(f"{manifest['wiki']}: what came in, went out, was dropped")
    table = Table("step", title=title, title_justify="left")
    for heading in ("in", "out"):
        table.add_column(heading, justify="right")
    table.add_column("dropped")
    for step in manifest["steps"]:
        dropped = ", ".join(f"{reason} {count:,}" for reason, count in step["dropped"].items()) or "–"
        table.add_row(plain(step["step"]), f"{step['in']:,}", f"{step['out']:,}", plain(dropped))
    return table


def _table1(manifest: Mapping[str, Any], corpus: Path) -> Table:
    columns = {"examples": "examples", "tokens": "tokens", "categories": "categories", "bytes": "size on disk"}
    shown = Table("the paper's Table 1", *columns.values())
    for name, figures in facts.table1(manifest, size_on_disk(corpus, manifest)).items():
        row = [size(count) if key == "bytes" else f"{count:,}" for key, count in figures.items()]
        shown.add_row({"paper": "NER-BERT", "ours": "this corpus"}[name], *row)
    return shown


def _splits(manifest: Mapping[str, Any]) -> Table:
    columns = ("sentences", "words", "mentions", "copies", "words_with_copies")
    table = Table("split", *(name.replace("_", " ") for name in columns))
    for name, counts in manifest["splits"].items():
        table.add_row(plain(name), *(f"{counts[column]:,}" for column in columns))
    return table


def _categories(manifest: Mapping[str, Any]) -> Table:
    categories = manifest["categories"]
    table = Table("category", "mentions (train)", "with copies", title=f"{len(categories)} categories, the first "
                  f"{min(_CATEGORIES, len(categories))}", title_justify="left")  # fmt: skip
    for name in list(categories)[:_CATEGORIES]:
        counts = categories[name]
        table.add_row(plain(name), f"{counts['mentions']:,}", f"{counts['with_copies']:,}")
    return table
