"""The training data of a zero-shot system: mentions of each type, their texts, and what is known of other types.

Files and corpora say it (`trained_on`), since a model's folder doesn't. A corpus's types are the names of its classes,
as objectives that learn from names read them. Cost: each process that needs its texts holds them in memory.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from nerbert.corpus.shards import checked_shards, read_manifest, sentence_batches, shard_hashes
from nerbert.encoder.corpus_labels import CorpusLabels, read_label_set
from nerbert.encoder.settings import PretrainSettings
from nerbert.errors import InputError
from nerbert.evaluation.benchmark.keys import check_same, data_digest, encoder_digest, key_of
from nerbert.formats.entity_labels import entity_labels
from nerbert.formats.open_types import normalised, read_open_types
from nerbert.metrics.familiarity import cosines, familiarity
from nerbert.model.backbone import Backbone, load_tokenizer
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.records import ENTITY, TRAIN, EntityLabel
from nerbert.rng import Array
from nerbert.tagger.label_vectors import LabelEncoder, LabelVectors

_LONGEST = 256
"""Maximum subwords of a name."""


@dataclass(frozen=True, slots=True)
class LearntTypes:
    """Counts of mentions: by type (normalised name), and by text (without white space) and type."""

    counts: Counter[str] = field(default_factory=Counter)
    texts: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, other: "LearntTypes") -> None:
        """Add the counts of another one."""
        self.counts.update(other.counts)
        for text, types in other.texts.items():
            self.texts.setdefault(text, Counter()).update(types)

    def add_text(self, text: str, type_: str) -> None:
        """Add a mention's text."""
        self.texts.setdefault("".join(text.split()), Counter())[type_] += 1


def learnt_types(paths: Sequence[Path], *, texts: bool = True) -> LearntTypes:
    """Return the counts of files of open types and of corpora, with or without those by text; raise InputError for any
    other file.
    """
    found = LearntTypes()
    for path in paths:
        if path.is_dir():
            found.add(_of_corpus(path, (path / "manifest.json").stat().st_mtime_ns, texts=texts))
        else:
            found.add(_of_file(path, path.stat().st_mtime_ns))
    return found


def learnt_digest(path: Path) -> str:
    """Return the digest of training data: of a file, or of a corpus's manifest and shards; "" if neither exists."""
    if not path.is_dir():
        return data_digest(path)
    if not (manifest := data_digest(path / "manifest.json")):
        return ""
    return key_of("corpus", manifest=manifest, shards=shard_hashes(path, read_manifest(path)))


@dataclass(frozen=True, slots=True)
class Learnt:
    """What a system was trained on, by its files' digests ("" for what is missing), and what embeds names of types.

    Without a `label_encoder`, or where a file lacks, no Familiarity is known.
    """

    sha256: dict[str, str] = field(default_factory=dict)
    label_encoder: str = ""
    label_encoder_sha256: str = ""

    @property
    def lacking(self) -> str:
        """Return what is missing, as a reason; "" if all is."""
        name = next((name for name, digest in self.sha256.items() if not digest), "")
        return f"trained_on: {name}: no such file or corpus" if name else ""

    @property
    def facts(self) -> dict[str, Any]:
        """Return what Familiarity depends on, as a part of a key."""
        known = bool(self.sha256) and not self.lacking and bool(self.label_encoder)
        return {"familiarity": [sorted(self.sha256.values()), self.label_encoder_sha256]} if known else {}

    @property
    def names_facts(self) -> dict[str, Any]:
        """Return what `seen_names` depends on, as a part of a key."""
        return {"seen_names": sorted(self.sha256.values())} if self.sha256 and not self.lacking else {}

    def check_unchanged(self) -> None:
        """Raise NerbertError if a file changed or appeared."""
        for name, digest in self.sha256.items():
            check_same(partial(learnt_digest, Path(name)), name, digest)
        if name := self.label_encoder:
            check_same(partial(encoder_digest, Path(name)), name, self.label_encoder_sha256)

    def types(self, *, texts: bool = False) -> LearntTypes:
        """Read the files; raise InputError for one that is neither of open types nor a corpus."""
        return learnt_types(list(map(Path, self.sha256)), texts=texts)

    def seen_names(self, asked: Mapping[str, str]) -> dict[str, bool]:
        """Return type → whether its label's name is one of a training type; empty if that is unknown.

        Names are compared as `normalised` gives them. A synonym is another name, and so is a description.
        """
        if not self.names_facts:
            return {}
        known = self.types().counts
        return {type_: normalised(entity_labels([label])[0].name) in known for type_, label in asked.items()}

    def familiarity(self, labels: Mapping[str, EntityLabel]) -> dict[str, float]:
        """Return the Familiarity (0–1) of each type; empty if unknown."""
        if not self.facts:
            return {}
        figures = familiarities([each.name for each in labels.values()], self.types(), Path(self.label_encoder))
        return dict(zip(labels, figures.tolist(), strict=True))


@lru_cache(maxsize=8)
def _of_file(path: Path, _changed: int) -> LearntTypes:
    """Return the counts of a file of open types."""
    found = LearntTypes()
    for one in read_open_types(path):
        for each in one.entities:
            found.counts[type_ := normalised(each.type)] += 1
            found.add_text(one.text[each.start : each.end], type_)
    return found


@lru_cache(maxsize=8)
def _of_corpus(path: Path, _changed: int, *, texts: bool) -> LearntTypes:
    """Return the counts of the mentions with a class in a corpus's train part."""
    manifest = read_manifest(path)
    labels = read_label_set(manifest, PretrainSettings(corpus=(path,)), named=True)
    found, names = LearntTypes(), {name: text for name, text in labels.concept_texts.items() if name != ENTITY}
    if table := labels.concepts:
        for name in names.values():
            found.counts[name] = table.counts[table.number_of(name)]
    for shard in checked_shards(path, manifest) if texts else ():
        for text, category in _mentions(shard, labels):
            if category in names:
                found.add_text(text, names[category])
    return found


def _mentions(shard: Path, labels: CorpusLabels) -> Iterator[tuple[str, str]]:
    """Yield the text and the category of each mention of a shard's train part."""
    for batch in sentence_batches(shard, ["split", "text", "mentions"]):
        rows = batch.filter(pc.equal(batch["split"], TRAIN))
        for text, mentions in zip(rows["text"].to_pylist(), rows["mentions"].to_pylist(), strict=True):
            for each in mentions:
                yield text[each["start"] : each["end"]], labels.category(each["class_path"], each["category"])


def familiarities(labels: Sequence[str], learnt: LearntTypes, label_encoder: Path) -> Array:
    """Return (labels,): the Familiarity (0–1) of each, by mean states; raise InputError without any mention."""
    if not learnt.counts:
        raise InputError("trained_on: holds no mention, so there is no type to compare with")
    vectors = _vectors(label_encoder)
    tests, trained = (vectors([EntityLabel(each) for each in names]) for names in (labels, list(learnt.counts)))
    return familiarity(cosines(tests, trained), np.array(list(learnt.counts.values())))


@lru_cache(maxsize=2)
def _vectors(folder: Path) -> LabelVectors:
    """Return the cached vectors of names."""
    backbone = Backbone(str(folder), None, seed=0)

    def open_encoder() -> LabelEncoder:
        from nerbert.model.forward import TorchScorer, states_at

        body = backbone.load_body()
        pieces = SubwordTokenizer(load_tokenizer(str(folder)), body.config, _LONGEST)
        return LabelEncoder(TorchScorer(body, "fp32", states_at), pieces, "mean")

    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    return LabelVectors(files, open_encoder, int(backbone.config.hidden_size))
