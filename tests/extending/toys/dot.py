"""A zero-shot architecture of its own, in one file: a word is of a label as far as their vectors point the same way."""

import math
from typing import Any

import torch

from nerbert.model.gliner.architectures import Architecture
from nerbert.model.gliner.config import GlinerConfig
from nerbert.model.gliner.layers import GlinerModel, Parts
from nerbert.registry import ARCHITECTURES
from nerbert.tagger.gliner_backends import GlinerHeadKind


class DotModel(GlinerModel):
    """Products of the vectors of words and labels, each after a layer of its own."""

    def __init__(self, config: GlinerConfig, body: Any, labels_body: Any = None) -> None:
        super().__init__(config, body, labels_body)
        self.words = torch.nn.Linear(config.hidden_size, config.hidden_size)
        self.labels = torch.nn.Linear(config.hidden_size, config.hidden_size)
        self.odds = torch.nn.Parameter(torch.zeros(1))

    def prepared(self, labels: torch.Tensor) -> Parts:
        return (self.labels(labels),)

    def parts(self, words: torch.Tensor) -> Parts:
        return (self.words(words) / math.sqrt(self.config.hidden_size),)

    def rows(self, first: Parts, last: Parts, labels: Parts) -> torch.Tensor:
        """Return (words, labels)."""
        return first[0] @ labels[0].T + self.odds

    def expect(self, probability: float) -> None:
        torch.nn.init.constant_(self.odds, math.log(probability / (1 - probability)))


class Dot(Architecture):
    """Labels before the text; single words."""

    name = "dot"
    model = DotModel

    @classmethod
    def config(cls, max_width: int) -> dict[str, Any]:
        return {"architecture": cls.name, "max_width": 1}


class DotKind(GlinerHeadKind):
    """The head of its taggers: that of GLiNER; naming it, or `Dot`, imports this file."""


ARCHITECTURES.register(Dot.name, Dot)
