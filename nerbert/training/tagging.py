"""Tagging (NER-BERT §3.1), for pre-training and fine-tuning: a linear layer over the BIO tags of words."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

import numpy as np
import torch
from annotated_types import Interval

from nerbert.config import refuse
from nerbert.labels import tag_names
from nerbert.model.backbone import Backbone
from nerbert.model.folder import read_card
from nerbert.model.forward import Batch, TorchScorer, logits_at, states_at
from nerbert.model.linear import LinearHead
from nerbert.model.surgery import joined_kind, layer_to_join
from nerbert.model.tokenizer import BioLabels, SubwordTokenizer
from nerbert.model.windows import IGNORED, Windows
from nerbert.records import ENTITY, Example
from nerbert.training.batches import collate, most_tokens
from nerbert.training.distributed import ProcessGroup
from nerbert.training.objective import (
    CheckpointScore,
    Description,
    SpanScore,
    TaggerObjective,
    Task,
    Traits,
    typed_figures,
)
from nerbert.training.settings import Section, TrainSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class TaggingSettings(Section):
    """Settings of tagging."""

    section: ClassVar[str] = "tagging"
    removed: ClassVar[Mapping[str, str]] = {"label_all_tokens": "a word is learnt by its first subword"}
    label_smoothing: Annotated[float, Interval(ge=0, lt=1)] = 0.0
    """Share of each label that is spread over all classes. Source: ours; 0 as in the paper."""
    outside_weight: Annotated[float, Interval(ge=0, lt=1e6)] = 1.0
    """Weight of words outside entities in the loss: in a corpus many of them are names without a link. Source: ours; 1
    as in the paper."""
    joined_layer: Annotated[int, Interval(ge=-1, lt=1e6)] = 0
    """A layer, counted from 1, whose states the head reads concatenated with the last layer's: twice as wide, and only
    nerbert loads such a tagger. -1: the highest frozen layer of pre-training, by the encoder's nerbert.json. 0: the
    last layer only. Source: ours (0); NuNER's authors join layer 6 with layer 12, 6 being the highest frozen."""


_DEFAULTS = TaggingSettings()
_OUTSIDE = 0
"""The class of words outside any entity, as numbered by `labels.tag_names`."""
_LOGIT_STEP, _MEASURED = 0.07, 16
"""How far a step may move a logit through the head, and the number of sentences whose states are measured."""


class TokenClassification(TaggerObjective):
    """The objective of tagging: a weighted mean over words; those labelled `IGNORED` don't count.

    The section of an objective that extends it must extend `TaggingSettings`.
    """

    learnt: ClassVar[str] = (
        "tag Wikipedia's links with the types of the pages they lead to (NER-BERT, arXiv 2112.00405)"
    )
    """As in `Description`."""
    head_name: ClassVar[str] = "linear"
    settings: ClassVar[type[Section]] = TaggingSettings
    traits: ClassVar[Traits] = Traits(sources=("gazetteers",))

    def __init__(self, types: Sequence[str] = (), section: TaggingSettings = _DEFAULTS) -> None:
        self._types = tuple(types)
        self._section = section
        self._tags = tag_names(types)
        self._chooses = "span_f1" if self._types == (ENTITY,) else "typed_f1"

    @classmethod
    def of(cls, task: Task) -> Self:
        """Return the objective for the types of a task."""
        return cls(task.types, cls.read_section(task))

    @classmethod
    def read_section(cls, task: Task) -> Any:
        """Return the objective's section; raise SettingsError for a joined layer in pre-training."""
        section: Any = task.settings.of(cls.settings)
        refused = section.joined_layer != 0 and not task.finetunes
        refuse(refused, section.full_name("joined_layer"), section.joined_layer, "0 in pre-training")
        return section

    def make_model(self, backbone: Backbone) -> Any:
        """Return a token-classification model with a new layer over the tags."""
        from transformers import AutoModelForTokenClassification

        model_class: Any = AutoModelForTokenClassification
        if self._section.joined_layer:
            card = read_card(backbone.source)
            layer = layer_to_join(self._section.joined_layer, backbone.config, backbone.num_layers, card)
            model_class = joined_kind(backbone.config, layer)
        return backbone.load(
            model_class,
            num_labels=len(self._tags),
            id2label=dict(enumerate(self._tags)),
            label2id={tag: number for number, tag in enumerate(self._tags)},
        )

    def new_layers_rate(
        self, model: Any, pieces: SubwordTokenizer, examples: Sequence[Example], settings: TrainSettings
    ) -> float:
        """Return the default learning rate of the layer over the tags.

        AdamW moves each weight by at most its rate, so a step moves a logit by at most the rate times the sum of a
        state's absolute values: some 130 for all-MiniLM-L6-v2, 70 for all-mpnet-base-v2 although it is twice as wide.
        """
        windows = Windows.pack(pieces.windows(examples[:_MEASURED]))
        if not len(windows):
            return settings.learning_rate
        batch = collate(windows, np.arange(len(windows)), pieces.pad_id).to(model.device)
        with torch.no_grad():
            sums = states_at(model.eval().base_model, batch).float().abs().sum(1)
        # Rounded to two digits, since it stands in cards; never below the encoder's rate.
        return max(settings.learning_rate, float(f"{_LOGIT_STEP / float(sums.mean()):.2g}"))

    @property
    def labels(self) -> BioLabels:
        """Return the words' labels: the numbers of their BIO tags."""
        return BioLabels(self._tags)

    def terms(self, batch: Batch) -> dict[str, float]:
        """Return the sum of the weights of all labelled words."""
        labelled = int((batch.labels != IGNORED).sum())
        outside = int((batch.labels == _OUTSIDE).sum())
        return {"loss": labelled - outside + self._section.outside_weight * outside}

    def loss(self, model: Any, batch: Batch) -> dict[str, torch.Tensor]:
        """Return the weighted sum of cross-entropies, computed in fp32."""
        # bf16 would round the differences between likely tags away.
        logits = logits_at(model, batch).float()
        summed = torch.nn.functional.cross_entropy(
            logits,
            batch.labels,
            self._weights(logits),
            ignore_index=IGNORED,
            reduction="sum",
            label_smoothing=self._section.label_smoothing,
        )
        return {"loss": summed}

    def _weights(self, logits: torch.Tensor) -> torch.Tensor | None:
        if self._section.outside_weight == 1:
            return None
        weights = torch.ones(logits.shape[-1], device=logits.device)
        weights[_OUTSIDE] = self._section.outside_weight
        return weights

    def score_on(
        self, examples: Sequence[Example], pieces: SubwordTokenizer, settings: TrainSettings, processes: ProcessGroup
    ) -> Callable[[Any], CheckpointScore]:
        """Return a scorer: F1 of typed entities, or of spans if ENTITY is the only category."""
        return SpanScore(
            lambda model: self.head(model, pieces, settings), examples, typed_figures, self._chooses, processes
        )

    def head(self, model: Any, pieces: SubwordTokenizer, settings: TrainSettings) -> LinearHead:
        """Return the model ready to tag."""
        scorer = TorchScorer(model, settings.precision)
        return LinearHead(scorer, pieces, self._tags, max_tokens=most_tokens(settings))

    def describe(self) -> Description:
        """Return its description for plans and cards."""
        return Description(
            learnt=self.learnt,
            pipeline="token-classification",
            chooses=self._chooses,
            figures={
                "typed_f1": f"entities with a type, {ENTITY} left out",
                "span_f1": "all entities, whatever their types",
            },
        )
