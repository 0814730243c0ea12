"""A benchmark's CSV, as figures read it, and the frame of other systems."""

import csv
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nerbert.errors import InputError
from nerbert.evaluation.figures import read_results
from nerbert.evaluation.tables.results import COLUMNS
from nerbert.formats.format import read_documents
from tests.raised import raises

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


def record(system: str, target: str, size: str, value: float | str, draw: int = 1, **more: str) -> dict[str, str]:
    empty = dict.fromkeys(COLUMNS, "")
    place = {"system": system, "protocol": "default", "target": target, "size": size, "draw": str(draw),
             "seed": str(draw), "state": "done", "metric": "micro.f1", "value": str(value)}  # fmt: skip
    return empty | place | more


def folder_with(path: Path, records: list[dict[str, str]], name: str = "frontier.csv") -> Path:
    with (path / name).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(records)
    return path


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ([record("slow", "ships", "0", 1.5)], "value '1.5': must be F1 between 0 and 1"),
        ([record("slow", "ships", "0", "nan")], "value 'nan': must be F1"),
        ([record("slow", "ships", "0", "=1+1")], "value '=1+1': must be F1"),
        (None, "frontier.csv: no such file; run `nerbert benchmark"),
        (b"a,b\n1,2\n", "frontier.csv: not a benchmark's CSV"),
        (",".join(COLUMNS).encode() + b"\nx,y\n", f"line 2: doesn't have {len(COLUMNS)} columns"),
        (b"\xff\xfe\x00", "can't be read as CSV"),
    ],
)
def test_messages(tmp_path: Path, content: Any, why: str) -> None:
    if isinstance(content, list):
        folder_with(tmp_path, content)
    elif content is not None:
        (tmp_path / "frontier.csv").write_bytes(content)
    with raises(InputError, words=why):
        read_results(tmp_path, "frontier")


OTHER = """
from external import run, sentences, spans_of, write

def train(options, folder):
    tags = {word: tag for words, tags in sentences(options.train) for word, tag in zip(words, tags)}
    (folder / "tags").write_text(repr(tags))
    (folder / "times").open("a").write("x")

def tag(options, folder):
    tags = eval((folder / "tags").read_text())
    found = ((words, [tags.get(each, "O") for each in words]) for words, _ in sentences(options.test))
    write(options.output, [(words, spans_of(each)) for words, each in found])

run(train, tag)
"""


def test_the_frame_of_other_systems_trains_once_and_writes_what_nerbert_reads(tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text(OTHER)
    text = "The\tO\nMary\tB-ship\nRose\tI-ship\nin\tO\nKiel\tB-port\nKiel\tB-port\né\tO\n\n"
    (tmp_path / "all.conll").write_text(text, encoding="utf-8")
    files = [tmp_path / name for name in ("other.py", *["all.conll"] * 3, "output.jsonl")]
    for _ in range(2):
        command = [sys.executable, *map(str, files), "1", "--keep", str(tmp_path / "kept")]
        subprocess.run(command, check=True, env={"PYTHONPATH": str(BENCHMARKS)})
    (row,) = read_documents(tmp_path / "output.jsonl")
    assert [(row.text[each.start : each.end], each.type) for each in row.spans] == [
        ("Mary Rose", "ship"), ("Kiel", "port"), ("Kiel", "port")
    ]  # fmt: skip
    assert row.text == "The Mary Rose in Kiel Kiel é"
    assert (tmp_path / "kept" / "times").read_text() == "x"
