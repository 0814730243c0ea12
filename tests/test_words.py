import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.errors import InputError
from nerbert.formats.conll import example_of
from nerbert.words import SPLITTER, check_splitter, nearest_splitter, split_words


def words(text: str, splitter: str = SPLITTER) -> list[str]:
    return [text[start:end] for start, end in split_words(text, splitter)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Berlin-based U.S. firm's", ["Berlin", "-", "based", "U", ".", "S", ".", "firm", "'", "s"]),
        ("東京 is", ["東", "京", "is"]),
        ("東京Tower", ["東", "京", "Tower"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("cafe\u0301 ole", ["cafe\u0301", "ole"]),
        ("می\u200cخواهم", ["می\u200cخواهم"]),
        ("a\u200bb\x00 \u202e", ["a", "b"]),
        ("", []),
        (" \t\r\n\xa0", []),
    ],
)
def test_corpus_splitter(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_joined_splitter_keeps_hyphens_and_abbreviations() -> None:
    text = "The U.S. firm's Berlin-based unit paid 3.5 million."
    expected = ["The", "U.S.", "firm", "'s", "Berlin-based", "unit", "paid", "3.5", "million", "."]
    assert words(text, "joined-words-1") == expected


@pytest.mark.parametrize("splitter", ["unicode-words-1", "joined-words-1", "gliner-words-1"])
@given(text=st.text())
def test_words_are_disjoint_sorted_and_not_blank(splitter: str, text: str) -> None:
    place = 0
    for start, end in split_words(text, splitter):
        assert place <= start < end <= len(text)
        assert text[start:end].strip()
        place = end


def test_gliners_splitter_is_never_a_trainings_choice() -> None:
    text = "state-of-the-art snake_case, U.S. 東京タワー a\u200bb <<SEP>>"
    expected = ["state-of-the-art", "snake_case", ",", "U", ".", "S", ".", "東京タワー", "a", "\u200b", "b",
                "<", "<", "SEP", ">", ">"]  # fmt: skip
    assert words(text, "gliner-words-1") == expected
    assert nearest_splitter([example_of(["state-of-the-art", "snake_case-a"], ["O", "O"])]) == "joined-words-1"
    assert nearest_splitter([example_of(["東京タワー"], ["O"])]) == SPLITTER


def test_nearest_splitter_follows_the_tokens() -> None:
    joined = [example_of(["U.S.", "Berlin-based", "firm"], ["O", "O", "O"])]
    plain = [example_of(["U", ".", "S", ".", "firm"], ["O"] * 5)]
    assert nearest_splitter(joined) == "joined-words-1"
    assert nearest_splitter(plain) == SPLITTER


def test_unknown_splitter_is_refused() -> None:
    with pytest.raises(InputError, match="word splitter 'other'"):
        check_splitter("other")
