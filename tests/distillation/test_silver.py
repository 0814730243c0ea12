"""The sentences that a teacher's tags make, and the sample of them."""

import random
from collections.abc import Sequence

import pytest

from nerbert import example
from nerbert.data.exclude import ngrams
from nerbert.distillation.silver import SilverSample, shares_words, silver_examples, soften
from nerbert.records import Document, Example, Span
from tests.tagger.jobs.fakes import Instant

TEXT = "Fram left Oslo. Nobody saw her.\nShe came to Bergen."


def found_in(text: str, spans: Sequence[Span], words: Example | None = None) -> list[Example]:
    return list(silver_examples(Instant(), Document(text, tuple(spans), words.words if words else None)))


def sentences(full: int, empty: int, more: str = "") -> list[Example]:
    made = [example(f"Ship {number}{more} sailed.", [(0, 4, "ship")]) for number in range(full)]
    return made + [example(f"Nobody {number}{more} slept.") for number in range(empty)]


def drawn(most: int, share: float, examples: list[Example], seed: int = 1) -> list[Example]:
    sample = SilverSample(most, share, seed)
    for each in examples:
        sample.add(each)
    return sample.drawn()


def test_each_sentence_has_its_own_entities_and_one_over_its_end_is_in_none() -> None:
    spans = [Span(0, 4, "ship", "Fram", 0.9), Span(10, 14, "port", "Oslo", 0.5), Span(44, 50, "port", "Bergen", 0.7)]
    assert [
        (each.text, [(each.text[span.start : span.end], span.text, span.confidence) for span in each.spans])
        for each in found_in(TEXT, spans)
    ] == [
        ("Fram left Oslo.", [("Fram", "Fram", 0.9), ("Oslo", "Oslo", 0.5)]),
        ("Nobody saw her.", []),
        ("She came to Bergen.", [("Bergen", "Bergen", 0.7)]),
    ]
    over = found_in(TEXT, [Span(10, 22, "x"), spans[2]])
    assert [[span.text for span in each.spans] for each in over] == [[], [], ["Bergen"]]
    given = example("don't", tokens=["don't"])
    (kept,) = found_in("don't", [Span(0, 5, "x", "don't")], given)
    assert kept == example("don't", [(0, 5, "x")], ["don't"]), "words that a row has are kept"


@pytest.mark.parametrize(
    ("full", "empty", "most", "share", "wanted"),
    [
        (10, 90, 100, 0.5, (10, 10)),
        (10, 90, 100, 0.9, (10, 90)),
        (10, 90, 100, 0.0, (10, 0)),
        (9, 9, 5, 0.5, (3, 2)),
        (80, 20, 50, 0.5, (40, 10)),
        (0, 9, 5, 0.5, (0, 0)),
        (9, 0, 5, 0.5, (5, 0)),
        (100, 100, 1, 0.5, (1, 0)),
        (10, 90, 8, 0.5, (4, 4)),
    ],
)
def test_a_share_at_most_is_without_entities(
    full: int, empty: int, most: int, share: float, wanted: tuple[int, int]
) -> None:
    found = drawn(most, share, sentences(full, empty))
    assert (sum(bool(each.spans) for each in found), sum(not each.spans for each in found)) == wanted


def test_the_draw_depends_on_texts_and_seed_alone() -> None:
    examples = sentences(60, 60)
    shuffled = random.Random(3).sample(examples * 2, 2 * len(examples))
    assert drawn(20, 0.5, examples) == drawn(20, 0.5, shuffled)
    assert drawn(20, 0.5, examples) != drawn(20, 0.5, examples, seed=2)
    assert len({each.text for each in drawn(200, 0.5, shuffled)}) == 120
    smaller, larger = ({each.text for each in drawn(count, 0.5, examples[:60])} for count in (10, 20))
    assert smaller < larger, "a larger draw holds the smaller one"


def test_of_equal_sentences_that_were_tagged_differently_the_surest_counts() -> None:
    def tagged(*sure: float) -> Example:
        places = [(0, 4), (10, 14)]
        spans = (Span(*place, "x", "", each) for place, each in zip(places, sure, strict=False))
        return Example("Fram left Oslo.", ((0, 4), (5, 9), (10, 14), (14, 15)), tuple(spans))

    ways = [tagged(), tagged(0.9), tagged(0.6, 0.7), *sentences(3, 3)]
    for order in (ways, ways[::-1]):
        found = drawn(20, 0.9, order)
        assert [each for each in found if "Fram" in each.text] == [tagged(0.6, 0.7)]


@pytest.mark.parametrize(
    ("threshold", "sure", "wanted"),
    [(0.1, 0.1, 0.5), (0.1, 0.5, 0.9), (0.2, 1.0, 1.0), (0.5, 0.6, 0.6), (0.9, 0.95, 0.95), (0.0, 0.3, 0.3)],
)
def test_confidences_are_taught_as_odds_above_a_low_threshold(threshold: float, sure: float, wanted: float) -> None:
    given = Example("Oslo", ((0, 4),), (Span(0, 4, "port", "Oslo", sure),))
    (span,) = soften(given, {"port": threshold}).spans
    assert span.confidence == pytest.approx(wanted)
    assert soften(given, {}) == given


def test_eight_words_in_a_row_or_a_short_equal_sentence_are_shared() -> None:
    texts = "One two three four five six seven eight nine.", "The Fram left Oslo."
    runs = frozenset().union(*(ngrams(text, 8) for text in texts))
    assert shares_words(example("And two three, four five six Seven eight nine ten"), runs)
    assert shares_words(example("the fram left oslo"), runs)
    assert not shares_words(example("two three four five six seven eight"), runs)
    assert not shares_words(example("Then the Fram left Oslo."), runs)
    assert not shares_words(example("The Fram left Oslo."), frozenset())
