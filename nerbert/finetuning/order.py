"""The order of sentences in a draw: that of their coins.

The choice: a sentence is known by its text and by how many equal ones stand before it, not by its place. So sentences
added to a file change no other's coin, and in a subset of so many sentences a new one can only take the place of some
that came later in the order. That is said of sentence counts alone: 5% of more is more, and for k entities a type, and
for episodes, new entities may change which type is served first and what is needed. The price is that equal texts with
other tags are told apart by their order alone.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from nerbert.errors import SettingsError
from nerbert.records import Example
from nerbert.rng import coin


def check_draw(draw: int) -> None:
    """Raise SettingsError for what is no draw's number."""
    if draw < 1:
        raise SettingsError(f"draw {draw}: draws are numbered from 1")


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
