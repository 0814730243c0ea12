from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, Features, List, Value
from hypothesis import given, settings
from hypothesis import strategies as st

from nerbert.errors import InputError
from nerbert.formats.parquet_documents import Parquet
from nerbert.records import Document, Repair, Repairs, Span

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


def test_labels_have_the_names_that_datasets_gives_them(tmp_path: Path) -> None:
    names = ["O", "B-person", "I-person"]
    features = Features({"tokens": List(Value("string")), "ner_tags": List(ClassLabel(names=names)),
                         "kind": ClassLabel(names=["a", "b"])})  # fmt: skip
    Dataset.from_dict({"tokens": [TOKENS], "ner_tags": [[1, 2, 0]], "kind": [1]}, features=features).to_parquet(
        tmp_path / "a.parquet"
    )
    (found,) = Parquet().read(tmp_path / "a.parquet", Repairs())
    assert (spans(found), found.fields) == (ADA, {"kind": "b"})
    nested = Features({"text": Value("string"), "entities": List({"start": Value("int32"), "end": Value("int32"),
                                                                  "label": ClassLabel(names=names)})})  # fmt: skip
    rows = {"text": ["Ada"], "entities": [[{"start": 0, "end": 3, "label": 1}]]}
    Dataset.from_dict(rows, features=nested).to_parquet(tmp_path / "a.parquet")
    (found,) = Parquet().read(tmp_path / "a.parquet", Repairs())
    assert spans(found) == [(0, 3, "B-person", "Ada")]


@pytest.mark.parametrize(
    ("rows", "place", "told"),
    [
        ([{"tokens": ["a"], "tags": [1]}], ":1", "field 'tags' has tags as numbers .1., but the file lacks"),
        ([{"tokens": ["a"], "tags": ["O"]}, {"tokens": ["b"], "tags": ["Q-x"]}], ":2", "tag 'Q-x': must be"),
        ([{"tokens": ["a"], "tags": ["O"]}, {"tokens": ["b"], "tags": ["O", "O"]}], ":2", ".*2 tags for 1 tokens"),
        ([{"name": "a", "age": 1}], ":1", "columns name, age: must be a text, or tokens"),
        ([{"text": "a", "spans": [{"start": 0, "type": "x"}]}], ":1", "span .*must have start and end"),
    ],
)
def test_faults_name_the_row(tmp_path: Path, rows: list[dict[str, Any]], place: str, told: str) -> None:
    with pytest.raises(InputError, match=f"a{place}: {told}"):
        documents(tmp_path / "a", rows)


def test_labels_out_of_range_and_broken_files_are_told(tmp_path: Path) -> None:
    table = pa.table({"tokens": [["a"]], "tags": [[5]]})
    features = Features({"tokens": List(Value("string")), "tags": List(ClassLabel(names=["O"]))})
    pq.write_table(table.replace_schema_metadata(features.arrow_schema.metadata), tmp_path / "a")
    with pytest.raises(InputError, match="a:1: column 'tags' holds label 5: the file names 1 labels"):
        list(Parquet().read(tmp_path / "a", Repairs()))
    (tmp_path / "a").write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match="a: can't be read as Parquet"):
        list(Parquet().read(tmp_path / "a", Repairs()))


@settings(max_examples=20, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.lists(st.text("aé😀", min_size=1, max_size=3), min_size=1, max_size=3), st.booleans(), st.booleans(),
            st.sampled_from(["", "g"]), st.dictionaries(st.sampled_from(["id", "note"]), st.text("ab", min_size=1)),
        ),
        max_size=4,
    )
)  # fmt: skip
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, rows: list[Any]) -> None:
    path = tmp_path_factory.mktemp("a") / "a.parquet"
    made = []
    for number, (tokens, marked, has_words, group, fields) in enumerate(rows, 1):
        text = " ".join(tokens)
        words, end = ((0, len(tokens[0])),), len(tokens[0])
        found = (Span(0, end, "x", tokens[0], 0.5),) if marked else ()
        given_ = {**fields, **({"document_id": group} if group else {})}
        made.append(Document(text, found, words if has_words else None, group, given_, number))
    Parquet().write(path, made)
    assert list(Parquet().read(path, Repairs())) == made
