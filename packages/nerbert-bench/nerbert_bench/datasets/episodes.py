"""Few-NERD's episodes (Ding et al. 2021): drawn from sentences, or read from the published JSON lines.

A published line has two sets of tagged sentences and their types. A tag is a type, without B- or I-: neighbours of one
type are one entity, as in Few-NERD's own scores.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

# Python 3.11's TypedDict lacks features that pydantic needs.
from typing_extensions import TypedDict

from nerbert.data.sampling import Size, SizeUnit, check_draw, count_types, draw_order, identities, plural, usual_queries
from nerbert.errors import InputError, SettingsError, at, refused
from nerbert.formats.conll import example_of
from nerbert.formats.lines import checked_words
from nerbert.formats.schemes import Scheme
from nerbert.records import Example
from nerbert.rng import uniform
from nerbert.schema import parse_json

_TYPE_DRAWS, _ORDERS = 500, 10
"""Maximum number of type draws, and of sentence orders for each of them, in the search for an episode."""

_TypeCounts = dict[int, Counter[str]]
"""Entities of each type, by the index of their sentence."""


class _Sentences(TypedDict):
    word: list[list[str]]
    label: list[list[str]]


class _Line(TypedDict):
    support: _Sentences
    query: _Sentences
    types: list[str]


def episodes_name(split: str, size: Size) -> str:
    """Return the name of Few-NERD's file of episodes of a size; raise SettingsError for a size that has none."""
    # Each published file has one number of queries, which its name leaves out.
    if size.unit is not SizeUnit.EPISODE or size.queries != usual_queries(size.ways, size.shots):
        raise SettingsError(f"size {size}: no file of episodes is published; leave `episodes` out")
    return f"{split}_{size.ways}_{size.shots}.jsonl"


def read_episode(path: Path, number: int) -> tuple[list[Example], list[Example], list[str]]:
    """Return an episode's sentences to train on, those to tag, and its types; it is a line, numbered from 1."""
    with refused(f"{path}: can't be read", of=OSError), path.open("rb") as stream:
        # A file holds 5,000 episodes or more, of which one is needed: only its line is parsed.
        line = next(islice(stream, number - 1, None), b"")
    if not line:
        raise InputError(f"{path}: has no episode {number}; ask for fewer draws")
    with at(path, number):
        episode = parse_json(line, _Line, "")
        return _examples(episode["support"]), _examples(episode["query"]), episode["types"]


def _examples(part: _Sentences) -> list[Example]:
    if [*map(len, part["word"])] != [*map(len, part["label"])]:
        raise InputError("each word must have one label")
    scheme = Scheme("IO", 0, 0)
    sentences = zip(part["word"], part["label"], strict=True)
    return [example_of(checked_words(words, "word"), scheme.bio(tags)) for words, tags in sentences]


@dataclass(frozen=True, slots=True)
class Episode:
    """An episode: its types, and the indices (from 0, ascending) of its training and test sentences."""

    draw: int
    types: tuple[str, ...]
    support: tuple[int, ...]
    query: tuple[int, ...]
    support_reached: dict[str, int]
    query_reached: dict[str, int]


def draw_episode(examples: Sequence[Example], ways: int, shots: int, queries: int, draw: int) -> Episode:
    """Return the episode of a numbered draw; raise InputError with the reason if there is none."""
    check_draw(draw)
    counted = {index: count_types([example]) for index, example in enumerate(examples) if example.spans}
    there = _total(counted, counted)
    names = identities(examples)
    tried = 0
    frequent = sorted(type_ for type_, count in there.items() if count >= shots + queries)
    # Types are drawn first; sentences with any other type don't count.
    for types, candidates, attempt in _attempts(counted, frequent, ways, shots + queries, draw):
        order = draw_order(names, candidates, draw, f"episode: support {attempt}")
        support = _fill_quota(counted, order, types, shots)
        texts = {examples[index].text for index in support}
        left = [index for index in candidates if examples[index].text not in texts]
        query = _fill_quota(counted, draw_order(names, left, draw, f"episode: query {attempt}"), types, queries)
        if support and query:
            reached = (dict(sorted(_total(counted, indices).items())) for indices in (support, query))
            return Episode(draw, types, support, query, *reached)
        tried += 1
    form = f"{plural(ways, 'way')}, {plural(shots, 'shot')} and {plural(queries, 'query', 'queries')}"
    raise InputError(
        f"no episode of {form}: {len(frequent)} of {plural(len(there), 'type')} have the "
        f"{shots + queries} entities that both parts need, and none of {plural(tried, 'order')} of "
        "sentences gave K to 2K of each; ask for fewer ways, or other shots"
    )


def _attempts(
    counted: _TypeCounts, frequent: Sequence[str], ways: int, least: int, draw: int
) -> Iterator[tuple[tuple[str, ...], list[int], str]]:
    """Yield attempts: types out of `frequent`, the indices of sentences with no others, and the attempt's name."""
    tried = set()
    for number in range(_TYPE_DRAWS if len(frequent) >= ways else 0):
        drawn = sorted(frequent, key=lambda type_: (uniform(draw, f"episode: types {number}", type_), type_))
        types = tuple(sorted(drawn[:ways]))
        if types in tried:
            # Few types give few different draws.
            continue
        tried.add(types)
        candidates = [index for index, counts in counted.items() if counts.keys() <= set(types)]
        there = _total(counted, candidates)
        if all(there[type_] >= least for type_ in types):
            yield from ((types, candidates, f"{number}.{order}") for order in range(_ORDERS))


def _fill_quota(counted: _TypeCounts, order: Iterable[int], types: Sequence[str], k: int) -> tuple[int, ...]:
    """Return indices, taken in the given order, with k to 2k entities of each type; none if that is impossible."""
    reached: Counter[str] = Counter()
    taken = []
    for index in order:
        counts = counted[index]
        fits = all(reached[type_] + count <= 2 * k for type_, count in counts.items())
        # A sentence that adds nothing that is missing only uses up the limit of 2k.
        if fits and any(reached[type_] < k for type_ in counts):
            taken.append(index)
            reached += counts
            if all(reached[type_] >= k for type_ in types):
                return tuple(sorted(taken))
    return ()


def _total(counted: _TypeCounts, indices: Iterable[int]) -> Counter[str]:
    """Return the number of entities of each type in the sentences at these indices."""
    return Counter(type_ for index in indices for type_ in counted[index].elements())
