"""What a training of a zero-shot tagger starts from, checked: a GLiNER folder, or a new model on an encoder.

A folder keeps its architecture, whatever the settings leave at their defaults. A type that leaves no room for a text is
refused before the training, by its name: later it would be cut out of every prompt in silence.
"""

from pathlib import Path

import numpy as np

from nerbert.config import refuse
from nerbert.errors import InputError, SettingsError, at
from nerbert.model.backbone import Backbone
from nerbert.model.concept_encoder import ConceptTable
from nerbert.model.gliner.architectures import USUAL, architecture_of
from nerbert.model.gliner.folder import GlinerFolder, load_gliner
from nerbert.model.gliner.fresh import new_gliner
from nerbert.model.gliner.trainee import check_trainable
from nerbert.registry import ARCHITECTURES
from nerbert.rng import Array
from nerbert.training.settings import PretrainSettings, TrainSettings

_USUAL_WIDTH = 12


def start_model(backbone: Backbone, labels: Backbone | None, settings: TrainSettings) -> GlinerFolder:
    """Return the model of a GLiNER folder, or a new one, whose encoder of labels starts from `labels`.

    Raise SettingsError for settings that don't fit the folder, and for a start that is none.
    """
    source = backbone.source
    if backbone.objective == "zero_shot":
        loaded = load_gliner(Path(source))
        check_trainable(loaded.model.config, source)
        if isinstance(settings, PretrainSettings):
            _check_architecture(loaded, settings, source)
        loaded.model.requires_grad_(True)
        return loaded
    if isinstance(settings, PretrainSettings):
        refuse(settings.max_width == 1, "max_width", 1, "at least 2; architecture = 'zero' scores single words")
        return new_gliner(backbone, labels, architecture=ARCHITECTURES.find(settings.architecture or USUAL),
                          max_width=settings.max_width or _USUAL_WIDTH, max_len=settings.max_length,
                          max_types=settings.max_types)  # fmt: skip
    why = "setting objective = 'zero_shot': goes on with a GLiNER folder; make one with `nerbert pretrain`"
    raise SettingsError(f"{why}, this is none: {source}", setting="objective")


def labels_backbone(settings: PretrainSettings, backbone: Backbone) -> Backbone | None:
    """Return what an encoder of labels starts from; None if there is none."""
    apart = ARCHITECTURES.find(settings.architecture or USUAL).two_encoders
    refuse(bool(settings.concept_backbone) and not apart, "concept_backbone", settings.concept_backbone,
           "left out unless architecture = 'bi_encoder', which alone has an encoder of labels")  # fmt: skip
    if not apart or not settings.concept_backbone:
        return backbone if apart else None
    with at(setting="setting concept_backbone"):
        return Backbone.of(settings.concept_backbone, settings.seed)


def sizes_of(table: ConceptTable, loaded: GlinerFolder, room: int) -> Array:
    """Return (concepts,): the pieces that each takes before a text; raise InputError for one without room."""
    texts = [each.text for each in table.concepts]
    if loaded.labels_pieces is not None:
        loaded.labels_pieces.alone(texts)
        return np.zeros(len(texts), np.int64)
    sizes = np.array(loaded.pieces.sizes(texts), np.int64)
    if len(sizes) and sizes.max() > room:
        largest = table.concepts[int(sizes.argmax())]
        what = "with its description takes" if largest.description else "takes"
        remedy = "shorten it, or leave concept_descriptions out" if largest.description else "shorten it"
        raise InputError(f"type {largest.name!r:.80}: {what} {int(sizes.max()):,} subwords, and a prompt beside a "
                         f"text has room for {room:,}; {remedy}, or take a smaller max_length")  # fmt: skip
    return sizes


def _check_architecture(loaded: GlinerFolder, settings: PretrainSettings, source: str) -> None:
    """Raise SettingsError for settings that say another architecture than the folder's."""
    own, width, wanted = architecture_of(loaded.model.config), loaded.model.config.max_width, settings.architecture
    refuse(bool(wanted) and ARCHITECTURES.find(wanted) is not own, "architecture", wanted,
           f"{own.name if own else ''!r}, or left out: {source} is one")  # fmt: skip
    refuse(settings.max_width not in (0, width), "max_width", settings.max_width,
           f"{width}, or left out: that is what {source} has")  # fmt: skip
