"""Texts on their way through a tagger: what is found in them so far, and sentences that are read as one."""

import re
from collections.abc import Sequence

from nerbert.records import Example, Span
from nerbert.tagger.offsets import Graphemes

_SURROGATE = re.compile("[\ud800-\udfff]")
"""Halves of characters, which broken JSON brings and no tokenizer takes."""


class PendingText:
    """A text whose entities are being found."""

    def __init__(self, text: str) -> None:
        self.text, self.graphemes = text, Graphemes(text)
        self.spans: list[Span] = []
        self._around, self._free = list[tuple[int, int]](), 0

    def add(self, start: int, end: int, type_: str, confidence: float) -> None:
        """Add an entity, grown to whole graphemes; of one that two entities share, the first has it.

        They come in the order of the text, outer ones before those that lie in them.
        """
        while self._around and self._around[-1][0] <= start:
            self._free = max(self._free, self._around.pop()[1])
        own = end
        start, end = self.graphemes.grow(start, end)
        self._around.append((own, end))
        start = max(start, self._free)
        if start < end:
            self.spans.append(Span(start, end, type_, self.text[start:end], confidence))


def without_halves(text: str) -> str:
    """Return a text with U+FFFD for each half of a character; places stay."""
    return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)


def joined(text: str, group: Sequence[tuple[int, Example]]) -> tuple[int, Example]:
    """Return neighbouring sentences of a text as one, which begins where the first does."""
    start, first = group[0]
    if len(group) == 1:
        return start, first
    end = group[-1][0] + len(group[-1][1].text)
    words = tuple((offset - start + a, offset - start + b) for offset, each in group for a, b in each.words)
    return start, Example(without_halves(text[start:end]), words)
