"""What a training needs of memory, said before it starts; and where memory runs out, one line that says what to set.

The choice: what autograd keeps for the backward pass is measured on three micro-batches of a few hundred pieces and
extrapolated: it grows with the windows in a micro-batch, and with the length and the square of the length of each
(attention). So any model, objective and precision is covered without a table of architectures. The price: three small
forward passes; and what kernels need for a moment is not seen, some percent.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from errno import ENOMEM
from typing import Any

import numpy as np
import torch

from nerbert.errors import NerbertError, SettingsError
from nerbert.model.forward import Batch
from nerbert.model.windows import Windows
from nerbert.training.base_settings import TrainSettings

_MEASURED = 128
"""Longest window of the micro-batches that are measured: a multiple of what kernels round to."""
_SHORTEST = 8
"""`max_length` is at least that."""
_HELD, _HELD_GRADIENTS, _HELD_ACTIVATIONS = 500_000_000, 1.0, 0.15
"""What glibc's heap holds in holes on a CPU: bytes, and shares of gradients and activations. Fitted to the peaks of
five trainings (BERT-base at 2,048 and 8,192 pieces in fp32 and bf16, MiniLM); a sixth one was 9 % below the sum."""
_HELD_ON_GPU = 0.05
"""What torch's GPU allocator holds beside the activations, as a share of them. Ours, not measured."""
_SIGNS = re.compile(r"out of memory|can't allocate memory|not enough memory|ALLOC_FAILED|bad_alloc", re.IGNORECASE)
"""What torch says of a GPU, its CPU allocator on Linux and on Windows, cuBLAS, and C++."""
_TRIED = re.compile(r"tried to allocate ([\d.]+) ?(bytes|[KMGT]i?B)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Activations:
    """Bytes kept for the backward pass of a micro-batch: `fixed` once (weights cast to bf16, say), the rest a window.

    `per_piece` is for each piece of a window, `per_pair` for each pair of them.
    """

    fixed: float
    per_piece: float
    per_pair: float

    def bytes(self, rows: float, length: int) -> int:
        """Of `rows` windows padded to `length` pieces."""
        return round(self.fixed + rows * length * (self.per_piece + length * self.per_pair))


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes that a training takes where it computes: AdamW has two moments for each parameter that is trained.

    A micro-batch is never larger than `most_rows` windows of `longest` pieces; `largest` is the shape of the largest
    that is known to come (None: what the settings allow). `on_cpu`: memory comes from a heap that keeps holes.
    """

    weights: int
    gradients: int
    moments: int
    activations: Activations
    longest: int
    most_rows: int
    max_tokens_per_batch: int
    on_cpu: bool
    largest: tuple[int, int] | None = None

    @property
    def micro_batch(self) -> int:
        """What autograd keeps of the largest micro-batch."""
        return self.activations.bytes(*self._shape)

    @property
    def total(self) -> int:
        """All of it, with the largest micro-batch."""
        return self.with_batch(*self._shape)

    @property
    def most(self) -> int:
        """All of it, were a micro-batch as large as the settings allow and as long as the longest window."""
        return self.at(self.max_tokens_per_batch)

    @property
    def _shape(self) -> tuple[float, int]:
        return self.largest or (self._rows(self.max_tokens_per_batch), self.longest)

    @property
    def held(self) -> int:
        """What the allocator holds beside."""
        return self.total - self.weights - self.gradients - self.moments - self.micro_batch

    def at(self, max_tokens_per_batch: int) -> int:
        """All of it, with micro-batches of at most so many pieces; a longer window stands alone."""
        return self.with_batch(self._rows(max_tokens_per_batch), self.longest)

    def with_batch(self, rows: float, length: int) -> int:
        """All of it, with micro-batches of that shape; of none, where `rows` is 0."""
        kept = self.activations.bytes(rows, length)
        on_cpu = _HELD + _HELD_GRADIENTS * self.gradients + _HELD_ACTIVATIONS * kept
        held = on_cpu if self.on_cpu else _HELD_ON_GPU * kept
        return self.weights + self.gradients + self.moments + kept + round(held)

    def _rows(self, max_tokens_per_batch: int) -> float:
        """How many of the longest windows; a part of one too, since shorter ones fill a micro-batch better."""
        return max(1.0, min(self.most_rows, max_tokens_per_batch / self.longest))


def memory_of(
    model: Any, activations: Activations, longest: int, settings: TrainSettings, device: torch.device,
    processes: int = 1, largest: tuple[int, int] | None = None,
) -> Memory:  # fmt: skip
    """The memory of each of so many processes; `longest` is the longest window's number of pieces."""
    weights = sum(each.numel() * each.element_size() for each in model.parameters())
    trained = sum(each.numel() * each.element_size() for each in model.parameters() if each.requires_grad)
    rows, on_cpu = -(-settings.batch_size // processes), device.type == "cpu"
    return Memory(
        weights, trained, 2 * trained, activations, longest, rows, settings.max_tokens_per_batch, on_cpu, largest
    )


def measure_activations(model: Any, loss_of: Callable[[int, int], torch.Tensor], longest: int) -> Activations:
    """Measure a model; `loss_of(rows, length)` is the loss of a micro-batch of that shape, in the training's precision.

    Three forward passes of at most two windows of 128 pieces; nothing is learnt.
    """
    long = max(2, min(longest, _MEASURED))
    short = long // 2
    one, two, wide = (_kept(model, loss_of, rows, length) for rows, length in ((1, short), (2, short), (2, long)))
    fixed = 2 * one - two
    of_short, of_long = (two - one) / short, (wide - fixed) / (2 * long)
    per_pair = (of_long - of_short) / (long - short)
    return Activations(fixed, of_short - short * per_pair, per_pair)


def _kept(model: Any, loss_of: Callable[[int, int], torch.Tensor], rows: int, length: int) -> int:
    """Bytes of distinct storages that autograd keeps, beside the model's own."""
    own = {each.untyped_storage().data_ptr() for each in (*model.parameters(), *model.buffers())}
    sizes: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = loss_of(rows, length)  # held until its storages are counted, so that no address is used twice
    kept = sum(size for address, size in sizes.items() if address not in own)
    del loss
    return kept


def sized_batch(windows: Windows, rows: int, length: int, share: float | None = None) -> Batch:
    """A micro-batch of that shape from real pieces and labels; terms are `share` of its pieces, or as many as words.

    Its last column is padding, since a batch without any may take another way through attention.
    """
    pieces = rows * length
    share = len(windows.positions) / max(1, len(windows.ids)) if share is None else share
    words = max(1, round(pieces * share))
    places = np.arange(words) * pieces // words
    mask = np.ones((rows, length), np.int64)
    mask[:, -1] = 0
    ids, labels = np.resize(windows.ids[:pieces], mask.shape), np.resize(windows.labels[:words], words)
    columns = (ids, mask, places // length, places % length, labels, np.arange(rows))
    return Batch(*(torch.from_numpy(each.astype(np.int64)) for each in columns))


def check_fits(memory: Memory, free: int | None) -> None:
    """Raise SettingsError that names what would fit, if a training needs more than is free (None: not known)."""
    if free is None or memory.total <= free:
        return
    tokens, longest = memory.max_tokens_per_batch, memory.longest
    needs, there = f"needs about {as_bytes(memory.total)}", f"{as_bytes(free)} are free"
    if memory.with_batch(0, 0) > free:
        raise SettingsError(f"the model {needs} with gradients and moments, {there}: take a smaller one")
    if memory.at(1) <= free:
        fitting = _halved(min(tokens, memory.most_rows * longest))
        while memory.at(fitting) > free:
            fitting //= 2
        raise SettingsError(f"max_tokens_per_batch = {tokens} {needs}, {there}: {fitting} fits")
    shorter = [each for each in range(_SHORTEST, longest, _SHORTEST) if memory.with_batch(1, each) <= free]
    todo = f"max_length = {shorter[-1]} fits" if shorter else "take a smaller model"
    raise SettingsError(f"a single window of {longest} pieces {needs}, {there}: {todo}")


@contextmanager
def out_of_memory(settings: TrainSettings) -> Iterator[None]:
    """Tell what to set where memory runs out inside; all other errors pass as they are."""
    try:
        yield
    except (RuntimeError, MemoryError, OSError) as error:
        told = explained(error, settings)
        if told is None:
            raise
        raise told from error


def explained(error: BaseException, settings: TrainSettings) -> NerbertError | None:
    """One line for a memory that ran out in a training with these settings; None for any other error."""
    if not _is_memory(error):
        return None
    tried, tokens, longest = _tried(str(error)), settings.max_tokens_per_batch, settings.max_length
    largest = min(tokens, settings.batch_size * longest)
    if largest < 2 * longest:
        shorter = max(_SHORTEST, longest // 2)
        return NerbertError(
            f"memory ran out{tried} with single windows of up to {longest} pieces (max_tokens_per_batch = {tokens}): "
            f"try max_length={shorter}, or a smaller model"
        )
    return NerbertError(
        f"memory ran out{tried} with max_tokens_per_batch = {tokens}: try max_tokens_per_batch={_halved(largest)}; it "
        "changes memory and speed, never the sums"
    )


def _is_memory(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno == ENOMEM
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or bool(_SIGNS.search(str(error)))


def _tried(message: str) -> str:
    """How much was asked for when memory ran out, where the message tells."""
    found = _TRIED.search(message)
    if not found:
        return ""
    return f" ({as_bytes(int(found[1])) if found[2] == 'bytes' else f'{found[1]} {found[2]}'} at once)"


def _halved(tokens: int) -> int:
    """The largest power of two that is at most half."""
    return 1 << max(0, (tokens // 2).bit_length() - 1)


def as_bytes(count: int) -> str:
    """Bytes as people say them."""
    if count >= 1_000_000_000:
        return f"{count / 1e9:,.1f} GB"
    return f"{count / 1e6:.0f} MB" if count >= 10_000_000 else f"{count / 1e6:.1f} MB"
