"""The manifest: the corpus's inputs and outputs, and the reasons for every drop.

Each step records in = out + dropped, and a wrong sum stops the build. The manifest contains no workers, times or
absolute paths, so the same input gives the same manifest. A topic comes from a mention's whole class path, never from
its category, which a label set may have merged from several roots.
"""

import json
import re
from bisect import insort
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nerbert import __version__
from nerbert.artifacts import publish, sha256_of
from nerbert.corpus.dump.dump import Dump
from nerbert.corpus.exclude import Excluded
from nerbert.corpus.knowledge.detect import SourceKind
from nerbert.corpus.sentences.splitter import open_splitter
from nerbert.corpus.settings import CorpusSettings
from nerbert.corpus.shards import FORMAT, shard_paths
from nerbert.corpus.wikitext.scan import SCANNER
from nerbert.errors import NerbertError
from nerbert.label_sets import LabelSet, open_label_set
from nerbert.records import ENTITY, TRAIN
from nerbert.rng import uniform
from nerbert.words import SPLITTER

_LICENCE = (
    "Text and links: Wikipedia, CC BY-SA 4.0 (revisions before June 2023: CC BY-SA 3.0 and GFDL); every sentence "
    "carries its page id and revision as attribution."
)
_LICENCES: Mapping[str, tuple[SourceKind, ...]] = {
    "DBpedia ({kinds}): CC BY-SA 3.0 and GFDL":
        (SourceKind.ONTOLOGY, SourceKind.MAPPING, SourceKind.TRIPLES, SourceKind.DISAMBIGUATIONS),
    "Wikidata: CC0 1.0": (SourceKind.WIKIDATA_JSON, SourceKind.WIKIDATA_TRIPLES, SourceKind.WIKIDATA_TRUTHY,
                         SourceKind.WIKIDATA_SITELINKS),
    "title tables: as their makers say": (SourceKind.TABLE,),
}  # fmt: skip
"""The usual licences of each kind of knowledge; a file of the same format may have another source."""
TOPICS = ("persons", "places", "organisations", "others", "untyped")
"""Topics of mentions: `others` have a class that is none of the three, `untyped` have no class."""
_TOPICS = {"person": "persons", "location": "places", "organisation": "organisations"}
_YEAR = re.compile(r"(?<![\d.,-])(?:1[0-9]|20)\d\d(?![\d.,]\d|\d)")


@dataclass(slots=True)
class Funnel:
    """Steps with their inputs, outputs and drops, and the final counts; funnels of shards can be merged."""

    steps: list[dict[str, Any]] = field(default_factory=list)
    notes: dict[str, dict[str, int]] = field(default_factory=dict)
    splits: dict[str, Counter[str]] = field(default_factory=dict)
    mentions: Counter[str] = field(default_factory=Counter)
    sampled: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    years: Counter[str] = field(default_factory=Counter)
    topics: dict[str, Counter[str]] = field(default_factory=lambda: {name: Counter() for name in TOPICS})
    outside: dict[str, Counter[str]] = field(default_factory=lambda: {"to_ancestor": Counter(), "to_entity": Counter()})
    balance: dict[str, Any] = field(default_factory=dict)

    def step(self, name: str, came: int, went: int, dropped: Mapping[Any, int]) -> None:
        """Add a step; raise NerbertError unless in = out + dropped."""
        reasons = {str(reason): count for reason, count in sorted(dropped.items()) if count}
        if came != went + sum(reasons.values()):
            raise NerbertError(
                f"step {name!r}: {came} in, {went} out, {sum(reasons.values())} dropped: a bug, report it"
            )
        self.steps.append({"step": name, "in": came, "out": went, "dropped": reasons})

    def note(self, step: str, **figures: int) -> None:
        """Record figures of a step that drops nothing."""
        self.notes.setdefault(step, {}).update(figures)

    def count(self, sentences: pa.Table) -> None:
        """Count sentences of the final corpus, rows of `sentences/`."""
        mentions = sentences["mentions"].combine_chunks()
        flat, lengths = mentions.flatten(), pc.list_value_length(mentions).to_pylist()
        words = pc.list_value_length(sentences["words"]).to_pylist()
        sides, copies = sentences["split"].to_pylist(), sentences["copies"].to_pylist()
        for side, times, count, named in zip(sides, copies, words, lengths, strict=True):
            self.splits.setdefault(side, Counter()).update(
                sentences=1, copies=times, words=count, mentions=named, words_with_copies=times * count
            )
        for text in sentences["text"].to_pylist():
            self.years.update({period_of(year) for year in _YEAR.findall(text)})
        self.sources.update(source or "untyped" for source in pc.struct_field(flat, "source").to_pylist())
        owners = [place for place, named in enumerate(lengths) for _ in range(named)]
        columns = (pc.struct_field(flat, name).to_pylist() for name in ("category", "class_path"))
        for owner, category, path in zip(owners, *columns, strict=True):
            if sides[owner] == TRAIN:
                self.mentions[category] += 1
                self.sampled[category] += copies[owner]
                self.topics[topic_of(tuple(path))].update(mentions=1, with_copies=copies[owner])

    def merge(self, other: "Funnel") -> None:
        """Add the counts of another shard."""
        for name, counts in other.splits.items():
            self.splits.setdefault(name, Counter()).update(counts)
        for name, counts in other.topics.items():
            self.topics[name].update(counts)
        self.mentions.update(other.mentions)
        self.sampled.update(other.sampled)
        self.sources.update(other.sources)
        self.years.update(other.years)


@dataclass(slots=True)
class Samples:
    """A few dropped sentences by step and reason, drawn at random, for inspection."""

    seed: int
    each: int = 20
    rows: dict[tuple[str, str], list[tuple[float, str, str]]] = field(default_factory=dict)

    def add(self, step: str, reason: str, identity: str, text: str) -> None:
        """Add a dropped sentence if it is drawn."""
        self._offer((step, str(reason)), (uniform(self.seed, "dropped sample", identity), identity, text))

    def merge(self, other: "Samples") -> None:
        """Merge the samples of another shard."""
        for key, rows in other.rows.items():
            for row in rows:
                self._offer(key, row)

    def write(self, path: Path) -> None:
        """Write the samples as JSON lines."""
        with publish(path) as partial, partial.open("w", encoding="utf-8") as stream:
            for (step, reason), rows in sorted(self.rows.items()):
                for _, identity, text in sorted(rows):
                    line = {"step": step, "reason": reason, "id": identity, "text": text}
                    stream.write(json.dumps(line, ensure_ascii=False) + "\n")

    def _offer(self, key: tuple[str, str], row: tuple[float, str, str]) -> None:
        rows = self.rows.setdefault(key, [])
        insort(rows, row)
        del rows[self.each :]


def make_manifest(
    folder: Path, dumps: Sequence[Dump], forbidden: Excluded, settings: CorpusSettings, label_set: LabelSet,
    knowledge: Mapping[str, Any], unresolved: Sequence[Mapping[str, Any]], funnel: Funnel,
) -> dict[str, Any]:  # fmt: skip
    """Return the content of `manifest.json`, the last file of a corpus, for the one in `folder`."""
    categories = most_first(funnel.mentions)
    shards = {f"sentences/{path.name}": path for path in shard_paths(folder / "sentences")}
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "made_by": f"nerbert {__version__}",
        "scanner": SCANNER,
        "sentence_splitter": open_splitter(settings, dumps[0].site.language).name,
        "word_splitter": SPLITTER,
        "licence": licence_of(knowledge),
        "wiki": dumps[0].site.wiki,
        "language": dumps[0].site.language,
        "inputs": [dump.facts() for dump in dumps],
        "knowledge": dict(knowledge),
        "excluded": list(forbidden.files),
        "settings": settings.to_dict(),
        "label_set": {"name": label_set.name, "labels": len(label_set.labels), "sha256": label_set.digest}
        | {kind: most_first(classes) for kind, classes in funnel.outside.items()},
        "steps": funnel.steps,
        "notes": funnel.notes,
        "splits": {name: dict(counts) for name, counts in sorted(funnel.splits.items())},
        "balance": funnel.balance,
        "unresolved": list(unresolved),
        "mention_sources": dict(sorted(funnel.sources.items())),
        "topics": {
            name: {key: counts[key] for key in ("mentions", "with_copies")} for name, counts in funnel.topics.items()
        },
        "years": dict(sorted(funnel.years.items())),
        "categories": {
            name: {"mentions": funnel.mentions[name], "with_copies": funnel.sampled[name]} for name in categories
        },
        "shards": {name: pq.read_metadata(path).num_rows for name, path in shards.items()},
        "shard_sha256": {name: sha256_of(path) for name, path in shards.items()},
    }
    manifest["categories"].setdefault(ENTITY, {"mentions": 0, "with_copies": 0})
    return manifest


def licence_of(knowledge: Mapping[str, Any]) -> str:
    """Return the licences of the text and the types, according to the kinds of the sources used."""
    used = {each["kind"] for each in knowledge["used"]}
    there = {licence: [kind.value for kind in kinds if kind in used] for licence, kinds in _LICENCES.items()}
    told = [licence.format(kinds=", ".join(kinds)) for licence, kinds in there.items() if kinds]
    return f"{_LICENCE} Types: {'; '.join(told)}." if told else _LICENCE


@lru_cache(1 << 16)
def topic_of(path: tuple[str, ...]) -> str:
    """Return the topic of a mention with this class path."""
    return _TOPICS.get(_coarse().label(path), "others") if path else "untyped"


@cache
def _coarse() -> LabelSet:
    return open_label_set("4types")


def period_of(year: str) -> str:
    """Return the decade of a year in a sentence, or before 1900 the century."""
    return f"{year[:3]}0–{year[:3]}9" if year >= "1900" else f"{year[:2]}00–{year[:2]}99"


def most_first(counts: Mapping[str, int]) -> dict[str, int]:
    """Sort counts, largest first, equal ones by name."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
