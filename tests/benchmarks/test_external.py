"""The frame of the scripts that run other systems."""

import subprocess
import sys
from pathlib import Path

from nerbert.formats.format import read_documents

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


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
        ("Mary Rose", "ship"),
        ("Kiel", "port"),
        ("Kiel", "port"),
    ]
    assert row.text == "The Mary Rose in Kiel Kiel é"
    assert (tmp_path / "kept" / "times").read_text() == "x"
