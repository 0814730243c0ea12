import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.errors import InputError, MissingExtra
from nerbert.formats.conll import example_of
from nerbert.records import Example, Span
from nerbert.words import (
    SPLITTER,
    check_splitter,
    icu_splitter,
    nearest_splitter,
    split_words,
    splitter_named,
    whole_words,
)
from tests.expected import rows
from tests.raised import raises


def words(text: str, splitter: str = SPLITTER) -> list[str]:
    return [text[start:end] for start, end in split_words(text, splitter)]


@pytest.mark.parametrize(("text", "expected"), rows(__file__, "words"))
def test_corpus_splitter(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize(
    ("splitter", "text", "expected"),
    [
        (
            "joined-words-1",
            "The U.S. firm's Berlin-based unit paid 3.5 million. a.com",
            "The|U.S.|firm|'s|Berlin-based|unit|paid|3.5|million|.|a.com",
        ),
        ("joined-words-2", "U.S. jane.doe@b.org's", "U.S.|jane.doe@b.org|'s"),
        (
            "unicode-words-1",
            "서울에서 น้ำ http://a.com jane@b.org #x",
            "서울에서|น้ำ|http|:|/|/|a|.|com|jane|@|b|.|org|#|x",
        ),
        (
            "gliner-words-1",
            "state-of-the-art snake_case, U.S. 東京タワー a\u200bb <<SEP>>",
            "state-of-the-art|snake_case|,|U|.|S|.|東京タワー|a|\u200b|b|<|<|SEP|>|>",
        ),
        (
            "gliner2-words-1",
            "See HTTPS://a.org/b. or jo.doe+x@a.co.uk., @jo_doe! nai\u0308ve a\u200db-c_d İst",
            "See|HTTPS://a.org/b.|or|jo.doe+x@a.co.uk|.|,|@jo_doe|!|nai\u0308ve|a\u200db-c_d|İst",
        ),
    ],
)
def test_other_splitters(splitter: str, text: str, expected: str) -> None:
    assert words(text, splitter) == expected.split("|")


def test_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    with raises(InputError, "word splitter 'icu-words-1/'; this version of nerbert has unicode, icu, unicode-words-1,"):
        check_splitter("icu-words-1/")
    with raises(InputError, "word splitter 'other'"):
        check_splitter("other")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with raises(MissingExtra, "icu not installed: pip install 'nerbert[icu]'"):
        check_splitter("icu-words-1/77")


@pytest.mark.parametrize("piece", [".", "@", "a.", "a-", "#", "#_1", "a@", "www.", "a.b.c", ".com", "x@a.", "http://"])
def test_hostile_text_is_split_in_one_go(piece: str) -> None:
    text = f"x@{piece * 20_000}"
    assert "".join(words(text)) == text  # would take hours if places were looked at again and again
    assert split_words(text, "gliner2-words-1")[-1][1] == len(text)


@pytest.mark.extras
def test_a_dictionary_cuts_scripts_without_spaces() -> None:
    name = icu_splitter()
    assert check_splitter(name) == splitter_named("icu") == name
    assert words("ภาษาไทย x서울", name) == ["ภาษา", "ไทย", "x", "서", "울"]
    assert words("នៅឆ្នាំ១៩៥៣ប្រទេស ปี๒๕๖๗ไทย", name) == ["នៅ", "ឆ្នាំ", "១៩៥៣", "ប្រទេស", "ปี", "๒๕๖๗", "ไทย"]
    assert words("東京都𠀀 a@b.org", name)[-1] == "a@b.org"
    assert "".join(words("𠀀𠀁漢字かな", name)) == "𠀀𠀁漢字かな"
    with raises(InputError, "needs ICU 1; installed is "):
        check_splitter("icu-words-1/1")
    for tokens, nearest in ((["ภาษา", "ไทย"], name), (list("王小明在北京"), SPLITTER), (["plain", "words"], SPLITTER)):
        assert nearest_splitter([example_of(tokens, ["O"] * len(tokens))], name) == nearest


SPLITTERS = [f"{name}-{number}" for name in ("unicode-words", "joined-words") for number in (1, 2)]


@given(st.sampled_from([*SPLITTERS, "gliner-words-1", "gliner2-words-1"]), st.text())
def test_words_are_disjoint_sorted_and_not_blank(splitter: str, text: str) -> None:
    place = 0
    for start, end in split_words(text, splitter):
        assert place <= start < end <= len(text)
        assert text[start:end].strip()
        place = end


@pytest.mark.parametrize(
    ("tokens", "splitter"),
    [
        (["U.S.", "Berlin-based", "firm"], "joined-words-2"),
        (["U", ".", "S", ".", "firm"], SPLITTER),
        (["서울에서", "왔다", "."], "unicode-words-1"),
        (["서", "울", "에", "서"], SPLITTER),
        (["state-of-the-art", "snake_case-a"], "joined-words-2"),
        (["東京タワー"], SPLITTER),
    ],
)
def test_the_nearest_splitter_follows_the_tokens(tokens: list[str], splitter: str) -> None:
    """It is never GLiNER's."""
    assert nearest_splitter([example_of(tokens, ["O"] * len(tokens))]) == splitter


def test_splitters_have_short_names() -> None:
    assert [splitter_named(name) for name in ("unicode", "joined-words-1")] == [SPLITTER, "joined-words-1"]


def test_what_cut_texts_is_nearest_to_them() -> None:
    """Also where others cut coarser, which would leave its words whole."""
    for name, text in (
        ("unicode-words-1", "Read www.oslo.org now, @oslo says."),
        ("gliner-words-1", "Oslo-based, of Oslo/Nord"),
        ("joined-words-1", "@jack's state-of-the-art"),
        ("unicode-words-2", "Berlin-based www.oslo.org"),
    ):
        assert nearest_splitter([Example(text, split_words(text, name), ())], name) == name


@pytest.mark.parametrize(("text", "entity", "expected"), rows(__file__, "whole_words"))
def test_words_that_hold_all_characters(text: str, entity: str, expected: list[str]) -> None:
    start = text.index(entity)
    spans = (Span(start, start + len(entity), "x"),) if entity else ()
    assert [*whole_words(Example(text, split_words(text), spans)).tokens] == expected


def test_visible_characters_between_words_become_words() -> None:
    assert whole_words(Example("Ann,Bo (2) New York", ((0, 3), (4, 6), (11, 19)))).tokens == (
        "Ann",
        ",",
        "Bo",
        "(",
        "2",
        ")",
        "New York",
    )


@given(st.text(), st.data())
def test_no_character_is_lost_and_no_entity_cut(text: str, data: st.DataObject) -> None:
    words = split_words(text)
    chosen = sorted(data.draw(st.sets(st.sampled_from(range(len(words) + 1)), max_size=4)))
    spans = [
        Span(words[one][0], words[other - 1][1], "x") for one, other in zip(chosen[::2], chosen[1::2], strict=False)
    ]
    found = whole_words(Example(text, words, tuple(spans)))
    assert "".join("".join(found.tokens).split()) == "".join(text.removeprefix("\ufeff").split())
    starts, ends = {start for start, _ in found.words}, {end for _, end in found.words}
    assert all(each.start in starts and each.end in ends for each in spans)


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        ("在 北京 大学 。", "在北京大学。"),
        ("「 東京 タワー 」 は 333 m", "「東京タワー」は 333 m"),
        ("กรุงเทพ มหานคร กำ แพง", "กรุงเทพมหานครกำแพง"),
        ("서 울 에서 김", "서울 에서 김"),
        ("서울에서 김철수는 그 후", "서울에서 김철수는 그후"),
        ("in 北京 , 2008", "in 北京 , 2008"),
        ("は い ！ ？ “ 好 ” 。", "はい！？“好”。"),
        ("Rome 。", "Rome 。"),
    ],
)
def test_tokens_of_scripts_without_spaces_are_joined(tokens: str, text: str) -> None:
    example = example_of(tokens.split(), ())
    assert example.text == text
    assert [text[start:end] for start, end in example.words] == tokens.split()
