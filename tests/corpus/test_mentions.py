"""Mentions as columns, against sentences one by one."""

from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import given
from hypothesis import strategies as st

from nerbert.corpus.mentions import PartTargets, categories_of, count_by_sentence, flat_categories, replace_categories
from nerbert.corpus.settings import CorpusSettings
from nerbert.corpus.shards import TARGETS as SCHEMA
from nerbert.corpus.shards import TYPED, UNTYPED
from nerbert.label_sets import LabelSet
from nerbert.records import ENTITY

TARGETS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "Oslo": ("Oslo", ("Place", "City"), "infobox"),
    "Christiania": ("Oslo", ("Place", "City"), "infobox"),
    "Moss": ("Moss", ("Place", "Town"), "a.tsv"),
    "Odin": ("Odin", ("Deity",), "a.tsv"),
    "Red link": ("Red link", (), ""),
}
TABLE = pa.Table.from_pylist(
    [
        {"target": name, "resolved_target": end, "links": 1, "class_path": list(path), "source": source}
        for name, (end, path, source) in TARGETS.items()
    ],
    schema=SCHEMA,
)
LABELS = LabelSet("x", {"place": "place", "city": "city"})
LINK = st.tuples(st.sampled_from(sorted(TARGETS)), st.integers(0, 9)).map(
    lambda pair: {"start": pair[1], "end": pair[1] + 2, "target": pair[0], "origin": "link"}
)
SENTENCES = st.lists(st.lists(LINK, max_size=4), max_size=8)


def expected(link: dict[str, Any]) -> dict[str, Any]:
    resolved, path, source = TARGETS[link["target"]]
    more = {"resolved_target": resolved, "class_path": list(path), "source": source, "category": LABELS.label(path)}
    return link | more


@given(SENTENCES, st.integers(0, 2))
def test_links_become_mentions_and_are_counted(sentences: list[list[dict[str, Any]]], skip: int) -> None:
    targets = PartTargets(TABLE, LABELS, CorpusSettings())
    links = pa.array(sentences, UNTYPED.field("links").type).slice(skip)
    sentences = sentences[skip:]
    mentions = targets.mentions(links)
    assert mentions.type == TYPED.field("mentions").type
    wanted = [[expected(link) for link in some] for some in sentences]
    assert mentions.to_pylist() == wanted
    assert targets.count_outside() == {
        "to_ancestor": Counter("Town" for some in wanted for m in some if m["target"] == "Moss"),
        "to_entity": Counter("Deity" for some in wanted for m in some if m["target"] == "Odin"),
    }


@given(SENTENCES, st.integers(0, 2))
def test_categories_are_read_counted_and_changed(sentences: list[list[dict[str, Any]]], skip: int) -> None:
    rows = [[expected(link) for link in some] for some in sentences]
    mentions, rows = pa.array(rows, TYPED.field("mentions").type).slice(skip), rows[skip:]
    assert categories_of(mentions) == [[m["category"] for m in some] for some in rows]
    flat, lengths = flat_categories(pa.record_batch({"mentions": mentions}))
    cities = count_by_sentence(pc.equal(flat, "city"), lengths)
    assert cities.tolist() == [sum(m["category"] == "city" for m in some) for some in rows]
    changed = replace_categories(mentions, pa.array([ENTITY] * len(flat), pa.string()))
    assert changed.to_pylist() == [[m | {"category": ENTITY} for m in some] for some in rows]


def test_rows_become_typed_and_the_rest_stays() -> None:
    row = dict.fromkeys(UNTYPED.names, 0) | {"id": "a", "wiki": "", "title": "", "text": "b", "links": [], "words": []}
    rows = pa.RecordBatch.from_pylist([row, row | {"id": "c"}], schema=UNTYPED)
    typed, reasons = PartTargets(TABLE, LABELS, CorpusSettings(validation_ratio=1.0)).apply(rows)
    assert typed.schema == TYPED
    assert not reasons
    assert typed["id"].to_pylist() == ["a", "c"]
    assert typed["split"].to_pylist() == ["validation"] * 2
    assert typed["copies"].to_pylist() == [1, 1]
