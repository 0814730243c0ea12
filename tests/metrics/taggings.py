"""Random taggings, which the tests of scores share: every illegal transition, and empty sentences."""

from hypothesis import strategies as st

TAGS = st.sampled_from(["O", "B-x", "I-x", "B-y", "I-y", "B-a-b", "I-a-b"])
PAIRS = st.lists(st.lists(st.tuples(TAGS, TAGS), max_size=12), min_size=1, max_size=6)
"""Sentences of words, each with its gold and its predicted tag."""

Pairs = list[list[tuple[str, str]]]
Tagging = list[list[str]]


def split(pairs: Pairs) -> tuple[Tagging, Tagging]:
    """Gold and predicted tags."""
    return [[one for one, _ in sentence] for sentence in pairs], [
        [other for _, other in sentence] for sentence in pairs
    ]
