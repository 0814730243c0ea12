"""Expand `{{convert|5|to|10|km|mi}}` to "5 to 10 kilometres": the template's input number and unit.

Module:Convert shows the input, in full words unless `abbr=on`, and the conversion in brackets. This module omits the
conversion: it would need every unit's factor and the module's rounding, and it adds no information. `order=flip` and
`disp=output only` therefore also give the input. Rules read the unit codes (SI prefixes, `km2`, `sqmi`, `ft/s`,
`e6acre`); a code that no rule reads is kept as it is.
"""

import re
from collections.abc import Sequence

_SI = {"k": "kilo", "c": "centi", "m": "milli", "M": "mega", "G": "giga", "T": "tera", "h": "hecto", "d": "deci",
       "n": "nano", "μ": "micro", "µ": "micro", "u": "micro"}  # fmt: skip
_METRIC = {
    "m": "metre", "g": "gram", "L": "litre", "l": "litre", "W": "watt", "Wh": "watt-hour", "V": "volt", "A": "ampere",
    "Pa": "pascal", "J": "joule", "N": "newton", "Hz": "hertz/hertz", "eV": "electronvolt", "cal": "calorie",
    "s": "second", "bar": "bar", "pc": "parsec", "B": "byte", "t": "tonne", "Nm": "newton-metre",
}  # fmt: skip
_OTHER = {
    "ft": "foot/feet", "in": "inch/inches", "mi": "mile", "yd": "yard", "nmi": "nautical mile", "ha": "hectare",
    "acre": "acre", "acres": "acre", "lb": "pound", "lbs": "pound", "oz": "ounce", "st": "stone/stone",
    "LT": "long ton", "ST": "short ton", "MT": "metric ton", "ton": "ton", "tonne": "tonne", "tonnes": "tonne",
    "h": "hour", "d": "day", "min": "minute", "mph": "mile per hour/miles per hour", "kn": "knot",
    "knot": "knot", "knots": "knot", "hp": "horsepower/horsepower", "bhp": "brake horsepower/brake horsepower",
    "PS": "metric horsepower/metric horsepower",
    "lbf": "pound-force/pounds-force", "psi": "pound per square inch/pounds per square inch", "ly": "light-year",
    "AU": "astronomical unit", "fathom": "fathom", "carat": "carat", "furlong": "furlong", "chain": "chain",
    "cc": "cubic centimetre", "impgal": "imperial gallon", "USgal": "US gallon", "oilbbl": "barrel", "km/h":
    "kilometre per hour/kilometres per hour", "PD": "inhabitant", "mpgus": "mile per US gallon/miles per US gallon",
    "mpgimp": "mile per imperial gallon/miles per imperial gallon", "°": "degree", "lbft": "pound-foot/pound-feet",
}  # fmt: skip
_SYMBOLS = {
    "acres": "acre", "lbs": "lb", "knot": "kn", "knots": "kn", "tonne": "t", "tonnes": "t", "impgal": "imp gal",
    "USgal": "US gal", "oilbbl": "bbl", "PD": "", "sq": "sq ", "cu": "cu ", "lbft": "lb⋅ft", "mpgus": "mpg‑US",
}  # fmt: skip
_DEGREES = {"C": "°C", "F": "°F", "K": "K", "°C": "°C", "°F": "°F", "°K": "K"}
_MANY = {"k": "thousand", "M": "million", "G": "billion", "T": "trillion", "e3": "thousand", "e6": "million",
         "e9": "billion", "e12": "trillion"}  # fmt: skip
_BETWEEN = {
    "-": "–", "–": "–", "to": " to ", "to(-)": " to ", "and": " and ", "and(-)": " and ", "&": " and ", "or": " or ",
    "by": " by ", "x": " × ", "×": " × ", "xx": " × ", "*": " × ", "+/-": " ± ", "±": " ± ", ",": ", ", "+": " + ",
    "to about": " to about ",
}  # fmt: skip
_PLAIN = re.compile(r"[-−–+]?\d[\d,]{0,40}(?:\.\d{0,40})?|[-−–+]?\.\d{1,40}")
_FRACTION = re.compile(r"([-−–]?)(?:(\d{1,20})\+)?(\d{1,20})(/{1,2}|⁄)(\d{1,20})")
_COUNTED = re.compile(r"(e\d{1,2}|[kMGT])(oilbbl|cuft|ft3|USgal|impgal|(?<=\d).{1,20})")
_MAX_CODE = 24

Names = tuple[str, str, str]
"""Symbol, singular name, plural name."""


def measure(numbered: Sequence[str], named: dict[str, str], *, short: bool) -> str:
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
    degrees = _DEGREES.get(code.removesuffix("-change"))
    symbol, single, many = (degrees,) * 3 if degrees else unit_names(code) or (code,) * 3
    if short or degrees:
        return amount + ("" if symbol.startswith("/") or not symbol else " ") + symbol
    between = "-" if hyphen else " "
    return f"{amount}{between}{(single.replace(' ', '-') if hyphen else single) if one else many}".rstrip()


def unit_names(code: str) -> Names | None:
    """Return the symbol and names of a unit code; None if no rule reads it."""
    return _compound(code) or _simple(code) if len(code) <= _MAX_CODE else None


def _compound(code: str) -> Names | None:
    """Return the names of a compound unit such as `ft/s`, `e6acre`, `koilbbl`."""
    counted = _COUNTED.fullmatch(code.partition("/")[0])
    above, slash, below = code.partition("/")
    if slash and code not in _OTHER:
        first, second = (_compound(above) or _simple(above)), _simple(below)
        if first is None or second is None:
            return None
        return f"{first[0]}/{second[0]}", f"{first[1]} per {second[1]}", f"{first[2]} per {second[1]}"
    if counted is None:
        return None
    base, count = _simple(counted[2]), _MANY.get(counted[1])
    return None if base is None or count is None else (f"{count} {base[0]}", f"{count} {base[1]}", f"{count} {base[2]}")


def _simple(code: str) -> Names | None:
    """Return the names of a unit with its prefix and power."""
    code = code.replace("²", "2").replace("³", "3")
    if code in _OTHER:
        return (_SYMBOLS.get(code, code), *_forms(_OTHER[code]))
    if code[:2] in ("sq", "cu") and (base := _simple("m" if code == "sqm" else code[2:])):
        word = "square" if code[:2] == "sq" else "cubic"
        metric = f"{base[0]}<sup>{2 if word == 'square' else 3}</sup>"
        symbol = metric if base[1].endswith("metre") else _SYMBOLS[code[:2]] + base[0]
        return symbol, f"{word} {base[1]}", f"{word} {base[2]}"
    if code[-1:] in ("2", "3") and code[-2:-1].isalpha() and (base := _simple(code[:-1])):
        word = "square" if code[-1] == "2" else "cubic"
        return f"{base[0]}<sup>{code[-1]}</sup>", f"{word} {base[1]}", f"{word} {base[2]}"
    if code in _METRIC:
        return (code, *_forms(_METRIC[code]))
    if code[:1] in _SI and code[1:] in _METRIC:
        single, many = _forms(_METRIC[code[1:]])
        return code, _SI[code[0]] + single, _SI[code[0]] + many
    return None


def _forms(names: str) -> tuple[str, str]:
    single, _, many = names.partition("/")
    return single, many or f"{single}s"
