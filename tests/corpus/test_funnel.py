"""What the manifest counts, and whose its knowledge is."""

import pyarrow as pa
import pytest

from nerbert.corpus.build import licence_of, most_first
from nerbert.corpus.funnel import Funnel, period_of, topic_of
from nerbert.corpus.knowledge.detect import SourceKind
from nerbert.corpus.shards import TYPED
from nerbert.errors import NerbertError
from tests.raised import raises


@pytest.mark.parametrize(
    ("path", "topic"),
    [
        ("Agent/Organisation/Company", "organisations"),
        ("Agent/Person", "persons"),
        ("person", "persons"),
        ("Place/PopulatedPlace/City", "places"),
        ("Species/Animal", "others"),
        ("No class of ours", "others"),
    ],
)
def test_topics_are_told_by_whole_paths(path: str, topic: str) -> None:
    assert topic_of(tuple(path.split("/"))) == topic
    assert topic_of(()) == "untyped"


def test_years_and_orders() -> None:
    assert list(most_first({"b": 1, "c": 2, "a": 1}).items()) == [("c", 2), ("a", 1), ("b", 1)]
    assert [period_of(year) for year in ("1066", "1800", "1899", "1900", "1999", "2026")] == [
        "1000–1099",
        "1800–1899",
        "1800–1899",
        "1900–1909",
        "1990–1999",
        "2020–2029",
    ]


def test_validation_counts_for_no_topic() -> None:
    funnel = Funnel()
    mention = {
        "start": 0,
        "end": 1,
        "target": "a",
        "resolved_target": "a",
        "class_path": ["Person"],
        "source": "",
        "category": "person",
    }
    row = {
        "id": "w:1:1:0",
        "wiki": "w",
        "page_id": 1,
        "revision": 1,
        "title": "t",
        "start": 0,
        "text": "a",
        "words": [{"start": 0, "end": 1}],
        "mentions": [mention],
        "copies": 3,
        "expected_copies": 3.0,
    }
    funnel.count(pa.Table.from_pylist([row | {"split": split} for split in ("train", "validation")], schema=TYPED))
    assert [funnel.under("topics", kind) for kind in ("mentions", "with_copies")] == [{"persons": 1}, {"persons": 3}]


def licence(*kinds: str) -> str:
    return licence_of({"used": [{"kind": kind} for kind in kinds]}).partition(" Types: ")[2]


def test_licences_name_what_was_used_and_nothing_else() -> None:
    for kind in SourceKind:
        assert licence(kind.value), f"{kind}: say in nerbert/corpus/build.py whose it is"
    assert licence("wikidata json") == "Wikidata: CC0 1.0."
    assert licence("ontology", "title table", "disambiguations", "wikidata json") == (
        "DBpedia (ontology, disambiguations): CC BY-SA 3.0 and GFDL; Wikidata: CC0 1.0; "
        "title tables: see their sources."
    )
    assert licence("title table", "title table") == "title tables: see their sources."
    assert licence() == ""
    assert licence_of({"used": []}).endswith("as attribution.")


def test_a_step_whose_sum_is_off_stops_the_build() -> None:
    with raises(NerbertError, "step 'x': 3 in, 1 out, 1 dropped: a bug"):
        Funnel().step("x", 3, 1, {"r": 1})
