"""How many examples to train on, as a suite or a command line says it.

    all                       every sentence of the train split
    50                        so many sentences
    5%                        so large a share of them, at least one
    k=4                       at least four entities of every type
    5 way 1 shot              an episode: five types, one to two entities of each
    5 way 1 shot 2 queries    the same, with two to four entities of each to be found

The choice: one text stands for one size everywhere (`str(size)`), so it can name a cell or a column. The price: an
episode's usual number of queries, Few-NERD's, goes without saying: as many as shots up to five ways, else one.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from nerbert.errors import SettingsError

_NUMBER = re.compile(r"[0-9]{1,9}")
_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?) ?%")
_EACH = re.compile(r"k ?= ?([0-9]{1,9})")
_EPISODE = re.compile(r"([0-9]{1,4})[ -]ways? ([0-9]{1,4})[ -]shots?(?: ([0-9]{1,4})[ -](?:query|queries))?")
_FORMS = 'must be "all", sentences (50), a share ("5%"), entities a type ("k=4"), or an episode ("5 way 1 shot")'


class SizeUnit(StrEnum):
    """What a size counts."""

    ALL = "all"
    SENTENCES = "sentences"
    PERCENT = "percent"
    EACH = "each"
    EPISODE = "episode"


@dataclass(frozen=True, slots=True)
class Size:
    """A size, checked; `number` is sentences, percent, k, or an episode's shots. What a kind has no use for is zero."""

    kind: SizeUnit
    number: Decimal = Decimal(0)
    ways: int = 0
    queries: int = 0

    def __str__(self) -> str:
        match self.kind:
            case SizeUnit.ALL:
                return "all"
            case SizeUnit.SENTENCES:
                return f"{self.number}"
            case SizeUnit.PERCENT:
                return f"{self.number.normalize():f}%"
            case SizeUnit.EACH:
                return f"k={self.number}"
        queries = "" if self.queries == usual_queries(self.ways, self.shots) else f" {self.queries} queries"
        return f"{self.ways} way {self.shots} shot{queries}"

    @property
    def shots(self) -> int:
        """Return entities of each type that are asked for: k, or an episode's shots."""
        return int(self.number) if self.kind in (SizeUnit.EACH, SizeUnit.EPISODE) else 0


def many(count: int, thing: str, things: str = "") -> str:
    """Return `1 sentence`, `2 sentences`; `things` is the plural where an s isn't enough."""
    return f"{count:,} {thing if count == 1 else things or f'{thing}s'}"


def usual_queries(ways: int, shots: int) -> int:
    """Return Few-NERD's number of queries: as many as shots up to five ways, else one."""
    return shots if ways <= 5 else 1


def parse_size(value: str | int) -> Size:
    """Return `"all"`, `50`, `"5%"`, `"k=4"` or `"5 way 1 shot"` as a Size; raise SettingsError for others."""
    text = f"{value}".strip().lower()
    size = None if isinstance(value, bool) or not isinstance(value, str | int) else _parsed(" ".join(text.split()))
    if size is None:
        raise SettingsError(f"size {value!r:.80}: {_FORMS}")
    zero = size.kind is not SizeUnit.ALL and not size.number
    if zero or (size.kind is SizeUnit.EPISODE and not (size.ways and size.queries)):
        raise SettingsError(f"size {value!r}: must be more than nothing")
    if size.kind is SizeUnit.PERCENT and size.number > 100:
        raise SettingsError(f"size {value!r}: there is no more than 100%")
    return size


def _parsed(text: str) -> Size | None:
    """Return a size as it is written, numbers not checked."""
    if text == "all":
        return Size(SizeUnit.ALL)
    if _NUMBER.fullmatch(text):
        return Size(SizeUnit.SENTENCES, Decimal(int(text)))
    if found := _PERCENT.fullmatch(text):
        return Size(SizeUnit.PERCENT, Decimal(found[1]).normalize())
    if found := _EACH.fullmatch(text):
        return Size(SizeUnit.EACH, Decimal(int(found[1])))
    if found := _EPISODE.fullmatch(text):
        ways, shots = int(found[1]), int(found[2])
        return Size(SizeUnit.EPISODE, Decimal(shots), ways, int(found[3]) if found[3] else usual_queries(ways, shots))
    return None
