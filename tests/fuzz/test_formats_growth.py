"""Time and memory of readers: in proportion to a file, whatever its shape; no more for more streamed texts."""

import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from nerbert.data.open_types import read_open_types
from nerbert.errors import NerbertError
from nerbert.formats.documents import Overlaps, Reading
from nerbert.formats.format import FORMATS, read_documents
from nerbert.formats.json_files import JsonFormat
from nerbert.records import Document, Span
from tests.fuzz.annotation_seeds import JSON_SEEDS
from tests.fuzz.properties import calls_of, exponent, peak_of, seconds_of

pytestmark = pytest.mark.fuzz
SIZES, LONG_SIZES = [25, 50, 100, 200], [20_000, 40_000, 80_000, 160_000]
NAMES = [pytest.param(name, marks=[pytest.mark.extras] * (name == "spacy")) for name in FORMATS if name != "datasets"]


def of_documents(size: int, long: int = 3) -> list[Document]:
    """Return many texts, each with an entity of so many letters."""
    words = ((f"{number}", f"{number:a>{long}}") for number in range(size))
    return [Document(f"{word} left ö.", (Span(0, len(word), "PER", word),), fields={"id": id_}) for id_, word in words]


def of_entities(size: int) -> list[Document]:
    """Return one text with many entities."""
    spans = (Span(6 * number, 6 * number + 3, "PER", "Ada") for number in range(size))
    return [Document("Ada é " * size, tuple(spans))]


def written(folder: Path, name: str, documents: Iterable[Document]) -> Path:
    """Return a new file (or folder) of a format."""
    path = folder / f"{len([*folder.iterdir()])}{(*FORMATS.find(name)().suffixes, '')[0]}"
    FORMATS.find(name)().write(path, documents)
    return path


def read(path: Path, name: str, overlaps: Overlaps = "longest") -> None:
    """Read a file of a format, of open types, or of a format that its content tells; keep nothing."""
    reading = Reading(from_="" if name == "bare" else name, overlaps=overlaps)
    with suppress(NerbertError):
        for _ in read_open_types(path) if name.startswith("open") else read_documents(path, reading):
            pass


@pytest.mark.parametrize("made", [of_documents, of_entities])
@pytest.mark.parametrize("name", NAMES)
def test_calls_grow_with_the_file(tmp_path: Path, name: str, made: Callable[[int], list[Document]]) -> None:
    paths = [written(tmp_path, name, made(size)) for size in SIZES]
    read(paths[0], name)  # loads what it needs
    assert exponent(SIZES, [calls_of(partial(read, path, name)) for path in paths]) < 1.2


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in ("datasets", "spacy", "label-studio")])
def test_memory_does_not_grow_with_the_number_of_texts(tmp_path: Path, name: str) -> None:
    few = 130 if isinstance(FORMATS.find(name)(), JsonFormat) else 60
    paths = [written(tmp_path, name, of_documents(size, 10_000)) for size in (few, 3 * few)]
    read(paths[0], name)
    least, most = (peak_of(partial(read, path, name)) for path in paths)
    assert most < 1.3 * least, (least, most)


@pytest.mark.parametrize("overlaps", ["longest", "first"])
@pytest.mark.parametrize("name", ["jsonl", "doccano"])
def test_calls_grow_with_nested_and_equal_entities(tmp_path: Path, name: str, overlaps: Overlaps) -> None:
    """All entities in one another; and all of one place, with types of their own."""
    for nested in (True, False):
        paths = []
        for size in SIZES:
            ends = range(2 * size, size, -1)
            spans = (Span(n, end, "x") if nested else Span(0, 5, f"x{n}") for n, end in enumerate(ends))
            paths.append(written(tmp_path, name, [Document("é" * 2 * size, tuple(spans))]))
        assert exponent(SIZES, [calls_of(partial(read, path, name, overlaps)) for path in paths]) < 1.3


SHAPES = {
    "letters": "a",
    "spaces": " ",
    "words": "a ",
    "quotes": '"',
    "apostrophes": "'",
    "backslashes": "\\",
    "brackets": "[",
    "closed": "]",
    "bars": "|",
    "commas": ",a",
    "tabs": "\ta",
    "lines": "a\n",
    "blank lines": "\n",
    "returns": "\r",
    "marks": "[a|b]",
    "digits": "9",
    "hashes": "#",
    "hyphens": "-",
    "accents": "e\u0301",
    "emoji": "😀",
    "objects": '{"a":',
    "stops": "a. ",
    "underlines": "_",
}
"""What makes careless readers slow when it is repeated."""
RAW = {
    "conll": "%s\tO\n",
    "marked": "%s",
    "csv": "text,start,end,label\n%s,0,1,x\n",
    "bare": "%s",
}
"""Files in which a text is where it does harm; other formats are JSON, in which their writer quotes it."""


def put(path: Path, name: str, text: str) -> None:
    """Write a file that holds a text."""
    if name.startswith("open"):
        marks = json.dumps([text[:1000] + " <> x"])
        row = {"input": text, "output": marks} if name == "open types" else {"input": "a", "output": f"['{text}"}
        path.write_text(json.dumps(row) + "\n")
    elif name in RAW:
        path.write_text(RAW[name].replace("%s", text), encoding="utf-8", newline="")
    else:
        FORMATS.find(name)().write(path, [Document(text, (Span(0, 1, "x"),))])


@pytest.mark.nightly
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", [*RAW, *JSON_SEEDS, "open types", "open list"])
def test_time_grows_with_the_file(tmp_path: Path, name: str, shape: str) -> None:
    paths = [tmp_path / f"{size}.txt" for size in LONG_SIZES]
    for path, size in zip(paths, LONG_SIZES, strict=True):
        put(path, name, SHAPES[shape] * (size // len(SHAPES[shape])))
    costs = [seconds_of(partial(read, path, name)) for path in paths]
    assert exponent(LONG_SIZES, costs) < 1.4 or costs[-1] < 0.05, costs
