"""The page of a corpus: one file that requests nothing and is readable without script. And its facts as JSON."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nerbert.artifacts import check_free_file
from nerbert.corpus.shards import read_manifest
from nerbert.render import render, write
from nerbert.render.corpus import facts
from nerbert.render.corpus.phrases import reason_words, size, step_words
from nerbert.render.corpus.samples import colour_of, draw_sentences, pieces_of, read_dropped
from nerbert.render.values import dict_of, dicts_of

_TEMPLATE = "corpus.html.j2"
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 640, 400, 76, 14, 14, 54
_BELOW_ONE = 0.3
"""How far 1 is from the beginning of a logarithmic bar, in powers of ten, so that one mention can be seen."""

Overview = Mapping[str, Any]


def write_page(corpus: Path, output: Path, *, overwrite: bool = False) -> None:
    """Write the page of a corpus as one HTML file."""
    check_free_file(output, overwrite=overwrite)
    write(output, _TEMPLATE, **_facts(make_overview(corpus)))


def page_of(overview: Overview) -> str:
    """Return the page's text."""
    return render(_TEMPLATE, **_facts(overview))


def make_overview(corpus: Path) -> dict[str, Any]:
    """Return all that the page shows as one JSON value: the manifest's keys, and beside them those of the page."""
    manifest = read_manifest(corpus)
    made = {
        "table1": facts.table1(manifest, size_on_disk(corpus, manifest)),
        "concentration": facts.concentration(manifest),
        "slope": facts.slope(manifest),
        "sentences_by_category": draw_sentences(corpus, manifest),
        "dropped_sentences": read_dropped(corpus, [step["step"] for step in manifest["steps"]]),
    }
    return manifest | made


def size_on_disk(corpus: Path, manifest: Mapping[str, Any]) -> int:
    """Return the bytes of the sentences' files."""
    paths = (corpus / shard for shard in manifest["shards"])
    return sum(path.stat().st_size for path in paths if path.is_file())


def _facts(overview: Overview) -> dict[str, Any]:
    """Return what the page's template shows."""
    before, after = facts.mentions_of(overview), facts.mentions_of(overview, "with_copies")
    shared, ours, changed = facts.corpus_facts(overview), overview["table1"]["ours"], facts.changed_settings(overview)
    dates = sorted({date for _, date, _, _ in shared["inputs"]} - {"–"})
    return shared | {
        "about": {
            "language": overview["language"], "dump of": ", ".join(dates) or "unknown",
            "label set": shared["label_set"], "sentences": ours["examples"], "words": ours["tokens"],
            "mentions": sum(each["mentions"] for each in overview["splits"].values()),
            "categories": ours["categories"], "size": size(ours["bytes"]), "made by": shared["made_by"],
        },
        "sizes": facts.size_rows(overview["table1"]), "plot": rank_plot(before, after), "bars": _bars(before, after),
        "never_drawn": sum(not count for count in after.values()),
        "blocks": [_block(name, rows, before.get(name, 0), after.get(name, 0))
                   for name, rows in overview["sentences_by_category"].items()],
        "used": facts.used_knowledge(overview, "rows", "typed", "lost_to_precedence"),
        "dropped_rows": _dropped_rows(overview),
        "dropped": [
            {"step": step_words(step)[0], "reason": reason_words(reason), "sentences": rows}
            for step, reasons in overview["dropped_sentences"].items() for reason, rows in reasons.items()
        ],
        "settings": [(name, repr(value), "changed" if name in changed else "default")
                     for name, value in dict_of(overview, "settings").items()],
    }  # fmt: skip


def _dropped_rows(overview: Overview) -> list[tuple[str, str, int]]:
    """Return what was dropped from files of knowledge: file, reason, rows."""
    return [
        (str(each.get("path")), reason_words(reason), count)
        for each in dicts_of(overview["knowledge"], "used")
        for reason, count in facts.counts_of(each, "dropped").items()
    ]


def _bars(before: facts.Counts, after: facts.Counts) -> list[dict[str, Any]]:
    """Return for each category its counts, and the widths of its bars on a logarithmic scale."""
    most = max([*before.values(), *after.values(), 1])
    return [
        {"name": name, "before": count, "after": after[name],
         "widths": [f"{100 * log_share(each, most):.2f}%" for each in (count, after[name])]}
        for name, count in before.items()
    ]  # fmt: skip


def log_share(value: int, most: int) -> float:
    """Return how long a value's bar is on a logarithmic scale that ends at `most`: 0–1, 0 for nothing."""
    if value < 1 or most < 1:
        return 0.0
    return min(1.0, (math.log10(value) + _BELOW_ONE) / (math.log10(most) + _BELOW_ONE))


def rank_plot(before: facts.Counts, after: facts.Counts) -> dict[str, Any]:
    """Return the lines of mentions over rank, both logarithmic (NER-BERT, figures 1 and 8), and the grid's lines."""
    ranked = {"before": sorted(before.values(), reverse=True), "after": sorted(after.values(), reverse=True)}
    tens_x = _tens(len(before))
    tens_y = _tens(max([*before.values(), *after.values(), 1]))
    across, up = (_WIDTH - _LEFT - _RIGHT) / tens_x, (_HEIGHT - _TOP - _BOTTOM) / tens_y
    foot = _HEIGHT - _BOTTOM
    return {
        "x": [(f"{_LEFT + across * power:.1f}", 10**power) for power in range(tens_x + 1)],
        "y": [(f"{foot - up * power:.1f}", 10**power) for power in range(tens_y + 1)],
        "lines": {
            name: " ".join(f"{_LEFT + across * math.log10(rank):.1f},{foot - up * math.log10(count):.1f}"
                           for rank, count in enumerate(counts, 1) if count > 0)
            for name, counts in ranked.items()
        },
    }  # fmt: skip


def _tens(value: int) -> int:
    return max(1, math.ceil(math.log10(max(1, value))))


def _block(name: str, rows: list[dict[str, Any]], before: int, after: int) -> dict[str, Any]:
    sentences = [
        {"pieces": pieces_of(row["text"], row["mentions"], name),
         "source": f"{row['title']} · {row['id']} · {row['split']} · copies {row['copies']}"}
        for row in rows
    ]  # fmt: skip
    return {"name": name, "colour": colour_of(name), "before": before, "after": after, "sentences": sentences}
