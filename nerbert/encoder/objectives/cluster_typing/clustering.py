"""Clusters of vectors, as CoFEE's third stage makes them (Xue et al. 2020): whitened, of length 1, by k-means."""

import warnings
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from nerbert.errors import InputError
from nerbert.rng import Array

NO_CLUSTER = -1
"""The cluster of what has none."""
_FLAT = 1e-6
"""Directions of a smaller variance, as a share of the largest, are left out."""
_EQUAL = 1e-12
"""A variance that is rounding."""
_TIGHTEST = 0.01
"""The smallest variance of a cluster that counts, as a share of the variance of all vectors."""
_CHUNK = 8192
"""Rows that are held in double precision at once."""


@dataclass(frozen=True, slots=True)
class Whitening:
    """Takes vectors to their principal components, each of variance 1, and to length 1.

    `mean` is (width,), `directions` (width, components), divided by the components' standard deviations.
    """

    mean: Array
    directions: Array

    @classmethod
    def fit(cls, vectors: Array, dimensions: int) -> Self:
        """Return the whitening of vectors to so many dimensions; raise InputError for a vector that is no number."""
        mean = vectors.mean(0, dtype=np.float64)
        chunks = (vectors[start : start + _CHUNK] - mean for start in range(0, len(vectors), _CHUNK))
        covariance = sum(chunk.T @ chunk for chunk in chunks) / max(1, len(vectors) - 1)
        if not np.isfinite(covariance).all():
            raise InputError("the model's states of entities are no numbers: there is nothing to cluster")
        values, directions = np.linalg.eigh(covariance)
        values, directions = values[::-1][:dimensions], directions[:, ::-1][:, :dimensions]
        kept = values > _FLAT * values[0]
        scaled = directions[:, kept] / np.sqrt(values[kept]) if values[0] > _EQUAL else np.zeros((len(mean), 1))
        return cls(mean.astype(np.float32), scaled.astype(np.float32))

    def of(self, vectors: Array) -> Array:
        """Return (count, components) points of length 1; the mean itself stays 0."""
        points: Array = (vectors - self.mean) @ self.directions
        lengths = np.linalg.norm(points, axis=1, keepdims=True)
        points /= np.where(lengths > 0, lengths, 1)
        return points


@dataclass(frozen=True, slots=True)
class Clustering:
    """K-means in a whitened space: `centres` is (clusters, components)."""

    whitening: Whitening
    centres: Array

    @classmethod
    def fit(cls, vectors: Array, clusters: int, dimensions: int, iterations: int, seed: int) -> Self:
        """Return the clusters of (count, width) vectors."""
        from sklearn.cluster import KMeans
        from sklearn.exceptions import ConvergenceWarning
        from threadpoolctl import threadpool_limits

        whitening = Whitening.fit(vectors, dimensions)
        kmeans = KMeans(clusters, n_init=1, max_iter=iterations, random_state=seed)
        with warnings.catch_warnings(), threadpool_limits(1, "openmp"):  # several add their sums in any order
            warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different vectors than clusters
            kmeans.fit(whitening.of(vectors))
        return cls(whitening, kmeans.cluster_centers_)

    def assign(self, vectors: Array) -> Array:
        """Return (count,): the number of the nearest centre of each vector."""
        points = self.whitening.of(vectors)
        found: Array = (points @ self.centres.T - (self.centres**2).sum(1) / 2).argmax(1)
        return found.astype(np.int32)


def matched(clusters: Array, before: Array, count: int) -> Array:
    """Return clusters under the numbers, below `count`, of those before that share most entities (Kuhn's method)."""
    from scipy.optimize import linear_sum_assignment

    both = (clusters >= 0) & (before >= 0)
    pairs = clusters[both].astype(np.int64) * count + before[both]
    overlap = np.bincount(pairs, minlength=count * count).reshape(count, count)
    names = linear_sum_assignment(overlap, maximize=True)[1]
    found: Array = np.where(clusters >= 0, names[clusters], NO_CLUSTER).astype(np.int32)
    return found


def weights_of(vectors: Array, clusters: Array, count: int) -> Array:
    """Return (count,): each cluster's weight, 1 ÷ its variance, of mean 1 over vectors; empty ones have the largest."""
    own = (vectors[clusters == number] for number in range(count))
    variances = np.array([each.var(0, dtype=np.float64).mean() if len(each) else 0.0 for each in own])
    weights = 1 / np.maximum(variances, max(_EQUAL, _TIGHTEST * vectors.var(0, dtype=np.float64).mean()))
    scaled: Array = (weights / weights[clusters].mean()).astype(np.float32)
    return scaled


def rand_index(clusters: Array, others: Array) -> float:
    """Return the adjusted Rand index of partitions where both have a cluster: 1 equal, 0 chance, NaN where none has."""
    from sklearn.metrics import adjusted_rand_score

    both: Any = (clusters >= 0) & (others >= 0)
    return float(adjusted_rand_score(others[both], clusters[both])) if both.any() else float("nan")
