"""Readers of annotated data with broken files of every format, under any name, and conversions between all of them."""

import bz2
import gzip
import io
import json
import lzma
import re
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import strategies as st

from nerbert.artifacts import json_line
from nerbert.evaluation.datasets.check import check_data
from nerbert.formats.conll import example_of
from nerbert.formats.convert import convert_data
from nerbert.formats.documents import CheckReading, Reading, Units, document_of, sentences_of
from nerbert.formats.entity_labels import parse_labels, read_type_labels
from nerbert.formats.examples import read_documents
from nerbert.formats.exclude import read_excluded
from nerbert.formats.format import Abilities, abilities
from nerbert.formats.inputs import find_sources
from nerbert.formats.open_types import open_type_line, read_open_types, types_asked
from nerbert.labels import example_tags
from nerbert.records import Document
from nerbert.registry import FORMATS
from nerbert.render.terminal.models import print_findings
from nerbert.tagger.retype import TypeChanges
from nerbert.words import whole_words
from tests.formats.losses import check_same
from tests.fuzz.annotation_seeds import BRAT, HAND_MADE, JSON_SEEDS, OPEN_TYPES, seeds_of, words_of, written
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
UTF_8 = ("conll", "csv", "marked", "webanno", "brat", "spacy", "parquet", "datasets")
"""The formats whose texts hold no half characters."""
WITHOUT_LINE = (
    "seems to be ", "more than ", "has no header", "header ", "holds no text", "not UTF-8", "offsets fit as well",
    "has no layer NamedEntity", "has the layer ",
)  # fmt: skip
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
        """Read files; if that can be done, convert them to the format `to`, and compare."""
        path = self.put(files)
        whole = name in (*SHARES, "brat")
        line = "" if whole else rf":(\d+: | (?:{'|'.join(map(re.escape, WITHOUT_LINE))}))"
        before = read(path, name, line=line)
        self.check_left(files)
        if before and to:
            made = self.convert(path, name, before, to)
            self.check_left(files, *([made] if made else []))

    def convert(
        self, path: Path, name: str, before: list[Document], to: str, units: Units = "auto"
    ) -> Path | None:  # fmt: skip
        """Convert files; what comes back is equal, or its loss is told. Return what was written."""
        kind = FORMATS.find(to)()
        output = self.folder / f"b{(*kind.suffixes, '')[0]}"
        reading = Reading(from_=name, overlaps="longest", units=units)
        done = answer(lambda: convert_data(path, output, to=to, reading=reading))
        assert output.exists() == (done is not None)
        if done is None:
            return None
        after = list(read_documents(output, Reading(from_=to, overlaps="longest", units="characters")))
        check_documents(after, half_characters=to not in UTF_8)
        try:
            check_same(before, after, done.losses, list(as_written(before, abilities(kind))))
        except AssertionError as error:
            error.add_note(f"{name} → {to}: lost: {done.losses}; {done.repaired}; {before} → {after}")
            raise
        return output


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def read(path: Path, name: str = "", *, line: str = "", units: Units = "auto") -> list[Document]:
    """Return a file's documents; none if it is refused with its name."""
    reading = Reading(from_=name, overlaps="longest", units=units)
    naming = (f"^{re.escape(str(path))}{line}", "^spacy not installed")
    documents = answer(lambda: list(read_documents(path, reading)), naming=naming) or []
    check_documents(documents, half_characters=name not in UTF_8)
    return documents


def as_written(documents: Iterable[Document], holds: Abilities) -> Iterator[Document]:
    """Yield documents as a format gets them: whole, or as sentences whose entities are whole words."""
    for one in documents:
        if holds.keep_text(one.text):
            yield one
            continue
        for sentence in sentences_of(one, Reading(overlaps="longest")):
            if holds.text == "words":
                words = whole_words(sentence)
                yield document_of(example_of(words.tokens, example_tags(words)))
            elif holds.text == "line":
                yield document_of(replace(sentence, text=sentence.text.replace("\n", " ").replace("\r", " ")))
            else:
                yield document_of(sentence)


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


FOUND: dict[str, list[tuple[Files, str]]] = {"marked": [({"a.marked": "[é|x]\n[".encode()}, "")]}
"""What was found before: files, and the formats into which they were converted."""


@pytest.mark.parametrize("name", NAMES)
def test_a_broken_file_is_read_or_refused(desk: Desk, fuzz: Fuzz, name: str) -> None:
    to = st.sampled_from(["", name, "jsonl"])
    fuzz(st.tuples(broken(name), to), lambda case: desk.check(case[0], name, case[1]), found=FOUND.get(name, ()),
         share=SHARES.get(name, 1))  # fmt: skip


def zipped(data: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.conll", data)
    return stream.getvalue()


PACKERS: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
PROSE = ("Ada Löf left Oslo. She sailed to Göteborg, and 😀\r\n\r\nthen home again.\n".encode(), b"a\n")


def files_of_any_name() -> st.SearchStrategy[tuple[Files, str, bool]]:
    """Return a strategy for a file, a format to ask for, and whether its characters must be right."""
    annotated = dict.fromkeys(seed for name in (*HAND_MADE, *JSON_SEEDS) for seed in seeds_of(name)[:8])
    packed = [pack(HAND_MADE["conll"][0].encode()) for pack in (*PACKERS.values(), zipped)]
    seeds = (*annotated, *PROSE, *packed, *seeds_of("parquet")[:3])
    words = tuple(word for name in ("conll", "csv", "json", "marked") for word in words_of(name))
    suffixes = (".json", ".jsonl", ".csv", ".tsv", ".conll", ".txt", ".marked", ".ann", ".parquet", ".spacy", ".html",
                "", ".jsonl.gz", ".txt.bz2", ".csv.xz")  # fmt: skip
    files = st.builds(lambda data, suffix: {f"a{suffix}": data}, mutated(seeds, words), st.sampled_from(suffixes))
    kinds = ["", "", "text", "jsonl", "conll", "csv", "marked", "webanno", "parquet", "label-studio"]
    return st.tuples(files, st.sampled_from(kinds), st.booleans())


def check_findings(path: Path, *_: object) -> None:
    """`nerbert data check`."""
    if findings := answer(lambda: check_data(str(path), None, CheckReading())):
        print_findings(findings, as_json=False)
        json.dumps(findings.as_json(), default=str)


def check_excluded(path: Path, *_: object) -> None:
    """The texts that a corpus leaves out."""
    if excluded := answer(lambda: read_excluded([path], 4)):
        assert excluded.ngrams


def check_inputs(path: Path, kind: str, strict: bool) -> None:
    """Texts to tag: by name or by content, packed or not, with bytes that are no UTF-8 refused or replaced."""
    found = answer(lambda: find_sources([str(path)], kind))
    for source in found.sources if found else ():
        rows = answer(lambda: list(source.documents("text", "strict" if strict else "replace")))  # noqa: B023
        for row in rows or ():
            assert isinstance(row.text, str)
            assert all(0 <= start < end <= len(row.text) for start, end in row.words or ())
            json.dumps(answer(lambda: dict(row.fields)))  # noqa: B023


@pytest.mark.parametrize("use", [lambda path, *_: read(path), check_findings, check_excluded, check_inputs])
def test_any_file_under_any_name(desk: Desk, fuzz: Fuzz, use: Callable[..., None]) -> None:
    def check(case: tuple[Files, str, bool]) -> None:
        files, *how = case
        use(desk.put(files), *how)
        desk.check_left(files)

    fuzz(files_of_any_name(), check)


def as_table(rows: Iterable[Any]) -> bytes:
    pairs = [(row["input"], row["output"]) for row in rows if "output" in row]
    return b"".join(
        f"{','.join(json.dumps(cell) for cell in pair)}\n".encode() for pair in [("input", "output"), *pairs]
    )


def test_open_types(desk: Desk, fuzz: Fuzz) -> None:
    """What is read is written, and read again equal."""
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in OPEN_TYPES).encode()
    words = (*words_of("json"), *words_of("csv"), b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\0", b"PAR1")
    seeds = [lines, json.dumps(OPEN_TYPES, indent=1).encode(), as_table(OPEN_TYPES),
             *(pack(lines) for pack in PACKERS.values())]  # fmt: skip
    data = mutated(seeds, words) | json_rows(OPEN_TYPES) | json_rows(OPEN_TYPES[2:5]).map(as_parquet)

    def check(case: tuple[bytes, str]) -> None:
        path = desk.put({case[1]: case[0]})
        texts = answer(lambda: list(read_open_types(path)), naming=(f"^{re.escape(str(path))}",))
        desk.check_left({case[1]: case[0]})
        for one in texts or ():
            one.text.encode()
            assert all(0 <= mark.start < mark.end <= len(one.text) and mark.type for mark in one.entities)
            assert len({(mark.start, mark.end, mark.type) for mark in one.entities}) == len(one.entities)
            types_asked(one)
        if texts:
            path.write_bytes(b"".join(map(open_type_line, texts)))
            assert list(read_open_types(path)) == texts

    fuzz(st.tuples(data, st.sampled_from(["a.jsonl", "a.json", "a.parquet", *(f"a{each}" for each in PACKERS)])),
         check, share=3)  # fmt: skip


def test_entity_labels(desk: Desk, fuzz: Fuzz) -> None:
    """Labels of a command line, or of a file of them."""
    seeds = (b"person, city: a big place", b"# labels\nperson\ncity: a big place\nship\tthat sails\n",
             b"PER=person, LOC=city\n", b"a,b=c", b"a=")  # fmt: skip
    words = (b", ", b": ", b"=", b"\t", b"#", b"\n", "\u200b".encode(), "\u3164".encode(), b"a" * 300, b"person",
             b"Person", b"/")  # fmt: skip

    def check(case: tuple[bytes, bool]) -> None:
        data, in_file = case
        path = desk.put({"labels.txt": data})
        given = str(path) if in_file else data.decode("utf-8", "replace")
        naming = (str(path), "setting", "--") if in_file else ("label", "--rename", "--merge")
        for label in answer(lambda: parse_labels(given), naming=naming) or ():
            assert label.name == label.name.strip() != ""
            assert label.text.isprintable() or "\n" not in label.text
        answer(lambda: read_type_labels(given), naming=naming)
        answer(lambda: TypeChanges.parse([given], [given], [given]), naming=naming)
        desk.check_left({"labels.txt": data})

    fuzz(st.tuples(mutated(seeds, words), st.booleans()), check)


PIECES = st.sampled_from(
    ["Ada", "Löf", "e\u0301", "😀", "👩‍👧", "שלום", "東京", ".", "-", "don't", "x\u00ad", "\u200b", "\u202eab\u202c",
     "\ufeff", "#", "[a|b]", "\\", '"', "'", ",", ";", "|", "_", "{", "*", "O", "-DOCSTART-", "<b>", "&amp;",
     "=1+1", "\x85", "\x00", "\x1b[1m", "\x1c", "ß", "1.5",
     "->", "a\x0bb"]
)  # fmt: skip
GAPS = st.sampled_from(
    [" ", " ", "", "  ", "\n", "\r\n", "\r", "\t", "\u00a0", "\u2028", "\u3000", "\x0b", "\n\n", ". "]
)
TYPES = st.sampled_from(
    ["PER", "B-x", "a type", "type-é", "O", "x|y", "a]b", "x[1]", "_", "*", "ל", "e\u0301", "x\u00a0y", "a\\b", "-",
     "x=y", '"q"']
)  # fmt: skip
FIELDS = st.dictionaries(
    st.sampled_from(["id", "note", "label", "meta", "document", "start", "field.x", "score", "text2", "a b", "é", "#"]),
    st.sampled_from([None, True, 0, 1.5, "", "x", "é,\n\"'", " s ", [], ["a", "b"], {"a": {"b": [1]}}, 1 << 40, "1",
                     "😀\u2028"]),
    max_size=2,
)  # fmt: skip


@st.composite
def rows(draw: st.DrawFn) -> dict[str, Any]:
    """Return a row of JSON lines: a text of pieces, whose spans may be nested, with words and fields or without."""
    pieces = draw(st.lists(PIECES, max_size=6))
    parts = [part for piece in pieces for part in (piece, draw(GAPS))]
    ends = list(accumulate(map(len, parts), initial=0))
    places, text, spans = list(zip(ends[:-1:2], ends[1::2], strict=True)), "".join(parts), []
    for _ in range(draw(st.integers(0, 3)) if pieces else 0):
        first = draw(st.integers(0, len(pieces) - 1))
        start, end = places[first][0], places[draw(st.integers(first, len(pieces) - 1))][1]
        sure = {} if draw(st.booleans()) else {"confidence": 0.25}
        spans.append({"start": start, "end": end, "type": draw(TYPES), "text": text[start:end], **sure})
    tokens = {"tokens": pieces} if draw(st.booleans()) and pieces else {}
    group = {"document_id": draw(st.sampled_from(["a", "b"]))} if draw(st.booleans()) else {}
    return {"text": text, "spans": spans, **tokens, **group, **draw(FIELDS)}


def given(text: str, *tokens: str, **more: str) -> dict[str, Any]:
    return {"text": text, "spans": [], **({"tokens": tokens} if tokens else {}), **more}


APART = [given("Ann", "Ann", document_id=group) for group in "aba"]
CONVERTED: dict[str, list[tuple[list[dict[str, Any]], str]]] = {
    "conll": [([given("-DOCSTART- ", "-DOCSTART-")], "jsonl"), ([given("\ufeff", "\ufeff")], "jsonl"),
              (APART, "jsonl"), ([given("Ann - Bo", "Ann", "Bo")], "gliner")],
    "marked": [([given("Ann\u2028")], "jsonl"), ([given("Ann\n")], "csv"),
               ([given("Ann "), given("\x1c ", "\x1c")], "conll")],
    "prodigy": [([given("\x1c Ann", "\x1c", "Ann")], "jsonl"),
                ([given("Ada. \x85 .", "Ada", "\x85", ".")], "jsonl")],
    "webanno": [([given("Ann. ", "Ann")], "conll"),
                ([given("Ann\r\nLee") | {"spans": [{"start": 0, "end": 8, "type": "PER"}]}], "marked")],
    "spacy": [([given("Ann. Bo", "Ann", "Bo")], "jsonl"), (APART, "jsonl")],
}  # fmt: skip
"""What was found before."""


@pytest.mark.parametrize("name", NAMES)
def test_there_and_on_to_any_other(desk: Desk, fuzz: Fuzz, name: str) -> None:
    """What comes back is equal, or its loss is told."""
    others = [other for other in FORMATS if other not in SHARES or name in EXTRAS]

    def check(case: tuple[list[dict[str, Any]], str]) -> None:
        data = "".join(f"{json_line(row)}\n" for row in case[0]).encode()
        path = desk.put({"a.jsonl": data})
        for one, other in pairwise(("jsonl", name, case[1], name)):
            before = read(path, one, units="characters")
            made = desk.convert(path, one, before, other, "characters") if before else None
            if not made:
                return
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            path = made.rename(desk.folder / f"c{made.suffix}")

    fuzz(st.tuples(st.lists(rows(), min_size=1, max_size=3), st.sampled_from(others)), check,
         found=CONVERTED.get(name, ()), share=SHARES.get(name, 1))  # fmt: skip
