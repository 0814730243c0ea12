"""Markdown and YAML in which nothing from outside means anything: code spans, escaped words, quoted scalars."""

import re
from collections.abc import Iterable, Sequence

from nerbert.terminal import visible

_MEANS = re.compile(r"([\\`*_{}\[\]<>&|~$#!@])")
_FENCE = re.compile(r"`+")


class Markdown(str):
    """Text that is Markdown already, and is not escaped again."""

    __slots__ = ()


def code(value: object) -> Markdown:
    """Return `value` as a code span, fit for a table's cell too; control characters made visible."""
    text = visible(str(value)).replace("|", "\\|")
    if not text.strip():
        return Markdown("–")
    fence = "`" * (1 + max(map(len, _FENCE.findall(text)), default=0))
    pad = " " if text[0] in "` " or text[-1] in "` " else ""
    return Markdown(f"{fence}{pad}{text}{pad}{fence}")


def escaped(value: object) -> str:
    """Return `value` as plain words: what Markdown or HTML would interpret is escaped; thousands are marked."""
    if isinstance(value, Markdown):
        return value
    if value is None:
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    return _MEANS.sub(r"\\\1", visible(str(value))).replace("://", ":\\//")


def quoted(text: object) -> Markdown:
    """Return a text as a double-quoted YAML scalar in ASCII."""
    return Markdown('"' + "".join(map(_yaml, visible(str(text)))) + '"')


def table(heads: Sequence[object], rows: Iterable[Sequence[object]], numbers: Iterable[int] = ()) -> Markdown:
    """Return a table, its cells escaped; columns in `numbers` align right. "" if it has no row."""
    right = set(numbers)
    body = [f"| {' | '.join(map(escaped, row))} |" for row in rows]
    rule = "|".join("---:" if place in right else "---" for place in range(len(heads)))
    return Markdown("\n".join([f"| {' | '.join(map(escaped, heads))} |", f"|{rule}|", *body]) if body else "")


def _yaml(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    return char if " " <= char <= "~" else f"\\U{ord(char):08x}"
