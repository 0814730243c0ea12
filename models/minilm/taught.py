"""Train a model of `names` on the answers of a larger one, beside its own labels (Hinton et al. 2015).

The teacher reads each step's texts; its probabilities of boundaries, and of each of the step's concepts for each word
and entity, are targets as well. A text without labels (`asked` is empty) is learnt from the teacher alone.
`PYTHONPATH=models/minilm nerbert pretrain models/minilm/taught.toml`; make.sh has the whole command.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch

from nerbert.encoder.objectives.names import Names, NamesBatch, NamesSettings, mean_states, spans_of
from nerbert.errors import InputError
from nerbert.model.backbone import Backbone
from nerbert.model.concept_encoder import ConceptModel, open_concepts
from nerbert.model.forward import Batch, autocast, states_at
from nerbert.rng import Array
from nerbert.training.objective import Task
from nerbert.training.settings import Section

_SPECIAL = ("cls_token", "sep_token", "pad_token", "unk_token")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaughtSettings(NamesSettings):
    """Settings of `names`, and the teacher."""

    section: ClassVar[str] = "taught"
    models: ClassVar[tuple[str, ...]] = (*NamesSettings.models, "teacher")
    teacher: str = ""
    """Folder of the larger model of `names`; its vocabulary must hold that of the backbone."""


@dataclass(frozen=True, slots=True)
class TaughtBatch(NamesBatch):
    """A micro-batch with the teacher's states of its words, (words, width), tags (words, 3) and spans, (spans, 3)."""

    states: torch.Tensor
    tags: torch.Tensor
    spans: Array


class Taught(Names):
    """The objective; `backbone` is the folder of `names` that is trained on."""

    settings: ClassVar[type[Section]] = TaughtSettings
    parts: ClassVar[tuple[str, ...]] = (*Names.parts, "taught_boundaries", "taught_types", "taught_words")

    def __init__(self, task: Task, backbone: Backbone) -> None:
        super().__init__(task, backbone)
        self._teacher = open_concepts(self._section.teacher).eval().requires_grad_(requires_grad=False)
        self._ids = _translate(backbone.tokenizer, self._teacher.tokenizer)
        self._vectors = dict[str, torch.Tensor]()

    def make_model(self, backbone: Backbone) -> ConceptModel:
        """Return the model of the backbone's folder."""
        return open_concepts(backbone.source, backbone.load_body())

    def prepare(self, batch: Batch, step: int, shared: Any = None) -> TaughtBatch:
        """Return the batch with the teacher's answers."""
        batch = super().prepare(batch, step, shared)
        with torch.no_grad(), autocast("cpu", self._settings.precision):
            states = states_at(self._teacher.text, replace(batch, ids=self._ids[batch.ids]))
            tags = self._teacher.boundaries(states).float()  # type: ignore[misc]
        starts, ends = spans_of(tags.argmax(1).numpy(), batch)
        spans = np.stack([starts, ends, np.zeros_like(starts)], 1)
        return batch.extend(TaughtBatch, states=states.float(), tags=tags.softmax(1), spans=spans)

    def terms(self, batch: Any) -> dict[str, float]:
        """Return the weights of `names`, and the numbers of words and of the teacher's spans."""
        words = len(batch.states)
        taught = {"taught_boundaries": words, "taught_types": len(batch.spans), "taught_words": words}
        return super().terms(batch) | taught

    def loss(self, model: Any, batch: Any) -> dict[str, torch.Tensor]:
        """Return the losses of `names`, and the cross-entropies between teacher and model."""
        words = states_at(model.text, batch)
        losses, tags = self.losses(model, batch, words), model.boundaries(words).float()
        boundaries = torch.nn.functional.cross_entropy(tags, batch.tags, reduction="sum")
        spans = mean_states(words, batch.spans), mean_states(batch.states, batch.spans)
        return losses | {
            "taught_boundaries": boundaries,
            "taught_types": self._concept_loss(model, batch, *spans),
            "taught_words": self._concept_loss(model, batch, words, batch.states),
        }

    def _concept_loss(self, model: Any, batch: Any, vectors: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        """Return the sum of the cross-entropies of some vectors and the teacher's with all concepts of the step."""
        step = batch.step
        if step.vectors is None:
            return vectors.float().sum() * 0
        with torch.no_grad():
            probabilities = self._teacher.logits(states.float(), self._vectors_of(step.texts)).sigmoid()
        logits = model.logits(vectors, step.vectors)
        return torch.nn.functional.binary_cross_entropy_with_logits(logits, probabilities, reduction="sum")

    def _vectors_of(self, names: Sequence[str]) -> torch.Tensor:
        """Return the teacher's vectors of names, each computed once."""
        if missing := [name for name in names if name not in self._vectors]:
            with autocast("cpu", self._settings.precision):
                self._vectors.update(zip(missing, self._teacher.name_vectors(missing), strict=True))
        return torch.stack([self._vectors[name] for name in names])


def _translate(own: Any, theirs: Any) -> torch.Tensor:
    """Return (subwords,): the teacher's number of each subword; raise InputError if it lacks one."""
    special = {getattr(own, name): getattr(theirs, name) for name in _SPECIAL}
    numbers, vocabulary = torch.zeros(len(own), dtype=torch.long), theirs.get_vocab()
    for subword, number in own.get_vocab().items():
        if special.get(subword, subword) not in vocabulary:
            raise InputError(f"the teacher's vocabulary lacks {subword!r:.80}; take an encoder with the same subwords")
        numbers[number] = vocabulary[special.get(subword, subword)]
    return numbers
