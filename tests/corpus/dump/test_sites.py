import random as randoms
from typing import Literal
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.corpus.dump.sites import (
    CATEGORY,
    FILE,
    Site,
    editions,
    fold_redirects,
    make_site,
    normalise_title,
    wiki_code,
    wiki_codes,
)

EN = make_site("enwiki", "en", {"Category": 14, "": 0, "Portal talk": 101})
DE = make_site("dewiki", "de", {"Datei": 6, "Kategorie": 14})


@pytest.mark.parametrize(
    ("site", "title", "number"),
    [
        (EN, "Paris", 0),
        (EN, "Category:Films", CATEGORY),
        (EN, "category : x", CATEGORY),
        (EN, "IMAGE:x.png", FILE),
        (EN, "File: x", FILE),
        (EN, "Portal_talk:X", 101),
        (EN, "User_talk:X", 3),
        (EN, "Star Trek: Picard", 0),
        (EN, ": x", 0),
        (EN, "", 0),
        (EN, "WP:X", 4),
        (make_site("", "", {}), "Template:X", 10),
        (DE, "Datei:x", 6),
        (DE, "Bild:x", 6),
        (DE, "File:x", 6),
        (DE, "Kategorie:x", 14),
        (DE, "Category:x", 14),
        (make_site("", "ar", {}), "\u200fملف:x.jpg", 6),
        (make_site("", "ar", {}), "تصنيف\u200f:x", 14),
        (make_site("", "vi", {}), "Tập  tin:x", 6),
        (make_site("", "vi", {}), "thể\u00a0loại : x", 14),
        (make_site("", "vi", {}), "Tậptin:x", 0),
        (make_site("", "ru", {}), "обсуждение__участника:x", 3),
    ],
)
def test_namespaces(site: Site, title: str, number: int) -> None:
    """A wiki's names beside the English ones, behind marks and any blanks."""
    assert site.namespace(title) == number


@pytest.mark.parametrize(
    ("title", "kind"),
    [
        ("de:Paris", "language"),
        ("zh-min-nan:X", "language"),
        (" FR :X", "language"),
        ("wikt:dog", "sister"),
        ("Commons:X", "sister"),
        ("szl:X", "language"),
        ("Zgh:X", "language"),
        ("be-tarask:X", "language"),
        ("nan:X", "language"),
        ("cz:X", "language"),
        ("rfc:2616", "sister"),
        ("Iarchive:foo", "sister"),
        ("HDL:1", "sister"),
        ("pmid:1", "sister"),
        ("oeis:A1", "sister"),
        ("bugzilla:1", "sister"),
        ("wikitech:X", "sister"),
        ("Incubator:X", "sister"),
        ("Doom_wiki:X", "sister"),
        ("WP:X", ""),
        ("Terminator 2: X", ""),
        ("fr", ""),
        ("", ""),
    ],
)
def test_other_wikis(title: str, kind: str) -> None:
    assert EN.other_wiki(title) == kind
    assert make_site("x", "en", {"S": 104}).other_wiki("S:X") == "", "a namespace wins over an interwiki prefix"


@pytest.mark.parametrize(
    ("wiki", "language", "codes"),
    [
        ("enwiki", "fr", ("en",)),
        ("nowiki", "nb", ("no", "nb")),
        ("", "nb", ("no", "nb")),
        ("nds_nlwiki", "nds", ("nds-nl",)),
        ("zh_yuewiki", "yue", ("zh-yue", "yue")),
        ("zh-yuewiki", "zh", ("zh-yue", "yue")),
        ("be_x_oldwiki", "be", ("be-x-old", "be-tarask")),
        ("be_taraskwiki", "be", ("be-x-old", "be-tarask")),
        ("bewiki", "be", ("be",)),
        ("simplewiki", "en", ("simple",)),
        ("bhwiki", "bho", ("bh", "bho")),
        ("cbk_zamwiki", "es", ("cbk-zam", "cbk")),
        ("samplewiki", "DE", ("de",)),
        ("xyzwiki", "de", ("de",)),
        ("dewiktionary", "fr", ("fr",)),
        ("", "tlh", ("tlh",)),
    ],
)
def test_a_wikipedia_is_called_by_its_database(wiki: str, language: str, codes: tuple[str, ...]) -> None:
    assert wiki_codes(wiki, language) == codes
    assert wiki_code(codes[-1]) == codes[0]
    assert editions(wiki, language) == (*codes, *(["en"] if wiki == "simplewiki" else []))


@pytest.mark.parametrize(
    ("wiki", "language", "found"),
    [
        ("trwiki", "", ("trwiki", "tr", "tr")),
        ("trwiki", "de", ("trwiki", "de", "de")),
        ("nowiki", "nb", ("nowiki", "nb", "nb")),
        ("simplewiki", "", ("simplewiki", "en", "simple")),
        ("", " pt_BR ", ("pt-brwiki", "pt", "pt-br")),
        ("samplewiki", "", ("samplewiki", "en", "en")),
        ("", "", ("enwiki", "en", "en")),
        ("be_x_oldwiki", "", ("be_x_oldwiki", "be", "be-tarask")),
    ],
)
def test_wiki_and_language_are_of_one_site(wiki: str, language: str, found: tuple[str, str, str]) -> None:
    site = make_site(wiki, language, {})
    assert (site.wiki, site.language, site.code) == found


@pytest.mark.parametrize(("language", "expected"), [("tr", "İlçe"), ("az", "İlçe"), ("de", "Ilçe")])
def test_a_small_i_at_the_start_of_a_title_keeps_its_dot_in_turkish(language: str, expected: str) -> None:
    site = make_site("", language, {})
    assert (site.title(" _ilçe"), site.title("ırmak"), site.title("Irak")) == (expected, "Irmak", "Irak")


@pytest.mark.parametrize(
    ("title", "normal"),
    [
        ("  the__Beatles _(band)\n", "The Beatles (band)"),
        ("émile Zola", "Émile Zola"),
        ("\u200eParis\u200e", "Paris"),
        ("iPhone", "IPhone"),
        ("ß", "ß"),
        ("_ ", ""),
        ("Cafe\u0301", "Caf\u00e9"),
        ("e\u0301mile", "\u00c9mile"),
        ("i\u0307stanbul", "\u0130stanbul"),
        ("\u0130stanbul", "\u0130stanbul"),
    ],
)
def test_titles_have_one_form(title: str, normal: str) -> None:
    assert normalise_title(title) == normal


@given(st.text(), st.sampled_from(["NFC", "NFD"]))
def test_composed_decomposed_and_normal_titles_are_one(title: str, form: Literal["NFC", "NFD"]) -> None:
    assert normalise_title(normalize(form, title)) == normalise_title(title)
    assert normalise_title(normalise_title(title)) == normalise_title(title)


def test_chains_end_at_their_last_title_and_cycles_at_themselves() -> None:
    assert fold_redirects({"A": "B", "B": "C", "X": "C"}) == {"A": "C", "B": "C", "X": "C"}
    assert fold_redirects({"A": "B", "B": "C", "C": "B", "S": "S"}) == {"A": "B", "B": "B", "C": "C", "S": "S"}


@given(st.dictionaries(st.sampled_from("ABCDEFGH"), st.sampled_from("ABCDEFGHIJ")), st.randoms())
def test_ends_do_not_depend_on_order(redirects: dict[str, str], random: randoms.Random) -> None:
    pairs = list(redirects.items())
    random.shuffle(pairs)
    ends = fold_redirects(redirects)
    assert ends == fold_redirects(dict(pairs))
    assert set(ends) == set(redirects)
    assert all(end not in redirects or ends[end] == end for end in ends.values())
