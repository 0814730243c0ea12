"""A scaling is found again, never makes sums worse, and stays in its bounds."""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.metrics import calibration
from nerbert.metrics.calibration import HIGHEST, LOWEST, UNSCALED, Scaling, best_scaling, calibrate, cross_fit, log_loss

Numbers = npt.NDArray[np.float64]


def fit(confidences: Callable[[Scaling], Numbers], right: npt.ArrayLike, *, with_bias: bool = False) -> Scaling:
    return cross_fit(confidences, right, np.arange(np.size(right)), with_bias=with_bias).scaling


def fit_temperature(confidences: Callable[[Scaling], Numbers], right: npt.ArrayLike) -> float:
    return fit(confidences, right).temperature


def sigmoid(margins: Numbers) -> Callable[[Scaling], Numbers]:
    """Confidences of entities of one word with two classes."""
    return lambda scaling: 1 / (1 + np.exp(-np.clip(margins / scaling.temperature + scaling.bias, -500, 500)))


def drawn(count: int, seed: int = 1) -> tuple[Numbers, npt.NDArray[np.bool_]]:
    """Margins of predictions, and outcomes that are right as often as they say."""
    generator = np.random.default_rng(seed)
    margins = generator.normal(1, 1.5, count)
    return margins, generator.random(count) < sigmoid(margins)(UNSCALED)


@pytest.mark.parametrize("true", [0.3, 1.0, 2.5, 8.0])
def test_the_temperature_that_was_put_in_comes_out(true: float) -> None:
    margins, right = drawn(40_000)
    found = fit(sigmoid(margins * true), right)
    assert found.temperature == pytest.approx(true, rel=0.05)
    assert found.bias == 0
    assert calibrate(sigmoid(margins * true)(found).tolist(), right.tolist()).ece < 0.015


@pytest.mark.parametrize("true", [Scaling(1.25, 0.85), Scaling(2.0, -1.1), UNSCALED])
def test_so_does_a_bias(true: Scaling) -> None:
    margins, right = drawn(20_000)
    raw = sigmoid((margins - true.bias) * true.temperature)
    found = fit(raw, right, with_bias=True)
    assert found.temperature == pytest.approx(true.temperature, rel=0.05)
    assert found.bias == pytest.approx(true.bias, abs=0.1)
    assert calibrate(raw(found).tolist(), right.tolist()).ece < 0.015


@pytest.mark.parametrize("place", [-9.0, 0.0, 0.2, 0.7, 1.3, 30.4, 58.7, 59.3, 59.9, 60.0, 99.0])
def test_the_least_of_a_parabola_is_found_between_the_temperatures_that_are_tried(
    place: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "_PRIOR", 0.0)
    tried = np.linspace(math.log(LOWEST), math.log(HIGHEST), 61)
    least = tried[0] + place * (tried[1] - tried[0])
    found = best_scaling((tried[None, :] - least) ** 2, np.zeros(1))
    at_the_edge = LOWEST if place < 1 else HIGHEST
    assert found.temperature == pytest.approx(math.exp(least) if 0.5 < place < 59.5 else at_the_edge)


@pytest.mark.parametrize("scaling", [Scaling(0.5), UNSCALED, Scaling(2.0), Scaling(1.0, 0.7), Scaling(2.0, -1.0)])
@pytest.mark.parametrize("margin", [-800.0, -3.0, 0.0, 1.0, 9.0])
def test_a_calibrated_confidence_is_turned_back(margin: float, scaling: Scaling) -> None:
    sure, calibrated = (float(sigmoid(np.array(margin))(each)) for each in (UNSCALED, scaling))
    assert scaling.undo(calibrated) == pytest.approx(sure)
    assert scaling.apply(sure) == pytest.approx(calibrated)
    assert UNSCALED.undo(0.1) == 0.1
    assert (scaling.undo(0.0), scaling.undo(1.0)) == (0.0, 1.0)
    assert Scaling(HIGHEST).undo(1 - 2**-53) == 1.0, "where its odds overflow"


@given(st.lists(st.tuples(st.floats(-30, 30), st.booleans()), max_size=30), st.booleans())
def test_it_stays_in_bounds_and_never_costs_more_than_none(entities: list[tuple[float, bool]], with_bias: bool) -> None:
    margins, right = np.array([each for each, _ in entities], float), np.array([each for _, each in entities], bool)
    confidences = sigmoid(margins)
    found = fit(confidences, right, with_bias=with_bias)
    assert LOWEST <= found.temperature <= HIGHEST
    assert abs(found.bias) <= 3 * with_bias
    assert log_loss(confidences(found), right).sum() <= log_loss(confidences(UNSCALED), right).sum() + 1e-6
    assert fit(confidences, right, with_bias=with_bias) == found


def test_without_entities_it_is_one() -> None:
    assert fit(lambda _: np.zeros(0), [], with_bias=True) == UNSCALED
    fitted = cross_fit(lambda _: np.zeros(0), [], [])
    assert (fitted.scaling, fitted.before.ece, fitted.after.ece, fitted.after.entities) == (UNSCALED, 0.0, 0.0, 0)


def test_all_right_is_surer_all_wrong_less_so_and_one_entity_weighs_little() -> None:
    sure = sigmoid(np.full(200, 1.0))
    assert fit_temperature(sure, np.ones(200)) < 0.5
    assert fit_temperature(sure, np.zeros(200)) > 10
    assert 0.8 < fit_temperature(sigmoid(np.ones(1)), [True]) < 1
    assert 1 < fit_temperature(sigmoid(np.ones(1)), [False]) < 1.3


def test_a_part_is_measured_by_the_others_scaling() -> None:
    margins, right = drawn(3000)
    sentences = np.repeat(np.arange(1000), 3)
    asked = list[Scaling]()

    def confidences(scaling: Scaling) -> Numbers:
        asked.append(scaling)
        return sigmoid(margins * 2)(scaling)

    fitted = cross_fit(confidences, right, sentences, folds=4)
    after = np.zeros(3000)
    for fold in range(4):
        own = sentences % 4 == fold
        after[own] = sigmoid(margins[own] * 2)(fit(sigmoid(margins[~own] * 2), right[~own]))
    assert fitted.after.ece == pytest.approx(calibrate(after.tolist(), right.tolist()).ece)
    assert fitted.before == calibrate(sigmoid(margins * 2)(UNSCALED).tolist(), right.tolist())
    assert fitted.scaling.temperature == pytest.approx(fit_temperature(sigmoid(margins * 2), right))
    assert fitted.folds == 4
    assert fitted.after.ece < fitted.before.ece
    assert len(asked) < 80


def test_entities_of_one_sentence_are_one_part() -> None:
    """The others are then nobody, and their temperature is 1."""
    fitted = cross_fit(sigmoid(np.full(20, 3.0)), np.zeros(20), np.full(20, 7))
    assert fitted.after == fitted.before
    assert fitted.scaling.temperature > 5


def test_the_log_loss_is_of_what_happened() -> None:
    assert log_loss([0.8, 0.8], [True, False]) == pytest.approx([-math.log(0.8), -math.log(0.2)])
    assert np.isfinite(log_loss([0.0, 1.0], [True, False])).all()
