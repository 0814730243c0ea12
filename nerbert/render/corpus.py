"""A corpus on the terminal, as HTML page and JSON, and its data card; shards are read once."""

import heapq
import math
import re
from bisect import insort
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

from rich.console import Console

from nerbert.artifacts import check_free
from nerbert.corpus.balance import exponent
from nerbert.corpus.build import BuiltCorpus, most_first
from nerbert.corpus.mentions import categories_of
from nerbert.corpus.settings import CorpusSettings
from nerbert.corpus.shards import dropped_sentences, read_manifest, read_sentences, sentence_batches
from nerbert.records import ENTITY, LINK
from nerbert.render import Mark, changed_settings, facts_of, fields, pieces_of, render, share, size, words, write
from nerbert.render.terminal import print_json, say, table
from nerbert.rng import uniform
from nerbert.terminal import colour_spans, plain, tell

PAPER = {"examples": 16_300_000, "tokens": 475_600_000, "categories": 315, "bytes": 4_200_000_000}
"""NER-BERT's Table 1."""
_SIZES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B", "n>1B")
_DATE = re.compile(r"-(20\d\d)(\d\d)(\d\d)(?=\D)")
_BEFORE_AFTER = ("mentions", "with_copies")
_BELOW_ONE = 0.3
"""Length of a logarithmic bar for the value 1, in powers of ten, so that one mention is visible."""

Manifest = Mapping[str, Any]


def page_of(overview: Manifest) -> str:
    """Return the page's text."""
    counts = overview["categories"].values()
    return render(
        "corpus.html.j2",
        **_shared_facts(overview),
        log_share=log_share,
        colour_of=colour_of,
        marked_pieces=marked_pieces,
        most=max((max(count["mentions"], count["with_copies"]) for count in counts), default=1),
        never_drawn=sum(not count["with_copies"] for count in counts),
    )


def make_overview(corpus: Path) -> dict[str, Any]:
    """Return all facts of the page as one JSON value: the manifest's keys, and additional ones."""
    manifest = read_manifest(corpus)
    figures = {
        "table1": table1(manifest, size_on_disk(corpus, manifest)),
        "concentration": concentration(manifest),
        "slope": slope(manifest),
        "sentences_by_category": draw_sentences(corpus, manifest),
        "dropped_sentences": read_dropped(corpus, [step["step"] for step in manifest["steps"]]),
    }
    return manifest | figures


def size_on_disk(corpus: Path, manifest: Manifest) -> int:
    """Return the size of the shards in bytes."""
    paths = (corpus / shard for shard in manifest["shards"])
    return sum(path.stat().st_size for path in paths if path.is_file())


def write_corpus_card(folder: Path, corpus: BuiltCorpus) -> None:
    """Write the data card of a corpus into `folder`: the hook of `nerbert.corpus.build.build_corpus`."""
    write(folder / "README.md", card_of(corpus.manifest))


def card_of(manifest: Manifest) -> str:
    """Return the card's text; all its figures come from the manifest."""
    sizes = table1(manifest, 0)
    figures = {"table1": sizes, "concentration": concentration(manifest), "slope": slope(manifest)}
    # The hub's size categories are powers of ten from 1,000 on: the number of digits gives the index.
    power = min(max(0, len(str(max(1, sizes["ours"]["examples"]))) - 3), len(_SIZES) - 1)
    return render("corpus_card.md.j2", **_shared_facts(dict(manifest) | figures), size_category=_SIZES[power])


def _shared_facts(overview: Manifest) -> dict[str, Any]:
    """Return the facts that the templates of page and card share; lists are table rows."""
    facts = facts_of(overview)
    settings = overview.get("settings", {})
    kinds = {file["path"]: file["kind"] for file in facts["knowledge"]["used"]}
    topics = facts["topics"]
    types = most_first(facts["mention_sources"])
    before, after = (sum(topic[key] for topic in topics.values()) for key in _BEFORE_AFTER)
    return {
        "facts": facts,
        "entity": ENTITY,
        "most_first": most_first,
        "sizes": size_rows(overview["table1"]),
        "topics": [
            (name, topic["mentions"], share(topic["mentions"], before), share(topic["with_copies"], after))
            for name, topic in topics.items()
        ],
        "sources": [(name, count, share(count, sum(types.values())), kinds.get(name)) for name, count in types.items()],
        "inputs": [
            (
                file["file"],
                dump_date(str(file["file"])),
                file["bytes"],
                file["sha256"] or f"of parts: {file['sha256_of_parts']}",
            )
            for file in facts["inputs"]
        ],
        "changed": changed_settings(settings, CorpusSettings().to_dict()),
        "settings": settings,
    }


def size_rows(table1: Mapping[str, Mapping[str, int]]) -> list[tuple[str, int | str, int | str]]:
    """Return Table 1 as rows: unit, the paper's count, ours."""
    paper = table1["paper"]
    ours = table1["ours"]
    names = {"examples": "sentences (examples)", "tokens": "words (tokens)", "categories": f"categories with {ENTITY}"}
    rows = [(words, paper[name], ours[name]) for name, words in names.items()]
    return [*rows, ("size on disk", size(paper["bytes"]), size(ours["bytes"]))]


def table1(manifest: Manifest, bytes_: int) -> dict[str, dict[str, int]]:
    """Return the paper's Table 1 and ours; `bytes_` is the size of the shards (NER-BERT §2.3)."""
    splits = manifest["splits"].values()
    ours = {
        "examples": sum(split["sentences"] for split in splits),
        "tokens": sum(split["words"] for split in splits),
        "categories": len(manifest["categories"]),
        "bytes": bytes_,
    }
    return {"paper": dict(PAPER), "ours": ours}


def concentration(manifest: Manifest) -> dict[str, Any]:
    """Return the ten largest categories with mentions, the number that hold half of all mentions, and all mentions."""
    counts = most_first({name: count["mentions"] for name, count in manifest["categories"].items()})
    mentions = sum(counts.values())
    held = 0
    half = 0
    for count in counts.values():
        if 2 * held >= mentions:
            break
        held = held + count
        half += 1
    return {"mentions": mentions, "largest": dict(list(counts.items())[:10]), "categories_that_hold_half": half}


def slope(manifest: Manifest) -> float | None:
    """Return the exponent b of after ∝ before^b for the copies that were drawn; None if there is nothing to fit."""
    categories = manifest["categories"].items()
    before, after = ({name: count[key] for name, count in categories} for key in _BEFORE_AFTER)
    return exponent(before, after)


def dump_date(file: str) -> str:
    """Return the date in a dump's file name, as Wikimedia names them; "–" if there is none."""
    date = _DATE.search(file)
    return "-".join(date.groups()) if date else "–"


def log_share(value: int, most: int) -> float:
    """Return the length (0–1) of a value's bar on a logarithmic scale that ends at `most`; 0 for values below 1."""
    if value < 1 or most < 1:
        return 0.0
    return min(1.0, (math.log10(value) + _BELOW_ONE) / (math.log10(most) + _BELOW_ONE))


MOST_SHOWN = 3
"""Maximum sentences shown of each category."""
_COLUMNS = ["id", "title", "text", "mentions", "split", "copies"]
_BATCH = 8_000
_COLOURS = 10
_LONGEST_TEXT, _BEFORE = 600, 200

Row = dict[str, Any]


def draw_sentences(corpus: Path, manifest: Mapping[str, Any], most: int = MOST_SHOWN) -> dict[str, list[Row]]:
    """Return category → up to `most` of its sentences, drawn at random; categories in the manifest's order."""
    # Reservoirs by rank: each sentence has a random number for each category, and the lowest are kept.
    leads: dict[str, list[tuple[float, str, Row]]] = {name: [] for name in manifest["categories"]}
    for shard in manifest["shards"]:
        for batch in sentence_batches(corpus / shard, _COLUMNS, _BATCH):
            rows = zip(batch["id"].to_pylist(), categories_of(batch["mentions"]), strict=True)
            for number, (identity, categories) in enumerate(rows):
                for category in sorted(leads.keys() & set(categories)):
                    lead = leads[category]
                    chance = uniform(0, f"show {category}", identity)
                    # Rows become Python objects only if chosen: most sentences of a large corpus aren't.
                    if len(lead) < most or (chance, identity) < lead[-1][:2]:
                        row = batch.slice(number, 1).to_pylist()[0]
                        # By number and id, since rows (dictionaries) can't be compared.
                        insort(lead, (chance, identity, row), key=lambda entry: entry[:2])
                        del lead[most:]
    return {name: [row for _, _, row in lead] for name, lead in leads.items()}


def read_dropped(corpus: Path, steps: Iterable[str] = ()) -> dict[str, dict[str, list[Row]]]:
    """Return step (`steps` first) → reason → up to three sentences of `dropped.jsonl`; empty without that file."""
    dropped: dict[str, dict[str, list[Row]]] = {step: {} for step in steps}
    for row in dropped_sentences(corpus):
        rows = dropped.setdefault(row.step, {}).setdefault(row.reason, [])
        if len(rows) < MOST_SHOWN:
            rows.append({"id": row.id, "text": row.text})
    return {step: reasons for step, reasons in dropped.items() if reasons}


def marked_pieces(text: str, mentions: Sequence[Mapping[str, Any]], category: str) -> list[tuple[str, Mark | None]]:
    """Return a sentence in pieces, its mentions marked; a long one is cut around the first mention of `category`."""
    begin = 0
    end = len(text)
    if end > _LONGEST_TEXT:
        first = min((mention["start"] for mention in mentions if mention["category"] == category), default=0)
        begin = max(0, min(first - _BEFORE, end - _LONGEST_TEXT))
        end = begin + _LONGEST_TEXT
    marks = []
    for mention in sorted(mentions, key=lambda mention: (mention["start"], mention["end"])):
        style = colour_of(mention["category"]) + (" wanted" if mention["category"] == category else "")
        marks.append((mention["start"], mention["end"], Mark(mention["category"], style, _mention_title(mention))))
    cut = pieces_of(text, marks, begin, end)
    return [("… " if begin else "", None), *cut, (" …" if end < len(text) else "", None)]


def colour_of(category: str) -> str:
    """Return the style classes of a category's colour."""
    if category == ENTITY:
        return "k entity"
    # By a hash of the name, so that a category has the same colour on every page.
    return f"k k{crc32(category.encode('utf-8', 'surrogatepass')) % _COLOURS}"


def _mention_title(mention: Mapping[str, Any]) -> str:
    path = " › ".join(mention["class_path"]) or "class unknown"
    source = f"; by {mention['source']}" if mention["source"] else ""
    origin = f"; found as {mention['origin']}" if mention["origin"] != LINK else ""
    return f"{mention['resolved_target']}: {path}{source}{origin}"


_CATEGORIES = 20


def show_corpus(
    corpus: Path, sentences: int = 8, *, as_json: bool = False, html: Path | None = None, overwrite: bool = False
) -> None:
    """Print a corpus's statistics and random sentences, or JSON; or write a page to `html`."""
    if html is not None:
        check_free(html, overwrite=overwrite, file=True)
        write(html, page_of(make_overview(corpus)))
        tell(f"page: {html}")
    if as_json:
        print_json(make_overview(corpus))
    if html is not None or as_json:
        return
    console = Console(soft_wrap=True)
    print_summary(read_manifest(corpus), corpus, console)
    # A sample without reading all sentences into memory; the same ones at each call.
    for sentence in heapq.nsmallest(sentences, read_sentences(corpus), key=lambda row: uniform(0, "show", row.id)):
        spans = [(m.start, m.end, m.category) for m in sentence.mentions]
        origin = f"  {sentence.title} · {sentence.id} · {sentence.split} · copies {sentence.copies}"
        console.print()
        console.print(colour_spans(console, sentence.text, spans))
        console.print(plain(origin), style="dim")


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
    """Print the input, output and drops of each step."""
    rows = [
        (
            step["step"],
            words("steps").get(step["step"], ("", "sentences"))[1],
            step["in"],
            step["out"],
            ", ".join(f"{name} {count:,}" for name, count in step["dropped"].items()) or "–",
        )
        for step in manifest["steps"]
    ]
    title = f"{manifest['wiki']}: what came in, went out, was dropped"
    console.print(table(("step", "unit", "in", "out", "dropped"), rows, numbers=(2, 3), title=title), "")
