"""Training to find entities of types given by name, with models of the package `gliner`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import torch
from annotated_types import Interval

from nerbert.config import refuse
from nerbert.encoder.concept_table import ConceptTable
from nerbert.encoder.gliner_training import (
    GlinerTrainee,
    PromptBatch,
    PromptedPieces,
    check_trainable,
    with_gliner_words,
    with_prompts,
)
from nerbert.encoder.objectives.held_out import HeldOutScore, NamedTypes, asked_texts
from nerbert.encoder.objectives.span_labels import PromptMaker, SpanLabels, WindowLabels, count_lost
from nerbert.errors import InputError, SettingsError
from nerbert.model.backbone import Backbone
from nerbert.model.forward import Batch
from nerbert.model.gliner.config import WORDS, Architecture
from nerbert.model.gliner.folder import load_gliner
from nerbert.model.gliner.head import MAX_TOKENS, NORMALISED, GlinerHead
from nerbert.model.gliner.layers import GlinerFolder, TorchGliner
from nerbert.model.gliner.weights import new_gliner
from nerbert.model.surgery import freeze
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.model.windows import Windows
from nerbert.process import is_first_process
from nerbert.records import EntityLabel, Example
from nerbert.rng import Array
from nerbert.terminal import tell
from nerbert.training.batches import most_tokens
from nerbert.training.distributed import ProcessGroup
from nerbert.training.objective import CheckpointScore, Task, Traits
from nerbert.training.settings import Section, TrainSettings

_NAMES = 64
"""Names encoded at once by the encoder of labels."""
_SAMPLED = 1024
"""Maximum number of windows to measure the length of prompts on."""
_USUAL_WIDTH, _USUAL_DROPOUT = 12, 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class ZeroShotSettings(Section):
    """Settings for learning by names of types."""

    section: ClassVar[str] = "zero_shot"
    removed: ClassVar[Mapping[str, str]] = {
        "focal_gamma": "the loss is that of 0, as in GLiNER's public code",
        "labels_backbone": "a bi-encoder's two encoders start from `backbone`",
    }
    max_types: Annotated[int, Interval(ge=1, le=1000)] = 25
    """Maximum number of types in a prompt. Source: GLiNER's public code."""
    positive_weight: Annotated[float, Interval(gt=0, lt=1e6)] = 2.0
    """Weight of positive spans in the loss; that of negative ones is 1. Source: GLiNER's public code of the first
    models."""
    focal_alpha: Annotated[float, Interval(ge=-1, le=1)] = -1.0
    """α: weight of positive spans in the loss, in place of `positive_weight`; that of negative ones is 1 − α. Below 0:
    `positive_weight` applies. Source: Lin et al. 2017; GLiNER's public code has it later (0.75, or -1)."""
    architecture: Architecture | Literal[""] = ""
    """`zero` reads types before the text and finds single words, joined if adjacent; `zero_span` finds spans instead;
    `bi_encoder` encodes types separately, so thousands cost little. Empty: that of the GLiNER folder, else `zero_span`.
    Source: NuNER Zero (Bogdanov et al. 2024); GLiNER (Zaratiana et al. 2024)."""
    max_width: Annotated[int, Interval(ge=0, le=64)] = 0
    """Maximum length of an entity in a new `zero_span` or `bi_encoder`; longer ones are never found; their number is
    printed. 0: that of the GLiNER folder, else 12. Unit: words. Source: GLiNER's public code."""
    negative_ratio: Annotated[float, Interval(ge=0, lt=1e6)] = 1.0
    """Maximum number of absent types in a prompt per entity of the text: the number is drawn between 0 and this.
    Fine-tuning uses all of its types. Source: GLiNER's public code."""
    lstm: bool = False
    """Give a new `zero` or `zero_span` a bidirectional LSTM over the words of the text; a GLiNER folder isn't changed.
    Source: ours; GLiNER's public code has one."""
    dropout: Annotated[float, Interval(ge=-1, lt=1)] = -1.0
    """Dropout of the layers above the encoder. Below 0: that of the GLiNER folder, else 0.1.
    Source: ours, as in BERT; GLiNER's public code has 0.4."""
    descriptions: bool = False
    """Read a type's description, if any, after its name. Source: LitSet (Golde et al. 2024)."""

    @property
    def weights(self) -> tuple[float, float]:
        """Return the weights of positive and of negative spans in the loss."""
        return (self.positive_weight, 1.0) if self.focal_alpha < 0 else (self.focal_alpha, 1 - self.focal_alpha)


@dataclass(slots=True)
class StepPrompts:
    """A step's windows and prompts; `used` are all types, `texts` the names or descriptions read for them.

    `vectors` (used, width) are the types' vectors, if they are encoded separately.
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
    """The objective."""

    head_name: ClassVar[str] = "gliner"
    settings: ClassVar[type[Section]] = ZeroShotSettings
    traits: ClassVar[Traits] = replace(NamedTypes.traits, word_by_word=True)
    learnt: ClassVar[str] = "find entities of types given by name (GLiNER, Zaratiana et al. 2024)"

    def __init__(self, task: Task) -> None:
        self._table: ConceptTable = task.concepts
        self._texts, self._settings, self._types = task.concept_texts, task.settings, task.types
        self._section = task.settings.of(ZeroShotSettings)
        self._finetunes = task.finetunes
        self._rows = list(self._table.rows)

    @classmethod
    def of(cls, task: Task) -> Self:
        """Return the objective for the types of a task; raise SettingsError for settings that contradict each other."""
        settings = task.settings
        refuse(
            settings.num_layers != 0 and bool(task.backbone.objective),
            "num_layers",
            settings.num_layers,
            "0 where the start is a GLiNER folder",
        )
        refuse(settings.on_too_long != "window", "on_too_long", settings.on_too_long, "'window' with 'zero_shot'")
        section = settings.of(ZeroShotSettings)
        if task.finetunes:
            ratio = section.negative_ratio
            refuse(
                ratio != ZeroShotSettings().negative_ratio, "zero_shot.negative_ratio", ratio, "left out in fine-tuning"
            )
        return cls(task)

    def make_model(self, backbone: Backbone) -> GlinerTrainee:
        """Return the model of a GLiNER folder, or a new one on an encoder; raise InputError if a type doesn't fit."""
        settings = self._settings
        loaded = start_model(backbone, settings, finetunes=self._finetunes)
        self._model = model = GlinerTrainee(loaded)
        self._pieces = PromptedPieces(loaded.pieces, model.config, settings.max_length, recut=not self._finetunes)
        # Checked before any step: a type that doesn't fit would fail in the first prompt that has it.
        self._sizes = sizes_of(self._table, loaded, self._pieces.room_for_labels)
        self._maker = self._make_prompts(None if self._finetunes else self._section.negative_ratio)
        return model

    def freeze(self, model: GlinerTrainee, layers: int) -> int:
        """Freeze the lowest layers of the encoders, none by default; all layers of an encoder that has fewer."""
        layers = max(0, layers)
        labels_body = model.gliner.labels_body
        freeze(model.gliner.body, layers)
        if labels_body is not None:
            freeze(labels_body, min(layers, int(labels_body.config.num_hidden_layers)))
        return layers

    def new_parameters(self, model: GlinerTrainee) -> list[torch.nn.Parameter]:
        """Return all layers above the encoders, including those of a GLiNER folder, as in GLiNER's code."""
        return model.own_parameters()

    def subwords(self, model: GlinerTrainee, backbone: Backbone, settings: TrainSettings) -> SubwordTokenizer:
        """Return the tokenizer that cuts examples as GLiNER reads them, word by word."""
        return self._pieces

    @property
    def labels(self) -> SpanLabels:
        """Return the words' labels: rows of the table, and starts and ends of entities."""
        width = self._model.gliner.config.max_width
        return SpanLabels(self._table, self._texts, width if width > 1 else 0)

    def facts(self, windows: Windows) -> dict[str, Any]:
        """Return facts for `nerbert tag`, and the number of entities that are too long to find; print it."""
        config = self._model.gliner.config
        if not config.two_encoders:
            self._model.expect_prompts(self._section.max_types, self._prompt_length(windows))
        entities, lost = count_lost(np.asarray(windows.labels))
        if lost and is_first_process():
            tell(
                f"{lost:,} of {entities:,} entities are lost: they have more than max_width = {config.max_width} "
                "words, which this model never finds"
            )
        return {
            "word_splitter": WORDS,
            "head": self.head_name,
            "decoding": "flat",
            "labels": NORMALISED,
            "architecture": config.architecture,
            "max_width": config.max_width,
            "entities": entities,
            "lost": lost,
        }

    def _prompt_length(self, windows: Windows) -> int:
        """Return the length of the types in the longest prompt of some windows, in subwords."""
        size = self._settings.batch_size
        numbers = np.unique(np.linspace(0, len(windows) - 1, min(len(windows), _SAMPLED), dtype=np.int64))
        steps = (self.begin_step(windows, numbers[start : start + size], 0) for start in range(0, len(numbers), size))
        return max((int(self._sizes[prompt].sum()) for step in steps for prompt in step.prompts.values()), default=0)

    def begin_step(self, windows: Windows, numbers: Array, step: int) -> StepPrompts:
        """Return the types in the prompts of the step's windows in all processes."""
        held = WindowLabels.by_window(windows, numbers, self._rows)
        prompts = self._maker.prompts(held, step)
        used = np.unique(np.concatenate(list(prompts.values()))) if prompts else np.zeros(0, np.int64)
        texts = zip(used.tolist(), self._table.texts_read(used, self._settings.seed, step), strict=True)
        return StepPrompts(held, prompts, used, dict(texts))

    def _make_prompts(self, ratio: float | None) -> PromptMaker:
        """Return a maker of prompts; in fine-tuning they may have all of the data's types."""
        most, seed = self._section.max_types, self._settings.seed
        always = tuple(self._table.number_of(self._texts[type_]) for type_ in self._types if self._finetunes)
        return PromptMaker(self._table, self._sizes, self._pieces.room_for_labels, most, ratio, seed, always)

    def step_figures(self, shared: StepPrompts) -> dict[str, float]:
        """Return the number of types in the step, and the average per window."""
        total = sum(map(len, shared.prompts.values()))
        return {"types": float(len(shared.used)), "types_a_window": total / max(1, len(shared.prompts))}

    def step_pass(self, model: GlinerTrainee, shared: StepPrompts) -> AbstractContextManager[None]:
        """Encode the step's names once, if they have their own encoder; at the end, backpropagate through it once."""
        if model.gliner.labels_body is None or not len(shared.used):
            return nullcontext()
        texts = [shared.texts[number] for number in shared.used.tolist()]
        groups = [texts[start : start + _NAMES] for start in range(0, len(texts), _NAMES)]
        return self._share_vectors(
            shared, model, "max_types", lambda: torch.cat([model.label_vectors(group) for group in groups])
        )

    def prepare(self, batch: Batch, step: int, shared: Any = None) -> ZeroShotBatch:
        """Return the batch with each window's prompt before its text."""
        pieces = self._model.loaded.pieces
        numbers = batch.numbers.tolist()
        asked = tuple(shared.prompts[number] for number in numbers)
        if self._model.gliner.labels_body is not None:
            prompts = [pieces.plain() for _ in asked]
        else:
            prompts = [pieces.prompt([EntityLabel(shared.texts[type_]) for type_ in types.tolist()]) for types in asked]
        windows = tuple(shared.windows[number] for number in numbers)
        return with_prompts(batch, prompts, pieces).extend(ZeroShotBatch, asked=asked, windows=windows, step=shared)

    def terms(self, batch: Batch) -> dict[str, float]:
        """Return the number of words."""
        return {"loss": len(batch.rows)}

    def loss(self, model: GlinerTrainee, batch: ZeroShotBatch) -> dict[str, torch.Tensor]:
        """Return the sum of the cross-entropies over spans and types, computed in fp32."""
        windows = zip(_scores(model, batch), batch.windows, batch.asked, strict=True)
        return {"loss": torch.stack([self._cross_entropy(*window) for window in windows]).sum()}

    def _cross_entropy(self, scores: torch.Tensor, window: WindowLabels, asked: Array) -> torch.Tensor:
        """Return the weighted sum over a window's spans and types."""
        max_width = self._model.gliner.config.max_width
        arrays = window.span_targets(self._table, asked, max_width, self._section.weights)
        targets, weights = (torch.from_numpy(array).to(scores.device) for array in arrays)
        # −inf beyond a text's end times a weight of 0 would be NaN.
        scores = scores.masked_fill(weights == 0, 0.0)
        return torch.nn.functional.binary_cross_entropy_with_logits(scores, targets, weights, reduction="sum")

    def score_on(
        self, examples: Sequence[Example], pieces: SubwordTokenizer, settings: TrainSettings, processes: ProcessGroup
    ) -> Callable[[Any], CheckpointScore]:
        """Return a scorer: F1 on held-out texts, for their own types and others; raise InputError without entities."""
        # Fine-tuning keeps the words of the data, which are those that its entities are scored by.
        examples = examples if self._finetunes else list(map(with_gliner_words, examples))
        texts = asked_texts(examples, self.labels, self._table, self._make_prompts(None))
        return HeldOutScore(partial(self.open_head, pieces=pieces, settings=self._settings), texts, processes)

    def open_head(self, model: GlinerTrainee, pieces: SubwordTokenizer, settings: TrainSettings) -> GlinerHead:
        """Return the model ready to tag, without labels."""
        scorer = TorchGliner(model.loaded, settings.precision, trains=True)
        tokens = MAX_TOKENS if model.device.type == "cpu" else most_tokens(settings)
        return GlinerHead(
            scorer, model.loaded.model.config, model.loaded.pieces, normalises=True, quiet=True, max_tokens=tokens
        )


def _scores(model: GlinerTrainee, batch: ZeroShotBatch) -> Iterator[torch.Tensor]:
    """Yield the scores of each window, (words, widths, labels)."""
    step = batch.step
    if model.gliner.labels_body is None:
        return model.scores(batch, None)
    vectors = step.vectors if step.vectors is not None else torch.zeros(0, model.gliner.config.hidden_size)
    indices = (torch.from_numpy(np.searchsorted(step.used, types)) for types in batch.asked)
    return model.scores(batch, [vectors.to(model.device)[rows] for rows in indices])


def start_model(backbone: Backbone, settings: TrainSettings, *, finetunes: bool) -> GlinerFolder:
    """Return the model of a GLiNER folder, or a new one; raise SettingsError for unsuitable settings or start."""
    source = backbone.source
    section = settings.of(ZeroShotSettings)
    if backbone.objective == "zero_shot":
        loaded = load_gliner(Path(source))
        check_trainable(loaded.model.config, source)
        _check_architecture(loaded, section, source)
        loaded.model.requires_grad_(True)
        return loaded
    if finetunes:
        why = "setting objective = 'zero_shot': continues a GLiNER folder; make one with `nerbert pretrain`"
        raise SettingsError(f"{why}, this is none: {source}", setting="objective")
    refuse(section.max_width == 1, "zero_shot.max_width", 1, "at least 2; architecture = 'zero' scores single words")
    labels = backbone if section.architecture == "bi_encoder" else None
    return new_gliner(
        backbone,
        labels,
        architecture=section.architecture or "zero_span",
        max_width=section.max_width or _USUAL_WIDTH,
        max_len=settings.max_length,
        max_types=section.max_types,
        lstm=section.lstm,
        dropout=_USUAL_DROPOUT if section.dropout < 0 else section.dropout,
    )


def sizes_of(table: ConceptTable, loaded: GlinerFolder, room: int) -> Array:
    """Return (concepts,): the maximum subwords of each before a text; raise InputError for one that doesn't fit."""
    texts = [table.texts_of(number) for number in range(len(table.concepts))]
    flat = list(chain.from_iterable(texts))
    if loaded.labels_pieces is not None:
        # Labels of their own encoder take no room before a text; each must only fit alone.
        loaded.labels_pieces.alone(flat)
        return np.zeros(len(texts), np.int64)
    starts = np.cumsum([0, *map(len, texts[:-1])])
    sizes = np.maximum.reduceat(np.array(loaded.pieces.sizes(flat), np.int64), starts) if texts else np.zeros(0, int)
    if len(sizes) and sizes.max() > room:
        largest = table.concepts[int(sizes.argmax())]
        verb = "with its description takes" if largest.description else "takes"
        remedy = "shorten it, or leave zero_shot.descriptions out" if largest.description else "shorten it"
        raise InputError(
            f"type {largest.name!r:.80}: {verb} {int(sizes.max()):,} subwords, and a prompt beside a "
            f"text has room for {room:,}; {remedy}, or use a smaller max_length"
        )
    return sizes


def _check_architecture(loaded: GlinerFolder, settings: ZeroShotSettings, source: str) -> None:
    """Raise SettingsError for settings that contradict the folder's architecture."""
    config, architecture = loaded.model.config, settings.architecture
    actual, width = config.architecture, config.max_width
    refuse(
        architecture not in ("", actual),
        "zero_shot.architecture",
        architecture,
        f"{actual!r}, or left out: {source} is one",
    )
    refuse(
        settings.max_width not in (0, width),
        "zero_shot.max_width",
        settings.max_width,
        f"{width}, or left out: that is what {source} has",
    )
    refuse(
        settings.lstm and not config.two_encoders and not hasattr(loaded.model, "rnn"),
        "zero_shot.lstm",
        settings.lstm,
        f"left out: {source} has none",
    )
    refuse(
        0 <= settings.dropout != config.dropout,
        "zero_shot.dropout",
        settings.dropout,
        f"{config.dropout}, or left out: that is what {source} has",
    )
