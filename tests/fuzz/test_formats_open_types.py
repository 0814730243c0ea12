"""Texts with open types: rows of every published form, broken, in every kind of file."""

import bz2
import csv
import gzip
import io
import json
import lzma
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import strategies as st

from nerbert.formats.open_types import open_type_line, read_open_types, types_asked
from nerbert.records import OpenText
from tests.fuzz.annotation_checks import Desk
from tests.fuzz.annotation_seeds import words_of
from tests.fuzz.conftest import Fuzz
from tests.fuzz.json_cases import mutated_json
from tests.fuzz.mutator import mutated
from tests.fuzz.properties import answer

pytestmark = pytest.mark.fuzz
TEXT = "Ada Löf 😀 left Oslo; Ada-Löf stayed."
TURNS = [
    {"from": "human", "value": f"Text: {TEXT}"}, {"from": "gpt", "value": "I've read it."},
    {"from": "human", "value": "What describes person in the text?"}, {"from": "gpt", "value": '["Ada Löf"]'},
]  # fmt: skip
ROWS: tuple[Any, ...] = (
    {"text": TEXT, "entities": [{"start": 0, "end": 7, "type": "a person", "description": "x"}], "asked": ["city"]},
    {"text": TEXT, "entities": [{"start": 15, "end": 19, "type": "city", "text": "Oslo"}], "asked": "all"},
    {"input": TEXT, "output": '["Ada Löf <> person", "Oslo <> city <> a big one"]'},
    {"input": TEXT, "output": "['Ada <> person', \"Oslo's <> city\"]"},
    {"conversations": TURNS},
    {"tokenized_text": ["Ada", "Löf", "left"], "ner": [[0, 1, "person"], [2, 2, "act"]]},
    {"tokens": ["Ada", "Löf"], "entities": [{"start_token": 0, "end_token": 1, "type": "person"}]},
    {"text": TEXT, "entities": [{"text": "Oslo", "type": "city"}], "types_asked_absent": ["ship", "river"]},
)
FOUND: list[bytes] = []


def check_open_texts(texts: list[OpenText]) -> None:
    for one in texts:
        one.text.encode()
        for each in one.entities:
            assert 0 <= each.start < each.end <= len(one.text)
            assert each.type
        assert len({(each.start, each.end, each.type) for each in one.entities}) == len(one.entities)
        types_asked(one)


def check_file(desk: Desk, name: str, data: bytes) -> None:
    """Read a file; what is read is written, and read again equal."""
    path = desk.emptied() / name
    path.write_bytes(data)
    texts = answer(lambda: list(read_open_types(path)), naming=("^" + re.escape(str(path)),))
    check_open_texts(texts or [])
    if texts:
        path.write_bytes(b"".join(map(open_type_line, texts)))
        assert list(read_open_types(path)) == texts
    desk.check_left(path)


def as_table(rows: list[Any]) -> bytes:
    stream = io.StringIO()
    table = csv.writer(stream)
    table.writerow(["id", "input", "output"])
    table.writerows([number, each["input"], each["output"]] for number, each in enumerate(rows) if "output" in each)
    return stream.getvalue().encode()


def test_broken_values(desk: Desk, fuzz: Fuzz) -> None:
    fuzz(mutated_json(ROWS), lambda case: check_file(desk, "a.json", case), found=FOUND, share=3)


def test_broken_bytes(desk: Desk, fuzz: Fuzz) -> None:
    lines = "\n".join(json.dumps(each, ensure_ascii=False) for each in ROWS).encode()
    seeds = (lines, json.dumps(ROWS, indent=1).encode(), as_table([*ROWS]))
    words = (
        *words_of("json"),
        *words_of("csv"),
        b'"entities"',
        b'"input"',
        b"input,output\n",
        b" <> ",
        b"What describes ",
    )
    fuzz(mutated(seeds, words), lambda case: check_file(desk, "a.jsonl", case), share=2)


PACKERS: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


def test_packed_files(desk: Desk, fuzz: Fuzz) -> None:
    lines = "\n".join(json.dumps(each) for each in ROWS[:3]).encode()
    packed = tuple(pack(lines) for pack in PACKERS.values())
    cases = st.tuples(
        mutated((*packed, lines), [b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\0", b"PAR1"]), st.sampled_from([*PACKERS, ""])
    )
    fuzz(cases, lambda case: check_file(desk, f"a.jsonl{case[1]}", case[0]))


def test_rows_of_parquet(desk: Desk, fuzz: Fuzz) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")

    def check(case: bytes) -> None:
        path = desk.emptied() / "a.parquet"
        try:
            rows = [each for each in json.loads(case.removeprefix(b"\xef\xbb\xbf")) if isinstance(each, dict)]
            pq.write_table(pa.Table.from_pylist(rows), path)
        except (pa.ArrowException, ValueError, OverflowError, RecursionError, TypeError):
            return
        check_file(desk, "a.parquet", path.read_bytes())

    fuzz(mutated_json(ROWS[2:5]).filter(lambda data: data.startswith(b"[")), check, share=0.5)
