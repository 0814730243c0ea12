"""Rules for text templates of numbers, measures, dates and money; `templates` has the table, as for `phrases`.

The rules write only what the arguments contain. They omit ages, inflation and conversions, which MediaWiki computes, so
a sentence may say less than the page does.
"""

import re
from collections.abc import Sequence

from nerbert.corpus.wikitext.convert import measure, thousands
from nerbert.corpus.wikitext.phrases import Arguments, Rule

_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
           "November", "December")  # fmt: skip
_MONEY = {"USD": "US$", "EUR": "€", "GBP": "£", "JPY": "¥", "INR": "₹", "KRW": "₩", "AUD": "A$", "CAD": "C$"}


def quantity(*, short: bool) -> Rule:
    """Return the rule for `{{convert|…}}`, or if `short` for `{{cvt|…}}`."""
    return lambda given: measure(given.numbered(), {k: v.strip() for k, v in given.values.items()}, short=short)


def fraction(given: Arguments) -> str:
    """Expand `{{frac|1|2}}` to `1⁄2`, with three arguments to `1 1⁄2`, with one to `1⁄3`."""
    numbers = given.numbered()
    parted = numbers[-2:] if len(numbers) > 1 else ["1", *numbers]
    return f"{numbers[0]} " * (len(numbers) == 3) + "⁄".join(parted) if numbers else ""


def value(given: Arguments) -> str:
    """Expand `{{val|6.2|0.1|e=18|u=kg}}` to `6.2±0.1×10^18 kg`."""
    power, unit = given.text("e"), given.text("u", "ul")
    number = "±".join(filter(None, given.numbered()[:2])).replace("-", "−", 1)
    return number + (f"×10<sup>{power}</sup>" if power else "") + (f" {unit}" if unit else "")


def power_of_ten(given: Arguments) -> str:
    """Expand `{{e|24}}` to `×10^24`, and Italian `{{Exp|1,9|19}}` to `1,9×10^19`."""
    numbers = given.numbered()
    return f"{''.join(numbers[:-1])}×10<sup>{numbers[-1]}</sup>" if numbers else ""


def chemistry(given: Arguments) -> str:
    """Expand `{{chem|NH|4|+}}`: keep letters, lower numbers, raise charges."""
    return "".join(map(_chemical, given.numbered()))


def _chemical(part: str) -> str:
    if part[-1:] in ("+", "-", "−"):
        return f"<sup>{part.replace('-', '−')}</sup>" if len(part) < 20 else part
    return f"<sub>{part}</sub>" if part[:1].isdigit() else part


def dates(mark: str, between: str) -> Rule:
    """Return the rule that expands `{{circa|1990|2000}}` to `c. 1990 – c. 2000`."""
    return lambda given: between.join(f"{mark}{each}" for each in given.numbered() if each) or mark.strip()


def as_of(given: Arguments) -> str:
    """Expand `{{as of|2011|5}}` to `As of May 2011`."""
    word = "Since" if given.text("since") else "As of"
    date = _date(given.numbered()[:3], month_first=given.text("df").upper() == "US")
    told = given.text("alt") or (f"{word.lower() if given.text('lc') else word} {date}" if date else "")
    return told + given.text("post")


def full_date(given: Arguments) -> str:
    """Expand `{{birth date|1990|5|4}}` to `May 4, 1990`, with `df=y` to `4 May 1990`."""
    return _date(given.numbered()[-3:] if given.count > 3 else given.numbered(), month_first=not given.text("df"))


def _date(parts: Sequence[str], *, month_first: bool) -> str:
    year, month, day = (*parts, "", "", "")[:3]
    number = int(month) if month.isdecimal() and len(month) < 3 else 0
    month = _MONTHS[number - 1] if 0 < number <= len(_MONTHS) else month
    day = day.lstrip("0")
    if day and month_first:
        return f"{month} {day}, {year}"
    return " ".join(filter(None, (day, month, year)))


def old_style(given: Arguments) -> str:
    """Expand `{{OldStyleDate|February 2|1905|January 20}}`."""
    new, year, old = (given.numbered() + [""] * 3)[:3]
    return f"{new} [O.S. {old}] {year}".strip() if old else f"{new} {year}".strip()


def money(given: Arguments) -> str:
    """Expand `{{currency|13 billion|USD}}`."""
    amount, code = given.text("1", "amount"), given.text("2", "type")[:8]
    return f"{_MONEY.get(code.upper(), f'{code} ')}{amount}".strip()


def gauge(given: Arguments) -> str:
    """Expand `{{track gauge|1435mm}}` to `1,435 mm`."""
    found = re.fullmatch(r"(\d{1,5})\s{0,3}(mm|m|ft|in)", given.text("1"))
    return f"{thousands(found[1], ',')} {found[2]}" if found else given.text("1")


def french_number(given: Arguments) -> str:
    """Expand `{{unité|12500|km|h|-1}}` to `12 500 km h^−1`; one argument may contain a number and its noun."""
    first, *rest = given.numbered() or [""]
    number, blank, noun = first.partition(" ")
    pieces = [thousands(number, "\xa0") + blank + noun]
    for each in filter(None, rest):
        exponent = re.fullmatch(r"[-−+]?\d{1,3}", each) and len(pieces) > 1
        pieces.append(f"<sup>{each.replace('-', '−')}</sup>" if exponent else f" {each}")
    return "".join(pieces)


def french_date(given: Arguments) -> str:
    """Expand `{{date|14|juillet|1789|en sport}}` to `14 juillet 1789`; the first argument may be the whole date."""
    numbers = given.numbered() or [""]
    parts = [each.strip("-") for each in (numbers[:3] if len(numbers[0]) < 4 else numbers[:1])]
    return " ".join(filter(None, ["1er" if parts[0] == "1" else parts[0], *parts[1:]]))


def century(after: str = "") -> Rule:
    """Return the rule that expands `{{s|XIX}}` to `XIXe siècle` and `{{s2|IV|V}}` to `IVe et Ve siècles`."""

    def rule(given: Arguments) -> str:
        numbers = [each for each in given.numbered() if _is_roman(each)]
        return f"{' et '.join(map(ordinal, numbers))} siècle{'s' * (len(numbers) > 1)}{after}" if numbers else ""

    return rule


def centuries(given: Arguments) -> str:
    """Expand `{{sp|IV|ou|VIII|s}}` to `IVe ou VIIIe siècles`."""
    numbers, plural = given.numbered()[:3], given.text("4") == "s"
    words = " ".join(ordinal(each) if _is_roman(each) else each for each in numbers if each)
    return f"{words} siècle{'s' * plural}" if words else ""


def _is_roman(text: str) -> bool:
    return bool(text) and not text.strip("IVXLCivxlc")


def ordinal(roman: str) -> str:
    """Return the French ordinal of a Roman numeral: `I` → `Ier`, `XIX` → `XIXe`."""
    return f"{roman.upper()}{'er' if roman.upper() == 'I' else 'e'}"


def height(given: Arguments) -> str:
    """Expand `{{Höhe|579|DE-NHN}}` to `579 m ü. NHN`."""
    place = given.text("2").rpartition("-")[2]
    level = {"AT": "A.", "CH": "M."}.get(place, place)
    return f"{given.text('1')} m" + (f" ü. {level}" if level else "") if given.text("1") else ""


def paragraph(given: Arguments) -> str:
    """Expand `{{§|242|BGB}}` to `§ 242`."""
    return given.text("text") or (f"§ {given.text('1')}" if given.text("1") else "")


def italian_measure(given: Arguments) -> str:
    """Expand `{{M|32,7|k|m}}` to `32,7 km`."""
    number, *unit = given.numbered() or [""]
    return f"{number} {''.join(unit)}".strip()
