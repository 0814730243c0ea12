"""A suite and its cells, made up: three systems, four targets, three seeds; some cells fail, some haven't run."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import cache
from typing import Any

from nerbert.finetuning.settings import FinetuneSettings
from nerbert.metrics.judging import assess
from nerbert.rng import uniform
from nerbert_bench.cells import Cell, CellKey, State
from nerbert_bench.suite import Published, Suite, SystemSettings, Target
from nerbert_bench.tables.results import BenchmarkTable, Entry, Grid

TYPES = {"person": 0.5, "party": 0.3, "election": 0.2}
SYSTEMS = {"MiniLM": 0.0, "MiniLM, pre-trained": 0.04, "BERT": 0.015}
TARGETS = {"politics": 0.55, "defense": 0.62, "btc": 0.31, "ai": 0.48}
SIZES: dict[str, tuple[str, ...]] = {"btc": ("10", "25", "50", "all")}


def made_up_suite(**changes: Any) -> Suite:
    targets = tuple(
        Target(data=name, sizes=SIZES.get(name, ("all",)), draws=3 if name == "btc" else 1) for name in TARGETS
    )
    suite = Suite(
        name="made_up",
        title="A made-up suite",
        about="Nothing in it was measured.",
        baseline="MiniLM",
        targets=targets,
        systems={name: SystemSettings(encoder="x") for name in SYSTEMS},
        seeds=(1, 2, 3),
        protocols={"default": FinetuneSettings()},
        published=(Published(name="BERT-base", of="A paper, Table 2", f1={"politics": 66.56, "ai": 50.37}),),
    )
    return suite.model_copy(update=changes)


def scores_of(f1: float, gold: int = 1000, left_out: int = 0) -> dict[str, Any]:
    """Scores as a cell has them, about so good: made-up tags, judged as the runner's are."""
    return deepcopy(_judged(round(f1, 3), gold, left_out))


@cache
def _judged(f1: float, gold: int, left_out: int) -> dict[str, Any]:
    """A sentence an entity of two words; of those that are wrong, every third is missed with one found beside it."""
    tags, found = [], []
    for name, part in TYPES.items():
        number = round(gold * part)
        right = round(f1 * number)
        good, short = [f"B-{name}", f"I-{name}", "O"], [f"B-{name}", "O", "O"]
        tags += [good] * number
        found += [good] * right + [["O", "O", f"B-{name}"] if n % 3 == 0 else short for n in range(number - right)]
    sure = [[0.8] * 3 for _ in tags]
    return assess(tags, found, confidences=sure, without=range(left_out)).as_json()


def facts_of(place: CellKey) -> dict[str, Any]:
    sentences = int(place.size) if place.size.isdigit() else 400
    return {
        "versions": {"nerbert": "0.1.0", "torch": "2.8.0"},
        "device": "cpu",
        "precision": "fp32",
        "cpu_seconds": 90.0,
        "machine": "2 cores",
        "finished": f"2026-01-0{place.seed}T10:00:00",
        "encoder": "ab" * 32,
        "sentences": sentences,
        "data": {"train.conll": "cd" * 32},
    }


def f1_of(place: CellKey) -> float:
    """About what such a cell would reach, with noise of its own and of its draw."""
    size = 0.0 if place.size == "all" else -0.25 + min(50, int(place.size) if place.size.isdigit() else 20) / 250
    noise = uniform(place.seed, "made up", repr(place)) - 0.5
    drawn = uniform(place.draw, "draw", f"{place.target} {place.size}") - 0.5
    return TARGETS.get(place.target, 0.4) + SYSTEMS.get(place.system, 0.0) + size + 0.02 * noise + 0.04 * drawn


def made_up_cells(suite: Suite, state: Callable[[CellKey], State] | None = None) -> list[Cell]:
    return [_cell(place, (state or _state)(place)) for place in suite.cell_keys()]


def all_done(place: CellKey) -> State:
    return State.DONE


def _state(place: CellKey) -> State:
    if place.target == "ai" and place.system == "BERT":
        return State.FAILED if place.seed == 2 else State.NOT_RUN
    if place.target == "defense" and place.system == "BERT" and place.seed == 3:
        return State.FAILED
    return State.NOT_RUN if place.size == "25" and place.draw == 3 else State.DONE


def _cell(place: CellKey, state: State) -> Cell:
    if state is State.DONE:
        scores = scores_of(f1_of(place), left_out=8 if place.target == "defense" else 0)
        return Cell(place, state, scores=scores, facts=facts_of(place))
    return Cell(place, state, "out of memory: 12 GiB asked, 8 there" if state is State.FAILED else "")


def grid_of(table: BenchmarkTable, key: str) -> Grid:
    return next(grid for grid in table.grids if grid.key == key)


def entry(table: BenchmarkTable, names: tuple[str, ...], head: str, key: str = "scores", title: str = "") -> Entry:
    grid = next(grid for grid in table.grids if grid.key == key and title in grid.title)
    rows = [row for row in grid.rows if tuple(each.text for each in row[: len(names)]) == names]
    heads = [n for n, each in enumerate(grid.heads) if each.text.removesuffix(" (published)") == head]
    assert (len(rows), len(heads)) == (1, 1), (names, head)
    return rows[0][heads[0]]


def cells_of(suite: Suite, f1s: Mapping[tuple[str, str], Sequence[float]]) -> list[Cell]:
    """Cells of one draw with given F1s, one a seed, by (system, target)."""
    places = {(place.system, place.target, place.seed): place for place in suite.cell_keys()}
    return [
        Cell(places[system, target, seed], State.DONE, scores={"micro": {"f1": f1}, "rules": "CoNLL"})
        for (system, target), values in f1s.items()
        for seed, f1 in enumerate(values, 1)
    ]


def small(*targets: str, **changes: object) -> Suite:
    return made_up_suite(targets=tuple(Target(data=name) for name in targets), published=(), **changes)
