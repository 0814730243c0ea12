import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nerbert.corpus.dump.sites import make_site
from nerbert.corpus.page_rows import PageRows
from nerbert.corpus.settings import CorpusSettings
from nerbert.corpus.word_columns import Words, links_on_words, numbers_column, strings_column, words_of
from nerbert.records import RawPage, Reason
from nerbert.words import icu_splitter, split_words

ALPHABET = (
    "ab1_-. ,'’éß中國かナ한อก๒ำក្\u1112\u1161\u11ab@#:/wcom"
    "\u0301\u0308\u200c\u200d\u200b\u00ad\u0000\ufeff😀👩\u0903\U0001d400\ud800"
)
LINES = st.lists(
    st.text(ALPHABET, max_size=30) | st.text(max_size=20).map(lambda text: text.replace("\n", " ")), min_size=1
)


def by_sentence(words: Words) -> list[tuple[tuple[int, int], ...]]:
    begins = words.sentences.tolist()
    spans = list(zip(words.starts.tolist(), words.ends.tolist(), strict=True))
    return [
        tuple((start - begin, end - begin) for start, end in spans[first:last])
        for begin, first, last in zip(begins, words.first.tolist(), words.first.tolist()[1:], strict=False)
    ]


@given(LINES)
@example(["bbc.co.uk", "EXAMPLE.CO.UK EXAMPLE.COM.AU", "x.co.uk/a b.co x.com.It"])
@example(["..."])
@example(["\u200b", "a"])
@example([" "])
def test_words_are_those_of_the_splitter(texts: list[str]) -> None:
    assert by_sentence(words_of(texts)) == [split_words(text) for text in texts]


@pytest.mark.extras
def test_words_by_a_dictionary_are_those_of_the_splitter() -> None:
    texts = ["ภาษาไทย, น้ำ 5", "plain words", "東京都は日本。", "서울에서 a@b.org"]
    assert by_sentence(words_of(texts, icu_splitter())) == [split_words(text, icu_splitter()) for text in texts]


def test_every_character_is_of_the_class_that_the_splitter_gives_it() -> None:
    characters = [chr(code) for code in (*range(10), *range(11, 0x20000), *range(0x20000, 0x110000, 64))]
    for place in range(0, len(characters), 100_000):
        some = [f"a{char}b" for char in characters[place : place + 100_000]]
        assert by_sentence(words_of(some)) == [split_words(text) for text in some]


@given(st.data())
def test_links_are_kept_on_word_edges_and_counted_elsewhere(data: st.DataObject) -> None:
    texts = data.draw(st.lists(st.text("ab -c", min_size=1, max_size=12), min_size=1, max_size=5))
    gaps = data.draw(st.lists(st.integers(1, 3), min_size=len(texts), max_size=len(texts)))
    begins, place = [], 0
    for text, gap in zip(texts, gaps, strict=True):
        begins.append(place + gap)
        place += gap + len(text)
    places = sorted(data.draw(st.sets(st.integers(0, begins[-1] + len(texts[-1]) + 2))))
    pairs = list(zip(places[::2], places[1::2], strict=False))
    words = words_of(texts)
    links = links_on_words(begins, texts, words, [a for a, _ in pairs], [b for _, b in pairs])
    kept, cutting, outside = [], 0, 0
    for number, (start, end) in enumerate(pairs):
        owner = next((n for n, b in enumerate(begins) if b <= start and end <= b + len(texts[n])), None)
        if owner is None:
            outside += 1
            continue
        spans = split_words(texts[owner])
        whole = start - begins[owner] in {a for a, _ in spans} and end - begins[owner] in {b for _, b in spans}
        cutting += not whole
        kept += [(number, start - begins[owner], end - begins[owner], owner)] if whole else []
    owners = np.repeat(np.arange(len(texts)), np.diff(links.first)).tolist()
    found = zip(links.numbers.tolist(), links.starts.tolist(), links.ends.tolist(), owners, strict=True)
    assert (list(found), links.cutting, links.outside) == (kept, cutting, outside)


@given(st.lists(st.text(st.characters(codec="utf-8"))), st.lists(st.integers(-(2**31), 2**31 - 1)))
def test_columns_are_those_of_arrow(texts: list[str], numbers: list[int]) -> None:
    column = strings_column(texts)
    column.validate(full=True)
    assert column.equals(pa.array(texts, pa.string()))
    for kind in (pa.int32(), pa.int64()):
        assert numbers_column(numbers, kind).equals(pa.array(numbers, kind))
        assert numbers_column(np.array(numbers, np.int64), kind).equals(pa.array(numbers, kind))


def test_rows_of_pages_without_words_are_none() -> None:
    rows = PageRows(make_site("xwiki", "en", {}), CorpusSettings())
    for number, text in enumerate(["\u061c", "[[Foo|\u061c]]", "\uf8ff"]):
        rows.add(RawPage(number, number, f"T{number}", 0, "", "wikitext", text), number)
    sentences, titles = rows.take()
    assert (sentences.num_rows, titles.num_rows) == (0, 3)
    assert rows.report.links == {"found": 1, "kept": 0, Reason.CUTS_A_WORD: 0, Reason.EMPTY_ANCHOR: 1}


def test_raw_text_is_not_kept_while_rows_gather() -> None:
    rows = PageRows(make_site("xwiki", "en", {}), CorpusSettings())
    taken = 0
    text = "{|\n" + "| x\n" * 250_000 + "|}\na [[b]]."
    for number in range(40):
        rows.add(RawPage(number, number, f"T{number}", 0, "", "wikitext", text), number)
        if rows.full:
            taken += rows.take()[0].num_rows
    assert 30 <= taken < 40


def rows_of(language: str, text: str, **settings: str) -> PageRows:
    rows = PageRows(make_site("", language, {}), CorpusSettings(**settings))  # type: ignore[arg-type]
    rows.add(RawPage(1, 1, "T", 0, "", "wikitext", text), 0)
    return rows


def anchors(rows: PageRows) -> list[str]:
    found = rows.take()[0].to_pylist()
    return [row["text"][link["start"] : link["end"]] for row in found for link in row["links"]]


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("he", "הוא נולד ב[[ירושלים]] ושב[[ברלין]].", ["בירושלים", "ושבברלין"]),
        ("he", "ספר על[[רומא]] וב[[NASA]].", []),
        ("am", "በርሊን የ[[ጀርመን]] ከተማ ነው፤ በ[[1155]] እና ከ[[ፈረንሳይ]]ና።", ["የጀርመን", "በ1155", "ከፈረንሳይና"]),
        ("ti", "ካብ[[ኤርትራ]] ናብ [[ኢትዮጵያ]]", ["ካብኤርትራ", "ኢትዮጵያ"]),
        ("ga", "Chónaigh sí i b[[Páras]] agus i n[[Gaillimh]].", ["bPáras", "nGaillimh"]),
        ("zu", "Wahlala e[[Thekwini]] no[[Mandela]].", ["eThekwini", "noMandela"]),
        ("ne", "[[नेपाल]]को राजधानी [[काठमाडौँ]]मा छ।", ["नेपालको", "काठमाडौँमा"]),
        ("kn", "ಅವರು [[ಬೆಂಗಳೂರು]]ನಲ್ಲಿ ಇದ್ದರು.", ["ಬೆಂಗಳೂರುನಲ್ಲಿ"]),
        ("ar", "و[[القاهرة]] [[مصر]]ية.", ["والقاهرة", "مصرية"]),
        ("en", "[[caf]]é anti[[war]] [[a]]é[[b]] 7[[km]]", ["café"]),
        ("en", "A [[Linux]]OS, [[Struts]]2, [[x]]ж and un[[known]].", []),
        ("de", "Das [[Ballett]]<nowiki/>haus in [[Wien]]s Mitte.", ["Wiens"]),
        ("cv", "[[Харків]]ʼян вӑл [[Hawaiʻi]]é.", ["Харківʼян", "Hawaiʻié"]),
        ("kn", f"[[ಭಾರತ]]{'ದ' * 64} [[ದೇಶ]]{'ದ' * 65}.", [f"ಭಾರತ{'ದ' * 64}"]),
        ("kn", "[[ಭಾರತ]][[ದೇಶ]]ದ [[ಮೈಸೂರು]]", ["ಮೈಸೂರು"]),
        ("ko", "[[서울특별시|서울]]은 [[대한민국]]의 수도이다.", ["서울", "대한민국"]),
        ("th", "[[กรุงเทพมหานคร]]เป็นเมืองหลวงของ[[ประเทศไทย|ไทย]]", ["กรุงเทพมหานคร", "ไทย"]),
        ("lo", "[[ວຽງຈັນ]]ແມ່ນນະຄອນຫຼວງຂອງ[[ປະເທດລາວ]]", ["ວຽງຈັນ", "ປະເທດລາວ"]),
        ("km", "[[ភ្នំពេញ]]ជារាជធានីនៃ[[កម្ពុជា]]។", ["ភ្នំពេញ", "កម្ពុជា"]),
        ("my", "[[ရန်ကုန်မြို့]]သည်[[မြန်မာ]]နိုင်ငံ၏မြို့ဖြစ်သည်။", ["ရန်ကုန်မြို့", "မြန်မာ"]),
    ],
)
def test_links_are_grown_to_words(language: str, text: str, expected: list[str]) -> None:
    assert anchors(rows_of(language, text)) == expected


@pytest.mark.parametrize(
    ("glued", "kept", "grown"), [("grow", ["בירושלים", "ברלין", "ולרומא"], 2), ("drop", ["ברלין"], 0)]
)
def test_the_report_counts_grown_links(glued: str, kept: list[str], grown: int) -> None:
    rows = rows_of("he", "הוא נולד ב[[ירושלים]], גר ליד [[ברלין]] ולקח x[[פריז]] ול[[רומא]].", glued=glued)
    assert anchors(rows) == kept
    links = rows.report.links
    assert (links["found"], links["kept"], links[Reason.CUTS_A_WORD]) == (4, len(kept), 4 - len(kept))
    assert rows.report.grown == grown


def test_a_long_word_before_a_link_is_tried_once() -> None:
    assert anchors(rows_of("zu", f"{'na' * 50_000}[[Goli]] ne[[Goli]]")) == ["neGoli"]


@pytest.mark.extras
def test_links_inside_dictionary_words_are_dropped() -> None:
    text = "[[กรุงเทพมหานคร|กรุงเทพ]]มหานครเป็น[[เมือง]]หลวง"
    assert anchors(rows_of("th", text, word_splitter="icu")) == ["เมือง"]
    assert anchors(rows_of("th", text)) == ["กรุงเทพ", "เมือง"]
