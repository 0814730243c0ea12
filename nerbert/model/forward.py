"""A torch model's forward pass: a padded micro-batch as tensors, in a precision, to logits of the chosen pieces.

A hook hands the head the chosen pieces' states alone. Heads of types outside `POINTWISE` run over all pieces: slower.

A packed pass has no padding: windows lie end to end, with attention within each, by `transformers`' attention
interface. On a GPU in 16 bits, torch's flash attention reads rows of unequal length. Elsewhere attention alone lays the
pieces out in rows again. Both work with dropout and with ModernBERT's local layers.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from threading import get_ident, local
from typing import Any, Literal, Self, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
import torch

from nerbert.model.backbone import quiet
from nerbert.model.tokenizer import first_position
from nerbert.model.windows import Padded
from nerbert.rng import Array

_NONE = np.empty(0, np.int64)
_Extended = TypeVar("_Extended", bound="Batch")
_LOADED_IN = os.getpid()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))
"""Where torch has computed with several threads, its OpenMP waits forever for them in a forked process."""
_NAME = "nerbert_packed"
_CLOSE = 1e-4
"""Largest difference of states between a packed and a padded pass of the trial, in fp32, as a share of the largest."""
_LENGTHS = (40, 200)
"""Pieces of the trial's windows, where the encoder has so many positions: more than a local layer sees."""
_FIRST: "WeakKeyDictionary[Any, int]" = WeakKeyDictionary()
"""For each encoder that is packed its first position's number."""
_NOW = local()
"""The packing of this thread's forward pass."""


def set_threads(count: int) -> None:
    """Let torch compute with so many threads; in a process that was forked after torch was loaded it has one."""
    if os.getpid() == _LOADED_IN:
        torch.set_num_threads(count)


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


@dataclass(frozen=True, slots=True)
class Batch:
    """A padded micro-batch: `ids` and `mask` are (windows, pieces); `rows`, `columns`, `labels` are (terms,).

    Row and column say where in `ids` something is predicted, `labels` what. `numbers` (windows,) are the windows'
    numbers in the data, so that random draws for one don't depend on its batch. `real` (real pieces,) are the places in
    `mask`, flat, of what isn't padding; `to` notes them while the mask is on the CPU.
    """

    ids: torch.Tensor
    mask: torch.Tensor
    rows: torch.Tensor
    columns: torch.Tensor
    labels: torch.Tensor
    numbers: torch.Tensor
    real: torch.Tensor | None = field(default=None, kw_only=True)

    def to(self, device: Any) -> Self:
        """Return the batch with its tensors on `device`."""
        return self._map_tensors(lambda tensor: tensor.to(device, non_blocking=True))

    def pin(self) -> Self:
        """Return the batch in memory that a GPU copies from while it computes."""
        return self._map_tensors(torch.Tensor.pin_memory)

    def _map_tensors(self, change: Callable[[torch.Tensor], torch.Tensor]) -> Self:
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)} | {"real": self.packing.places}
        tensors = {name: change(value) for name, value in values.items() if isinstance(value, torch.Tensor)}
        return replace(self, **tensors)

    def extend(self, batch_type: type[_Extended], **columns: Any) -> _Extended:
        """Return the batch as one of a subclass, with more columns, or others in place of its own."""
        return batch_type(**{entry.name: getattr(self, entry.name) for entry in fields(self)} | columns)

    @property
    def packing(self) -> Packing:
        """Return where its pieces lie."""
        return Packing.of(self.mask, self.real)


def batch_of(batch: Padded, labels: Array = _NONE, numbers: Array = _NONE) -> Batch:
    """Return a padded micro-batch as tensors, with labels and windows' numbers if any."""
    columns = (batch.ids, batch.mask, batch.rows, batch.columns, labels, numbers)
    return Batch(*(torch.from_numpy(column.astype(np.int64)) for column in columns))


def autocast(device: str, precision: str) -> torch.autocast:
    """Return a context that computes in bf16 if `precision` (`auto`: the device's best) is that; weights stay fp32."""
    return torch.autocast(device, torch.bfloat16, enabled=precision_on(device, precision) == "bf16")


def precision_on(device: str, precision: str) -> str:
    """Return `bf16` or `fp32`: what a setting of `precision` means on a device; `auto` is its best."""
    return precision if precision != "auto" else best_precision(device)


def best_precision(device: str = "") -> Literal["bf16", "fp32"]:
    """Return `bf16` where the device (default: the GPU if there is one) computes in it, else `fp32`."""
    if (device or "cuda") == "cuda" and torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if device not in ("", "cpu"):
        return "fp32"
    has = any(getattr(torch.cpu, name, bool)() for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return "bf16" if has else "fp32"


POINTWISE = frozenset(
    "albert bert big_bird camembert convbert data2vec-text deberta deberta-v2 distilbert electra ernie eurobert gte "
    "jina_embeddings_v3 longformer megatron-bert mobilebert modernbert mpnet nomic_bert rembert roberta "
    "roberta-prelayernorm roc_bert roformer squeezebert xlm-roberta xlm-roberta-xl".split()
)
"""Model types whose tagging and language-model heads read each piece separately."""


def logits_at(model: Any, batch: Batch) -> torch.Tensor:
    """Return (terms, classes): the head's output at the batch's rows and columns."""
    model_type = getattr(getattr(model, "config", None), "model_type", "")
    body = model.base_model if model_type in POINTWISE else None
    with _prepare_batch(model, batch) as (inputs, places), _chosen_only(body, places) as handed:
        logits: torch.Tensor = model(**inputs).logits
    return logits[0] if handed else logits[places]


def states_at(body: Any, batch: Batch) -> torch.Tensor:
    """Return (terms, width): a body's last states at the batch's rows and columns."""
    with _prepare_batch(body, batch) as (inputs, places):
        states: torch.Tensor = body(**inputs).last_hidden_state
    return states[places]


Places = tuple[torch.Tensor, torch.Tensor]
"""Rows and columns, (terms,) each."""


@contextmanager
def _prepare_batch(model: Any, batch: Batch) -> Iterator[tuple[Mapping[str, torch.Tensor], Places]]:
    """Yield what the model reads within the context, and where the batch's rows and columns are in what it gives."""
    packed = batch.packing
    with prepare_pass(model, batch.ids, batch.mask, packed) as (inputs, _):
        yield inputs, places_in(model, packed, batch.rows, batch.columns)


@contextmanager
def _chosen_only(body: Any, places: Places) -> Iterator[list[bool]]:
    """Make `body` give its states at some places only, (1, terms, width), in this thread; yield [] or [True]."""
    handed: list[bool] = []
    mine = get_ident()

    def choose(_body: Any, _inputs: Any, output: Any) -> Any:
        if get_ident() != mine:
            return output
        handed.append(True)
        output[next(iter(output))] = choose_states(output[0])
        if output.get("hidden_states"):  # for a head that reads other layers too
            output["hidden_states"] = tuple(map(choose_states, output["hidden_states"]))
        return output

    def choose_states(states: torch.Tensor) -> torch.Tensor:
        return states[places].unsqueeze(0)

    handle = body.register_forward_hook(choose) if body is not None else None
    try:
        yield handed
    finally:
        if handle is not None:
            handle.remove()


class OverEncoder(torch.nn.Module):
    """A model with layers over an encoder of texts, `text`, as the training loop takes it."""

    text: Any

    @property
    def base_model(self) -> Any:
        """Return the encoder of texts."""
        return self.text

    @property
    def config(self) -> Any:
        """Return the configuration of the encoder of texts."""
        return self.base_model.config

    @property
    def device(self) -> torch.device:
        """Return where the model lies."""
        return next(self.parameters()).device


class TorchScorer:
    """Logits of a `transformers` token-classification model where it lies, without gradients or dropout.

    `precision` is as in the settings: `bf16` (weights stay as they are), `fp32` or `auto`. `forward` takes the model
    and a batch, and returns logits.
    """

    def __init__(
        self, model: Any, precision: str = "auto", forward: Callable[[Any, Batch], torch.Tensor] = logits_at
    ) -> None:
        self._model, self._precision, self._forward = model, precision, forward
        self._device = next(model.parameters()).device

    def __call__(self, batch: Padded) -> Array:
        """Return (terms, classes) fp32."""
        self._model.eval()
        with torch.inference_mode(), autocast(self._device.type, self._precision):
            logits = self._forward(self._model, batch_of(batch).to(self._device)).float()
        return np.asarray(logits.cpu().numpy())


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
