"""Two systems as good as each other: the tests call one of them better no more often than they say."""

from statistics import fmean

import numpy as np
import pytest

from nerbert_bench.cells import Cell, State
from nerbert_bench.suite import SystemSettings, Target
from nerbert_bench.tables.results import WHOLE, ColumnKey, Layout, RowKey
from nerbert_bench.tables.scores import Compared, compare
from tests.bench.tables.made_up import made_up_suite

pytestmark = pytest.mark.extras  # scipy
LUCK = 0.01
"""Standard deviation of each level's luck: an encoder's, an encoder's on a target, a run's."""


def overall(
    chance: np.random.Generator, encoders: dict[str, int], seeds: int, draws: int = 1, *, sourced: str = ""
) -> Compared:
    """Compare B with A over two targets; neither is better. 0 encoders: a backbone as it comes.

    Systems in `sourced` are trained on a source domain first, once for each seed.
    """
    size = "all" if draws == 1 else "10"
    suite = made_up_suite(
        systems={name: SystemSettings(encoder="x") for name in encoders},
        baseline="A",
        published=(),
        targets=tuple(Target(data=name, sizes=(size,), draws=draws) for name in ("a", "b")),
        seeds=tuple(range(1, seeds + 1)),
    )
    luck = {(name, number): chance.normal(0, LUCK) for name, count in encoders.items() for number in range(count)}
    far = {(name, seed): chance.normal(0, LUCK) for name in sourced for seed in suite.seeds}
    there = {(*each, target): chance.normal(0, LUCK) for each in luck for target in "ab"}
    drawn = {(target, draw): chance.normal(0, LUCK) for target in "ab" for draw in range(1, draws + 1)}
    cells = []
    for place in suite.cell_keys():
        f1, facts = 0.5 + drawn[place.target, place.draw] + chance.normal(0, LUCK), dict[str, object]()
        if count := encoders[place.system]:
            encoder = (place.system, (place.seed - 1) % count)
            f1 += luck[encoder] + there[*encoder, place.target]
            facts = {"encoder": repr(encoder), "pretrained": True}
        if place.system in sourced:
            f1 += far[place.system, place.seed]
            facts["source"] = f"{place.system} {place.seed}"
        cells.append(Cell(place, State.DONE, scores={"micro": {"f1": f1}}, facts=facts))
    return compare(Layout(suite, cells))[ColumnKey("B", "default"), RowKey(WHOLE, size)]


@pytest.mark.parametrize("tries", [1, pytest.param(500, marks=pytest.mark.nightly)])
@pytest.mark.parametrize(
    ("encoders", "seeds", "draws", "sourced", "observed"),
    [
        ((5, 5), 5, 1, "", 5),
        ((0, 5), 5, 1, "", 5),
        ((5, 5), 10, 1, "", 5),
        ((0, 6), 6, 2, "", 6),
        ((0, 0), 5, 1, "", 10),
        ((0, 0), 2, 5, "", 10),
        ((0, 0), 5, 1, "B", 5),
        ((0, 0), 5, 2, "AB", 5),
    ],
)
def test_stars_without_a_difference_are_rare(
    encoders: tuple[int, int], seeds: int, draws: int, sourced: str, observed: int, tries: int
) -> None:
    """What shares luck is one observation."""
    chance, counts = np.random.default_rng(11), dict(zip("AB", encoders, strict=True))
    found = [overall(chance, counts, seeds, draws, sourced=sourced) for _ in range(tries)]
    assert {each.test.n for each in found} == {observed}
    assert tries == 1 or 0.02 < fmean(bool(each.mark) for each in found) <= 0.07
