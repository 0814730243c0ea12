import re
import unicodedata

import pytest

from nerbert.corpus.dump.parts import _compile_redirect
from nerbert.corpus.dump.sites import CATEGORY, FILE, TEMPLATE, has_wikitext, make_site, wikitext_of
from nerbert.tables import read_columns

ROWS = list(read_columns("wikipedias_wikitext.tsv", "language", "fact", "values"))


@pytest.mark.parametrize(
    ("wiki", "language", "text", "trail"),
    [
        ("", "ca", "l'home", "l'home"),
        ("", "ca", "s''", "s"),
        ("", "br", "c'hoù", "c'hoù"),
        ("", "br", "a'b", "a"),
        ("", "hy", "ում»", "ում"),
        ("", "ba", "ның“", "ның"),
        ("", "is", "inu–a", "inu"),
        ("", "fa", "\u200cها", "\u200cها"),
        ("", "fa", "ی\u200c ", "ی"),
        ("", "se", "s:a", "s"),
        ("", "zh", "s", None),
        ("", "ja", "sの", "s"),
        ("simplewiki", "en", "s", "s"),
        ("zh_yuewiki", "yue", "s", "s"),
        ("zh_classicalwiki", "lzh", "s", None),
        ("alswiki", "gsw", "ß", "ß"),
        ("be_x_oldwiki", "be-tarask", "ўś", "ўś"),
        ("nds_nlwiki", "nds-nl", "ëß", "ë"),
        ("ndswiki", "nds", "ëß", None),
        ("", "en", "seé", "se"),
        ("", "de", "übung X", "übung"),
        ("", "de-ch", "übung", "übung"),
        ("", "it", "ità", "ità"),
        ("", "fr", "éesA", "ées"),
        ("", "xx", "sé", "s"),
        ("", "en", "S", None),
        ("", "fr", "A", None),
    ],
)
def test_trails_hold_letters_only(wiki: str, language: str, text: str, trail: str | None) -> None:
    match = make_site(wiki, language, {}).wikitext.trail.match(text)
    assert (match.group() if match else None) == trail


@pytest.mark.parametrize(
    ("language", "name", "number"),
    [
        ("ru", "Файл", FILE),
        ("ru", "К", CATEGORY),
        ("tt", "Файл", FILE),
        ("sr", "Шаблон", TEMPLATE),
        ("sr", "Slika", FILE),
        ("gsw", "Kategorie", CATEGORY),
        ("es", "Usuaria", 2),
        ("zh", "文件", FILE),
        ("zh", "圖像", FILE),
        ("ja", "カテゴリ", CATEGORY),
        ("az", "İstifadəçi", 2),
        ("en", "User talk", 3),
        ("xx", "Image", FILE),
    ],
)
def test_namespaces_have_their_names_without_siteinfo(language: str, name: str, number: int) -> None:
    site = make_site("", language, {})
    assert [site.namespace(f"{each}:x") for each in (name, f" {name.upper()} ", name.lower())] == [number] * 3


@pytest.mark.parametrize(
    ("language", "text", "found"),
    [
        ("ru", "#перенаправление [[А]]", True),
        ("ja", "＃転送 [[A]]", True),
        ("fa", "#تغییر_مسیر [[ا]]", True),
        ("ru", "#Redirect [[А]]", True),
        ("en", "#перенаправление [[А]]", False),
        ("pt-br", "#REDIRECIONAMENTO [[A]]", True),
    ],
)
def test_redirects_have_the_languages_words(language: str, text: str, found: bool) -> None:
    assert (_compile_redirect(wikitext_of(language).redirects).match(text) is not None) == found


@pytest.mark.parametrize(
    ("language", "text", "left"),
    [
        ("ru", "__БЕЗ_ОГЛАВЛЕНИЯ__а", "а"),
        ("ru", "__без_оглавления__а", "а"),
        ("ru", "__NOTOC__а", "а"),
        ("en", "__DISAMBIG__a", "a"),
        ("ja", "＿＿目次＿＿a__目次__", "a"),
        ("en", "__index__ __FILE__", "__index__ __FILE__"),
        ("de", "__KEIN_INHALTSVERZEICHNIS__", ""),
        ("ko", "__목차숨김__", ""),
        ("tr", "__İÇİNDEKİLERYOK__", ""),
    ],
)
def test_switches(language: str, text: str, left: str) -> None:
    assert wikitext_of(language).switches.sub("", text) == left


@pytest.mark.parametrize(
    ("language", "before", "glued"),
    [
        ("ar", "في وال", "وال"),
        ("arz", "ال", "ال"),
        ("hy", "«Հ", "Հ"),
        ("ka", "1ა", "ა"),
        ("is", "for–á", "á"),
        ("is", "a-", ""),
        ("mzn", "و", "و"),
        ("uk", "«а", ""),
        ("ru", "а", ""),
        ("en", "a", ""),
    ],
)
def test_prefixes_hold_letters_only(language: str, before: str, glued: str) -> None:
    letter = wikitext_of(language).prefix
    found = re.search(rf"{letter}+\Z", before) if letter else None
    assert (found.group() if found else "") == glued


def test_no_trail_or_prefix_has_punctuation() -> None:
    bodies = {values.split("|")[0] for _, fact, values in ROWS if fact in ("trail", "prefix")} - {"∅", "*"}
    assert len(bodies) > 100
    for body in bodies:
        letters = re.compile(f"[{body}]")
        found = {unicodedata.category(char) for char in map(chr, range(0x20, 0x3000)) if letters.match(char)}
        assert {category[0] for category in found - {"Cn"}} <= set("LMN")


def test_each_wikipedia_has_the_facts_of_its_language() -> None:
    for code, language in read_columns("wikipedias.tsv", "code", "language"):
        site = make_site(f"{code.replace('-', '_')}wiki", language, {})
        known = [each for each in (language, code) if has_wikitext(each)]
        assert site.wikitext is wikitext_of(known[0] if known else site.code)
