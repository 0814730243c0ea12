"""Tagging, the objective that pre-training and fine-tuning share: a linear layer over BIO tags of words.

Tagging (NER-BERT §3) is the cross-entropy of each word's BIO tag, read from the word's first piece. Its two settings
mean what torch's own `cross_entropy` means by them, so that results can be reproduced elsewhere: a label's own share
counts with that label's weight, the share that smoothing spreads over the classes with the weight of each class.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import torch

from nerbert.labels import tag_names
from nerbert.model.backbone import Backbone
from nerbert.model.forward import Batch, TorchScorer, logits_at
from nerbert.model.linear import LinearHead, greedy
from nerbert.model.tokenizer import BioLabels, SubwordTokenizer
from nerbert.model.windows import IGNORED
from nerbert.records import ENTITY, Example
from nerbert.training.distributed import ProcessGroup
from nerbert.training.objective import (
    CheckpointScore,
    Description,
    Objective,
    SpanScore,
    Task,
    most_tokens,
    typed_figures,
)
from nerbert.training.settings import TrainSettings

_OUTSIDE = 0
"""The class of words outside of any entity, as `labels.tag_names` numbers them."""


class Tagging(Objective):
    """A weighted mean over words that have a label; `IGNORED` ones count nothing.

    `label_smoothing` (0–1) is the share of a label that is spread over all classes, `outside_weight` the weight of O.
    """

    head_name: ClassVar[str] = "linear"

    def __init__(self, label_smoothing: float = 0.0, outside_weight: float = 1.0, *, types: Sequence[str] = ()) -> None:
        self._smoothing, self._outside, self._types = label_smoothing, outside_weight, tuple(types)
        self._tags = tag_names(types)
        self._chooses = "span_f1" if self._types == (ENTITY,) else "typed_f1"

    @classmethod
    def of(cls, task: Task) -> Self:
        """Return the objective for the types of a task."""
        return cls(task.settings.label_smoothing, task.settings.outside_weight, types=task.types)

    def make_model(self, backbone: Backbone) -> Any:
        """Return a token-classification model with a new layer over the tags."""
        from transformers import AutoModelForTokenClassification

        return backbone.load(
            AutoModelForTokenClassification, num_labels=len(self._tags), id2label=dict(enumerate(self._tags)),
            label2id={tag: number for number, tag in enumerate(self._tags)},
        )  # fmt: skip

    @property
    def labels(self) -> BioLabels:
        """Return the numbers of the tags."""
        return BioLabels(self._tags)

    def terms(self, batch: Batch) -> dict[str, float]:
        """Return the weights of all labelled words together."""
        labelled, outside = int((batch.labels != IGNORED).sum()), int((batch.labels == _OUTSIDE).sum())
        return {"loss": labelled - outside + self._outside * outside}

    def loss(self, model: Any, batch: Batch) -> dict[str, torch.Tensor]:
        """Return the weighted sum of cross-entropies, computed in fp32."""
        logits = logits_at(model, batch).float()
        summed = torch.nn.functional.cross_entropy(
            logits, batch.labels, self._weights(logits), ignore_index=IGNORED, reduction="sum",
            label_smoothing=self._smoothing,
        )  # fmt: skip
        return {"loss": summed}

    def _weights(self, logits: torch.Tensor) -> torch.Tensor | None:
        if self._outside == 1:
            return None
        weights = torch.ones(logits.shape[-1], device=logits.device)
        weights[_OUTSIDE] = self._outside
        return weights

    def score_on(
        self, examples: Sequence[Example], pieces: SubwordTokenizer, settings: TrainSettings, processes: ProcessGroup
    ) -> Callable[[Any], CheckpointScore]:
        """Return F1 of typed entities; where ENTITY is the only category, of spans."""
        return SpanScore(
            lambda model: greedy(self.head(model, pieces, settings)), examples, typed_figures, self._chooses, processes
        )

    def head(self, model: Any, pieces: SubwordTokenizer, settings: TrainSettings) -> LinearHead:
        """Return the model ready to tag."""
        scorer = TorchScorer(model, settings.precision)
        return LinearHead(scorer, pieces, self._tags, max_tokens=most_tokens(settings))

    def describe(self) -> Description:
        """Return what plans and cards say of it."""
        return Description(
            learnt="tag Wikipedia's links with the types of the pages they lead to (NER-BERT, arXiv 2112.00405)",
            pipeline="token-classification",
            chooses=self._chooses,
            figures={
                "typed_f1": f"entities with a type, {ENTITY} left out",
                "span_f1": "all entities, whatever their types",
            },
        )
