"""Table of the templates whose text belongs to the sentence, by language; the rules are in `phrases` and `numbers`.

Expanding templates would need every template of the wiki and a Lua interpreter. The table has the templates that occur
inside prose in real dumps (counted for en, de, it; French from its documentation), each with its documented output. A
template that is missing here leaves a gap, and a wiki that redefines a name gets the usual text. The table also lists
names known to show nothing, so that gaps can be distinguished from them.
"""

from collections.abc import Mapping, Sequence
from functools import cache

from nerbert.corpus.wikitext import numbers as f
from nerbert.corpus.wikitext import phrases as p

_CODE = 12
_TABLE: dict[str, p.Rule] = {
    # the argument is the text
    "nowrap|nobr|nobreak|nowraplinks|keepwrap|avoid wrap|small|smaller|big|large|larger|em|strong|abbr|tooltip|sup|sub|"
    "mvar|math|mono|code|kbd|samp|var|tt|unicode|nq|sc|smallcaps|sc1|sc2|nobold|noitalic|normal|underline|u|serif|"
    "proper name|vanchor|visible anchor|polytonic|script/arabic|script/hebrew|overline|chem2|pslink|nastaliq":
        p.argument("1"),
    "lang|langue": p.argument("2", "text"),
    "rtl-lang|lang-rtl": p.argument("2"), "equationnote|equationref": p.argument("2", "1"),
    "transl|transliteration|translit|tlit|color|font color|fontcolor|colored text": p.last,
    "linktext|not a typo|as written|gaps|typo": p.joined(""),
    "key press|key": p.joined("+"),
    "angbr|angle bracket|angle": p.around("⟨", "⟩"),
    "gloss": p.around("‘", "’"),
    "lit|literal translation": p.around("lit. ‘", "’"),
    "sqrt|radic": p.around("√"), "née": p.around("née "), "post-nominals": p.joined(" "),
    "harvtxt": p.cited("(", ")"), "harvnb": p.cited("", ""),
    "harv": lambda given: f"({p.cited('', '')(given)})",
    # signs
    "'": p.fixed("'"), "'s": p.fixed("'s"), "' \"": p.fixed("' \""), "\" '": p.fixed("\" '"), '-"': p.fixed('"'),
    "snd|snds|spnd|spaced ndash|spaced en dash|spaced en dash space": p.fixed(" – "),
    "ndash|en dash|endash|–": p.fixed("–"),
    "mdash|em dash|emdash|mdashb|—": p.fixed("—"),
    "spaced mdash|spaced em dash": p.fixed(" — "),
    "nbsp|space|spaces|thinsp|thin space|hairsp|hair space|nnbsp": p.fixed(" "),
    "zwj|zwnj|zwsp|wbr|shy|0": p.fixed(""),
    "=": p.fixed("="), "!": p.fixed("|"), "\\": p.fixed(" / "), "...|ellipsis": p.fixed("…"),
    "·|dot|middot": p.fixed(" · "), "•|bull|bullet": p.fixed(" • "),
    "okina": p.fixed("ʻ"), "hamza": p.fixed("ʾ"), "pi": p.fixed("π"), "dagger": p.fixed("†"),
    "tex": p.fixed("TeX"), "latex": p.fixed("LaTeX"), "co2": p.fixed("CO<sub>2</sub>"),
    "music": lambda given: {"flat": "♭", "sharp": "♯", "natural": "♮"}.get(given.text("1"), ""),
    # numbers, measures, dates
    "convert": f.quantity(short=False), "cvt": f.quantity(short=True),
    "frac|fraction|sfrac": f.fraction, "val": f.value, "e|exp|10^": f.power_of_ten, "chem": f.chemistry,
    "track gauge|railgauge": f.gauge,
    "us$|usd": p.around("US$"), "a$": p.around("A$"), "gbp|£": p.around("£"), "euro|€|eur": p.around("€"),
    "inr": p.around("₹"), "currency": f.money,
    "circa|c.|ca.": f.dates("c. ", " – "), "floruit|fl.": f.dates("fl. ", "–"),
    "reign|r.": lambda given: f"r. {'–'.join(filter(None, given.numbered()))}".strip(),
    "as of|asof": f.as_of, "oldstyledate": f.old_style,
    "birth date|birth date and age|death date|death date and age|start date|end date|start date and age|bda|dda":
        f.full_date,
    "sic": p.sic,
    "quote|blockquote|block quote|quotation|cquote|citazione": p.around("\n\n", "\n\n", "1", "text", "quote"),
    # links
    "w": p.linked("2"),
    "ill|interlanguage link|interlanguage link multi|link-interwiki|illm": p.linked("lt", "en_text"),
    "flag|flagcountry|flagcountry2": p.linked("name"), "flagu": p.argument("1"),
    "sortname": p.sort_name, "section link|slink": p.section, "stnlnk|rws": p.station,
    "ship": p.ship(""), "sclass|sclass2|sclass-": p.ship_class,
    "nihongo|nihongo2|japonais|nihongo4|nihongo krt": p.japanese, "nihongo foot": p.argument("1"),
    # no text in the sentence: pronunciation, notes, editors' remarks, pictures, coordinates
    "ipa|ipac-en|ipalink|ipaslink|ipablink|respell|audio|audio-ipa|listen|pronunciation|link audio|"
    "citation needed|cn|fact|who|who?|when|when?|where|which|which?|why|vague|clarify|by whom|by whom?|"
    "according to whom|dubious|verify source|page needed|failed verification|better source|better source needed|"
    "unreliable source?|dead link|update inline|update after|disputed inline|disambiguation needed|full|sfn|sfnp|"
    "sfnm|r|rp|ref|refn|efn|efn-ua|note|#tag:ref|flagicon|flagdeco|anchor|anker|coord|coords|clear|-|drapeau|"
    "bandiera|naz|nowrap begin|nowrap end": p.fixed(""),
} | {kind.lower(): p.ship(kind) for kind in (
    "HMS", "USS", "SS", "RMS", "MV", "MS", "HMAS", "HMCS", "HMNZS", "SMS", "USNS", "USCGC", "INS", "ROKS", "JDS", "RV",
)}  # fmt: skip

_OWN: dict[str, dict[str, p.Rule]] = {
    "en": {
        '"': p.around("“", "”"),
        "zh": p.chinese("[[Chinese language|Chinese]]: ", "[[pinyin]]: ", "; "),
        "langx": lambda given: _labelled(given),  # noqa: PLW0108  (defined below)
    },
    "de": {
        '"': p.around("„", "“"), "zitat": p.around("\n\n„", "“\n\n", "1", "Text"), "graphem": p.around("⟨", "⟩"),
        "polytonisch|fa|phonem|phon|lexem": p.argument("1"), "bruch": f.fraction, "höhe": f.height,
        "§": f.paragraph, "art.": p.around("Art. "), "elsalt2": p.argument("1"),
        "zh": p.chinese("[[Chinesische Sprache|chinesisch]] ", "[[Pinyin]] ", ", "),
    },
    "it": {
        "m": f.italian_measure, "ta|tutto attaccato|maiuscoletto|numero": p.argument("1"),
        "m s.l.m.": p.fixed("m s.l.m."), "passo biblico": p.joined(" "),
        "chiarire|senza fonte|citazione necessaria|cn": p.argument("1"),
    },
    "fr": {
        '"|citation|guillemets|citation nécessaire': p.around("«\xa0", "\xa0»"), "incise": p.around("– ", " –"),
        "unité|unite|nombre|nb|formatnombre": f.french_number,
        "date|date-|date de naissance|date de décès": f.french_date,
        "s|s-|s2|s2-": f.century(), "sp|sp-": f.centuries, "-s|-s-|-s2|-s2-": f.century(" av. J.-C."),
        "lien": p.french_link,
        "terme défini|terme|abréviation|abrd|abr|romain|rom|rom-maj|pc|petites capitales|refnec|"
        "référence nécessaire|pas clair|quoi|souverain|souverain-|souverain2|souverain3": p.argument("1"),
        "exp": p.around("<sup>", "</sup>"), "ind": p.around("<sub>", "</sub>"), "n°|numéro|no": f.dates("n° ", ", "),
        "tmp": p.joined(" "), "av jc|av. j.-c.|-jc": p.fixed("av. J.-C."), "ap jc|apr. j.-c.": p.fixed("apr. J.-C."),
        "e": p.fixed("e"), "er": p.fixed("er"), "re": p.fixed("re"), "es": p.fixed("es"), "ers": p.fixed("ers"),
        **{f"{sign.lower()}|{sign.lower()}.": f.dates(f"{sign} ", ", ") for sign in ("Mme", "Mlle", "Dr", "Mgr")},
        "m.": f.dates("M. ", ", "), "mm.": f.dates("MM. ", ", "), "1er": p.fixed("1er"),
        "1re": p.fixed("1re"), **{f"{number}e": p.fixed(f"{number}e") for number in range(2, 32)},
    },
}  # fmt: skip

_ROMAN = ("I II III IV V VI VII VIII IX X XI XII XIII XIV XV XVI XVII XVIII XIX XX XXI").split()


def _pairs(text: str) -> dict[str, str]:
    """Parse `a=b c=d` into a dict."""
    return dict(each.split("=") for each in text.split())


_ENGLISH = _pairs(
    "ar=Arabic az=Azerbaijani be=Belarusian bg=Bulgarian bn=Bengali ca=Catalan cs=Czech cy=Welsh da=Danish de=German "
    "el=Greek en=English es=Spanish et=Estonian eu=Basque fa=Persian fi=Finnish fr=French ga=Irish gd=Scottish_Gaelic "
    "gl=Galician grc=Ancient_Greek he=Hebrew hi=Hindi hr=Croatian hu=Hungarian hy=Armenian id=Indonesian is=Icelandic "
    "it=Italian ja=Japanese ka=Georgian kk=Kazakh ko=Korean la=Latin lt=Lithuanian lv=Latvian mk=Macedonian ms=Malay "
    "nl=Dutch no=Norwegian pl=Polish ps=Pashto pt=Portuguese ro=Romanian ru=Russian rus=Russian sa=Sanskrit "
    "sk=Slovak sl=Slovene sq=Albanian sr=Serbian sv=Swedish ta=Tamil te=Telugu th=Thai tr=Turkish uk=Ukrainian "
    "ur=Urdu uz=Uzbek vi=Vietnamese yi=Yiddish zh=Chinese"
)
_GERMAN = _pairs(
    "ar=arabisch bg=bulgarisch bar=bairisch cs=tschechisch da=dänisch el=griechisch en=englisch es=spanisch "
    "fa=persisch fi=finnisch fr=französisch gr=griechisch grc=altgriechisch elsalt=altgriechisch elsneu=neugriechisch "
    "he=hebräisch hr=kroatisch hu=ungarisch it=italienisch ja=japanisch ko=koreanisch la=lateinisch nl=niederländisch "
    "no=norwegisch pl=polnisch pt=portugiesisch ro=rumänisch ru=russisch sk=slowakisch sl=slowenisch sr=serbisch "
    "sv=schwedisch tr=türkisch uk=ukrainisch ur=urdu"
)
_FRENCH = _pairs(
    "ar=arabe de=allemand el=grec en=anglais es=espagnol fa=persan grc=grec_ancien he=hébreu it=italien ja=japonais "
    "la=latin nl=néerlandais pl=polonais pt=portugais ru=russe sv=suédois tr=turc zh=chinois"
)
_ITALIAN = _pairs(
    "arabo=araba cinese=cinese ebraico=ebraica francese=francese giapponese=giapponese greco=greca inglese=inglese "
    "latino=latina olandese=olandese polacco=polacca portoghese=portoghese russo=russa spagnolo=spagnola "
    "svedese=svedese tedesco=tedesca turco=turca ungherese=ungherese"
)

_TOLD = {"en": ("romanized: ", ", lit. ‘", "’"), "de": ("", " ‚", "‘"), "fr": ("", ", litt. «\xa0", "\xa0»"),
         "it": ("", ", lett. \"", "\"")}  # fmt: skip


def is_text_template(name: str, language: str) -> bool:
    """Return whether `template_text` knows the name, which must be in lower case and stripped.

    The check is cheap: call it before splitting arguments.
    """
    return name in _rules(language) or name.startswith(_PREFIXES)


def template_text(name: str, arguments: Sequence[str], language: str) -> str | None:
    """Return the wikitext that a template puts into the sentence: "" for nothing, None if the table lacks it.

    `arguments` is the text between the top-level bars, numbered and `name=value` mixed. `{{convert}}` gives the number
    and unit that it shows first, without the conversion in brackets.
    """
    rule = _rules(language).get(name) or (_by_prefix(name) if name.startswith(_PREFIXES) else None)
    return None if rule is None else rule(p.Arguments(arguments))


_PREFIXES = ("lang-", "ipa-", "ipac-")


def _by_prefix(name: str) -> p.Rule:
    """Return the rule of a name with a known prefix: `lang-xx` gives its text without a label, `ipa-xx` nothing."""
    return p.argument("1", "text") if name.startswith("lang-") else p.fixed("")


def _labelled(given: p.Arguments) -> str:
    """Expand `{{langx|de|text}}` as `{{lang-de|text}}`."""
    rest = p.Arguments(())
    rest.values |= {
        "1": given.text("2", "text"),
        "translit": given.text("3", "translit"),
        "lit": given.text("4", "lit"),
    }
    rest.values["link"] = given.text("link", "links")
    return (_rules("en").get(f"lang-{given.text('1')[:_CODE]}") or p.argument("1"))(rest)


@cache
def _rules(language: str) -> Mapping[str, p.Rule]:
    """Return all rules for one language; a language without its own has the shared rules."""
    rows = _TABLE | _OWN.get(language, {}) | _languages(language)
    return {name: rule for names, rule in rows.items() for name in names.split("|")}


def _languages(language: str) -> dict[str, p.Rule]:
    """Return the rules named after a language: `lang-de`, German `enS`, Italian `inglese`; also French centuries."""
    if language == "en":
        names = {code: name.replace("_", " ") for code, name in _ENGLISH.items()}
        return {f"lang-{code}": p.spoken(f"{n} language", n, ": ", _TOLD["en"]) for code, n in names.items()}
    if language == "de":
        told = _TOLD["de"]
        shown = {
            code if code.startswith("els") else f"{code}s": p.spoken(f"{name.title()}e Sprache", name, " ", told)
            for code, name in _GERMAN.items()
        }
        return shown | {f"{code}f": p.foreign(told) for code in ("ar", "fa", "he", "ur")}
    if language == "fr":
        names = {code: name.replace("_", " ") for code, name in _FRENCH.items()}
        spoken = {f"lang-{code}": p.spoken(n, n, " : ", _TOLD["fr"], "en ") for code, n in names.items()}
        ordinals = {f.ordinal(roman) for roman in _ROMAN}
        return spoken | {f"{o.lower()}{more}": p.fixed(o + more) for o in ordinals for more in ("", " siècle")}
    names = {name: f"lingua {adjective}" for name, adjective in _ITALIAN.items() if language == "it"}
    return {name: p.spoken(title, name, ": ", _TOLD["it"], "in ") for name, title in names.items()}
