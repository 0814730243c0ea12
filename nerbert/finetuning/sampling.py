"""Small subsets and episodes of sentences: independent of training's seeds, the same for every system.

Subsets of one draw are nested. Episodes are Few-NERD's (Ding et al. 2021). `str(size)` is a size's one text.
"""

import re
from collections import Counter
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
    """What a size counts."""

    ALL = "all"
    ZERO = "zero"
    SENTENCES = "sentences"
    PERCENT = "percent"
    EACH = "each"
    EPISODE = "episode"


@dataclass(frozen=True, slots=True)
class Size:
    """A size, checked; `number` is sentences, percent, k, or an episode's shots. Fields that a kind doesn't use are
    zero."""

    kind: SizeUnit
    number: Decimal = Decimal(0)
    ways: int = 0
    queries: int = 0

    def __str__(self) -> str:
        queries = "" if self.queries == usual_queries(self.ways, self.shots) else f" {self.queries} queries"
        return {
            SizeUnit.ALL: "all", SizeUnit.ZERO: "0", SizeUnit.SENTENCES: f"{self.number}",
            SizeUnit.PERCENT: f"{self.number.normalize():f}%", SizeUnit.EACH: f"k={self.number}",
            SizeUnit.EPISODE: f"{self.ways} way {self.shots} shot{queries}",
        }[self.kind]  # fmt: skip

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
    usual = isinstance(value, str | int) and not isinstance(value, bool)
    found = _SIZE.fullmatch(" ".join(f"{value}".lower().split())) if usual else None
    if found is None:
        raise SettingsError(f"size {value!r:.80}: {_FORMS}")
    given = {name: text for name, text in found.groupdict().items() if text}
    kind = next(unit for unit in SizeUnit if unit in given)
    if kind is SizeUnit.ALL:
        return Size(kind)
    number, ways = Decimal(given[kind]), int(given.get("ways", 0))
    queries = int(given["queries"]) if "queries" in given else usual_queries(ways, int(number)) if ways else 0
    if kind is SizeUnit.SENTENCES and not number:
        return Size(SizeUnit.ZERO)
    if not number or (kind is SizeUnit.EPISODE and not (ways and queries)):
        raise SettingsError(f"size {value!r}: must be above 0")
    if kind is SizeUnit.PERCENT and number > 100:
        raise SettingsError(f"size {value!r}: must be at most 100%")
    return Size(kind, number.normalize() if kind is SizeUnit.PERCENT else number, ways, queries)


_SUBSETS = 'a subset is of sentences (50), a share ("5%") or entities a type ("k=4")'
_TYPE_DRAWS, _ORDERS = 500, 10
"""How often types are drawn, and orders of sentences for each, before the search is given up."""

_Counted = dict[int, Counter[str]]
"""Entities of each type, by the place of their sentence."""


@dataclass(frozen=True, slots=True)
class Subset:
    """Sentences drawn: their places in the whole (from 0, ascending), and the entities of each type among them."""

    size: Size
    draw: int
    places: tuple[int, ...]
    reached: dict[str, int]
    """Every type of the whole, with its entities in the subset."""
    there: dict[str, int]
    """Every type of the whole, with its entities in the whole."""

    @property
    def short(self) -> dict[str, int]:
        """Return types of which the whole has fewer than the k asked for, with how many there are."""
        return {type_: count for type_, count in self.reached.items() if count < self.size.shots}


def draw_subset(examples: Sequence[Example], size: Size | str | int, draw: int) -> Subset:
    """Return the subset of a size in one of the numbered draws; raise SettingsError if it is too large."""
    _check_draw(draw)
    size = size if isinstance(size, Size) else parse_size(size)
    if not examples:
        raise InputError(f"no sentences to draw {size} from")
    match size.kind:
        case SizeUnit.ALL:
            places: Iterable[int] = range(len(examples))
        case SizeUnit.SENTENCES | SizeUnit.PERCENT:
            order = _ordered(_identities(examples), range(len(examples)), draw, "subset: sentences")
            places = order[: _count(size, len(examples))]
        case SizeUnit.EACH:
            places = _each_type(examples, size.shots, draw)
        case _:
            what = "episodes" if size.kind is SizeUnit.EPISODE else "zero-shot cells"
            raise SettingsError(f"size {size}: {what} exist in suites only (nerbert benchmark); {_SUBSETS}")
    places, there = tuple(sorted(places)), _entities(examples)
    reached = _entities(examples[place] for place in places)
    return Subset(size, draw, places, {type_: reached[type_] for type_ in sorted(there)}, dict(sorted(there.items())))


def _count(size: Size, there: int) -> int:
    """Return how many sentences a size in sentences or percent means."""
    if size.kind is SizeUnit.PERCENT:
        return max(1, int((size.number * there / 100).to_integral_value(ROUND_HALF_UP)))
    if size.number > there:
        only = f"there {'is' if there == 1 else 'are'} only {many(there, 'sentence')}"
        raise SettingsError(f"size {size}: {only}; take that many or fewer")
    return int(size.number)


def _entities(examples: Iterable[Example]) -> Counter[str]:
    """Count the entities of each type."""
    return Counter(span.type for example in examples for span in example.spans)


def _each_type(examples: Sequence[Example], k: int, draw: int) -> list[int]:
    """Return sentences with at least k entities of each type, or all there are, reached one more a round."""
    there = _entities(examples)
    if not there:
        raise InputError(f"no entity in {many(len(examples), 'sentence')}, so none of each type can be drawn")
    queues: dict[str, list[int]] = {type_: [] for type_ in sorted(there, key=lambda type_: (there[type_], type_))}
    order = _ordered(_identities(examples), range(len(examples)), draw, "subset: entities of each type")
    for place in reversed(order):
        for type_ in {span.type for span in examples[place].spans}:
            queues[type_].append(place)
    taken: set[int] = set()
    reached: Counter[str] = Counter()
    for wanted in range(1, min(k, max(there.values())) + 1):
        for type_, queue in queues.items():
            while reached[type_] < min(wanted, there[type_]):
                if (place := queue.pop()) not in taken:
                    taken.add(place)
                    reached += _entities([examples[place]])
    return sorted(taken)


@dataclass(frozen=True, slots=True)
class Episode:
    """An episode: its types, and the places (from 0, ascending) of the sentences to learn from and to be tagged."""

    draw: int
    types: tuple[str, ...]
    support: tuple[int, ...]
    query: tuple[int, ...]
    support_reached: dict[str, int]
    query_reached: dict[str, int]


def draw_episode(examples: Sequence[Example], ways: int, shots: int, queries: int, draw: int) -> Episode:
    """Return one of the numbered episodes; raise InputError with the reason if there is none."""
    _check_draw(draw)
    counted = {place: Counter(span.type for span in each.spans) for place, each in enumerate(examples) if each.spans}
    names, tried = _identities(examples), 0
    for types, candidates, attempt in _attempts(counted, ways, shots + queries, draw):
        order = _ordered(names, candidates, draw, f"episode: support {attempt}")
        support = _filled(counted, order, types, shots)
        texts = {examples[place].text for place in support}
        left = [place for place in candidates if examples[place].text not in texts]
        query = _filled(counted, _ordered(names, left, draw, f"episode: query {attempt}"), types, queries)
        if support and query:
            reached = (dict(sorted(_total(counted, places).items())) for places in (support, query))
            return Episode(draw, types, support, query, *reached)
        tried += 1
    wanted = f"{many(ways, 'way')}, {many(shots, 'shot')} and {many(queries, 'query', 'queries')}"
    there, enough = _total(counted, counted), len(_possible(counted, shots + queries))
    raise InputError(f"no episode of {wanted}: {enough} of {many(len(there), 'type')} have the {shots + queries} "
                     f"entities that both parts need, and none of {many(tried, 'order')} of sentences gave K to 2K of "
                     "each; ask for fewer ways, or other shots")  # fmt: skip


def _attempts(counted: _Counted, ways: int, wanted: int, draw: int) -> Iterator[tuple[tuple[str, ...], list[int], str]]:
    """Yield what to try, in turn: types, the places of sentences with no others, and a name."""
    possible, tried = _possible(counted, wanted), set()
    for number in range(_TYPE_DRAWS if len(possible) >= ways else 0):
        drawn = sorted(possible, key=lambda type_: (uniform(draw, f"episode: types {number}", type_), type_))
        types = tuple(sorted(drawn[:ways]))
        if types in tried:
            continue
        tried.add(types)
        candidates = [place for place, counts in counted.items() if counts.keys() <= set(types)]
        there = _total(counted, candidates)
        if all(there[type_] >= wanted for type_ in types):
            yield from ((types, candidates, f"{number}.{order}") for order in range(_ORDERS))


def _filled(counted: _Counted, order: Iterable[int], types: Sequence[str], k: int) -> tuple[int, ...]:
    """Return places taken in that order until each type has k to 2k entities; none if they never have."""
    reached: Counter[str] = Counter()
    taken = []
    for place in order:
        counts = counted[place]
        fits = all(reached[type_] + count <= 2 * k for type_, count in counts.items())
        if fits and any(reached[type_] < k for type_ in counts):
            taken.append(place)
            reached += counts
            if all(reached[type_] >= k for type_ in types):
                return tuple(sorted(taken))
    return ()


def _total(counted: _Counted, places: Iterable[int]) -> Counter[str]:
    """Return entities of each type in the sentences at `places`."""
    total: Counter[str] = Counter()
    for place in places:
        total.update(counted[place])
    return total


def _possible(counted: _Counted, wanted: int) -> list[str]:
    """Return the types with at least `wanted` entities; others are in no episode."""
    return sorted(type_ for type_, count in _total(counted, counted).items() if count >= wanted)


def _check_draw(draw: int) -> None:
    """Raise SettingsError for what is no draw's number."""
    if draw < 1:
        raise SettingsError(f"draw {draw}: draws are numbered from 1")


def _identities(examples: Iterable[Example]) -> list[str]:
    """Return each sentence's identity: its text, and how many equal ones come before it."""
    before: Counter[str] = Counter()
    names = []
    for example in examples:
        names.append(f"{example.text}\0{before[example.text]}")
        before[example.text] += 1
    return names


def _ordered(names: Sequence[str], places: Iterable[int], draw: int, step: str) -> list[int]:
    """Return places of sentences in the order of a draw; `names` are their identities, `step` is the purpose."""
    return sorted(places, key=lambda place: (uniform(draw, step, names[place]), place))
