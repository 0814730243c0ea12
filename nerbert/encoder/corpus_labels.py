"""The corpus in pre-training: its own categories, or those of another label set on the same sentences.

Counts of the shards are cached. Limitation: sentences whose only typed mention the other set calls ENTITY stay in.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nerbert.artifacts import write_json
from nerbert.cache import load_cached
from nerbert.config import refuse
from nerbert.corpus.shards import (
    checked_shards,
    read_manifest,
    sentence_batches,
    shard_hashes,
    typed_sentences,
    write_table,
)
from nerbert.encoder.concept_table import Concept, ConceptTable, all_of
from nerbert.encoder.open_texts import OpenExample
from nerbert.encoder.settings import PretrainSettings
from nerbert.errors import InputError
from nerbert.label_sets import LabelSet, frequent_categories, open_label_set
from nerbert.labels import class_words, fold_type, sentence_example
from nerbert.records import ENTITY, TRAIN, VALIDATION, Example, Sentence, Span
from nerbert.rng import uniform
from nerbert.schema import read_json
from nerbert.training.settings import LinkTypes

_VERSION = 2
"""Of what is cached here."""
_EACH_CLASS = "dbpedia"
"""The label set that makes each class a label of its own."""
_STEP, _END = "\x1f", "\x1e"
"""Between classes, and after the last one; white space to Python, so no class name holds it."""
_FILE, _TABLE = "mentions.json", "sentences.parquet"

MentionCounts = Counter[tuple[tuple[str, ...], str]]
"""How many mentions of the train part have a class path and a category of the corpus's own set."""


def link_types(settings: PretrainSettings) -> Callable[[], LinkTypes] | None:
    """Return what opens the types that a section of the settings gives to links, or None."""
    openers = (section.open_link_types(settings.cache) for section in settings.sections)
    return next(filter(None, openers), None)


@dataclass(frozen=True, slots=True)
class CorpusLabels:
    """The categories that mentions have in a training, ENTITY among them.

    `facts` are for the encoder's card: the set's name and digest, and how many typed mentions of the train part
    have no label in it, or a label with too few mentions. `other` is None for the corpus's own set. An objective that
    learns from names has `concepts`, and the text of each category's in `concept_texts`. With `link_types` these alone
    give types.
    """

    facts: dict[str, str | int]
    categories: tuple[str, ...]
    other: LabelSet | None = None
    concepts: ConceptTable | None = None
    concept_texts: Mapping[str, str] = field(default_factory=dict)
    link_types: LinkTypes | None = None

    def category(self, path: Sequence[str], category: str) -> str:
        """Return the category of a mention with a class path, `category` in the corpus's set."""
        if self.other is None:
            return category
        label = self.other.label(path)
        return label if label in self.categories else ENTITY

    def relabel(self, sentence: Sentence) -> Sentence:
        """Return the sentence with these categories."""
        if self.other is None:
            return sentence
        mentions = (replace(mention, category=self.category(mention.class_path, "")) for mention in sentence.mentions)
        return replace(sentence, mentions=tuple(mentions))

    def of_source(self, example: Example, source: int | None) -> Example:
        """Return an example as one of several sources: types are texts of concepts, and all of the source are asked."""
        if source is None:
            return example
        spans = (replace(span, type=self.concept_texts[span.type]) for span in example.spans)
        return OpenExample(
            example.text, example.words, tuple(spans), all_of(source), unknown=example.unknown, partial=example.partial
        )


@dataclass(frozen=True)
class LabelledCorpus:
    """The only corpus of some settings, with labels as `read_label_set` gives them; read when it is asked for.

    `source` is its number among several sources.
    """

    settings: PretrainSettings
    source: int | None = None
    named: bool = False
    descriptions: bool = False

    @property
    def folder(self) -> Path:
        """Return its folder."""
        return self.settings.corpus_folder

    @cached_property
    def manifest(self) -> Mapping[str, Any]:
        """Return its manifest."""
        return read_manifest(self.folder)

    @cached_property
    def labels(self) -> CorpusLabels:
        """Return its labels."""
        return read_label_set(self.manifest, self.settings, named=self.named, descriptions=self.descriptions)

    def texts(self) -> Iterator[str]:
        """Yield the texts that are trained on, in order, each once, whatever its copies."""
        for path in checked_shards(self.folder, self.manifest):
            for batch in sentence_batches(path, ["split", "copies", "expected_copies", "text"]):
                rows = training_rows(batch)
                # Rows that were only expected to have copies are cut into windows, too, but
                # no text is trained on without one.
                yield from rows.filter(pc.greater(rows["copies"], 0))["text"].to_pylist()

    def held_out(self) -> list[Example]:
        """Return the validation sentences, labelled by `LinkTypes` if any; raise InputError if all are too long."""
        labels = self.labels
        examples = map(sentence_example, held_out(self.manifest, self.labels, self.settings))
        if not (lists := labels.link_types):
            return [labels.of_source(example, self.source) for example in examples]
        kept = [example for example in examples if len(example.words) <= (lists.max_words or math.inf)]
        refuse(
            not kept, f"{lists.section}.max_words", lists.max_words, "larger: all validation sentences have more words"
        )
        return lists.relabel(kept)


def read_label_set(
    manifest: Mapping[str, Any], settings: PretrainSettings, *, named: bool = False, descriptions: bool = False
) -> CorpusLabels:
    """Return the categories of the corpus under `settings.label_set`.

    With `named` each class is a category by default, however rare it is, and has a concept, its description with it
    where `descriptions` are wanted. Raise InputError if the train part has none of the set's labels, or a category that
    the manifest doesn't list.
    """
    # They alone give types; the corpus's categories aren't looked at.
    if open_lists := link_types(settings):
        lists = open_lists()
        return CorpusLabels({"name": lists.section, **lists.facts}, tuple(sorted(lists.types)), link_types=lists)
    corpus_set = manifest["label_set"]
    categories = tuple(manifest["categories"])
    other = _choose_other_set(settings.label_set or (_EACH_CLASS if named else ""), corpus_set, named=named)
    mentions = _count_mentions(manifest, settings)
    if other is not None:
        # A class that is learnt by its name needs no minimum of mentions.
        kept = _find_frequent(mentions, other, 1 if named else int(manifest["settings"]["min_mentions"]))
        labels = CorpusLabels({"name": other.name, "sha256": other.digest}, tuple(sorted(kept | {ENTITY})), other)
    else:
        # Shards that changed after the manifest was written would give labels that no head has.
        if strange := sorted({category for _, category in mentions}.difference(categories)):
            raise InputError(
                f"{settings.corpus_folder}: its shards have the category {strange[0]!r}, which "
                "manifest.json doesn't list: they changed since; build the corpus again"
            )
        labels = CorpusLabels({"name": corpus_set["name"], "sha256": corpus_set["sha256"]}, categories)
    labels = replace(labels, facts=labels.facts | _count_typed(labels, mentions))
    return _with_concepts(manifest, labels, mentions, descriptions=descriptions) if named else labels


def _choose_other_set(name: str, corpus_set: Mapping[str, Any], *, named: bool) -> LabelSet | None:
    chosen = open_label_set(name) if name else None
    # The corpus's own set needs no relabelling; by names it does, so that rare classes count as well.
    return chosen if chosen is not None and (named or chosen.digest != corpus_set["sha256"]) else None


def _count_typed(labels: CorpusLabels, mentions: MentionCounts) -> dict[str, Any]:
    typed = {pair: count for pair, count in mentions.items() if pair[0]}
    without_label = sum(count for pair, count in typed.items() if labels.category(*pair) == ENTITY)
    return {"typed_mentions": sum(typed.values()), "made_entity": without_label}


def _with_concepts(
    manifest: Mapping[str, Any], labels: CorpusLabels, mentions: MentionCounts, *, descriptions: bool
) -> CorpusLabels:
    """Return the labels with concepts: names of classes, the knowledge's if any, and the categories above."""
    classes = manifest.get("classes", {})

    def name(category: str) -> str:
        return fold_type(classes.get(category, {}).get("label", "")) or class_words(category)

    def above_of(path: tuple[str, ...]) -> set[str]:
        return {labels.category(path[:end], ENTITY) for end in range(1, len(path))}

    table = ConceptTable(sentences=int(manifest["splits"][TRAIN]["sentences"]))
    texts = dict[str, str]()
    every = {labels.category(*pair) for pair in mentions}.union(*(above_of(path) for path, _ in mentions))
    # Two classes may have one label in the ontology: the words of their class names are no synonyms then.
    named = Counter(map(name, every))
    for (path, own_category), count in sorted(mentions.items()):
        category = labels.category(path, own_category)
        above = above_of(path) - {category, ENTITY}
        description = classes.get(category, {}).get("description", "") if descriptions else ""
        others = {class_words(category)} - {name(category)} if named[name(category)] == 1 else set[str]()
        concept = Concept(name(category), description, tuple(sorted(map(name, above))), tuple(others))
        texts[category] = concept.text
        table.add(concept, count)
    # A class that only the validation split has becomes ENTITY.
    if ENTITY not in texts:
        texts[ENTITY] = Concept(name(ENTITY)).text
        table.add(Concept(name(ENTITY)))
    for category in texts:
        # One word of each category gives all rows that a corpus's words can have.
        table.add_rows(table.word_rows(Example("_", ((0, 1),), (Span(0, 1, category),)), texts))
    return replace(labels, concepts=table, concept_texts=texts)


def held_out(manifest: Mapping[str, Any], labels: CorpusLabels, settings: PretrainSettings) -> list[Sentence]:
    """Return the validation split, or a part of it drawn by seed, in the order of the draw."""
    shards = shard_hashes(settings.corpus_folder, manifest)
    origin = {"version": _VERSION, "shards": shards, "seed": settings.seed, "at_most": settings.max_eval_samples}
    sentences = load_cached(
        settings.cache,
        "validation",
        origin,
        lambda folder: write_table(_draw(manifest, settings), folder / _TABLE),
        lambda folder: [*typed_sentences(folder / _TABLE)],
    )
    return list(map(labels.relabel, sentences))


def training_rows(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the rows of the train part that have copies, or were expected to have some."""
    possible = pc.or_(pc.greater(batch["copies"], 0), pc.greater(batch["expected_copies"], 0))
    return batch.filter(pc.and_(pc.equal(batch["split"], TRAIN), possible))


def _count_mentions(manifest: Mapping[str, Any], settings: PretrainSettings) -> MentionCounts:
    """Return the mentions of the train part by class path and category."""

    def make(folder: Path) -> None:
        joined = Counter[str]()
        for path in checked_shards(settings.corpus_folder, manifest):
            for batch in sentence_batches(path, ["split", "mentions"]):
                mentions = batch.filter(pc.equal(batch["split"], TRAIN))["mentions"].flatten()
                # Path and category become one string, so that Arrow can count them without
                # a Python object per mention.
                paths = pc.binary_join(pc.struct_field(mentions, "class_path"), _STEP)
                counts = pc.value_counts(
                    pc.binary_join_element_wise(paths, pc.struct_field(mentions, "category"), _END)
                )
                joined.update(dict(zip(*(counts.field(index).to_pylist() for index in range(2)), strict=True)))
        paths = ((key.partition(_END), count) for key, count in sorted(joined.items()))
        rows = [[path.split(_STEP) if path else [], category, count] for (path, _, category), count in paths]
        write_json(folder / _FILE, rows)

    def read(folder: Path) -> MentionCounts:
        rows = read_json(folder / _FILE, list[tuple[tuple[str, ...], str, int]])
        return Counter({(path, category): count for path, category, count in rows})

    origin = {"version": _VERSION, "shards": shard_hashes(settings.corpus_folder, manifest)}
    return load_cached(settings.cache, "mentions", origin, make, read)


def _find_frequent(mentions: MentionCounts, label_set: LabelSet, at_least: int) -> frozenset[str]:
    """Filter 1 (NER-BERT §2.3) under another label set: its labels with enough mentions in the train part."""
    counts = Counter[str]()
    classes = Counter[str]()
    for (path, _), count in mentions.items():
        counts[label_set.label(path)] += count
        if path:
            classes[path[-1]] += count
    kept = frequent_categories(counts, at_least)
    # A set of other names than the corpus's classes would make every mention ENTITY in silence.
    if label_set.typed and not kept:
        named = ", ".join(name for name, _ in classes.most_common(5))
        raise InputError(
            f"label_set = {label_set.name!r}: no label of it has {at_least} mentions in the corpus; does "
            f"it name classes as the corpus does, {named}?"
        )
    return kept


def _draw(manifest: Mapping[str, Any], settings: PretrainSettings) -> pa.Table:
    """Return the validation sentences with the lowest random numbers; no more than twice as many are held at once."""
    drawn: pa.Table | None = None
    for path in checked_shards(settings.corpus_folder, manifest):
        for batch in sentence_batches(path):
            rows = pa.Table.from_batches([batch.filter(pc.equal(batch["split"], VALIDATION))])
            drawn = rows if drawn is None else pa.concat_tables([drawn, rows])
            # Cut now and then, so that memory doesn't grow with the split.
            if settings.max_eval_samples and len(drawn) > 2 * settings.max_eval_samples:
                drawn = _take_lowest(drawn, settings)
    if drawn is None or not len(drawn):
        raise InputError(
            f"{settings.corpus_folder}: its validation split is empty; build it with a larger validation_ratio"
        )
    return _take_lowest(drawn, settings)


def _take_lowest(rows: pa.Table, settings: PretrainSettings) -> pa.Table:
    # A sentence's coin depends on its own id, so other shards don't change the draw.
    numbers = [uniform(settings.seed, "validation part", identity) for identity in rows["id"].to_pylist()]
    order = np.argsort(np.array(numbers), kind="stable")[: settings.max_eval_samples or None]
    return rows.combine_chunks().take(pa.array(order))
