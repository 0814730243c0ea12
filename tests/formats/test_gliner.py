import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nerbert.errors import InputError
from nerbert.formats.gliner import Gliner
from nerbert.formats.jsonl import JsonLines
from nerbert.records import Document, Repairs, Span
from tests.formats.documents import documents

ADA = {"tokenized_text": ["Ada", "Lovelace", "lived", "in", "London"], "ner": [[0, 1, "person"], [4, 4, "city"]]}


def read(folder: Path, *rows: Any) -> list[Document]:
    path = folder / "a.json"
    path.write_text(json.dumps(rows, indent=1))
    assert Gliner().recognise(path, path.read_bytes())
    return list(Gliner().read(path, Repairs()))


def test_a_file_of_training_data(tmp_path: Path) -> None:
    one, two = read(tmp_path, ADA | {"ner_negatives": ["band"]}, {"tokenized_text": ["Hm"], "ner": []})
    assert one == Document(
        "Ada Lovelace lived in London", (Span(0, 12, "person", "Ada Lovelace"), Span(22, 28, "city", "London")),
        ((0, 3), (4, 12), (13, 18), (19, 21), (22, 28)), "", {"ner_negatives": ["band"]}, 2,
    )  # fmt: skip
    assert (two.text, two.spans) == ("Hm", ())
    (other,) = read(tmp_path, {"tokens": ADA["tokenized_text"], "ner": ADA["ner"]})
    assert (other.text, other.spans) == (one.text, one.spans)


@settings(max_examples=40)
@given(some=st.lists(documents(words=True, gaps=st.just(" ")).filter(lambda each: each.text), max_size=3))
def test_sentences_come_back(tmp_path_factory: pytest.TempPathFactory, some: list[Document]) -> None:
    path = tmp_path_factory.getbasetemp() / "gliner.json"
    Gliner().write(path, some)
    found = list(Gliner().read(path, Repairs()))
    assert [(each.text, each.spans, each.words) for each in found] == [
        (each.text, each.spans, each.words) for each in some
    ]


def test_a_text_is_written_as_its_sentences(tmp_path: Path) -> None:
    text = "Ada lived in London. She wrote to Charles Babbage."
    spans = (Span(0, 3, "person"), Span(34, 49, "person"))
    Gliner().write(tmp_path / "a.jsonl", [Document(text, spans, fields={"ner_labels": ["person"]})])
    assert list(map(json.loads, (tmp_path / "a.jsonl").read_text().splitlines())) == [
        {
            "tokenized_text": ["Ada", "lived", "in", "London", "."],
            "ner": [[0, 0, "person"]],
            "ner_labels": ["person"],
        },
        {
            "tokenized_text": ["She", "wrote", "to", "Charles", "Babbage", "."],
            "ner": [[3, 4, "person"]],
            "ner_labels": ["person"],
        },
    ]


@pytest.mark.parametrize(
    "value",
    [
        {"tokens": ["Ada"], "ner": ["B-x"]},
        {"tokens": ["Ada"], "text": "Ada", "ner": [[0, 3, "x"]]},
        {"tokenized_text": ["Ada"]},
        {"tokenized_text": "Ada", "ner": []},
        ["Ada"],
    ],
)
def test_other_forms(value: Any) -> None:
    assert not Gliner().matches(value)


@pytest.mark.parametrize(
    ("ner", "told"),
    [
        ([0, 5, "x"], r"entity \[0, 5, 'x'\]: the row has 5 tokens"),
        ([2, 1, "x"], "the row has 5 tokens"),
        ([-1, 1, "x"], "the row has 5 tokens"),
        ([0, True, "x"], "must be first token, last token and type"),
        ([0, 1.0, "x"], "must be first token, last token and type"),
        ([0, 1, None], "must be first token, last token and type"),
        ([0, 1], "must be first token, last token and type"),
    ],
)
def test_faults_name_the_line(tmp_path: Path, ner: Any, told: str) -> None:
    with pytest.raises(InputError, match=rf"a\.json:23: .*{told}"):
        read(tmp_path, ADA, ADA | {"ner": [ner]})


def test_a_row_of_another_format_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="seems to be jsonl, but earlier lines have tokenized_text and ner"):
        read(tmp_path, ADA, {"text": "Ada", "spans": []})
    with pytest.raises(InputError, match=r"word 1 \(from 0\) is 7"):
        read(tmp_path, ADA, {"tokenized_text": ["Ada", 7], "ner": []})
    assert not JsonLines().matches(ADA)
