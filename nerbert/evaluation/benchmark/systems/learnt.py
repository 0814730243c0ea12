"""The training data of a zero-shot system: mentions of each type, their texts, and the Familiarity of other types.

Files say it (`trained_on`), since a model's folder doesn't. Cost: a corpus gives no texts of mentions.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from nerbert.corpus.shards import read_manifest
from nerbert.errors import InputError
from nerbert.evaluation.benchmark.keys import check_same, data_digest, encoder_digest
from nerbert.formats.open_types import normalised, read_open_types
from nerbert.metrics.familiarity import cosines, familiarity
from nerbert.model.backbone import Backbone, load_tokenizer
from nerbert.model.concept_table import class_words
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.records import ENTITY, EntityLabel
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


def learnt_types(paths: Sequence[Path]) -> LearntTypes:
    """Return the counts of files of open types and of corpora; raise InputError for any other file."""
    found = LearntTypes()
    for path in paths:
        found.add(_learnt(path, path.stat().st_mtime_ns))
    return found


def learnt_digest(path: Path) -> str:
    """Return the digest of training data: of a file, or of a corpus's manifest; "" if neither exists."""
    return data_digest(path / "manifest.json" if path.is_dir() else path)


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

    def check_unchanged(self) -> None:
        """Raise NerbertError if a file changed or appeared."""
        for name, digest in self.sha256.items():
            check_same(partial(learnt_digest, Path(name)), name, digest)
        if name := self.label_encoder:
            check_same(partial(encoder_digest, Path(name)), name, self.label_encoder_sha256)

    def types(self) -> LearntTypes:
        """Read the files; raise InputError for one that is neither of open types nor a corpus."""
        return learnt_types(list(map(Path, self.sha256)))

    def familiarity(self, labels: Mapping[str, EntityLabel]) -> dict[str, float]:
        """Return the Familiarity (0–1) of each type; empty if unknown."""
        if not self.facts:
            return {}
        figures = familiarities([each.name for each in labels.values()], self.types(), Path(self.label_encoder))
        return dict(zip(labels, figures.tolist(), strict=True))


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
