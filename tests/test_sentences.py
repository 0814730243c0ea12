from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nerbert.sentences import (
    _END,
    _WIDE,
    SEVERAL_LANGUAGES,
    RuleSplitter,
    guess_language,
    is_foreign,
    join_in_links,
    splitter_for,
)
from nerbert.tables import read_columns
from tests.expected import rows

PIECES = [
    "a",
    "B.",
    "Dr.",
    "x!",
    "?",
    ".",
    '"',
    ")",
    "(",
    "Ü",
    "中。",
    "。",
    "」",
    "5.",
    "e.g.",
    "Der",
    "The",
    "z. B.",
    "…",
    "...",
    " ",
    "  ",
    "\n",
    "\t",
    "\xa0",
    "\u2028",
    "é",
    "é.",
    "[",
    "]",
    "'",
    "XIV.",
    "°C.",
    "*",
    "—",
    "U.S.",
    "longer.",
    "\x00",
    "（",
    "）",
    "「",
    "।",
    "།",
    "༄",
    "፡",
    ";",
    ":",
    "กกกกกกกกกกกกกกกกกกกกก",
    "ა",
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=40).map("".join) | st.text(max_size=60)
LANGUAGES = st.sampled_from(["en", "de", "it", "fr", "el", "hy", "ja", "th", "xx", ""])


def split(text: str, language: str = "en") -> list[str]:
    return [text[start:end] for start, end in RuleSplitter(language).spans(text)]


@pytest.mark.parametrize(("language", "text"), rows(__file__, "sentences"))
def test_sentences_end_where_bars_stand(language: str, text: str) -> None:
    joined = text.replace(" | ", "" if language in ("ja", "zh") else " ")
    assert split(joined, language) == text.split(" | ")


def test_wide_marks_need_no_white_space() -> None:
    assert split("वह गया।वह आया।", "hi") == ["वह गया।", "वह आया।"]
    assert split("मैं (वह आया। वह गया) हूँ।", "hi") == ["मैं (वह आया। वह गया) हूँ।"]


CLAUSE = "กรุงเทพมหานครเป็นเมืองหลวงและนครที่มีประชากรมากที่สุดของประเทศไทย"  # 64 characters
NEXT = "ตั้งอยู่บนสามเหลี่ยมปากแม่น้ำเจ้าพระยา"  # 38


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("th", f"{CLAUSE} {NEXT} | {CLAUSE} {NEXT} | {CLAUSE}"),
        ("th", f"{CLAUSE} {NEXT} {NEXT}"),  # the rest is too short
        ("th", f"{CLAUSE} {NEXT} ซึ่ง{NEXT} | {CLAUSE}"),
        ("th", f"{CLAUSE} (รัชกาลที่ {NEXT} {CLAUSE}) {NEXT} | {CLAUSE}"),
        ("th", f"{CLAUSE} {NEXT} เมื่อ 20 กันยายน พ.ศ. 2396 ณ Oslo {CLAUSE}ต่าง ๆ {CLAUSE}"),
        ("km", " ".join(["ភ្នំពេញជារាជធានីនៃព្រះរាជាណាចក្រកម្ពុជា"] * 5)),  # 250 characters are needed
        ("en", f"{CLAUSE} {NEXT} {CLAUSE}"),
    ],
)
def test_long_sentences_without_end_marks_are_cut_at_a_space(language: str, text: str) -> None:
    assert split(text.replace(" | ", " "), language) == text.split(" | ")


@given(TEXTS, LANGUAGES)
def test_spans_hold_all_that_is_seen(text: str, language: str) -> None:
    spans = RuleSplitter(language).spans(text)
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert all(one[1] <= other[0] for one, other in pairwise(spans))
    covered = {place for start, end in spans for place in range(start, end)}
    assert all(place in covered or char.isspace() for place, char in enumerate(text))
    for start, end in spans:
        assert "\n" not in text[start:end]
        assert text[start:end] == text[start:end].strip()
        small = text[start].islower() and text[start].title() != text[start]
        assert not small or not text[:start].rpartition("\n")[2].strip()


@given(TEXTS, TEXTS, LANGUAGES)
@example(". B. The z", "", "de")
@example("z", ". B. Die", "de")
def test_paragraphs_do_not_touch_each_other(one: str, other: str, language: str) -> None:
    splitter = RuleSplitter(language)
    shift = len(one) + 1
    assert splitter.spans(f"{one}\n{other}") == splitter.spans(one) + [
        (start + shift, end + shift) for start, end in splitter.spans(other)
    ]


@pytest.mark.parametrize(
    "piece",
    [
        ".",
        "A. ",
        ". ",
        "(",
        "((A. ",
        "?",
        "...",
        "…",
        "a",
        "!)",
        "。",
        "? 。",
        '."',
        "A.b.",
        "(Aaaaa. B",
        "(Aaaaa. B) ",
        "\n",
        " ",
        "Dr. ",
        ". é ",
        "z. B. ",
        "[... A",
        "1. ",
        "XIV. A",
        ". (",
        "'",
        "Aaaaa. (",
        "（。",
        "「。",
        "。」",
        "（。）",
        "(।)",
        "། །",
        "། ",
        "፡",
        "กกกกกกกกกกกกกกกก ",
        "(ก ก",
        "“ก ",
        "。（",
        "a: A",
    ],
)
@pytest.mark.parametrize("language", ["de", "th"])
def test_hostile_text_is_finished(piece: str, language: str) -> None:
    text = piece * 15_000
    spans = RuleSplitter(language).spans(text)
    assert not spans or spans[-1][1] == len(text.rstrip())


def test_the_word_lists_keep_their_form() -> None:
    rows = list(read_columns("sentence_words.tsv", "languages", "kind", "words"))
    assert len({(languages, kind, words[:20]) for languages, kind, words in rows}) == len(rows) > 200
    for languages, kind, words in rows:
        each = words.split(" ")
        assert kind in {"never", "seldom", "numbered", "unit", "starter", "joiner"}, languages
        assert "" not in each, (languages, kind)
        assert len(set(each)) == len(each), (languages, kind)
        assert kind == "joiner" or not any(word.endswith(".") for word in each), (languages, kind)
        small = [word for word in each if word[0].islower() and word[0].title() != word[0]]
        assert kind != "starter" or not small, (languages, small)


@pytest.mark.parametrize("mark", sorted({*_END, *_WIDE} - {"፡", "၊"}))
def test_each_end_mark_ends_a_sentence(mark: str) -> None:
    text = f"Abcdef ghijk{mark} Lmnopq rstuv{mark}"
    assert [text[start:end] for start, end in RuleSplitter("xx").spans(text)] == text.replace(" L", "\nL").split("\n")


def joined(text: str, *anchors: str) -> list[str]:
    starts = [text.index(anchor) for anchor in anchors]
    ends = [text.index(anchor) + len(anchor) for anchor in anchors]
    spans = RuleSplitter("en").spans(text)
    return [text[start:end] for start, end in join_in_links(spans, starts, ends)]


def test_no_link_is_cut_and_a_border_beside_one_stays() -> None:
    text = "He saw Yes! No? Maybe. Twice. Then Oh. He. Left. End."
    assert joined(text) == ["He saw Yes!", "No?", "Maybe.", "Twice.", "Then Oh.", "He.", "Left.", "End."]
    assert joined(text, "Yes! No? Maybe.", "Oh. He.") == [
        "He saw Yes! No? Maybe.",
        "Twice.",
        "Then Oh. He.",
        "Left.",
        "End.",
    ]
    assert joined(text, text) == [text]
    assert joined("", "") == []
    assert joined("I saw Rome. Oslo is far.", "Rome.", "Oslo") == ["I saw Rome.", "Oslo is far."]
    assert joined("I saw Rome. Oslo is far.", "Rome", "Oslo") == ["I saw Rome.", "Oslo is far."]


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


@pytest.mark.parametrize(
    ("text", "language", "sentences"),
    [
        ("Er kam am 3. März nach Köln. Dann ging er.", "de", 2),
        ("Hij kwam op 3 mei. Daarna ging hij.", "nl", 2),
        ("He came on 3 March. Then he left.", "en", 2),
        ("Он был там 3. Она ушла, но он остался.", "ru", 2),
        ("I saw Dr. Meyer on 3. May.", SEVERAL_LANGUAGES, 1),
        ("東京。大阪。", SEVERAL_LANGUAGES, 2),
        ("ก" * 200 + " " + "ก" * 200, "th", 2),
        ("I'd say it's late. We don't.", "en", 2),
    ],
)
def test_a_text_is_split_by_the_rules_of_its_own_language(text: str, language: str, sentences: int) -> None:
    assert guess_language(text) == language
    splitter = splitter_for(SEVERAL_LANGUAGES, text)
    assert splitter is splitter_for(language, "") is splitter_for(f"{language}-XX", "")
    assert len(splitter.spans(text)) == sentences


GERMAN = "Der Vertrag wurde am Montag in Kiel von der Kanzlei geprüft, und die Firma hat ihn nicht unterschrieben."


@pytest.mark.parametrize(
    ("text", "language", "foreign"),
    [
        (GERMAN, "en", True),
        (GERMAN, "de", False),
        (GERMAN, "en-GB", True),
        (GERMAN, "mul", False),
        (
            "The contract was signed in Kiel by the firm Der Blaue Anker and the office of Die Welt on Monday.",
            "en",
            False,
        ),
        ("Kiel, Lübeck, Husum", "en", False),
        ("I don't remember. I've tried, and I don't remember.", "en", False),
        ("Уговор је потписан у Београду у понедељак, а фирма га није оверила.", "sr", False),
        (GERMAN, "", False),
        ("Договор был подписан в Киеве в понедельник.", "en", True),
        ("The city of 北京大学北京大学北京大学 is a place in China, and the firm is at home there.", "en", False),
        ("合同于周一在北京签署，公司代表和律师都在场。双方还约定下个月在上海再次会面。", "en", True),
        ("合同于周一在北京签署，公司代表和律师都在场。双方还约定下个月在上海再次会面。", "zh", False),
    ],
)
def test_another_language_is_seen(text: str, language: str, foreign: bool) -> None:
    assert is_foreign(text, language) == foreign
