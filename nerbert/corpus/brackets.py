"""Which bracket closes which: one pass, one stack, linear on any input.

Follows MediaWiki's preprocessor (runs of braces close by three, else by two), but recovers where MediaWiki gives up:
a closing bracket closes the nearest open one of its kind, and what stood open between them is literal. So one missing
`]]` never swallows the rest of a page.
"""

import re
from collections import Counter
from collections.abc import Iterator

_BRACKETS = re.compile(r"\{{2,}|\}{2,}|\[\[|\]\]|(?:^|(?<=\n))[ \t:]*+\{\|(?!\})|\|\}(?!\})")
_KINDS = {"}": "{", "]": "[", "|": "|"}


class Brackets:
    """Matched brackets of a text: where each one that opens is closed."""

    __slots__ = ("_closing",)

    def __init__(self) -> None:
        self._closing: dict[int, int] = {}

    def add(self, start: int, end: int) -> None:
        """Remember that what opens at `start` is closed just before `end`."""
        self._closing[start] = end

    def close(self, start: int, limit: int) -> int:
        """The place after the bracket that closes the one at `start`, or 0 if none does before `limit`."""
        end = self._closing.get(start, 0)
        return end if end <= limit else 0

    def outermost_templates(self, source: str) -> Iterator[tuple[int, int]]:
        """Spans of templates that stand inside no other template, in order; tables don't hide them."""
        reached = 0
        for start in sorted(self._closing):
            if start >= reached and source.startswith("{{", start):
                reached = self._closing[start]
                yield start, reached


def match_brackets(source: str) -> Brackets:
    """Match `{{ }}`, `[[ ]]` and `{| |}` (at a line's start) in `source`."""
    found = Brackets()
    stack: list[tuple[str, int, int]] = []
    open_kinds: Counter[str] = Counter()
    for token in _BRACKETS.finditer(source):
        text = token.group()
        kind = _KINDS.get(text[0])
        if kind is None or text.endswith("{|"):
            opening = ("|", token.end() - 2, 2) if text.endswith("{|") else (text[0], token.start(), len(text))
            stack.append(opening)
            open_kinds[opening[0]] += 1
        else:
            _close(kind, token.start(), len(text), stack, open_kinds, found)
    return found


def _close(
    kind: str, at: int, run: int, stack: list[tuple[str, int, int]], open_kinds: Counter[str], found: Brackets
) -> None:
    """Spend a run of closing brackets on the open ones of its kind, innermost first."""
    while run >= 2 and open_kinds[kind]:
        while stack[-1][0] != kind:
            open_kinds[stack.pop()[0]] -= 1
        _, start, width = stack.pop()
        open_kinds[kind] -= 1
        spent = min(run, width, 3)
        found.add(start + width - spent, at + spent)
        if width - spent >= 2:
            stack.append((kind, start, width - spent))
            open_kinds[kind] += 1
        at, run = at + spent, run - spent
