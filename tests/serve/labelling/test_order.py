"""Sentences come once, near-duplicates never; one in five is for the test."""

from nerbert.formats.documents import example_of_spans
from nerbert.records import Example
from nerbert.serve.labelling.sentences import Draw, is_for_test


def sentences(count: int) -> list[Example]:
    return [example_of_spans(f"w{n} a{n} b{n} c{n} d{n} .", []) for n in range(count)]


def drawn(draw: Draw, count: int) -> list[tuple[int, bool]]:
    found = []
    for _ in range(count):
        one = draw.next()
        if one is None:
            break
        draw.show(one[0])
        found.append(one)
    return found


def test_all_come_once_in_an_order_of_the_seed() -> None:
    some = sentences(60)
    found = drawn(Draw(some, 1), 100)
    assert sorted(number for number, _ in found) == list(range(60))
    assert found == drawn(Draw(some, 1), 100)
    assert found != drawn(Draw(some, 2), 100)
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
    numbers = {number for number, _ in drawn(Draw(some, 0), 10)}
    assert len(numbers) == 6
    assert len(numbers & {0, 5}) == 1


def test_a_draw_that_is_made_again_goes_on() -> None:
    some = sentences(40)
    first = drawn(Draw(some, 0), 40)
    again = Draw(some, 0)
    for number, _ in first[:17]:
        again.show(number)
    assert drawn(again, 40) == first[17:]
