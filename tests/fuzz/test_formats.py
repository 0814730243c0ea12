"""Readers of annotated data with broken files of every format, under any name, and conversions between all of them."""

import gzip
import io
import json
import re
import shutil
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import strategies as st

from nerbert.data.convert import convert_data
from nerbert.data.open_types import open_type_line, read_open_types
from nerbert.formats.documents import Reading
from nerbert.formats.format import FORMATS, read_documents
from nerbert.records import Document
from nerbert.texts.inputs import find_sources
from tests.fuzz.annotation_seeds import BRAT, JSON_SEEDS, OPEN_TYPES, seeds_of, words_of, written
from tests.fuzz.conftest import Fuzz
from tests.fuzz.json_values import json_rows
from tests.fuzz.mutator import mutated
from tests.fuzz.properties import answer, check_documents

pytestmark = pytest.mark.fuzz
Files: TypeAlias = Mapping[str, bytes]
"""A file by its name, or the files of a folder."""
EXTRAS = ("datasets", "spacy")
SHARES = {"datasets": 0.3, "spacy": 0.5, "parquet": 0.5}
"""Formats that take long."""
NAMES = [pytest.param(name, marks=[pytest.mark.extras] * (name in EXTRAS)) for name in FORMATS]
UTF_8 = ("conll", "csv", "marked", "brat", "spacy", "parquet", "datasets")
"""The formats whose texts hold no half characters."""
WITHOUT_LINE = (
    "seems to be ",
    "more than ",
    "has no header",
    "header ",
    "holds no text",
    "not UTF-8",
    "offsets fit as well",
)
"""What is said of whole files."""


class Desk:
    """A folder in which files are read, converted and read again; nothing else may be left in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, files: Files) -> Path:
        """Write a file, or the files of a folder, and nothing else; return its path."""
        for path in self.folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        path = self.folder / ("in" if len(files) > 1 else next(iter(files)))
        if len(files) > 1:
            path.mkdir()
        for name, data in files.items():
            (path / name if len(files) > 1 else path).write_bytes(data)
        return path

    def check_left(self, files: Files, *made: Path) -> None:
        """Check that the given files are as they were, and that nothing else is there but what was made."""
        kept = {path.name: path for path in self.folder.iterdir() if path not in made}
        if len(files) > 1:
            assert [*kept] == ["in"]
            kept = {path.name: path for path in kept["in"].iterdir()}
        assert {name: path.read_bytes() for name, path in kept.items()} == files

    def check(self, files: Files, name: str, to: str) -> None:
        """Read files; if that can be done, convert them to the format `to`, and read the result."""
        path = self.put(files)
        whole = name in (*SHARES, "brat")
        line = "" if whole else rf":(\d+: | (?:{'|'.join(map(re.escape, WITHOUT_LINE))}))"
        before = read(path, name, line=line)
        self.check_left(files)
        if before and to:
            made = self.convert(path, name, to)
            self.check_left(files, *([made] if made else []))

    def convert(self, path: Path, name: str, to: str) -> Path | None:
        """Convert files; what was written is read again. Return it."""
        kind = FORMATS.find(to)()
        output = self.folder / f"b{(*kind.suffixes, '')[0]}"
        reading = Reading(from_=name, overlaps="longest")
        done = answer(lambda: convert_data(path, output, to=to, reading=reading))
        assert output.exists() == (done is not None)
        if done is None:
            return None
        after = list(read_documents(output, Reading(from_=to, overlaps="longest", units="characters")))
        check_documents(after, half_characters=to not in UTF_8)
        return output


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def read(path: Path, name: str = "", *, line: str = "") -> list[Document]:
    """Return a file's documents; none if it is refused with its name."""
    reading = Reading(from_=name, overlaps="longest")
    naming = (f"^{re.escape(str(path))}{line}", "^spacy not installed")
    documents = answer(lambda: list(read_documents(path, reading)), naming=naming) or []
    check_documents(documents, half_characters=name not in UTF_8)
    return documents


def as_parquet(data: bytes) -> bytes:
    """Return the rows of a JSON array as Parquet; nothing if they can't be."""
    sink = io.BytesIO()
    try:
        rows = [row for row in json.loads(data.removeprefix(b"\xef\xbb\xbf")) if isinstance(row, dict)]
        pq.write_table(pa.Table.from_pylist(rows), sink)
    except (pa.ArrowException, ValueError, OverflowError, RecursionError, TypeError):
        return b""
    return sink.getvalue()


def broken(name: str) -> st.SearchStrategy[Files]:
    """Return a strategy for the files of a format, of which one is broken, or its values are."""
    words = words_of(name)
    if name == "brat":
        texts, marks = ([seed[side].encode() for seed in BRAT] for side in (0, 1))
        names = mutated([b"a\t7\n", b'a\t"x"\nb/c\tnull\n', b""], words, edits=2)
        return st.fixed_dictionaries(
            {"a.txt": mutated(texts, [b"\r\n"], edits=2), "a.ann": mutated(marks, words), "nerbert.list": names}
        )
    if name == "datasets":
        return st.sampled_from([(files, file) for files in written(name)[:6] for file in files]).flatmap(
            lambda case: mutated([case[0][case[1]]], words).map(lambda data: {**case[0], case[1]: data})
        )
    kinds = [mutated(seeds_of(name), words)]
    if name in JSON_SEEDS:
        kinds.append(json_rows(JSON_SEEDS[name]))
    if name == "parquet":
        rows = [value for other in ("jsonl", "doccano", "gliner") for value in JSON_SEEDS[other]]
        kinds.append(json_rows(rows).map(as_parquet))
    if name == "spacy":
        unpacked = [zlib.decompress(data) for data in seeds_of(name)]
        kinds.append(mutated((*seeds_of(name), *unpacked), words).map(lambda data: zlib.compress(data, 1)))
    suffix = FORMATS.find(name)().suffixes[0]
    return st.one_of(kinds).map(lambda data: {f"a{suffix}": data})


FOUND: dict[str, list[tuple[Files, str, bool]]] = {"marked": [({"a.marked": "[é|x]\n[".encode()}, "", True)]}
"""What was found before: files, the formats into which they were converted, and whether bytes must be right."""


@pytest.mark.parametrize("name", NAMES)
def test_a_broken_file_is_read_or_refused(desk: Desk, fuzz: Fuzz, name: str) -> None:
    """As annotations, by its name and by its content; as texts to tag; as another format."""
    cases = st.tuples(broken(name), st.sampled_from(["", name, "jsonl"]), st.booleans())

    def check(case: tuple[Files, str, bool]) -> None:
        files, to, strict = case
        desk.check(files, name, to)
        path = desk.put(files)
        read(path)
        check_inputs(path, name, strict)
        desk.check_left(files)

    fuzz(cases, check, found=FOUND.get(name, ()), share=SHARES.get(name, 1))


def check_inputs(path: Path, kind: str, strict: bool) -> None:
    """Texts to tag, with bytes that are no UTF-8 refused or replaced."""
    found = answer(lambda: find_sources([str(path)], kind, errors="strict" if strict else "replace"))
    for source in found.sources if found else ():
        rows = answer(lambda: list(source.documents()))  # noqa: B023
        for row in rows or ():
            assert isinstance(row.text, str)
            assert all(0 <= start < end <= len(row.text) for start, end in row.words or ())
            json.dumps(answer(lambda: dict(row.fields)))  # noqa: B023


def test_open_types(desk: Desk, fuzz: Fuzz) -> None:
    """What is read is written, and read again equal."""
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in OPEN_TYPES).encode()
    seeds = [lines, json.dumps(OPEN_TYPES, indent=1).encode(), gzip.compress(lines)]
    data = mutated(seeds, words_of("json")) | json_rows(OPEN_TYPES) | json_rows(OPEN_TYPES[2:5]).map(as_parquet)

    def check(data: bytes) -> None:
        path = desk.put({"a": data})
        texts = answer(lambda: list(read_open_types(path)), naming=(f"^{re.escape(str(path))}",))
        for one in texts or ():
            assert all(0 <= mark.start < mark.end <= len(one.text) and mark.type for mark in one.entities)
        if texts:
            path.write_bytes(b"".join(map(open_type_line, texts)))
            assert list(read_open_types(path)) == texts

    fuzz(data, check, share=3)
