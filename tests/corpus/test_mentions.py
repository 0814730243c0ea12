"""Mentions as columns, against sentences one by one."""

from collections import Counter
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from nerbert.corpus.mentions import PartTargets, categories_of, recategorised, with_columns
from nerbert.corpus.shards import TYPED, UNTYPED
from nerbert.label_sets import LabelSet
from nerbert.records import ENTITY

TARGETS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "Oslo": ("Oslo", ("Place", "City"), "infobox"), "Christiania": ("Oslo", ("Place", "City"), "infobox"),
    "Moss": ("Moss", ("Place", "Town"), "a.tsv"), "Odin": ("Odin", ("Deity",), "a.tsv"),
    "Red link": ("Red link", (), ""),
}  # fmt: skip
LABELS = LabelSet("x", {"place": "place", "city": "city"})
LINK = st.tuples(st.sampled_from(sorted(TARGETS)), st.integers(0, 9)).map(
    lambda pair: {"start": pair[1], "end": pair[1] + 2, "target": pair[0]}
)
SENTENCES = st.lists(st.tuples(st.lists(LINK, max_size=4), st.booleans()), max_size=8)


def expected(link: dict[str, Any]) -> dict[str, Any]:
    resolved, path, source = TARGETS[link["target"]]
    more = {"resolved_target": resolved, "class_path": list(path), "source": source, "category": LABELS.label(path)}
    return link | more


@given(SENTENCES, st.integers(0, 2))
def test_links_become_mentions_and_are_counted(sentences: list[tuple[list[dict[str, Any]], bool]], skip: int) -> None:
    targets = PartTargets(TARGETS, LABELS)
    links = pa.array([some for some, _ in sentences], UNTYPED.field("links").type).slice(skip)
    sentences = sentences[skip:]
    mentions = targets.mentions(links, [train for _, train in sentences])
    assert mentions.type == TYPED.field("mentions").type
    wanted = [[expected(link) for link in some] for some, _ in sentences]
    assert mentions.to_pylist() == wanted
    train, to_ancestor, to_entity = targets.counts()
    assert train == Counter(
        m["category"] for some, (_, side) in zip(wanted, sentences, strict=True) if side for m in some
    )
    assert to_ancestor == Counter("Town" for some in wanted for m in some if m["target"] == "Moss")
    assert to_entity == Counter("Deity" for some in wanted for m in some if m["target"] == "Odin")


@given(SENTENCES, st.integers(0, 2))
def test_categories_are_read_and_changed(sentences: list[tuple[list[dict[str, Any]], bool]], skip: int) -> None:
    rows = [[expected(link) for link in some] for some, _ in sentences]
    mentions, rows = pa.array(rows, TYPED.field("mentions").type).slice(skip), rows[skip:]
    assert categories_of(mentions) == [[m["category"] for m in some] for some in rows]
    changed = recategorised(mentions, [[ENTITY] * len(some) for some in rows])
    assert changed.to_pylist() == [[m | {"category": ENTITY} for m in some] for some in rows]


def test_given_columns_replace_and_the_rest_stays() -> None:
    row = dict.fromkeys(UNTYPED.names, None) | {"id": "a", "text": "b", "links": [], "words": []}
    rows = pa.RecordBatch.from_pylist([row, row | {"id": "c"}], schema=UNTYPED)
    mentions = pa.array([[], []], TYPED.field("mentions").type)
    table = with_columns(rows, mentions=mentions, split=["x", "y"], copies=[1, 2], expected_copies=[0.5, 2.0])
    assert table.schema == TYPED
    assert table["id"].to_pylist() == ["a", "c"]
    assert table["copies"].to_pylist() == [1, 2]
