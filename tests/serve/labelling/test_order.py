"""Sentences come once, near-duplicates never; one in five is for the test."""

from nerbert.formats.documents import example_of_spans
from nerbert.records import Example
from nerbert.serve.labelling.order import FIRST, Draw, is_for_test


def sentences(count: int) -> list[Example]:
    return [example_of_spans(f"w{n} a{n} b{n} c{n} d{n} .", []) for n in range(count)]


def drawn(draw: Draw, count: int, uncertain: dict[int, float] | None = None) -> list[tuple[int, bool]]:
    found = []
    for _ in range(count):
        one = draw.next(uncertain or {})
        if one is None:
            break
        draw.show(one[0])
        found.append(one)
    return found


def test_all_come_once_in_an_order_of_the_seed() -> None:
    some = sentences(60)
    found = drawn(Draw(some, "random", 1), 100)
    assert sorted(number for number, _ in found) == list(range(60))
    assert found == drawn(Draw(some, "random", 1), 100)
    assert found != drawn(Draw(some, "random", 2), 100)
    assert [number for number, _ in found] != list(range(60))


def test_one_in_five_is_for_the_test_at_a_place_of_chance() -> None:
    places = [place for place in range(500) if is_for_test(place, 3)]
    assert [place // 5 for place in places] == list(range(100))
    assert {place % 5 for place in places} == {0, 1, 2, 3, 4}


def test_near_duplicates_never_come() -> None:
    some = [
        *sentences(5),
        example_of_spans("W0 a0, b0 c0 d0!", []),
        example_of_spans("w0 a0 b0 c0 other words here", []),
    ]
    numbers = {number for number, _ in drawn(Draw(some, "random", 0), 10)}
    assert len(numbers) == 6
    assert len(numbers & {0, 5}) == 1


def test_a_draw_that_is_made_again_goes_on() -> None:
    some = sentences(40)
    first = drawn(Draw(some, "random", 0), 40)
    again = Draw(some, "random", 0)
    for number, _ in first[:17]:
        again.show(number)
    assert drawn(again, 40) == first[17:]


def test_after_ten_the_uncertain_and_new_come_but_the_test_stays_random() -> None:
    some = sentences(200)
    draw = Draw(some, "mixed", 0)
    random = drawn(Draw(some, "random", 0), FIRST)
    assert drawn(draw, FIRST) == random
    sample = draw.sample()
    assert not {number for number, _ in random} & set(sample)
    uncertain = dict.fromkeys(sample, 0.0) | {sample[-1]: 0.9, sample[-2]: 0.8, sample[-3]: 0.7, sample[-4]: 0.6}
    later = drawn(draw, 5, uncertain)
    assert [number for number, test in later if not test] == [sample[-1], sample[-2], sample[-3], sample[-4]]
    assert [test for _, test in later].count(True) == 1


def test_of_equally_uncertain_ones_that_with_new_words_comes() -> None:
    old, new = example_of_spans("w0 a0 b0 x y z q", []), example_of_spans("k l m n o p", [])
    some = [*sentences(FIRST + 2), old, new]
    draw = Draw(some, "mixed", 0)
    for number in range(FIRST + 2):
        draw.show(number)
    while is_for_test(draw._shown, 0):
        draw._shown += 1
    assert draw.next({FIRST + 2: 0.5, FIRST + 3: 0.5}) == (FIRST + 3, False)
