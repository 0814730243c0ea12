from hypothesis import given
from hypothesis import strategies as st

from nerbert.sentences import RuleSplitter, join_in_links


def split(text: str, *anchors: str) -> list[str]:
    starts = [text.index(anchor) for anchor in anchors]
    ends = [text.index(anchor) + len(anchor) for anchor in anchors]
    spans = RuleSplitter("en").spans(text)
    return [text[start:end] for start, end in join_in_links(spans, starts, ends)]


def test_no_link_is_cut_and_a_border_beside_one_stays() -> None:
    text = "He saw Yes! No? Maybe. Twice. Then Oh. He. Left. End."
    assert split(text) == ["He saw Yes!", "No?", "Maybe.", "Twice.", "Then Oh.", "He.", "Left.", "End."]
    assert split(text, "Yes! No? Maybe.", "Oh. He.") == [
        "He saw Yes! No? Maybe.", "Twice.", "Then Oh. He.", "Left.", "End.",
    ]  # fmt: skip
    assert split(text, text) == [text]
    assert split("", "") == []
    assert split("I saw Rome. Oslo is far.", "Rome.", "Oslo") == ["I saw Rome.", "Oslo is far."]
    assert split("I saw Rome. Oslo is far.", "Rome", "Oslo") == ["I saw Rome.", "Oslo is far."]


def _borders(places: list[int], limit: int) -> list[tuple[int, int]]:
    ordered = sorted({min(place, limit) for place in places})
    return list(zip(ordered[::2], ordered[1::2], strict=False))


@given(st.lists(st.integers(0, 60), max_size=20), st.lists(st.integers(0, 60), max_size=10))
def test_joining_does_what_it_says_slowly(cuts: list[int], places: list[int]) -> None:
    spans, links = _borders(cuts, 60), _borders(places, 60)
    expected: list[tuple[int, int]] = []
    for start, end in spans:
        if expected and any(first < start < last for first, last in links):
            expected[-1] = (expected[-1][0], end)
        else:
            expected.append((start, end))
    assert join_in_links(spans, [start for start, _ in links], [end for _, end in links]) == expected
