"""Texts with open types, in the forms and the files in which they are published."""

import bz2
import csv
import gzip
import io
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nerbert.data.open_types import LONGEST_TYPE, Mention, locate, open_type_line, read_open_types
from nerbert.errors import InputError
from nerbert.formats.lines import UTF_16
from nerbert.labels import fold_type
from nerbert.records import OpenEntity, OpenText, Reason
from tests.raised import raises

TEXT = "The Eiffel Tower is in Paris. paris loves the eiffel tower, not Paris-Nord."
PARIS = ((23, 28), (30, 35))
TOWER = ((4, 16), (46, 58))
WORDS = st.lists(st.sampled_from(["a", "A", "b", "ß", "SS", "a-b", "b_a", "İ", ".", "-", " ", "\n", "漢"]), max_size=12)


def rows(folder: Path, *fields: Any, counts: Counter[Reason] | None = None) -> list[OpenText]:
    path = folder / "rows.jsonl"
    path.write_text("\n".join(json.dumps(each) for each in fields), encoding="utf-8")
    return list(read_open_types(path, counts))


def found(one: OpenText) -> list[tuple[int, int, str]]:
    return [(each.start, each.end, each.type) for each in one.entities]


def entity(start: int, end: int, **other: Any) -> dict[str, Any]:
    return {"start": start, "end": end, "type": "thing", **other}


def test_a_line_says_what_there_is(tmp_path: Path) -> None:
    one = OpenText("ab", (OpenEntity(0, 1, "x"), OpenEntity(0, 2, "y", "why")))
    assert open_type_line(one) == (
        b'{"text": "ab", "entities": [{"start": 0, "end": 1, "type": "x"}, '
        b'{"start": 0, "end": 2, "type": "y", "description": "why"}], "asked": "all"}\n'
    )
    other = OpenText(" é\u2028😀", (OpenEntity(3, 4, "a b-c"),), ("x",))
    named = OpenText("ab", (OpenEntity(0, 1, "x"),), ("x",), {"x": ("ikse", "iks")})
    (tmp_path / "a.jsonl").write_bytes(b"".join(map(open_type_line, (one, other, named))))
    assert list(read_open_types(tmp_path / "a.jsonl")) == [one, other, named]


def test_entities_of_our_own_form_are_kept_as_they_are_and_equal_ones_once(tmp_path: Path) -> None:
    spans = [entity(4, 16, text="Eiffel Tower"), entity(4, 10, type="name"), entity(4, 16), entity(8, 20)]
    (one,) = rows(tmp_path, {"text": TEXT, "entities": spans})
    assert found(one) == [(4, 16, "thing"), (4, 10, "name"), (8, 20, "thing")]
    assert one.asked is None
    (listed,) = rows(tmp_path, {"text": TEXT, "entities": [], "asked": ["a", "b"]})
    assert listed.asked == ("a", "b")


def test_nuner_rows(tmp_path: Path) -> None:
    items = ["PARIS <> city", "Eiffel Tower <> building <> something  built", "Rome <> city", "loves <> ", "loves"]
    counts = Counter[Reason]()
    written = (items, json.dumps(items), str(items), f" {items} ")
    assert {*rows(tmp_path, *({"input": TEXT, "output": output} for output in written), counts=counts)} == {
        OpenText(
            TEXT,
            (
                OpenEntity(*TOWER[0], "building", "something built"),
                OpenEntity(*PARIS[0], "city"),
                OpenEntity(*PARIS[1], "city"),
                OpenEntity(*TOWER[1], "building", "something built"),
            ),
        )
    }
    assert counts == {Reason.NOT_IN_TEXT: 4, Reason.BAD_TYPE: 8}


def test_pile_ner_conversations(tmp_path: Path) -> None:
    said = ["Text: " + TEXT, "I've read this text."]
    for type_, answer in (("city", ["Paris"]), ("river", []), ("city", ["paris"]), ("Paris", ["Paris"]), ("", [])):
        said += [f"What describes {type_} in the text?", json.dumps(answer)]
    turns = [{"from": ("human", "gpt")[place % 2], "value": value} for place, value in enumerate(said)]
    counts = Counter[Reason]()
    (one,) = rows(tmp_path, {"id": "ner_0", "conversations": turns}, counts=counts)
    assert found(one) == [(*PARIS[0], "city"), (*PARIS[1], "city")]
    assert one.asked == ("city", "river", "Paris")
    assert counts == {Reason.TYPE_IS_MENTION: 1}


def test_rows_of_tokens_end_with_their_last_token(tmp_path: Path) -> None:
    tokens, spans = ["New", "York", "", "is", "big"], [[0, 1, "city"], [0, 1, "city"], [1, 1, "york"], [2, 2, "x"]]
    counts = Counter[Reason]()
    older = {"tokenized_text": tokens, "ner": spans}
    newer = {"tokens": tokens, "ner": spans, "negative_types": [[0, 0, "x"]]}
    for each in rows(tmp_path, older, newer, counts=counts):
        assert each == OpenText("New York  is big", (OpenEntity(0, 8, "city"),))
    assert counts == {Reason.TYPE_IS_MENTION: 2, Reason.NOT_IN_TEXT: 2}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"text": "ab", "entities": [entity(0, 3)]}, "ends beyond the text, which has 2 characters"),
        ({"text": "ab", "entities": [entity(1, 1)]}, "is empty or negative"),
        ({"text": "ab", "entities": [entity(0, 1, text="b")]}, "the text has 'a' there"),
        ({"text": "ab", "entities": [entity(True, 2)]}, "entities[0].start = True: must be a valid integer"),
        ({"text": "ab", "entities": [entity(0, 1, type="")]}, "type '' must be"),
        ({"text": "ab", "entities": [entity(0, 1, type=" _")]}, "type ' _' must be"),
        ({"text": "ab", "entities": [entity(0, 1, type="x" * (LONGEST_TYPE + 1))]}, "of at most 200 characters"),
        ({"text": "ab", "entities": [entity(0, 1, type="\x1b[1m")]}, "must be one of texts, printable"),
        ({"text": "ab", "entities": [], "other_names": {"x": ["y", ""]}}, "has '': names must be texts"),
        ({"text": "ab", "entities": [], "other_names": {"x": "y"}}, "other_names"),
        ({"text": "ab", "entities": [entity(0, 1, type=3)]}, "entities[0].type = 3: must be a valid string"),
        ({"text": "ab", "entities": [], "asked": "some"}, "asked"),
        ({"text": "ab", "entities": [], "asked": [""]}, 'must be "all" or a list'),
        ({"text": "ab", "entities": ["a"]}, "entities[0] = 'a': must be a valid dict"),
        ({"tokens": ["a", None], "ner": []}, "[1] = None: must be a valid string"),
        ({"input": "ab", "output": [None]}, "None: must be a valid string"),
        ({"text": "ab", "entities": [entity(0, 10**4299)]}, "an offset of more than 18 digits"),
        ({"text": 1, "entities": []}, "text = 1: must be a valid string"),
        ({"text": "ab", "entities": [entity(0, 1, description=2)]}, "description = 2: must be a valid string"),
        ({"tokens": ["a"], "ner": [[0, 1, "x"]]}, "the row has 1 tokens, the first is 0, the last included"),
        ({"tokens": ["a"], "ner": [[-1, 0, "x"]]}, "the row has 1 tokens"),
        ({"tokens": ["a"], "ner": [[0, "x"]]}, "must be first token, last token and type"),
        ({"tokens": "a b", "ner": []}, "'a b': must be a valid list"),
        ({"text": "ab", "spans": []}, "tagged text, whose types are closed: not a form of open types"),
        ({"id": 1, "text": "ab", "mentions": []}, "fields id, text, mentions: not a form of open types"),
        ([], "[]: must be an object"),
        ({"conversations": [{"from": "gpt", "value": "I've read it."}]}, "begin with 'Text: '"),
        (
            {
                "conversations": [
                    {"from": "human", "value": "Text: a"},
                    {"from": "gpt", "value": "I've read this text."},
                    {"from": "human", "value": "What is it?"},
                    {"from": "gpt", "value": "[]"},
                ]
            },
            "turn 'What is it?': must be a human's",
        ),
        *(
            ({"input": TEXT, "output": output}, "must be a valid ")
            for output in (
                "['a' 'b']",
                "__import__('os').abort()",
                "[1, 2]",
                "['a', 1]",
                "[" * 9999,
                "-" * 9999 + "1",
                7,
                None,
            )
        ),
    ],
)
def test_messages_of_rows(row: Any, words: str, tmp_path: Path) -> None:
    with raises(InputError, words, path=tmp_path / "rows.jsonl", line=2):
        rows(tmp_path, {"text": "ab", "entities": []}, row)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"Paris\tB-city\nis\tO\n\n" * 9, "annotated sentences (conll)"),
        (b"<!DOCTYPE html>\n<p>", "XML or HTML"),
        ("input,output\n".encode("utf-16"), UTF_16),
        (b"input,outputs\na,b\n", "something else"),
    ],
)
def test_messages_of_other_files(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "packed").write_bytes(gzip.compress(content))
    with raises(InputError, f"packed: seems to be {words}; open types are read from JSON"):
        list(read_open_types(tmp_path / "packed"))


def test_a_packed_file_and_lone_surrogates(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.bz2"
    path.write_bytes(bz2.compress(b'\xef\xbb\xbf\n{"text": "a\\ud800b", "entities": []}\n'))
    assert [each.text for each in read_open_types(path)] == ["a\ufffdb"]


def naive(text: str, mention: str) -> set[tuple[int, int]]:
    """Return where a mention is in a text: tokens compared one by one at every place."""
    tokens, wanted = (list(re.finditer(r"\w+(?:[-_]\w+)*|\S", each)) for each in (text, mention))
    starts = range(len(tokens) - len(wanted) + 1 if wanted else 0)
    there = [tokens[place : place + len(wanted)] for place in starts]
    return {
        (some[0].start(), some[-1].end())
        for some in there
        if all(one[0].casefold() == other[0].casefold() for one, other in zip(some, wanted, strict=True))
    }


@given(WORDS.map("".join), st.lists(st.tuples(WORDS.map("".join), st.sampled_from("xy"), st.just("d")), max_size=4))
@example("Straße STRASSE", [("strasse", "x", "")])
@example("a a a", [("a a", "x", "d"), ("A A", "y", "d")])
def test_locate_is_as_the_naive_search(text: str, mentions: list[Mention]) -> None:
    entities, missing = locate(text, mentions)
    assert {(each.start, each.end, each.type) for each in entities} == {
        (*span, type_) for mention, type_, _ in mentions for span in naive(text, mention)
    }
    assert missing == [mention for mention, _, _ in mentions if not naive(text, mention)]
    places = [(each.start, each.end) for each in entities]
    assert places == sorted(places)
    assert len(entities) == len({(each.start, each.end, each.type) for each in entities})


def test_locate_takes_whole_words_only() -> None:
    entities, missing = locate(TEXT, [(each, "x", "") for each in ("paris", "Tow", "", "Paris - Nord")])
    assert tuple((each.start, each.end) for each in entities) == PARIS
    assert missing == ["Tow", "", "Paris - Nord"]


def test_types_that_are_one() -> None:
    assert len({fold_type(each) for each in ("Body_Part", " body  part ", "ＢＯＤＹ part", "body\npart")}) == 1
    assert len({fold_type(each) for each in ("BodyPart", "body parts", "body-part", "body part")}) == 4


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("name", "texts", "dropped"),
    [
        ("gliner_sample", 64, {}),
        ("medical_llm", 3847, {Reason.TYPE_IS_MENTION: 1602}),
    ],
)
def test_published_samples(name: str, texts: int, dropped: dict[Reason, int], shared: Path) -> None:
    path = shared / "data" / "ner" / "llm_annotated" / f"{name}.jsonl"
    if not path.is_file():
        pytest.skip(f"no {path}")
    counts = Counter[Reason]()
    read = list(read_open_types(path, counts))
    assert (len(read), +counts) == (texts, dropped)


NUNER = [
    {"input": "The Eiffel Tower is in Paris.", "output": ["Eiffel Tower <> building <> is built", "Rome <> city"]},
    {"input": 'Fram,\n"Nansen"; left\tOslo | home.', "output": ["Fram <> ship", "Oslo <> city", "it's <> x"]},
    {"input": "Nothing is here.", "output": []},
]
GLINER = [
    {"tokenized_text": ["New", "York", "is", "big"], "ner": [[0, 1, "city"]]},
    {"tokenized_text": ["Ærø", "漢", "\u2028", "😀"], "ner": [[0, 0, "island"], [1, 1, "sign"]], "negatives": ["x"]},
]


def lines(folder: Path, given: list[dict[str, Any]]) -> tuple[list[OpenText], Counter[Reason]]:
    """Return what JSON lines give."""
    counts = Counter[Reason]()
    return rows(folder, *given, counts=counts), counts


def read(path: Path) -> tuple[list[OpenText], Counter[Reason]]:
    counts = Counter[Reason]()
    return list(read_open_types(path, counts)), counts


def table(rows: list[dict[str, Any]], delimiter: str = ",", written: Any = str) -> bytes:
    """Return rows as a data frame is written: an index without a name, and a column more."""
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=delimiter)
    writer.writerow(["", "source", "output", "input"])
    for number, each in enumerate(rows):
        writer.writerow([number, "c4", written(each["output"]), each["input"]])
    return stream.getvalue().encode()


@pytest.mark.parametrize("delimiter", ",;\t|")
@pytest.mark.parametrize("written", [str, json.dumps])
def test_nuners_csv(delimiter: str, written: Any, tmp_path: Path) -> None:
    wanted = lines(tmp_path, NUNER)
    assert wanted[1] == {Reason.NOT_IN_TEXT: 2}
    content = table(NUNER, delimiter, written)
    for name, packed in (("a.csv", content), ("b", b"\xef\xbb\xbf" + content), ("c.csv.gz", gzip.compress(content))):
        (tmp_path / name).write_bytes(packed)
        assert read(tmp_path / name) == wanted


@pytest.mark.parametrize("written", [list, str, json.dumps])
def test_nuners_parquet(written: Any, tmp_path: Path) -> None:
    wanted = lines(tmp_path, NUNER)
    rows = [each | {"output": written(each["output"]), "date": None, "index": 3.0} for each in NUNER]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "train-00000-of-00001.parquet", row_group_size=2)
    assert read(tmp_path / "train-00000-of-00001.parquet") == wanted


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_texts_that_parquet_has_as_bytes(kind: pa.DataType, tmp_path: Path) -> None:
    rows = pa.Table.from_pylist(NUNER)
    table = pa.table({"input": rows["input"].cast(kind), "output": rows["output"].cast(pa.list_(kind))})
    pq.write_table(table, tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet") == lines(tmp_path, NUNER)
    pq.write_table(pa.table({"input": pa.array([b"\xff"], kind), "output": ["[]"]}), tmp_path / "a.parquet")
    with raises(InputError, "row 1: not UTF-8 at byte 0"):
        read(tmp_path / "a.parquet")


def test_arrays_and_parquet_hold_rows_of_any_form(tmp_path: Path) -> None:
    own = {"text": "Oslo", "entities": [{"start": 0, "end": 4, "type": "city"}]}
    for indent in (None, 2):
        content = json.dumps([*NUNER, *GLINER, own], indent=indent).encode()
        for name, packed in (("a.json", content), ("b", b"\xef\xbb\xbf \n" + content), ("c", bz2.compress(content))):
            (tmp_path / name).write_bytes(packed)
            assert read(tmp_path / name) == lines(tmp_path, [*NUNER, *GLINER, own])
    said = ["Text: Fram left Oslo.", "I've read this text.", "What describes ship in the text?", '["Fram"]']
    turns = [{"from": ("human", "gpt")[place % 2], "value": value} for place, value in enumerate(said)]
    rows = [{"id": f"ner_{number}", "conversations": turns} for number in range(3)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet") == lines(tmp_path, rows)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('[{"input": "a", "output": []},\n {"input": "a"}]', "a:2: fields input: not a form of open types"),
        ('[{"input": "a", "output": []},\n 7]', "a:2: 7: must be an object"),
        ('[{"input": "a", "output": 1}]', "a:1: 1: must be a valid list"),
        ('[{"input": "a", "output": []}\n', "a:2: not JSON: the end where a comma or ] must be"),
        ('[{"a":' + "[" * 99999, "a:1: not JSON that can be read: too deep, or too long a number"),
        *((content, "a: holds no text") for content in ("[]", b"", b" \n\n", b"\xef\xbb\xbf", "input;output\n")),
        (b'[{"input": "a", "output": []},\n{"input": "\xff"}]', "a:2: not UTF-8; convert"),
        ('input,output\n"a\nb",[]\nc,\n', "a:4: '': must be a valid list"),
        ("input,output\na\n", "a:2: the row has 1 columns, and the header 2; fix it"),
        ('input,output\n"a"b,[]\n', "a:2: a row that can't be read"),
        ("input,output,input\na,[],b\n", "a:1: several columns 'input'; rename all but one"),
        (b"input,output\n\xff,[]\n", "a:2: not UTF-8 at byte 0 of the line"),
        (b"PAR1\0\1", "a: can't be read as Parquet"),
        (gzip.compress(b"PAR1\0\1", mtime=0), "a: seems to be Parquet; open types are read"),
        (gzip.compress(b'[{"input": "a", "output": []}]', mtime=0)[:-9], "a: cut off or damaged near byte"),
    ],
)
def test_messages_of_files(content: str | bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with raises(InputError, f"{tmp_path}/{words}"):
        read(path)


def test_broken_rows_of_parquet(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    for rows, words in (
        ([{"input": "a", "output": "b"}], "row 1: 'b': must be a valid list"),
        (
            [{"input": "a", "output": "[]"}, {"input": None, "output": "[]"}],
            "row 2: None: must be a valid string",
        ),
        ([{"input": "a", "outputs": "b"}], "has the columns 'input', 'outputs'; open types in Parquet have input"),
    ):
        pq.write_table(pa.Table.from_pylist(rows), path)
        with raises(InputError, f"{path}: {words}"):
            read(path)
    pq.write_table(pa.table({"input": pa.array([], pa.string()), "output": pa.array([], pa.string())}), path)
    with raises(InputError, "a.parquet: holds no text"):
        read(path)
