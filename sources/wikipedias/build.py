"""Tabulate what Wikipedias' wikitext says differently by language: `python sources/wikipedias/build.py MEDIAWIKI`.

MEDIAWIKI is the folder of an unpacked MediaWiki; README.md says which, and where from. With `--check` the table is
only compared. Each language keeps the rows of its own message table, and one that names its fallback languages, so that
no name stands twice. The cost: who reads the table must follow the fallbacks.
"""

import argparse
import json
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from xml.etree import ElementTree

from php import Value, variables

SOURCE = (
    "# Letters, names and words of the message tables of MediaWiki 1.39.17 (GPL-2.0-or-later; facts, no code), and of",
    "# Wikimedia's configuration, read on 22 November 2026 by sources/wikipedias/build.py. Values are separated by |.",
)
OUTPUT = Path(__file__).parents[2] / "nerbert" / "tables" / "wikipedias_wikitext.tsv"
_NAMESPACES = {
    "NS_MEDIA": -2,
    "NS_SPECIAL": -1,
    "NS_TALK": 1,
    "NS_USER": 2,
    "NS_USER_TALK": 3,
    "NS_PROJECT": 4,
    "NS_PROJECT_TALK": 5,
    "NS_FILE": 6,
    "NS_FILE_TALK": 7,
    "NS_MEDIAWIKI": 8,
    "NS_MEDIAWIKI_TALK": 9,
    "NS_TEMPLATE": 10,
    "NS_TEMPLATE_TALK": 11,
    "NS_HELP": 12,
    "NS_HELP_TALK": 13,
    "NS_CATEGORY": 14,
    "NS_CATEGORY_TALK": 15,
}
_SWITCHES = "notoc nogallery forcetoc toc noeditsection notitleconvert nocontentconvert".split()
_EXACT_SWITCHES = """newsectionlink nonewsectionlink hiddencat expectunusedcategory index noindex
    staticredirect""".split()
"""Behaviour switches whose case counts."""
_UNDERLINES = ("__", "＿＿")
_TRAIL = re.compile(r"/\^\((.*)\)\(\.\*\)\$/[a-zA-Z]*")
_CLASS = re.compile(r"(?::\?)?\[([^\]]*)\]\+")
_ALTERNATIVES = re.compile(r"\(\?:(.*)\)\+")
_CODE = re.compile(r"\\x\{([0-9A-Fa-f]+)\}|\\x([0-9A-Fa-f]{2})")
_ANY_LETTER = "\\x{80}-\\x{10ffff}"
_ANY, _NONE = "*", "∅"
_LETTERS = ("trail", "prefix")
_REPLACED = ("date", "digits", "months")
"""Facts of which an addition replaces MediaWiki's."""
_FUNCTIONS = "formatnum lc uc lcfirst ucfirst plural padleft padright".split()
_PAGE_NAMES = "pagename fullpagename subjectpagename basepagename rootpagename subpagename".split()
"""Words for the page's title; an article has no pages below it."""
_HASHED = "expr if ifeq ifexpr switch".split()
"""Parser functions whose name follows a `#`."""
_MONTHS = "january february march april may_long june july august september october november december".split()
_RULE = re.compile(r"([nivwft])(?: % (\d+))? (!?)= ([\d.,]+)")
_JOINERS = frozenset("'’·\u200c\u200d")
"""What is kept of a trail's other characters, where a letter follows."""


def main() -> None:
    """Write the table, or exit with 1 if the one that is there is another."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("mediawiki", type=Path, help="folder of an unpacked MediaWiki")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if the table is not this one")
    given = parser.parse_args()
    try:
        text = build(given.mediawiki, _additions())
    except (ValueError, OSError) as error:
        sys.exit(f"{given.mediawiki}: {error}")
    if not given.check:
        OUTPUT.write_text(text, encoding="utf-8")
    elif OUTPUT.read_text(encoding="utf-8") != text:
        sys.exit(f"{OUTPUT.name}: not what {given.mediawiki} gives")


def build(mediawiki: Path, additions: dict[str, dict[str, list[str]]]) -> str:
    """Return the table; raise ValueError for message tables that can't be read."""
    folder = mediawiki / "languages" / "messages"
    tables = {_code(path): variables(path) for path in sorted(folder.glob("Messages*.php"))}
    if "en" not in tables:
        raise ValueError("no languages/messages/MessagesEn.php: not a MediaWiki")
    rows = [*SOURCE, "language\tfact\tvalues"]
    english = _facts(tables["en"])
    hashed = variables(mediawiki / "extensions-core/ParserFunctions/ParserFunctions.i18n.magic.php")["magicWords"]
    plurals = _plurals(mediawiki / "languages" / "data")
    for language, table in tables.items():
        facts = _facts(table) | _function_facts(hashed.get(language, {}), _HASHED)  # type: ignore[union-attr, arg-type]
        facts |= _plain_months(mediawiki / "languages" / "i18n" / f"{language}.json")
        facts |= {"plural": plurals[language]} if language in plurals else {}
        for fact, values in additions.pop(language, {}).items():
            facts[fact] = values if fact in _REPLACED else [*facts.get(fact, []), *values]
        for fact, values in facts.items():
            known = english.get(fact, []) if language != "en" and fact not in _LETTERS else []
            own = "|".join(value for value in dict.fromkeys(values) if value not in known)
            rows += [f"{language}\t{fact}\t{own}"] if own else []
    if additions:
        raise ValueError(f"additions to unknown languages: {', '.join(additions)}")
    return "\n".join([*rows, ""])


def _code(path: Path) -> str:
    return path.stem.removeprefix("Messages").replace("_", "-").lower()


def _additions() -> dict[str, dict[str, list[str]]]:
    """Return what Wikipedias' configuration and extensions add: language → fact → values."""
    found: dict[str, dict[str, list[str]]] = {}
    for line in (Path(__file__).parent / "additions.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        language, fact, values = line.split("\t")
        found.setdefault(language, {})[fact] = values.split("|")
    return found


def _facts(table: dict[str, Value]) -> dict[str, list[str]]:
    """Return the facts of a language's own table: fact → values."""
    facts: dict[str, list[str]] = {}
    if isinstance(fallback := table.get("fallback"), str):
        facts["fallback"] = fallback.replace(" ", "").split(",")
    if isinstance(trail := table.get("linkTrail"), str):
        facts["trail"] = _trail(trail)
    if "linkPrefixExtension" in table:
        charset = str(table.get("linkPrefixCharset", _ANY_LETTER)) if table["linkPrefixExtension"] else ""
        facts["prefix"] = [_ANY if _ANY_LETTER in charset else _ranges(_characters(charset)) or _NONE]
    facts |= {str(number): names for number, names in sorted(_names(table).items())}
    facts |= _function_facts(table.get("magicWords", {}), _FUNCTIONS) | _number_facts(table) | _date_facts(table)
    for name, word in _words(table):
        if name in _SWITCHES or name in _EXACT_SWITCHES:
            fact = "switch" if name in _SWITCHES else "exact switch"
            facts.setdefault(fact, []).extend([word] if word[:2] in _UNDERLINES else [])
        elif name == "redirect":
            facts.setdefault(name, []).append(word.lstrip("#＃"))
        elif name in _PAGE_NAMES:
            facts.setdefault("page name", []).append(word.lower().replace("_", " "))
    return facts


def _function_facts(magic: Value, names: list[str]) -> dict[str, list[str]]:
    """Return the words for parser functions, by function, without colon and `#`."""
    facts: dict[str, list[str]] = {}
    for name, word in _words({"magicWords": magic}):
        if name in (*names, "default"):
            facts.setdefault(name if name == "default" else f"function {name}", []).append(
                f"{'#' * (name in _HASHED)}{word.lower().strip('#:：')}"
            )
    return facts


def _number_facts(table: dict[str, Value]) -> dict[str, list[str]]:
    """Return how numbers are written: separators of thousands and decimals, the sizes of groups, digits."""
    facts: dict[str, list[str]] = {}
    if isinstance(signs := table.get("separatorTransformTable"), dict):
        marks = [str(signs.get(sign, sign)).replace("\xa0", "⍽") or _NONE for sign in ",."]
        facts["separators"] = marks
    if isinstance(least := table.get("minimumGroupingDigits"), str):
        facts["least digits"] = [str(int(least) + 3)]
    if isinstance(pattern := table.get("digitGroupingPattern"), str):
        facts["group"] = ["2" if "##,##0" in pattern else "3"]
    if isinstance(digits := table.get("digitTransformTable"), dict) and digits:
        facts["digits"] = ["".join(str(digits.get(digit, digit)) for digit in "0123456789")]
    return facts


def _date_facts(table: dict[str, Value]) -> dict[str, list[str]]:
    """Return how a date is written, with {d}, {m} (the month's name), {n} (its number) and {y}."""
    formats = table.get("dateFormats")
    formats = formats if isinstance(formats, dict) else {}
    names = (f"{table.get('defaultDateFormat')} date", "dmy date")
    text = next((str(formats[name]) for name in names if name in formats), "")
    text = re.sub(r"\s*[(（][lD][)）]|\bl ", "", text.replace("\u200f", ""))
    if not text or re.search("xk|mhw", text):
        return {}
    pieces = re.findall(r'"([^"]*)"|\\(.)|(xg|[jFMnY])|(.)', text)
    fields = {"j": "{d}", "F": "{m}", "M": "{m}", "xg": "{m}", "n": "{n}", "Y": "{y}"}
    if table.get("defaultDateFormat") in ("ko", "ČSN basic dt"):
        fields["M"] = "{n}"
    return {
        "date": [
            "".join(quoted or escaped or fields.get(field, "") + other for quoted, escaped, field, other in pieces)
        ]
    }


def _plain_months(path: Path) -> dict[str, list[str]]:
    """Return the names of months, as they stand in a date."""
    messages = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    names = [messages.get(f"{name.removesuffix('_long')}-gen") or messages.get(name) for name in _MONTHS]
    return {"months": names} if all(names) else {}


def _plurals(folder: Path) -> dict[str, list[str]]:
    """Return the rules of plurals by language, in the terms of `#expr`, with N for the number."""
    found: dict[str, list[str]] = {}
    for name in ("plurals.xml", "plurals-mediawiki.xml"):
        for rules in ElementTree.parse(folder / name).iter("pluralRules"):  # noqa: S314
            texts = [(rule.text or "").partition("@")[0].strip() for rule in rules if rule.get("count") != "other"]
            for locale in rules.get("locales", "").split():
                found[locale.replace("_", "-").lower()] = [_expression(text) for text in texts] or [_NONE]
    return found


def _expression(rule: str) -> str:
    """Return a plural rule in the terms of `#expr`; what only numbers with decimals meet is left out."""
    alternatives = [list(map(_comparison, part.split(" and "))) for part in rule.split(" or ")]
    return " or ".join(" and ".join(filter(None, part)) for part in alternatives if None not in part) or "0"


def _comparison(text: str) -> str | None:
    """Return one comparison of a plural rule; "" if all numbers without decimals meet it, None if none does."""
    match = _RULE.fullmatch(text)
    if match is None:
        raise ValueError(f"a plural rule of another form: {text}")
    ranges = [part.partition("..") for part in match[4].split(",")]
    if match[1] not in "ni":
        return "" if any(low == "0" for low, *_ in ranges) != bool(match[3]) else None
    operand = f"N mod {match[2]}" if match[2] else "N"
    either = " or ".join(
        f"{operand} >= {low} and {operand} <= {high}" if high else f"{operand} = {low}" for low, _, high in ranges
    )
    return f"not ({either})" if match[3] else f"({either})" if len(ranges) > 1 else either


def _words(table: dict[str, Value]) -> list[tuple[str, str]]:
    """Return the magic words as (name, word); the first value of each says whether its case counts."""
    found = []
    magic = table.get("magicWords", {})
    for name, values in magic.items() if isinstance(magic, dict) else ():
        words = list(values.values()) if isinstance(values, dict) else []
        found += [(name, str(word)) for word in words[words[:1] in (["0"], ["1"]) :]]
    return found


def _names(table: dict[str, Value]) -> dict[int, list[str]]:
    """Return the names, aliases and gendered names of namespaces, by number.

    Those with the wiki's own name are left out, because a message table does not know it.
    """
    found: dict[int, list[str]] = {}
    names, aliases, gendered = (table.get(f"namespace{kind}") or {} for kind in ("Names", "Aliases", "GenderAliases"))
    pairs = [*names.items(), *((key, name) for name, key in aliases.items())]  # type: ignore[union-attr]
    pairs += [(key, name) for key, each in gendered.items() for name in each.values()]  # type: ignore[union-attr]
    for key, name in pairs:
        if key in _NAMESPACES and name and "$1" not in str(name):
            found.setdefault(_NAMESPACES[str(key)], []).append(str(name).replace("_", " "))
    return found


def _trail(expression: str) -> list[str]:
    """Return the trail's letters as ranges, then the strings that belong to it where a letter follows."""
    whole = _TRAIL.fullmatch(expression)
    if whole is None:
        raise ValueError(f"a link trail of another form: {expression}")
    letters, joined = set[str](), dict[str, None]()
    if several := _ALTERNATIVES.fullmatch(whole[1]):
        parts = several[1].replace("\\'", "'").split("|")
    elif one := _CLASS.fullmatch(whole[1]):
        parts = [f"[{one[1]}]"]
    else:
        parts = [whole[1]] if whole[1] else []
    for part in parts:
        characters = set(_characters(part[1:-1])) if part[0] == "[" else {part.replace("(?!')", "")}
        letters |= {each for each in characters if len(each) == 1}
        joined |= dict.fromkeys(sorted(each for each in characters if len(each) > 1 or each in _JOINERS))
    return [_ranges(letters) or _NONE, *("".join(map(_shown, each)) for each in joined)]


def _characters(body: str) -> Iterator[str]:
    """Yield the characters of a class; a hyphen after a range is itself, as PCRE has it."""
    text = _CODE.sub(lambda match: chr(int(match[1] or match[2], 16)), body)
    if "\\" in text:
        raise ValueError(f"letters of another form: {body}")
    place = 0
    while place < len(text):
        if text[place + 1 : place + 2] == "-" and place + 2 < len(text):
            yield from map(chr, range(ord(text[place]), ord(text[place + 2]) + 1))
            place += 3
        else:
            yield text[place]
            place += 1


def _ranges(characters: Iterable[str]) -> str:
    """Return the letters, marks and digits as the body of a character class.

    A range may contain unassigned characters.
    """
    pieces = list[list[str]]()
    for char in sorted(each for each in set(characters) if unicodedata.category(each)[0] in "LMN"):
        if pieces and all(map(_is_unassigned, range(ord(pieces[-1][1]) + 1, ord(char)))):
            pieces[-1][1] = char
        else:
            pieces.append([char, char])
    return "".join(_range(first, last) for first, last in pieces)


def _is_unassigned(code: int) -> bool:
    return unicodedata.category(chr(code)) == "Cn"


def _range(first: str, last: str) -> str:
    between = "-" if ord(last) > ord(first) + 1 else ""
    return _shown(first) if first == last else f"{_shown(first)}{between}{_shown(last)}"


def _shown(char: str) -> str:
    """Return a character, escaped if it has no width of its own."""
    return f"\\u{ord(char):04x}" if unicodedata.category(char)[0] in "MC" else char


if __name__ == "__main__":
    main()
