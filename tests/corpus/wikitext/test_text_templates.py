"""The table of text templates: what each shows, by its documentation; no argument makes it fail or grow."""

from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nerbert.corpus.wikitext.convert import shown_measure, unit_names
from nerbert.corpus.wikitext.text_templates import Arguments, _rules, text_rule
from nerbert.tables import read_columns

SHOWN = [
    # text
    ("en", "nowrap|$900 bn", "$900 bn"), ("en", "nowrap|1=''E'' = ''mc''<sup>2</sup>", "''E'' = ''mc''<sup>2</sup>"),
    ("en", "small|[[Genitive|GEN]]", "[[Genitive|GEN]]"), ("en", "lang|grc|λύκος", "λύκος"),
    ("en", "lang|de|text=''Land''", "''Land''"), ("en", "transl|ar|ALA|alif", "alif"),
    ("en", "transl|ar|al-Jazā'ir", "al-Jazā'ir"), ("en", "angbr|aa", "⟨aa⟩"), ("en", "sic", "[sic]"),
    ("en", "sic|recieve", "recieve [sic]"), ("en", "sic|hide=y|recieve", "recieve"), ("en", "linktext|清|朝", "清朝"),
    ("en", "code|lang=sql|GROUP BY", "GROUP BY"),
    ("en", "harvtxt|Hastie|Tibshirani|Friedman|2001|p=7", "Hastie, Tibshirani & Friedman (2001, p. 7)"),
    ("en", "harvnb|Reed|1972", "Reed 1972"), ("en", "harv|Gennari|1989", "(Gennari 1989)"),
    ("en", "harvtxt|1989", "(1989)"), ("en", "font color|white|black|224", "224"),
    # languages
    ("en", "lang-de|Bund", "[[German language|German]]: Bund"), ("en", "lang-de|link=no|Bund", "German: Bund"),
    ("en", "lang-ru|Москва|Moskva", "[[Russian language|Russian]]: Москва, romanized: Moskva"),
    ("en", "langx|de|Bund|lit=union", "[[German language|German]]: Bund, lit. ‘union’"),
    ("en", "langx|xx|Bund", "Bund"), ("en", "lang-ber|ⵍⵣⵣⴰ", "ⵍⵣⵣⴰ"), ("en", "lang-de|", ""),
    ("en", "zh|c=想想|p=Xiǎngxiǎng", "[[Chinese language|Chinese]]: 想想; [[pinyin]]: Xiǎngxiǎng"),
    ("en", "zh|c=阿才|p=Ācái|labels=no", "阿才; Ācái"),
    ("en", "nihongo|'''Aikido'''|合気道|Aikidō|lead=yes", "'''Aikido''' (合気道, Aikidō)"),
    ("it", "nihongo|''dōga''|動画,||film animato", "''dōga'' (動画, film animato)"), ("en", "nihongo|Tokyo", "Tokyo"),
    ("de", "ens|''acre''", "[[Englische Sprache|englisch]] ''acre''"),
    ("de", "elsalt|ἀτμός", "[[Altgriechische Sprache|altgriechisch]] ἀτμός"),
    ("de", "arf|d=al-ġawl|الغول", "الغول, DMG al-ġawl"),
    ("de", "ars|الجزائر|w=al-Dschazā’ir|b=die Inseln",
     "[[Arabische Sprache|arabisch]] الجزائر, al-Dschazā’ir ‚die Inseln‘"),
    ("it", "russo|битва|bitva", "in [[lingua russa|russo]]: битва, bitva"),
    ("fr", "lang-en|Union Jack", "en [[anglais]] : Union Jack"),
    # signs
    ("en", "'", "'"), ("en", "snd", " – "), ("en", "mdash", "—"), ("en", "nbsp", " "), ("en", "!", "|"),
    ("en", "0|0", ""), ("en", "music|flat", "♭"), ("en", '"|Gott', "“Gott”"), ("de", '"|Gott', "„Gott“"),
    ("fr", "citation|Dieu", "«\xa0Dieu\xa0»"), ("de", "graphem|t", "⟨t⟩"),
    # measures
    ("en", "convert|30|cm|in", "30 centimetres"), ("en", "convert|1|mi|km", "1 mile"),
    ("en", "convert|5|to|10|km|mi", "5 to 10 kilometres"), ("en", "convert|2|-|5|km|mi|2|abbr=on", "2–5 km"),
    ("en", "convert|6|ft|4|in|cm|0", "6 feet 4 inches"), ("en", "convert|6|ft|4|in|cm|adj=on", "6-foot 4-inch"),
    ("en", "convert|100|ft|m|adj=on", "100-foot"), ("en", "convert|10|ft|m|adj=mid|-long", "10-foot-long"),
    ("en", "convert|52419|sqmi|km2|sp=us", "52,419 square miles"),
    ("en", "convert|142000|km2|sp=us", "142,000 square kilometers"), ("en", "convert|-27|°F", "−27 °F"),
    ("en", "convert|5|C-change|0", "5 °C"), ("en", "convert|1+1/2|mi", "1 1⁄2 miles"),
    ("en", "convert|22|e6acre|km2", "22 million acres"), ("en", "convert|57|koilbbl/d", "57 thousand barrels per day"),
    ("en", "convert|3|PD/sqmi|abbr=on", "3/sq mi"), ("en", "convert|3|PD/m2|abbr=on", "3/m<sup>2</sup>"),
    ("en", "convert|93|lb/sqft|kg/m2", "93 pounds per square foot"),
    ("en", "convert|4|e6USgal/d|adj=on", "4-million-US-gallon-per-day"),
    ("en", "convert|1|W/m2/d", "1 watt per square metre per day"), ("en", "convert|5|PD", "5 inhabitants"),
    ("en", "convert|8|zork", "8 zork"), ("en", "convert|8|zork/d", "8 zork/d"),
    ("en", "convert|8|foot|adj=on", "8-foot"), ("en", "convert|8|°C|adj=on", "8 °C"), ("en", "convert|8|adj=on", "8"),
    ("en", "convert|", ""), ("en", "cvt|106460000|km2", "106,460,000 km<sup>2</sup>"),
    ("en", "cvt|8376|m||abbr=", "8,376 m"), ("en", "cvt|5|m|abbr=off", "5 metres"), ("it", "m|32,7|k|m", "32,7 km"),
    ("de", "höhe|580.5|DE-NHN", "580.5 m ü. NHN"), ("de", "höhe|580|CH", "580 m ü. M."),
    ("fr", "unité|12500|km|h|-1", "12\xa0500 km h<sup>−1</sup>"), ("fr", "unité|1500 habitants", "1\xa0500 habitants"),
    ("en", "track gauge|1435mm", "1,435 mm"),
    # numbers
    ("en", "frac|1|2", "1⁄2"), ("en", "frac|3", "1⁄3"), ("en", "sfrac|1|2|3", "1 2⁄3"), ("de", "bruch|12", "1⁄12"),
    ("en", "val|6.2415093|e=18", "6.2415093×10<sup>18</sup>"), ("en", "val|-5|0.1|u=kg", "−5±0.1 kg"),
    ("en", "e|24", "×10<sup>24</sup>"), ("it", "exp|1,9|19", "1,9×10<sup>19</sup>"),
    ("en", "chem|NH|4|+", "NH<sub>4</sub><sup>+</sup>"), ("en", "chem|O|2|2-", "O<sub>2</sub><sup>2−</sup>"),
    ("en", "currency|13|usd", "US$13"), ("en", "us$|2 billion", "US$2 billion"),
    ("en", "currency|13&nbsp;billion|USD", "US$13&nbsp;billion"),
    # dates
    ("en", "as of|2011|5", "As of May 2011"), ("en", "as of|2011|lc=y", "as of 2011"),
    ("en", "as of|2011|05|03|df=US|since=y", "Since May 3, 2011"), ("en", "asof|2010|alt=now", "now"),
    ("en", "as of|2011|5|3|df=us", "As of May 3, 2011"), ("en", "circa", "c."),
    ("en", "circa|1990|2000", "c. 1990 – c. 2000"), ("en", "reign|1066|1087", "r. 1066–1087"),
    ("en", "birth date|1990|5|4", "May 4, 1990"), ("en", "birth date|1990|5|4|df=y", "4 May 1990"),
    ("en", "death date and age|1993|2|24|1921|4|12", "February 24, 1993"),
    ("en", "death date and age|df=yes|1993|2|24|1921|4|12", "24 February 1993"),
    ("en", "start date|1993|02|24|08|30", "February 24, 1993"),
    ("en", "oldstyledate|February 2|1905|January 20", "February 2 [O.S. January 20] 1905"),
    ("fr", "date|1|janvier|1900|en sport", "1er janvier 1900"), ("fr", "date|14 juillet 1789", "14 juillet 1789"),
    ("fr", "date|14-|juillet-|1789-", "14 juillet 1789"), ("fr", "date|1er-|mai|1789", "1er mai 1789"),
    ("fr", "s|XIX|e", "XIXe siècle"), ("fr", "-s|I", "Ier siècle av. J.-C."), ("fr", "s2|IV|V", "IVe et Ve siècles"),
    ("fr", "sp|IV|ou|VIII|s", "IVe ou VIIIe siècles"), ("fr", "xixe siècle", "XIXe siècle"), ("fr", "ier", "Ier"),
    # links
    ("en", "hms|Victory", "[[HMS Victory|HMS ''Victory'']]"),
    ("en", "uss|Hornet|CV-12|6", "[[USS Hornet (CV-12)|''Hornet'']]"),
    ("en", "uss|Hornet|CV-12", "[[USS Hornet (CV-12)|USS ''Hornet'' (CV-12)]]"),
    ("en", "ship|French ship|Foo||2", "[[French ship Foo|French ship ''Foo'']]"),
    ("en", "sclass|Nimitz|aircraft carrier", "[[Nimitz-class aircraft carrier|''Nimitz''-class aircraft carrier]]"),
    ("en", "ill|Reiner Hoffmann|de", "[[Reiner Hoffmann]]"),
    ("en", "ill|Reiner Hoffmann|de|lt=Hoffmann", "[[Reiner Hoffmann|Hoffmann]]"),
    ("en", "sortname|Ada|Lovelace", "[[Ada Lovelace]]"),
    ("en", "sortname|Ada|Lovelace|Countess", "[[Countess|Ada Lovelace]]"),
    ("en", "sortname|Ada|Lovelace|nolink=1", "Ada Lovelace"), ("en", "flag|Germany", "[[Germany]]"),
    ("en", "flagicon|Germany", ""),
    ("en", "stnlnk|Glasgow Central", "[[Glasgow Central railway station|Glasgow Central]]"),
    ("en", "section link|Ada|Life", "[[Ada#Life|Ada § Life]]"),
    ("fr", "lien|lang=en|trad=X|fr=Titre|texte=label", "[[Titre|label]]"), ("de", "§|242|BGB|juris", "§ 242"),
    # nothing, or not in the table
    ("en", "citation needed|date=July 2016", ""), ("en", "ipa-de|ˈaŋɡela", ""),
    ("it", "chiarire|oggi|quando?", "oggi"), ("en", "formatnum:4000", None), ("en", "infobox person|name=Ada", None),
    ("en", "", None), ("en", "ens|x", None), ("fr", "infobox", None), ("xx", "nowrap|a", "a"),
]  # fmt: skip

SNIPPETS = [*"0123456789-−+/|=[]{}<> \n'.,éI²९", "[[", "{{", "}}", "km", "to", "ft", "in", "e6", "X", "1=", "lt="]
PIECES = st.lists(st.sampled_from(SNIPPETS), max_size=12).map("".join)
NAMES = sorted({(name, language) for language in ("en", "de", "it", "fr", "xx") for name in _rules(language)})


def template_text(name: str, arguments: Sequence[str], language: str) -> str | None:
    """Return the text of a template; None if the table lacks it."""
    rule = text_rule(name, language)
    return rule(Arguments(arguments)) if callable(rule) else rule


@pytest.mark.parametrize(("language", "template", "shown"), SHOWN)
def test_a_template_shows_what_its_documentation_says(language: str, template: str, shown: str | None) -> None:
    name, *arguments = template.split("|")
    if "[[" in template:
        name, _, only = template.partition("|")
        arguments = [only]
    assert template_text(name, arguments, language) == shown


@given(st.sampled_from(NAMES), st.lists(PIECES, max_size=6))
def test_no_arguments_make_it_fail_or_grow(template: tuple[str, str], arguments: list[str]) -> None:
    name, language = template
    text, given_ = template_text(name, arguments, language), "|".join(arguments)
    assert text is not None
    assert len(text) <= 200 + 12 * len(given_)
    assert text.count("{") <= given_.count("{"), "what holds templates is given back once"
    assert text.count("[") <= given_.count("[") + 4


@given(st.text(max_size=40), st.lists(st.text(max_size=30), max_size=5), st.sampled_from(["en", "de", "it", "fr", ""]))
def test_any_unicode_is_taken(name: str, arguments: list[str], language: str) -> None:
    assert (template_text(name, arguments, language) is None) == (text_rule(name, language) is None)


UNITS = {code: (one, many) for code, one, many in read_columns("units.tsv", "code", "one", "many")}


@given(st.text(max_size=40))
@example("/".join("m" * 5000))
@example("e3" * 5000 + "m")
@example("/" * 5000)
@example("e6")
@example("l")
@example("/d")
@example("m/")
def test_unit_codes_of_any_kind_are_read_or_left(code: str) -> None:
    names, shown = unit_names(code), shown_measure(["5", code], {}, short=False)
    assert shown == f"5 {names[2]}" if names else code.strip() in shown


def test_a_unit_has_a_name_for_one_and_for_many() -> None:
    assert len(UNITS) > 150
    for code, (one, many) in UNITS.items():
        assert shown_measure(["1", code], {}, short=False) == f"1 {one}"
        assert shown_measure(["2", code], {}, short=False) == f"2 {many}"


@pytest.mark.parametrize("template", ["flag", "hms", "stnlnk", "sortname", "ill", "section link", "sclass", "nihongo"])
def test_templates_in_each_other_do_not_double(template: str) -> None:
    text = "core"
    for _ in range(30):
        text = "{{" + template + "|" + text + "}}"
        shown = template_text(template, [text], "en")
        assert shown is not None
        assert len(shown) < len(text) + 200
