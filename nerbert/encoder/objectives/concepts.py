"""Learning concepts by contrast (NuNER, Bogdanov et al. 2024): each word against the names of a whole step's concepts.

The loss is σ(tᵢ·cⱼ/τ + b)'s binary cross-entropy, summed over concepts. Names are encoded once a step.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import torch

from nerbert.config import Bounds, Section
from nerbert.encoder.open_texts import OpenExample
from nerbert.errors import InputError, SettingsError, at
from nerbert.model.backbone import Backbone
from nerbert.model.concept_encoder import ConceptModel, first_bias
from nerbert.model.concept_table import ConceptTable, Row
from nerbert.model.forward import Batch, autocast
from nerbert.model.fresh import freeze
from nerbert.model.tokenizer import SubwordTokenizer, WordLabels
from nerbert.model.windows import IGNORED, Label, Windows, chosen
from nerbert.records import Example
from nerbert.rng import Array, uniforms
from nerbert.training.distributed import ProcessGroup
from nerbert.training.loop import explain_out_of_memory, held_out_batches
from nerbert.training.objective import PRETRAIN, CheckpointScore, Description, Objective, Task, computed_once
from nerbert.training.settings import TrainSettings
from nerbert.training.sources import Data_co, Sources

_UNKNOWN: Row = ((), ())
"""The row of a word whose concepts are unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConceptsSettings(Section):
    """Settings of contrastive learning of concepts."""

    section: ClassVar[str] = "concepts"
    formerly: ClassVar[Mapping[str, str]] = {
        "concept_backbone": "backbone", "concept_pooling": "pooling", "concept_descriptions": "descriptions",
    }  # fmt: skip
    models: ClassVar[tuple[str, ...]] = ("backbone",)
    backbone: str = ""
    """Encoder of names to start from: a folder, a name on the hub or `embedded`; empty: the backbone. Source: ours;
    NuNER takes RoBERTa-base for both."""
    pooling: Literal["mean", "first"] = "mean"
    """A name's vector: the `mean` of its last states, or that of the `first` subword. Source: ours; NuNER doesn't
    say."""
    descriptions: bool = False
    """Whether to read a type's description, if any, after its name. Source: LitSet (Golde et al. 2024)."""
    temperature: Annotated[float, Bounds(above=0, below=1e6)] = 4.0
    """Divisor of the product of a word's and a concept's vector. Source: ours, on dev with all-MiniLM-L6-v2; NuNER
    doesn't say."""
    label_all_tokens: bool = False
    """Whether a word's further subwords count in the loss. Source: ours."""
    max_concepts: Annotated[int, Bounds(at_least=1, below=1e6)] = 2048
    """Most concepts of a step; from more, a random sample is taken, and each step's log counts those left out. Source:
    ours."""


class ConceptLabels(WordLabels):
    """Labels words with rows of a table: the concepts (`texts`: a corpus's categories') of entities they are in."""

    def __init__(self, table: ConceptTable, texts: Mapping[str, str]) -> None:
        self._table, self._texts = table, texts

    def of(self, example: Example) -> list[Label]:
        """Return the number of each word's row; raise InputError for an entity that cuts a word."""
        return [self._table.rows[each] for each in self.rows_of(example)]

    def rows_of(self, example: Example) -> list[Row]:
        """Return each word's row itself."""
        return self._table.word_rows(example, None if isinstance(example, OpenExample) else self._texts)

    def number_of(self, example: Example, type_: str) -> int:
        """Return the number of the concept of a span's type."""
        return self._table.number_of(type_ if isinstance(example, OpenExample) else self._texts[type_])

    def inside(self, label: Label) -> Label:
        """Return the label itself: all of a word is of its concepts."""
        return label

    def key(self) -> list[Any]:
        """Return the concepts of categories, and the digest of the table."""
        return [sorted(self._texts.items()), self._table.digest]


@dataclass(slots=True)
class StepConcepts:
    """The concepts of one step, and what its words have of them.

    `rows` (rows,) are the labels of the step's words, sorted; `has` and `known` are (rows, concepts), `vectors`
    (concepts, width), set while losses are computed. `tells` (rows,) says of which rows anything is known; it stays on
    the CPU. `left_out` more concepts are left out of the step.
    """

    texts: list[str]
    rows: Array
    tells: torch.Tensor
    has: torch.Tensor
    known: torch.Tensor
    left_out: int = 0
    vectors: torch.Tensor | None = None


@dataclass(frozen=True, slots=True)
class ConceptBatch(Batch):
    """A micro-batch whose labels are places in the rows of its step."""

    step: StepConcepts


class Concepts(Objective):
    """The objective; `backbone` is what the concept encoder starts from."""

    settings: ClassVar[type[Section]] = ConceptsSettings
    sources: ClassVar[tuple[str, ...]] = ("open_types",)
    commands: ClassVar[tuple[str, ...]] = (PRETRAIN,)

    def __init__(
        self, table: ConceptTable, texts: Mapping[str, str], settings: TrainSettings, backbone: Backbone
    ) -> None:
        self._table, self._texts, self._settings, self._backbone = table, texts, settings, backbone
        self._own = settings.of(ConceptsSettings)
        self.label_all_tokens = self._own.label_all_tokens
        self._rows = list(table.rows)

    @classmethod
    def data(cls, sources: Sources[Data_co]) -> Data_co:
        """Return texts whose types have names, and the descriptions that are read after them."""
        return sources.named(descriptions=sources.settings.of(ConceptsSettings).descriptions)

    @classmethod
    def of(cls, task: Task) -> Self:
        """Return the objective for the concepts of a task; raise SettingsError for one without any."""
        settings, own = task.settings, task.settings.of(ConceptsSettings)
        if task.concepts is None:
            raise SettingsError("setting objective = 'concepts': there is no type to learn", setting="objective")
        backbone = task.backbone
        if source := own.backbone:
            with at(setting="setting concepts.backbone"):
                backbone = Backbone.of(source, settings.seed)
        return cls(task.concepts, task.concept_texts, settings, backbone)

    def make_model(self, backbone: Backbone) -> ConceptModel:
        """Return both encoders, without pooling layers or heads."""
        text, names = backbone.load_body(), self._backbone.load_body()
        expected = min(self._table.expected(self._settings.batch_size), self._own.max_concepts)
        with torch.random.fork_rng(devices=[]):  # a projection is drawn
            torch.manual_seed(self._settings.seed)
            return ConceptModel(
                text, names, self._backbone.tokenizer, temperature=self._own.temperature,
                bias=first_bias(expected), pooling=self._own.pooling,
            )  # fmt: skip

    def freeze(self, model: ConceptModel, layers: int) -> int:
        """Freeze the lowest layers of both encoders, half of each by default; return how many of the text encoder."""
        depths = [int(each.config.num_hidden_layers) for each in (model.text, model.names)]
        halves = [depth // 2 if layers < 0 else layers for depth in depths]
        freeze(model.text, halves[0])
        freeze(model.names, min(halves[1], depths[1]))
        return halves[0]

    @property
    def labels(self) -> ConceptLabels:
        """Return the rows of the table."""
        return ConceptLabels(self._table, self._texts)

    def begin_step(self, windows: Windows, numbers: Array, step: int) -> StepConcepts:
        """Return the concepts of the step's words, in all processes."""
        return self._concepts_of(chosen(windows.labels, windows.word_ends, numbers)[0], step)

    def _concepts_of(self, labels: Array, step: int) -> StepConcepts:
        """Return the concepts of some words; of too many a random part, drawn by the step."""
        places = np.unique(labels)
        rows = [self._rows[place] if place != IGNORED else _UNKNOWN for place in places.tolist()]
        candidates = self._table.candidates(rows)
        most = self._own.max_concepts
        if left_out := max(0, len(candidates) - most):
            chances = uniforms(self._settings.seed, f"concepts of step {step}", candidates)
            candidates = np.sort(candidates[np.argsort(chances, kind="stable")[:most]])
        has, known = (torch.from_numpy(each) for each in self._table.masks(rows, candidates))
        texts = [self._table.concepts[number].text for number in candidates.tolist()]
        return StepConcepts(texts, places, known.any(1), has, known, left_out)

    def step_figures(self, shared: StepConcepts) -> dict[str, float]:
        """Return how many concepts the step has, and how many were left out of it, if any."""
        figures = {"concepts": float(len(shared.texts))}
        return figures | ({"concepts_left_out": float(shared.left_out)} if shared.left_out else {})

    @contextmanager
    def step_pass(self, model: ConceptModel, shared: StepConcepts) -> Iterator[None]:
        """Encode the step's names once; take the gradient of their vectors through the concept encoder at the end."""
        if not shared.texts:
            yield
            return
        with explain_out_of_memory("concepts.max_concepts"), autocast(model.device.type, self._settings.precision):
            vectors = model.name_vectors(shared.texts)
        shared.has, shared.known = shared.has.to(model.device), shared.known.to(model.device)
        with computed_once(vectors) as shared.vectors:
            yield
        shared.vectors = None

    def prepare(self, batch: Batch, step: int, shared: Any = None) -> ConceptBatch:
        """Return the batch with the places of its labels among the rows of the step, `shared`."""
        places = torch.from_numpy(np.searchsorted(shared.rows, batch.labels.numpy()))
        columns = {each.name: getattr(batch, each.name) for each in fields(Batch)}
        return ConceptBatch(**columns | {"labels": places}, step=shared)

    def terms(self, batch: ConceptBatch) -> dict[str, float]:
        """Return the number of words with known concepts."""
        return {"loss": int(batch.step.tells[batch.labels].sum())}

    def loss(self, model: ConceptModel, batch: ConceptBatch) -> dict[str, torch.Tensor]:
        """Return the sum of the words' losses, computed in fp32."""
        words = model.word_vectors(batch)
        if batch.step.vectors is None:
            return {"loss": words.float().sum() * 0}
        return {"loss": _cross_entropy(model.logits(words, batch.step.vectors), batch)}

    def score_on(
        self, examples: Sequence[Example], pieces: SubwordTokenizer, settings: TrainSettings, processes: ProcessGroup
    ) -> Callable[[Any], CheckpointScore]:
        """Return the loss on held-out texts, and F1 of what is likelier than not; raise InputError for no concept."""
        windows = Windows.pack(pieces.windows(examples, self.labels))
        concepts = self._concepts_of(windows.labels, 0)
        if not concepts.has.any():
            raise InputError("no word of the validation texts has a concept: use more texts")
        return partial(self._score, windows=windows, concepts=concepts, pad_id=pieces.pad_id, processes=processes)

    def _score(
        self, model: ConceptModel, windows: Windows, concepts: StepConcepts, pad_id: int, processes: ProcessGroup
    ) -> CheckpointScore:
        settings, device = self._settings, model.device.type
        model.eval()
        sums = np.zeros(5)
        with torch.inference_mode(), autocast(device, settings.precision), self.step_pass(model, concepts):
            for each in held_out_batches(windows, settings, processes, device, pad_id):
                batch = self.prepare(each, 0, concepts)
                words = self.terms(batch)["loss"]  # on the CPU, as in training
                sums += [words, *self._counts(model, batch.to(model.device))]
        words, loss, right, found, gold = processes.totals(*sums.tolist())
        figures = {"concept_loss": loss / words, "concept_f1": 2 * right / (found + gold)}
        return CheckpointScore(loss / words, False, figures)

    def _counts(self, model: ConceptModel, batch: ConceptBatch) -> list[float]:
        """Return a batch's loss, and how many pairs of word and concept are right, found and there."""
        step, words = batch.step, model.word_vectors(batch)
        logits = model.logits(words, step.vectors) if step.vectors is not None else words.new_zeros(len(words), 0)
        has, known = step.has[batch.labels], step.known[batch.labels]
        found = (logits > 0) & known
        pairs = (found & has, found, has & known)
        return [float(_cross_entropy(logits, batch)), *(int(each.sum()) for each in pairs)]

    def describe(self) -> Description:
        """Return its description for plans and cards."""
        return Description(
            learnt="match words with the names of their concepts, by contrast (NuNER, Bogdanov et al. 2024)",
            chooses="concept_loss",
            figures={
                "concept_loss": "cross-entropy of a word's concepts, summed over those of the held-out texts, "
                "max_concepts at most",
                "concept_f1": "pairs of word and concept, found where more likely than not",
            },
        )


def _cross_entropy(logits: torch.Tensor, batch: ConceptBatch) -> torch.Tensor:
    """Return the sum of binary cross-entropies over what is known."""
    has, known = batch.step.has[batch.labels], batch.step.known[batch.labels]
    losses = torch.nn.functional.binary_cross_entropy_with_logits(logits.float(), has.float(), reduction="none")
    return (losses * known).sum()
