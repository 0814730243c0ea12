"""Training objectives: all that the loop knows of its task (`docs/extending/objective.md`)."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from nerbert.errors import SettingsError
from nerbert.labels import WordSpan, unknown_words, word_spans
from nerbert.metrics.score import collapse_types, score_spans
from nerbert.model.heads import Head
from nerbert.model.tokenizer import SubwordTokenizer, WordLabels
from nerbert.model.windows import START_COST, Windows
from nerbert.records import ENTITY, Example
from nerbert.registry import Registry
from nerbert.rng import Array
from nerbert.training.settings import Section, TrainSettings

if TYPE_CHECKING:  # reading a settings file needs no torch
    import torch

    from nerbert.model.backbone import Backbone
    from nerbert.model.forward import Batch
    from nerbert.training.batches import Sources, TrainingData
    from nerbert.training.distributed import ProcessGroup

PRETRAIN, FINETUNE = "pretrain", "finetune"
"""The commands that train with an objective."""
Columns = Mapping[str, Array]
"""An epoch's arrays by name; most have a row for each labelled word of the windows, in order."""


@dataclass(frozen=True, slots=True)
class Task:
    """The input of an objective: the entity types of the data, the settings, and the model to start from.

    If the data's types are known by name, `concepts` is a `ConceptTable`, and `concept_texts` gives the concept of each
    type. `finetunes` is True for a tagger of these types, False for an encoder.
    """

    types: Sequence[str]
    settings: TrainSettings
    backbone: "Backbone"
    concepts: Any = None
    concept_texts: Mapping[str, str] = field(default_factory=dict)
    finetunes: bool = False
    data: Any = None
    """Return value of the objective's own `data`."""


@dataclass(frozen=True, slots=True)
class CheckpointScore:
    """A score: `value` chooses the checkpoint; `figures` are for logs and cards (`step`, `epoch`, `loss` are reserved).

    `facts` go into the card of a model that was trained up to this checkpoint, for example {"threshold": 0.3}.
    """

    value: float
    higher_is_better: bool
    figures: dict[str, int | float]
    facts: dict[str, Any] = field(default_factory=dict)

    def beats(self, other: "CheckpointScore | None") -> bool:
        """Return whether this score is better than another one; a tie goes to the other."""
        if other is None:
            return True
        return self.value > other.value if self.higher_is_better else self.value < other.value


@dataclass(frozen=True, slots=True)
class Description:
    """An objective's description for plans and cards.

    `learnt` completes "An encoder …, pre-trained to …". `chooses` names the figure that chooses the checkpoint, and
    `figures` explains each figure by name. `pipeline` is the hub's name of the model's task without fine-tuning.
    """

    learnt: str
    chooses: str
    pipeline: str = "feature-extraction"
    figures: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EpochColumns:
    """The `columns` that an objective computes at the start of an epoch, the same in all processes.

    `figures` are for the log, by name.
    """

    columns: Columns
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """Facts about an objective that commands read before they create it."""

    commands: tuple[str, ...] = (PRETRAIN, FINETUNE)
    """Commands that offer it."""
    sources: tuple[str, ...] = ()
    """Sections of sources that its data may be read from, besides a corpus or annotated sentences."""
    trains_gently: bool = False
    """True if its fine-tuning needs few steps at a low rate, since it starts from a complete model (docs/results)."""
    usual_rate: float = 0.0
    """Default learning rate of fine-tuning; 0: chosen by the encoder's width."""
    word_by_word: bool = False
    """True if it cuts each word into subwords on its own."""
    joins_source: bool = False
    """True if it learns from a source domain and the target together, not from one after the other."""


class Objective(Protocol):
    """Base class of objectives. Define `of`, `make_model`, `terms`, `loss`, `describe`; to pre-train also `score_on`.

    Its settings are a `Section`, `settings`: `task.settings.of(MySettings)`. An objective that makes taggers extends
    `TaggerObjective`; one that does something in each epoch or step also extends `EpochHooks` or `StepHooks`.

    For each micro-batch of a step the loop calls `terms`, on the CPU, then `loss`.
    """

    settings: ClassVar[type[Section]] = Section
    """Class of its settings; a section without a name has none."""
    traits: ClassVar[Traits] = Traits()
    """Its commands, its sources, and how it is fine-tuned."""
    parts: ClassVar[tuple[str, ...]] = ("loss",)
    """Names of the parts of its loss; of several, none may be `loss`, `norm` or `rate`, which the log itself uses."""

    @classmethod
    def data(cls, sources: "Sources") -> Any:
        """Return its training data: by default, sentences with fixed types."""
        return sources.open_labelled()

    @classmethod
    def of(cls, task: Task) -> Self:
        """Return the objective for a task; raise SettingsError or InputError if it doesn't fit."""

    def make_model(self, backbone: "Backbone") -> Any:
        """Return the model to train, with a new head: a `transformers` model, as returned by `backbone.load`."""

    def freeze(self, model: Any, layers: int) -> int:
        """Freeze the lowest `layers` layers (-1: the objective's own number), and return how many are frozen."""
        from nerbert.model.surgery import freeze

        freeze(model, max(0, layers))
        return max(0, layers)

    def new_parameters(self, model: Any) -> "Iterable[torch.nn.Parameter]":
        """Return the parameters of layers outside the pre-trained encoder: by default, outside `base_model`."""
        inside = {id(parameter) for parameter in model.base_model.parameters()}
        # By identity, not name: a tied decoder belongs to the encoder.
        return [parameter for parameter in model.parameters() if id(parameter) not in inside]

    def new_layers_rate(
        self, model: Any, pieces: SubwordTokenizer, examples: Sequence[Example], settings: TrainSettings
    ) -> float:
        """Return the default learning rate of new layers, given a few examples; 0: the encoder's."""
        return 0.0

    def optimizer(self, model: Any, settings: TrainSettings) -> "torch.optim.Optimizer | None":
        """Return its own optimizer for the model, or None for AdamW."""
        return None

    def subwords(self, model: Any, backbone: "Backbone", settings: TrainSettings) -> SubwordTokenizer:
        """Return the tokenizer that cuts examples into windows for the model."""
        return SubwordTokenizer(backbone.tokenizer, model.config, settings.max_length, on_too_long=settings.on_too_long)

    @property
    def labels(self) -> WordLabels | None:
        """Return the labels of words, or None for an objective that doesn't use labels."""
        return None

    def facts(self, windows: Windows) -> dict[str, Any]:
        """Return facts for the model's card; `windows` are the training windows."""
        return {}

    def terms(self, batch: Any) -> Mapping[str, float]:
        """Return the batch's share of each part's divisor."""

    def loss(self, model: Any, batch: Any) -> "Mapping[str, torch.Tensor]":
        """Return the sum of the losses of each part's terms, a scalar."""

    def score_on(
        self, examples: Sequence[Example], pieces: SubwordTokenizer, settings: TrainSettings, processes: "ProcessGroup"
    ) -> Callable[[Any], CheckpointScore]:
        """Return a function that scores a model on held-out sentences; the score chooses the checkpoint."""

    def describe(self) -> Description:
        """Return its description for plans and cards."""


class TaggerObjective(Objective):
    """An objective whose model finds entities."""

    head_name: ClassVar[str] = ""
    """The head of its taggers in `HEADS`."""

    def head(self, model: Any, pieces: SubwordTokenizer, settings: TrainSettings) -> Head:
        """Return the model ready to find entities."""
        raise SettingsError(f"{type(self).__name__}: finds no entities, so it makes no tagger")

    def choosing_head(self, model: Any, pieces: SubwordTokenizer, settings: TrainSettings) -> Head:
        """Return the head that is scored on held-out sentences to choose an epoch; by default the tagger's."""
        return self.head(model, pieces, settings)


class EpochHooks:
    """Hooks for the start of an epoch; epochs are counted from 0."""

    def begin_epoch(
        self, model: Any, data: "TrainingData", epoch: int, before: Columns, processes: "ProcessGroup"
    ) -> EpochColumns | None:
        """Return the columns that the model computes for an epoch, or None to keep the last ones.

        The model is on its device, in evaluation mode, without gradients. `data` are the original ones in every epoch;
        `before` are the columns of the previous epoch, empty at first. All processes call it together and must return
        the same. A resumed run doesn't call it for an epoch that had begun; `--dry-run` never calls it.
        """
        return None

    def use_columns(self, windows: Windows, columns: Columns) -> Windows:
        """Return the windows that an epoch trains on, given new columns, or columns read on resuming."""
        return windows

    def rate_factor(self, epoch: int) -> float:
        """Return the factor of the schedule's learning rate in an epoch."""
        return 1.0


class StepHooks:
    """Hooks for a step: `begin_step` runs once, `prepare` for each micro-batch, both on the CPU.

    Losses are computed inside `step_pass`.
    """

    start_cost: ClassVar[int] = START_COST
    """Overhead of a micro-batch on a CPU, in subwords."""

    def begin_step(self, windows: Windows, numbers: Array, step: int) -> Any:
        """Return data that all micro-batches of a step share; `numbers` are its windows in all processes."""
        return None

    def prepare(self, batch: "Batch", step: int, shared: Any = None) -> "Batch":
        """Return the batch with this step's random choices (such as masks), drawn by seed, step and window number."""
        return batch

    def step_pass(self, model: Any, shared: Any) -> AbstractContextManager[None]:
        """Return the context that a step's losses are computed in, for values that all of them share.

        It is entered again if memory ran out; gradients are complete when it ends.
        """
        return nullcontext()

    def step_figures(self, shared: Any) -> dict[str, float]:
        """Return a step's figures for the log, by name; `shared` is what `begin_step` returned."""
        return {}


OBJECTIVES: Registry[type[Objective]] = Registry(
    "objective",
    "nerbert.objectives",
    {
        "tagging": "nerbert.training.tagging:TokenClassification",
        "mlm": "nerbert.encoder.objectives.mlm:Mlm",
        "concepts": "nerbert.encoder.objectives.concepts:Concepts",
        "names": "nerbert.encoder.objectives.names:Names",
        "zero_shot": "nerbert.encoder.objectives.zero_shot:ZeroShot",
        "distillation": "nerbert.distillation.objective:Distillation",
    },
    base=Objective,
)
"""The training objectives."""


Spans = Sequence[Sequence[WordSpan]]
SpanFigures = Callable[[Spans, Spans], dict[str, int | float]]
"""(gold, predicted) → figures by name (0–1), higher is better."""


@contextmanager
def computed_once(vectors: "torch.Tensor") -> "Iterator[torch.Tensor]":
    """Yield vectors that a step's losses share; at the end, backpropagate once through their computation."""
    # The losses' gradients are collected on a copy, so what made the vectors is gone
    # through once a step and not once a micro-batch.
    shared = vectors.detach().requires_grad_(vectors.requires_grad)
    yield shared
    if shared.grad is not None:
        vectors.backward(shared.grad)  # type: ignore[no-untyped-call]


class SpanScore:
    """Scores the entities that a head finds, each process its share; `chooses` names the figure that becomes the value.

    Predicted entities with a word of unknown label are ignored.
    """

    def __init__(
        self,
        head: Callable[[Any], Head],
        examples: Sequence[Example],
        figures: SpanFigures,
        chooses: str,
        processes: "ProcessGroup | None" = None,
    ) -> None:
        self._head, self._figures, self._chooses, self._processes = head, figures, chooses, processes
        self._rank, self._count = (processes.rank, processes.count) if processes else (0, 1)
        self._share = examples[self._rank :: self._count]
        self._gold = [word_spans(example) for example in examples]
        self._unknown = [frozenset(unknown_words(example)) for example in examples]

    def __call__(self, model: Any) -> CheckpointScore:
        """Return the model's score."""
        predicted = self._head(model).predict(self._share).word_spans(len(self._share))
        every: list[list[WordSpan]] = [[] for _ in self._gold]
        for rank, share in enumerate(self._processes.gather([predicted]) if self._processes else [predicted]):
            every[rank :: self._count] = share
        kept = [
            # Nobody knows whether such an entity is right.
            [span for span in spans if unknown.isdisjoint(range(*span[:2]))]
            for spans, unknown in zip(every, self._unknown, strict=True)
        ]
        figures = self._figures(self._gold, kept)
        return CheckpointScore(figures[self._chooses], True, figures)


def typed_figures(gold: Spans, predicted: Spans) -> dict[str, int | float]:
    """Return `typed_f1`, of entities with a type, and `span_f1`, which ignores types."""
    # ENTITY is a link whose page has no type: right or wrong can't be told of it.
    typed = ([[span for span in spans if span[2] != ENTITY] for spans in examples] for examples in (gold, predicted))
    return {
        "typed_f1": score_spans(*typed).f1,
        "span_f1": score_spans(map(collapse_types, gold), map(collapse_types, predicted)).f1,
    }
