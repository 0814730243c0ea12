"""What a training minimises: all that the loop knows of its task (`docs/extending/objective.md`)."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from nerbert.errors import SettingsError, need
from nerbert.labels import WordSpan, unknown_words, word_spans
from nerbert.metrics.score import collapse_types, score_spans
from nerbert.model.heads import Head
from nerbert.model.tokenizer import SubwordTokenizer, WordLabels
from nerbert.model.windows import START_COST, Windows
from nerbert.records import ENTITY, Example
from nerbert.registry import Registry
from nerbert.rng import Array
from nerbert.training.settings import Section, TrainSettings

if TYPE_CHECKING:  # so that a settings file is read without torch
    import torch

    from nerbert.model.backbone import Backbone
    from nerbert.model.forward import Batch
    from nerbert.training.batches import Sources, TrainingData
    from nerbert.training.distributed import ProcessGroup

PRETRAIN, FINETUNE = "pretrain", "finetune"
"""The commands with objectives."""
Columns = Mapping[str, Array]
"""An epoch's arrays by name: most have a row for each labelled word of the windows, in order."""


@dataclass(frozen=True, slots=True)
class Task:
    """The input of an objective: the entity types of the data, the settings, and the model to start from.

    Where the data's types are known by name, it has a `ConceptTable`, `concepts`, and by `concept_texts` those of the
    types. `finetunes` says whether a tagger of these types is made, or an encoder.
    """

    types: Sequence[str]
    settings: TrainSettings
    backbone: "Backbone"
    concepts: Any = None
    concept_texts: Mapping[str, str] = field(default_factory=dict)
    finetunes: bool = False
    data: Any = None
    """What the objective's own `data` returned."""


@dataclass(frozen=True, slots=True)
class CheckpointScore:
    """What chooses a checkpoint, `value`, and `figures` for logs and cards (`step`, `epoch`, `loss` are taken).

    `facts` go into the card of a model that was trained to this checkpoint, say {"threshold": 0.3}.
    """

    value: float
    higher_is_better: bool
    figures: dict[str, int | float]
    facts: dict[str, Any] = field(default_factory=dict)

    def beats(self, other: "CheckpointScore | None") -> bool:
        """Return whether it is better than another one; a tie goes to the other."""
        if other is None:
            return True
        return self.value > other.value if self.higher_is_better else self.value < other.value


@dataclass(frozen=True, slots=True)
class Description:
    """An objective's description for plans and cards.

    `learnt` completes "An encoder …, pre-trained to …"; `chooses` is the figure that chooses the checkpoint, and
    `figures` explains all of them by name; `pipeline` is the hub's name of the model's task without fine-tuning.
    """

    learnt: str
    chooses: str
    pipeline: str = "feature-extraction"
    figures: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EpochColumns:
    """What an objective computes at the start of an epoch: `columns`, the same in all processes.

    `figures` are for the log, by name.
    """

    columns: Columns
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """Facts about an objective that commands read before they make it."""

    commands: tuple[str, ...] = (PRETRAIN, FINETUNE)
    """Its commands."""
    sources: tuple[str, ...] = ()
    """Sections of the sources that its data may be read from, beside a corpus or annotated sentences."""
    needs: tuple[str, ...] = ()
    """An extra of nerbert and its modules that it needs."""
    trains_gently: bool = False
    """Whether few steps at a low rate suit its fine-tuning, since it starts from a whole model (docs/results)."""
    usual_rate: float = 0.0
    """Its learning rate in fine-tuning where the settings name none; 0: by the encoder's width."""
    joins_source: bool = False
    """Whether it learns from a source domain and the target together, not from one after the other."""


class Objective(Protocol):
    """A subclass has to give `of`, `make_model`, `terms`, `loss`, `describe` and, for pre-training, `score_on`.

    Its settings are a `Section`, `settings`: `task.settings.of(MySettings)`. One that makes taggers extends
    `TaggerObjective`; one with work of its own in each epoch or step also extends `EpochHooks` or `StepHooks`.

    For each micro-batch of a step the loop calls `terms`, on the CPU, then `loss`.
    """

    settings: ClassVar[type[Section]] = Section
    """Its settings; one without a name has none."""
    traits: ClassVar[Traits] = Traits()
    """Its commands, its sources, and how it is fine-tuned."""
    parts: ClassVar[tuple[str, ...]] = ("loss",)
    """The parts of its loss, by name; of several none is called `loss`, `norm` or `rate`, as the log's own figures."""

    @classmethod
    def data(cls, sources: "Sources") -> Any:
        """Return its training data: by default, sentences with fixed types."""
        return sources.open_labelled()

    @classmethod
    def of(cls, task: Task) -> Self:
        """Return the objective for a task; raise SettingsError or InputError if it doesn't fit."""

    def make_model(self, backbone: "Backbone") -> Any:
        """Return the model to train, with a new head: a `transformers` model, as `backbone.load` gives it."""

    def freeze(self, model: Any, layers: int) -> int:
        """Freeze the lowest `layers` layers; -1 leaves the number to the objective. Return the number."""
        from nerbert.model.fresh import freeze

        freeze(model, max(0, layers))
        return max(0, layers)

    def new_parameters(self, model: Any) -> "Iterable[torch.nn.Parameter]":
        """Return the parameters of layers that no pre-trained encoder has: by default all outside `base_model`."""
        inside = {id(parameter) for parameter in model.base_model.parameters()}
        return [parameter for parameter in model.parameters() if id(parameter) not in inside]

    def optimizer(self, model: Any, settings: TrainSettings) -> "torch.optim.Optimizer | None":
        """Return its own optimizer over the model; None for AdamW."""
        return None

    def subwords(self, model: Any, backbone: "Backbone", settings: TrainSettings) -> SubwordTokenizer:
        """Return what cuts examples into windows for the model."""
        return SubwordTokenizer(backbone.tokenizer, model.config, settings.max_length, on_too_long=settings.on_too_long)

    @property
    def labels(self) -> WordLabels | None:
        """Return what words are labelled with; None for an objective that reads no labels."""
        return None

    def facts(self, windows: Windows) -> dict[str, Any]:
        """Return facts for the model's card; `windows` are those that it is trained on."""
        return {}

    def terms(self, batch: Any) -> Mapping[str, float]:
        """Return for each part the batch's share of the number that the part is divided by."""

    def loss(self, model: Any, batch: Any) -> "Mapping[str, torch.Tensor]":
        """Return for each part the sum of its terms' losses, a scalar."""

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
    """What an objective does at the start of an epoch, counted from 0."""

    def begin_epoch(
        self, model: Any, data: "TrainingData", epoch: int, before: Columns, processes: "ProcessGroup"
    ) -> EpochColumns | None:
        """Return the columns that the model gives an epoch; None keeps the last ones.

        The model is on its device, in evaluation, without gradients. `data` is as the training got it, whatever the
        epoch; `before` are the columns of the epoch before, none at first. All processes call it together and must
        return the same. A resumed run doesn't call it for an epoch that was begun; `--dry-run` never calls it.
        """
        return None

    def use_columns(self, windows: Windows, columns: Columns) -> Windows:
        """Return the windows that an epoch trains on; called for columns that were just made, or read on resuming."""
        return windows

    def rate_factor(self, epoch: int) -> float:
        """Return by what the schedule's learning rate is multiplied in an epoch."""
        return 1.0


class StepHooks:
    """What an objective does in a step: `begin_step` once, `prepare` for each micro-batch, both on the CPU.

    Losses are computed inside `step_pass`.
    """

    start_cost: ClassVar[int] = START_COST
    """Overhead of a micro-batch on a CPU, in pieces."""

    def begin_step(self, windows: Windows, numbers: Array, step: int) -> Any:
        """Return what all micro-batches of a step share; `numbers` are its windows in all processes."""
        return None

    def prepare(self, batch: "Batch", step: int, shared: Any = None) -> "Batch":
        """Return the batch with what is drawn for this step (masks, say) by seed, step and window number."""
        return batch

    def step_pass(self, model: Any, shared: Any) -> AbstractContextManager[None]:
        """Return the context of a step's losses, for what is computed once for all of them.

        It is entered again after memory ran out; gradients are complete when it ends.
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
        "self_training": "nerbert.encoder.objectives.self_training:SelfTraining",
        "typing": "nerbert.encoder.objectives.cluster_typing:ClusterTyping",
        "zero_shot": "nerbert.encoder.objectives.zero_shot:ZeroShot",
        "distillation": "nerbert.distillation.objective:Distillation",
        "cdlm": "nerbert.finetuning.cdlm:Cdlm",
    },
    base=Objective,
)
"""The training objectives."""


def find_objective(name: str) -> type[Objective]:
    """Return an objective by name; raise MissingExtra if a library that it needs is missing."""
    objective = OBJECTIVES.find(name)
    if objective.traits.needs:
        need(*objective.traits.needs)
    return objective


Spans = Sequence[Sequence[WordSpan]]
SpanFigures = Callable[[Spans, Spans], dict[str, int | float]]
"""(gold, predicted) → figures by name (0–1), higher is better."""


@contextmanager
def computed_once(vectors: "torch.Tensor") -> "Iterator[torch.Tensor]":
    """Yield vectors that a step's losses share; at the end take their gradient once through what made them."""
    shared = vectors.detach().requires_grad_(vectors.requires_grad)
    yield shared
    if shared.grad is not None:
        vectors.backward(shared.grad)  # type: ignore[no-untyped-call]


class SpanScore:
    """Scores the entities that a head finds, each process its share; `chooses` names the figure that is the value.

    What is found where nothing is known is neither right nor wrong.
    """

    def __init__(
        self, head: Callable[[Any], Head], examples: Sequence[Example], figures: SpanFigures, chooses: str,
        processes: "ProcessGroup | None" = None,
    ) -> None:  # fmt: skip
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
        kept = [[span for span in spans if unknown.isdisjoint(range(*span[:2]))]
                for spans, unknown in zip(every, self._unknown, strict=True)]  # fmt: skip
        figures = self._figures(self._gold, kept)
        return CheckpointScore(figures[self._chooses], True, figures)


def typed_figures(gold: Spans, predicted: Spans) -> dict[str, int | float]:
    """Return `typed_f1`, of entities with a type, and `span_f1`, which ignores types."""
    typed = ([[span for span in spans if span[2] != ENTITY] for spans in examples] for examples in (gold, predicted))
    return {
        "typed_f1": score_spans(*typed).f1,
        "span_f1": score_spans(map(collapse_types, gold), map(collapse_types, predicted)).f1,
    }
