"""The share of each source in an epoch."""

from collections.abc import Mapping, Sequence

import numpy as np

from nerbert.errors import InputError
from nerbert.rng import Array, uniforms


def drawn_by_shares(parts: Mapping[str, Array], shares: Sequence[float], seed: int, epoch: int) -> Array:
    """Return the windows of an epoch: as many as all `parts` have, in proportion to `shares`, source by source.

    `parts` are the numbers of each source's windows. All of a part come as often as they can; the rest is drawn by
    seed and epoch. A share too small for one window gets one. Raise InputError for an empty part.
    """
    total = sum(map(len, parts.values()))
    drawn = []
    for place, ((name, numbers), share) in enumerate(zip(parts.items(), shares, strict=True)):
        if not len(numbers):
            raise InputError(f"setting shares: {name} has nothing to train on: no text with copies and a word that the "
                             "tokenizer knows; leave it out")  # fmt: skip
        wanted = max(1, round(total * share / sum(shares)))
        whole, rest = divmod(wanted, len(numbers))
        chances = uniforms(seed, f"share {place} of epoch {epoch}", np.arange(len(numbers)))
        some = numbers[np.sort(np.argsort(chances, kind="stable")[:rest])]
        drawn += [np.tile(numbers, whole), some]
    return np.concatenate(drawn)
