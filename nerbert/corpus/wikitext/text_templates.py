"""Return the text that a template puts into its sentence, by the table `nerbert/tables/text_templates.tsv`.

docs/explanation/corpus.md describes the table's rows. A template that the table lacks leaves a gap. A measure yields
its number and unit, without the conversion in brackets; a unit that `nerbert/tables/units.tsv` lacks yields its code.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache, partial
from typing import TypeAlias

from nerbert.corpus.dump.sites import is_known_language, wikitext_of
from nerbert.corpus.wikitext.parser_functions import format_number, group_digits
from nerbert.tables import read_columns

_MARKS = str.maketrans({"␣": " ", "␤": "\n", "⍽": "\xa0", "∅": None})
_NAMED = re.compile(r"\s*+([\w-]{1,30}+)\s*+=")
_PIECE = re.compile(r"‹([^‹›]*)›|\{([^{}]*)\}")
_NO_TITLE = re.compile(r"[\[\]{}<>|\n]")
_LONGEST_CODE = 12
_PLAIN = re.compile(r"[-−–+]?\d[\d,]{0,40}(?:\.\d{0,40})?|[-−–+]?\.\d{1,40}")
_FRACTION = re.compile(r"([-−–]?)(?:(\d{1,20})\+)?(\d{1,20})(/{1,2}|⁄)(\d{1,20})")
_MULTIPLE = re.compile(r"(e3|e6|e9|e12)(.+)|([kMGT])(oilbbl|cuft|ft3|USgal|impgal)")
_LONGEST_UNIT = 24
_DAY = re.compile(r"(?:\A[^{]*)?\{d\}(?:[^{\s]*\s?(?=[^{]*\{n\})|[^{]*)")
"""The day in a date pattern, with the characters attached to it."""
_YEAR = re.compile(r"\{y\}[^\W\d_]?")
"""The year in a date pattern, with the sign attached to it: `{y}年`."""
_CLEAR_NUMBER = re.compile(r"(?<![\d.,])\d++(?:\.(?!\d{3}(?!\d))\d++)?(?![\d.,])")
"""A number with the same meaning in every language, unlike `1,234` and `1.234`."""

Names: TypeAlias = tuple[str, str, str]
"""A unit's symbol, its singular name, and its plural name."""


class Arguments:
    """The arguments of a template, by name and number, and its language; of equal names, the last counts."""

    __slots__ = ("count", "language", "values")

    def __init__(self, raw: Sequence[str] = (), language: str = "en") -> None:
        self.language = language
        self.values: dict[str, str] = {}
        self.count = 0
        for argument in raw:
            named = _NAMED.match(argument) if "=" in argument else None
            self.count += named is None
            # Named arguments are stripped, unnamed ones keep their blanks, as in MediaWiki
            self.values[named[1] if named else str(self.count)] = argument[named.end() :].strip() if named else argument

    def text(self, *names: str) -> str:
        """Return the first of these arguments that is not blank, stripped; else ""."""
        return next((value for name in names if (value := self.values.get(name, "").strip())), "")

    def list_numbered(self) -> list[str]:
        """Return the stripped values of 1, 2, 3 … up to the last unnamed one."""
        # Arguments can be numbered by name, too: `2=text`
        last = max(self.count, next((n for n in (3, 2, 1) if str(n) in self.values), 0))
        return [self.text(str(number)) for number in range(1, last + 1)]


Rule = Callable[[Arguments], str]


def text_rule(name: str, language: str) -> Rule | str | None:
    """Return the rule of a template (name in lower case, stripped), its text if constant, or None."""
    rules = _read_rules(language)
    # `lang-*` serves for all languages whose row is missing
    return rules.get(name, rules.get(f"{name.partition('-')[0]}-*"))


@cache
def _read_rules(language: str) -> Mapping[str, Rule | str]:
    """Return the table's rules for one language, including those that all languages share."""
    macros: dict[str, str] = {}
    rules: dict[str, Rule | str] = {}
    for of, kind, text, names in read_columns("text_templates.tsv", "language", "kind", "arguments", "names"):
        if of not in ("*", language):
            continue
        arguments = text.translate(_MARKS)
        if kind == "macro":
            macros[names] = arguments
        elif kind in macros:
            pattern = _without_parameters(macros[kind], arguments.split("|"))
            rules |= dict.fromkeys(names.split("|"), partial(_fill_text, pattern))
        elif kind == "text" and not set("{?") & set(arguments):
            rules |= dict.fromkeys(names.split("|"), arguments)
        elif kind == "name":
            rules |= {name: partial(_fill_text, f"{name}‹ {{1}}›") for name in names.split("|")}
        else:
            rules |= dict.fromkeys(names.split("|"), partial(_KINDS[kind], arguments))
    return rules


def _without_parameters(macro: str, values: Sequence[str]) -> str:
    return re.sub("%([1-9])", lambda match: values[int(match[1]) - 1], macro)


def _fill_text(pattern: str, arguments: Arguments) -> str:
    """Return the text of the first alternative that counts; "" if none does."""
    for alternative in pattern.split(" || "):
        conditions, _, body = alternative[1:].partition(": ") if alternative[0] == "?" else ("", "", alternative)
        if conditions and not all(_holds(condition, arguments) for condition in conditions.split(", ")):
            continue
        first, arrow, label = body.partition(" → ")
        text = _fill_pattern(first, arguments)
        shown = _fill_pattern(label, arguments) if arrow and text is not None else ""
        # A blank argument rules this alternative out
        if text is not None and shown is not None:
            return _make_link(text, shown) if arrow else text
    return ""


def _holds(condition: str, arguments: Arguments) -> bool:
    names, equals, value = condition.partition("=")
    text = arguments.text(*names.split("|"))
    if value == "<language>":
        return is_known_language(text)
    return text.casefold() == value.casefold() if equals else bool(text)


def _fill_pattern(pattern: str, arguments: Arguments) -> str | None:
    """Return a pattern with its arguments; None if one of them is blank."""
    blank = False

    def value(match: "re.Match[str]") -> str:
        nonlocal blank
        optional, names = match.groups()
        if blank:
            return ""
        # A piece in `‹…›` may be left out, without ruling out the whole
        if optional is not None:
            return _fill_pattern(optional, arguments) or ""
        names, _, filter_name = names.partition(":")
        texts = (arguments.text(*group.split("|")) for group in names.split(", "))
        if filter_name in ("date", "mdy"):
            text = _format_date(arguments.language, "" if filter_name == "date" else "{m} {d}, {y}", *texts)
        else:
            text = _FILTERS[filter_name](*texts)
        blank = blank or not text
        return text

    text = _PIECE.sub(value, pattern)
    return None if blank else text


def _make_link(title: str, label: str) -> str:
    """Return a link, or only the label if the title is not plain text."""
    if not title or _NO_TITLE.search(title):
        # A title with brackets or a template makes no link
        return label or title
    return f"[[{title}|{label}]]" if label and label != title else f"[[{title}]]"


def _find_raw(names: str, arguments: Arguments) -> str:
    """Return the first given argument, with its outer blanks: `1|text`."""
    return next((arguments.values[name] for name in names.split("|") if name in arguments.values), "")


def _join_arguments(pattern: str, arguments: Arguments) -> str:
    """Return all numbered arguments, each with the text before `{}`, separated by the text after it."""
    before, _, between = pattern.partition("{}")
    return between.join(f"{before}{value}" for value in arguments.list_numbered() if value) or before.strip()


def _expand_quantity(form: str, arguments: Arguments) -> str:
    """Expand `{{convert|5|km|mi}}`, or `{{cvt|…}}` in the form `short`; other languages than English always use it."""
    named = {name: value.strip() for name, value in arguments.values.items()}
    if arguments.language.partition("-")[0] == "en":
        return format_measure(arguments.list_numbered(), named, short=form == "short")
    # The names of units are English, so other languages get the symbols
    facts = wikitext_of(arguments.language).facts
    text = format_measure(arguments.list_numbered(), named | {"abbr": "on", "adj": "", "comma": "off"}, short=True)
    for words, signs in _read_words().values():
        text = text.replace(words, signs)
    return _CLEAR_NUMBER.sub(lambda number: format_number(number.group(), facts), text)


def _expand_chemistry(_: str, arguments: Arguments) -> str:
    """Expand `{{chem|NH|4|+}}`: keep letters, lower numbers, raise charges."""
    pieces = []
    for part in arguments.list_numbered():
        # `+`, `2+`: the charge of an ion
        charged = part[-1:] in ("+", "-", "−")
        counted = part[:1].isdigit()
        charge = f"<sup>{part.replace('-', '−')}</sup>" if len(part) < 20 else part
        pieces.append(charge if charged else f"<sub>{part}</sub>" if counted else part)
    return "".join(pieces)


def _expand_number(_: str, arguments: Arguments) -> str:
    """Expand `{{unité|12500|km|h|-1}}` to `12 500 km h^−1`; one argument may contain a number and its noun."""
    first, *parts = arguments.list_numbered() or [""]
    number, blank, noun = first.partition(" ")
    pieces = [group_digits(number, "\xa0") + blank + noun]
    for part in filter(None, parts):
        # A number after a unit is its exponent: `km|h|-1`
        exponent = re.fullmatch(r"[-−+]?\d{1,3}", part) and len(pieces) > 1
        pieces.append(f"<sup>{part.replace('-', '−')}</sup>" if exponent else f" {part}")
    return "".join(pieces)


def _expand_langx(_: str, arguments: Arguments) -> str:
    """Expand `{{langx|de|text}}` as `{{lang-de|text}}`."""
    inner = Arguments()
    names = {"1": ("2", "text"), "translit": ("3", "translit"), "lit": ("4", "lit"), "link": ("link", "links")}
    inner.values |= {name: arguments.text(*others) for name, others in names.items()}
    rule = _read_rules("en").get(f"lang-{arguments.text('1')[:_LONGEST_CODE]}")
    # A language without a row of its own shows the text alone
    return rule(inner) if callable(rule) else inner.text("1")


_KINDS: dict[str, Callable[[str, Arguments], str]] = {
    "text": _fill_text,
    "raw": _find_raw,
    "each": _join_arguments,
    "quantity": _expand_quantity,
    "chemistry": _expand_chemistry,
    "number": _expand_number,
    "langx": _expand_langx,
    "last": lambda _, arguments: (arguments.list_numbered() or [""])[-1],  # `{{transl|ar|ALA|alif}}`
}


def format_measure(numbered: Sequence[str], named: Mapping[str, str], *, short: bool) -> str:
    """Return the text of `convert` (`short`: of `cvt`); the arguments must be stripped."""
    if not numbered:
        return ""
    amount, others = _read_amount(numbered, grouped=named.get("comma", "") not in ("off", "gaps"))
    code = others[0] if others else ""
    short = named.get("abbr", "") in ("on", "in", "~") or (short and not named.get("abbr"))
    adjective = named.get("adj", "") in ("on", "mid", "1")
    # Only a number that is the whole amount can be one
    is_one = amount == _format_number(numbered[0]) and _is_one(numbered[0])
    singular = adjective or named.get("sing") == "on" or is_one
    join = partial(_join_unit, short=short, hyphen=adjective)
    british = join(amount, code, singular=singular)
    if _has_second_unit(others):
        british += " " + join(_format_number(others[1]), others[2], singular=singular or others[1] == "1")
    if named.get("sp") == "us" and not short:
        british = british.replace("metre", "meter").replace("litre", "liter")
    # `adj=mid|-long` is added behind the unit: `5-foot-long`
    return british + (others[-1] if named.get("adj") == "mid" and others[1:] and others[-1][:1] in ("-", "–") else "")


def _is_one(number: str) -> bool:
    fraction = _FRACTION.fullmatch(number)
    # `1/2 mile`, but `1+1/2 miles`
    return number in ("1", "-1") or (fraction is not None and not fraction[2])


def _has_second_unit(others: Sequence[str]) -> bool:
    """Return whether a number and a smaller unit follow: `{{convert|5|ft|10|in}}`."""
    small = len(others) > 2 and others[2] in ("in", "inch", "inches", "oz", "lb", "lbs")
    return small and _PLAIN.fullmatch(others[1]) is not None


def _read_amount(numbered: Sequence[str], *, grouped: bool) -> tuple[str, Sequence[str]]:
    """Return the number or range at the start of the arguments, and the arguments after it."""
    pieces = [_format_number(numbered[0], grouped=grouped)]
    index = 1
    while index + 1 < len(numbered) and numbered[index] in _read_words():
        pieces += [_read_words()[numbered[index]][0], _format_number(numbered[index + 1], grouped=grouped)]
        index += 2
    return "".join(pieces), numbered[index:]


def _format_number(text: str, *, grouped: bool = True) -> str:
    """Format a number: `12345.6` → `12,345.6`, `-3` → `−3`, `1+1/2` → `1 1⁄2`; keep any other text as it is."""
    fraction = _FRACTION.fullmatch(text)
    if fraction:
        sign, integer, above, _, below = fraction.groups()
        return ("−" if sign else "") + (f"{integer} " if integer else "") + f"{above}⁄{below}"
    if not _PLAIN.fullmatch(text):
        return text
    sign = "−" if text[0] in "-−–" else ""
    digits, point, decimals = text.lstrip("-−–+").partition(".")
    return sign + (group_digits(digits, ",") if grouped else digits) + point + decimals


def _join_unit(amount: str, code: str, *, short: bool, singular: bool, hyphen: bool) -> str:
    """Join number and unit: `5 km`, `5 kilometres`, `5-kilometre`."""
    names = unit_names(code)
    symbol, single, many = names or (code,) * 3
    if short or code[:1] in ("", "/") or (names and symbol == many):
        # A unit without names, or one that is only a symbol, such as `°C`
        return amount + ("" if symbol[:1] in ("", "/") else " ") + symbol
    between = "-" if hyphen else " "
    return f"{amount}{between}{single.replace(' ', between) if singular else many}".rstrip()


@lru_cache(maxsize=4096)
def unit_names(code: str) -> Names | None:
    """Return the names of a unit; None if neither the code nor its parts are known."""
    if code in _read_units() or len(code) > _LONGEST_UNIT:
        return _read_units().get(code)
    # At the last slash, so that `a/b/c` is (a/b)/c
    above, slash, below = code.rpartition("/")
    if slash:
        first = unit_names(above)
        second = unit_names(below)
        if first is None or second is None:
            return None
        return f"{first[0]}/{second[0]}", f"{first[1]} per {second[1]}", f"{first[2]} per {second[1]}"
    match = _MULTIPLE.fullmatch(code)
    if match is None:
        return None
    multiple, unit = filter(None, match.groups())
    count = _read_words()[f"{multiple}…"][0]
    base = _read_units().get(unit)
    return base and (f"{count}{base[0]}", f"{count}{base[1]}", f"{count}{base[2]}")


@cache
def _read_words() -> Mapping[str, tuple[str, str]]:
    """Return the English text of each code between numbers and of each power, with its sign in other languages."""
    rows = read_columns("measure_words.tsv", "code", "text", "sign")
    return {code: (text.translate(_MARKS), sign.translate(_MARKS)) for code, text, sign in rows}


@cache
def _read_units() -> Mapping[str, Names]:
    """Return the names of each unit in the table by its code."""
    rows = read_columns("units.tsv", "code", "symbol", "one", "many")
    return {code: (symbol.strip("∅"), single, plural) for code, symbol, single, plural in rows}


def format_gauge(text: str) -> str:
    """Return a track gauge such as `1435mm` as `1,435 mm`, any other text as it is."""
    match = re.fullmatch(r"(\d{1,5})\s{0,3}(mm|m|ft|in)", text)
    return f"{group_digits(match[1], ',')} {match[2]}" if match else text


def ordinal(roman: str) -> str:
    """Return the French ordinal of a Roman numeral: `I` → `Ier`, `XIX` → `XIXe`; "" for any other text."""
    if not roman or roman.strip("IVXLCivxlc"):
        return ""
    return f"{roman.upper()}{'er' if roman.upper() == 'I' else 'e'}"


def _join_texts(*texts: str) -> str:
    """Join several texts with commas; return a single text unchanged."""
    return ", ".join(filter(None, [text.rstrip(", ") for text in texts])) if len(texts) > 1 else texts[0]


def _format_date(language: str, pattern: str, year: str, month: str = "", day: str = "") -> str:
    """Return a date by a pattern such as `{d} {m} {y}`, or as `2010-05-06` if a language's month names are unknown."""
    facts = wikitext_of(language).facts
    number = int(month) if month.isdecimal() and len(month) < 3 else 0
    months = facts["months"]
    pattern = pattern or facts["date"][0]
    # A year alone: with the sign attached to it, `2010年`
    if not month:
        return year and _YEAR.findall(pattern)[0].replace("{y}", year)
    # English month names would not fit into other languages
    if number and months == wikitext_of("en").facts["months"] and language[:2] != "en":
        return "-".join(filter(None, (year, month.zfill(2), day and day.zfill(2))))
    name = months[number - 1] if 0 < number <= len(months) else month
    values = {"{d}": day.lstrip("0"), "{n}": month.lstrip("0"), "{m}": name, "{y}": year}
    pattern = pattern if values["{d}"] else _DAY.sub("", pattern)
    text = re.sub(r"\{[dnmy]\}", lambda field: values[field.group()], pattern)
    return format_number(text.strip(), facts, grouped=False)


_FILTERS: dict[str, Callable[..., str]] = {
    "": _join_texts,
    "ordinal": ordinal,
    "gauge": format_gauge,
    "minus": lambda text: text.replace("-", "−", 1),
    # parts of a French date, without the hyphen that prevents a link
    "bare": lambda text: text.strip("-"),
    "whole": lambda text: text.strip("-") if len(text.strip("-")) > 3 else "",
    "jour": lambda text: "1er" if text.strip("-") == "1" else text.strip("-"),
}
