"""The threshold with the best F1, and what a head finds at a higher one, without asking it again."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nerbert.formats.conll import example_of
from nerbert.labels import word_spans
from nerbert.metrics.calibration import UNSCALED, Scaling
from nerbert.metrics.score import score_spans
from nerbert.model.concept_head import ConceptHead
from nerbert.model.heads import Entities, Head
from nerbert.model.threshold_fit import TRIED, above, best_threshold, calibrate_threshold, fit_threshold
from nerbert.records import EntityLabel, Example
from nerbert.tagger.tagger import Tagger
from tests.model.gliner import conftest as gliner
from tests.tagger.test_concept_backends import made as made_concepts
from tests.tagger.test_labels import NamesHead

make = gliner.make
SHIPS = example_of(["Ingeborg", "left", "Oslo"], ["B-ship", "O", "B-place"])


def test_a_higher_threshold_is_what_the_head_would_say(tmp_path: Path) -> None:
    tagger = Tagger.load(made_concepts(tmp_path / "encoder"), precision="fp32").with_labels(
        ["ship", "port", "city", "sea"]
    )
    words = ["The", "ship", "Fram", "left", "Oslo", "for", "Bergen", "and", "Tromsø", "on", "a", "Monday"]
    examples = [example_of(words[place:] + words[:place], ["O"] * len(words)) for place in range(len(words))]
    assert isinstance(tagger.head, ConceptHead)
    check_above(replace(tagger.head, temperature=12.0, bias=0.0), examples)


@pytest.mark.parametrize("settings", [{}, {"max_width": 1}, {"span_mode": "token_level"}])
def test_a_higher_threshold_is_what_a_gliner_head_would_say(
    make: Callable[..., Path], settings: dict[str, Any]
) -> None:
    words = "Fram left Oslo for Bergen in May and came back to the port of Oslo in July".split()
    rows = [example_of(words[place:], ["O"] * (len(words) - place)) for place in range(8)]
    check_above(Tagger.load(make(**settings), precision="fp32").head, rows)


def check_above(head: Head, examples: list[Example]) -> None:
    """Compare with the head asked anew, at thresholds that each take something away."""
    labels = [EntityLabel(name) for name in ("ship", "port", "city", "sea")]
    low = head.for_labels(labels, [0.1] * 4).predict(examples)
    seen = set()
    odds = np.quantile(low.logits[:, 1], [0.1, 0.3, 0.5, 0.7, 0.9]) + 1e-4
    for least in (0.1, *(1 / (1 + np.exp(-odds))).tolist(), 0.99):
        wanted = head.for_labels(labels, [least] * 4).predict(examples)
        found = above(low, least)
        assert found.word_spans(len(examples)) == wanted.word_spans(len(examples))
        assert found.confidences().tolist() == pytest.approx(wanted.confidences().tolist())
        seen.add(len(found.chosen))
    assert len(seen) > 2, "thresholds take something away"


def test_spans_are_kept_whole_or_not_at_all() -> None:
    low = Entities.of([[((0, 3, "a"), 2.0), ((4, 5, "b"), -1.0)], [((1, 4, "a"), (1.0, -1.0, 1.0))], []])
    found = above(low, 0.5)
    assert found.word_spans(3) == [[(0, 3, "a")], [(1, 2, "a"), (3, 4, "a")], []]
    assert above(low, 0.99).word_spans(3) == [[], [], []]


def test_the_best_threshold_is_the_nearest_to_one_half() -> None:
    gold = [word_spans(SHIPS)] * 2
    good, bad = ((0, 1, "ship"), 1.0), ((1, 2, "ship"), -0.5)
    found = Entities.of([[good, bad], [good, bad]])
    assert best_threshold(found, gold) == (0.5, 2 / 3), "of those between 0.38 and 0.73"
    assert best_threshold(Entities.of([[], []]), gold) == (0.5, 0.0)
    assert best_threshold(Entities.of([]), []) == (0.5, 0.0)


def test_it_counts_as_scores_do() -> None:
    draw = np.random.default_rng(3)
    gold, found = list[list[tuple[int, int, str]]](), list[list[tuple[tuple[int, int, str], Any]]]()
    for _ in range(60):
        spans = [(start, start + 1 + int(draw.integers(2)), str(draw.choice(["a", "b", "c"]))) for start in (0, 3, 6)]
        gold.append([each for each in spans if draw.random() < 0.5])
        found.append(
            [(each, tuple(draw.normal(0, 2, each[1] - each[0]).tolist())) for each in spans if draw.random() < 0.7]
        )
    entities = Entities.of(found)
    wanted = {each: score_spans(gold, above(entities, each).word_spans(len(gold))).f1 for each in TRIED}
    best = max(TRIED, key=lambda each: (wanted[each], -abs(each - 0.5), each))
    assert best_threshold(entities, gold) == (best, wanted[best])
    assert len(set(wanted.values())) > 5


def test_a_head_is_asked_once_for_its_threshold() -> None:
    """It is 60 % sure of names in lower case, which are wrong here, and 90 % of others."""
    rows = [example_of(["Ship", "ship"], ["B-ship", "O"])]
    assert fit_threshold(NamesHead(), [EntityLabel("ship")], rows) == (0.65, 1.0)


@pytest.mark.parametrize(
    ("temperature", "bias"),
    [*((each, 0.0) for each in (0.05, 0.2, 0.5, 0.7, 1.0, 1.3, 2.0, 20.0)), (0.5, 0.8), (1.3, 0.8), (2.0, -1.5)],
)
def test_a_cards_threshold_keeps_what_it_was_fitted_to(temperature: float, bias: float) -> None:
    """Rounded down: an entity that is just sure enough stays. The lowest temperature keeps what it can.

    With a low one, most confidences are next to 0 or 1, where six decimals would tell no threshold from another.
    """
    scaling = Scaling(temperature, bias)
    for threshold in TRIED:
        told = calibrate_threshold(threshold, scaling)
        kept = scaling.undo(told)
        assert 0 <= told <= 1
        assert kept <= threshold + 1e-9
        error = 0.1 if temperature < 0.1 else 1e-4
        assert kept == pytest.approx(threshold, abs=0 if scaling == UNSCALED else error, rel=0)
    assert Scaling(0.05).undo(calibrate_threshold(0.01, Scaling(0.05))) == pytest.approx(0.01)
