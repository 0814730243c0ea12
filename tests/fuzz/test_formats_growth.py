"""Time and memory of readers: in proportion to a file, whatever its shape; no more for more streamed texts."""

import json
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import pytest

from nerbert.errors import MissingExtra, NerbertError
from nerbert.formats.documents import Overlaps, Reading
from nerbert.formats.examples import read_documents
from nerbert.formats.format import usable
from nerbert.formats.json_files import JsonFormat
from nerbert.formats.open_types import read_open_types
from nerbert.records import Document, Span
from nerbert.registry import FORMATS
from tests.fuzz.properties import calls_of, exponent, peak_of, seconds_of

pytestmark = pytest.mark.fuzz
SIZES = [25, 50, 100, 200]
LONG_SIZES = [20_000, 40_000, 80_000, 160_000]
STREAMED = (
    "conll",
    "jsonl",
    "doccano",
    "gliner",
    "prodigy",
    "argilla",
    "spacy-json",
    "csv",
    "marked",
    "webanno",
    "parquet",
    "brat",
)
FILES = [name for name in FORMATS if name not in ("datasets", "brat")]


def usable_or_skip(name: str) -> None:
    try:
        usable(FORMATS.find(name)())
    except MissingExtra as error:
        pytest.skip(str(error))


def of_documents(size: int, long: int = 3) -> list[Document]:
    """Return many texts, each with an entity of so many letters."""
    words = ((f"{number}", f"{number:a>{long}}") for number in range(size))
    return [Document(f"{word} left ö.", (Span(0, len(word), "PER", word),), fields={"id": id_}) for id_, word in words]


def of_entities(size: int) -> list[Document]:
    """Return one text with many entities."""
    text = "Ada é " * size
    return [Document(text, tuple(Span(6 * number, 6 * number + 3, "PER", "Ada") for number in range(size)))]


def written(folder: Path, name: str, documents: Iterable[Document]) -> Path:
    """Return a new file (or folder) of a format."""
    suffixes = FORMATS.find(name)().suffixes
    path = folder / f"{len([*folder.iterdir()])}{suffixes[0] if suffixes else ''}"
    FORMATS.find(name)().write(path, documents)
    return path


def read(path: Path, name: str, overlaps: Overlaps = "longest") -> None:
    """Read a file to its end, or to its fault, and keep nothing."""
    try:
        for _ in read_documents(path, Reading(from_=name, overlaps=overlaps)):
            pass
    except NerbertError:
        pass


@pytest.mark.parametrize("made", [of_documents, of_entities])
@pytest.mark.parametrize("name", [name for name in FORMATS if name != "datasets"])
def test_calls_grow_with_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, made: Callable[[int], list[Document]]
) -> None:  # fmt: skip
    usable_or_skip(name)
    monkeypatch.setattr("os.fsync", lambda _: None)
    paths = [written(tmp_path, name, made(size)) for size in SIZES]
    read(paths[0], name)  # loads what it needs
    assert exponent(SIZES, [calls_of(partial(read, path, name)) for path in paths]) < 1.2


@pytest.mark.parametrize("name", STREAMED)
def test_memory_does_not_grow_with_the_number_of_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    usable_or_skip(name)
    monkeypatch.setattr("os.fsync", lambda _: None)
    few = 10 if name == "webanno" else 130 if isinstance(FORMATS.find(name)(), JsonFormat) else 60
    paths = [written(tmp_path, name, of_documents(size, 10_000)) for size in (few, 3 * few)]
    read(paths[0], name)
    least, most = (peak_of(partial(read, path, name)) for path in paths)
    assert most < 1.3 * least, (least, most)


def shapes(size: int) -> dict[str, str]:
    """Return texts that make careless readers slow."""
    return {
        "letters": "a" * size, "spaces": " " * size, "words": "a " * (size // 2), "quotes": '"' * size,
        "apostrophes": "'" * size, "backslashes": "\\" * size, "brackets": "[" * size, "closed": "]" * size,
        "bars": "|" * size, "commas": ",a" * (size // 2), "tabs": "\ta" * (size // 2), "lines": "a\n" * (size // 2),
        "blank lines": "\n" * size, "returns": "\r" * size, "marks": "[a|b]" * (size // 5), "digits": "9" * size,
        "hashes": "#" * size, "hyphens": "-" * size, "accents": "e\u0301" * (size // 2), "emoji": "😀" * size,
        "objects": '{"a":' * (size // 5), "stops": "a. " * (size // 3), "underlines": "_" * size,
    }  # fmt: skip


def raw(name: str, text: str) -> str:
    """Return a file in which a text stands where it does harm."""
    quoted = json.dumps(text)
    span = '{"start": 0, "end": 1, "label": "x"}'
    return {
        "conll": f"{text}\tO\n", "marked": text, "csv": f"text,start,end,label\n{text},0,1,x\n",
        "webanno": f"#FORMAT=WebAnno TSV 3.3\n#T_SP=x.y|value\n\n#Text={text}\n1-1\t0-1\ta\t{text}\t\n",
        "jsonl": f'{{"text": {quoted}, "spans": [{span}]}}\n',
        "doccano": f'{{"text": {quoted}, "label": [[0, 1, "x"]]}}\n',
        "label-studio": f'[{{"data": {{"text": {quoted}}}, "annotations": []}}]',
        "prodigy": f'{{"text": {quoted}, "spans": [{span}], "answer": "accept"}}\n',
        "argilla": f'{{"fields": {{"text": {quoted}}}, "responses": {{"q": [{{"value": [{span}]}}]}}}}\n',
        "gliner": f'{{"tokenized_text": [{quoted}], "ner": []}}\n',
        "spacy-json": f'[{quoted}, {{"entities": [[0, 1, "x"]]}}]\n',
        "open types": f'{{"input": {quoted}, "output": {json.dumps(json.dumps([text[:1000] + " <> x"]))}}}\n',
        "open list": json.dumps({"input": "a", "output": f"['{text}"}) + "\n",
        "bare": text,
    }[name]  # fmt: skip


RAW = (
    "conll",
    "marked",
    "csv",
    "webanno",
    "jsonl",
    "doccano",
    "label-studio",
    "prodigy",
    "argilla",
    "gliner",
    "spacy-json",
)


@pytest.mark.nightly
@pytest.mark.parametrize("shape", list(shapes(0)))
@pytest.mark.parametrize("name", [*RAW, "open types", "open list", "bare"])
def test_time_grows_with_the_file(tmp_path: Path, name: str, shape: str) -> None:
    costs = []
    for size in LONG_SIZES:
        path = tmp_path / f"{size}.txt"
        path.write_text(raw(name, shapes(size)[shape]), encoding="utf-8", newline="")
        costs.append(seconds_of(partial(read_any, path, name)))
    assert exponent(LONG_SIZES, costs) < 1.4 or costs[-1] < 0.05, costs


def read_any(path: Path, name: str) -> None:
    """Read a file of a format, of open types, or of a format that its content tells."""
    if name.startswith("open"):
        try:
            for _ in read_open_types(path):
                pass
        except NerbertError:
            pass
    else:
        read(path, "" if name == "bare" else name)


NESTED = {
    "jsonl": '{{"text": {text}, "spans": {spans}}}', "doccano": '{{"text": {text}, "label": {spans}}}',
    "spacy-json": '[{text}, {{"entities": {spans}}}]',
}  # fmt: skip


@pytest.mark.nightly
@pytest.mark.parametrize("overlaps", ["longest", "first"])
@pytest.mark.parametrize("name", NESTED)
def test_nested_and_equal_entities(tmp_path: Path, name: str, overlaps: Overlaps) -> None:
    """All entities in one another; and all of one place, with types of their own."""
    for shape in (lambda number, size: [number, 2 * size - number, "x"], lambda number, size: [0, 5, f"x{number}"]):
        costs = []
        for size in (sizes := [2_000, 4_000, 8_000, 16_000]):
            path = tmp_path / f"{size}.jsonl"
            spans = json.dumps([shape(number, size) for number in range(size)])
            path.write_text(NESTED[name].format(text=json.dumps("é" * 2 * size), spans=spans))
            costs.append(seconds_of(partial(read, path, name, overlaps)))
        assert exponent(sizes, costs) < 1.4, costs
