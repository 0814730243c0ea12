"""Familiarity: how well a zero-shot tagger knows the types that it is asked for (Golde et al. 2025, arXiv 2412.10121).

What lacks to 1,000 mentions counts as 0. Cost: a small training set has a lower figure, at the same names.
"""

import numpy as np
import numpy.typing as npt

from nerbert.errors import InputError

FIRST = 1_000
"""Number of mentions that count."""
_Figures = npt.NDArray[np.float64]


def cosines(tests: npt.ArrayLike, trained: npt.ArrayLike) -> _Figures:
    """Return (test types, training types): the cosines of vectors, clipped at 0; 0 for a vector of zeros."""
    one, other = (_unit(np.asarray(each, np.float64)) for each in (tests, trained))
    return np.clip(one @ other.T, 0.0, 1.0)


def familiarity(similarities: npt.ArrayLike, counts: npt.ArrayLike, first: int = FIRST) -> _Figures:
    """Return (test types,): the Familiarity (0–1) of each test type.

    `similarities` are (test types, training types), `counts` (training types,) mentions of each in the training data.
    Negative similarities count as 0. Raise InputError for shapes that don't fit, and for counts below 0.
    """
    clipped, mentions = np.clip(np.asarray(similarities, np.float64), 0.0, None), np.asarray(counts, np.int64)
    if clipped.ndim != 2 or mentions.shape != clipped.shape[1:] or first < 1 or (mentions < 0).any():
        raise InputError(f"familiarity: similarities {clipped.shape}, counts {mentions.shape}, the first {first}: give "
                         "(test types, training types), and a count of each training type")  # fmt: skip
    order = np.argsort(-clipped, axis=1, kind="stable")
    ends = np.minimum(np.cumsum(mentions[order], axis=1), first)
    sums = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, first + 1))])
    weights = np.diff(sums[ends], axis=1, prepend=0.0)
    found: _Figures = (weights * np.take_along_axis(clipped, order, axis=1)).sum(axis=1) / sums[-1]
    return found


def _unit(vectors: _Figures) -> _Figures:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    found: _Figures = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return found
