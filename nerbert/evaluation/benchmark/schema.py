"""What a benchmark's files hold, read strictly: what anyone may have changed there is checked before it counts.

The choice: a file with one odd figure is refused whole, so whoever uses an outcome need not doubt it; its cell is run
again. The price: each number of each file is looked at.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import isfinite
from typing import Any

from nerbert.errors import InputError, NerbertError
from nerbert.evaluation.benchmark.cells import Cell, CellKey, Predictions, State
from nerbert.labels import split_tag
from nerbert.records import Example

FORMAT = 1
_FIGURES = ("precision", "recall", "f1")
_LARGEST = 2**53


def cell_of(content: Any, place: CellKey) -> Cell:
    """Return a cell as it was kept; raise InputError for what is none."""
    with _refusing("not a cell's outcome"):
        _check_format(content)
        cell = Cell(place, State(content["state"]), content["why"], content["scores"], content["facts"])
        _check(cell.state is not State.NOT_RUN and isinstance(cell.why, str), "state or why")
        _check(isinstance(cell.scores, dict) and isinstance(cell.facts, dict), "scores or facts")
        _check_numbers(cell.scores)
        _check_numbers(cell.facts)
        if cell.state is State.DONE:
            _check_figures(cell.scores)
            _check_seconds(cell.facts)
        return cell


def found_of(content: Any, test: Sequence[Example]) -> Predictions:
    """Return predictions, checked against the sentences that they are of; raise InputError for what doesn't fit."""
    with _refusing("not predictions of these sentences"):
        _check_format(content)
        names = content["names"]
        for name in names:
            split_tag(name)
        tags = [[names[_place(number)] for number in numbers] for numbers in content["tags"]]
        confidences = [[_share(each, "confidence") for each in row] for row in content["confidences"]]
        for example, row, other in zip(test, tags, confidences, strict=True):
            _check(len(example.words) == len(row) == len(other), "number of words")
        facts = dict(content["facts"])
        _check_numbers(facts)
        _check_seconds(facts)
        return Predictions(tags, confidences, facts)


def cost_of(content: Any) -> dict[str, float]:
    """Return what a source checkpoint cost, as its manifest says, by kind of second.

    Raise InputError for what can't be.
    """
    with _refusing("not a checkpoint's manifest"):
        _check_format(content)
        _check_seconds(content)
        return dict(content["seconds"]["source"])


def files_of(content: Any) -> dict[str, tuple[int, str]]:
    """Return the files that a manifest names, with size and digest; raise InputError for what can't be."""
    with _refusing("not a checkpoint's manifest"):
        files = {name: (each["size"], each["sha256"]) for name, each in content["files"].items()}
        _check("config.json" in files, "files")
        _check(not any(name.startswith("/") or ".." in name.split("/") for name in files), "name of a file")
        return files


@contextmanager
def _refusing(what: str) -> Iterator[None]:
    """Raise InputError for whatever goes wrong with content of unknown shape."""
    try:
        yield
    except (NerbertError, LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        reason = str(error) if isinstance(error, NerbertError) else f"{type(error).__name__}: {error}"
        raise InputError(f"{what} ({reason[:200]})") from error


def _check(right: bool, what: str) -> None:
    if not right:
        raise InputError(f"odd {what}")


def _check_format(content: Any) -> None:
    if content["format"] != FORMAT:
        raise InputError(f"format {content['format']!r:.20}, not {FORMAT}")


def _check_figures(scores: dict[str, Any]) -> None:
    """Raise InputError unless the scores hold a micro F1, and figures that lie between 0 and 1."""
    _share(scores["micro"]["f1"], "f1")
    for each in scores.values():
        for name in _FIGURES if isinstance(each, dict) else ():
            if each.get(name) is not None:
                _share(each[name], name)


def _check_seconds(facts: dict[str, Any]) -> None:
    """Raise InputError unless the steps' seconds are numbers that add up."""
    for step, each in facts["seconds"].items():
        for kind in ("wall", "cpu"):
            _check(_is_number(each[kind]) and 0 <= each[kind] < _LARGEST, f"seconds.{step}.{kind}")


def _check_numbers(value: Any) -> None:
    """Raise InputError for a number, however deep, that is endless, none, or too large to count with."""
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            _check_numbers(each)
    elif _is_number(value):
        _check(abs(value) < _LARGEST, "number")


def _share(value: Any, name: str) -> float:
    _check(_is_number(value) and 0 <= value <= 1, name)
    return float(value)


def _place(number: Any) -> int:
    _check(type(number) is int and number >= 0, "number of a tag")
    return int(number)


def _is_number(value: Any) -> bool:
    """Return whether a value is a number; NaN and infinities are refused."""
    if isinstance(value, float) and not isfinite(value):
        raise InputError(f"{value} where a number should be")
    return isinstance(value, int | float) and not isinstance(value, bool)
