"""Write numbers and measures: `{{convert|5|to|10|km|mi}}` is "5 to 10 kilometres", the template's number and unit.

The conversion in brackets is left out. A unit that `nerbert/tables/units.tsv` lacks is kept as its code.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from typing import TypeAlias

from nerbert.tables import read_columns

_BETWEEN = {
    "-": "–", "–": "–", "to": " to ", "to(-)": " to ", "and": " and ", "and(-)": " and ", "&": " and ", "or": " or ",
    "by": " by ", "x": " × ", "×": " × ", "xx": " × ", "*": " × ", "+/-": " ± ", "±": " ± ", ",": ", ", "+": " + ",
    "to about": " to about ",
}  # fmt: skip
_PLAIN = re.compile(r"[-−–+]?\d[\d,]{0,40}(?:\.\d{0,40})?|[-−–+]?\.\d{1,40}")
_FRACTION = re.compile(r"([-−–]?)(?:(\d{1,20})\+)?(\d{1,20})(/{1,2}|⁄)(\d{1,20})")
_MULTIPLE = re.compile(r"(e3|e6|e9|e12)(.+)|([kMGT])(oilbbl|cuft|ft3|USgal|impgal)")
_THOUSANDS = {"e3": "thousand", "k": "thousand", "e6": "million", "M": "million", "e9": "billion", "G": "billion",
              "e12": "trillion", "T": "trillion"}  # fmt: skip
_LONGEST_CODE = 24

Names: TypeAlias = tuple[str, str, str]
"""A unit's symbol, its name for one, and its name for many."""


def shown_measure(numbered: Sequence[str], named: Mapping[str, str], *, short: bool) -> str:
    """Return the text of `convert` (`short`: of `cvt`); the arguments must be stripped."""
    if not numbered:
        return ""
    amount, rest = _amount(numbered, grouped=named.get("comma", "") not in ("off", "gaps"))
    code = rest[0] if rest else ""
    short = named.get("abbr", "") in ("on", "in", "~") or (short and not named.get("abbr"))
    adjective = named.get("adj", "") in ("on", "mid", "1")
    one = adjective or named.get("sing") == "on" or (_is_one(numbered) and amount == _number(numbered[0]))
    british = _joined(amount, code, short=short, one=one, hyphen=adjective)
    if len(rest) > 2 and rest[2] in ("in", "inch", "inches", "oz", "lb", "lbs") and _PLAIN.fullmatch(rest[1]):
        british += " " + _joined(_number(rest[1]), rest[2], short=short, one=one or rest[1] == "1", hyphen=adjective)
    suffix = rest[-1] if named.get("adj") == "mid" and len(rest) > 1 and rest[-1][:1] in ("-", "–") else ""
    american = named.get("sp") == "us" and not short
    return (british.replace("metre", "meter").replace("litre", "liter") if american else british) + suffix


def _amount(numbered: Sequence[str], *, grouped: bool) -> tuple[str, Sequence[str]]:
    """Return the number or range at the start of the arguments, and the arguments after it."""
    pieces, place = [_number(numbered[0], grouped=grouped)], 1
    while place + 1 < len(numbered) and numbered[place] in _BETWEEN:
        pieces += [_BETWEEN[numbered[place]], _number(numbered[place + 1], grouped=grouped)]
        place += 2
    return "".join(pieces), numbered[place:]


def _number(text: str, *, grouped: bool = True) -> str:
    """Format a number: `12345.6` → `12,345.6`, `-3` → `−3`, `1+1/2` → `1 1⁄2`; keep any other text as it is."""
    fraction = _FRACTION.fullmatch(text)
    if fraction:
        sign, whole, above, _, below = fraction.groups()
        return ("−" if sign else "") + (f"{whole} " if whole else "") + f"{above}⁄{below}"
    if not _PLAIN.fullmatch(text):
        return text
    sign = "−" if text[0] in "-−–" else ""
    digits, point, decimals = text.lstrip("-−–+").partition(".")
    return sign + (thousands(digits, ",") if grouped else digits) + point + decimals


def thousands(digits: str, mark: str) -> str:
    """Group digits by three, unless there are fewer than four or they already are grouped."""
    if len(digits) < 4 or not digits.isdecimal():
        return digits
    head = len(digits) % 3 or 3
    return mark.join([digits[:head], *(digits[at : at + 3] for at in range(head, len(digits), 3))])


def _is_one(numbered: Sequence[str]) -> bool:
    fraction = _FRACTION.fullmatch(numbered[0])
    return numbered[0] in ("1", "-1") or (fraction is not None and not fraction[2])


def _joined(amount: str, code: str, *, short: bool, one: bool, hyphen: bool) -> str:
    """Join number and unit: `5 km`, `5 kilometres`, `5-kilometre`."""
    names = unit_names(code)
    symbol, single, many = names or (code,) * 3
    if short or code[:1] in ("", "/") or (names and symbol == many):
        return amount + ("" if symbol.startswith("/") or not symbol else " ") + symbol
    between = "-" if hyphen else " "
    return f"{amount}{between}{(single.replace(' ', '-') if hyphen else single) if one else many}".rstrip()


@lru_cache(maxsize=4096)
def unit_names(code: str) -> Names | None:
    """Return the names of a unit; None if neither the code nor its parts are known."""
    if code in _units() or len(code) > _LONGEST_CODE:
        return _units().get(code)
    above, slash, below = code.rpartition("/")
    if slash:
        first, second = unit_names(above), unit_names(below)
        if first is None or second is None:
            return None
        return f"{first[0]}/{second[0]}", f"{first[1]} per {second[1]}", f"{first[2]} per {second[1]}"
    found = _MULTIPLE.fullmatch(code)
    base = _units().get(found[2] or found[4]) if found else None
    if found is None or base is None:
        return None
    count = _THOUSANDS[found[1] or found[3]]
    return f"{count} {base[0]}", f"{count} {base[1]}", f"{count} {base[2]}"


@cache
def _units() -> Mapping[str, Names]:
    """Return the names of each unit in the table by its code."""
    rows = read_columns("units.tsv", "code", "symbol", "one", "many")
    return {code: (symbol.strip("∅"), one, many) for code, symbol, one, many in rows}


def shown_gauge(text: str) -> str:
    """Return a track gauge such as `1435mm` as `1,435 mm`, any other text as it is."""
    found = re.fullmatch(r"(\d{1,5})\s{0,3}(mm|m|ft|in)", text)
    return f"{thousands(found[1], ',')} {found[2]}" if found else text


def ordinal(roman: str) -> str:
    """Return the French ordinal of a Roman numeral: `I` → `Ier`, `XIX` → `XIXe`; "" for any other text."""
    if not roman or roman.strip("IVXLCivxlc"):
        return ""
    return f"{roman.upper()}{'er' if roman.upper() == 'I' else 'e'}"
