"""Tagger + gold CoNLL → scores; several seeds give their mean and standard deviation.

Gold words are kept as they are; gold types that the tagger doesn't know count as missed. With the training sentences,
entities that were seen there are told from the rest, and there is a second score without the sentences of the test that
occur in train. Gold is made ready once for all seeds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from nerbert.encoder.folder import PRETRAINED, read_card
from nerbert.errors import InputError
from nerbert.evaluation.datasets.twins import find_twins
from nerbert.formats.conll import read_conll_file
from nerbert.formats.folder import read_data
from nerbert.labels import example_tags
from nerbert.metrics import Judgement, Score, assess, score_tags, seen_entities
from nerbert.records import Example
from nerbert.tagger.tagger import Tagger, seed_folders

_SUMMARY: dict[str, Callable[[Judgement], float]] = {
    "micro": lambda judged: judged.score.f1,
    "macro": lambda judged: judged.score.macro.f1,
    "strict": lambda judged: judged.strict.f1,
    "span": lambda judged: judged.span.f1,
}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What is said of one or more taggers (seeds) on one file."""

    file: str
    sentences: int
    judgements: dict[str, Judgement]
    unknown_types: tuple[str, ...]
    not_finetuned: tuple[str, ...] = ()
    """Taggers that are pre-trained only and know none of the gold types."""
    train: str = ""
    """Where the training sentences are from; "" if they were not given."""

    @property
    def scores(self) -> dict[str, Score]:
        """Precision, recall and F1 of each tagger, over all types and by type."""
        return {name: judged.score for name, judged in self.judgements.items()}

    @property
    def f1_mean(self) -> float:
        """Mean F1 over seeds."""
        return self.over_seeds()["micro"]["mean"]

    @property
    def f1_sd(self) -> float:
        """Sample standard deviation of F1 over seeds; 0 for one seed."""
        return self.over_seeds()["micro"]["sd"]

    def over_seeds(self) -> dict[str, dict[str, float]]:
        """Mean and sample standard deviation over seeds of F1: micro, macro, strict, and of spans without types."""
        found = {}
        for name, figure in _SUMMARY.items():
            values = [figure(judged) for judged in self.judgements.values()]
            found[name] = {"mean": mean(values), "sd": stdev(values) if len(values) > 1 else 0.0}
        return found

    def as_json(self) -> dict[str, Any]:
        """Everything, figures as 0–1; `precision`, `recall` and `f1` at the top are means over the taggers."""
        scores = self.scores.values()
        return {
            "file": self.file, "sentences": self.sentences, "train": self.train or None,
            "precision": mean(each.precision for each in scores), "recall": mean(each.recall for each in scores),
            "f1": self.f1_mean, "f1_sd": self.f1_sd, "over_seeds": self.over_seeds(),
            "unknown_types": list(self.unknown_types), "not_finetuned": list(self.not_finetuned),
            "taggers": {name: judged.as_json() for name, judged in self.judgements.items()},
        }  # fmt: skip


class GoldSet:
    """Test sentences made ready to judge any number of taggers, with what the training sentences say about them."""

    def __init__(self, examples: Sequence[Example], train: Sequence[Example] | None = None) -> None:
        self.examples = examples
        self.tags = [example_tags(each) for each in examples]
        self.words = [each.tokens for each in examples]
        self.seen = None if train is None else seen_entities(train)
        self.twins = () if train is None else find_twins(train, examples)
        self.types = frozenset(span.type for example in examples for span in example.spans)

    def judge(self, tagger: Tagger) -> Judgement:
        """Judge a loaded tagger on its raw greedy tags."""
        found = tagger.tag_examples(self.examples)
        tags, confidences = [each.tags for each in found], [each.confidences for each in found]
        return assess(self.tags, tags, confidences=confidences, words=self.words, seen=self.seen, without=self.twins)


def evaluate(tagger: str | Path, file: Path, *, train: Path | None = None) -> Evaluation:
    """Judge a tagger's folder (or a folder of several seeds) on a CoNLL file.

    With `train` (a data folder or a CoNLL file), entities seen in training are told from the rest, and test sentences
    of at least eight words that occur there are left out of a second score.
    """
    folders = tagger_folders(str(tagger))
    gold = GoldSet(read_conll_file(file), None if train is None else read_data(train).train)
    unknown, untuned = set(gold.types), []
    judgements: dict[str, Judgement] = {}
    for name, folder in folders.items():
        loaded = Tagger.load(folder)
        judgements[name] = gold.judge(loaded)
        unknown -= set(loaded.types)
        if gold.types and gold.types.isdisjoint(loaded.types) and read_card(folder).get("kind") in PRETRAINED:
            untuned.append(name)
    named = "" if train is None else str(train)
    return Evaluation(str(file), len(gold.examples), judgements, tuple(sorted(unknown)), tuple(untuned), named)


def score_examples(tagger: Tagger, examples: Sequence[Example]) -> Score:
    """Score a loaded tagger on examples, on its raw greedy tags: precision, recall and F1 alone."""
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
