from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nerbert.sentences import RuleSplitter

PIECES = [
    "a", "B.", "Dr.", "x!", "?", ".", '"', ")", "(", "Ü", "中。", "。", "」", "5.", "e.g.", "Der", "The", "z. B.", "…",
    "...", " ", "  ", "\n", "\t", "\xa0", "\u2028", "é", "é.", "[", "]", "'", "XIV.", "°C.", "*", "—", "U.S.",
    "longer.", "\x00",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES), max_size=40).map("".join) | st.text(max_size=60)
LANGUAGES = st.sampled_from(["en", "de", "it", "fr", "xx", ""])


def split(text: str, language: str = "en") -> list[str]:
    return [text[start:end] for start, end in RuleSplitter(language).spans(text)]


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "J. R. R. Tolkien wrote it. | He was born in the U.S. | The U.S. Army came."),
        ("en", "We need plan B. | The other failed. | It was vitamin C. | In 1999 it ended."),
        ("en", "Gen. Lee and Lt. Col. May of No. 5 Sqn. won at St. Paul's. | See p. 5 and fig. 3."),
        ("en", "It opened c. 1900. | He said no. | Then he left. | It is 5.5 km. | Buses run."),
        ("en", "The band Panic! at the Disco played at 5 p.m. | They left. | Apple Inc. Records is one."),
        ("en", 'He said "Go away." | Then he left (see Smith et al. 1990). | "Yes." | \'No.\' | So.'),
        ("en", "He won.¹² | She lost.* | They drew.[3] | All left."),
        ("en", "Wait... what? | He won… | And left. | He said [...] Foo. | It went on ... | She left."),
        ("en", "Buildings, parks, etc. | Many were old. | It is 5 °C. | He isn't. | Harold is."),
        ("en", "A bank (N.D. Ill. The rest) and a park (V 12). | Next came one (Buck. Bank, 94 C. Ill.). | This."),
        ("en", "The film Help! (1965) was good. | (He died. | She lived.) | What? | Yes! | Good."),
        ("en", "2. Observe the cost. | It went, émile came. émile left."),
        ("de", "Am 3. Oktober und im 19. Jahrhundert kam Ludwig XIV. König. | Er ging. | Das war 1990. | Dann nichts."),
        ("de", "Um 5 v. Chr. in Rom, z. B. Die Welt, d. h. Das Sein, z.B. Die Zeit. | Es war die 66. | Dann kam sie."),
        (
            "de",
            "Die Met. des griech. Dichters (engl. Poet, lat. Poeta; vgl. Met. XII 6; An. II 1). | Prof. Dr. Abel kam.",
        ),
        ("de", "Das war Nr. 5 usw. | Die Art. | Ein Wort. | Siehe Abb. 3 und S. 12 ff. | Es endet."),
        (
            "it",
            "Nacque nel 55 a. C. a Roma. | Morì c. 1200. | Il sig. Rossi, p. es. Neri, e l'ing. Bo. | Vedi pag. 5.",
        ),
        ("it", "Nel 15 a.C. | È detto il M. Rossi di S. Pietro. | La sua opera, ecc. | Nel XIX sec. | Il resto."),
        ("fr", "M. Dupont est né vers 50 av. J.-C. à Lyon. | Il est mort. | Mme Curie, no. 5, etc. | Elle vit."),
        ("xx", "J. Smith lives. | It is 5. | Ok."),
        ("hi", "वह आया। | वह गया। | ठीक"),
        ("ar", "هل جاء؟ | نعم. | لا"),
        ("ko", "나는 너. | 그는 왔다."),
        ("ru", "Он пришёл. | Она ушла. и ещё. | А. С. Пушкин."),
    ],
)
def test_hard_cases(language: str, text: str) -> None:
    assert split(text.replace(" | ", " "), language) == text.split(" | ")


def test_wide_marks_need_no_white_space() -> None:
    assert split("他来了。她走了！「好。」他说。 是吗？！是。", "zh") == [
        "他来了。",
        "她走了！",
        "「好。」他说。",
        "是吗？！",
        "是。",
    ]


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
        assert not text[start].islower() or not text[:start].rpartition("\n")[2].strip()


@given(TEXTS, TEXTS, LANGUAGES)
@example(". B. The z", "", "de")
@example("z", ". B. Die", "de")
def test_paragraphs_do_not_touch_each_other(one: str, other: str, language: str) -> None:
    splitter = RuleSplitter(language)
    shift = len(one) + 1
    assert splitter.spans(f"{one}\n{other}") == splitter.spans(one) + [
        (start + shift, end + shift) for start, end in splitter.spans(other)
    ]


@pytest.mark.integration
@pytest.mark.parametrize(
    "piece",
    [
        ".", "A. ", ". ", "(", "((A. ", "?", "...", "…", "a", "!)", "。", "? 。", ".\"", "A.b.", "(Aaaaa. B",
        "(Aaaaa. B) ", "\n", " ", "Dr. ", ". é ", "z. B. ", "[... A", "1. ", "XIV. A", ". (", "'", "Aaaaa. (",
    ],
)  # fmt: skip
@pytest.mark.parametrize("language", ["en", "de"])
def test_hostile_text_is_finished(piece: str, language: str) -> None:
    text = piece * 100_000
    spans = RuleSplitter(language).spans(text)
    assert not spans or spans[-1][1] == len(text.rstrip())
