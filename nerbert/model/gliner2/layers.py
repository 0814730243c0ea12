"""GLiNER2's layers for entities: GLiNER's spans, and labels' vectors for the first of a text's instances.

A text has as many instances as the state of its prompt's mark predicts; without any it has no entities. The first one's
vectors don't depend on how many follow, so one step of the recurrent layer suffices.
"""

from itertools import pairwise
from typing import Any

import torch
from torch import nn

from nerbert.model.gliner.layers import Parts, SpanModel
from nerbert.model.gliner2.config import COUNTING, Gliner2Config

_COUNTS = 20
"""Instances that can be told apart, none included."""
_INNER, _HEADS = 128, 4
"""The width in which `count_lstm_v2` compares labels, and in how many parts."""


def _layers(*widths: int) -> nn.Sequential:
    """Return linear layers with ReLU between them."""
    layers = list[nn.Module]()
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class CountedLabels(nn.Module):
    """Labels' vectors for the first instance; a subclass has the layers above the recurrent one."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.pos_embedding, self.gru = nn.Embedding(_COUNTS, width), nn.GRU(width, width)

    def forward(self, labels: torch.Tensor) -> torch.Tensor:
        """Return (labels, width) vectors from (labels, width) states."""
        first = self.pos_embedding.weight[:1].expand(1, *labels.shape)
        return self.above(self.gru(first.contiguous(), labels[None].contiguous())[0][0], labels)

    def above(self, states: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the vectors from what the recurrent layer gives, and labels' states."""
        raise NotImplementedError


class ProjectedLabels(CountedLabels):
    """`count_lstm`: each label by itself."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.projector = _layers(2 * width, 4 * width, width)

    def above(self, states: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the vectors of each label by itself."""
        projected: torch.Tensor = self.projector(torch.cat([states, labels], 1))
        return projected


class ComparedLabels(CountedLabels):
    """`count_lstm_v2`: labels attend to each other, so a label's vector depends on those it is asked with."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        layer = nn.TransformerEncoderLayer(_INNER, _HEADS, 2 * _INNER, batch_first=True)
        self.transformer = nn.ModuleDict({
            "in_projector": nn.Linear(width, _INNER), "transformer": nn.TransformerEncoder(layer, 2),
            "out_projector": _layers(_INNER + width, width, width, width),
        })  # fmt: skip

    def above(self, states: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the vectors of labels that are compared."""
        parts: Any = self.transformer
        inputs = states + labels
        compared = parts["in_projector"](inputs)
        for layer in parts["transformer"].layers:
            compared = _attend(layer, compared)
        projected: torch.Tensor = parts["out_projector"](torch.cat([compared, inputs], 1))
        return projected


def _attend(layer: Any, labels: torch.Tensor) -> torch.Tensor:
    """Return (labels, width) after a transformer layer, by operations that can be in a graph for any number of them."""
    attention = layer.self_attn
    mixed = nn.functional.linear(labels, attention.in_proj_weight, attention.in_proj_bias)
    query, key, value = (part.view(-1, _HEADS, _INNER // _HEADS).transpose(0, 1) for part in mixed.chunk(3, 1))
    context = nn.functional.scaled_dot_product_attention(query, key, value).transpose(0, 1).reshape(-1, _INNER)
    labels = layer.norm1(labels + attention.out_proj(context))
    output: torch.Tensor = layer.norm2(labels + layer.linear2(layer.linear1(labels).relu()))
    return output


class MixedLabels(CountedLabels):
    """`count_lstm_moe`: each label by four experts, mixed by a router."""

    def __init__(self, width: int, experts: int = 4) -> None:
        super().__init__(width)
        self.w1, self.b1 = _empty(experts, width, 2 * width), _empty(experts, 2 * width)
        self.w2, self.b2 = _empty(experts, 2 * width, width), _empty(experts, width)
        self.router = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, experts), nn.Softmax(-1))

    def above(self, states: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the mixture of what the experts say."""
        inner = nn.functional.gelu(states @ self.w1 + self.b1[:, None])
        outputs = inner @ self.w2 + self.b2[:, None]
        return torch.einsum("le,elw->lw", self.router(states), outputs)


def _empty(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.zeros(shape))


_COUNTED = dict(zip(COUNTING, (ProjectedLabels, ComparedLabels, MixedLabels), strict=True))


class CountedSpans(SpanModel):
    """The architecture `span`; the first of the states that it takes for labels is that of the prompt's mark."""

    def __init__(self, config: Gliner2Config, body: Any, labels_body: Any = None) -> None:
        super().__init__(config, body, labels_body)
        width = config.hidden_size
        self.prompt_rep_layer = _COUNTED[config.counting_layer](width)
        self.count_pred = _layers(width, 2 * width, _COUNTS)

    def prepare_labels(self, labels: torch.Tensor) -> Parts:
        """Return labels' vectors, from (1 + labels, width), as `scores` takes them: no span is any where none is."""
        vectors, added = super().prepare_labels(labels[1:])
        none = self.count_pred(labels[0]).argmax() == 0
        return vectors, added.masked_fill(none, -torch.inf)
