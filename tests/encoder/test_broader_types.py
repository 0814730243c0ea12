"""The rule by which a type is broader than another one."""

from nerbert.encoder.open_texts import BroaderTypes

Text = tuple[list[tuple[int, int, str]], tuple[str, ...] | None]


def ancestors(*texts: Text) -> dict[str, tuple[str, ...]]:
    counted = BroaderTypes()
    for spans, asked in texts:
        counted.add(spans, asked)
    return counted.ancestors()


BOTH: Text = ([(0, 1, "politician"), (0, 1, "person")], None)
NARROW: Text = ([(0, 1, "politician")], None)
BROAD: Text = ([(0, 1, "person"), (2, 3, "person")], None)
APART: Text = ([(0, 1, "politician"), (0, 2, "person")], None)
TWICE: Text = ([(0, 1, "politician"), (0, 1, "politician"), (0, 1, "person")], None)


def test_a_type_that_is_on_most_spans_of_another_is_broader() -> None:
    assert ancestors(BOTH, BOTH, BROAD) == {"politician": ("person",)}
    assert ancestors(*[BOTH] * 4, NARROW, BROAD) == {"politician": ("person",)}
    assert ancestors(*[BOTH] * 3, NARROW, BROAD) == {}
    assert ancestors(BOTH, BROAD) == {}, "one mention is too little"
    assert ancestors(BOTH, BOTH) == {}, "of types that are equally frequent none is broader"
    assert ancestors(APART, APART, BROAD) == {}, "spans that merely overlap count for nothing"
    assert ancestors(TWICE, BROAD) == {}, "a type on a span twice counts once"


def test_only_texts_in_which_the_broader_type_was_asked_for_count() -> None:
    unasked: Text = ([(0, 1, "politician")], ("politician", "ship"))
    asked: Text = ([(0, 1, "politician")], ("person", "politician"))
    assert ancestors(BOTH, BOTH, BROAD, *[unasked] * 5) == {}
    broad = [BROAD] * 5
    assert ancestors(BOTH, BOTH, *broad, *[unasked] * 5) == {"politician": ("person",)}
    assert ancestors(BOTH, BOTH, *broad, *[asked] * 5) == {}
