"""Small subsets of sentences: independent of training seeds, and the same for every system.

Subsets of one draw are nested. A size may be an episode's (Few-NERD, Ding et al. 2021), which only benchmarks draw.
`str(size)` is a size's canonical text.
"""

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum

from nerbert.errors import InputError, SettingsError
from nerbert.records import Example
from nerbert.rng import uniform

_SIZE = re.compile(
    r"(?P<all>all)|(?P<sentences>[0-9]{1,9})|(?P<percent>[0-9]{1,3}(?:\.[0-9]{1,6})?) ?%|k ?= ?(?P<each>[0-9]{1,9})"
    r"|(?P<ways>[0-9]{1,4})[ -]ways? (?P<episode>[0-9]{1,4})[ -]shots?(?: (?P<queries>[0-9]{1,4})[ -]quer(?:y|ies))?"
)
_FORMS = (
    'must be "all", sentences (50; 0: zero-shot), a share ("5%"), entities a type ("k=4"), or an episode '
    '("5 way 1 shot")'
)


class SizeUnit(StrEnum):
    """Unit of a size."""

    ALL = "all"
    ZERO = "zero"
    SENTENCES = "sentences"
    PERCENT = "percent"
    EACH = "each"
    EPISODE = "episode"


@dataclass(frozen=True, slots=True)
class Size:
    """A validated size; `number` is sentences, percent, k, or an episode's shots. Unused fields are zero."""

    unit: SizeUnit
    number: Decimal = Decimal(0)
    ways: int = 0
    queries: int = 0

    def __str__(self) -> str:
        queries = "" if self.queries == usual_queries(self.ways, self.shots) else f" {self.queries} queries"
        return {
            SizeUnit.ALL: "all",
            SizeUnit.ZERO: "0",
            SizeUnit.SENTENCES: f"{self.number}",
            SizeUnit.PERCENT: f"{self.number.normalize():f}%",
            SizeUnit.EACH: f"k={self.number}",
            SizeUnit.EPISODE: f"{self.ways} way {self.shots} shot{queries}",
        }[self.unit]

    @property
    def order(self) -> tuple[bool, bool, Decimal]:
        """Return a key that orders sizes by their sentences: numbers, then shares, then all."""
        return self.unit is SizeUnit.ALL, self.unit is SizeUnit.PERCENT, self.number

    @property
    def shots(self) -> int:
        """Return the requested entities of each type: k, or an episode's shots."""
        return int(self.number) if self.unit in (SizeUnit.EACH, SizeUnit.EPISODE) else 0


def plural(count: int, noun: str, nouns: str = "") -> str:
    """Return `1 sentence`, `2 sentences`; `nouns` is the plural if it isn't `noun` + s."""
    return f"{count:,} {noun if count == 1 else nouns or f'{noun}s'}"


def usual_queries(ways: int, shots: int) -> int:
    """Return Few-NERD's number of queries: as many as shots up to five ways, otherwise one."""
    return shots if ways <= 5 else 1


def parse_size(value: str | int) -> Size:
    """Return `"all"`, `50`, `"5%"`, `"k=4"` or `"5 way 1 shot"` as a Size; raise SettingsError for others."""
    match = _SIZE.fullmatch(" ".join(f"{value}".lower().split()))
    if match is None:
        raise SettingsError(f"size {value!r:.80}: {_FORMS}")
    parts = {name: text for name, text in match.groupdict().items() if text}
    unit = next(unit for unit in SizeUnit if unit in parts)
    if unit is SizeUnit.ALL:
        return Size(unit)
    number = Decimal(parts[unit])
    ways = int(parts.get("ways", 0))
    queries = int(parts.get("queries", usual_queries(ways, int(number)) if ways else 0))
    if unit is SizeUnit.SENTENCES and not number:
        return Size(SizeUnit.ZERO)
    size = Size(unit, number.normalize() if unit is SizeUnit.PERCENT else number, ways, queries)
    _check_size(size, value)
    return size


def _check_size(size: Size, value: str | int) -> None:
    if not size.number or (size.unit is SizeUnit.EPISODE and not (size.ways and size.queries)):
        raise SettingsError(f"size {value!r}: must be above 0")
    if size.unit is SizeUnit.PERCENT and size.number > 100:
        raise SettingsError(f"size {value!r}: must be at most 100%")


_SUBSETS = 'a subset is of sentences (50), a share ("5%") or entities a type ("k=4")'


@dataclass(frozen=True, slots=True)
class Subset:
    """Sampled sentences: their indices in all sentences (from 0, ascending), and the entities of each type in them."""

    size: Size
    draw: int
    places: tuple[int, ...]
    reached: dict[str, int]
    """Number of entities in the subset, for every type of the whole."""
    there: dict[str, int]
    """Number of entities in the whole, for every type."""

    @property
    def short(self) -> dict[str, int]:
        """Return the types with fewer than the requested k entities in the whole, with their numbers of entities."""
        return {type_: count for type_, count in self.reached.items() if count < self.size.shots}


def draw_subset(examples: Sequence[Example], size: Size | str | int, draw: int) -> Subset:
    """Return the subset of a size in a numbered draw; raise SettingsError if the size is too large."""
    check_draw(draw)
    size = size if isinstance(size, Size) else parse_size(size)
    if not examples:
        raise InputError(f"no sentences to draw {size} from")
    match size.unit:
        case SizeUnit.ALL:
            indices: Iterable[int] = range(len(examples))
        case SizeUnit.SENTENCES | SizeUnit.PERCENT:
            # The first ones of one order: smaller sizes of a draw lie within larger ones.
            order = draw_order(identities(examples), range(len(examples)), draw, "subset: sentences")
            indices = order[: _count(size, len(examples))]
        case SizeUnit.EACH:
            indices = _each_type(examples, size.shots, draw)
        case _:
            units = "episodes" if size.unit is SizeUnit.EPISODE else "zero-shot cells"
            raise SettingsError(f"size {size}: {units} exist in suites only (nerbert benchmark); {_SUBSETS}")
    indices = tuple(sorted(indices))
    there = count_types(examples)
    reached = count_types(examples[index] for index in indices)
    return Subset(size, draw, indices, {type_: reached[type_] for type_ in sorted(there)}, dict(sorted(there.items())))


def _count(size: Size, there: int) -> int:
    """Return the number of sentences of a size in sentences or percent."""
    if size.unit is SizeUnit.PERCENT:
        return max(1, int((size.number * there / 100).to_integral_value(ROUND_HALF_UP)))
    if size.number > there:
        only = f"there {'is' if there == 1 else 'are'} only {plural(there, 'sentence')}"
        raise SettingsError(f"size {size}: {only}; take that many or fewer")
    return int(size.number)


def count_types(examples: Iterable[Example]) -> Counter[str]:
    """Count the entities of each type."""
    return Counter(span.type for example in examples for span in example.spans)


def _each_type(examples: Sequence[Example], k: int, draw: int) -> list[int]:
    """Return sentences with at least k entities of each type (or all there are), adding one entity per round."""
    there = count_types(examples)
    if not there:
        raise InputError(f"no entity in {plural(len(examples), 'sentence')}, so none of each type can be drawn")
    # The rarest type first: its sentences often bring the frequent types along.
    queues: dict[str, list[int]] = {type_: [] for type_ in sorted(there, key=lambda type_: (there[type_], type_))}
    order = draw_order(identities(examples), range(len(examples)), draw, "subset: entities of each type")
    for index in reversed(order):
        for type_ in {span.type for span in examples[index].spans}:
            queues[type_].append(index)
    taken: set[int] = set()
    reached: Counter[str] = Counter()
    # One more of each type a round, instead of k of one type after the other: types stay even.
    for goal in range(1, min(k, max(there.values())) + 1):
        for type_, queue in queues.items():
            while reached[type_] < min(goal, there[type_]):
                if (index := queue.pop()) not in taken:
                    taken.add(index)
                    reached += count_types([examples[index]])
    return sorted(taken)


def check_draw(draw: int) -> None:
    """Raise SettingsError for an invalid draw number."""
    if draw < 1:
        raise SettingsError(f"draw {draw}: draws are numbered from 1")


def identities(examples: Iterable[Example]) -> list[str]:
    """Return each sentence's identity: its text, and the number of equal ones before it."""
    numbers = defaultdict[str, Iterator[int]](itertools.count)
    return [f"{example.text}\0{next(numbers[example.text])}" for example in examples]


def draw_order(names: Sequence[str], indices: Iterable[int], draw: int, step: str) -> list[int]:
    """Return indices of sentences in a draw's order; `names` are their identities, `step` is the purpose."""
    # Coins are by text, not by place: other sentences in the file don't change a sentence's luck.
    return sorted(indices, key=lambda index: (uniform(draw, step, names[index]), index))
