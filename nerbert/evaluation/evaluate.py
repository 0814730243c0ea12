"""Tagger + gold CoNLL → scores; several seeds give their mean and standard deviation.

Gold words are kept as they are; gold types that the tagger doesn't know count as missed.
"""

from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from nerbert.encoder.folder import PRETRAINED, read_card
from nerbert.errors import InputError
from nerbert.formats.conll import read_conll_file
from nerbert.labels import example_tags
from nerbert.metrics import Score, score_tags
from nerbert.records import Example
from nerbert.tagger.tagger import Tagger, seed_folders


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores of one or more taggers (seeds) on one file."""

    file: str
    sentences: int
    scores: dict[str, Score]
    unknown_types: tuple[str, ...]
    not_finetuned: tuple[str, ...] = ()
    """Taggers that are pre-trained only and know none of the gold types."""

    @property
    def f1_mean(self) -> float:
        """Mean F1 over seeds."""
        return mean(score.f1 for score in self.scores.values())

    @property
    def f1_sd(self) -> float:
        """Sample standard deviation of F1 over seeds; 0 for one seed."""
        return stdev(score.f1 for score in self.scores.values()) if len(self.scores) > 1 else 0.0

    def as_json(self) -> dict[str, Any]:
        """Everything, figures as 0–1; `precision`, `recall` and `f1` at the top are means over the taggers."""
        taggers = {name: score.as_json() for name, score in self.scores.items()}
        means = {key: mean(each[key] for each in taggers.values()) for key in ("precision", "recall", "f1")}
        return {
            "file": self.file, "sentences": self.sentences, **means, "f1_sd": self.f1_sd,
            "unknown_types": list(self.unknown_types), "not_finetuned": list(self.not_finetuned),
            "taggers": taggers,
        }  # fmt: skip


def evaluate(tagger: str | Path, file: Path) -> Evaluation:
    """Score a tagger's folder (or a folder of several seeds) on a CoNLL file."""
    examples = read_conll_file(file)
    folders = tagger_folders(str(tagger))
    gold = {span.type for example in examples for span in example.spans}
    unknown, untuned = set(gold), []
    scores: dict[str, Score] = {}
    for name, folder in folders.items():
        loaded = Tagger.load(folder)
        scores[name] = score_examples(loaded, examples)
        unknown -= set(loaded.types)
        if gold and gold.isdisjoint(loaded.types) and read_card(folder).get("kind") in PRETRAINED:
            untuned.append(name)
    return Evaluation(str(file), len(examples), scores, tuple(sorted(unknown)), tuple(untuned))


def score_examples(tagger: Tagger, examples: list[Example]) -> Score:
    """Score a loaded tagger on examples, on its raw greedy tags."""
    return score_tags([example_tags(each) for each in examples], [each.tags for each in tagger.tag_examples(examples)])


def tagger_folders(source: str) -> dict[str, str]:
    """Name → folder: one entry, or one for each `seed-*` below."""
    seeds = seed_folders(source)
    if not seeds:
        return {Path(source).name or source: source}
    broken = [each for each in seeds if not (each / "nerbert.json").is_file()]
    if broken:
        raise InputError(f"{broken[0]}: no whole tagger (nerbert.json is missing); fine-tune again")
    return {each.name: str(each) for each in seeds}
