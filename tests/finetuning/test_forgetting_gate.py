"""The gate: what a tagger loses of its own types, with an interval, before it is kept."""

import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nerbert import example
from nerbert.errors import InputError
from nerbert.finetuning.forgetting_gate import ForgettingGate, OldTypesLoss
from nerbert.labels import WordSpan
from nerbert.metrics.judging import bootstrap, bootstrap_difference
from tests.raised import raises

SHIP = (1, 2, "ship")


def head(found: Sequence[Sequence[WordSpan]]) -> Any:
    """A head that finds these."""
    return SimpleNamespace(predict=lambda _: SimpleNamespace(word_spans=lambda _: found))


def gate(sentences: int, most: float = 0.02, labelled: bool = True) -> ForgettingGate:
    text = example("The Margarethe sailed", [(4, 14, "ship")])
    if labelled:
        return ForgettingGate.of_labelled([text] * sentences, ["ship"], head([[SHIP]] * sentences), most)
    return ForgettingGate.of_answers([text] * sentences, ["ship"], most)


def measured(sentences: int, lost: int, most: float = 0.02, labelled: bool = True) -> OldTypesLoss:
    found: list[list[WordSpan]] = [[]] * lost + [[SHIP, (2, 3, "port")]] * (sentences - lost)
    return gate(sentences, most, labelled).measure(head(found))


def test_many_sentences_without_a_loss_pass_and_few_do_not() -> None:
    many, few = measured(400, 0), measured(10, 0)
    assert (many.verdict, many.loss) == ("passed", 0.0)
    assert (few.verdict, few.loss) == ("not known", 0.0)
    assert 0.05 < few.interval.high < 0.3, "one more sentence, whose entity is lost, is drawn up to three times"
    assert few.more is not None
    assert measured(10 + few.more, 0).verdict == "passed"


def test_a_loss_fails_where_it_is_sure() -> None:
    lost = measured(400, 80)
    assert (lost.verdict, lost.more) == ("failed", None)
    assert lost.after == pytest.approx(2 * 320 / 720)
    assert lost.interval.low < lost.loss < lost.interval.high
    assert measured(400, 80, most=0.2).verdict == "passed"


def test_what_is_not_known_says_how_many_sentences_would_tell() -> None:
    lost = measured(200, 6)
    assert lost.verdict == "not known"
    assert lost.more is not None
    larger = (200 + lost.more) / 200
    assert measured(math.ceil(200 * larger), round(6 * larger)).interval.high == pytest.approx(0.02, abs=0.004)
    assert f"about {lost.more:,} sentences more would tell" in str(lost)
    assert "F1 on own types 100.0 before" in str(lost)


def test_other_types_do_not_count_and_answers_are_agreement() -> None:
    lost = measured(400, 0, labelled=False)
    assert (lost.after, lost.labelled, lost.entities) == (1.0, False, 400)
    assert "100.0 % agreement with the old tagger's own answers (no labelled old sentences)" in str(lost)
    assert lost.facts["verdict"] == "passed"


def test_the_difference_is_paired() -> None:
    """Against each draw by hand: equal rows have no difference, however F1 varies."""
    counts = np.random.default_rng(1).integers(1, 5, (50, 3))
    same = bootstrap_difference(counts, counts)
    assert (same.low, same.high) == (0, 0)
    nothing = np.zeros_like(counts)
    alone, against = bootstrap(counts), bootstrap_difference(counts, nothing)
    assert (against.low, against.high) == pytest.approx((alone.low, alone.high), abs=0.02)
    with raises(InputError, "50 and 49 sentences"):
        bootstrap_difference(counts, counts[1:])
