import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nerbert.errors import InputError
from nerbert.formats.columns import Parquet
from nerbert.records import Document, Repair, Repairs
from tests.raised import raises

ADA = [(0, 12, "person", "Ada Lovelace")]
TOKENS = ["Ada", "Lovelace", "slept"]


def spans(document: Document) -> list[tuple[int, int, str, str]]:
    return [(each.start, each.end, each.type, document.text[each.start : each.end]) for each in document.spans]


def documents(path: Path, rows: list[dict[str, Any]]) -> tuple[list[Document], Repairs]:
    pq.write_table(pa.Table.from_pylist(rows), path)
    assert Parquet().recognise(path, path.read_bytes())
    repairs = Repairs()
    return list(Parquet().read(path, repairs)), repairs


@pytest.mark.parametrize(
    "row",
    [
        {"text": "Ada Lovelace slept", "spans": [{"start": 0, "end": 12, "type": "person"}]},
        {"text": "Ada Lovelace slept", "entities": {"start": [0], "end": [12], "label": ["person"]}},
        {"tokens": TOKENS, "ner_tags": ["B-person", "I-person", "O"]},
        {"tokens": TOKENS, "labels": ["B-person", "E-person", "O"]},
        {"words": TOKENS, "tags": ["B-person", "E-person", "O"]},
        {"text": "Ada Lovelace slept", "tokens": TOKENS, "ner_tags": ["B-person", "L-person", "O"]},
    ],
)
def test_columns_of_spans_and_of_tags(tmp_path: Path, row: dict[str, Any]) -> None:
    other = {"sentence": 7, "when": None, "note": ["a"]}
    (found, empty), repairs = documents(tmp_path / "a", [{**row, **other}, {**row, **other, "sentence": 8}])
    assert (found.text, spans(found), found.line) == ("Ada Lovelace slept", ADA, 1)
    assert found.words == (((0, 3), (4, 12), (13, 18)) if {"tokens", "words"} & set(row) else None)
    assert (found.fields, empty.fields["sentence"]) == ({"sentence": 7, "note": ["a"]}, 8)
    assert repairs.total() == 0


def test_a_null_of_spans_is_no_entity(tmp_path: Path) -> None:
    row = {"text": "Ada", "spans": [{"start": 0, "end": 3, "type": "person"}]}
    one, other = documents(tmp_path / "a", [{"text": "Ada", "spans": None}, row])[0]
    assert (one.spans, spans(other)) == ((), [(0, 3, "person", "Ada")])


def test_the_scheme_is_that_of_the_whole_file(tmp_path: Path) -> None:
    rows = [{"tokens": ["a", "b"], "tags": tags} for tags in (["I-x", "O"], ["B-x", "I-x"])]
    found, repairs = documents(tmp_path / "a", rows)
    assert [len(each.spans) for each in found] == [1, 1]
    assert repairs == {Repair.TAG: 1}


def with_features(table: pa.Table, features: dict[str, Any]) -> pa.Table:
    """The table, its columns described as `datasets` does."""
    info = json.dumps({"info": {"features": features}})
    return table.replace_schema_metadata({"huggingface": info})


def class_label(*names: str) -> dict[str, Any]:
    return {"names": list(names), "_type": "ClassLabel"}


PERSON = class_label("O", "B-person", "I-person")


def test_labels_have_the_names_that_datasets_gives_them(tmp_path: Path) -> None:
    features = {"ner_tags": {"feature": PERSON, "_type": "List"}, "kind": class_label("a", "b")}
    table = pa.table({"tokens": [TOKENS], "ner_tags": [[1, 2, 0]], "kind": [1]})
    pq.write_table(with_features(table, features), tmp_path / "a.parquet")
    (one,) = Parquet().read(tmp_path / "a.parquet", Repairs())
    assert (spans(one), one.fields) == (ADA, {"kind": "b"})
    nested = {
        "entities": {"feature": {"start": {"dtype": "int32", "_type": "Value"}, "label": PERSON}, "_type": "List"}
    }
    table = pa.table({"text": ["Ada"], "entities": [[{"start": 0, "end": 3, "label": 1}]]})
    pq.write_table(with_features(table, nested), tmp_path / "a.parquet")
    (one,) = Parquet().read(tmp_path / "a.parquet", Repairs())
    assert spans(one) == [(0, 3, "B-person", "Ada")]


@pytest.mark.parametrize(
    ("rows", "line", "words"),
    [
        ([{"tokens": ["a"], "tags": [1]}], 1, "field 'tags' has tags as numbers (1), but the file lacks"),
        ([{"tokens": ["a"], "tags": ["O"]}, {"tokens": ["b"], "tags": ["Q-x"]}], 2, "tag 'Q-x': must be"),
        ([{"tokens": ["a"], "tags": ["O"]}, {"tokens": ["b"], "tags": ["O", "O"]}], 2, "2 tags for 1 tokens"),
        ([{"name": "a", "age": 1}], 1, "an object with name: 'a', age: 1; is not a text and spans"),
        ([{"text": "a", "spans": [{"start": 0, "type": "x"}]}], 1, "must have start and end"),
    ],
)
def test_messages(tmp_path: Path, rows: list[dict[str, Any]], line: int, words: str) -> None:
    with raises(InputError, words, path=tmp_path / "a", line=line):
        documents(tmp_path / "a", rows)


def test_labels_out_of_range_and_broken_files_are_told(tmp_path: Path) -> None:
    features = {"tags": {"feature": class_label("O"), "_type": "List"}}
    pq.write_table(with_features(pa.table({"tokens": [["a"]], "tags": [[5]]}), features), tmp_path / "a")
    with raises(InputError, "a:1: column 'tags' holds label 5: the file names 1 labels"):
        list(Parquet().read(tmp_path / "a", Repairs()))
    (tmp_path / "a").write_bytes(b"PAR1 and no more")
    with raises(InputError, "a: can't be read as Parquet"):
        list(Parquet().read(tmp_path / "a", Repairs()))
