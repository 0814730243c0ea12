"""Training to find entities of types given by name, with models of the package `gliner`.

Each window has some types in its prompt. The loss is the binary cross-entropy over spans and types.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import torch

from nerbert.config import Section, refuse
from nerbert.encoder.objectives.held_out import HeldOutScore, NamedTypes, asked_texts
from nerbert.encoder.objectives.zero_shot.span_labels import Answers, PromptMaker, SpanLabels, WindowLabels, count_lost
from nerbert.encoder.objectives.zero_shot.start import ZeroShotSettings, labels_backbone, sizes_of, start_model
from nerbert.model.backbone import Backbone
from nerbert.model.concept_table import ConceptTable
from nerbert.model.forward import Batch, autocast
from nerbert.model.fresh import freeze
from nerbert.model.gliner.config import WORDS
from nerbert.model.gliner.head import MAX_TOKENS, NORMALISED, GlinerHead
from nerbert.model.gliner.scorer import TorchGliner
from nerbert.model.gliner.trainee import GlinerTrainee, PromptBatch, PromptedPieces, with_gliner_words, with_prompts
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.model.windows import Windows, chosen
from nerbert.process import is_first_process
from nerbert.records import EntityLabel, Example
from nerbert.rng import Array
from nerbert.terminal import tell
from nerbert.training.batches import most_tokens
from nerbert.training.distributed import ProcessGroup, explain_out_of_memory
from nerbert.training.objective import CheckpointScore, Task, computed_once
from nerbert.training.settings import TrainSettings

_NAMES = 64
"""Names that go through their own encoder at once."""
_SAMPLED = 1024
"""Windows that the length of prompts is measured on."""


@dataclass(slots=True)
class StepPrompts:
    """What a step's windows and prompts hold; `used` are all types, `texts` what is read of them.

    `vectors` (used, width) are theirs, if apart.
    """

    windows: Mapping[int, WindowLabels]
    prompts: Mapping[int, Array]
    used: Array
    texts: Mapping[int, str]
    vectors: torch.Tensor | None = None


@dataclass(frozen=True, slots=True)
class ZeroShotBatch(PromptBatch):
    """A micro-batch with the types in each window's prompt, and its step."""

    asked: tuple[Array, ...]
    windows: tuple[WindowLabels, ...]
    step: StepPrompts


class ZeroShot(NamedTypes):
    """The objective; `labels_backbone` is what an encoder of labels starts from."""

    head_name: ClassVar[str] = "gliner"
    settings: ClassVar[type[Section]] = ZeroShotSettings
    learnt: ClassVar[str] = "find entities of types given by name (GLiNER, Zaratiana et al. 2024)"

    def __init__(
        self, table: ConceptTable, texts: Mapping[str, str], settings: TrainSettings, *, types: Sequence[str] = (),
        labels_backbone: Backbone | None = None, finetunes: bool = False,
    ) -> None:  # fmt: skip
        self._table, self._texts, self._settings, self._types = table, texts, settings, tuple(types)
        self._own, self._finetunes = settings.of(ZeroShotSettings), finetunes
        self._labels_backbone = labels_backbone
        self._rows = list(table.rows)
        self._model: GlinerTrainee | None = None
        self._pieces: PromptedPieces | None = None
        self._maker: PromptMaker | None = None
        self._sizes = np.zeros(len(table.concepts), np.int64)

    @classmethod
    def of(cls, task: Task) -> Self:
        """Return the objective for the types of a task; raise SettingsError for settings that don't go together."""
        settings = task.settings
        refuse(settings.num_layers != 0 and bool(task.backbone.objective), "num_layers", settings.num_layers,
               "0 where the start is a GLiNER folder")  # fmt: skip
        refuse(settings.on_too_long != "window", "on_too_long", settings.on_too_long, "'window' with 'zero_shot'")
        own = settings.of(ZeroShotSettings)
        if task.finetunes:
            for name in ("labels_backbone", "negative_ratio"):
                changed = getattr(own, name) != getattr(ZeroShotSettings(), name)
                refuse(changed, f"zero_shot.{name}", getattr(own, name), "left out in fine-tuning")
        labels = None if task.finetunes else labels_backbone(settings, task.backbone)
        return cls(task.concepts, task.concept_texts, settings, types=task.types, labels_backbone=labels,
                   finetunes=task.finetunes)  # fmt: skip

    def make_model(self, backbone: Backbone) -> GlinerTrainee:
        """Return the model of a GLiNER folder, or a new one on an encoder; raise InputError if a type has no room."""
        settings = self._settings
        loaded = start_model(backbone, self._labels_backbone, settings, finetunes=self._finetunes)
        self._model = model = GlinerTrainee(loaded)
        self._pieces = PromptedPieces(loaded.pieces, model.config, settings.max_length, recut=not self._finetunes)
        self._sizes = sizes_of(self._table, loaded, self._pieces.room_for_labels)
        return model

    def freeze(self, model: GlinerTrainee, layers: int) -> int:
        """Freeze the lowest layers of the encoders, none by default; of one with fewer layers all."""
        layers, labels_body = max(0, layers), model.gliner.labels_body
        freeze(model.gliner.body, layers)
        if labels_body is not None:
            freeze(labels_body, min(layers, int(labels_body.config.num_hidden_layers)))
        return layers

    def new_parameters(self, model: GlinerTrainee) -> list[torch.nn.Parameter]:
        """Return all layers above the encoders, those of a folder that is trained further too, as in GLiNER's code."""
        return model.own_parameters()

    def subwords(self, model: GlinerTrainee, backbone: Backbone, settings: TrainSettings) -> SubwordTokenizer:
        """Return what cuts examples as GLiNER reads them, word by word."""
        return self._made[1]

    @property
    def _made(self) -> tuple[GlinerTrainee, PromptedPieces]:
        if self._model is None or self._pieces is None:
            raise TypeError("the model isn't made")
        return self._model, self._pieces

    @property
    def _max_width(self) -> int:
        return self._made[0].gliner.config.max_width

    @property
    def labels(self) -> SpanLabels:
        """Return rows of the table, and where entities begin and end."""
        width = self._max_width
        return SpanLabels(self._table, self._texts, width if width > 1 else 0)

    def facts(self, windows: Windows) -> dict[str, Any]:
        """Return facts for `nerbert tag`, and how many entities are too long to be found; print their number."""
        model, _ = self._made
        config = model.gliner.config
        if not config.two_encoders:
            model.expect_prompts(self._own.max_types, self._prompt_length(windows))
        entities, lost = count_lost(np.asarray(windows.labels))
        if lost and is_first_process():
            tell(f"{lost:,} of {entities:,} entities are lost: they have more than max_width = {config.max_width} "
                 "words, which this model never finds")  # fmt: skip
        return {
            "word_splitter": WORDS, "head": self.head_name, "decoding": "flat", "labels": NORMALISED,
            "architecture": config.architecture, "max_width": config.max_width, "entities": entities, "lost": lost,
        }  # fmt: skip

    def _prompt_length(self, windows: Windows) -> int:
        """Return how many pieces the types of the longest prompt take, among those of some windows."""
        size = self._settings.batch_size
        numbers = np.unique(np.linspace(0, len(windows) - 1, min(len(windows), _SAMPLED), dtype=np.int64))
        steps = (self.begin_step(windows, numbers[start : start + size], 0) for start in range(0, len(numbers), size))
        return max((int(self._sizes[prompt].sum()) for step in steps for prompt in step.prompts.values()), default=0)

    def begin_step(self, windows: Windows, numbers: Array, step: int) -> StepPrompts:
        """Return the types in the prompts of the step's windows, in all processes."""
        if self._maker is None:
            self._maker = self._make_prompts(None if self._finetunes else self._own.negative_ratio)
        return self._step(windows, numbers, self._maker, step)

    def _make_prompts(self, ratio: float | None) -> PromptMaker:
        """Return what makes prompts; those of a fine-tuning may have all of its data's types."""
        (_, pieces), most, seed = self._made, self._own.max_types, self._settings.seed
        always = tuple(self._table.number_of(self._texts[each]) for each in self._types if self._finetunes)
        return PromptMaker(self._table, self._sizes, pieces.room_for_labels, most, ratio, seed, always)

    def _step(self, windows: Windows, numbers: Array, maker: PromptMaker, step: int) -> StepPrompts:
        numbers = np.unique(numbers)
        column, counts = chosen(windows.labels, windows.word_ends, numbers)
        parts = np.split(column, np.cumsum(counts)[:-1])
        held = {number: WindowLabels.of(labels, self._rows)
                for number, labels in zip(numbers.tolist(), parts, strict=True)}  # fmt: skip
        prompts = maker.prompts(held, step)
        used = np.unique(np.concatenate(list(prompts.values()))) if prompts else np.zeros(0, np.int64)
        texts = zip(used.tolist(), self._table.texts_read(used, self._settings.seed, step), strict=True)
        return StepPrompts(held, prompts, used, dict(texts))

    def step_figures(self, shared: StepPrompts) -> dict[str, float]:
        """Return how many types the step asks for, and how many a window, on average."""
        total = sum(map(len, shared.prompts.values()))
        return {"types": float(len(shared.used)), "types_a_window": total / max(1, len(shared.prompts))}

    @contextmanager
    def step_pass(self, model: GlinerTrainee, shared: StepPrompts) -> Iterator[None]:
        """Encode the step's names once, if they have an encoder; take their gradient through it at the end."""
        if model.gliner.labels_body is None or not len(shared.used):
            yield
            return
        texts = [shared.texts[number] for number in shared.used.tolist()]
        with explain_out_of_memory("max_types"), autocast(model.device.type, self._settings.precision):
            groups = [texts[start : start + _NAMES] for start in range(0, len(texts), _NAMES)]
            vectors = torch.cat([model.label_vectors(each) for each in groups])
        with computed_once(vectors) as shared.vectors:
            yield
        shared.vectors = None

    def prepare(self, batch: Batch, step: int, shared: Any = None) -> ZeroShotBatch:
        """Return the batch with each window's prompt before its text."""
        model, _ = self._made
        pieces, numbers = model.loaded.pieces, batch.numbers.tolist()
        asked = tuple(shared.prompts[number] for number in numbers)
        labels = [[EntityLabel(shared.texts[each]) for each in some.tolist()] for some in asked]
        apart = model.gliner.labels_body is not None
        made = with_prompts(batch, [pieces.plain() if apart else pieces.prompt(some) for some in labels], pieces)
        columns = {each.name: getattr(made, each.name) for each in fields(PromptBatch)}
        return ZeroShotBatch(
            **columns, asked=asked, windows=tuple(shared.windows[number] for number in numbers), step=shared
        )

    def terms(self, batch: Batch) -> dict[str, float]:
        """Return the number of words."""
        return {"loss": len(batch.rows)}

    def loss(self, model: GlinerTrainee, batch: ZeroShotBatch) -> dict[str, torch.Tensor]:
        """Return the sum over spans and types of the cross-entropies, computed in fp32."""
        windows = zip(_scores(model, batch), batch.windows, batch.asked, strict=True)
        return {"loss": torch.stack([self._cross_entropy(*each) for each in windows]).sum()}

    def _cross_entropy(self, scores: torch.Tensor, window: WindowLabels, asked: Array) -> torch.Tensor:
        """Return the weighted sum over a window's spans and types."""
        answers = Answers.of(window, self._table, asked, self._max_width, *self._own.weights)
        targets, weights = (torch.from_numpy(each).to(scores.device) for each in (answers.targets, answers.weights))
        scores = scores.masked_fill(weights == 0, 0.0)
        return torch.nn.functional.binary_cross_entropy_with_logits(scores, targets, weights, reduction="sum")

    def score_on(
        self, examples: Sequence[Example], pieces: SubwordTokenizer, settings: TrainSettings, processes: ProcessGroup
    ) -> Callable[[Any], CheckpointScore]:
        """Return F1 on held-out texts, for their own types and others; raise InputError without an entity."""
        own = examples if self._finetunes else list(map(with_gliner_words, examples))
        texts = asked_texts(own, self.labels, self._table, self._make_prompts(None))
        return HeldOutScore(partial(self.open_head, pieces=pieces, settings=self._settings), texts, processes)

    def open_head(self, model: GlinerTrainee, pieces: SubwordTokenizer, settings: TrainSettings) -> GlinerHead:
        """Return the model ready to tag, without labels."""
        scorer = TorchGliner(model.loaded, settings.precision, trains=True)
        tokens = MAX_TOKENS if model.device.type == "cpu" else most_tokens(settings)
        return GlinerHead(scorer, model.loaded.model.config, model.loaded.pieces, normalises=True, quiet=True,
                          max_tokens=tokens)  # fmt: skip


def _scores(model: GlinerTrainee, batch: ZeroShotBatch) -> Iterator[torch.Tensor]:
    """Yield (words, widths, labels) of each window."""
    step = batch.step
    if model.gliner.labels_body is None:
        return model.scores(batch, None)
    vectors = step.vectors if step.vectors is not None else torch.zeros(0, model.gliner.config.hidden_size)
    places = [np.searchsorted(step.used, each) for each in batch.asked]
    return model.scores(batch, [vectors.to(model.device)[torch.from_numpy(each)] for each in places])
