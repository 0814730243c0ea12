"""The data card: `README.md` in a corpus's folder, with the front matter of dataset cards on the Hugging Face hub.

Every figure in it is the manifest's. What a wiki's or a file's author wrote goes into code spans only, where Markdown
means nothing; the price is a card that is a little plain.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from nerbert.artifacts import publish
from nerbert.corpus.tallies import most_first
from nerbert.records import ENTITY
from nerbert.render.corpus import facts
from nerbert.render.corpus.phrases import (
    NO_LABEL,
    kind_words,
    note_words,
    reason_words,
    share,
    source_words,
    step_words,
)
from nerbert.render.markdown import code, quoted, rows, said

NAME = "README.md"
Manifest = Mapping[str, Any]
_SIZES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B", "n>1B")
_NOISE = """
- Only linked words are mentions. Wikipedia's editors link a title where it comes first, so later mentions of the same
  thing, and things that nobody linked, stand as `O`.
- A mention has the type of the page that its link leads to, not of its sense in the sentence: a club named by its
  city's name, a company that stands for its product.
- Types are as right as their sources: infoboxes that are missing or wrong, tables that are older than the dump, classes
  that people use differently.
- What is a link is what editors linked: common nouns (*district*, *pope*) are mentions here too.
""".strip()
_NOT_FOR = """
- No gold standard: nobody has checked sentences or types one by one. Use it to train, never to score.
- No source of facts about living persons, nor of what is notable: it repeats what Wikipedia's editors wrote and linked.
- The split is for watching a training; it is as noisy as the rest.
""".strip()


def write_card(folder: Path, manifest: Manifest) -> None:
    """Write the data card of the corpus in `folder`, which need not hold anything yet."""
    text = card_of(manifest)
    with publish(folder / NAME) as partial:
        partial.write_text(text, encoding="utf-8")


def card_of(manifest: Manifest) -> str:
    """The card as text."""
    parts = [
        _front(manifest), f"# {code(manifest['wiki'])}: named entities from Wikipedia's links", _about(manifest),
        "## Contents", *_contents(manifest), "## Sources", *_sources(manifest),
        "## How it was made", *_making(manifest), "## Skews", *_skews(manifest),
        "## Known noise", _NOISE, *_noise(manifest), "## What it is not for", _NOT_FOR,
        "## Licence and attribution", *_licence(manifest),
    ]  # fmt: skip
    return "\n\n".join(part for part in parts if part) + "\n"


def _front(manifest: Manifest) -> str:
    sentences = sum(split["sentences"] for split in manifest["splits"].values())
    size = _SIZES[min(max(0, len(str(max(1, sentences))) - 3), len(_SIZES) - 1)]
    return "\n".join([
        "---", f"pretty_name: {quoted(manifest['wiki'] + ': named entities from links')}", "language:",
        f"- {quoted(manifest['language'])}", "license:", "- cc-by-sa-4.0", "- cc-by-sa-3.0", "task_categories:",
        "- token-classification", "task_ids:", "- named-entity-recognition", "annotations_creators:",
        "- machine-generated", "language_creators:", "- found", "multilinguality:", "- monolingual",
        "source_datasets:", "- original", "size_categories:", f"- {quoted(size)}", "configs:",
        "- config_name: sentences", "  default: true", "  data_files:", "  - split: train",
        '    path: "sentences/*.parquet"', "---",
    ])  # fmt: skip


def _about(manifest: Manifest) -> str:
    label_set = code(manifest["label_set"]["name"])
    return (
        f"A silver corpus for named-entity recognition in {code(manifest['language'])}: sentences of Wikipedia whose "
        f"links are taken for entities, each typed by the page that it leads to, with the labels of {label_set}. "
        f"Made by {code(manifest.get('made_by', 'nerbert'))} after NER-BERT (arXiv 2112.00405). `manifest.json` says "
        "the same for programs; the columns are described in nerbert's `docs/formats.md`."
    )


def _contents(manifest: Manifest) -> Iterator[str]:
    paper, ours = facts.table1(manifest, 0).values()
    yield rows(("", "NER-BERT, Table 1", "this corpus"), [
        (name, f"{paper[key]:,}", f"{ours[key]:,}")
        for name, key in (("sentences", "examples"), ("words", "tokens"), (f"categories with {ENTITY}", "categories"))
    ], (1, 2))  # fmt: skip
    columns = ("sentences", "words", "mentions", "copies", "words_with_copies")
    yield rows(("split", *(name.replace("_", " ") for name in columns)),
               [(code(name), *(f"{counts[column]:,}" for column in columns))
                for name, counts in manifest["splits"].items()], range(1, 6))  # fmt: skip
    yield ("`copies` is how often the sampling draws a sentence; rows are never repeated, and 0 is possible. The "
           "splits are in the column `split`; what `datasets` calls `train` is all rows.")  # fmt: skip
    yield '```python\nfrom datasets import load_dataset\n\ncorpus = load_dataset("FOLDER", split="train")\n```'


def _sources(manifest: Manifest) -> Iterator[str]:
    inputs = facts.rows_of(manifest, "inputs")
    yield rows(("dump", "date in its name", "bytes", "SHA-256"), [
        (code(each.get("file")), facts.dump_date(str(each.get("file"))) or "–", said(each.get("bytes")),
         code(each.get("sha256") or f"of parts: {each.get('sha256_of_parts')}"))
        for each in inputs
    ], (2,))  # fmt: skip
    used = facts.rows_of(manifest["knowledge"], "used")
    yield rows(("knowledge", "kind", "what it holds", "titles typed", "SHA-256"), [
        (code(each.get("path")), said(each.get("kind")), kind_words(str(each.get("kind"))) or "–",
         said(each.get("typed")), code(each.get("sha256")))
        for each in used
    ], (3,))  # fmt: skip
    counts, kinds = facts.counts_of(manifest, "mention_sources"), facts.source_kinds(manifest)
    yield rows(("types by source", "mentions", "share", ""), [
        (code(name), f"{count:,}", share(count, sum(counts.values())), source_words(name, kinds))
        for name, count in counts.items()
    ], (1, 2))  # fmt: skip
    passed = facts.rows_of(manifest["knowledge"], "passed_over")
    yield f"Passed over: {_listed(each.get('path') for each in passed)}." if passed else ""


def _making(manifest: Manifest) -> Iterator[str]:
    versions = [f"{key.replace('_', ' ')} {code(manifest.get(key))}"
                for key in ("scanner", "sentence_splitter", "word_splitter")]  # fmt: skip
    changed = [code(f"{name} = {value!r}") for name, value in facts.changed_settings(manifest).items()]
    yield f"Versions: {', '.join(versions)}. Settings that differ from the defaults: {', '.join(changed) or 'none'}."
    yield rows(("step", "in", "out", "dropped"), [
        (said(step_words(step["step"])[0]), f"{step['in']:,}", f"{step['out']:,}", _dropped(step["dropped"]))
        for step in manifest["steps"]
    ], (1, 2))  # fmt: skip
    told = note_words(facts.notes_of(manifest, "filter 1"))
    yield f"In filter 1, {told}." if told else ""
    slope = facts.slope(manifest)
    if slope is not None:
        yield (f"After sampling, mentions of a category follow its mentions before with the exponent {slope:.2f} "
               "(least squares over the logarithms of all categories).")  # fmt: skip
    drawn = facts.drawn_by(manifest)
    ways = ", ".join(f"`{name}` {found:.2f}{' (this corpus is drawn by it)' if name == drawn else ''}"
                     for name, found in facts.exponents(manifest).items())  # fmt: skip
    yield f"Expected exponents of the two ways of sampling: {ways}." if ways else ""
    excluded = [each.get("file") for each in facts.rows_of(manifest, "excluded")]
    yield f"Left out were sentences that share words in a row with {_listed(excluded)}." if excluded else ""


def _skews(manifest: Manifest) -> Iterator[str]:
    topics, dense = facts.topics(manifest), facts.concentration(manifest)
    before, after = (sum(each[key] for each in topics.values()) for key in ("mentions", "with_copies"))
    if topics:
        yield "Topics, by the classes of the training part's mentions, whatever their labels:"
    yield rows(("topic", "mentions", "share", "share after sampling"), [
        (name, f"{each['mentions']:,}", share(each["mentions"], before), share(each["with_copies"], after))
        for name, each in topics.items()
    ], (1, 2, 3))  # fmt: skip
    largest = dense["largest"]
    if (number := len(manifest["categories"])) > 1:
        yield (f"Categories: {dense['categories_that_hold_half']:,} of {number:,} hold half of all mentions; "
               f"the {len(largest)} largest hold {share(sum(largest.values()), dense['mentions'])}.")  # fmt: skip
    yield rows(("largest categories", "mentions", "share"), [
        (code(name), f"{count:,}", share(count, dense["mentions"])) for name, count in largest.items()
    ], (1, 2))  # fmt: skip
    years = facts.table(manifest, "years")
    yield rows(("years that sentences name", "sentences"), [
        (code(name), f"{count:,}") for name, count in years.items() if isinstance(count, int)
    ], (1,)) if years else ""  # fmt: skip
    yield ("Pages stand as they were at the time of the dump; the corpus keeps no dates, but each sentence's revision, "
           "from which the wiki tells the date. Places and people that Wikipedia writes about more are here "
           "more.")  # fmt: skip


def _noise(manifest: Manifest) -> Iterator[str]:
    counts = facts.mentions_of(manifest)
    entity, targets = counts.get(ENTITY, 0), facts.table(facts.table(manifest, "notes"), "targets")
    part = share(entity, sum(counts.values()))
    told = f"`{ENTITY}`, {NO_LABEL}, is {part} of the training part's mentions."
    found, typed = targets.get("found"), targets.get("typed")
    if isinstance(found, int) and isinstance(typed, int):
        told += f" Of {found:,} titles that are linked, the knowledge types {typed:,}."
    yield told
    titles = [title for title, _ in facts.unresolved(manifest)[:10]]
    yield f"The most linked titles without a type: {_listed(titles)}." if titles else ""


def _licence(manifest: Manifest) -> Iterator[str]:
    yield said(manifest.get("licence", ""))
    yield (f"To attribute a sentence, name Wikipedia's contributors, the page's `title`, and its `id` (`wiki:page:"
           f"revision:start`): revision R of {code(manifest['wiki'])} is at `index.php?oldid=R` on that wiki. Exports "
           "as JSON lines carry all of it. Whoever passes the text on does so under the same licence.")  # fmt: skip


def _dropped(reasons: Mapping[str, int]) -> str:
    told = (f"{said(reason_words(name))}: {count:,}" for name, count in most_first(reasons).items())
    return "; ".join(told) or "–"


def _listed(values: Iterable[object]) -> str:
    return ", ".join(map(code, values))
