"""Facts about a wiki that the scanner needs (its name, language, namespaces, link trails), and the form of its titles.

They come from the dump's `<siteinfo>` if it is present; a few names that every wiki understands are built in.
Interlanguage prefixes are a fixed list, because dumps do not contain them: the prefix of a newer language is read as
part of a title, not lost. A wiki is named after its language, except some that are older than their language's code
(`nowiki` is in `nb`). The wiki's own code, from the name of its database, therefore selects what belongs to a wiki
(DBpedia's files, Wikidata's links).

Titles are normalised to the form that MediaWiki stores, in NFC, and chains of redirects are resolved. All sources
(dump, tables, triples, template names) share one form, so a lookup is one dict access. The cost: titles that differ
only in the case of their first letter become one title, also on the few wikis that distinguish them (Wiktionary).
Unicode's title case of that letter differs from MediaWiki's for a few digraphs.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from unicodedata import normalize

FILE, TEMPLATE, CATEGORY = 6, 10, 14

_ALIASES = {
    "en": {"image": FILE, "file": FILE, "media": -2, "special": -1, "template": TEMPLATE, "category": CATEGORY,
           "talk": 1, "user": 2, "wikipedia": 4, "project": 4, "wp": 4, "mediawiki": 8, "help": 12, "portal": 100,
           "module": 828, "draft": 118},
    "de": {"datei": FILE, "bild": FILE, "kategorie": CATEGORY, "vorlage": TEMPLATE, "benutzer": 2, "hilfe": 12},
    "it": {"immagine": FILE, "categoria": CATEGORY, "utente": 2, "portale": 100, "aiuto": 12, "progetto": 102},
    "fr": {"fichier": FILE, "catégorie": CATEGORY, "modèle": TEMPLATE, "utilisateur": 2, "aide": 12, "portail": 100},
}  # fmt: skip
_TRAILS = {
    "en": "[a-z]+",
    "de": "[äöüßa-z]+",
    "it": "[a-zàéèíîìóòúù]+",
    "fr": "[a-zàâçéèêîôûäëïöüùÇÉÂÊÎÔÛÄËÏÖÜÀÈÙ]+",
    "ca": "(?:[a-zàèéíòóúç·ïü]|'(?!'))+",
    "cs": "[a-záčďéěíňóřšťúůýž]+",
    "da": "[a-zæøå]+",
    "es": "[a-záéíóúñ]+",
    "fi": "[a-zäö]+",
    "hu": "[a-záéíóúöüőű]+",
    "nl": "[a-zäöüïëéèà]+",
    "no": "[a-zæøå]+",
    "nb": "[a-zæøå]+",
    "pl": "[a-zęóąśłżźćńĘÓĄŚŁŻŹĆŃ]+",
    "pt": "[a-záâãàéêçíòóôõúü]+",
    "ru": "[a-zа-яё]+",
    "sv": "[a-zåäöéÅÄÖÉ]+",
    "tr": "[a-zÇĞçğİıÖöŞşÜüÂâÎîÛû]+",
    "uk": "[a-zа-яґєії]+",
}
"""MediaWiki's link trails by language; any other language has `[a-z]+`, as in MediaWiki."""
_SISTERS = """b c commons d m meta metawikipedia mw n q s v w wikibooks wikidata wikinews wikipedia wikiquote wikisource
    wikispecies wikiversity wikivoyage wikt wiktionary voy foundation doi imdbname imdbtitle species""".split()
_LANGUAGES = frozenset(
    """
    aa ab ace ady af ak als am an ang ar arc ary arz as ast atj av avk awa ay az azb ba ban bar bat-smg bcl be be-tarask
    be-x-old bg bh bi bjn bm bn bo bpy br bs bug bxr ca cbk-zam cdo ce ceb ch cho chr chy ckb co cr crh cs csb cu cv cy
    da de dga din diq dsb dty dv dz ee el eml en eo es et eu ext fa ff fi fiu-vro fj fo fr frp frr fur fy ga gag gan gcr
    gd gl glk gn gom gor got gu gv ha hak haw he hi hif ho hr hsb ht hu hy hyw hz ia id ie ig ii ik ilo inh io is it iu
    ja jam jbo jv ka kaa kab kbd kbp kcg kg ki kj kk kl km kn ko koi kr krc ks ksh ku kv kw ky la lad lb lbe lez lfn lg
    li lij lld lmo ln lo lrc lt ltg lv mai map-bms mdf mg mh mhr mi min mk ml mn mni mnw mo mr mrj ms mt mus mwl my myv
    mzn na nah nap nds nds-nl ne new ng nl nn no nov nqo nrm nso nv ny oc olo om or os pa pag pam pap pcd pcm pdc pfl pi
    pih pl pms pnb pnt ps pt qu rm rmy rn ro roa-rup roa-tara ru rue rw sa sah sat sc scn sco sd se sg sh shi shn si
    simple sk sl sm smn sn so sq sr srn ss st stq su sv sw szl szy ta tay tcy te tet tg th ti tk tl tn to tpi tr trv ts
    tt tum tw ty tyv udm ug uk ur uz ve vec vep vi vls vo wa war wo wuu xal xh xmf yi yo za zea zh zh-classical
    zh-min-nan zh-yue zu""".split()
)
_OLDER = {
    "be-tarask": "be-x-old", "bho": "bh", "cbk": "cbk-zam", "gsw": "als", "lzh": "zh-classical", "nan": "zh-min-nan",
    "nb": "no", "rup": "roa-rup", "sgs": "bat-smg", "vro": "fiu-vro", "yue": "zh-yue",
}  # fmt: skip
"""Languages whose Wikipedia is named after an older code."""
_DATABASE = re.compile(r"([a-z]{2,3}(?:[_-][a-z]{1,12}){0,2}|simple)wiki")
"""Database names of Wikipedias; all others have a longer first part (`commonswiki`, `testwiki`)."""


@dataclass(frozen=True, slots=True)
class Site:
    """A wiki: `namespaces` maps lower-case names and aliases to their numbers."""

    wiki: str = "enwiki"
    language: str = "en"
    namespaces: dict[str, int] = field(default_factory=dict, hash=False)

    def namespace(self, title: str) -> int:
        """Return the number of a title's namespace; 0 for articles."""
        prefix, colon, _ = title.partition(":")
        return self.namespaces.get(prefix.strip().replace("_", " ").lower(), 0) if colon else 0

    def other_wiki(self, title: str) -> str:
        """Return `"language"`, `"sister"` or `""`: whether the title's prefix leads to another wiki."""
        prefix, colon, _ = title.partition(":")
        name = prefix.strip().lower() if colon else ""
        if name in self.namespaces:
            return ""
        return "language" if name in _LANGUAGES else "sister" if name in _SISTERS else ""

    def trail(self) -> re.Pattern[str]:
        """Return the pattern of letters after `]]` that belong to the link, in this language."""
        return re.compile(_TRAILS.get(self.language.partition("-")[0], "[a-z]+"))


def make_site(wiki: str, language: str, names: dict[str, int]) -> Site:
    """Return a Site from `<siteinfo>`, with the built-in names added; missing parts default to English."""
    language = (language or "en").lower()
    base = language.partition("-")[0]
    known = _ALIASES["en"] | _ALIASES.get(base, {}) | {name.lower(): number for name, number in names.items() if name}
    return Site(wiki or f"{language}wiki", base, known)


def wiki_code(language: str) -> str:
    """Return the code that a language's Wikipedia is named after: `no` for `nb`, else the language's own."""
    return _OLDER.get(language, language)


def wiki_codes(wiki: str, language: str) -> tuple[str, ...]:
    """Return the codes of a Wikipedia, first the one in its address: `be_x_oldwiki` → be-x-old, be-tarask.

    If the database is no known Wikipedia's (`samplewiki`), the language decides.
    """
    named = _DATABASE.fullmatch(wiki)
    code = named[1].replace("_", "-") if named else ""
    code = wiki_code(code if code in _LANGUAGES or code in _OLDER else language.lower())
    return (code, *(newer for newer, older in _OLDER.items() if older == code))


def editions(wiki: str, language: str) -> tuple[str, ...]:
    """Return the codes of the Wikipedias whose titles mean the same as here.

    They are the wiki's own codes, and English for Simple English.
    """
    codes = wiki_codes(wiki, language)
    return (*codes, "en") if codes == ("simple",) else codes


_INVISIBLE = re.compile("[\u200e\u200f\u202a-\u202e]")


def normalise_title(title: str) -> str:
    """Return `title` in NFC with an upper first letter; underscores and blanks become single inner spaces."""
    ascii_only = title.isascii()
    if not ascii_only:
        title = normalize("NFC", _INVISIBLE.sub("", title))
    title = " ".join(title.replace("_", " ").split())
    first = title[:1].title()
    if len(first) != 1 or first == title[0]:
        return title
    title = first + title[1:]
    return title if ascii_only else normalize("NFC", title)  # an upper `İ` may be composed where a lower `i̇` is not


def fold_redirects(redirects: Mapping[str, str]) -> dict[str, str]:
    """Return each redirecting title with the end of its chain.

    A title in a cycle ends at itself; a title that leads into a cycle ends where it enters. Runs in linear time.
    """
    ends: dict[str, str] = {}
    for start in redirects:
        chain: dict[str, None] = {}
        title = start
        while title in redirects and title not in ends and title not in chain:
            chain[title] = None
            title = redirects[title]
        end, in_cycle = ends.get(title, title), False
        for link in chain:
            in_cycle = in_cycle or link == title
            ends[link] = link if in_cycle else end
    return ends
