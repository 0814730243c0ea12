from collections.abc import Mapping

import pytest

from nerbert.errors import SettingsError
from nerbert.tagger.thresholds import parse_thresholds, thresholds_of, usual_threshold
from tests.raised import raises
from tests.tagger.test_answering import FixedNames
from tests.tagger.test_labels import NamesHead

OWN = {"ship": 0.4, "port": 0.6}


@pytest.mark.parametrize(
    ("wanted", "bounds"),
    [
        (None, (0, 0.6, 0.4)),
        (0.0, (0, 0, 0)),
        (0.55, (0.55, 0.55, 0.55)),
        ({"": 0.55, "port": 0.5}, (0.55, 0.5, 0.55)),
        ({"ship": 0.55}, (0, 0.6, 0.55)),
        ({}, (0, 0.6, 0.4)),
    ],
)
def test_the_users_thresholds_go_before_the_cards(
    wanted: float | Mapping[str, float] | None, bounds: tuple[float, ...]
) -> None:
    types = ["maker", "port", "ship"]
    assert thresholds_of(wanted, OWN, types) == dict(zip(types, bounds, strict=True))


@pytest.mark.parametrize(
    ("card", "wanted"), [({}, 0.5), ({"threshold": None}, 0.5), ({"threshold": 0}, 0.0), ({"threshold": 0.3}, 0.3)]
)
def test_a_cards_threshold_goes_before_the_heads(card: dict[str, float | None], wanted: float) -> None:
    assert usual_threshold(NamesHead(), card) == wanted
    assert usual_threshold(FixedNames(), card) == 0.0, "a head of fixed types has none"


@pytest.mark.parametrize(
    ("text", "meant"), [("", None), ("0.8", 0.8), ("a=0.5", {"a": 0.5}), ("0.8, a=b=0.5", {"": 0.8, "a=b": 0.5})]
)
def test_numbers_on_the_command_line(text: str, meant: float | dict[str, float] | None) -> None:
    assert parse_thresholds(text) == meant


@pytest.mark.parametrize("wanted", [1.5, -0.1, float("nan"), "0.5", True, {"ship": 2}, {"ship": "x"}, {"": 2}])
def test_what_is_no_confidence_is_refused(wanted: float) -> None:
    with raises(SettingsError, "must be a number, at least 0, at most 1"):
        thresholds_of(wanted, {}, ["ship"])
