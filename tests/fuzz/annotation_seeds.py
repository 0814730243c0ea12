"""Valid files of annotated sentences, which the fuzz targets break: written by hand, and by each format's writer."""

import json
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nerbert.errors import NerbertError
from nerbert.formats.format import FORMATS
from nerbert.records import Document, Span
from tests.formats import test_brat, test_conll, test_tables

TEXT = "Ada Löf 😀 left Oslo."
ADA, OSLO = {"start": 0, "end": 7, "label": "PER"}, {"start": 15, "end": 19, "label": "LOC"}
_REGIONS: list[dict[str, Any]] = [
    {"type": "labels", "to_name": "text", "value": {"start": 0, "end": 7, "text": "Ada Löf", "labels": ["PER"]}},
    {"type": "relation", "from_id": "a", "to_id": "b"},
]
_TOKENS = ["Ada", "Löf", "😀", "left", "Oslo", "."]
_TAGS = ["B-PER", "I-PER", "O", "O", "B-LOC", "O"]

JSON_SEEDS: dict[str, tuple[Any, ...]] = {
    "jsonl": (
        {"text": TEXT, "spans": [ADA, {**OSLO, "text": "Oslo", "confidence": 0.5}], "id": 7, "document_id": "d"},
        {"tokens": _TOKENS, "ner_tags": _TAGS, "note": None},
        {"sentence": TEXT, "entities": [[0, 7, "PER"]], "deep": {"a": [1, {"b": 2.5}]}},
        {"text": TEXT, "tokens": _TOKENS, "spans": [{"start_offset": 0, "length": 7, "entity_type": "PER"}]},
        {"text": "", "spans": []},
    ),
    "doccano": ({"id": 1, "text": TEXT, "label": [[0, 7, "PER"], [15, 19, "LOC"]], "Comments": []},),
    "label-studio": (
        {"id": 4, "data": {"text": TEXT, "page": 2}, "annotations": [{"result": _REGIONS}, {"result": _REGIONS[:1]}]},
        {
            "data": {"body": TEXT},
            "annotations": [],
            "predictions": [{"score": 0.4, "result": [{**_REGIONS[0], "score": 0.25}]}],
        },
        {"data": {"text": TEXT}, "annotations": [{"was_cancelled": True, "result": []}]},
        {"text": TEXT, "id": 3, "label": [{**ADA, "labels": ["PER"]}], "annotator": 1, "annotation_id": 5},
    ),
    "prodigy": (
        {
            "text": TEXT,
            "_task_hash": 1,
            "spans": [{**ADA, "token_start": 0, "token_end": 1}],
            "answer": "accept",
            "tokens": [
                {"text": each, "start": start, "end": start + len(each), "id": number, "ws": True}
                for number, (each, start) in enumerate(zip(_TOKENS, (0, 4, 8, 10, 15, 19), strict=True))
            ],
        },
        {"text": TEXT, "_view_id": "ner_manual", "spans": [{**OSLO, "score": 0.5}], "relations": []},
        {"text": TEXT, "_input_hash": 3, "answer": "reject"},
    ),
    "argilla": (
        {
            "id": "r",
            "fields": {"text": TEXT},
            "metadata": {"page": 1},
            "suggestions": {},
            "responses": {
                "q": [{"value": [ADA], "user_id": "u", "status": "submitted"}, {"value": None, "status": "draft"}]
            },
        },
        {
            "fields": {"text": TEXT},
            "responses": {},
            "suggestions": {"q": {"value": [ADA], "score": [0.5], "agent": "m"}},
        },
    ),
    "gliner": (
        {"tokenized_text": _TOKENS, "ner": [[0, 1, "PER"], [4, 4, "a city"]]},
        {"tokens": _TOKENS, "ner": [], "note": "x"},
    ),
}
"""Values of the JSON formats as their tools write them."""

HAND_MADE: dict[str, tuple[str, ...]] = {
    "conll": (
        test_conll.PLAIN,
        test_conll.CONLL_2003,
        test_conll.BMES,
        test_conll.IO,
        test_conll.CONLL_U,
        test_conll.ONTONOTES,
        "Ada\tPER\nand\tO\nso\tO\n\r\n# id 3\nx\tO\n",
    ),
    "csv": (
        test_tables.SPANS,
        test_tables.OTHER,
        test_tables.JSON,
        test_tables.PYTHON,
        test_tables.KAGGLE,
        'id,text,start,end,label,confidence\n1,"Ada, ""Löf""",0,3,PER,0.5\n1,"Ada, ""Löf""",5,10,B,1\n2,Oslo,,,,\n',
    ),
    "marked": ("[Fram|polar ship] left [[Oslo|port] city|place|x y].\n# comment\n\\# a \\[b\\] \\| [😀|e]\n",),
    "jsonl": (
        "\n".join(json.dumps(row) for row in ({"tokens": ["Ada", "."], "tags": ["I-PER", "O"]},) * 2),
        '[\n {"text": "Ada",\n  "spans": []}, {"text": "x", "spans": [[0, 1, "y"]]}\n]',
        '{\n "text": "Ada",\n "spans": []\n}\n',
    ),
}
"""Files as other tools and people write them."""
BRAT = (
    (test_brat.TEXT, test_brat.ANN),
    ("Ada \r\nLöf", "T1\tPER 0 3;5 8\tAda Löf\nE1\tPER:T1\n*\tEquiv T1 T1\n"),
)
"""Texts of BRAT, and their annotations."""
WORDS: dict[str, tuple[bytes, ...]] = {
    "conll": (
        b"\tB-PER\n",
        b"\tI-x",
        b" O\n",
        b"\n\n",
        b"-DOCSTART-",
        b"E-x",
        b"S-",
        b"B-",
        b"# id = 3\n",
        b"(PER*",
        b"*)",
        b"#begin document ",
        b"#end document\n",
        b"_",
        b"1-2\t",
        b"NER=B-x",
        b"token\ttag\n",
    ),
    "csv": (
        b",",
        b";",
        b"\t",
        b"|",
        b'""',
        b'"\n"',
        b"text",
        b"start",
        b"end",
        b"label",
        b"id",
        b"spans",
        b"word",
        b"tag",
        b"sentence",
        b"[[0,1,'x']]",
        b"1.0",
        b"1e3",
        b"inf",
        b"nan",
        b"\xc2\xb2",
        b"\xd9\xa3",
        b"field.x",
    ),
    "marked": (b"[", b"]", b"|", b"\\", b"\\[", b"#", b"[a|b]", b"|x]", b"[" * 120, b" |", b"\n#"),
    "brat": (
        b"T1\t",
        b"PER 0 3",
        b";4 7",
        b"\tAda",
        b"R1\t",
        b"#1\t",
        b"*\t",
        b"E1\t",
        b"999999999999999 ",
        b"0 0",
        b"0 -1",
    ),
    "parquet": (b"PAR1", b"\x15\x04", b"spans", b"text"),
    "spacy": (b"\xa7version", b"\xa5attrs", b"\xc4", b"\xc6\xff\xff\xff\xff", b"\x93"),
    "datasets": (
        b'"Value"',
        b'"dtype"',
        b'"_type"',
        b"ClassLabel",
        b"names",
        b"data-00000-of-00001.arrow",
        b"ARROW1",
        b"../",
        b"null",
    ),
    "json": (
        b'"start":',
        b'"end":',
        b'"label":',
        b'"text":',
        b'"spans":',
        b'"tokens":',
        b'"ner_tags":',
        b'[[0,1,"x"]]',
        b"},{",
        b"]}",
        b'"":',
        b"-0",
        b"1.0",
        b"1E5",
        b"\\u0000",
        b"\\ud83d",
        b"Infinity",
        b"\\n",
        b"]\n[",
        b"}\n{",
        b'"entities"',
        b'"input"',
        b"input,output\n",
        b" <> ",
        b"What describes ",
    ),
}
"""Pieces of each format, for the mutator."""
OPEN_TYPES: tuple[Any, ...] = (
    {"text": TEXT, "entities": [{"start": 0, "end": 7, "type": "a person", "description": "x"}], "asked": ["city"]},
    {"text": TEXT, "entities": [{"start": 15, "end": 19, "type": "city", "text": "Oslo"}], "asked": "all"},
    {"input": TEXT, "output": '["Ada Löf <> person", "Oslo <> city <> a big one"]'},
    {"input": TEXT, "output": "['Ada <> person', \"Oslo's <> city\"]"},
    {
        "conversations": [
            {"from": "human", "value": f"Text: {TEXT}"},
            {"from": "gpt", "value": "I've read it."},
            {"from": "human", "value": "What describes person in the text?"},
            {"from": "gpt", "value": '["Ada Löf"]'},
        ]
    },
    {"tokenized_text": ["Ada", "Löf", "left"], "ner": [[0, 1, "person"], [2, 2, "act"]]},
)
"""Texts with open types, in all published forms."""


ANN = Document("Ann  met Bo-Lee.\n 😀 left", (Span(0, 3, "PER"), Span(9, 15, "a type")), fields={"id": 1})
DOCUMENTS = (
    (ANN, Document("Oslo", (Span(0, 4, "LOC", "Oslo", 0.25),), fields={"id": 2, "note": "é"})),
    (Document("", (), ()), Document("Ann Lee", (Span(0, 3, "B-x"), Span(4, 7, "O")), ((0, 3), (4, 7)), group="a")),
    (Document("東 京.", (Span(0, 3, "type-é"),), ((0, 1), (2, 3), (3, 4)), fields={"deep": {"a": [1]}}),),
    (replace(ANN, words=((0, 3), (5, 8), (9, 11), (12, 15), (15, 16), (18, 19), (20, 24)), tagged=True),),
)
"""Lists of documents, for the writers."""


@cache
def written(name: str) -> tuple[dict[str, bytes], ...]:
    """Return files that the writer of a format makes, each of some documents, by their names."""
    kind, made = FORMATS.find(name)(), list[dict[str, bytes]]()
    for some in DOCUMENTS:
        simple = [replace(one, spans=tuple(replace(span, type="PER") for span in one.spans)) for one in some]
        for given_ in (some, simple):  # any format can hold the types of the second
            with TemporaryDirectory() as folder, suppress(NerbertError):
                kind.write(path := Path(folder) / f"a{(*kind.suffixes, '')[0]}", given_)
                files = sorted(path.iterdir()) if path.is_dir() else [path]
                made.append({one.name: one.read_bytes() for one in files if one.is_file()})
                break
    return tuple(made)


@cache
def seeds_of(name: str) -> tuple[bytes, ...]:
    """Return valid files of a format that is one file."""
    values = JSON_SEEDS.get(name, ())
    lines, array = "\n".join(json.dumps(one, ensure_ascii=False) for one in values), json.dumps(values, indent=1)
    made = (data for files in written(name) for data in files.values())
    texts = (*HAND_MADE.get(name, ()), *((lines, array) if values else ()))
    return tuple(dict.fromkeys((*(text.encode() for text in texts), *made)))


def words_of(name: str) -> tuple[bytes, ...]:
    """Return the pieces of a format."""
    return WORDS.get(name, WORDS["json"])
