"""Which types are broader ones of others, by marks: NuNER's texts often have a narrow and a broad type on one span.

The rule: B is an ancestor of A where B is on the same span for at least 80 % of A's mentions, of at least two, in texts
where B was asked for; and B has more mentions than A. Cost: of two types that always occur together neither is broader.
"""

from collections import Counter
from collections.abc import Iterable

_SHARE, _LEAST = 0.8, 2


class BroaderTypes:
    """Counts which names are on the same spans, text by text."""

    def __init__(self) -> None:
        self._both = Counter[tuple[str, str]]()
        self._mentions: dict[str, Counter[tuple[str, ...] | None]] = {}

    def add(self, spans: Iterable[tuple[int, int, str]], asked: tuple[str, ...] | None) -> None:
        """Add a text's spans, each with a name; `asked` are the names that were asked for in it (None: all)."""
        names_of: dict[tuple[int, int], set[str]] = {}
        for start, end, name in spans:
            names_of.setdefault((start, end), set()).add(name)
        for names in names_of.values():
            for name in names:
                self._mentions.setdefault(name, Counter())[asked] += 1
                self._both.update((name, other) for other in names if other != name)

    def ancestors(self) -> dict[str, tuple[str, ...]]:
        """Return the sorted broader names of each name that has any."""
        totals = {name: counts.total() for name, counts in self._mentions.items()}
        found: dict[str, set[str]] = {}
        for (name, other), both in self._both.items():
            if totals[other] > totals[name] and self._is_usual(name, other, both):
                found.setdefault(name, set()).add(other)
        return {name: tuple(sorted(found[name])) for name in sorted(found)}

    def _is_usual(self, name: str, other: str, both: int) -> bool:
        """Return whether most mentions of a name have the other one too, where that was asked for."""
        asked_for = 0
        for asked, count in self._mentions[name].items():
            if asked is None or other in asked:
                asked_for += count
                if both < _SHARE * asked_for:
                    return False
        return asked_for >= _LEAST
