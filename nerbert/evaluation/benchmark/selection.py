"""Run a part of a suite: `--only system=NER-BERT --only size=5,20`."""

from collections.abc import Iterable
from statistics import fmean

from nerbert.errors import SettingsError, few, unknown
from nerbert.evaluation.benchmark.cells import Cell, CellKey
from nerbert.evaluation.benchmark.suite import Suite

NOT_SELECTED = "not selected (--only)"


class Selection:
    """The cells of a suite that have one of the wanted values in each part of a place that is named; by default all.

    A value may hold commas if the suite has it so, as the name of a system. Raise SettingsError for a part or a value
    that the suite doesn't have, or if no cell is left.
    """

    def __init__(self, suite: Suite, given: Iterable[str] = ()) -> None:
        self._wanted: dict[str, set[str]] = {}
        for each in given:
            name, mark, values = each.partition("=")
            if not mark or name not in CellKey._fields:
                raise SettingsError(f"--only {each}{unknown(name, [f'{part}=…' for part in CellKey._fields])}")
            known = {str(getattr(place, name)) for place in suite.places()}
            wanted = {values} if values in known else {value.strip() for value in values.split(",")}
            for value in sorted(wanted - known):
                raise SettingsError(f"--only {each}: the suite has no {name} {value!r}{unknown(value, sorted(known))}")
            self._wanted.setdefault(name, set()).update(wanted)
        if not any(place in self for place in suite.places()):
            raise SettingsError(f"--only {few(given)}: selects no cell of the suite")

    def __contains__(self, place: CellKey) -> bool:
        return all(str(getattr(place, name)) in wanted for name, wanted in self._wanted.items())


def cpu_seconds_left(places: Iterable[CellKey], done: Iterable[Cell]) -> tuple[float, int]:
    """Return the CPU-seconds that cells will take by the mean of done ones, and how many have none like them.

    Alike are cells of the same system, target, size and protocol; else those of the same system and size.
    """
    costs = dict[tuple[str, ...], list[float]]()
    for cell in done:
        if (seconds := cell.facts.get("cpu_seconds")) is not None:
            for kind in _kinds(cell.place):
                costs.setdefault(kind, []).append(seconds)
    alike = [next((fmean(costs[kind]) for kind in _kinds(place) if kind in costs), None) for place in places]
    known = [each for each in alike if each is not None]
    return sum(known), len(alike) - len(known)


def _kinds(place: CellKey) -> tuple[tuple[str, ...], ...]:
    return (place.system, place.target, place.size, place.protocol), (place.system, place.size)
