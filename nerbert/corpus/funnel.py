"""The funnel: each step's input, its drops with reasons and samples, and the contents of the final corpus.

A topic comes from a mention's whole class path, never from its category, which a label set may have merged from several
roots.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nerbert.artifacts import publish
from nerbert.errors import NerbertError
from nerbert.label_sets import open_label_set
from nerbert.records import TRAIN, Reason
from nerbert.rng import uniforms

TOPICS = ("persons", "places", "organisations", "others", "untyped")
"""Topics of mentions: `others` have another class, `untyped` have none."""
_SAMPLES = 20
_SAMPLED = ["page_id", "start", "id", "text"]
"""Number of sample sentences for each step and reason, and the columns that a sample needs."""
_TOPICS = {"person": "persons", "location": "places", "organisation": "organisations"}
_YEAR = re.compile(r"(?<![\d.,-])(?:1[0-9]|20)\d\d(?![\d.,]\d|\d)")


def _most_samples(reason: str) -> int | None:
    """Return how many sentences dropped for a reason are listed; None: all, since readers of `pages/` skip these."""
    return None if reason == Reason.EXCLUDED_TEXT else _SAMPLES


@dataclass(slots=True)
class Funnel:
    """Steps with their inputs and drops, samples of the drops, and final counts; funnels of shards can be merged."""

    seed: int = 0
    counts: Counter[tuple[str, ...]] = field(default_factory=Counter)
    """Counts by path: `("in", step)`, `("dropped", step, reason)`, `("splits", name, "words")` and so on."""
    notes: dict[str, dict[str, int]] = field(default_factory=dict)
    samples: dict[tuple[str, str], list[tuple[float, str, str]]] = field(default_factory=dict)
    """Dropped sentences by step and reason: a few drawn at random, for inspection, and all that were excluded."""

    @property
    def steps(self) -> list[dict[str, Any]]:
        """The steps in order, as in the manifest."""
        steps = [(name, came, self.under("dropped", name)) for name, came in self.under("in").items()]
        return [
            {"step": name, "in": came, "out": came - dropped.total(), "dropped": dict(sorted((+dropped).items()))}
            for name, came, dropped in steps
        ]

    def under(self, *path: str) -> Counter[str]:
        """Return the counts below a path."""
        return Counter({key[-1]: count for key, count in self.counts.items() if key[:-1] == path})

    def add(self, counts: Mapping[str, int], *path: str) -> None:
        """Add counts below a path."""
        self.counts.update({(*path, str(name)): count for name, count in counts.items()})

    def step(self, name: str, came: int, went: int, dropped: Mapping[Any, int]) -> None:
        """Add a step whose output was counted separately; raise NerbertError unless in = out + dropped."""
        if came != went + (gone := sum(dropped.values())):
            raise NerbertError(f"step {name!r}: {came} in, {went} out, {gone} dropped: a bug, report it")
        self.add({name: came}, "in")
        self.add(dropped, "dropped", name)

    def sample(self, step: str, reasons: pa.Array, rows: pa.RecordBatch) -> None:
        """Add a random selection of the rows that have a reason to be dropped to the samples."""
        reasons, rows = reasons.drop_null(), rows.select(_SAMPLED).filter(reasons.is_valid())
        # Drawn by page and start, so that a sentence has the same number in whatever shard it is
        pages = rows["page_id"].fill_null(0).to_numpy().astype(np.uint64) << np.uint64(32)
        drawn = uniforms(self.seed, "dropped sample", pages + rows["start"].fill_null(0).to_numpy().astype(np.uint64))
        for reason in reasons.unique().to_pylist():
            numbers = np.flatnonzero(pc.equal(reasons, reason))
            # The lowest numbers are the sample, so that samples of shards can be merged
            first = numbers[np.argsort(drawn[numbers], kind="stable")[: _most_samples(reason)]]
            ids, texts = (rows[name].take(pa.array(first)).to_pylist() for name in ("id", "text"))
            self._offer((step, reason), zip(drawn[first].tolist(), ids, texts, strict=True))

    def _offer(self, key: tuple[str, str], rows: Iterable[tuple[float, str, str]]) -> None:
        self.samples[key] = sorted([*self.samples.get(key, ()), *rows])[: _most_samples(key[1])]

    def write_samples(self, path: Path) -> None:
        """Write the samples as JSON lines."""
        with publish(path) as partial, partial.open("w", encoding="utf-8") as stream:
            for (step, reason), rows in sorted(self.samples.items()):
                for _, identity, text in rows:
                    line = {"step": step, "reason": reason, "id": identity, "text": text}
                    stream.write(json.dumps(line, ensure_ascii=False) + "\n")

    def note(self, step: str, **figures: int) -> None:
        """Record further figures of a step, in addition to its drops."""
        self.notes.setdefault(step, {}).update(figures)

    def count(self, sentences: pa.Table) -> None:
        """Count sentences of the final corpus, rows of `sentences/`."""
        column = sentences["mentions"].combine_chunks()
        flat = column.flatten()
        lengths = pc.list_value_length(column).to_numpy()
        words = pc.list_value_length(sentences["words"]).to_numpy()
        copies = sentences["copies"].to_numpy()
        for side in sentences["split"].unique().to_pylist():
            in_split = pc.equal(sentences["split"], side).to_numpy()
            sums = {
                "sentences": in_split,
                "copies": copies,
                "words": words,
                "mentions": lengths,
                "words_with_copies": copies * words,
            }
            self.add({name: int(values[in_split].sum()) for name, values in sums.items()}, "splits", side)
        years = (_YEAR.findall(text) for text in sentences["text"].to_pylist())
        self.add(Counter(period for matches in years for period in {*map(period_of, matches)}), "years")
        sources = pc.struct_field(flat, "source").to_pylist()
        self.add(Counter(source or "untyped" for source in sources), "sources")
        self.add(Counter(pc.struct_field(flat, "origin").to_pylist()), "origins")
        unknown = sentences["unknown"].combine_chunks().flatten()
        self.add(Counter(pc.struct_field(unknown, "reason").to_pylist()), "unknown")
        classes = pc.unique(pc.list_flatten(pc.struct_field(flat, "class_path"))).to_pylist()
        self.add(dict.fromkeys(classes, 1), "classes")
        train = pc.equal(sentences["split"], TRAIN).to_numpy()
        self._count_types(flat.filter(pa.array(np.repeat(train, lengths))), np.repeat(copies[train], lengths[train]))

    def _count_types(self, rows: pa.StructArray, times: "np.ndarray[Any, Any]") -> None:
        """Count mentions by category and topic, once and as often as their sentences are drawn."""
        columns = (pc.struct_field(rows, name).to_pylist() for name in ("category", "class_path"))
        mentions, topics, sampled, topics_sampled = (Counter[str]() for _ in range(4))
        for category, path, count in zip(*columns, times.tolist(), strict=True):
            topic = topic_of(tuple(path))
            mentions[category] += 1
            sampled[category] += count
            topics[topic] += 1
            topics_sampled[topic] += count
        for group, once, drawn in (("categories", mentions, sampled), ("topics", topics, topics_sampled)):
            self.add(once, group, "mentions")
            self.add(drawn, group, "with_copies")

    def merge(self, other: "Funnel") -> None:
        """Add the counts and samples of another shard."""
        self.counts.update(other.counts)
        for key, rows in other.samples.items():
            self._offer(key, rows)


@lru_cache(1 << 16)
def topic_of(path: tuple[str, ...]) -> str:
    """Return the topic of a mention with this class path."""
    return _TOPICS.get(_coarse().label(path), "others") if path else "untyped"


_coarse = cache(partial(open_label_set, "4types"))


def period_of(year: str) -> str:
    """Return the decade of a year in a sentence, or its century if it is before 1900."""
    return f"{year[:3]}0–{year[:3]}9" if year >= "1900" else f"{year[:2]}00–{year[:2]}99"
