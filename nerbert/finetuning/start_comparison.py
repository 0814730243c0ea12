"""Is the fine-tuned tagger better than its start? Cross-validation on the few sentences there are (ours).

A start that finds the types by their names, or has them, may be better than what a few sentences make of it. Each part
of the sentences is tagged by the start and by a tagger fine-tuned on the other parts. Cost: a training for each part.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nerbert.finetuning.sampling import many
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.finetuning.start import Start, may_find_types
from nerbert.finetuning.train_tagger import finetune_examples
from nerbert.labels import WordSpan, word_spans
from nerbert.metrics.score import score_spans
from nerbert.records import Example
from nerbert.rng import uniform
from nerbert.terminal import tell

_MOST = 50
"""Sentences up to which taggers are compared with their start."""
_FEWEST = 2


@dataclass(frozen=True, slots=True)
class StartComparison:
    """Entity F1 (0–1) of a start and of taggers fine-tuned from it, on `sentences` that these didn't see."""

    start: float
    finetuned: float
    parts: int
    sentences: int

    def __str__(self) -> str:
        before, after = 100 * self.start, 100 * self.finetuned
        figures = f"F1 {after:.1f} fine-tuned, {before:.1f} as the start is"
        how = f"{self.parts}-fold cross-validation on {many(self.sentences, 'sentence')}"
        if after > before:
            return f"{how}: {figures}: fine-tuning is better by {after - before:.1f}"
        if after == before:
            return f"{how}: {figures}: no difference"
        return (f"{how}: {figures}: the start is better by {before - after:.1f}; tag with it "
                "(nerbert tag START --labels …), or add sentences")  # fmt: skip

    @property
    def facts(self) -> dict[str, Any]:
        """Return it as a fact of the tagger's card."""
        return {"start_f1": self.start, "finetuned_f1": self.finetuned, "parts": self.parts,
                "sentences": self.sentences}  # fmt: skip


def compare_with_start(
    encoder: str, examples: Sequence[Example], settings: FinetuneSettings, *, name: str,
    labels: Mapping[str, str] | None = None,
) -> StartComparison | None:  # fmt: skip
    """Compare a fine-tuning with its start, and print which is better; None where that can't be, or isn't wanted.

    It can't where the start doesn't find the types without training, and with a single sentence, which a line says.
    """
    parts = min(settings.compare_parts, len(examples))
    if not settings.compare_parts or len(examples) > _MOST or not may_find_types(encoder, settings):
        return None
    settings = replace(settings, select="last", patience=0)
    start = Start.of(encoder, examples, [], settings, name=name, labels=labels)
    if not start.finds_types:
        return None
    folds = [(part, [each for place, each in enumerate(examples) if place not in part])
             for part in _parts(examples, parts)]  # fmt: skip
    if parts < _FEWEST or not all(any(each.spans for each in rest) for _, rest in folds):
        tell("too few sentences have entities to tell whether fine-tuning makes the start better")
        return None
    settings = start.settings_for_parts
    before, after = start.head().predict(examples).word_spans(len(examples)), list[list[WordSpan]]([[]]) * len(examples)
    for part, rest in folds:
        tagger = finetune_examples(
            encoder, rest, [], settings, name=name, what=f"comparing with the start, {parts} parts",
            labels=start.facts.get("words_of_types"),
        )  # fmt: skip
        found = tagger.head.predict([examples[place] for place in part]).word_spans(len(part))
        for place, spans in zip(part, found, strict=True):
            after[place] = spans
    gold = [word_spans(each) for each in examples]
    compared = StartComparison(score_spans(gold, before).f1, score_spans(gold, after).f1, parts, len(examples))
    tell(str(compared))
    return compared


def _parts(examples: Sequence[Example], count: int) -> list[list[int]]:
    """Return places of the examples in so many parts; those with entities are spread over all of them."""
    order = sorted(range(len(examples)), key=lambda place: (
        not examples[place].spans, uniform(0, "parts to compare", examples[place].text), place))  # fmt: skip
    return [sorted(order[first::count]) for first in range(count)]
