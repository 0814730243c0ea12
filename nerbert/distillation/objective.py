"""Training on a teacher's tags and confidences (Hinton et al. 2015): the loss is c · CE(tag) + (1 − c) · CE(O)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch

from nerbert.config import Section
from nerbert.labels import word_spans
from nerbert.model.forward import Batch, logits_at
from nerbert.model.tokenizer import BioLabels
from nerbert.model.windows import IGNORED, Label
from nerbert.records import Example
from nerbert.training.objective import FINETUNE, Description
from nerbert.training.tagging import TaggingSettings, TokenClassification

_USUAL = TaggingSettings()

_OUTSIDE = 0
"""The number of O, as `labels.tag_names` has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillationSettings(TaggingSettings):
    """Settings of distillation."""

    section: ClassVar[str] = "distillation"


_ALL = 101
"""Numbers of percents; labels from tags · 101 on are of words outside where some types were not looked for."""


class SoftLabels(BioLabels):
    """A number for a word's tag and the percent that its confidence lacks: tag + tags · (100 − percent).

    A word outside of the entities of an example that was `asked` for some types has tags · (101 + n), where n is the
    place of those types in `asked`.
    """

    def __init__(self, tags: Sequence[str], asked: list[tuple[str, ...]] | None = None) -> None:
        super().__init__(tags)
        self._tags, self._asked = len(tags), [] if asked is None else asked

    def of(self, example: Example) -> list[Label]:
        """Return the label of each word; a word outside of any entity lacks nothing."""
        labels = super().of(example)
        if example.asked is not None:
            if example.asked not in self._asked:
                self._asked.append(example.asked)
            outside = self._tags * (_ALL + self._asked.index(example.asked))
            labels = [outside if each == _OUTSIDE else each for each in labels]
        for (first, last, _), span in zip(word_spans(example), example.spans, strict=True):
            lacks = self._tags * (100 - round(100 * span.confidence))
            labels[first:last] = [_moved(each, lacks) for each in labels[first:last]]
        return labels

    def inside(self, label: Label) -> Label:
        """Return the label that continues an entity, as sure."""
        if not isinstance(label, int):
            return label
        lacks, tag = divmod(label, self._tags)
        return _moved(super().inside(tag), lacks * self._tags)


def _moved(label: Label, by: int) -> Label:
    return label + by if isinstance(label, int) and label != IGNORED else label


class Distillation(TokenClassification):
    """Tagging by a teacher's confidences."""

    settings: ClassVar[type[Section]] = DistillationSettings
    commands: ClassVar[tuple[str, ...]] = (FINETUNE,)

    def __init__(self, types: Sequence[str] = (), own: TaggingSettings = _USUAL) -> None:
        super().__init__(types, own)
        self._asked = list[tuple[str, ...]]()

    @property
    def labels(self) -> SoftLabels:
        """Return the numbers of tags and confidences."""
        return SoftLabels(self._tags, self._asked)

    def terms(self, batch: Batch) -> dict[str, float]:
        """Return the weights of all labelled words together, each divided over its tag and O."""
        tags, lacks = self._read(batch.labels)
        outside = int(torch.where(tags == _OUTSIDE, 100, lacks.clamp(max=100)).sum()) / 100
        return {"loss": len(tags) - outside + self._own.outside_weight * outside}

    def loss(self, model: Any, batch: Batch) -> dict[str, torch.Tensor]:
        """Return the weighted sum of cross-entropies, computed in fp32."""
        logits = logits_at(model, batch).float()[batch.labels != IGNORED]
        tags, lacks = self._read(batch.labels)
        sure = 1 - lacks / 100
        targets = torch.zeros_like(logits).scatter_(1, tags[:, None], sure[:, None])
        targets[:, _OUTSIDE] += 1 - sure
        targets = self._where_not_asked(targets, logits, lacks)
        summed = torch.nn.functional.cross_entropy(
            logits, targets, self._weights(logits), reduction="sum", label_smoothing=self._own.label_smoothing
        )
        return {"loss": summed}

    def _where_not_asked(self, targets: torch.Tensor, logits: torch.Tensor, lacks: torch.Tensor) -> torch.Tensor:
        """Return targets that leave open which tag a word has among O and those that were not looked for.

        They are the model's own shares of these tags, so the gradient is that of −log of the tags' sum.
        """
        for place, asked in enumerate(self._asked):
            open_tags = torch.tensor([tag[2:] not in asked for tag in self._tags], device=logits.device)
            shares = logits.detach().masked_fill(~open_tags, -torch.inf).softmax(1)
            targets = torch.where((lacks == _ALL + place)[:, None], shares, targets)
        return targets

    def _read(self, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return tag and lacking percent of each labelled word."""
        labels = labels[labels != IGNORED]
        return labels % len(self._tags), labels // len(self._tags)

    def describe(self) -> Description:
        """Return its description for plans and cards."""
        return replace(super().describe(), learnt="tag as a teacher does, with its confidence (Hinton et al. 2015)")
