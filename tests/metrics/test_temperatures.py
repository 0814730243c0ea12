"""Temperatures by label: fitted where there are enough entities, kept where they calibrate no worse."""

import numpy as np
import pytest

from nerbert.metrics.temperatures import ENOUGH, Temperatures, _error_by_label, fit_by_label
from nerbert.model.heads import Entities
from nerbert.rng import Array


def entities(types: list[str], odds: list[float]) -> Entities:
    """Return an entity of one part for each type, three to a sentence."""
    return Entities.of(
        [[((place, place + 1, types[first + place]), odds[first + place]) for place in range(3)]
         for first in range(0, len(types), 3)]
    )  # fmt: skip


def drawn(true: dict[str, float], count: int) -> tuple[Entities, Array]:
    """Return entities of labels whose log-odds are so many times too large, and whether they are right."""
    random = np.random.RandomState(1)
    types = [name for name in true for _ in range(count)]
    odds = random.normal(1, 2, len(types))
    right = random.uniform(size=len(types)) < 1 / (1 + np.exp(-odds / np.array([true[name] for name in types])))
    return entities(types, odds.tolist()), right


def fit(found: Entities, right: Array) -> Temperatures:
    result = fit_by_label(found.confidences, right, found.examples, found.types)
    return result.temperatures


def test_each_label_gets_its_own() -> None:
    found, right = drawn({"low": 0.6, "high": 2.5}, 900)
    result = fit_by_label(found.confidences, right, found.examples, found.types)
    assert result.is_kept
    assert result.by_label < result.pooled / 2
    assert result.temperatures.by_label == pytest.approx({"low": 0.6, "high": 2.5}, rel=0.2)
    assert 0.6 < result.temperatures.pooled < 2.5


def test_a_label_with_few_entities_has_that_of_all() -> None:
    found, right = drawn({"low": 0.6, "high": 4.0}, ENOUGH - 1)
    result = fit_by_label(found.confidences, right, found.examples, found.types)
    assert not result.is_kept
    assert result.temperatures.by_label == {}
    assert not fit_by_label(lambda _: np.zeros(0), [], [], []).is_kept


def test_few_entities_are_pulled_towards_that_of_all() -> None:
    few, many = (fit(*drawn({"low": 0.6, "high": 4.0}, count)).by_label["high"] for count in (ENOUGH + 2, 900))
    assert few < many


def test_alike_labels_gain_nothing_much() -> None:
    found, right = drawn({"one": 2.0, "other": 2.0}, 300)
    own, pooled = fit(found, right).by_label, fit(found, right).pooled
    assert own == pytest.approx({"one": pooled, "other": pooled}, rel=0.15)


def test_the_error_depends_on_no_order_of_labels() -> None:
    """Not in its last digit either: sets of texts have another order in each process."""
    random = np.random.RandomState(1)
    confidences, right, numbers = random.uniform(size=900), random.uniform(size=900) < 0.5, random.randint(0, 60, 900)
    errors = {
        _error_by_label(confidences, right, np.array([f"{(number * step) % 61}" for number in numbers], object))
        for step in range(1, 20)
    }
    assert len(errors) == 1


def test_confidences_are_those_of_each_labels_temperature() -> None:
    found = entities(["x", "y", "x"], [2.0, 2.0, -1.0])
    sure = found.confidences(Temperatures(1.0, {"x": 2.0}))
    assert sure.tolist() == pytest.approx(
        [found.confidences(2.0)[0], found.confidences(1.0)[1], found.confidences(2.0)[2]]
    )
    assert found.confidences(Temperatures(3.0)).tolist() == found.confidences(3.0).tolist()
    kept = found.at_least({"x": 0.75, "y": 0.75}, Temperatures(1.0, {"x": 2.0}))
    assert kept.types == ["y"]


def test_they_are_changed_together_and_written() -> None:
    both = Temperatures(2.0, {"x": 15.0})
    assert both.times(2.0) == Temperatures(4.0, {"x": 20.0}), "bounded"
    assert Temperatures.of_card({"calibration": both.as_json()}) == both
    assert Temperatures.of_card({}) == Temperatures.of_card({"calibration": None}) == Temperatures()
    assert Temperatures(2.0).as_json() == {"temperature": 2.0}
    assert Temperatures(1.23456, {"x": 1.23456}).rounded(2) == Temperatures(1.23, {"x": 1.23})
