"""Training on a teacher's tags and confidences (Hinton et al. 2015): the loss is c · CE(tag) + (1 − c) · CE(O)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch

from nerbert.labels import word_spans
from nerbert.model.forward import Batch, logits_at
from nerbert.model.tokenizer import BioLabels
from nerbert.model.windows import IGNORED, Label
from nerbert.records import Example
from nerbert.training.objective import FINETUNE, Traits
from nerbert.training.settings import Section
from nerbert.training.tagging import TaggingSettings, TokenClassification

_OUTSIDE = 0
"""The number of O, as numbered by `labels.tag_names`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillationSettings(TaggingSettings):
    """Settings of distillation."""

    section: ClassVar[str] = "distillation"


class SoftLabels(BioLabels):
    """Labels of a word's tag and the percentage missing from its confidence: tag + tags · (100 − percent)."""

    def __init__(self, tags: Sequence[str]) -> None:
        super().__init__(tags)
        self._tags = len(tags)

    def of(self, example: Example) -> list[Label]:
        """Return the label of each word; outside entities the confidence is 100 %."""
        labels = super().of(example)
        for (first, last, _), span in zip(word_spans(example), example.spans, strict=True):
            lacks = self._tags * (100 - round(100 * span.confidence))
            labels[first:last] = [_shift(label, lacks) for label in labels[first:last]]
        return labels


def _shift(label: Label, by: int) -> Label:
    return label + by if isinstance(label, int) and label != IGNORED else label


class Distillation(TokenClassification):
    """Tagging by a teacher's confidences."""

    learnt: ClassVar[str] = "tag as a teacher does, with its confidence (Hinton et al. 2015)"
    settings: ClassVar[type[Section]] = DistillationSettings
    traits: ClassVar[Traits] = replace(TokenClassification.traits, commands=(FINETUNE,))

    @property
    def labels(self) -> SoftLabels:
        """Return the words' labels: the numbers of tags and confidences."""
        return SoftLabels(self._tags)

    def terms(self, batch: Batch) -> dict[str, float]:
        """Return the sum of the weights of all labelled words, each divided between its tag and O."""
        tags, lacks = self._read(batch.labels)
        outside = int(torch.where(tags == _OUTSIDE, 100, lacks).sum()) / 100
        return {"loss": len(tags) - outside + self._section.outside_weight * outside}

    def loss(self, model: Any, batch: Batch) -> dict[str, torch.Tensor]:
        """Return the weighted sum of cross-entropies, computed in fp32."""
        logits = logits_at(model, batch).float()[batch.labels != IGNORED]
        tags, lacks = self._read(batch.labels)
        sure = 1 - lacks / 100
        targets = torch.zeros_like(logits).scatter_(1, tags[:, None], sure[:, None])
        targets[:, _OUTSIDE] += 1 - sure
        summed = torch.nn.functional.cross_entropy(
            logits, targets, self._weights(logits), reduction="sum", label_smoothing=self._section.label_smoothing
        )
        return {"loss": summed}

    def _read(self, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return tag and missing percentage of each labelled word."""
        labels = labels[labels != IGNORED]
        return labels % len(self._tags), labels // len(self._tags)
