"""Episodes that are drawn: few of each type, apart, and the same each time."""

from collections import Counter
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.data.sampling import plural
from nerbert.errors import InputError, NerbertError, SettingsError
from nerbert.records import Example
from nerbert_bench.datasets.episodes import Episode, draw_episode
from tests.data.test_sampling import DRAWS, SENTENCES, entities, sentence
from tests.raised import raises

FULL = [sentence("aaa", f"word{number}") for number in range(9)]


@pytest.mark.parametrize(
    ("act", "kind", "words"),
    [
        (lambda: draw_episode([sentence("a")], 1, 1, 1, -1), SettingsError, "draw -1: draws are numbered from 1"),
        (lambda: draw_episode([sentence("ab")], 3, 1, 1, 1), InputError, "0 of 2 types have the 2 entities that both"),
        (
            lambda: draw_episode([sentence("ab"), sentence("a")], 2, 1, 1, 1),
            InputError,
            "of 2 ways, 1 shot and 1 query: 1 of 2 types have the 2 entities",
        ),
        (lambda: draw_episode([sentence("")], 1, 1, 2, 1), InputError, "of 1 way, 1 shot and 2 queries: "),
        (lambda: draw_episode([sentence("aab"), sentence("ab")], 1, 1, 1, 1), InputError, " 0 orders "),
        (lambda: draw_episode(FULL, 1, 1, 1, 1), InputError, "10 orders of sentences gave "),
        (lambda: draw_episode([sentence("a")] * 4, 1, 1, 1, 1), InputError, "10 orders"),  # all of one text
    ],
)
def test_messages(act: Callable[[], object], kind: type[NerbertError], words: str) -> None:
    with raises(kind, words):
        act()


def check_episode(examples: Sequence[Example], episode: Episode, sizes: tuple[int, int, int]) -> None:
    ways, shots, queries = sizes
    assert len(episode.types) == ways
    assert not set(episode.support) & set(episode.query)
    parts = ((episode.support, shots, episode.support_reached), (episode.query, queries, episode.query_reached))
    for places, k, reached in parts:
        found = entities(examples, places)
        assert found == Counter(reached)
        assert set(found) == set(episode.types)
        assert all(k <= count <= 2 * k for count in found.values())
        assert all(examples[place].spans for place in places)
        assert list(places) == sorted(set(places))
    assert not {examples[place].text for place in episode.support} & {examples[place].text for place in episode.query}


@given(SENTENCES, DRAWS, st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))
def test_an_episode_is_few_nerds_or_the_error_says_what_is_lacking(
    examples: list[Example], draw: int, ways: int, shots: int, queries: int
) -> None:
    try:
        episode = draw_episode(examples, ways, shots, queries, draw)
    except InputError as error:
        asked = f"{plural(ways, 'way')}, {plural(shots, 'shot')} and {plural(queries, 'query', 'queries')}"
        assert f"no episode of {asked}: " in str(error)  # noqa: PT017
    else:
        check_episode(examples, episode, (ways, shots, queries))
        assert draw_episode(examples, ways, shots, queries, draw) == episode


def test_an_episode_that_is_there_is_found() -> None:
    """Of 20 types only a and b are ever alone in a sentence, so one in 190 pairs of types will do."""
    types = "abcdefghijklmnopqrst"
    examples = [sentence(types[2:], f"all{number}") for number in range(5)]
    examples += [sentence(type_, f"{type_}{number}") for type_ in "ab" for number in range(3)]
    assert draw_episode(examples, 2, 1, 1, 3).types == ("a", "b")
    assert draw_episode(examples[5:], 2, 1, 1, 1).types == ("a", "b"), "of as many types as there are"
