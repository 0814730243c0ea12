"""Windows into padded micro-batches: groups of like length, and arrays filled up to the longest.

The choice: numpy alone, so that a tagger without torch pads as training does. Groups are neighbours by length, which is
what pads least; how large they should be depends on the machine, so there is a cut for each.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from nerbert.model.windows import Windows, chosen
from nerbert.rng import Array

_MOST = 512
"""Windows of a group that is looked for: beyond, a cut costs nothing to speak of."""


@dataclass(frozen=True, slots=True)
class Padded:
    """Windows side by side: `ids` and `mask` are (windows, pieces), `rows` and `columns` (terms,): what is read off."""

    ids: Array
    mask: Array
    rows: Array
    columns: Array


def padded(windows: Windows, numbers: Array, pad_id: int) -> Padded:
    """Some windows, padded to the longest of them."""
    pieces, lengths = chosen(windows.ids, windows.ends, numbers)
    inside = np.arange(int(lengths.max())) < lengths[:, None]
    ids = np.full(inside.shape, pad_id, np.int64)
    ids[inside] = pieces
    columns, words = chosen(windows.positions, windows.word_ends, numbers)
    return Padded(ids, inside, np.repeat(np.arange(len(numbers)), words), columns)


def micro_batches(lengths: Sequence[int] | Array, max_tokens: int) -> Iterator[list[int]]:
    """Places in `lengths` in groups whose padded size stays below `max_tokens` (a longer window stands alone)."""
    group: list[int] = []
    for place in _by_length(lengths):
        if group and (len(group) + 1) * int(lengths[place]) > max_tokens:
            yield group
            group = []
        group.append(place)
    if group:
        yield group


def cheapest_cuts(lengths: Sequence[int] | Array, max_tokens: int, start_cost: int) -> list[list[int]]:
    """`micro_batches` of the least cost: padded pieces, and `start_cost` pieces for each group.

    Exact, since groups of the best cut are neighbours by length: the cheapest way to cut off the first n is known when
    the cheapest for fewer are.
    """
    order = _by_length(lengths)
    costs, begins = [0], [0]
    for end, place in enumerate(order, 1):
        longest = int(lengths[place])
        fits = range(max(0, end - min(_MOST, max(1, max_tokens // longest))), end)
        cost, begin = min((costs[begin] + (end - begin) * longest + start_cost, begin) for begin in fits)
        costs.append(cost)
        begins.append(begin)
    groups, end = list[list[int]](), len(order)
    while end:
        groups.append(order[begins[end] : end])
        end = begins[end]
    return groups[::-1]


def _by_length(lengths: Sequence[int] | Array) -> list[int]:
    order: list[int] = np.argsort(np.asarray(lengths), kind="stable").tolist()
    return order
