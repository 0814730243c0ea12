"""F1 on held-out texts: what each is asked for, what counts, and the threshold that comes out."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from nerbert.encoder.concept_table import Concept, ConceptTable
from nerbert.encoder.objectives.held_out import AskedText, HeldOutScore, asked_texts
from nerbert.encoder.objectives.span_labels import PromptMaker, SpanLabels
from nerbert.encoder.open_texts import OpenExample
from nerbert.errors import InputError
from nerbert.labels import WordSpan
from nerbert.metrics.calibration import scaling_of
from nerbert.model.heads import Entities, Head, Odds
from nerbert.model.threshold_fit import calibrate_threshold
from nerbert.records import EntityLabel, Example, Span
from nerbert.training.distributed import make_process_group
from nerbert.training.settings import TrainSettings
from tests.encoder.preparing import by_two_processes
from tests.raised import raises

WORDS = ((0, 4), (5, 7), (8, 12), (13, 17), (18, 22))
TEXT = "Bank of Oslo near Oslo"
NESTED = (Span(0, 12, "bank"), Span(8, 12, "city"), Span(18, 22, "city"), Span(18, 22, "place"))
NAMES = ("bank", "city", "place", "ship", "sea", "harbour")


def asked_of(
    examples: Sequence[Example], most: int = 25, seed: int = 1, names: Sequence[str] = NAMES
) -> list[AskedText]:
    """What some examples are asked for, of a table of concepts."""
    table = ConceptTable()
    for name in names:
        table.add(Concept(name), 1)
    for each in examples:
        table.add_rows(table.word_rows(each))
    return asked_texts(examples, SpanLabels(table, {}, 0), table, PromptMaker.without_limit(table, seed, most=most))


def test_of_types_on_overlapping_entities_one_is_asked() -> None:
    examples = [OpenExample(TEXT, WORDS, NESTED), OpenExample("Fram", ((0, 4),), (Span(0, 4, "ship"),))]
    seen = set()
    for seed in range(20):
        one, other = asked_of(examples, seed=seed)
        names = {each.name for each in one.labels}
        seen.add(frozenset(names & {"bank", "city", "place"}))
        assert "ship" in names
        assert {each.name for each in other.labels} == {"bank", "city", "place", "ship"}
        assert other.gold == [(0, 1, "ship")]
        taken = sorted(word for start, end, _ in one.gold for word in range(start, end))
        assert len(taken) == len(set(taken))
        assert one.known.all()
    assert seen == {frozenset({"bank", "place"}), frozenset({"city"})}


def test_links_of_unknown_type_are_asked_for_where_there_is_no_other_type() -> None:
    """A model that calls a bank an entity is not wrong, but then the bank would not be found."""
    link, unknown = Span(0, 4, "entity"), Span(18, 22, "entity")
    (one,) = asked_of([OpenExample(TEXT, WORDS, (Span(0, 4, "bank"), unknown))], names=("entity", "bank"))
    assert [each.name for each in one.labels] == ["bank"]
    assert one.gold == [(0, 1, "bank")]
    assert one.known.all(1).tolist() == [True] * 4 + [False]
    (one,) = asked_of([OpenExample(TEXT, WORDS, (link,))], names=("entity",))
    assert one.gold == [(0, 1, "entity")]


def test_what_was_asked_for_and_what_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    (one,) = asked_of([OpenExample(TEXT, WORDS, (Span(18, 22, "city"),), ("sea", "city"))])
    assert {each.name for each in one.labels} <= {"sea", "city"}
    with raises(InputError, "no entity of any type"):
        asked_of([OpenExample(TEXT, WORDS)])
    capsys.readouterr()
    asked_of([OpenExample("Fram", ((0, 4),), (Span(0, 4, "ship"),))])
    assert "no type is known to be absent" in capsys.readouterr().err
    asked_of([OpenExample("Fram", ((0, 4),), (Span(0, 4, kind),)) for kind in ("ship", "sea")])
    assert capsys.readouterr().err == ""


Found = dict[str, list[tuple[WordSpan, Odds]]]


class Finds(Head):
    """A head that finds given entities of its labels, by the text."""

    def __init__(self, found: Found, labels: Sequence[EntityLabel] = ()) -> None:
        self._found, self._names = found, {each.name for each in labels}

    @property
    def types(self) -> list[str]:
        return sorted(self._names)

    def for_labels(self, labels: Sequence[EntityLabel], thresholds: Sequence[float]) -> "Finds":
        assert max(thresholds) <= 0.05
        return Finds(self._found, labels)

    def predict(self, examples: Sequence[Example]) -> Entities:
        return Entities.of(
            [[each for each in self._found[example.text] if each[0][2] in self._names] for example in examples]
        )


class _Model:
    def eval(self) -> None:
        """Do nothing."""


def text_of(text: str, gold: list[WordSpan], known: Any = True) -> AskedText:
    """A text of five words that is asked for two types."""
    labels = [EntityLabel("city"), EntityLabel("ship")]
    return AskedText(Example(text, WORDS), labels, gold, np.broadcast_to(known, (5, 2)))


def test_f1_is_at_the_best_threshold_over_what_is_known() -> None:
    unsure = np.ones((5, 2), bool)
    unsure[3, 0] = False
    texts = [text_of("one", [(0, 1, "city")]), text_of("two", [(1, 3, "ship")], unsure), text_of("three", [])]
    found: Found = {
        "one": [((0, 1, "city"), -0.8), ((2, 3, "ship"), -2.0)],
        "two": [((1, 3, "ship"), -0.5), ((3, 5, "city"), 9.0)],  # nobody knows whether the last one is right
        "three": [((4, 5, "ship"), -2.5)],
    }
    score = HeldOutScore(lambda _: Finds(found), texts, make_process_group(TrainSettings()))(_Model())
    assert score.value == score.figures["f1"] == 1.0
    assert score.figures["f1_at_half"] == 0.0
    assert score.figures["threshold"] == 0.3
    assert score.facts["calibration"]["entities"] == 2
    assert score.facts["threshold"] == calibrate_threshold(0.3, scaling_of(score.facts))
    assert score.higher_is_better


def test_a_share_of_each_process_gives_the_same() -> None:
    texts = [text_of(str(number), [(number % 5, number % 5 + 1, "city")]) for number in range(7)]
    found: Found = {str(number): [((number % 3, number % 3 + 1, "city"), number - 4.0)] for number in range(7)}

    def score(group: Any) -> Any:
        return HeldOutScore(lambda _: Finds(found), texts, group)(_Model())

    whole = score(make_process_group(TrainSettings()))
    assert by_two_processes(score).figures == whole.figures
    assert 0 < whole.value < 1
