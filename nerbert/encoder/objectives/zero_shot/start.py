"""The start of a zero-shot tagger's training, checked: a GLiNER folder, or a new model on an encoder.

A folder keeps its architecture where settings have their defaults. A type that leaves no room for a text is refused
before the training: later it would silently be cut out of every prompt.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np

from nerbert.config import Bounds, Section, refuse
from nerbert.errors import InputError, SettingsError, at
from nerbert.model.backbone import Backbone
from nerbert.model.concept_table import ConceptTable
from nerbert.model.gliner.config import Architecture
from nerbert.model.gliner.folder import GlinerFolder, load_gliner, new_gliner
from nerbert.model.gliner.trainee import check_trainable
from nerbert.rng import Array
from nerbert.training.settings import TrainSettings

_USUAL_WIDTH, _USUAL_DROPOUT = 12, 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class ZeroShotSettings(Section):
    """Settings of learning by names of types."""

    section: ClassVar[str] = "zero_shot"
    removed: ClassVar[Mapping[str, str]] = {"focal_gamma": "the loss is that of 0, as in GLiNER's public code"}
    models: ClassVar[tuple[str, ...]] = ("labels_backbone",)
    max_types: Annotated[int, Bounds(at_least=1, at_most=1000)] = 25
    """Most types in a prompt. Source: GLiNER's public code."""
    positive_weight: Annotated[float, Bounds(above=0, below=1e6)] = 2.0
    """Weight of positive spans in the loss; that of negative ones is 1. Source: GLiNER's public code of the first
    models."""
    focal_alpha: Annotated[float, Bounds(at_least=-1, at_most=1)] = -1.0
    """α: weight of positive spans in the loss, in place of `positive_weight`; that of negative ones is 1 − α. Below 0:
    `positive_weight` applies. Source: Lin et al. 2017; GLiNER's public code has it later (0.75, or -1)."""
    architecture: Architecture | Literal[""] = ""
    """`zero` reads types before the text and finds single words, joined where adjacent; `zero_span` the same with
    spans; `bi_encoder` encodes types separately, so thousands cost little. Empty: that of the GLiNER folder, else
    `zero_span`. Source: NuNER Zero (Bogdanov et al. 2024); GLiNER (Zaratiana et al. 2024)."""
    max_width: Annotated[int, Bounds(at_least=0, at_most=64)] = 0
    """Longest entity of a new `zero_span` or `bi_encoder`; longer ones are never found; their number is printed. 0:
    that of the GLiNER folder, else 12. Unit: words. Source: GLiNER's public code."""
    negative_ratio: Annotated[float, Bounds(at_least=0, below=1e6)] = 1.0
    """Most absent types in a prompt for each entity of the text: a number is drawn between 0 and this. A fine-tuning
    uses all of its types. Source: GLiNER's public code."""
    lstm: bool = False
    """Whether a new `zero` or `zero_span` has a bidirectional LSTM over the words of the text; a GLiNER folder keeps
    its own. Source: ours; GLiNER's public code has one."""
    dropout: Annotated[float, Bounds(at_least=-1, below=1)] = -1.0
    """Share of the units of the layers above the encoder that drop out. Below 0: that of the GLiNER folder, else 0.1.
    Source: ours, as in BERT; GLiNER's public code has 0.4."""
    labels_backbone: str = ""
    """With a `bi_encoder`: encoder of names to start from: a folder, a name on the hub or `embedded`; empty: the
    backbone. Source: ours."""
    descriptions: bool = False
    """Whether to read a type's description, if any, after its name. Source: LitSet (Golde et al. 2024)."""

    @property
    def weights(self) -> tuple[float, float]:
        """Return the weights of positive and of negative spans in the loss."""
        return (self.positive_weight, 1.0) if self.focal_alpha < 0 else (self.focal_alpha, 1 - self.focal_alpha)


def start_model(
    backbone: Backbone, labels: Backbone | None, settings: TrainSettings, *, finetunes: bool
) -> GlinerFolder:
    """Return the model of a GLiNER folder, or a new one; raise SettingsError for settings or a start that don't fit."""
    source, own = backbone.source, settings.of(ZeroShotSettings)
    if backbone.objective == "zero_shot":
        loaded = load_gliner(Path(source))
        check_trainable(loaded.model.config, source)
        _check_architecture(loaded, own, source)
        loaded.model.requires_grad_(True)
        return loaded
    if finetunes:
        why = "setting objective = 'zero_shot': continues a GLiNER folder; make one with `nerbert pretrain`"
        raise SettingsError(f"{why}, this is none: {source}", setting="objective")
    refuse(own.max_width == 1, "zero_shot.max_width", 1, "at least 2; architecture = 'zero' scores single words")
    refuse(own.lstm and labels is not None, "zero_shot.lstm", own.lstm, "left out with two encoders, which have none")
    return new_gliner(backbone, labels, architecture=own.architecture or "zero_span",
                      max_width=own.max_width or _USUAL_WIDTH, max_len=settings.max_length,
                      max_types=own.max_types, lstm=own.lstm,
                      dropout=_USUAL_DROPOUT if own.dropout < 0 else own.dropout)  # fmt: skip


def labels_backbone(settings: TrainSettings, backbone: Backbone) -> Backbone | None:
    """Return what an encoder of labels starts from; None if there is none."""
    own = settings.of(ZeroShotSettings)
    apart, source = own.architecture == "bi_encoder", own.labels_backbone
    refuse(bool(source) and not apart, "zero_shot.labels_backbone", source,
           "left out unless architecture = 'bi_encoder', which alone has an encoder of labels")  # fmt: skip
    if not apart or not source:
        return backbone if apart else None
    with at(setting="setting zero_shot.labels_backbone"):
        return Backbone.of(source, settings.seed)


def sizes_of(table: ConceptTable, loaded: GlinerFolder, room: int) -> Array:
    """Return (concepts,): the pieces that each takes before a text, at most; raise InputError for one without room."""
    texts = [table.texts_of(number) for number in range(len(table.concepts))]
    every = [text for some in texts for text in some]
    if loaded.labels_pieces is not None:
        loaded.labels_pieces.alone(every)
        return np.zeros(len(texts), np.int64)
    starts = np.cumsum([0, *map(len, texts[:-1])])
    sizes = np.maximum.reduceat(np.array(loaded.pieces.sizes(every), np.int64), starts) if texts else np.zeros(0, int)
    if len(sizes) and sizes.max() > room:
        largest = table.concepts[int(sizes.argmax())]
        what = "with its description takes" if largest.description else "takes"
        remedy = "shorten it, or leave zero_shot.descriptions out" if largest.description else "shorten it"
        raise InputError(f"type {largest.name!r:.80}: {what} {int(sizes.max()):,} subwords, and a prompt beside a "
                         f"text has room for {room:,}; {remedy}, or use a smaller max_length")  # fmt: skip
    return sizes


def _check_architecture(loaded: GlinerFolder, settings: ZeroShotSettings, source: str) -> None:
    """Raise SettingsError for settings that say another architecture than the folder's."""
    config, wanted = loaded.model.config, settings.architecture
    own, width = config.architecture, config.max_width
    refuse(wanted not in ("", own), "zero_shot.architecture", wanted, f"{own!r}, or left out: {source} is one")
    refuse(settings.max_width not in (0, width), "zero_shot.max_width", settings.max_width,
           f"{width}, or left out: that is what {source} has")  # fmt: skip
    refuse(settings.lstm and not loaded.model.has_lstm, "zero_shot.lstm", settings.lstm,
           f"left out: {source} has none")  # fmt: skip
    refuse(0 <= settings.dropout != config.dropout, "zero_shot.dropout", settings.dropout,
           f"{config.dropout}, or left out: that is what {source} has")  # fmt: skip
