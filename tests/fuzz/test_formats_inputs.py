"""What else reads annotated data and lists: `data check`, excluded texts, entity labels, the inputs of `tag`."""

import bz2
import gzip
import json
import lzma
import zipfile
from functools import partial
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import strategies as st

from nerbert.evaluation.datasets.check import check_data
from nerbert.formats.documents import CheckReading
from nerbert.formats.entity_labels import parse_labels, read_type_labels
from nerbert.formats.exclude import read_excluded
from nerbert.formats.inputs import InputFile, find_sources
from nerbert.formats.rows import Block
from tests.fuzz.annotation_checks import Desk
from tests.fuzz.annotation_seeds import HAND_MADE, JSON_SEEDS, seeds_of, words_of, written
from tests.fuzz.conftest import Fuzz
from tests.fuzz.mutator import mutated
from tests.fuzz.properties import answer

pytestmark = pytest.mark.fuzz
TEXT_SEEDS = tuple(
    dict.fromkeys(seed for name in (*HAND_MADE, *JSON_SEEDS) for seed in (seeds_of(name)[:3] or ()))
)  # fmt: skip
PROSE = ("Ada Löf left Oslo. She sailed to Göteborg, and 😀\r\n\r\nthen home again.\n".encode(), b"a\n")
WORDS = tuple(word for name in ("conll", "csv", "json") for word in words_of(name))
NAMES = (".json", ".jsonl", ".csv", ".tsv", ".conll", ".txt", ".marked", ".parquet", ".spacy", ".html", "")
FOUND_INPUTS: list[tuple[bytes, str, str, bool]] = []


def _blocks(file: InputFile, errors: str) -> list[Block]:
    return list(file.blocks("text", errors))


def zipped(data: bytes) -> bytes:
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.conll", data)
    return stream.getvalue()


PACKED = tuple(pack(HAND_MADE["conll"][0].encode()) for pack in (gzip.compress, bz2.compress, lzma.compress, zipped))
FILES = st.tuples(mutated((*TEXT_SEEDS, *PROSE, *PACKED), WORDS, edits=4), st.sampled_from(NAMES))


def test_data_check(desk: Desk, fuzz: Fuzz) -> None:
    from nerbert.render.terminal.models import print_findings

    def check(case: tuple[bytes, str]) -> None:
        path = desk.emptied() / f"a{case[1]}"
        path.write_bytes(case[0])
        found = answer(lambda: check_data(str(path), None, CheckReading()))
        if found:
            print_findings(found, as_json=False)
            json.dumps(found.as_json(), default=str)
        desk.check_left(path)

    fuzz(FILES, check, share=0.5)


def test_excluded_texts(desk: Desk, fuzz: Fuzz) -> None:
    def check(case: tuple[bytes, str]) -> None:
        path = desk.emptied() / f"a{case[1]}"
        path.write_bytes(case[0])
        if found := answer(lambda: read_excluded([path], 4)):
            assert found.ngrams
        desk.check_left(path)

    fuzz(FILES, check)


def test_inputs_of_tag(desk: Desk, fuzz: Fuzz) -> None:
    """Texts to tag: by name or by content, packed or not, with bytes that are no UTF-8 refused or replaced."""
    kinds = st.sampled_from(["", "", "text", "jsonl", "conll", "csv", "marked", "webanno", "parquet", "label-studio"])
    packings = st.sampled_from(["", "", ".gz", ".bz2", ".xz"])

    def check(case: tuple[tuple[bytes, str], str, str, bool]) -> None:
        (data, suffix), packing, kind, strict = case
        path = desk.emptied() / f"a{suffix}{packing}"
        path.write_bytes(data)
        found = answer(lambda: find_sources([str(path)], kind))
        for each in found.sources if found else ():
            blocks = answer(partial(_blocks, each, "strict" if strict else "replace"))
            for row in (row for block in blocks or () for row in answer(block.whole) or ()):
                assert isinstance(row.text, str)
                assert all(0 <= start < end <= len(row.text) for start, end in row.words or ())
                json.dumps(dict(row.fields))
        desk.check_left(path)

    files = st.tuples(mutated((*TEXT_SEEDS, *PROSE, *PACKED, *written("parquet")[:3]), WORDS), st.sampled_from(NAMES))
    fuzz(st.tuples(files, packings, kinds, st.booleans()), check, share=2)


def test_entity_labels(tmp_path: Path, fuzz: Fuzz) -> None:
    """Labels of a command line, or of a file of them."""
    seeds = (
        b"person, city: a big place",
        b"# labels\nperson\ncity: a big place\nship\tthat sails\n",
        b"PER=person, LOC=city\n",
    )
    path = tmp_path / "labels.txt"

    def check(case: tuple[bytes, bool]) -> None:
        data, in_file = case
        path.write_bytes(data)
        given = str(path) if in_file else data.decode("utf-8", "surrogateescape")
        for each in answer(lambda: parse_labels(given)) or ():
            assert each.name == each.name.strip() != ""
            assert each.text.isprintable() or "\n" not in each.text
        answer(lambda: read_type_labels(given))
        assert {*tmp_path.iterdir()} == {path}

    pieces = (
        b", ",
        b": ",
        b"=",
        b"\t",
        b"#",
        b"\n",
        "\u200b".encode(),
        "\u3164".encode(),
        b"a" * 300,
        b"person",
        b"Person",
        b"/",
    )
    fuzz(st.tuples(mutated(seeds, pieces), st.booleans()), check, share=2)
