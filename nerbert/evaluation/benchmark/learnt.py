"""What a zero-shot system was trained on: mentions of each type, their texts, and how like the types are to others.

Files say it (`trained_on`), since a model's folder doesn't. The price: a corpus gives no texts of mentions.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from nerbert.corpus.shards import read_manifest
from nerbert.errors import InputError
from nerbert.formats.open_types import normalised, read_open_types
from nerbert.metrics.familiarity import cosines, familiarity
from nerbert.model.backbone import Backbone, load_tokenizer
from nerbert.model.concept_encoder import class_words
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.records import ENTITY, EntityLabel
from nerbert.rng import Array
from nerbert.tagger.label_vectors import LabelEncoder, LabelVectors

_LONGEST = 256
"""Subwords of a name that are read."""


@dataclass(frozen=True, slots=True)
class LearntTypes:
    """Mentions of each type by its normalised name, and of each text without white space, its types' mentions."""

    counts: Counter[str] = field(default_factory=Counter)
    texts: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, other: "LearntTypes") -> None:
        """Add what another one holds."""
        self.counts.update(other.counts)
        for text, types in other.texts.items():
            self.texts.setdefault(text, Counter()).update(types)


def learnt_types(paths: Sequence[Path]) -> LearntTypes:
    """Return what files of open types and corpora hold; raise InputError for one that is neither."""
    found = LearntTypes()
    for path in paths:
        found.add(_learnt(path, path.stat().st_mtime_ns))
    return found


@lru_cache(maxsize=8)
def _learnt(path: Path, _changed: int) -> LearntTypes:
    found = LearntTypes()
    if path.is_dir():
        manifest = read_manifest(path)
        words = {name.casefold(): str(facts.get("label") or name) for name, facts in manifest["classes"].items()}
        for name, facts in manifest["categories"].items():
            if name != ENTITY:
                found.counts[normalised(class_words(words.get(name.casefold(), name)))] += int(facts["mentions"])
        return found
    for one in read_open_types(path):
        for each in one.entities:
            type_ = normalised(each.type)
            found.counts[type_] += 1
            found.texts.setdefault("".join(one.text[each.start : each.end].split()), Counter())[type_] += 1
    return found


def familiarities(labels: Sequence[str], learnt: LearntTypes, label_encoder: Path) -> Array:
    """Return (labels,): the Familiarity (0–1) of each, by mean states; raise InputError if nothing was learnt."""
    if not learnt.counts:
        raise InputError("trained_on: holds no mention, so there is no type to compare with")
    vectors = _vectors(label_encoder)
    tests, trained = (vectors([EntityLabel(each) for each in names]) for names in (labels, list(learnt.counts)))
    return familiarity(cosines(tests, trained), np.array(list(learnt.counts.values())))


@lru_cache(maxsize=2)
def _vectors(folder: Path) -> LabelVectors:
    """Return what gives vectors of names, those made before from the cache."""
    backbone = Backbone(str(folder), None, seed=0)

    def open_encoder() -> LabelEncoder:
        from nerbert.model.forward import TorchScorer, states_at

        body = backbone.load_body()
        pieces = SubwordTokenizer(load_tokenizer(str(folder)), body.config, _LONGEST)
        return LabelEncoder(TorchScorer(body, "fp32", states_at), pieces, "mean")

    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    return LabelVectors(files, open_encoder, int(backbone.config.hidden_size))
