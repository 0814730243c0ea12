"""Two taggers correct a corpus's labels: each was trained on one half of the pages, and reads the other half.

Confident learning (Northcutt et al. 2021): labels that a model improbably gives itself, where it didn't learn them,
are likely errors. Here they become unknown, and what it finds with high confidence beyond them becomes labels.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from heapq import nsmallest
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nerbert.config import refuse
from nerbert.corpus.shards import TYPED, in_half
from nerbert.errors import SettingsError
from nerbert.label_sets import LabelSet, open_label_set
from nerbert.labels import spans_from_bio
from nerbert.metrics.calibration import cross_fit
from nerbert.model.folder import ModelFolder
from nerbert.model.heads import WordTags
from nerbert.records import ENTITY, TRAIN, Example
from nerbert.rng import hash64
from nerbert.tagger.tagger import Tagger

if TYPE_CHECKING:
    from nerbert.corpus.settings import CorpusSettings
    from nerbert.corpus.steps import Upstream

MODEL, CONTRADICTED = "model", "contradicted"
"""The origin and source of mentions that a tagger found or typed, and the reason of labels that became unknown."""
_HALVES = ("first", "second")
_SAMPLE = 2000
"""Sentences of each half that a temperature is fitted to."""
_READ = ("id", "split", "text", "words", "mentions")
Paths: TypeAlias = Mapping[str, tuple[str, ...]]
"""Category → the class path that a mention found by a tagger gets."""
Row: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reader:
    """A tagger that reads the half of the pages that it was not trained on, and its temperature there."""

    folder: str
    half: str
    threads: int = 0
    temperature: float = 1.0

    def tags(self, examples: Sequence[Example]) -> list[WordTags]:
        """Return a tag and its calibrated probability (0–1) for each word of each sentence."""
        return _loaded(self.folder, self.threads).head.tag(examples, self.temperature)

    def calibrated(self, rows: Sequence[Row], paths: Paths) -> "Reader":
        """Return it with the temperature that fits what it finds where mentions are.

        An entity is right if it is a mention, with a type that agrees. Other ones, outside mentions, may be right.
        """
        found = _loaded(self.folder, self.threads).head.predict([_example(row) for row in rows])
        right, judged = list[bool](), list[bool]()
        for number, first, last, type_, _ in found.spans():
            words = rows[number]["words"]
            start, end = words[first]["start"], words[last - 1]["end"]
            touched = [each for each in rows[number]["mentions"] if each["start"] < end and start < each["end"]]
            judged.append(bool(touched))
            right.append([(each["start"], each["end"]) for each in touched] == [(start, end)]
                         and _agree(type_, touched[0], paths))  # fmt: skip
        kept = np.array(judged, bool)
        entities = found.where(kept)
        fitted = cross_fit(entities.confidences, np.array(right, bool)[kept], entities.examples)
        return replace(self, temperature=fitted.temperature)


class Relabelling:
    """The step `relabel`, which corrects typed mentions by the taggers in `relabel_taggers` of the settings."""

    name, rewrites = "relabel", True

    def __init__(self, settings: "CorpusSettings") -> None:
        """Find the taggers; raise SettingsError unless there is one of each half, and the step is in its place."""
        self._settings = settings
        order = [each for each in settings.steps if each in ("typing", self.name, "split")]
        refuse(order != ["typing", self.name, "split"], "steps", list(settings.steps),
               f"a list with {self.name!r} once, after 'typing' and before 'split'")  # fmt: skip
        self._readers = tuple(sorted(map(self._reader, settings.relabel_taggers), key=lambda each: each.half))
        refuse([each.half for each in self._readers] != sorted(_HALVES), "relabel_taggers",
               [str(each) for each in settings.relabel_taggers],
               "two encoders, one pre-trained with half = 'first', and one with half = 'second'")  # fmt: skip

    def _reader(self, place: Path) -> Reader:
        """Return a tagger's reader of the half that it didn't learn; raise SettingsError for one of other labels."""
        folder = ModelFolder.open(place)
        card = folder.card
        learnt = (card.get("settings") or {}).get("half")
        if learnt not in _HALVES or card.get("objective") != "tagging":
            raise SettingsError(f"setting relabel_taggers: {place}: must be an encoder that `nerbert pretrain` trained "
                                "as a tagger on one half of the pages (--set half=first)")  # fmt: skip
        own, wanted = (card.get("label_set") or {}).get("name"), Path(self._settings.label_set).name
        if own != wanted:
            raise SettingsError(f"setting relabel_taggers: {place} has the label set {own!r}, the corpus {wanted!r}")
        return Reader(folder.name, next(each for each in _HALVES if each != learnt))

    def prepare(self, upstream: "Upstream") -> "Relabel":
        """Collect the class path of each category, and calibrate the taggers on sentences that they didn't learn."""
        counts, sample = Counter[tuple[str, tuple[str, ...]]](), list[tuple[int, Row]]()
        for some, rows in upstream.map(_collect, _READ):
            counts.update(some)
            sample = _lowest([*sample, *rows])
        paths = _paths(counts, open_label_set(self._settings.label_set))
        threads = 1 if upstream.executor.workers > 1 else 0
        readers = tuple(
            replace(each, threads=threads).calibrated([row for _, row in sample if row["half"] == each.half], paths)
            for each in self._readers
        )
        return Relabel(readers, self._settings.relabel_confidence, paths)


def _collect(
    _: Path, batches: Iterator[pa.RecordBatch]
) -> tuple[Counter[tuple[str, tuple[str, ...]]], list[tuple[int, Row]]]:
    """Return how many mentions of a part's train split have each category and class path, and some of its rows."""
    counts, sample = Counter[tuple[str, tuple[str, ...]]](), list[tuple[int, Row]]()
    for batch in batches:
        rows = batch.filter(pc.equal(batch["split"], TRAIN)).to_pylist()
        mentions = chain.from_iterable(row["mentions"] for row in rows)
        counts.update((each["category"], tuple(each["class_path"])) for each in mentions)
        first = in_half([row["id"] for row in rows], _HALVES[0])
        drawn = [(hash64(row["id"]), row | {"half": _HALVES[not own]}) for row, own in zip(rows, first, strict=True)]
        sample = _lowest([*sample, *drawn])
    return counts, sample


def _lowest(rows: list[tuple[int, Row]]) -> list[tuple[int, Row]]:
    """Return the rows with the lowest numbers, of each half as many."""
    return [
        each for half in _HALVES
        for each in nsmallest(_SAMPLE, (row for row in rows if row[1]["half"] == half), key=lambda row: row[0])
    ]  # fmt: skip


def _paths(counts: Counter[tuple[str, tuple[str, ...]]], labels: LabelSet) -> Paths:
    """Return for each category its shortest class path on the most frequent one."""
    found = dict[str, tuple[str, ...]]()
    for (category, path), _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        if category != ENTITY and category not in found:
            starts = (path[:end] for end in range(1, len(path)))
            found[category] = next((each for each in starts if labels.label(each) == category), path)
    return found


@dataclass(frozen=True, slots=True)
class Relabel:
    """The step with its taggers calibrated."""

    readers: tuple[Reader, ...]
    least: float
    paths: Paths
    name, rewrites = Relabelling.name, True

    def apply(self, rows: pa.RecordBatch) -> tuple[pa.RecordBatch, Sequence[None]]:
        """Correct the mentions of each sentence, and fill `unknown`."""
        sentences = rows.select(["id", "text", "words", "mentions", "unknown"]).to_pylist()
        ids = [each["id"] for each in sentences]
        for reader in self.readers:
            own = [row for row, there in zip(sentences, in_half(ids, reader.half), strict=True) if there]
            for row, tags in zip(own, reader.tags([_example(row) for row in own]), strict=True):
                row.update(corrected(row, tags, self.least, self.paths))
        for name in ("mentions", "unknown"):
            place = rows.schema.get_field_index(name)
            column = pa.array([row[name] for row in sentences], TYPED.field(name).type)
            rows = rows.set_column(place, TYPED.field(name), column)
        return rows, ()


@lru_cache(maxsize=2)
def _loaded(folder: str, threads: int) -> Tagger:
    return Tagger.load(folder, threads=threads)


def _example(row: Row) -> Example:
    return Example(row["text"], tuple((each["start"], each["end"]) for each in row["words"]))


def corrected(row: Row, tags: WordTags, least: float, paths: Paths) -> Row:
    """Return the `mentions` and `unknown` of a sentence after what a tagger found, where its confidence is at least
    `least` (0–1).

    A mention stays where the tagger isn't confident, or agrees: the same words, and a class above, below or equal. One
    without a type gets the tagger's. Others become unknown. What is found outside mentions becomes one.
    """
    words = row["words"]
    spans = [
        (words[first]["start"], words[last - 1]["end"], type_)
        for first, last, type_ in spans_from_bio(tags.tags)
        if np.mean(tags.confidences[first:last]) >= least
    ]
    outside = [
        (word["start"], word["end"])
        for word, tag, sure in zip(words, tags.tags, tags.confidences, strict=True)
        if tag == "O" and sure >= least
    ]
    mentions, unknown = list[Row](), list[Row](row["unknown"])
    for mention in row["mentions"]:
        kept = _judged(mention, spans, outside, words, paths)
        mentions += [kept] if kept else []
        if not kept:
            unknown.append({"start": mention["start"], "end": mention["end"], "reason": CONTRADICTED})
    new = [
        {"start": start, "end": end, "target": "", "resolved_target": "", "class_path": list(paths[type_]),
         "source": MODEL, "category": type_, "origin": MODEL}
        for start, end, type_ in spans
        if type_ in paths and not _touching(start, end, row["mentions"])
    ]  # fmt: skip
    unknown = [part for each in unknown for part in _without(each, new, words)]
    by_start = itemgetter("start")
    return {"mentions": sorted([*mentions, *new], key=by_start), "unknown": sorted(unknown, key=by_start)}


def _judged(
    mention: Row, spans: Sequence[tuple[int, int, str]], outside: Sequence[tuple[int, int]], words: Sequence[Row],
    paths: Paths,
) -> Row | None:  # fmt: skip
    """Return a mention as it stays, or None for one that is contradicted."""
    start, end = mention["start"], mention["end"]
    found = [each for each in spans if each[0] < end and start < each[1]]
    if not found:
        own = [(each["start"], each["end"]) for each in words if start <= each["start"] < end]
        return None if set(own) <= set(outside) else mention
    if [each[:2] for each in found] != [(start, end)] or not _agree(found[0][2], mention, paths):
        return None
    if mention["category"] == ENTITY and found[0][2] in paths:
        type_ = found[0][2]
        return mention | {"category": type_, "class_path": list(paths[type_]), "source": MODEL}
    return mention


def _agree(type_: str, mention: Row, paths: Paths) -> bool:
    """Return whether a type is that of a mention, or above or below it; ENTITY agrees with all."""
    if ENTITY in (type_, mention["category"]) or type_ == mention["category"]:
        return True
    one, other = paths.get(type_, ()), tuple(mention["class_path"])
    shorter = min(len(one), len(other))
    return bool(shorter) and one[:shorter] == other[:shorter]


def _touching(start: int, end: int, stretches: Sequence[Row]) -> bool:
    return any(each["start"] < end and start < each["end"] for each in stretches)


def _without(stretch: Row, mentions: Sequence[Row], words: Sequence[Row]) -> list[Row]:
    """Return the parts of a stretch that are outside mentions."""
    if not _touching(stretch["start"], stretch["end"], mentions):
        return [stretch]
    inside = [each for each in words if stretch["start"] <= each["start"] < stretch["end"]]
    runs = (list(run) for free, run in groupby(inside, lambda each: not _touching(each["start"], each["end"], mentions))
            if free)  # fmt: skip
    return [stretch | {"start": run[0]["start"], "end": run[-1]["end"]} for run in runs]
