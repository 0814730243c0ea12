"""Markdown, YAML and LaTeX in which nothing from outside means anything: escaped words, code spans, quoted scalars."""

import re
from collections.abc import Iterable, Sequence

from nerbert.errors import visible

_MEANS = re.compile(r"([\\`*_{}\[\]<>&|~$#!@])")
_FENCE = re.compile(r"`+")
_BEGINS = re.compile(r"(\d*)([-+=.)])")
"""What begins a list, or underlines a title, at the start of a line of Markdown."""
_LATEX = str.maketrans({
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", "`": r"\textasciigrave{}", '"': r"\textquotedbl{}",
    **{char: f"\\{char}" for char in "{}$&#%_"},
    **{char: f"{{{char}}}" for char in "[]*-"},
})  # fmt: skip
"""Brackets and stars would be taken for an option of the line's end, two hyphens for a dash."""


class Markdown(str):
    """Text that is Markdown already, and is not escaped again."""

    __slots__ = ()


def code(value: object) -> Markdown:
    """Return `value` as a code span, fit for a table's cell too; control characters made visible, "–" for nothing."""
    text = "" if value is None or value == {} else visible(str(value)).replace("|", "\\|")
    if not text.strip():
        return Markdown("–")
    fence = "`" * (1 + max(map(len, _FENCE.findall(text)), default=0))
    pad = " " if text[0] in "` " or text[-1] in "` " else ""
    return Markdown(f"{fence}{pad}{text}{pad}{fence}")


def escaped(value: object) -> str:
    """Return `value` as plain words: what Markdown or HTML would interpret is escaped; thousands are marked."""
    if isinstance(value, Markdown):
        return value
    if value is None or value == {}:
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    return _MEANS.sub(r"\\\1", visible(str(value))).replace("://", ":\\//")


def paragraph(text: str) -> Markdown:
    """Return a text as one line that begins no list, no title and no code."""
    folded = escaped(" ".join(text.split()))
    return Markdown(_BEGINS.sub(r"\1\\\2", folded, count=1) if _BEGINS.match(folded) else folded)


def latex(value: object) -> str:
    """Return `value` as text in which LaTeX reads nothing; control characters become visible."""
    return visible(str(value)).translate(_LATEX)


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
