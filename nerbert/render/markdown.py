"""Markdown and YAML in which nothing from outside means anything: code spans, escaped words, quoted scalars."""

import re
from collections.abc import Iterable, Sequence

from nerbert.terminal import visible

_MEANS = re.compile(r"([\\`*_{}\[\]<>&|~$#!@])")
_FENCE = re.compile(r"`+")


def code(value: object) -> str:
    """`value` as a code span, fit for a table's cell too; control characters made visible."""
    text = visible(str(value)).replace("|", "\\|")
    if not text.strip():
        return "–"
    fence = "`" * (1 + max(map(len, _FENCE.findall(text)), default=0))
    pad = " " if text[0] in "` " or text[-1] in "` " else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def said(value: object) -> str:
    """`value` as plain words: what Markdown or HTML would read in it is escaped; whole numbers get their thousands."""
    if value is None:
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    return _MEANS.sub(r"\\\1", visible(str(value))).replace("://", ":\\//")


def quoted(text: str) -> str:
    """`text` as a double-quoted YAML scalar in ASCII."""
    return '"' + "".join(map(_yaml, visible(text))) + '"'


def rows(heads: Sequence[str], lines: Iterable[Sequence[str]], numbers: Iterable[int] = ()) -> str:
    """A table; its cells are Markdown already. "" if it has no line."""
    right = set(numbers)
    body = [f"| {' | '.join(line)} |" for line in lines]
    rule = "|".join("---:" if place in right else "---" for place in range(len(heads)))
    return "\n".join([f"| {' | '.join(heads)} |", f"|{rule}|", *body]) if body else ""


def _yaml(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    return char if " " <= char <= "~" else f"\\U{ord(char):08x}"
