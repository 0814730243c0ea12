import pytest

from nerbert.corpus.dump.sites import CATEGORY, FILE, editions, make_site, wiki_code, wiki_codes

EN = make_site("enwiki", "en", {"Category": 14, "": 0, "Portal talk": 101})
DE = make_site("dewiki", "de", {"Datei": 6, "Kategorie": 14})


@pytest.mark.parametrize(
    ("title", "number"),
    [
        ("Paris", 0), ("Category:Films", CATEGORY), ("category : x", CATEGORY), ("IMAGE:x.png", FILE),
        ("File: x", FILE), ("Portal_talk:X", 101), ("User_talk:X", 3), ("Star Trek: Picard", 0), (": x", 0),
        ("", 0), ("WP:X", 4),
    ],
)  # fmt: skip
def test_namespaces(title: str, number: int) -> None:
    assert EN.namespace(title) == number


def test_a_wikis_own_names_are_known_beside_the_english_ones() -> None:
    assert [DE.namespace(f"{name}:x") for name in ("Datei", "Bild", "File", "Kategorie", "Category")] == [
        6,
        6,
        6,
        14,
        14,
    ]


@pytest.mark.parametrize(
    ("title", "kind"),
    [
        ("de:Paris", "language"), ("zh-min-nan:X", "language"), (" FR :X", "language"), ("wikt:dog", "sister"),
        ("Commons:X", "sister"), ("szl:X", "language"), ("Zgh:X", "language"), ("be-tarask:X", "language"),
        ("nan:X", "language"), ("cz:X", "language"), ("WP:X", ""), ("Terminator 2: X", ""), ("fr", ""), ("", ""),
    ],
)  # fmt: skip
def test_other_wikis(title: str, kind: str) -> None:
    assert EN.other_wiki(title) == kind


def test_a_namespace_wins_over_an_interwiki_prefix() -> None:
    assert make_site("x", "en", {"S": 104}).other_wiki("S:X") == ""


@pytest.mark.parametrize(
    ("language", "text", "trail"),
    [
        ("en", "seé", "se"), ("de", "übung X", "übung"), ("de-ch", "übung", "übung"), ("it", "ità", "ità"),
        ("fr", "éesA", "ées"), ("xx", "sé", "s"), ("en", "S", None), ("fr", "A", None),
    ],
)  # fmt: skip
def test_trails(language: str, text: str, trail: str | None) -> None:
    match = make_site("", language, {}).wikitext.trail.match(text)
    assert (match.group() if match else None) == trail


def test_missing_parts_fall_back_to_english() -> None:
    site = make_site("", "", {})
    assert (site.wiki, site.language, site.namespace("Template:X")) == ("enwiki", "en", 10)


@pytest.mark.parametrize(
    ("wiki", "language", "codes"),
    [
        ("enwiki", "fr", ("en",)), ("nowiki", "nb", ("no", "nb")), ("", "nb", ("no", "nb")),
        ("nds_nlwiki", "nds", ("nds-nl",)), ("zh_yuewiki", "yue", ("zh-yue", "yue")),
        ("zh-yuewiki", "zh", ("zh-yue", "yue")), ("be_x_oldwiki", "be", ("be-x-old", "be-tarask")),
        ("be_taraskwiki", "be", ("be-x-old", "be-tarask")), ("bewiki", "be", ("be",)),
        ("simplewiki", "en", ("simple",)),
        ("bhwiki", "bho", ("bh", "bho")), ("cbk_zamwiki", "es", ("cbk-zam", "cbk")), ("samplewiki", "DE", ("de",)),
        ("xyzwiki", "de", ("de",)), ("dewiktionary", "fr", ("fr",)), ("", "tlh", ("tlh",)),
    ],
)  # fmt: skip
def test_a_wikipedia_is_called_by_its_database(wiki: str, language: str, codes: tuple[str, ...]) -> None:
    assert wiki_codes(wiki, language) == codes
    assert wiki_code(codes[-1]) == codes[0]
    assert editions(wiki, language) == (*codes, *(["en"] if wiki == "simplewiki" else []))


@pytest.mark.parametrize(
    ("language", "title", "number"),
    [
        ("ar", "\u200fملف:x.jpg", 6), ("ar", "تصنيف\u200f:x", 14), ("vi", "Tập  tin:x", 6),
        ("vi", "thể\u00a0loại : x", 14), ("ru", "обсуждение__участника:x", 3), ("vi", "Tậptin:x", 0),
    ],
)  # fmt: skip
def test_namespaces_are_found_behind_marks_and_any_blanks(language: str, title: str, number: int) -> None:
    assert make_site("", language, {}).namespace(title) == number


@pytest.mark.parametrize(
    ("wiki", "language", "found"),
    [
        ("trwiki", "", ("trwiki", "tr", "tr")), ("trwiki", "de", ("trwiki", "de", "de")),
        ("nowiki", "nb", ("nowiki", "nb", "nb")), ("simplewiki", "", ("simplewiki", "en", "simple")),
        ("", " pt_BR ", ("pt-brwiki", "pt", "pt-br")), ("samplewiki", "", ("samplewiki", "en", "en")),
        ("be_x_oldwiki", "", ("be_x_oldwiki", "be", "be-tarask")),
    ],
)  # fmt: skip
def test_wiki_and_language_are_of_one_site(wiki: str, language: str, found: tuple[str, str, str]) -> None:
    site = make_site(wiki, language, {})
    assert (site.wiki, site.language, site.code) == found


@pytest.mark.parametrize(("language", "expected"), [("tr", "İlçe"), ("az", "İlçe"), ("de", "Ilçe")])
def test_a_small_i_at_the_start_of_a_title_keeps_its_dot_in_turkish(language: str, expected: str) -> None:
    site = make_site("", language, {})
    assert (site.title(" _ilçe"), site.title("ırmak"), site.title("Irak")) == (expected, "Irmak", "Irak")
