"""Detect disambiguation pages by their templates, the brackets in their titles, or DBpedia's list of them.

A built-in table lists by language the templates that mark such pages, and the words in brackets after their titles. The
templates come from the wikis' own lists, pywikibot and AutoWikiBrowser, the words from DBpedia's extraction. The table
omits hatnotes at the head of an article. It also omits surnames, given names and set indices, because these pages
describe what they list. The cost: a wiki without an entry is read with the names that most wikis understand. A page
marked only by `__DISAMBIG__`, or by a template of another name, is missed.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache, partial

from nerbert.corpus.dump.sites import wiki_code
from nerbert.corpus.knowledge.claims import DISAMBIGUATION, ClaimCounts, ClassPath, read_rows
from nerbert.corpus.knowledge.triples import parse_disambiguation
from nerbert.sources.files import FoundFile

_ANYWHERE = "disambig|disambiguation|disambiguation page"
_TEMPLATES = {
    "en": "dab|dis|disam|disamb|dbig|disambig[- ]?cleanup|disambiguation[- ]cleanup|disambiguation with potential|"
    "human name disambiguation cleanup|split dab|geo-?dis|geodab|geodisambig|hndis|hndis-cleanup|hndab|hndisambig|"
    "human name dab|bio-?dab|math ?dab|num(?:ber)?dis|numdab|school-?dis|schooldab|hospitaldis|roaddis|callsigndis|"
    "station dab|mil-unit-(?:dis|disambig)|[234](?:cc|la|lc)|tla-?disambig|lncd|letter-numbercombdisambig|cjkvdab|"
    "(?:species)?latinnamedisambig|airport disambig|genus disambig|music disambig|school disambig|"
    "(?:airport|biology|call sign|case ?law|chemistry|chinese title|genus|hospital|human name|letter|"
    "letter-number combination|mathematical|mathematics|military unit|molecular formula|music|number|opus number|"
    "personal name|phonetics|place name|portal|road|school|species|species latin name|"
    "species latin name abbreviation|station|synagogue|taxonomic authority|taxonomy|template|wikipedia|woo number)"
    " disambiguation",
    "de": "begriffsklärung|begriffsklärungsseite|bks",
    "fr": "homonymie(?: .+)?|(?!voir |autres ).+ homonymes|paronymie|toponymie|bandeau standard pour page d'homonymie",
    "it": "disambigua|sigla[234]",
    "es": "desambiguaci[oó]n|desambig|des",
    "nl": "doorverwijspagina|dp|dp2|dpintro",
    "pt": "desambigua[cç][aã]o|desambig|dab",
    "pl": "ujednoznacznienie|strona ujednoznaczniająca|disambc|disambrulers",
    "ru": "(?:проверенная )?неоднозначность2?|многозначность|дизамбиг|одноим[её]нные .+|"
    "нпы|атды|ждс|(?:church|coord|metro|military|mon|monum|mountain|movie|place|river|road|ship|station)dis",
    "sv": "(?:.+ ?)?förgrening(?:ssida)?|(?:namn)?grensida|gren|gaffel|betydelselista|flertydig|ortnamn|3lc|4la|"
    "trebokstavsförkortning|tladisambig|hndis|dab",
    "uk": "неоднозначність|багатозначність|disambig[gn]",
    "cs": "rozcestník(?: - (?!příjmení).+)?",
    "ja": "(?:.+の)?曖昧さ回避|(?:chem)?aimai|dab",
    "zh": "(?!需要).*消歧[义義](?:[页頁]面?)?|letter disambig|hndis|geodis|roaddis|schooldis|dab",
    "ar": "توضيح",
    "bg": "пояснение",
    "ca": "desambiguació|desambigua",
    "da": "flertydig",
    "el": "αποσαφήνιση|αποσαφ",
    "eo": "apartigilo",
    "et": "täpsustuslehekülg|täpsustus",
    "eu": "argipen",
    "fa": "ابهام\u200c?\\s?زدایی",
    "fi": "täsmennyssivu",
    "gl": "homónimos",
    "he": "פירושונים",
    "hr": "razdvojba1?",
    "hu": "egy[eé]rt",
    "id": "disambiguasi|disingkat|disambig (?:nama|tempat|suku)",
    "ko": "동음이의(?:어)?|동명이인",
    "la": "discretiva",
    "lv": "nozīmju atdalīšana",
    "nn": "fleirtyding|pekerside|peikar",
    "no": "peker|pekerside|flertydig|(?:to|tre)bokstavsforkortelse",
    "ro": "dezambiguizare|dezamb|dez|hndis",
    "sk": "rozlišovacia stránka",
    "sl": "razločitev",
    "sr": "вишезначна одредница|вишезначна|višeznačna odrednica",
    "tr": "anlam ayrımı?|.+ \\(anlam ayrımı\\)",
    "vi": "(?:trang )?định hướng|hndis",
}
_BRACKETS = {
    "en": "disambiguation",
    "de": "begriffsklärung",
    "fr": "homonymie",
    "it": "disambigua",
    "es": "desambiguación",
    "nl": "doorverwijspagina|disambiguatie",
    "pt": "desambiguação",
    "pl": "ujednoznacznienie",
    "ru": "значения",
    "sv": "olika betydelser",
    "uk": "значення",
    "cs": "rozcestník",
    "ja": "曖昧さ回避",
    "zh": "消歧[义義]",
    "ar": "توضيح",
    "bg": "пояснение",
    "ca": "desambiguació",
    "el": "αποσαφήνιση",
    "eo": "apartigilo",
    "eu": "argipena",
    "fi": "täsmennyssivu",
    "gl": "homónimos",
    "he": "פירושונים",
    "hu": "egyértelműsítő lap",
    "id": "disambiguasi|disambig",
    "ko": "동음이의",
    "ro": "dezambiguizare",
    "sr": "višeznačna odrednica|вишезначна одредница",
    "tr": "anlam ayrımı",
    "vi": "định hướng",
}


def is_disambiguation(title: str, templates: Iterable[str], language: str) -> bool:
    """Return whether a page only lists the meanings of its title; names must be normalised (`normalise_title`)."""
    bracket, names = _patterns(language)
    name, _, end = title.rpartition(" (")
    if name and bracket.fullmatch(end.casefold()):
        return True
    return any(names.fullmatch(template.casefold()) for template in templates)


def disambiguation_rows(
    found: FoundFile, editions: Collection[str], tally: ClaimCounts
) -> Iterator[tuple[str, ClassPath]]:
    """Yield the titles of DBpedia's `disambiguations` triples, once per run of lines, with DISAMBIGUATION."""
    last = ""
    for (title,) in read_rows(found, partial(parse_disambiguation, editions=editions), tally):
        tally.good((True, DISAMBIGUATION if title else ()))
        if title and title != last:
            yield title, DISAMBIGUATION
        last = title or last


@lru_cache(maxsize=16)
def _patterns(language: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return the case-folded patterns of title brackets, with the closing bracket, and of template names."""
    code = "en" if language == "simple" else wiki_code(language)
    code = code if code in _TEMPLATES else code.partition("-")[0]
    names = "|".join(filter(None, [_ANYWHERE, _TEMPLATES.get(code)]))
    return re.compile(f"(?:{_BRACKETS.get(code, 'disambiguation').casefold()})\\)"), re.compile(names.casefold())
