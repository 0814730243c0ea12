import pytest

from nerbert.corpus.dump.sites import make_site
from nerbert.corpus.rows import PageRows
from nerbert.corpus.settings import CorpusSettings
from nerbert.records import RawPage, Reason


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
