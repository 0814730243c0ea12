"""The sections of the page, in the order in which they are read; each takes the overview and gives markup."""

import re
from collections.abc import Mapping
from typing import Any

from nerbert.corpus.tallies import TOPICS, most_first
from nerbert.records import ENTITY
from nerbert.render.corpus import facts
from nerbert.render.corpus.figures import bars, grid, rank_plot, stacked
from nerbert.render.corpus.phrases import (
    NO_LABEL,
    kind_words,
    note_words,
    reason_words,
    sampling_words,
    share,
    size,
    source_words,
    step_words,
)
from nerbert.render.corpus.sentences import category_blocks
from nerbert.render.markup import Child, Markup, pairs, rows, tag

Overview = Mapping[str, Any]
_FIRST_BARS = 40
_NAMED = 15


def head(overview: Overview) -> Markup:
    """What this is."""
    ours = overview["table1"]["ours"]
    dates = {facts.dump_date(str(each.get("file"))) for each in facts.rows_of(overview, "inputs")} - {""}
    told: dict[str, Child] = {
        "wiki": overview["wiki"], "language": overview["language"], "dump of": ", ".join(sorted(dates)) or "not told",
        "label set": overview["label_set"]["name"], "sentences": ours["examples"],
        "words": ours["tokens"], "mentions": sum(each["mentions"] for each in overview["splits"].values()),
        "categories": ours["categories"], "size": size(ours["bytes"]), "made by": str(overview.get("made_by", "")),
    }  # fmt: skip
    lead = ("A silver corpus: sentences of Wikipedia whose links are taken for entities, typed by where they lead. "
            "Nobody has checked them one by one.")  # fmt: skip
    return tag("header", tag("h1", overview["wiki"], tag("span", " named entities from Wikipedia’s links")),
               tag("p", lead, class_="lead"), pairs(told))  # fmt: skip


def sizes(overview: Overview) -> Markup:
    """The paper's Table 1 and ours; the splits."""
    paper, ours = overview["table1"]["paper"], overview["table1"]["ours"]
    lines: list[list[Child]] = [
        [name, _short(key, paper[key]), size(ours[key]) if key == "bytes" else ours[key]]
        for name, key in (("examples (sentences)", "examples"), ("tokens (words)", "tokens"),
                          ("categories with ENTITY", "categories"), ("size on disk", "bytes"))
    ]  # fmt: skip
    columns = ("sentences", "words", "mentions", "copies", "words_with_copies")
    splits = [[name, *(counts[key] for key in columns)] for name, counts in overview["splits"].items()]
    return section(
        "size", "How large it is",
        tag("p", "The paper’s Table 1 beside this corpus. Both are counted after the filters and before sampling; "
                 "the paper’s size is that of its own files, ours that of the sentences’ Parquet files."),
        rows(("", "NER-BERT", "this corpus"), lines, (1, 2)),
        tag("p", "Sampling draws each training sentence some number of times, its copies; 0 is possible."),
        rows(("split", *(name.replace("_", " ") for name in columns)), splits, range(1, 6)),
    )  # fmt: skip


def contents(overview: Overview) -> Markup:
    """Topics and concentration: what the corpus is mostly about."""
    topics, dense = facts.topics(overview), overview["concentration"]
    kinds = {name: f"t{place}" for place, name in enumerate(TOPICS)}
    drawn: list[Child] = []
    for key, title in (("mentions", "before sampling"), ("with_copies", "after sampling")) if topics else ():
        counts = {name: each[key] for name, each in topics.items()}
        whole = sum(counts.values())
        told = [tag("span", tag("i", class_=kinds[name]), f"{name} {share(count, whole)}")
                for name, count in counts.items()]  # fmt: skip
        parts = [(name, count, kinds[name]) for name, count in counts.items()]
        drawn.append(tag("figure", tag("figcaption", title), stacked(parts, whole), tag("p", told, class_="key")))
    largest, number = dense["largest"], len(overview["categories"])
    part = share(sum(largest.values()), dense["mentions"])
    half = (f"{dense['categories_that_hold_half']:,} of {number:,} categories hold half of all mentions of the "
            f"training part; the {len(largest)} largest hold {part}.")  # fmt: skip
    years = facts.table(overview, "years")
    years_named: list[list[Child]] = [[name, f"{count:,}"] for name, count in years.items() if isinstance(count, int)]
    named = _folded("Years that sentences name", rows(("", "sentences"), years_named, (1,)), len(years_named))
    lead = "Topics, by the classes of the training part’s mentions, whatever their labels."
    return section("topics", "What it is about", tag("p", lead) if topics else None, drawn,
                   tag("p", half) if number > 1 else None, named)  # fmt: skip


def categories(overview: Overview) -> Markup:
    """The paper's figures 1 and 8: mentions of each category before and after sampling."""
    before, after = facts.mentions_of(overview), facts.mentions_of(overview, "with_copies")
    most = max([*before.values(), *after.values(), 1])
    items = [
        tag("li", tag("span", _breakable(name), class_="name"), bars(count, after[name], most),
            tag("span", tag("b", count), " → ", after[name], class_="told"))
        for name, count in before.items()
    ]  # fmt: skip
    rest = items[_FIRST_BARS:]
    more = tag("details", tag("summary", f"the other {len(rest):,}"),
               tag("ol", rest, class_="barlist", start=_FIRST_BARS + 1)) if rest else None  # fmt: skip
    none = sum(not count for count in after.values())
    return section(
        "categories", "Categories before and after sampling",
        tag("p", "Sampling copies sentences so that rare categories weigh more than they do in the text "
                 "(the paper’s figures 1 and 8)."),
        tag("figure", rank_plot(before, after, overview["slope"]),
            tag("p", _key("before", "before sampling"), _key("after", "after sampling"), class_="key")),
        _balance(overview),
        tag("p", f"{none:,} categories were drawn not once.") if none else None,
        tag("h3", "All categories", class_="plain"),
        tag("p", "Mentions in the training part, before → after; bars are logarithmic, each grey line stands for ten "
                 "times the one before it (1, 10, 100 …).", class_="told"),
        grid(most), tag("ol", items[:_FIRST_BARS], class_="barlist"), more,
    )  # fmt: skip


def funnel(overview: Overview) -> Markup:
    """Every step: what came in, what went out, what was dropped and why."""
    return section(
        "funnel", "What was dropped, and why",
        tag("p", "Each step’s sum is checked: what came in is what went out and what was dropped."),
        [_step(step, facts.notes_of(overview, step["step"])) for step in overview["steps"]],
    )  # fmt: skip


def knowledge(overview: Overview) -> Markup:
    """Where types come from."""
    known, counts = overview["knowledge"], facts.counts_of(overview, "mention_sources")
    kinds, whole = facts.source_kinds(overview), sum(counts.values())
    sources: list[list[Child]] = [
        [_explained(name, source_words(name, kinds)), count, share(count, whole)] for name, count in counts.items()
    ]
    used: list[list[Child]] = [
        [_explained(str(each.get("path")), str(each.get("kind")), kind_words(str(each.get("kind")))),
         *(_value(each.get(key)) for key in ("rows", "typed", "lost_to_precedence")), _reasons(each)]
        for each in facts.rows_of(known, "used")
    ]  # fmt: skip
    passed = [[str(each.get("path")), str(each.get("why", ""))] for each in facts.rows_of(known, "passed_over")]
    unknown: list[tuple[Child, ...]] = list(facts.counts_of(known, "unknown_classes").items())
    return section(
        "knowledge", "Where the types come from",
        tag("h3", "Mentions by source", class_="plain"),
        rows(("source", "mentions", "share"), sources, (1, 2)),
        tag("h3", "Files that were used", class_="plain"),
        rows(("file", "rows", "titles typed", "left to others", "rows dropped"), used, (1, 2, 3)),
        tag("p", "Left to others are titles that a source of higher precedence typed.", class_="told"),
        _folded("Files that were passed over", rows(("file", "why"), passed), len(passed)),
        _folded("Classes that the ontology doesn’t have", rows(("class", "rows"), unknown, (1,)), len(unknown)),
    )  # fmt: skip


def gaps(overview: Overview) -> Markup | None:
    """Titles that no source types, and classes that the label set folds."""
    titles, label_set = facts.unresolved(overview), facts.table(overview, "label_set")
    blocks: list[Child] = []
    if titles:
        blocks += [
            tag("h3", "Titles without a class", class_="plain"),
            tag("p", "The most linked titles that no source types; a row in a table would type all links to one."),
            rows(("title", "links"), titles[:_NAMED], (1,)),
            _folded("more of them", rows(("title", "links"), titles[_NAMED:], (1,)), len(titles[_NAMED:])),
        ]  # fmt: skip
    for key, title in (
        ("to_ancestor", "Classes that took the label of one above them"),
        ("to_entity", "Classes without a label in this set: ENTITY"),
    ):
        found = list(facts.counts_of(label_set, key).items())
        blocks.append(_folded(f"{title}: {sum(count for _, count in found):,} mentions before the filters",
                              rows(("class", "mentions"), found, (1,)), len(found)))  # fmt: skip
    shown = [block for block in blocks if block is not None]
    return section("gaps", "What is not typed, or typed more coarsely", shown) if shown else None


def sentences(overview: Overview) -> Markup:
    """Sentences of each category, drawn by coin."""
    blocks = category_blocks(overview["sentences_by_category"], overview["categories"])
    return section(
        "sentences", "Sentences by category",
        tag("p", "Up to three of each, drawn by coin over the whole corpus. The type stands behind each mention; hover "
                 "over one, tap it, or reach it with the Tab key, to see where its link leads and who typed it. "
                 f"{ENTITY} is a mention with {NO_LABEL}."),
        tag("div", tag("input", type="search", id="filter", placeholder="filter categories", aria_label="filter"),
            tag("button", "open all", type="button", id="open"), tag("button", "close all", type="button", id="close"),
            tag("span", id="found", role="status"), class_="tools", hidden=""),
        tag("div", blocks, class_="blocks", id="blocks"),
    )  # fmt: skip


def dropped(overview: Overview) -> Markup | None:
    """A few dropped sentences for each reason."""
    blocks = [
        tag("div", tag("h3", step_words(step)[0], class_="plain"), tag("p", reason_words(reason), class_="told"),
            [tag("div", tag("p", row["text"], class_="text", dir="auto"), tag("p", row["id"], class_="source"),
                 class_="sentence") for row in found])
        for step, reasons in overview["dropped_sentences"].items()
        for reason, found in reasons.items()
    ]  # fmt: skip
    return section("dropped", "Some sentences that were dropped", blocks) if blocks else None


def making(overview: Overview) -> Markup:
    """Inputs, settings and versions, so that the corpus can be made again; the licence."""
    inputs = [[str(each.get("file")), facts.dump_date(str(each.get("file"))) or "–", size(each.get("bytes")),
               tag("code", str(each.get("sha256") or f"of parts: {each.get('sha256_of_parts')}"))]
              for each in facts.rows_of(overview, "inputs")]  # fmt: skip
    changed = facts.changed_settings(overview)
    settings = [[name, tag("code", repr(value)), "changed" if name in changed else "default"]
                for name, value in facts.table(overview, "settings").items()]  # fmt: skip
    versions: dict[str, Child] = {key.replace("_", " "): str(overview.get(key, "not told"))
                for key in ("made_by", "scanner", "sentence_splitter", "word_splitter")}  # fmt: skip
    return section(
        "making", "How it was made",
        rows(("dump", "date", "size", "SHA-256"), inputs, (2,)), pairs(versions),
        tag("p", f"{len(changed):,} settings differ from the defaults."),
        tag("details", tag("summary", "All settings"), rows(("setting", "value", ""), settings)),
        tag("p", str(overview.get("licence", "")), class_="told"),
    )  # fmt: skip


def section(name: str, title: str, *children: Child) -> Markup:
    """A section with its heading; `name` is where the contents lead."""
    return tag("section", tag("h2", title), children, id=name)


def _short(key: str, count: int) -> str:
    if key == "bytes":
        return size(count)
    return f"{count / 1e6:.1f} M" if count >= 10**6 else f"{count:,}"


def _step(step: Mapping[str, Any], notes: Mapping[str, int]) -> Markup:
    title, unit = step_words(step["step"])
    dropped_ = list(most_first(step["dropped"]).items())
    parts = [("kept", step["out"], "kept"), *((name, count, f"d{n % 4}") for n, (name, count) in enumerate(dropped_))]
    lines = [
        tag("li", tag("i", class_=f"d{n % 4}"), tag("b", count), f" ({share(count, step['in'])}) ",
            reason_words(name), " ", tag("code", name))
        for n, (name, count) in enumerate(dropped_)
    ]  # fmt: skip
    told = tag("p", tag("b", step["in"]), f" {unit} in, ", tag("b", step["out"]), " out", class_="told")
    return tag("div", tag("h3", title, class_="plain"), told, stacked(parts, step["in"]),
               tag("ul", lines, class_="reasons") if lines else tag("p", "nothing dropped", class_="told"),
               tag("p", note_words(notes), class_="told") if note_words(notes) else None, class_="step")  # fmt: skip


def _balance(overview: Overview) -> list[Child]:
    """What the manifest says of the sampling, whatever its keys are, and the slope of the figure."""
    balance = facts.table(overview, "balance")
    single: dict[str, Child] = {
        sampling_words(key): _value(each) for key, each in balance.items() if not isinstance(each, dict)
    }
    if overview["slope"] is not None:
        single["exponent of after over before, as drawn"] = f"{overview['slope']:.2f}"
    drawn = facts.drawn_by(overview)
    single |= {f"expected exponent, {way}": f"{found:.2f}{' (this corpus)' if way == drawn else ''}"
               for way, found in facts.exponents(overview).items()}  # fmt: skip
    methods = {key: each for key, each in balance.items() if isinstance(each, dict)}
    names = list(dict.fromkeys(name for each in methods.values() for name in each))
    lines = [[sampling_words(name), *(_value(each.get(name)) for each in methods.values())] for name in names]
    ways = f"Ways of sampling side by side; the copies are drawn by {drawn or 'one that is not told'}"
    return [pairs(single), _folded(ways, rows(("", *methods), lines, range(1, 1 + len(methods))), len(methods))]


def _breakable(name: str) -> list[Child]:
    """A class's name that may be broken before its capitals."""
    parts = re.split(r"(?<=[a-z])(?=[A-Z])", name)
    return [parts[0], *((tag("wbr"), part) for part in parts[1:])]


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return "–" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def _reasons(source: Mapping[str, Any]) -> str:
    return ", ".join(f"{reason_words(name)}: {count:,}" for name, count in facts.counts_of(source, "dropped").items())


def _explained(name: str, *words: str) -> Child:
    """A name, and below it what it is."""
    return [name, tag("div", ": ".join(filter(None, words)), class_="told")]


def _folded(title: str, inner: Markup, count: int) -> Child:
    return tag("details", tag("summary", f"{title} ({count:,})"), inner) if count else None


def _key(kind: str, title: str) -> Markup:
    return tag("span", tag("i", class_=kind), title)
