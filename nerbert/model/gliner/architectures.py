"""The architectures of zero-shot models: their part of a configuration, and the layers that score.

Another one is an entry of `ARCHITECTURES`; the package `gliner` can't read its folders.
"""

from typing import Any, ClassVar

from nerbert.errors import InputError, unknown
from nerbert.model.gliner.config import GLINER, TOKEN_LEVEL, GlinerConfig
from nerbert.model.gliner.layers import GlinerModel, SpanModel, TokenModel
from nerbert.registry import ARCHITECTURES

USUAL = "zero_span"
"""The default architecture of a new model."""


class Architecture:
    """An architecture; a subclass is known in folders by its `name`, which `ARCHITECTURES` must know then."""

    name: ClassVar[str]
    two_encoders: ClassVar[bool] = False
    """Whether labels have their own encoder, instead of a place before the text."""
    model: ClassVar[type[GlinerModel]] = SpanModel
    """What computes it."""

    @classmethod
    def config(cls, max_width: int) -> dict[str, Any]:
        """Return its part of a new model's configuration, for entities of at most so many words."""
        return {"architecture": cls.name, "max_width": max_width}


class Zero(Architecture):
    """Labels before the text; single words."""

    name = "zero"

    @classmethod
    def config(cls, max_width: int) -> dict[str, Any]:
        """Return what the configuration of a new model says of it."""
        return {"span_mode": "marker", "max_width": 1}


class ZeroSpan(Architecture):
    """Labels before the text; spans."""

    name = "zero_span"

    @classmethod
    def config(cls, max_width: int) -> dict[str, Any]:
        """Return what the configuration of a new model says of it."""
        return {"span_mode": "markerV0", "max_width": max_width}


class BiEncoder(ZeroSpan):
    """Labels with an encoder of their own; spans."""

    name = "bi_encoder"
    two_encoders = True


def architecture_of(config: GlinerConfig) -> type[Architecture] | None:
    """Return which architecture a model has; None for one that scores words as first, last and inner ones.

    Raise InputError for a name that isn't registered (a folder's name for it imports no code), or that the rest of the
    configuration contradicts.
    """
    name = config.architecture
    if not name:
        usual = Zero if config.max_width == 1 else ZeroSpan
        return None if config.token_level else BiEncoder if config.two_encoders else usual
    if name not in ARCHITECTURES:
        hint = "; import what registers it, or name its head (head, --head)"
        raise InputError(f"architecture {name!r:.80}{unknown(name, [*ARCHITECTURES])}{hint}")
    found = ARCHITECTURES.find(name)
    if config.token_level or found.two_encoders != config.two_encoders:
        other = f"span_mode {TOKEN_LEVEL!r}" if config.token_level else f"labels_encoder {config.labels_encoder!r:.80}"
        raise InputError(f"architecture {name!r:.80}: {GLINER} has {other}, which contradicts it; use the file "
                         "that was written with the weights")  # fmt: skip
    return found


def model_of(config: GlinerConfig) -> type[GlinerModel]:
    """Return what computes a model of this configuration."""
    found = architecture_of(config)
    return found.model if found else TokenModel
