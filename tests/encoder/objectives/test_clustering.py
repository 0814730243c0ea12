"""Clusters of vectors against scikit-learn, brute force and definitions."""

import itertools

import numpy as np
import pytest

from nerbert.encoder.objectives.cluster_typing.clustering import (
    NO_CLUSTER,
    Clustering,
    Whitening,
    matched,
    rand_index,
    weights_of,
)
from nerbert.errors import InputError
from nerbert.rng import Array
from tests.raised import raises

pytestmark = pytest.mark.extras


DRAW = np.random.default_rng(3)
MIXED = (DRAW.normal(size=(400, 12)) @ DRAW.normal(size=(12, 12)) + 5).astype(np.float32)


def blobs(count: int, spread: float) -> tuple[Array, Array]:
    """Vectors around five far centres, and which of them each belongs to."""
    own = np.arange(count) % 5
    centres = DRAW.normal(size=(5, 12)) * 10
    return (centres[own] + spread * DRAW.normal(size=(count, 12))).astype(np.float32), own


@pytest.mark.parametrize("dimensions", [3, 12, 128])
def test_whitened_vectors_are_those_of_scikit_learn_with_length_1(dimensions: int) -> None:
    from sklearn.decomposition import PCA

    found = Whitening.fit(MIXED, dimensions).of(MIXED)
    wanted = PCA(min(dimensions, 12), whiten=True, svd_solver="full").fit_transform(MIXED.astype(np.float64))
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    signs = np.sign((found * wanted).sum(0))
    np.testing.assert_allclose(found * signs, wanted, atol=2e-4)


def test_whitening_in_chunks_is_that_of_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Whitening.fit(MIXED, 12).of(MIXED)
    monkeypatch.setattr("nerbert.encoder.objectives.cluster_typing.clustering._CHUNK", 7)
    found = Whitening.fit(MIXED, 12).of(MIXED)
    np.testing.assert_allclose(found @ found.T, whole @ whole.T, atol=1e-4)


def test_flat_directions_are_left_out() -> None:
    """A layer norm's states sum to 0: what is left in that direction is rounding."""
    flat = MIXED - MIXED.mean(1, keepdims=True)
    assert Whitening.fit(flat, 128).directions.shape == (12, 11)
    assert Whitening.fit(MIXED[:4], 128).directions.shape == (12, 3)
    with raises(InputError, "states of entities are no numbers"):
        Whitening.fit(np.full((9, 4), np.nan, np.float32), 3)


def test_fewer_different_vectors_than_clusters_are_no_warning() -> None:
    """As those of a type with one entity are."""
    for vectors in (np.ones((9, 4), np.float32), MIXED[:1]):
        clusters = Clustering.fit(vectors, min(3, len(vectors)), 128, 60, 1).assign(vectors)
        assert not clusters.any()
        assert weights_of(vectors, clusters, 3).tolist() == [1, 1, 1]
    clustering = Clustering.fit(np.repeat(MIXED[:3], 5, axis=0), 6, 6, 60, 1)
    assert len(np.unique(clustering.assign(MIXED[:3]))) == 3


def test_clusters_are_found_and_others_assigned_to_them() -> None:
    vectors, own = blobs(600, 0.5)
    clustering = Clustering.fit(vectors[:300], 5, 128, 60, 1)
    assert rand_index(clustering.assign(vectors[:300]), own[:300]) == 1
    assert rand_index(clustering.assign(vectors), own) == 1


def test_each_vector_has_the_nearest_centre() -> None:
    clustering, same, other = (Clustering.fit(MIXED, 7, 6, 60, seed) for seed in (1, 1, 2))
    assert clustering.assign(MIXED).tolist() == same.assign(MIXED).tolist() != other.assign(MIXED).tolist()
    points = clustering.whitening.of(MIXED)
    distances = np.linalg.norm(points[:, None] - clustering.centres, axis=-1)
    assert clustering.assign(MIXED).tolist() == distances.argmin(1).tolist()


def test_numbers_are_those_that_most_entities_keep() -> None:
    """Against every permutation."""
    for count in (2, 3, 5):
        new, old = DRAW.integers(-1, count, (2, 60))
        found = matched(new, old, count)
        kept = [int((np.array(names)[new] == old)[new >= 0].sum()) for names in itertools.permutations(range(count))]
        assert int((found == old)[new >= 0].sum()) == max(kept)
        assert (found[new < 0] == NO_CLUSTER).all()
        assert rand_index(found, new) == 1
    old = DRAW.integers(0, 23, 500)
    assert matched(DRAW.permutation(23)[old], old, 23).tolist() == old.tolist()


def test_weights_are_inverse_variances_of_mean_1() -> None:
    clusters = np.arange(400) % 4
    vectors = MIXED * (1 + clusters[:, None])
    weights = weights_of(vectors, clusters, 4)
    variances = [np.mean([np.var(column) for column in vectors[clusters == each].T]) for each in range(4)]
    np.testing.assert_allclose(weights * variances, (weights * variances)[0], rtol=1e-4)
    assert weights[clusters].mean() == pytest.approx(1)
    assert weights[0] > weights[3]
    weights = weights_of(MIXED, np.r_[0, np.ones(399, int)], 3)  # a cluster of one, and one of none
    assert weights[0] == weights[2] == pytest.approx(100 * weights[1], rel=0.1)


def test_the_rand_index_is_over_what_both_have() -> None:
    one, other = np.array([0, 0, 1, 1, -1, 2]), np.array([5, 5, 3, 3, 3, -1])
    assert rand_index(one, other) == 1
    assert rand_index(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])) < 0.01
    assert np.isnan(rand_index(np.array([-1, 0]), np.array([0, -1])))
