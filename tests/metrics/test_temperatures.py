"""Temperatures by label: fitted where there are enough entities, kept where they calibrate no worse."""

from functools import partial

import numpy as np
import pytest

from nerbert.metrics.calibration import best_temperature, calibrate, temperature_losses
from nerbert.metrics.temperatures import _PULL, ENOUGH, FittedByLabel, Temperatures, _error_by_label, fit_by_label
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
    true, none = {"low": 0.6, "middle": 1.0, "high": 4.0}, FittedByLabel(Temperatures(), 0.0, 0.0, 0.0)
    found, right = drawn(true, ENOUGH - 1)
    assert fit_by_label(found.confidences, right, found.examples, found.types) == none
    assert not none.is_kept
    assert fit_by_label(lambda _: np.zeros(0), [], [], []) == none
    assert fit(*drawn(true, ENOUGH)).by_label.keys() == true.keys()


def test_a_label_is_pulled_towards_the_temperature_of_all() -> None:
    found, right = drawn({"low": 0.6, "high": 4.0}, 120)
    fitted = fit(found, right)
    losses = temperature_losses(found.confidences, right)
    assert fitted.pooled == pytest.approx(best_temperature(losses))
    for name, temperature in fitted.by_label.items():
        own = losses[:, np.array(found.types) == name]
        assert temperature == pytest.approx(best_temperature(own, _PULL, fitted.pooled))


def confidences_of(found: Entities, some: Array, temperatures: float | Temperatures) -> Array:
    """Return the confidences of some of the entities."""
    return found.confidences(temperatures)[some]


def test_errors_are_of_entities_that_nothing_was_fitted_on() -> None:
    found, right = drawn({"low": 0.6, "high": 2.5}, 300)
    result = fit_by_label(found.confidences, right, found.examples, found.types, folds=4)
    kinds, part = np.array(found.types, object), np.asarray(found.examples) % 4
    own, pooled = np.zeros(len(kinds)), np.zeros(len(kinds))
    for fold in range(4):
        here, there = part == fold, part != fold
        others = fit_by_label(
            partial(confidences_of, found, there), right[there], part[there], kinds[there].tolist()
        ).temperatures
        own[here], pooled[here] = found.confidences(others)[here], found.confidences(others.pooled)[here]
    assert result.after == pytest.approx(calibrate(own.tolist(), right.tolist()).ece)
    assert result.by_label == pytest.approx(_error_by_label(own, right, kinds))
    assert result.pooled == pytest.approx(_error_by_label(pooled, right, kinds))


def test_the_error_weighs_labels_by_their_entities() -> None:
    error = _error_by_label(
        np.array([0.9, 0.9, 0.5]), np.array([True, False, False]), np.array(["x", "x", "y"], object)
    )
    assert error == pytest.approx(0.4 * 2 / 3 + 0.5 / 3)


def test_labels_keep_their_own_where_these_are_no_worse() -> None:
    own = Temperatures(1.0, {"x": 2.0})
    assert [FittedByLabel(own, 0.0, error, 0.2).is_kept for error in (0.1, 0.2, 0.3)] == [True, True, False]


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
