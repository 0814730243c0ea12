from hypothesis import given
from hypothesis import strategies as st

from nerbert.labels import spans_from_bio
from nerbert.metrics.score import pair_of
from tests.metrics.taggings import PAIRS, TAGS, Pairs, split


@given(st.lists(st.lists(TAGS, max_size=12), max_size=8))
def test_both_decoders_agree(tags: list[list[str]]) -> None:
    pair = pair_of(tags, tags)
    wanted = [(number, *span) for number, each in enumerate(tags) for span in spans_from_bio(each)]
    sentences = pair.sentence_of(pair.gold).tolist()
    spans = [
        (number, start - pair.offsets[number], end - pair.offsets[number], type_)
        for number, (start, end, type_) in zip(sentences, pair.spans(pair.gold), strict=True)
    ]
    assert spans == wanted
    assert pair.sentences == len(tags)


@given(PAIRS)
def test_over_is_to_share_a_word(pairs: Pairs) -> None:
    pair = pair_of(*split(pairs))
    gold, found = pair.spans(pair.gold), pair.spans(pair.found)
    shares = [any(one[0] < other[1] and other[0] < one[1] for other in gold) for one in found]
    assert pair.found.over(pair.gold).tolist() == shares
