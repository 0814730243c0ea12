"""The table of concepts: what is known of a word, by source, synonyms, and broader and narrower names; other words."""

from collections.abc import Sequence

import numpy as np
import pytest

from nerbert.encoder.concept_table import ROOT, Asked, Concept, ConceptTable, all_of
from nerbert.records import Example, Span


def table_of(*concepts: Concept, rows: Sequence[tuple[tuple[int, ...], Asked]] = ()) -> ConceptTable:
    made = ConceptTable(sentences=1)
    for each in concepts:
        made.add(each, 1)
    made.add_rows(rows)
    return made


def unknown_of(table: ConceptTable, own: Sequence[str], asked: Asked = None) -> set[str]:
    """The texts of concepts that are unknown of a word with some concepts."""
    row = (tuple(sorted(map(table.number_of, own))), asked)
    has, known = table.masks([row], np.arange(len(table.concepts)))
    assert {table.concepts[place].text for place in has[0].nonzero()[0].tolist()} == set(own)
    return {table.concepts[place].text for place in (~known[0]).nonzero()[0].tolist()}


PERSON, POLITICIAN = Concept("person"), Concept("politician", ancestors=("person",))
MAYOR, CITY = Concept("mayor", ancestors=("politician",)), Concept("city")


def test_narrower_and_broader_names_are_unknown_unless_asked_for() -> None:
    table = table_of(PERSON, POLITICIAN, MAYOR, CITY)
    assert unknown_of(table, ["person"]) == {"politician", "mayor"}
    assert unknown_of(table, ["politician"]) == {"person", "mayor"}
    assert unknown_of(table, ["mayor"]) == {"person", "politician"}
    assert unknown_of(table, ["city"]) == unknown_of(table, []) == set()
    assert unknown_of(table, ["person"], ("city", "mayor", "person")) == {"politician"}
    assert unknown_of(table, ["politician"], ("person", "politician")) == {"person", "mayor", "city"}


def test_synonyms_are_unknown_with_their_narrower_names() -> None:
    table = table_of(PERSON, Concept("human"), POLITICIAN, Concept("statesman"), CITY)
    pairs = (("person", "human"), ("politician", "statesman"))
    table.synonyms = {name: {other} for pair in pairs for name, other in (pair, pair[::-1])}
    assert unknown_of(table, ["person"]) == {"human", "politician", "statesman"}
    assert unknown_of(table, ["human"]) == {"person", "politician", "statesman"}
    assert unknown_of(table, ["statesman"]) == {"person", "human", "politician"}
    assert unknown_of(table, ["human"], ("city", "human", "person")) == {"person", "politician", "statesman"}


def test_other_names_of_a_concept_are_its_synonyms() -> None:
    table = table_of(Concept("partei", other_names=("political party",)), Concept("political party"), CITY)
    assert unknown_of(table, ["partei"]) == {"political party"}
    assert unknown_of(table, ["political party"]) == {"partei"}
    table.close()
    table.extend(table_of(Concept("kino", other_names=("cinema",)), Concept("kino", other_names=("movie theatre",))))
    assert table.names_like("kino") == {"kino", "cinema", "movie theatre"}


def joined() -> ConceptTable:
    """Three sources: two corpora, and texts of open types; all have `city`."""
    table = table_of(Concept(ROOT), CITY, Concept("ship"), rows=[((1,), None), ((2,), None)])
    table.close()
    table.extend(table_of(Concept("city", "a large town"), CITY, Concept("boat"), rows=[((1,), None)]))
    table.extend(table_of(CITY, Concept("gene"), rows=[((0,), None), ((1,), None), ((), ("gene",))]))
    return table


def test_a_word_knows_the_concepts_of_its_own_source() -> None:
    table = joined()
    texts = [each.text for each in table.concepts]
    assert texts == [ROOT, "city", "ship", "city: a large town", "boat", "gene"]
    known = table.masks([((), all_of(source)) for source in range(3)], np.arange(6))[1]
    assert [{texts[place] for place in row.nonzero()[0]} for row in known] == [
        {ROOT, "city", "ship"},
        {"city: a large town", "city", "boat"},
        {"city", "gene"},
    ]
    assert unknown_of(table, ["gene"], all_of(2)) == {ROOT, "ship", "city: a large town", "boat"}
    assert unknown_of(table, ["city"], all_of(0)) == {ROOT, "city: a large town", "boat", "gene"}
    assert unknown_of(table, [], ("city",)) == {ROOT, "ship", "boat", "gene"}
    assert table.candidates([((5,), all_of(2)), ((), all_of(0))]).tolist() == [5]


def test_the_rows_of_examples_of_each_source() -> None:
    table, words = joined(), ((0, 4), (5, 7))
    (named, outside) = table.word_rows(Example("Oslo is", words, (Span(0, 4, "X"),)), {"X": "city"})
    assert (named, outside) == (((1,), all_of(0)), ((), all_of(0)))
    second = table.word_rows(Example("Oslo is", words, (Span(0, 4, "city"),), all_of(1)))
    assert second == [((1,), all_of(1)), ((), all_of(1))]
    last = table.word_rows(Example("Oslo is", words, (Span(0, 4, "gene"),)))
    assert last == [((5,), all_of(2)), ((), all_of(2))]
    assert table.word_rows(Example("Oslo is", words, asked=("gene",))) == [((), ("gene",))] * 2
    assert {((1,), all_of(1)), ((1,), all_of(2)), ((5,), all_of(2)), ((), ("gene",))} <= set(table.rows)


def test_sources_decide_the_digest() -> None:
    two, above = table_of(CITY), table_of(CITY)
    one = two.digest
    two.close()
    above.put_below("city", ["place"])
    assert len({one, two.digest, above.digest}) == 3


def test_ancestors_of_several_sources_are_united() -> None:
    table = table_of(Concept("mayor", ancestors=("person",)), PERSON, Concept("official"))
    table.close()
    table.extend(table_of(Concept("mayor", ancestors=("official",)), Concept("official")))
    assert table.ancestors("mayor") == ("official", "person")
    assert unknown_of(table, ["mayor"]) == {"person", "official"}
    assert table.contradictions == []


def test_names_of_which_each_is_the_broader_one_are_unknown_beside_each_other_alone() -> None:
    """Of sources that disagree neither is believed: what is above one of the two isn't above the other."""
    table = table_of(Concept("work", ancestors=("thing",)), Concept("art", ancestors=("work",)), Concept("thing"))
    table.close()
    table.extend(table_of(Concept("work", ancestors=("art",)), Concept("art"), Concept("song", ancestors=("art",))))
    assert table.contradictions == [("art", "work")]
    assert unknown_of(table, ["art"]) == {"work", "song"}
    assert unknown_of(table, ["work"]) == {"art", "thing"}
    assert unknown_of(table, ["song"]) == {"art"}


def test_a_circle_of_broader_names_ends() -> None:
    circle = (Concept("a", ancestors=("b",)), Concept("b", ancestors=("c",)), Concept("c", ancestors=("a",)))
    table = table_of(*circle, CITY)
    assert unknown_of(table, ["a"]) == {"b", "c"}


def reworded() -> ConceptTable:
    table = table_of(Concept("person", "somebody"), Concept("ship"), Concept("partei", other_names=("party",)))
    table.synonyms, table.reworded = {"person": {"human", "people"}, "human": {"person", "people"}}, True
    return table


def test_the_texts_of_a_concept() -> None:
    table = reworded()
    described = [f"{name}: somebody" for name in ("person", "human", "people")]
    assert table.texts_of(0) == [*described, "person", "human", "people"]
    assert (table.texts_of(1), table.texts_of(2)) == (["ship"], ["partei", "party"])
    table.reworded = False
    assert table.texts_of(0) == ["person: somebody"]


def test_a_wording_is_read_but_says_nothing_about_other_names() -> None:
    table = reworded()
    table.add_wordings({"person": ["Mensch"], "ship": ["Mensch", "Boot"]})
    other = table_of(Concept("ship"))
    other.extend(table)
    other.reworded = True
    assert other.texts_of(other.number_of("ship")) == ["ship", "boot", "mensch"]
    assert table.names_like("ship") == {"ship"}
    ship = [table.number_of("ship")]
    read = [table.texts_read(ship, 1, step)[0] for step in range(1, 2001)]
    shares = {"ship": 0.5, "boot": 0.25, "mensch": 0.25}
    assert {name: read.count(name) / 2000 for name in set(read)} == pytest.approx(shares, abs=0.05)
    assert table.texts_read(ship, 1, None) == ["ship"]
    table.add_wordings({"ship": ["person"]})
    both = [table.texts_read([table.number_of("person: somebody"), *ship], 1, step) for step in range(1, 2001)]
    assert all("person" not in one and one != other for other, one in both), "no name is another concept's"


def test_half_of_the_steps_read_another_word_and_a_description() -> None:
    table, steps = reworded(), range(1, 2001)
    read = [table.texts_read([0, 1, 2], 1, step) for step in steps]
    people = [one for one, _, _ in read]
    assert sum(each.startswith("person") for each in people) / 2000 == pytest.approx(0.5, abs=0.05)
    assert sum("human" in each for each in people) / 2000 == pytest.approx(0.25, abs=0.05)
    assert sum("somebody" in each for each in people) / 2000 == pytest.approx(0.5, abs=0.05)
    assert {one for _, one, _ in read} == {"ship"}
    assert set(people) == set(table.texts_of(0))
    assert table.texts_read([2], 1, 7) == read[6][2:]
    assert [table.texts_read([0], 2, step) for step in steps] != [[each] for each in people]
    assert table.texts_read([0, 2], 1, None) == ["person: somebody", "partei"]
    table.reworded = False
    assert table.texts_read([0, 2], 1, 5) == ["person: somebody", "partei"]
