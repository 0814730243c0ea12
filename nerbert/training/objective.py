"""What a training minimises: the one thing the loop knows of its task.

An objective owns all that differs between trainings: the model with its head, the labels of words, what a whole step
needs before it is cut, the loss, the score that chooses the checkpoint, and the words that plans and cards say of it.

Its loss has one part or several. A part is a sum of terms, and their number (weight, for weighted ones) is known before
anything is computed. So a step's loss is the sum of its parts, each divided by its terms over all micro-batches and
processes, however the step is cut. A part whose number of terms depends on the model's output does not fit.

`OBJECTIVES` in `nerbert.registry` knows them by name; `docs/extending/objective.md` shows how to write one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, Self

import torch

from nerbert.errors import SettingsError
from nerbert.model.backbone import Backbone
from nerbert.model.forward import Batch
from nerbert.model.heads import Head
from nerbert.model.tokenizer import SubwordTokenizer, WordLabels
from nerbert.model.windows import Windows
from nerbert.records import Example
from nerbert.rng import Array
from nerbert.training.base_settings import TrainSettings
from nerbert.training.distributed import ProcessGroup
from nerbert.training.early_stopping import CheckpointScore


@dataclass(frozen=True, slots=True)
class Task:
    """What an objective is made for: the entity types of the data, the settings, and the model to start from."""

    types: Sequence[str]
    settings: TrainSettings
    backbone: Backbone


@dataclass(frozen=True, slots=True)
class Description:
    """What plans and cards say of an objective.

    `learnt` completes "An encoder …, pre-trained to …"; `chooses` is the figure that chooses the checkpoint, and
    `figures` explains all of them by name; `pipeline` is the hub's name of what the model does untouched.
    """

    learnt: str
    chooses: str
    pipeline: str = "feature-extraction"
    figures: Mapping[str, str] = field(default_factory=dict)


class Objective(Protocol):
    """A subclass has to give `of`, `make_model`, `terms`, `loss`, `score_on` and `describe`.

    The loop calls `begin_step` once a step, then for each micro-batch `prepare`, `terms` (both on the CPU) and `loss`.
    """

    parts: ClassVar[tuple[str, ...]] = ("loss",)
    """The parts of its loss, by name; of several none is called `loss`, `norm` or `rate`, as the log's own figures."""
    head_name: ClassVar[str] = ""
    """The head of its taggers in `HEADS`; "" for an objective that makes no tagger."""

    @classmethod
    def of(cls, task: Task) -> Self:
        """Return the objective for a task; raise SettingsError or InputError if it can't be."""
        ...

    def make_model(self, backbone: Backbone) -> Any:
        """Return the model to train, with a new head: a `transformers` model, as `backbone.load` gives it."""
        ...

    @property
    def labels(self) -> WordLabels | None:
        """Return what words are labelled with; None for an objective that reads no labels."""
        return None

    def begin_step(self, windows: Windows, numbers: Array, step: int) -> Any:
        """Return what all micro-batches of a step share; `numbers` are its windows in all processes."""
        return None

    def prepare(self, batch: Batch, step: int, shared: Any = None) -> Batch:
        """Return the batch with what is drawn for this step (masks, say) by seed, step and window number."""
        return batch

    def terms(self, batch: Batch) -> Mapping[str, float]:
        """Return for each part the batch's share of the number that the part is divided by."""
        ...

    def loss(self, model: Any, batch: Batch) -> Mapping[str, torch.Tensor]:
        """Return for each part the sum of its terms' losses, a scalar."""
        ...

    def score_on(
        self, examples: Sequence[Example], pieces: SubwordTokenizer, settings: TrainSettings, processes: ProcessGroup
    ) -> Callable[[Any], CheckpointScore]:
        """Return a function that scores a model on held-out sentences; the score chooses the checkpoint."""
        ...

    def head(self, model: Any, pieces: SubwordTokenizer, settings: TrainSettings) -> Head:
        """Return the model ready to find entities; only an objective with a `head_name` is asked."""
        raise SettingsError(f"{type(self).__name__}: finds no entities, so it makes no tagger")

    def describe(self) -> Description:
        """Return what plans and cards say of it."""
        ...
