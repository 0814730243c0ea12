"""Conversions between all pairs of formats, with text that tools break: it comes back equal, or its loss is told."""

import shutil
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from nerbert.artifacts import json_line
from nerbert.errors import MissingExtra
from nerbert.formats.format import usable
from nerbert.registry import FORMATS
from tests.fuzz.annotation_checks import Desk
from tests.fuzz.conftest import Fuzz

pytestmark = pytest.mark.fuzz
DEAR = {"datasets": 0.05, "spacy": 0.1, "parquet": 0.1}
"""The shares of formats that take long; the others have `_SHARE`."""
_SHARE = 0.25
PIECES = st.sampled_from(
    ["Ada", "Löf", "e\u0301", "😀", "👩‍👧", "שלום", "東京", ".", "-", "don't", "x\u00ad", "\u200b", "\u202eab\u202c",
     "\ufeff", "#", "[a|b]", "\\", '"', "'", ",", ";", "|", "_", "{", "*", "O", "-DOCSTART-", "<b>", "&amp;",
     "=1+1", "\x85", "\x00", "\x1b[1m", "\x1c", "ß", "1.5"]
)  # fmt: skip
GAPS = st.sampled_from(
    [" ", " ", "", "  ", "\n", "\r\n", "\r", "\t", "\u00a0", "\u2028", "\u3000", "\x0b", "\n\n", ". "]
)
TYPES = st.sampled_from(
    ["PER", "B-x", "a type", "type-é", "O", "x|y", "a]b", "x[1]", "_", "*", "ל", "e\u0301", "x\u00a0y", "a\\b", "-",
     "x=y", '"q"']
)  # fmt: skip
VALUES = st.sampled_from(
    [None, True, 0, 1.5, "", "x", "é,\n\"'", " s ", [], ["a", "b"], {"a": {"b": [1]}}, 1 << 40, "1", "😀\u2028"]
)
FIELDS = st.dictionaries(
    st.sampled_from(
        ["id", "note", "label", "meta", "document", "start", "field.x", "score", "text2", "a b", "é", "#", "cats"]
    ),
    VALUES, max_size=2,
)  # fmt: skip


_APART = [{"text": "Ann", "spans": [], "tokens": ["Ann"], "document_id": each} for each in "aba"]
FOUND: dict[str, list[tuple[list[dict[str, Any]], str]]] = {
    "conll": [
        ([{"text": "-DOCSTART- ", "spans": [], "tokens": ["-DOCSTART-"]}], "jsonl"),
        ([{"text": "\ufeff", "spans": [], "tokens": ["\ufeff"]}], "jsonl"),
        (_APART, "jsonl"),
        ([{"text": "Ann - Bo", "spans": [], "tokens": ["Ann", "Bo"]}], "gliner"),
    ],
    "marked": [([{"text": "Ann\u2028", "spans": []}], "jsonl"), ([{"text": "Ann\n", "spans": []}], "csv")],
    "prodigy": [([{"text": "\x1c Ann", "spans": [], "tokens": ["\x1c", "Ann"]}], "jsonl")],
    "webanno": [([{"text": "Ann. ", "spans": [], "tokens": ["Ann"]}], "conll")],
    "spacy": [([{"text": "Ann. Bo", "spans": [], "tokens": ["Ann", "Bo"]}], "jsonl"), (_APART, "jsonl")],
}
"""What was found before."""


@st.composite
def rows(draw: st.DrawFn) -> dict[str, Any]:
    """Return a row of JSON lines: a text of pieces, whose spans may be nested, with words and fields or without."""
    pieces = draw(st.lists(PIECES, max_size=6))
    parts = [part for piece in pieces for part in (piece, draw(GAPS))]
    ends = list(accumulate(map(len, parts), initial=0))
    places = list(zip(ends[:-1:2], ends[1::2], strict=True))
    text = "".join(parts)
    spans = []
    for _ in range(draw(st.integers(0, 3)) if pieces else 0):
        first = draw(st.integers(0, len(pieces) - 1))
        last = draw(st.integers(first, len(pieces) - 1))
        start, end = places[first][0], places[last][1]
        one: dict[str, Any] = {"start": start, "end": end, "type": draw(TYPES), "text": text[start:end]}
        spans.append(one if draw(st.booleans()) else {**one, "confidence": 0.25})
    tokens = {"tokens": pieces} if draw(st.booleans()) and pieces else {}
    group = {"document_id": draw(st.sampled_from(["a", "b"]))} if draw(st.booleans()) else {}
    return {"text": text, "spans": spans, **tokens, **group, **draw(FIELDS)}


@pytest.mark.parametrize("name", list(FORMATS))
def test_there_and_on_to_any_other(desk: Desk, fuzz: Fuzz, name: str) -> None:
    try:
        usable(FORMATS.find(name)())
    except MissingExtra as error:
        pytest.skip(str(error))
    dear = DEAR.get(name, _SHARE)
    others = [other for other in FORMATS if other not in DEAR or name in DEAR] + ["spacy"]

    def check(case: tuple[list[dict[str, Any]], str]) -> None:
        given, other = case
        source = desk.emptied() / "a.jsonl"
        source.write_text("".join(f"{json_line(each)}\n" for each in given))
        _converted(desk, source, "jsonl", name, other, name)

    fuzz(
        st.tuples(st.lists(rows(), min_size=1, max_size=3), st.sampled_from(others)),
        check,
        found=FOUND.get(name, ()),
        share=dear,
    )


def _converted(desk: Desk, path: Path, *names: str) -> None:
    """Convert a file of the first format to the second, that to the third, and so on, while something is left."""
    for one, other in pairwise(names):
        before = desk.read(path, one, units="characters")
        made = before and desk.check_conversion(path, one, before, other, "characters")
        if not made:
            return
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        path = made.rename(desk.folder / f"c{made.suffix}")
