"""The windows of an epoch, by the shares of their sources."""

import numpy as np

from nerbert.encoder.preprocess import drawn_by_shares
from nerbert.errors import InputError
from nerbert.rng import Array
from tests.raised import raises

PARTS: dict[str, Array] = {"large": np.arange(900), "small": np.arange(900, 1000)}


def sizes(drawn: Array) -> list[int]:
    return [int((drawn < 900).sum()), int((drawn >= 900).sum())]


def test_sources_have_their_shares_and_an_epoch_its_size() -> None:
    assert sizes(drawn_by_shares(PARTS, (1, 1), 1, 0)) == [500, 500]
    assert sizes(drawn_by_shares(PARTS, (1, 1e-5), 1, 0)) == [1000, 1]
    drawn = drawn_by_shares(PARTS, (3.0, 1.0), 1, 0)
    assert sizes(drawn) == [750, 250]
    counts = np.bincount(drawn, minlength=1000)
    assert (set(counts[:900].tolist()), set(counts[900:].tolist())) == ({0, 1}, {2, 3})


def test_each_epoch_and_seed_draws_anew_and_the_same_again() -> None:
    one, again, epoch, seed = (drawn_by_shares(PARTS, (1, 1), *of) for of in ((1, 0), (1, 0), (1, 1), (2, 0)))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, epoch)
    assert not np.array_equal(one, seed)


def test_copies_count() -> None:
    parts = {"a": np.repeat(np.arange(10), 30), "b": np.arange(10, 110)}
    counts = np.bincount(drawn_by_shares(parts, (1, 1), 1, 0), minlength=110)
    assert counts[:10].sum() == counts[10:].sum() == 200
    assert counts[:10].min() > 10


def test_an_empty_source_is_named() -> None:
    with raises(InputError, "setting shares: small has nothing to train on"):
        drawn_by_shares(PARTS | {"small": np.arange(0)}, (1, 1), 1, 0)
