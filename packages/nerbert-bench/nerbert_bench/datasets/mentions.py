"""Mentions labelled in one place and not in another, or with several types: likely annotation errors."""

from collections import Counter
from dataclasses import dataclass

from nerbert.labels import word_spans
from nerbert.records import Example

MOST = 200_000
"""Maximum mentions (with a type) in memory."""
_PLACES = 3
# A mention unlabelled more than ten times as often is an ordinary word, such as "May".
_ORDINARY = 10


@dataclass(frozen=True, slots=True)
class Slip:
    """A mention that is labelled in only some places, with its types."""

    text: str
    types: dict[str, int]
    labelled: int
    unlabelled: int
    places: tuple[str, ...]
    """The first places where it isn't labelled."""


@dataclass(frozen=True, slots=True)
class ManyTypes:
    """A mention with several types: each type's frequency and first place."""

    text: str
    types: dict[str, int]
    places: dict[str, str]


class Mentions:
    """Counts the labelled mentions of a data set, then its unlabelled ones."""

    def __init__(self, most: int = MOST) -> None:
        """Keep at most `most` mentions."""
        self._most = most
        self._counts = Counter[tuple[str, str]]()
        self.cut = False
        """True if there were more."""
        self._types: dict[str, dict[str, int]] | None = None
        self._longest: dict[str, int] = {}  # first word of a mention → words of the longest
        self._unlabelled = Counter[str]()
        self._places = dict[str, list[str]]()
        self._labelled: dict[tuple[str, str], str] = {}

    def count(self, example: Example) -> None:
        """Count the labelled mentions of a sentence."""
        for first, last, type_ in word_spans(example):
            self._counts[_words(example, first, last), type_] += 1
            word = example.text[slice(*example.words[first])]
            self._longest[word] = max(last - first, self._longest.get(word, 0))
        # Half more than the limit, so that cutting isn't repeated for each new mention.
        if len(self._counts) > self._most * 3 // 2:
            self._counts = Counter(dict(self._counts.most_common(self._most)))
            self.cut = True

    def look(self, example: Example, position: str) -> None:
        """Record the positions of counted mentions in a sentence, labelled or not."""
        types = self._types_by_text()
        labelled = {first: (last, type_) for first, last, type_ in word_spans(example)}
        # The next labelled entity bounds a mention; reversed, the nearest one is popped from the end.
        free = sorted({*labelled, len(example.words)}, reverse=True)
        words = example.words
        number = 0
        while number < len(words):
            # The words of an entity aren't searched: "York" in a labelled "New York" is no slip.
            if number in labelled:
                last, type_ = labelled[number]
                text = _words(example, number, last)
                if len(types.get(text, ())) > 1:
                    self._labelled.setdefault((text, type_), position)
                number = last
                continue
            while free[-1] < number:
                free.pop()
            longest = self._longest.get(example.text[slice(*words[number])], 0)
            # The longest mention first: "New York City" rather than "New York".
            for last in range(min(free[-1], number + longest), number, -1):
                if (text := _words(example, number, last)) in types:
                    self._unlabelled[text] += 1
                    if self._unlabelled[text] <= _PLACES:
                        self._places.setdefault(text, []).append(position)
                    number = last - 1
                    break
            number += 1

    def slips(self) -> list[Slip]:
        """Return likely slips; those that are mostly labelled come first, and frequent ones before rare ones."""
        types = self._types_by_text()
        slips = list[Slip]()
        for text, missed in self._unlabelled.items():
            labelled = sum(types[text].values())
            if missed <= _ORDINARY * labelled:
                slips.append(Slip(text, types[text], labelled, missed, tuple(self._places[text])))
        return sorted(
            slips,
            key=lambda slip: (
                slip.unlabelled >= slip.labelled,
                # The harmonic mean: a mention must be frequent both labelled and unlabelled.
                -1 / (1 / slip.labelled + 1 / slip.unlabelled),
                slip.text,
            ),
        )

    def many_types(self) -> list[ManyTypes]:
        """Return the mentions with several types, first those that deviate most often from their usual type."""
        mentions = [
            ManyTypes(text, types, {type_: self._labelled.get((text, type_), "") for type_ in types})
            for text, types in self._types_by_text().items()
            if len(types) > 1
        ]
        return sorted(mentions, key=lambda m: (max(m.types.values()) - sum(m.types.values()), m.text))

    def _types_by_text(self) -> dict[str, dict[str, int]]:
        """Return the types of the mentions that are labelled at least twice; the first call ends the counting."""
        if self._types is None:
            total = Counter[str]()
            self._types = {}
            for (text, _), count in self._counts.items():
                total[text] += count
            for (text, type_), count in self._counts.most_common():
                # A mention labelled only once isn't a rule that other places break.
                if total[text] > 1:
                    self._types.setdefault(text, {})[type_] = count
            self._counts.clear()
        return self._types


def _words(example: Example, first: int, last: int) -> str:
    """Return the text of some words, on one line."""
    text = example.text[example.words[first][0] : example.words[last - 1][1]]
    return text if last == first + 1 else " ".join(text.split())
