"""Episodes of N ways and K~2K shots, drawn in Few-NERD's manner (Ding et al. 2021).

N types are drawn; then sentences in a random order, of which one is taken if it has entities, of the drawn types only,
leaves none of its types with more than 2K, and has a type that isn't at K yet; until all N have K. The query part is
drawn likewise from the rest, with Q for K. Drawing again what was refused once would change nothing (counts only grow),
so one pass over the order is the whole of it.

The choice: only types with K + Q entities are drawn, and where a pass ends with one short of K, other orders are tried
and then other types, up to a bound; the original goes on for ever. The query part doesn't hold the support part's texts
either. Few-NERD counts the runs of one type in IO tags; here the entities of BIO are counted, so that two of a type
that touch are two. The price: types that are seldom alone in a sentence occur in fewer episodes, and where entities
touch, Few-NERD's own program would count fewer.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from nerbert.errors import InputError, SettingsError
from nerbert.finetuning.sampling import check_draw, identities, ordered
from nerbert.finetuning.sizes import many
from nerbert.records import Example
from nerbert.rng import uniform

_TYPE_DRAWS, _ORDERS = 500, 10
"""How often types are drawn, and orders of sentences for each, before the search is given up."""

_Counted = dict[int, Counter[str]]
"""Entities of each type, by the place of their sentence."""


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
    """Return one of the numbered episodes; raise InputError that says what is missing if there is none."""
    check_draw(draw)
    for name, number in (("ways", ways), ("shots", shots), ("queries", queries)):
        if number < 1:
            raise SettingsError(f"{name} = {number}: must be at least 1")
    counted = {place: Counter(span.type for span in each.spans) for place, each in enumerate(examples) if each.spans}
    names, unfilled = identities(examples), Counter[str]()
    for types, candidates, attempt in _attempts(counted, ways, shots + queries, draw):
        order = ordered(names, candidates, draw, f"episode: support {attempt}")
        support = _filled(counted, order, types, shots)
        texts = {examples[place].text for place in support}
        left = [place for place in candidates if examples[place].text not in texts]
        query = _filled(counted, ordered(names, left, draw, f"episode: query {attempt}"), types, queries)
        if support and query:
            return _episode(counted, types, support, query, draw)
        unfilled["query" if support else "support"] += 1
    wanted = f"{many(ways, 'way')}, {many(shots, 'shot')} and {many(queries, 'query', 'queries')}"
    lack = _unfilled(counted, unfilled, shots, queries) if unfilled else _lack(counted, ways, shots + queries)
    raise InputError(f"no episode of {wanted}: {lack}")


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


def _episode(
    counted: _Counted, types: tuple[str, ...], support: tuple[int, ...], query: tuple[int, ...], draw: int
) -> Episode:
    parts = [dict(sorted(_total(counted, places).items())) for places in (support, query)]
    return Episode(draw, types, support, query, *parts)


def _total(counted: _Counted, places: Iterable[int]) -> Counter[str]:
    """Return entities of each type in the sentences at `places`."""
    total: Counter[str] = Counter()
    for place in places:
        total.update(counted[place])
    return total


def _possible(counted: _Counted, wanted: int) -> list[str]:
    """Return the types with at least `wanted` entities; others are in no episode."""
    return sorted(type_ for type_, count in _total(counted, counted).items() if count >= wanted)


def _lack(counted: _Counted, ways: int, wanted: int) -> str:
    """Say why no types could be drawn."""
    there, possible = _total(counted, counted), _possible(counted, wanted)
    if len(possible) < ways:
        told = ", ".join(f"{type_} {count}" for type_, count in sorted(there.items())) or "no entity at all"
        have = f"{many(len(possible), 'type')} {'has' if len(possible) == 1 else 'have'}"
        return f"{have} the {wanted} entities that both parts need; there are {told}; ask for less"
    alone = _total(counted, [place for place, counts in counted.items() if len(counts) == 1])
    rarest = sorted(possible, key=lambda type_: (alone[type_], type_))[:3]
    told = ", ".join(f"{type_} {there[type_]} ({alone[type_]} beside no other type)" for type_ in rarest)
    return (f"in {_TYPE_DRAWS} draws of types none had enough entities in sentences without other types; the rarest: "
            f"{told}; ask for fewer shots or other ways")  # fmt: skip


def _unfilled(counted: _Counted, failed: Mapping[str, int], shots: int, queries: int) -> str:
    """Say which bound failed where types had enough entities: a part can't have K to 2K of each."""
    told = []
    for part, k in (("support", shots), ("query", queries)):
        if part in failed:
            large = sum(max(counts.values()) > 2 * k for counts in counted.values())
            apart = ", of other texts than the support part's," if part == "query" else ""
            told.append(f"in {failed[part]:,} of {sum(failed.values()):,} orders no {part} part{apart} came to {k} to "
                        f"{2 * k} entities of each type (sentences with entities that hold more than {2 * k} of one: "
                        f"{large:,} of {len(counted):,})")  # fmt: skip
    return f"{'; '.join(told)}; ask for more shots and queries, or for fewer ways"
