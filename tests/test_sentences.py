from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nerbert.sentences import _END, _WIDE, RuleSplitter, join_in_links
from nerbert.tables import read_columns

PIECES = [
    "a", "B.", "Dr.", "x!", "?", ".", '"', ")", "(", "Ü", "中。", "。", "」", "5.", "e.g.", "Der", "The", "z. B.", "…",
    "...", " ", "  ", "\n", "\t", "\xa0", "\u2028", "é", "é.", "[", "]", "'", "XIV.", "°C.", "*", "—", "U.S.",
    "longer.", "\x00", "（", "）", "「", "।", "།", "༄", "፡", ";", ":", "กกกกกกกกกกกกกกกกกกกกก", "ა",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES), max_size=40).map("".join) | st.text(max_size=60)
LANGUAGES = st.sampled_from(["en", "de", "it", "fr", "el", "hy", "ja", "th", "xx", ""])


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
        ("de", "Die Met. des griech. Dichters (engl. Poet, lat. Poeta; vgl. Met. XII 6; An. II 1). | Prof. Abel kam."),
        ("de", "Das war Nr. 5 usw. | Die Art. | Ein Wort. | Siehe Abb. 3 und S. 12 ff. | Es endet."),
        ("it", "Nacque nel 55 a. C. a Roma. | Morì c. 1200. | Il sig. Rossi, p. es. Neri, e l'ing. Bo. | Vedi p. 5."),
        ("it", "Nel 15 a.C. | È detto il M. Rossi di S. Pietro. | La sua opera, ecc. | Nel XIX sec. | Il resto."),
        ("fr", "M. Dupont est né vers 50 av. J.-C. à Lyon. | Il est mort. | Mme Curie, no. 5, etc. | Elle vit."),
        ("fr", "«\xa0Oui.\xa0» | Elle part. | «\xa0Viens\xa0!\xa0» | « Non. » dit-il. | Né en 50 apr. J.-C. à Rome."),
        ("de", "Er kam. | »Ja«, sagte der Dipl.-Ing. Hans. | Sie ging."),
        ("de", "Sie wohnt Bahnhofstr. 5 in Ulm, Ringstr. | Er nicht. | Es ist in der Parkstr. | 1990 kam er. | Da."),
        ("de", "Er steht am Hang (Bergstr.) | 5 Leute kamen. | Sie wohnt Bahnhofstr. 123 in Ulm."),
        ("de", "In der HAUPTSTR. 5 steht sie. | Am Ende der Bergstr. | 12.000 Menschen kamen. | Er nicht."),
        ("gsw", "Er wohnt a de Bahnhofstr. 5 z Züri. | Er schlaft."),
        ("nl", "Hij woont in de Dorpsstr. 5 in Lund. | Hij slaapt."),
        ("en", "See bbc.co.uk. | Berlin grew. | See bbc.com.au. | Oslo, too."),
        ("fr", "Il est au cap. ex. | Paris dort."),
        ("mr", "ते क५. | पाटील आले. | हे ५. | पाटील आले."),
        ("fr", "P. ex. Paris est là. | Ou, p.\xa0ex. Lyon, ou p.ex. Metz. | Il est ex. | Paris dort."),
        ("sv", "T. ex. Lund är en stad, o. d. Kalmar. | Han sover."),
        ("vi", "Ông ở Q. 1 và TT. Huế. | Anh ấy đi."),
        ("id", "Ia di PT. Pertamina dan CV. Jaya. | Dia tidur."),
        ("ru", "Оз. Байкал глубокое. | Он спит. | Армией командовал ген. Власов."),
        ("mr", "आचार्य प्र. के. अत्रे व त्र्यं. शं. शेजवलकर होते. | ते गेले. | श्री. पाटील आले."),
        ("te", "క్రీ. శ. 500 లో. శ్రీ. రావు వచ్చారు. | అవును."),
        ("en", "Read it at mit.edu. | Students like it."),
        ("en", "See www.a.org. | Mail jane@x.org. | It is x.com. | Is it?\u200b | He left.\u200f | U.S. Army."),
        ("xx", "J. Smith lives. | It is 5. | Ok. | Prof. Dr. Ali came. | Проф. Петров."),
        ("hi", "वह आया। | वह गया। | ठीक"),
        ("ar", "هل جاء؟ | نعم. | لا"),
        ("ko", "나는 너. | 그는 왔다."),
        ("ru", "Он пришёл. | Она ушла. и ещё. | А. С. Пушкин."),
        ("am", "አዲስ አበባ ዋና ከተማ ናት። | ማን ነህ፧ | እኔ ነኝ፡፡ | ሰላም፡ነው"),
        ("ar", "د. أحمد عالم. | ثم مات. | هل جاء؟ | نعم."),
        ("bg", "Роден през 1920 г. в София. | Там живее проф. Петров. | Той умря."),
        ("bo", "༄༅། །བོད་ནི་ཡུལ་ཞིག་རེད། | ལྷ་ས་ནི་རྒྱལ་ས་རེད།། | དེ་ནས་བྱུང་སོ། ། | འདི་ནི་དཔེ་ཆ་རེད།"),
        ("bn", "ড. ইউনূস আসেন। | তিনি যান।"),
        ("ca", "El Sr. Puig i la Dra. Mas viuen a l'Av. Diagonal. | Va néixer."),
        ("cs", "Je to např. Praha. | Narodil se 3. října 1990. | Vládl Karel IV. Lucemburský. | V roce 1990. | On."),
        ("da", "Den 3. oktober 1990 kom dr. Hansen, f.eks. Ole. | Han døde."),
        ("el", "Ποιος είναι; | Ο Νίκος; ναι. | Γεννήθηκε το 300 π.Χ. στην Αθήνα, π.χ. Αίγινα. | Είναι."),
        ("en", "She read MRS. DALLOWAY. | She met DR. SMITH; He left. | See NO. 5. | It is about CA. | So."),
        ("es", "Vive en la Av. Mayor. | El Sr. Pérez y la Dra. Gómez. | En EE. UU. Hoy. | En el s. XX a. C. en Roma."),
        ("et", "See on nt. Tallinn. | Ta sündis 3. märtsil. | Ta suri."),
        ("eu", "Adib. Bilbo da. | XX. mendean. | Hau."),
        ("fa", "او ۳ ق.م. در روم بود. | او مرد."),
        ("fi", "Hän asui esim. Turussa 3. lokakuuta. | Asukkaita on 850. | Kaupunki on."),
        ("hi", 'डॉ. अम्बेडकर आए। | एम. एस. धोनी खेले। | "क्या" है। | ठीक'),
        ("hr", "Rođen je 3. listopada 1990. u Zagrebu. | Dr. Novak i sv. Petar. | Umro je."),
        ("hu", "II. Rákóczi Ferenc pl. Bécsben járt. | Az ún. Nagy Ház. | Ő volt."),
        ("hy", "Ծնվել է 1900 թ. Երևանում։ | Այն մեծ է: | Բնակչությունը շատ է: այո։ | Վերջ"),
        ("id", "Dr. Ali tinggal di Jl. Sudirman. | Ia lahir di Jakarta, dll. | Pada tahun itu."),
        ("is", "Hann fæddist 17. Júní í t.d. Reykjavík. | Hann dó."),
        ("ja", "彼は（「甲。乙」と。）来た。 | 次は（注。）だ。 | （終わり。） | 次。"),
        ("ja", "『えっ！　何。』と言う。 | 娘。の一員。 | 彼(甲。)。"),
        ("ka", "თბილისი დედაქალაქია. | ის მდებარეობს მტკვარზე. | ვინ ხარ? | მე ვარ ე.წ. ქალაქი."),
        ("kk", "Проф. Ахметов 1990 ж. Алматыда туды. | Ол қайтыс болды."),
        ("km", "ភ្នំពេញជារាជធានី។ | វាមានផ្លែឈើ បន្លែ ។ល។ | ចប់៕ | ថ្មី"),
        ("ko", "나는 너. | 그는 Dr. Kim이다. | 끝."),
        ("lt", "Jis gimė 1990 m. Vilniuje, pvz. Kaune. | Jis mirė."),
        ("lv", "Viņš dzim. Rīgā 3. maijā. | Tas ir t.s. Rīgas. | Viņš mira."),
        ("mn", "ᠮᠣᠩᠭᠣᠯ᠃ | ᠤᠯᠤᠰ᠃"),
        ("mr", "डॉ. आंबेडकर आले. | एम. एस. धोनी खेळले. | ते जिंकले."),
        ("my", "ရန်ကုန်သည် မြို့ကြီးဖြစ်သည်။ | ထိုမြို့၌၊ လူများသည်။ | ဟုတ်သည်"),
        ("nl", "Dhr. Jansen woont o.a. in Gent. | Het is ca. 5 km. | De stad."),
        ("no", "Den 3. Oktober kom bl.a. Ole, f.eks. Kari. | Han døde."),
        ("pl", "Ulica im. Jana Pawła. | Był to m.in. Kowalski i in. | W latach 50. XX wieku."),
        ("pt", "A Dra. Ana e o Sr. Silva moram na Av. Paulista. | Nasceu no séc. XX. | Veja a pág. 5."),
        ("ro", "Locuia pe str. Mihai. | Era dl. Ionescu și Sf. Ion. | A murit."),
        ("ru", "Родился в 1920 г. в Москве. | В 1945 г. Иванов умер на ул. им. Шиллера. | Он и т. д. | Это 5 км."),
        ("sat", "ᱱᱚᱶᱟ ᱫᱚ ᱵᱤᱨ ᱠᱟᱱᱟ ᱾ | ᱚᱱᱟ ᱥᱟᱱᱟᱢ ᱿ | ᱱᱚᱸᱰᱮ"),
        ("sl", "Rojen je 3. Oktobra 1990. | Dr. Novak npr. Maribor itd. | Umrl je."),
        ("sr", "Рођен је 3. октобра 1990. године. | Он је проф. Петров и св. Петар. | Умро је."),
        ("hi", "ए.पी.जे. अब्दुल कलाम आए। | वे गए।"),
        ("ml", "എം.ടി. വാസുദേവൻ നായർ വന്നു. | അദ്ദേഹം"),
        ("he", "א. ב. יהושע כתב ספר. | הוא בא.\u200f | היא הלכה."),
        ("ckb", "ج. ک. ڕۆلینگ هات."),
        ("cs", "Přišel MUDr. Novák, PaedDr. Malý a CSc. Nový. | On odešel."),
        ("sv", "Han var bl.a. Kungens vän, t.ex. Karl. | Det var ca 5. | Han dog."),
        ("ta", "எம். ஜி. ஆர். நடித்தார். | அவர் கி.மு. 300 இல். | இது."),
        ("th", "ดร. สมชายเกิด พ.ศ. 2500 ที่กรุงเทพ! | เขา"),
        ("tr", "Dr. Ali geldi. | II. Mehmed örn. İstanbul'u aldı. | Bu oldu."),
        ("uk", "Народився 1920 р. в Києві. | Вулиця ім. Т. Г. Шевченка. | Це було у XX ст. | Він помер."),
        ("ur", "ایم۔ اے۔ جناح آئے۔ | وہ گئے۔"),
        ("vi", "TP. Hồ Chí Minh lớn. | GS. Nguyễn và TS. Lê, v.v. | Năm 1990."),
        ("zh", "他说：“我来了。” | 她走了。 | “好。”他说。 | 《你好！世界》很好。 | （见上文。） | 然后结束(注。)了。"),
    ],
)
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
        ".", "A. ", ". ", "(", "((A. ", "?", "...", "…", "a", "!)", "。", "? 。", ".\"", "A.b.", "(Aaaaa. B",
        "(Aaaaa. B) ", "\n", " ", "Dr. ", ". é ", "z. B. ", "[... A", "1. ", "XIV. A", ". (", "'", "Aaaaa. (",
        "（。", "「。", "。」", "（。）", "(।)", "། །", "། ", "፡", "กกกกกกกกกกกกกกกก ", "(ก ก", "“ก ", "。（", "a: A",
    ],
)  # fmt: skip
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


@pytest.mark.parametrize("mark", sorted({*_END, *_WIDE} - {"፡"}))
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
        "He saw Yes! No? Maybe.", "Twice.", "Then Oh. He.", "Left.", "End.",
    ]  # fmt: skip
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
