"""Evaluate MediaWiki's parser functions that don't need the wiki, such as `{{formatnum:12500}}` and `{{#if:x|y|n}}`.

`facts` are those of a language's wikitext, from `nerbert/tables/wikipedias_wikitext.tsv`.
"""

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import TypeAlias

from nerbert.corpus.wikitext.protected import DYNAMIC

Facts: TypeAlias = Mapping[str, Sequence[str]]
_NUMBER = re.compile(r"(?:-(?=[\d.]))?(?:\d+|(?=\.\d))(?:\.\d*)?")
_NUMERIC = re.compile(r"[-+]?\d{1,30}(?:\.\d{0,30})?")
_TOKEN = re.compile(r"(\d[\d.]*|\.\d+|pi)|[a-z]+|<=|>=|<>|!=|\S")
_LONGEST_EXPRESSION, _LONGEST_PADDING = 1000, 500
_UNARY: dict[str, tuple[int, int, Callable[..., float]]] = {
    "-": (10, 1, operator.neg),
    "−": (10, 1, operator.neg),
    "+": (10, 1, operator.pos),
    "not": (9, 1, operator.not_),
    "abs": (9, 1, abs),
    "ceil": (9, 1, math.ceil),
    "floor": (9, 1, math.floor),
    "trunc": (9, 1, math.trunc),
    "sqrt": (9, 1, math.sqrt),
    "exp": (9, 1, math.exp),
    "ln": (9, 1, math.log),
    "(": (-1, 0, abs),
}
"""Operators of `#expr` where a value is expected: precedence, number of operands, function."""
_BINARY: dict[str, tuple[int, int, Callable[..., float]]] = {
    "e": (10, 2, lambda value, power: value * 10**power),
    "^": (8, 2, pow),
    "*": (7, 2, operator.mul),
    "/": (7, 2, operator.truediv),
    "div": (7, 2, operator.truediv),
    "fmod": (7, 2, math.fmod),
    "mod": (7, 2, lambda left, right: math.fmod(int(left), int(right))),
    "+": (6, 2, operator.add),
    "-": (6, 2, operator.sub),
    "−": (6, 2, operator.sub),
    "round": (5, 2, lambda left, right: float(Decimal(str(left)).quantize(Decimal(f"1e{-right:.0f}"), ROUND_HALF_UP))),
    "=": (4, 2, operator.eq),
    "!=": (4, 2, operator.ne),
    "<>": (4, 2, operator.ne),
    "<": (4, 2, operator.lt),
    "<=": (4, 2, operator.le),
    ">": (4, 2, operator.gt),
    ">=": (4, 2, operator.ge),
    "and": (3, 2, lambda left, right: bool(left and right)),
    "or": (2, 2, lambda left, right: bool(left or right)),
}


def call_function(name: str, values: Sequence[str], facts: Facts) -> str:
    """Return a parser function's text from expanded arguments; "" if it depends on a gap (DYNAMIC) or is invalid."""
    # A gap is a template whose text is unknown: nothing can be decided by it, but letters change case
    if name not in ("lc", "uc", "lcfirst", "ucfirst") and DYNAMIC in "".join(values[: 2 if name == "ifeq" else 1]):
        return ""
    if name == "switch":
        return _choose_case(values, facts["default"])
    if name == "plural":
        number = re.sub(r"\D", "", values[0])
        # `∅` is a rule that any number fits
        holds = [rule == "∅" or evaluate(rule.replace("N", number)) == 1 for rule in facts["plural"]]
        # If there are fewer forms than rules, the last form serves for the others
        return [*values, ""][1 + min([*holds, True].index(True), max(len(values) - 2, 0))]
    return _FUNCTIONS[name]([*values, "", "", ""], facts)


_FUNCTIONS: dict[str, Callable[[Sequence[str], Facts], str]] = {
    "lc": lambda values, _: values[0].lower(),
    "lcfirst": lambda values, _: values[0][:1].lower() + values[0][1:],
    "uc": lambda values, _: values[0].upper(),
    "ucfirst": lambda values, _: values[0][:1].upper() + values[0][1:],
    "padleft": lambda values, _: _make_padding(*values[:3]) + values[0],
    "padright": lambda values, _: values[0] + _make_padding(*values[:3]),
    "formatnum": lambda values, facts: format_number(values[0], facts, grouped=not values[1]),
    "if": lambda values, _: values[1 if values[0] else 2],
    "ifeq": lambda values, _: values[2 if _make_key(values[0]) == _make_key(values[1]) else 3],
    "ifexpr": lambda values, _: "" if math.isnan(value := evaluate(values[0])) else values[1 if value else 2],
    "expr": lambda values, _: f"{value:.14g}" if math.isfinite(value := evaluate(values[0])) else "",
}


def _make_padding(text: str, width: str, padding: str) -> str:
    missing = min(int(width[:9]) if width.isdecimal() else 0, _LONGEST_PADDING) - len(text)
    return ((padding or "0") * missing)[: max(missing, 0)]


def _choose_case(values: Sequence[str], defaults: Sequence[str]) -> str:
    """Return the text of a case of `#switch`; a case without a text takes that of the next case."""
    chosen, is_default, default, last = False, False, "", ""
    for case in values[1:]:
        # An "=" inside a link is part of the link
        name, equals, text = ("", "", case) if "[[" in case.partition("=")[0] else case.partition("=")
        key = (name if equals else case).strip()
        # A case with a gap can't be compared, and might be the one
        if DYNAMIC in key and not chosen:
            return ""
        # Once a case matches, the next one with a text gives it: `a|b=text`
        chosen = chosen or _make_key(key) == _make_key(values[0])
        is_default = is_default or key.lower().lstrip("#") in defaults
        if equals and chosen:
            return text.strip()
        if equals and is_default:
            default = text.strip()
            is_default = False
        # A last case without "=" is the default
        last = "" if equals else key
    return last or default


def _make_key(text: str) -> str | float:
    """Return the value that MediaWiki compares: a number's value, else the text."""
    return float(text) if _NUMERIC.fullmatch(text) else text


def format_number(text: str, facts: Facts, *, grouped: bool = True) -> str:
    """Return a text with its numbers as a wiki writes them: `-12500.5` → `−12 500,5`."""
    mark, point = (sign.replace("⍽", "\xa0").strip("∅") for sign in facts.get("separators", ",."))
    least = int(facts.get("least digits", "4")[0])
    size = int(facts["group"][0])

    def write(number: "re.Match[str]") -> str:
        whole, dot, decimals = number.group().lstrip("-").partition(".")
        whole = group_digits(whole, mark, size) if grouped and len(whole) >= least else whole
        return "−" * number.group().startswith("-") + whole + (point if grouped else ".") * len(dot) + decimals

    written = _NUMBER.sub(write, text)
    return written.translate(str.maketrans("0123456789", facts["digits"][0])) if "digits" in facts else written


def group_digits(digits: str, mark: str, size: int = 3) -> str:
    """Return digits with a mark before the last three, and before each `size` before these; keep any other text."""
    if len(digits) < 4 or not digits.isdecimal():
        return digits
    # The first group may be shorter, also with groups of two: `1,23,45,678`
    head = (len(digits) - 3) % size or size
    return mark.join(
        [digits[:head], *(digits[at : at + size] for at in range(head, len(digits) - 3, size)), digits[-3:]]
    )


def evaluate(expression: str) -> float:
    """Return the value of an expression of `#expr`; NaN if it has none, or more than 1000 characters."""
    values: list[float] = []
    waiting: list[tuple[int, int, Callable[..., float]]] = []

    def apply(precedence: int) -> None:
        while waiting and waiting[-1][0] >= precedence:
            _, count, function = waiting.pop()
            values[-count:] = [float(function(*values[-count:]))]

    needs_value = True
    try:
        for token in _TOKEN.finditer(expression.lower() if len(expression) <= _LONGEST_EXPRESSION else ""):
            word = token.group()
            # A sign after a value is an operator of two values: `3 - 2`, but `-2`
            if needs_value and token[1]:
                values.append(math.pi if word == "pi" else float(word))
                needs_value = False
            elif needs_value:
                waiting.append(_UNARY[word])
            # `apply` stops at the opening bracket, whose precedence is lower than any
            elif word == ")":
                apply(0)
                waiting.pop()
            else:
                apply(_BINARY[word][0])
                waiting.append(_BINARY[word])
                needs_value = True
        apply(0)
        (value,) = values
    except (ValueError, ArithmeticError, LookupError, TypeError):
        return math.nan
    return math.nan if waiting else value
