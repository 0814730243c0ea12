"""Learning concepts by contrast (NuNER, Bogdanov et al. 2024): each word against the names of a step's concepts."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import torch
from annotated_types import Interval

from nerbert.config import refuse
from nerbert.encoder.concept_table import UNKNOWN, ConceptTable, Row
from nerbert.encoder.objectives.held_out import HeldOutScore, NamedTypes, asked_texts
from nerbert.encoder.objectives.span_labels import ConceptLabels, PromptMaker, SpanLabels
from nerbert.errors import SettingsError, at
from nerbert.model.backbone import Backbone
from nerbert.model.concept_encoder import ConceptModel, WordModel, go_on, open_concepts
from nerbert.model.concept_head import ConceptHead, concept_head
from nerbert.model.forward import Batch, TorchScorer, autocast, states_at
from nerbert.model.surgery import freeze
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.model.windows import IGNORED, Windows, take_column
from nerbert.records import EntityLabel, Example
from nerbert.rng import Array, uniforms
from nerbert.training.batches import most_tokens
from nerbert.training.distributed import ProcessGroup
from nerbert.training.objective import CheckpointScore, Task, Traits
from nerbert.training.settings import Section, TrainSettings

_BESIDE_DATA, _ALWAYS = 48, 256
"""Maximum number of concepts in a fine-tuning step besides the data's types, since each is encoded in each step; and of
data types that are all in each step (with more, as in distillation, a step has its own and random others)."""
_OF_FOLDER = ("backbone", "shared", "pooling", "temperature")
"""Settings that the folder determines in fine-tuning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConceptsSettings(Section):
    """Settings for contrastive learning of concepts."""

    section: ClassVar[str] = "concepts"
    models: ClassVar[tuple[str, ...]] = ("backbone",)
    removed: ClassVar[Mapping[str, str]] = {"label_all_tokens": "a word is learnt by its first subword"}
    backbone: str = ""
    """Initial encoder of names: a folder, a name on the hub or `embedded`; empty: the backbone. Source: ours;
    NuNER takes RoBERTa-base for both."""
    shared: bool = False
    """Read texts and names with the same encoder, which halves the model. Source: ours (docs/results)."""
    pooling: Literal["mean", "first"] = "mean"
    """A name's vector: the `mean` of its last hidden states, or that of the `first` subword. Source: ours;
    NuNER's isn't known to us."""
    descriptions: bool = False
    """Read a type's description, if any, after its name. Source: LitSet (Golde et al. 2024)."""
    temperature: Annotated[float, Interval(gt=0, lt=1e6)] = 4.0
    """Divisor of the dot product of a word's and a concept's vector. Source: ours, on dev with all-MiniLM-L6-v2;
    NuNER's isn't known to us."""
    max_concepts: Annotated[int, Interval(ge=1, lt=1e6)] = 2048
    """Maximum number of concepts in a step; from more, a random sample is drawn, and the log counts those left out. A
    fine-tuning step has all types of its data, if they are at most 256, and at most 48 others. Source: ours."""


@dataclass(slots=True)
class StepConcepts:
    """The concepts of one step, and their relation to its words.

    `rows` (rows,) are the labels of the step's words, sorted; `has` and `known` are (rows, concepts); `vectors`
    (concepts, width) is set while losses are computed. `tells` (rows,) is True for rows with any known concept; it
    stays on the CPU. `left_out` counts the concepts left out of the step.

    For `names`, whose `rows` are empty, `targets` has three arrays for each window number. (entities, 3): first word,
    word after the last, and row; (words,): the row of each word; (words,): the row of a predicted span at this word if
    there is no entity, −1 if unknown.
    """

    texts: list[str]
    rows: Array
    tells: torch.Tensor
    has: torch.Tensor
    known: torch.Tensor
    left_out: int = 0
    vectors: torch.Tensor | None = None
    targets: Mapping[int, tuple[Array, Array, Array]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConceptBatch(Batch):
    """A micro-batch whose labels are indices of its step's rows."""

    step: StepConcepts


class Concepts(NamedTypes):
    """The objective; `backbone` is the initial concept encoder.

    The section of an objective that extends it must extend `ConceptsSettings`.
    """

    settings: ClassVar[type[Section]] = ConceptsSettings
    learnt: ClassVar[str] = "match words with the names of their concepts, by contrast (NuNER, Bogdanov et al. 2024)"
    head_name: ClassVar[str] = "concepts"
    traits: ClassVar[Traits] = replace(NamedTypes.traits, trains_gently=True)
    boundaries: ClassVar[bool] = False
    """True if its model has a layer of boundary tags."""

    def __init__(self, task: Task, backbone: Backbone) -> None:
        table: ConceptTable = task.concepts
        self._table, self._texts, self._settings, self._backbone = table, task.concept_texts, task.settings, backbone
        self._section: Any = task.settings.of(self.settings)
        self._types, self._finetunes = task.types, task.finetunes
        self._rows = list(table.rows)
        always = [table.number_of(self._texts[type_]) for type_ in task.types if task.finetunes]
        # Few types of the data are all in each step, so that their absence is learnt, too.
        self._always = np.array(always if len(always) <= _ALWAYS else [], np.int64)

    @classmethod
    def of(cls, task: Task) -> Self:
        """Return the objective for the concepts of a task."""
        settings, backbone = task.settings, task.backbone
        section: Any = settings.of(cls.settings)
        # A default can't be told from a setting, so only another value is refused.
        for name in _OF_FOLDER if task.finetunes else ():
            value = getattr(section, name)
            default = getattr(cls.settings(), name)
            refuse(value != default, f"{section.section}.{name}", value, "left out in fine-tuning: the folder has it")
        if source := section.backbone:
            refuse(section.shared, section.full_name("shared"), True, "false: `backbone` names an encoder of its own")
            with at(setting=f"setting {section.section}.backbone"):
                backbone = Backbone.of(source, settings.seed)
        return cls(task, backbone)

    def make_model(self, backbone: Backbone) -> ConceptModel:
        """Return both encoders, without pooling layers or heads; fine-tuning uses those of a folder.

        Pre-training with a shared encoder goes on with the layers of a folder that was trained so.

        Raise InputError for a folder without a concept encoder, SettingsError for one of the other objective.
        """
        if self._finetunes:
            model = open_concepts(backbone.source, backbone.load_body())
            # The two objectives train different layers; the missing ones would be random.
            if (model.boundaries is not None) != self.boundaries:
                trained_with = "concepts" if self.boundaries else "names"
                why = f"{backbone.source} was trained with {trained_with!r}; use that, or leave the setting out"
                raise SettingsError(f"setting objective = {self._settings.objective!r}: {why}", setting="objective")
            return model
        text = backbone.load_body()
        names = text if self._section.shared else self._backbone.load_body()
        expected = min(self._table.count_expected(self._settings.batch_size), self._section.max_concepts)
        # A projection between two widths has random weights.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._settings.seed)
            model = ConceptModel(
                text,
                names,
                self._backbone.tokenizer,
                temperature=self._section.temperature,
                # So that about one concept a word is expected at first; most of a step's
                # concepts are absent from a word.
                bias=-math.log(max(1.0, expected)),
                pooling=self._section.pooling,
                boundaries=self.boundaries,
            )
        if names is text:
            go_on(model)
        return model

    def freeze(self, model: ConceptModel, layers: int) -> int:
        """Freeze the lowest layers of both encoders, half of each by default; return the number in the text encoder."""
        depths = [int(encoder.config.num_hidden_layers) for encoder in (model.text, model.names)]
        halves = [depth // 2 if layers < 0 else layers for depth in depths]
        freeze(model.text, halves[0])
        if model.names is not model.text:
            freeze(model.names, min(halves[1], depths[1]))
        return halves[0]

    def new_parameters(self, model: ConceptModel) -> list[torch.nn.Parameter]:
        """Return the parameters that compare the vectors of both encoders."""
        return list(model.own_parameters().values())

    @property
    def labels(self) -> ConceptLabels:
        """Return the words' labels: rows of the table."""
        return ConceptLabels(self._table, self._texts)

    def begin_step(self, windows: Windows, numbers: Array, step: int) -> StepConcepts:
        """Return the concepts of the step's words in all processes."""
        labels = np.unique(take_column(windows.labels, windows.word_ends, numbers)[0])
        rows = [self._rows[label] if label != IGNORED else UNKNOWN for label in labels.tolist()]
        return self._concepts_of(rows, labels, step)

    def _concepts_of(self, rows: Sequence[Row], labels: Array, step: int) -> StepConcepts:
        """Return the concepts of rows, given the words' `labels`; of too many, a random sample of the step."""
        candidates = np.setdiff1d(self._table.candidates(rows), self._always)
        most = max(0, self._section.max_concepts - len(self._always))
        most = min(most, _BESIDE_DATA) if len(self._always) else most
        # The same concepts in all processes and after a resume: coins are by step and concept.
        if left_out := max(0, len(candidates) - most):
            chances = uniforms(self._settings.seed, f"concepts of step {step}", candidates)
            candidates = candidates[np.argsort(chances, kind="stable")[:most]]
        candidates = np.union1d(candidates, self._always)
        has, known = (torch.from_numpy(mask) for mask in self._table.masks(rows, candidates))
        texts = self._table.texts_read(candidates, self._settings.seed, step)
        return StepConcepts(texts, labels, known.any(1), has, known, left_out)

    def step_figures(self, shared: StepConcepts) -> dict[str, float]:
        """Return the number of concepts in the step, and of those left out of it, if any."""
        figures = {"concepts": float(len(shared.texts))}
        return figures | ({"concepts_left_out": float(shared.left_out)} if shared.left_out else {})

    def step_pass(self, model: ConceptModel, shared: StepConcepts) -> AbstractContextManager[None]:
        """Encode the step's names once; at the end, backpropagate through the concept encoder once."""
        if not shared.texts:
            return nullcontext()
        shared.has, shared.known = shared.has.to(model.device), shared.known.to(model.device)
        setting = self._section.full_name("max_concepts")
        return self._share_vectors(shared, model, setting, lambda: model.name_vectors(shared.texts))

    def prepare(self, batch: Batch, step: int, shared: Any = None) -> Batch:
        """Return the batch with its labels as indices of the rows of the step, `shared`."""
        indices = torch.from_numpy(np.searchsorted(shared.rows, batch.labels.numpy()))
        return batch.extend(ConceptBatch, labels=indices, step=shared)

    def terms(self, batch: ConceptBatch) -> dict[str, float]:
        """Return the number of words with known concepts."""
        return {"loss": int(batch.step.tells[batch.labels].sum())}

    def loss(self, model: ConceptModel, batch: ConceptBatch) -> dict[str, torch.Tensor]:
        """Return the sum of the words' losses, computed in fp32."""
        return {"loss": concept_loss(model, states_at(model.text, batch), batch.step, batch.labels)}

    def score_on(
        self, examples: Sequence[Example], pieces: SubwordTokenizer, settings: TrainSettings, processes: ProcessGroup
    ) -> Callable[[Any], CheckpointScore]:
        """Return a scorer: F1 on held-out texts at the best threshold; raise InputError if they have no entity."""
        maker = PromptMaker.without_limit(self._table, self._settings.seed)
        texts = asked_texts(examples, SpanLabels(self._table, self._texts, 0), self._table, maker)
        return HeldOutScore(partial(self.open_head, pieces=pieces, settings=self._settings), texts, processes)

    def open_head(self, model: ConceptModel, pieces: SubwordTokenizer, settings: TrainSettings) -> ConceptHead:
        """Return the model ready to tag, without labels."""
        scorer = TorchScorer(WordModel(model.text, model.boundaries), settings.precision, WordModel.scores)
        return concept_head(boundaries=model.boundaries is not None)(
            scorer,
            pieces,
            NameVectors(model, settings.precision),
            int(model.config.hidden_size),
            model.temperature,
            model.bias.item(),
            most_tokens(settings),
        )


class NameVectors:
    """Vectors of labels by a model in training, each computed once."""

    def __init__(self, model: ConceptModel, precision: str) -> None:
        self._model = model
        self._precision = precision
        self._known = dict[str, Array]()

    def __call__(self, labels: Sequence[EntityLabel]) -> Array:
        """Return the vectors, (labels, width)."""
        missing = [text for text in dict.fromkeys(label.text for label in labels) if text not in self._known]
        if missing:
            with torch.inference_mode(), autocast(self._model.device.type, self._precision):
                self._known.update(zip(missing, self._model.name_vectors(missing).cpu().numpy(), strict=True))
        return np.stack([self._known[label.text] for label in labels])


def concept_loss(model: ConceptModel, vectors: torch.Tensor, step: StepConcepts, rows: torch.Tensor) -> torch.Tensor:
    """Return the sum of the known cross-entropies, in fp32; `rows` (vectors,) are indices of the step's rows."""
    if step.vectors is None:
        # Zero, but connected to the model: a step without names must have a gradient.
        return vectors.float().sum() * 0
    rows = rows.to(vectors.device)
    logits = model.logits(vectors, step.vectors)
    has = step.has[rows].float()
    known = step.known[rows]
    # Concepts of which nothing is known give no loss, whatever the model says.
    return (torch.nn.functional.binary_cross_entropy_with_logits(logits, has, reduction="none") * known).sum()
