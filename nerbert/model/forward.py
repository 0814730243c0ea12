"""A torch model's forward pass: a padded micro-batch as tensors, in a precision, to logits of the chosen pieces.

A hook hands the head the chosen pieces' states alone. Heads of types outside `POINTWISE` run over all pieces: slower.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from threading import get_ident
from typing import Any, Literal, Self, TypeVar

import numpy as np
import torch

from nerbert.model.windows import Padded
from nerbert.rng import Array

_NONE = np.empty(0, np.int64)
_Extended = TypeVar("_Extended", bound="Batch")
_LOADED_IN = os.getpid()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))
"""Where torch has computed with several threads, its OpenMP waits forever for them in a forked process."""


def set_threads(count: int) -> None:
    """Let torch compute with so many threads; in a process that was forked after torch was loaded it has one."""
    # A fork keeps its single thread: more would wait forever for threads that exist in the parent only.
    if os.getpid() == _LOADED_IN:
        torch.set_num_threads(count)


@dataclass(frozen=True, slots=True)
class Batch:
    """A padded micro-batch: `ids` and `mask` are (windows, pieces); `rows`, `columns`, `labels` are (terms,).

    Row and column say where in `ids` something is predicted, `labels` what. `numbers` (windows,) are the windows'
    numbers in the data, so that random draws for one don't depend on its batch.
    """

    ids: torch.Tensor
    mask: torch.Tensor
    rows: torch.Tensor
    columns: torch.Tensor
    labels: torch.Tensor
    numbers: torch.Tensor

    def to(self, device: Any) -> Self:
        """Return the batch with its tensors on `device`."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        tensors = {name: value for name, value in values.items() if isinstance(value, torch.Tensor)}
        return replace(self, **{name: tensor.to(device, non_blocking=True) for name, tensor in tensors.items()})

    def extend(self, batch_type: type[_Extended], **columns: Any) -> _Extended:
        """Return the batch as one of a subclass, with more columns, or others in place of its own."""
        return batch_type(**{entry.name: getattr(self, entry.name) for entry in fields(self)} | columns)


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
    # Older versions of torch lack some of these questions; `bool` in their place answers False.
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
    places = batch.rows, batch.columns
    with _chosen_only(body, places) as handed:
        logits: torch.Tensor = model(input_ids=batch.ids, attention_mask=batch.mask).logits
    # A hook that never ran (a compiled model skips hooks) leaves the logits of all pieces.
    return logits[0] if handed else logits[places]


def states_at(body: Any, batch: Batch) -> torch.Tensor:
    """Return (terms, width): a body's last states at the batch's rows and columns."""
    states: torch.Tensor = body(input_ids=batch.ids, attention_mask=batch.mask).last_hidden_state
    return states[batch.rows, batch.columns]


@contextmanager
def _chosen_only(body: Any, places: tuple[torch.Tensor, torch.Tensor]) -> Iterator[list[bool]]:
    """Make `body` give its states at some places only, (1, terms, width), in this thread; yield [] or [True]."""
    handed: list[bool] = []
    mine = get_ident()

    def choose(_body: Any, _inputs: Any, output: Any) -> Any:
        # The hook is on the model, which other threads share; their batches have other places.
        if get_ident() != mine:
            return output
        handed.append(True)
        output[next(iter(output))] = choose_states(output[0])
        # A head that reads other layers (squeezed, weighted or joined ones) needs the same places of them.
        if output.get("hidden_states"):
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
