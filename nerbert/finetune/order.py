"""The order of sentences in a draw: that of their coins.

The choice: a sentence is known by its text and by how many equal ones stand before it, not by its place. So sentences
added to a file change no other's luck: a new one can only take the place of some that came later in the order. The
price is that equal texts with other tags are told apart by their order alone.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from nerbert.chance import coin
from nerbert.records import Example


def identities(examples: Iterable[Example]) -> list[str]:
    """What each sentence is known by: its text, and how many equal ones stand before it."""
    before: Counter[str] = Counter()
    names = []
    for example in examples:
        names.append(f"{example.text}\0{before[example.text]}")
        before[example.text] += 1
    return names


def ordered(names: Sequence[str], places: Iterable[int], draw: int, step: str) -> list[int]:
    """Places of sentences, of which `names` are the identities, in the order of a draw; `step` says what for."""
    return sorted(places, key=lambda place: (coin(draw, step, names[place]), place))
