from collections.abc import Mapping

import pytest

from nerbert.errors import SettingsError
from nerbert.tagger.thresholds import thresholds_of

OWN = {"ship": 0.4, "port": 0.6}


@pytest.mark.parametrize(
    ("wanted", "left_out"),
    [
        (None, {("ship", 0.3), ("port", 0.5)}),
        (0.0, set()),
        (0.55, {("ship", 0.3), ("ship", 0.5), ("port", 0.5), ("maker", 0.5), ("maker", 0.3), ("port", 0.3)}),
        ({"ship": 0.55}, {("ship", 0.3), ("ship", 0.5), ("port", 0.5), ("port", 0.3)}),
        ({}, {("ship", 0.3), ("port", 0.5), ("port", 0.3)}),
    ],
)
def test_the_users_thresholds_go_before_the_cards(
    wanted: float | Mapping[str, float] | None, left_out: set[tuple[str, float]]
) -> None:
    found = thresholds_of(wanted, OWN, ["maker", "port", "ship"])
    left_out = left_out | ({("port", 0.3)} if wanted is None else set())
    for type_ in ("maker", "port", "ship"):
        for sure in (0.3, 0.5, 0.7):
            assert (sure < found[type_]) == ((type_, sure) in left_out)


def test_a_number_is_for_all_types() -> None:
    assert thresholds_of(0.5, {}, ["a"]) == {"a": 0.5}


@pytest.mark.parametrize("wanted", [1.5, -0.1, float("nan"), "0.5", True, {"ship": 2}, {"ship": "x"}])
def test_what_is_no_confidence_is_refused(wanted: float) -> None:
    with pytest.raises(SettingsError, match="must be a number, at least 0, at most 1"):
        thresholds_of(wanted, {}, ["ship"])


def test_an_unknown_type_is_refused_with_the_nearest() -> None:
    with pytest.raises(SettingsError, match=r"no type 'shp': did you mean 'ship'\? .must be one of port, ship"):
        thresholds_of({"shp": 0.5}, {}, ["port", "ship"])
