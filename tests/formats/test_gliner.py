import json
from pathlib import Path
from typing import Any

import pytest

from nerbert.errors import InputError
from nerbert.formats.gliner import Gliner
from nerbert.formats.jsonl import JsonLines
from nerbert.records import Document, Repairs, Span
from tests.raised import raises

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


def test_a_text_is_written_as_its_sentences(tmp_path: Path) -> None:
    text = "Ada lived in London. She wrote to Charles Babbage."
    spans = (Span(0, 3, "person"), Span(34, 49, "person"))
    Gliner().write(tmp_path / "a.jsonl", [Document(text, spans, fields={"ner_labels": ["person"]})])
    labels = {"ner_labels": ["person"]}
    assert list(map(json.loads, (tmp_path / "a.jsonl").read_text().splitlines())) == [
        {"tokenized_text": ["Ada", "lived", "in", "London", "."], "ner": [[0, 0, "person"]], **labels},
        {"tokenized_text": ["She", "wrote", "to", "Charles", "Babbage", "."], "ner": [[3, 4, "person"]], **labels},
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


FORM, BOUNDS = "must be first token, last token and type", "the row has 5 tokens"


@pytest.mark.parametrize(
    ("row", "words"),
    [
        *(({"ner": [entity]}, words) for entity, words in (
            ([0, 5, "x"], f"entity [0, 5, 'x']: {BOUNDS}"), ([2, 1, "x"], BOUNDS), ([-1, 1, "x"], BOUNDS),
            ([0, True, "x"], FORM), ([0, 1.0, "x"], FORM), ([0, 1, None], FORM), ([0, 1], FORM),
        )),
        ({"tokenized_text": ["Ada", 7]}, "word 1 (from 0) is 7"),
        ({"tokenized_text": None, "text": "Ada", "spans": []}, "seems to be jsonl, but earlier lines have tokenized"),
    ],
)  # fmt: skip
def test_messages(tmp_path: Path, row: dict[str, Any], words: str) -> None:
    with raises(InputError, words, path=tmp_path / "a.json", line=23):
        read(tmp_path, ADA, {name: value for name, value in (ADA | row).items() if value is not None})
    assert not JsonLines().matches(ADA)
