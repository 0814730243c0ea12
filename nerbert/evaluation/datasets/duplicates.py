"""Test sentences that are in the train part too, token for token.

The choice: only sentences of at least eight tokens count, since "Yes ." and a box score's line are no leak; and tokens
must be equal to the letter. The price: copies with another case or a changed link are not found.
"""

from collections.abc import Iterable, Sequence

from nerbert.records import Example

AT_LEAST = 8
"""Tokens from which on an equal sentence is a twin."""


def find_twins(train: Iterable[Example], test: Sequence[Example], at_least: int = AT_LEAST) -> tuple[int, ...]:
    """Return places of the test sentences of at least so many tokens whose tokens are those of a train sentence."""
    seen = {each.tokens for each in train if len(each.words) >= at_least}
    return tuple(place for place, each in enumerate(test) if len(each.words) >= at_least and each.tokens in seen)
