"""A suite and its cells, made up: three systems, four targets, three seeds; some cells fail, some haven't run."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from nerbert.chance import coin
from nerbert.evaluation.benchmark.cells import Cell, Place, State
from nerbert.evaluation.benchmark.suite import Published, Suite, System, Target
from nerbert.finetune.settings import FinetuneSettings
from nerbert.metrics import RULES, STRICT_RULES, Counts, Macro

TYPES = ("person", "party", "election")
SYSTEMS = {"MiniLM": 0.0, "MiniLM, pre-trained": 0.04, "BERT": 0.015}
TARGETS = {"politics": 0.55, "defense": 0.62, "btc": 0.31, "ai": 0.48}
SIZES: dict[str, tuple[str | int, ...]] = {"btc": (10, 25, 50, "all")}


def made_up_suite(**changes: Any) -> Suite:
    targets = tuple(
        Target(data=name, sizes=SIZES.get(name, ("all",)), draws=3 if name == "btc" else 1) for name in TARGETS
    )
    suite = Suite(
        name="made_up", title="A made-up suite", about="Nothing in it was measured.", baseline="MiniLM",
        targets=targets,        systems={name: System(encoder="x") for name in SYSTEMS}, seeds=(1, 2, 3),
        protocols={"default": FinetuneSettings()},
        published=(Published(name="BERT-base", of="A paper, Table 2", f1={"politics": 66.56, "ai": 50.37}),),
    )  # fmt: skip
    return replace(suite, **changes)


def scores_of(f1: float, gold: int = 1000, left_out: int = 0) -> dict[str, Any]:
    """Scores as `nerbert.metrics.judge` gives them, about so good."""
    by_type = {name: Counts(round(f1 * gold * part), round(gold * part), round(gold * part))
               for name, part in zip(TYPES, (0.5, 0.3, 0.2), strict=True)}  # fmt: skip
    whole = Counts(
        *(sum(column) for column in zip(*((c.right, c.predicted, c.gold) for c in by_type.values()), strict=True))
    )
    wrong = whole.gold - whole.right
    return {
        "rules": RULES, "sentences": 300, "micro": whole.as_json(), "macro": Macro.of(list(by_type.values()))._asdict(),
        "by_type": {name: counts.as_json() for name, counts in by_type.items()},
        "strict": whole.as_json() | {"macro_f1": whole.f1, "rules": STRICT_RULES}, "span": whole.as_json(),
        "errors": {"boundary": wrong // 4, "type": wrong // 2, "both": wrong // 8, "missed": wrong // 8, "spurious": 9},
        "seen": None, "unseen": None, "calibration": {"ece": 0.071, "bins": [], "entities": 900},
        "interval": {"low": whole.f1 - 0.02, "high": whole.f1 + 0.02, "level": 0.95, "samples": 1000},
        "without": {"left_out": left_out, **whole.as_json()} if left_out else None,
    }  # fmt: skip


def facts_of(place: Place) -> dict[str, Any]:
    sentences = int(place.size) if place.size.isdigit() else 400
    return {
        "versions": {"nerbert": "0.1.0", "torch": "2.8.0"}, "device": "cpu", "precision": "fp32", "cpu_seconds": 90.0,
        "machine": "2 cores", "finished": f"2026-01-0{place.seed}T10:00:00", "encoder": "ab" * 32,
        "sentences": sentences, "data": {"train.conll": "cd" * 32},
    }  # fmt: skip


def f1_of(place: Place) -> float:
    """About what such a cell would reach, with noise of its own and of its draw."""
    size = 0.0 if place.size == "all" else -0.25 + min(50, int(place.size) if place.size.isdigit() else 20) / 250
    noise = coin(place.seed, "made up", repr(place)) - 0.5
    drawn = coin(place.draw, "draw", f"{place.target} {place.size}") - 0.5
    return TARGETS.get(place.target, 0.4) + SYSTEMS.get(place.system, 0.0) + size + 0.02 * noise + 0.04 * drawn


def made_up_cells(suite: Suite, state: Callable[[Place], State] | None = None) -> list[Cell]:
    return [_cell(place, (state or _state)(place)) for place in suite.places()]


def all_done(place: Place) -> State:
    return State.DONE


def _state(place: Place) -> State:
    if place.target == "ai" and place.system == "BERT":
        return State.FAILED if place.seed == 2 else State.NOT_RUN
    if place.target == "defense" and place.system == "BERT" and place.seed == 3:
        return State.FAILED
    return State.NOT_RUN if place.size == "25" and place.draw == 3 else State.DONE


def _cell(place: Place, state: State) -> Cell:
    if state is State.DONE:
        return Cell(
            place,
            state,
            scores=scores_of(f1_of(place), left_out=8 if place.target == "defense" else 0),
            facts=facts_of(place),
        )
    return Cell(place, state, "out of memory: 12 GiB asked, 8 there" if state is State.FAILED else "")
