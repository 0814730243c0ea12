from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.data.sampling import draw_subset, parse_size
from nerbert.errors import InputError, NerbertError, SettingsError
from nerbert.formats.conll import example_of
from nerbert.records import Example
from tests.raised import raises

TYPES = "abcd"
DRAWS = st.integers(1, 50)


def sentence(types: str, text: str = "") -> Example:
    """A sentence with an entity of each of these types, and one word more."""
    return example_of([text or "and", *types], ["O", *(f"B-{type_}" for type_ in types)])


SENTENCES = st.lists(
    st.builds(sentence, st.text(TYPES, max_size=4), st.sampled_from(["", "x", "y", "z"])), min_size=1, max_size=40
)
WITH_ENTITIES = SENTENCES.filter(lambda examples: any(each.spans for each in examples))


def entities(examples: Sequence[Example], places: Sequence[int]) -> Counter[str]:
    return Counter(span.type for place in places for span in examples[place].spans)


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("all", "all"),
        ("ALL ", "all"),
        (50, "50"),
        ("50", "50"),
        ("050", "50"),
        ("5%", "5%"),
        ("5.0 %", "5%"),
        ("0", "0"),
        (0, "0"),
        ("0.50%", "0.5%"),
        ("100%", "100%"),
        ("10%", "10%"),
        ("k=4", "k=4"),
        ("K = 04", "k=4"),
        ("k=100", "k=100"),
        ("5 way 1 shot", "5 way 1 shot"),
        ("5-way 1-shot", "5 way 1 shot"),
        ("10  ways 5 shots", "10 way 5 shot"),
        ("5 way 5 shot 5 queries", "5 way 5 shot"),
        ("5 way 1 shot 1 query", "5 way 1 shot"),
        ("10 way 1 shot 1 query", "10 way 1 shot"),
        ("5 way 1 shot 2 queries", "5 way 1 shot 2 queries"),
        ("10 way 5 shot 1 query", "10 way 5 shot"),
    ],
)
def test_a_size_has_one_name(written: str | int, canonical: str) -> None:
    size = parse_size(written)
    assert str(size) == canonical
    assert parse_size(str(size)) == size


WRONG = ["", "some", "-5", "5.5", "k=", "k=4%", "5 way", "1 shot", "5%%", "٥", "1" * 10, True, 5.0, None]
NOTHING = ["0%", "k=0", "0 way 1 shot", "5 way 0 shot", "5 way 1 shot 0 query"]


@pytest.mark.parametrize(
    ("act", "kind", "words"),
    [
        *[(lambda wrong=wrong: parse_size(wrong), SettingsError, 'must be "all"') for wrong in WRONG],
        *[(lambda nothing=nothing: parse_size(nothing), SettingsError, "must be above 0") for nothing in NOTHING],
        (lambda: parse_size("100.5%"), SettingsError, "at most 100%"),
        (lambda: draw_subset([sentence("a")] * 2, 3, 1), SettingsError, "size 3: there are only 2 sentences"),
        (lambda: draw_subset([sentence("a")], 2, 1), SettingsError, "there is only 1 sentence; take"),
        (lambda: draw_subset([sentence("a")], "1 way 1 shot", 1), SettingsError, "episodes exist in suites only"),
        (lambda: draw_subset([sentence("a")], 1, 0), SettingsError, "draw 0: draws are numbered from 1"),
        (lambda: draw_subset([sentence("")] * 1000, "k=1", 1), InputError, "no entity in 1,000 sentences"),
        (lambda: draw_subset([], "5%", 1), InputError, "no sentences to draw 5% from"),
        (lambda: draw_subset([sentence("")], "k=1", 1), InputError, "no entity in 1 sentence, so"),
    ],
)
def test_messages(act: Callable[[], object], kind: type[NerbertError], words: str) -> None:
    with raises(kind, words):
        act()


@given(SENTENCES, DRAWS, st.data())
def test_sentences_and_shares_nest(examples: list[Example], draw: int, data: st.DataObject) -> None:
    numbers = sorted(data.draw(st.lists(st.integers(1, len(examples)), min_size=2, max_size=4)))
    subsets = [draw_subset(examples, number, draw) for number in numbers]
    subsets += [draw_subset(examples, f"{share}%", draw) for share in data.draw(st.lists(st.integers(1, 100)))]
    subsets.sort(key=lambda subset: len(subset.places))
    for smaller, larger in pairwise(subsets):
        assert set(smaller.places) <= set(larger.places)
    for subset in subsets:
        assert list(subset.places) == sorted(set(subset.places))
        assert Counter(subset.reached) == entities(examples, subset.places)
    assert all(len(draw_subset(examples, number, draw).places) == number for number in numbers)


@pytest.mark.parametrize(
    ("share", "there", "taken"), [("1%", 10, 1), ("5%", 612, 31), ("5%", 610, 31), ("0.1%", 541, 1), ("100%", 7, 7)]
)
def test_a_share_is_rounded_and_at_least_one(share: str, there: int, taken: int) -> None:
    examples = [sentence("", f"word{number}") for number in range(there)]
    assert len(draw_subset(examples, share, 1).places) == taken


def test_draws_differ_and_each_sentence_has_its_share_of_luck() -> None:
    """Whether it has entities or not."""
    examples = [sentence("a" * (number % 2), f"word{number}") for number in range(20)]
    subsets = [draw_subset(examples, 5, draw).places for draw in range(1, 401)]
    assert len(set(subsets)) > 390
    times = Counter(place for places in subsets for place in places)
    assert all(60 < times[place] < 140 for place in range(20)), "100 times is what to expect; sd is 9"
    assert draw_subset(examples, "all", 1).places == tuple(range(20))


def test_a_sentences_place_is_no_part_of_its_luck() -> None:
    examples = [sentence("a", f"word{number}") for number in range(60)]
    drawn, turned = (
        {some[place].text for place in draw_subset(some, 20, 3).places} for some in (examples, examples[::-1])
    )
    assert drawn == turned


def test_equal_sentences_have_coins_of_their_own() -> None:
    subsets = {draw_subset([sentence("a")] * 12, 4, draw).places for draw in range(1, 30)}
    assert len(subsets) > 20
    assert all(len(set(places)) == 4 for places in subsets)


@given(WITH_ENTITIES, DRAWS, st.integers(1, 6))
def test_k_entities_of_each_type_or_all_there_are(examples: list[Example], draw: int, k: int) -> None:
    subset = draw_subset(examples, f"k={k}", draw)
    there = entities(examples, range(len(examples)))
    assert Counter(subset.there) == there
    assert set(subset.reached) == set(there)
    for type_, count in there.items():
        assert min(k, count) <= subset.reached[type_] <= count
    assert subset.short == {type_: count for type_, count in there.items() if count < k}
    assert all(examples[place].spans for place in subset.places)
    assert set(subset.places) <= set(draw_subset(examples, f"k={k + 1}", draw).places), "nested over k"
    asked = sum(min(k, count) for count in there.values())
    assert len(subset.places) <= asked, "each one taken was taken for a type that wanted one more"


def test_the_rarest_type_comes_first() -> None:
    """The two with `a` bring b and c along, so no other is needed."""
    examples = [
        sentence("abc", "x"),
        sentence("abc", "y"),
        *[sentence("b", f"b{n}") for n in range(30)],
        *[sentence("c", f"c{n}") for n in range(30)],
    ]
    for draw in range(1, 20):
        assert draw_subset(examples, "k=2", draw).places == (0, 1)
