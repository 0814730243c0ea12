"""Forward passes without padding: windows end to end, attention within each, by `transformers`' attention interface.

On a GPU in 16 bits, torch's flash attention reads rows of unequal length. Elsewhere attention alone lays the pieces out
in rows again. Both work with dropout and with ModernBERT's local layers.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from threading import local
from typing import Any
from weakref import WeakKeyDictionary

import torch

from nerbert.model.backbone import quiet
from nerbert.model.tokenizer import first_position

_NAME = "nerbert_packed"
_CLOSE = 1e-4
"""Largest difference of states between a packed and a padded pass of the trial, in fp32, as a share of the largest."""
_LENGTHS = (40, 200)
"""Pieces of the trial's windows, where the encoder has so many positions: more than a local layer sees."""


@dataclass(frozen=True)
class Packing:
    """Where the pieces of some windows lie: `mask` is (windows, pieces), `places` (real pieces,) those in it, flat."""

    mask: torch.Tensor
    places: torch.Tensor

    @classmethod
    def of(cls, mask: torch.Tensor, places: torch.Tensor | None = None) -> "Packing":
        """Return that of a mask; on a GPU this waits for the device unless `places` are given."""
        return cls(mask.bool(), mask.flatten().nonzero().squeeze(1) if places is None else places)

    @cached_property
    def offsets(self) -> torch.Tensor:
        """Return (windows + 1,) int32: the places among the real pieces where windows begin, and their number."""
        return torch.nn.functional.pad(self.mask.sum(1).cumsum(0), (1, 0)).int()

    def pack(self, rows: torch.Tensor) -> torch.Tensor:
        """Return (real pieces, …) of (windows, pieces, …)."""
        return rows.flatten(0, 1).index_select(0, self.places)

    def rows(self, packed: torch.Tensor) -> torch.Tensor:
        """Return (windows, pieces, …) of (real pieces, …), 0 at the padding."""
        flat = packed.new_zeros((self.mask.numel(), *packed.shape[1:]))
        return flat.index_copy(0, self.places, packed).view(*self.mask.shape, *packed.shape[1:])


_FIRST: "WeakKeyDictionary[Any, int]" = WeakKeyDictionary()
"""For each encoder that is packed its first position's number."""
_NOW = local()
"""The packing of this thread's forward pass."""


@contextmanager
def pack_passes(model: Any) -> Iterator[bool]:
    """Pack a model's passes within the context; yield whether it can be: where a trial gives the padded pass's states.

    What its attention can't leave out, or can't be told of, stays padded.
    """
    body = getattr(model, "base_model", model)
    before = getattr(getattr(body, "config", None), "_attn_implementation", None)
    try:
        packs = before is not None and _can_pack(body)
        if not packs:
            _unpack(body, before)
        yield packs
    finally:
        _unpack(body, before)


def _unpack(body: Any, before: str | None) -> None:
    """Let an encoder attend as it did before, if it had a choice."""
    _FIRST.pop(body, None)
    if before is not None:
        _attend_by(body, before)


def _can_pack(body: Any) -> bool:
    """Switch an encoder to packed attention, and return whether a trial fits."""
    from transformers import AttentionInterface, AttentionMaskInterface

    apart: Any = torch.compiler.disable  # a compiled layer would be compiled anew for each packing
    AttentionInterface.register(_NAME, apart(_attend))
    AttentionMaskInterface.register(_NAME, _mask)
    vocabulary = len(body.get_input_embeddings().weight)
    first = first_position(body.config)
    room = int(getattr(body.config, "max_position_embeddings", 0) or _LENGTHS[1]) - first
    short, long = min(_LENGTHS[0], room // 2), min(_LENGTHS[1], room)
    ids = torch.arange(2 * long, device=body.device).view(2, long) % (vocabulary - 1)
    ids, mask = ids + (ids >= int(body.config.pad_token_id or 0)), torch.ones_like(ids)  # no padding piece
    mask[0, short:] = 0
    training = body.training
    body.eval()
    try:
        with torch.no_grad():
            expected = Packing.of(mask).pack(body(input_ids=ids, attention_mask=mask)[0])
            _attend_by(body, _NAME)
            _FIRST[body] = first
            states = Packing.of(mask).pack(hidden_states(body, ids, mask))
    except (TypeError, ValueError, RuntimeError, AttributeError, LookupError, AssertionError, ImportError):
        fits = False  # an encoder with other inputs
    else:
        fits = bool((expected - states).abs().max() < _CLOSE * expected.abs().max())
    body.train(training)
    return fits


@contextmanager
def prepare_pass(
    model: Any, ids: torch.Tensor, mask: torch.Tensor, packed: Packing
) -> Iterator[tuple[Mapping[str, torch.Tensor], bool]]:
    """Yield the inputs of a pass, to be made within the context, and whether it is packed, as the model may be."""
    first = _FIRST.get(getattr(model, "base_model", model))
    if first is None:
        yield {"input_ids": ids, "attention_mask": mask}, False
        return
    positions = torch.arange(first, first + ids.shape[1], device=ids.device).expand_as(ids)
    _NOW.packing = packed
    try:
        yield {"input_ids": packed.pack(ids)[None], "position_ids": packed.pack(positions)[None]}, True
    finally:
        _NOW.packing = None


def hidden_states(body: Any, ids: torch.Tensor, mask: torch.Tensor, places: torch.Tensor | None = None) -> torch.Tensor:
    """Return (windows, pieces, width): an encoder's last states; what they are at the padding means nothing."""
    packed = Packing.of(mask, places)
    with prepare_pass(body, ids, mask, packed) as (inputs, packs):
        states: torch.Tensor = body(**inputs)[0]
        return packed.rows(states[0]) if packs else states


def places_in(
    model: Any, packed: Packing, rows: torch.Tensor, columns: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return where, in what a pass of the model gives, packed or not, some rows and columns of its windows are."""
    if getattr(model, "base_model", model) not in _FIRST:
        return rows, columns
    return torch.zeros_like(columns), packed.offsets[rows] + columns


def _attend_by(body: Any, name: str) -> None:
    with quiet():  # what can't be switched says so, and the trial finds it
        body.set_attn_implementation(name)


def _mask(*given: Any, **named: Any) -> Any:
    from transformers.masking_utils import sdpa_mask

    return sdpa_mask(*given, **named) if getattr(_NOW, "packing", None) is None else None


def _attend(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: Any, **named: Any
) -> Any:
    """Attend as SDPA does, in a packed pass within each window; states are (1, heads, real pieces, width)."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    now: Packing | None = getattr(_NOW, "packing", None)
    if now is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **named)
    reach, states = named.pop("sliding_window", None), [tensor[0].transpose(0, 1) for tensor in (query, key, value)]
    if query.is_cuda and query.dtype in (torch.bfloat16, torch.float16):
        ends, longest, around = now.offsets, now.mask.shape[1], reach - 1 if reach else None
        share = float(named.get("dropout", 0.0))
        return torch.ops.aten._flash_attention_forward(
            *states, ends, ends, longest, longest, share, False, False, scale=named.get("scaling"),
            window_size_left=around, window_size_right=around,
        )[0][None], None  # fmt: skip
    seen = now.mask[:, None, None, :]
    if reach:
        at = torch.arange(now.mask.shape[1], device=query.device)
        seen = seen & ((at[:, None] - at).abs() < reach) | ~now.mask[:, None, :, None]  # a row that sees nothing is NaN
    rows = [now.rows(tensor).transpose(1, 2) for tensor in states]
    mixed, _ = sdpa_attention_forward(module, *rows, seen, **named | {"is_causal": False})
    return now.pack(mixed)[None], None
