"""What a DeBERTa makes of relative positions alone, computed once: on a CPU it costs as much as 85 pieces a batch."""

from typing import Any

import torch
from torch import nn

_MARK = "nerbert_positions"


class _Remembered:
    """The table of positions, and what projections made of it, by precision."""

    def __init__(self, encoder: Any) -> None:
        self._make, self.table = encoder.get_rel_embedding, torch.empty(0)
        self.known: dict[tuple[int, bool], torch.Tensor] = {}
        self.weight: nn.Parameter = encoder.rel_embeddings.weight

    def __call__(self) -> torch.Tensor:
        """Return the table, on the device where the model is now."""
        if not self.table.numel() or self.table.device != self.weight.device:
            self.table = self._make()
            self.known.clear()
        return self.table


def remember_positions(body: Any) -> None:
    """Let an encoder that is no longer trained look up what it makes of positions; others are left as they are."""
    encoder: Any = getattr(body, "encoder", None)
    if not getattr(encoder, "relative_attention", False) or hasattr(encoder, _MARK) or body.training:
        return
    table = _Remembered(encoder)
    setattr(encoder, _MARK, True)
    encoder.get_rel_embedding = table
    for module in encoder.modules():
        for name in ("query_proj", "key_proj", "pos_key_proj", "pos_query_proj"):
            if isinstance(layer := getattr(module, name, None), nn.Linear):
                layer.forward = _looking_up(layer, table)  # type: ignore[method-assign]


def _looking_up(layer: nn.Linear, table: _Remembered) -> Any:
    def forward(states: torch.Tensor) -> torch.Tensor:
        if not table.table.numel() or states.data_ptr() != table.table.data_ptr():
            return nn.functional.linear(states, layer.weight, layer.bias)
        key = id(layer), torch.is_autocast_enabled(states.device.type)
        if (found := table.known.get(key)) is None:  # another thread may empty it at any time
            found = table.known[key] = nn.functional.linear(states, layer.weight, layer.bias)
        return found

    return forward
