"""Forward passes without padding: windows end to end, attention within each, by the attention interface of
`transformers`.

Attention alone lays the pieces out in rows again, so it works on every device, in every precision, with dropout and
with ModernBERT's local layers. It costs little where windows are sentences; a kernel for rows of unequal length would
save more where they are long.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import local
from typing import Any
from weakref import WeakKeyDictionary

import torch

from nerbert.model.tokenizer import first_position

_NAME = "nerbert_packed"
_CLOSE = 1e-4
"""Largest difference of states, in fp32, between a packed and a padded pass of the trial."""


@dataclass(frozen=True, slots=True)
class Packing:
    """Where the pieces of some windows lie: `mask` is (windows, pieces), `places` (real pieces,) those in it, flat."""

    mask: torch.Tensor
    places: torch.Tensor

    @classmethod
    def of(cls, mask: torch.Tensor, places: torch.Tensor | None = None) -> "Packing":
        """Return that of a mask; on a GPU this waits for the device unless `places` are given."""
        return cls(mask.bool(), mask.flatten().nonzero().squeeze(1) if places is None else places)

    def packed(self, rows: torch.Tensor) -> torch.Tensor:
        """Return (real pieces, …) of (windows, pieces, …)."""
        return rows.flatten(0, 1).index_select(0, self.places)

    def rows(self, packed: torch.Tensor) -> torch.Tensor:
        """Return (windows, pieces, …) of (real pieces, …), 0 at the padding."""
        flat = packed.new_zeros((self.mask.numel(), *packed.shape[1:]))
        return flat.index_copy(0, self.places, packed).view(*self.mask.shape, *packed.shape[1:])

    def at(self, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
        """Return (terms,): the places among the real pieces of what lies in some rows and columns."""
        lengths = self.mask.sum(1)
        return (lengths.cumsum(0) - lengths)[rows] + columns


_FIRST: "WeakKeyDictionary[Any, int]" = WeakKeyDictionary()
"""For each encoder that is packed its first position's number."""
_NOW = local()
"""The packing of this thread's forward pass."""


@contextmanager
def packing(model: Any) -> Iterator[bool]:
    """Pack a model's passes within the context; yield whether it can be: where a trial gives the padded pass's states.

    What its attention can't leave out, or can't be told of, stays padded.
    """
    body = getattr(model, "base_model", model)
    before = getattr(getattr(body, "config", None), "_attn_implementation", None)
    try:
        yield before is not None and _can_pack(body)
    finally:
        _FIRST.pop(body, None)
        if before is not None:
            _attend_by(body, before)


def _can_pack(body: Any) -> bool:
    """Switch an encoder to packed attention, and return whether a trial fits."""
    _register()
    vocabulary = len(body.get_input_embeddings().weight)
    ids = ((torch.arange(10, device=body.device) + int(body.config.pad_token_id or 0) + 1) % vocabulary).view(2, 5)
    mask = torch.ones_like(ids)
    mask[0, 3:] = 0
    training = body.training
    body.eval()
    try:
        with torch.no_grad():
            wanted = Packing.of(mask).packed(body(input_ids=ids, attention_mask=mask)[0])
            _attend_by(body, _NAME)
            _FIRST[body] = first_position(body.config)
            found = Packing.of(mask).packed(hidden_states(body, ids, mask))
    except (TypeError, ValueError, RuntimeError, AttributeError, KeyError):  # an encoder with other inputs
        fits = False
    else:
        fits = bool((wanted - found).abs().max() < _CLOSE)
    body.train(training)
    if not fits:
        _FIRST.pop(body, None)
    return fits


@contextmanager
def passing(model: Any, ids: torch.Tensor, packed: Packing) -> Iterator[Mapping[str, torch.Tensor] | None]:
    """Yield the inputs of a packed pass, to be made within the context; None for a model that isn't packed."""
    first = _FIRST.get(getattr(model, "base_model", model))
    if first is None:
        yield None
        return
    positions = torch.arange(first, first + ids.shape[1], device=ids.device).expand_as(ids)
    _NOW.packing = packed
    try:
        yield {"input_ids": packed.packed(ids)[None], "position_ids": packed.packed(positions)[None]}
    finally:
        _NOW.packing = None


def hidden_states(body: Any, ids: torch.Tensor, mask: torch.Tensor, places: torch.Tensor | None = None) -> torch.Tensor:
    """Return (windows, pieces, width): an encoder's last states; what they are at the padding means nothing."""
    packed = Packing.of(mask, places)
    with passing(body, ids, packed) as inputs:
        states: torch.Tensor = body(**inputs or {"input_ids": ids, "attention_mask": mask})[0]
        return packed.rows(states[0]) if inputs else states


def _attend_by(body: Any, name: str) -> None:
    from nerbert.model.backbone import quiet

    with quiet():  # what can't be switched says so, and the trial finds it
        body.set_attn_implementation(name)


def _register() -> None:
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(_NAME, _attend)
    AttentionMaskInterface.register(_NAME, _mask)


def _mask(*given: Any, **named: Any) -> Any:
    from transformers.masking_utils import sdpa_mask

    return sdpa_mask(*given, **named) if getattr(_NOW, "packing", None) is None else None


def _attend(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: Any, **named: Any
) -> Any:
    """Attend as SDPA does, in a packed pass within each window: (1, heads, real pieces, width) goes through rows."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    now: Packing | None = getattr(_NOW, "packing", None)
    if now is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **named)
    rows = [now.rows(each[0].transpose(0, 1)).transpose(1, 2) for each in (query, key, value)]
    seen = now.mask[:, None, None, :]
    if reach := named.pop("sliding_window", None):
        at = torch.arange(now.mask.shape[1], device=query.device)
        seen = seen & ((at[:, None] - at).abs() < reach)
    found, _ = sdpa_attention_forward(module, *rows, seen, **named | {"is_causal": False})
    return now.packed(found)[None], None
