"""What of a GLiNER model becomes ONNX graphs: pieces → parts of words, labels → what they are scored by, both → scores.

Spans are scored by their places, so a graph holds for any number of words, widths and labels.
"""

from typing import Any

import torch
from torch import nn

from nerbert.model.gliner.layers import GlinerModel, Parts


class TextGraph(nn.Module):
    """Pieces of texts → the parts of their words, and the states of their labels' marks if these stand in the text."""

    def __init__(self, model: GlinerModel) -> None:
        super().__init__()
        self.model = model
        self.directions = nn.ModuleList(_directions(model.rnn["lstm"]) if hasattr(model, "rnn") else [])

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, places: torch.Tensor, *marks: torch.Tensor) -> Parts:
        """Return (texts · words, …) parts, and (texts, labels, width) states for `marks` (texts, labels).

        `places` (texts, words, pieces) are those that words are read off; −1: none.
        """
        states = self.model.body(input_ids=ids, attention_mask=mask)[0]
        texts = torch.arange(states.shape[0])[:, None]
        words = self._in_context(self._pooled(states, places), (places[:, :, 0] >= 0).sum(1))
        return (*self.model.parts(words.flatten(0, 1)), *(states[texts, each] for each in marks))

    def _pooled(self, states: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """Return (texts, words, width)."""
        texts, pooling = torch.arange(states.shape[0])[:, None], self.model.config.subtoken_pooling
        if pooling not in ("mean", "max"):
            return self.model.projected(states[texts, places[:, :, 0].clamp(min=0)])
        found, there = self.model.projected(states[texts[..., None], places.clamp(min=0)]), places[..., None] >= 0
        if pooling == "max":
            return found.masked_fill(~there, torch.finfo(found.dtype).min).amax(2)
        return (found * there).sum(2) / there.sum(2).clamp(min=1)

    def _in_context(self, words: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        """Return words after the LSTM, if there is one; its way back begins at each text's last word."""
        texts = torch.arange(words.shape[0])[:, None]
        back = (counts[:, None] - 1 - torch.arange(words.shape[1])).clamp(min=0)
        for one, other in zip(self.directions[::2], self.directions[1::2], strict=True):
            words = torch.cat([one(words)[0], other(words[texts, back])[0][texts, back]], 2)
        return words


def _directions(lstm: Any) -> list[nn.Module]:
    """Return an LSTM's layers as LSTMs of one direction, there and back in turn."""
    found = list[nn.Module]()
    for layer in range(lstm.num_layers):
        for way in ("", "_reverse"):
            weights = {f"{name}_l0": getattr(lstm, f"{name}_l{layer}{way}")
                       for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}  # fmt: skip
            own = nn.LSTM(weights["weight_ih_l0"].shape[1], lstm.hidden_size, batch_first=True)
            own.load_state_dict(weights)
            found.append(own)
    return found


class LabelGraph(nn.Module):
    """States of labels' marks, or the pieces of labels that have their own encoder → what they are scored by."""

    def __init__(self, model: GlinerModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, *label: torch.Tensor) -> Parts:
        """Return (labels, …) of (labels, width) states, or of (labels, pieces) ids and mask."""
        vectors = self.model.projected(*label) if len(label) == 1 else self.model.label_vectors(*label)
        return self.model.prepared(vectors)


class ScoreGraph(nn.Module):
    """Parts of a text's words, the first and last words of spans, and labels → log-odds."""

    def __init__(self, model: Any, parts: int) -> None:
        super().__init__()
        self.model, self._parts = model, parts

    def forward(self, *given: torch.Tensor) -> torch.Tensor | Parts:
        """Return (spans, labels), or (words, labels, 3) at token level; of spans that the model chooses, these too."""
        if self.model.config.chooses:
            chosen: Parts = self.model.chosen(given[: self._parts], given[self._parts :])
            return chosen
        parts, (starts, ends, *labels) = given[: self._parts], given[self._parts :]
        first, last = (tuple(each[places] for each in parts) for places in (starts, ends))
        rows: torch.Tensor = self.model.rows(first, last, tuple(labels))
        return rows


def can_be_graphs(model: GlinerModel) -> bool:
    """Return whether an architecture says how it scores spans one by one, or chooses them."""
    return model.config.chooses or type(model).rows is not GlinerModel.rows
