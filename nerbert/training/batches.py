"""Windows of pieces into steps, and steps into padded micro-batches.

A step holds a fixed number of windows, drawn at random but sorted by length within pools of some steps, so that little
is padded. Order depends on seed and epoch alone. The price of pools: a window meets others of its length more often;
where all windows would be one pool, it met the same ones in every epoch, which cost about one F1 at 100 sentences. So a
pool is at most a quarter of an epoch, and small sets go in random order. What is padded then is won back by cutting a
step where that pays.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

import torch

IGNORED = -100
"""The label of what gives no loss (torch's own default)."""
_POOL_STEPS = 50
_POOLS = 4
"""Pools of an epoch, at least."""


@dataclass(frozen=True, slots=True)
class Window:
    """Pieces that go through the model together, specials included.

    `words` are the sentence's words that are read off here, `positions` the places of their first pieces, `labels`
    their classes (empty at prediction). A word with the position of the word before it shares that one's piece.
    `sentence` is the number of the sentence that it was cut from.
    """

    sentence: int
    ids: tuple[int, ...]
    words: tuple[int, ...]
    positions: tuple[int, ...]
    labels: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Batch:
    """A padded micro-batch: `ids` and `mask` are (windows, pieces); `rows`, `columns`, `labels` are (words,)."""

    ids: torch.Tensor
    mask: torch.Tensor
    rows: torch.Tensor
    columns: torch.Tensor
    labels: torch.Tensor
    tokens: int


def steps_of_epoch(lengths: Sequence[int], batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """Indices of the windows of each step of an epoch; each index once, one step may be smaller."""
    random = Random(f"{seed} order {epoch}")  # noqa: S311
    order = list(range(len(lengths)))
    random.shuffle(order)
    pool = batch_size * max(1, min(_POOL_STEPS, len(order) // (_POOLS * batch_size)))
    steps: list[list[int]] = []
    for start in range(0, len(order), pool):
        some = sorted(order[start : start + pool], key=lambda index: lengths[index])
        steps += [some[at : at + batch_size] for at in range(0, len(some), batch_size)]
    random.shuffle(steps)
    return steps


def micro_batches(windows: Sequence[Window], max_tokens: int) -> Iterator[list[int]]:
    """Places of `windows` in groups whose padded size stays below `max_tokens` (a longer window stands alone)."""
    group: list[int] = []
    for place in _by_length(windows):
        if group and (len(group) + 1) * len(windows[place].ids) > max_tokens:
            yield group
            group = []
        group.append(place)
    if group:
        yield group


def cheapest_cuts(windows: Sequence[Window], max_tokens: int, start_cost: int) -> list[list[int]]:
    """`micro_batches` of the least cost: padded pieces, and `start_cost` pieces for each group.

    Exact, since groups of the best cut are neighbours by length: the cheapest way to cut off the first n is known when
    the cheapest for fewer are.
    """
    order = _by_length(windows)
    costs, begins = [0], [0]
    for end, place in enumerate(order, 1):
        longest = len(windows[place].ids)
        fits = range(max(0, end - max(1, max_tokens // longest)), end)
        cost, begin = min((costs[begin] + (end - begin) * longest + start_cost, begin) for begin in fits)
        costs.append(cost)
        begins.append(begin)
    groups, end = list[list[int]](), len(order)
    while end:
        groups.append(order[begins[end] : end])
        end = begins[end]
    return groups[::-1]


def _by_length(windows: Sequence[Window]) -> list[int]:
    return sorted(range(len(windows)), key=lambda place: len(windows[place].ids))


def collate(windows: Sequence[Window], pad_id: int) -> Batch:
    """Pad windows to the longest and list their first pieces."""
    longest = max(len(window.ids) for window in windows)
    ids = torch.full((len(windows), longest), pad_id, dtype=torch.long)
    mask = torch.zeros((len(windows), longest), dtype=torch.long)
    for row, window in enumerate(windows):
        ids[row, : len(window.ids)] = torch.tensor(window.ids)
        mask[row, : len(window.ids)] = 1
    rows = [row for row, window in enumerate(windows) for _ in window.positions]
    columns = [position for window in windows for position in window.positions]
    labels = [label for window in windows for label in window.labels]
    return Batch(
        ids, mask, torch.tensor(rows, dtype=torch.long), torch.tensor(columns, dtype=torch.long),
        torch.tensor(labels, dtype=torch.long), sum(len(window.ids) for window in windows),
    )  # fmt: skip
