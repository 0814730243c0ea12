import pytest

from nerbert.errors import InputError
from nerbert.records import Sentence, Span
from tests.raised import raises


@pytest.mark.parametrize(("start", "end"), [(-1, 2), (3, 3), (4, 2)])
def test_span_refuses_empty_and_negative(start: int, end: int) -> None:
    with raises(InputError, f"span [{start}, {end}) of type 'person'"):
        Span(start, end, "person")


def test_sentence_id() -> None:
    sentence = Sentence("enwiki", 12, 345, "Title", 67, "Text.", ((0, 4), (4, 5)), ())
    assert sentence.id == "enwiki:12:345:67"
