"""Words per CPU-second, and memory, of `nerbert tag` with labels named at run time: onnxruntime, int8, one thread.

`python benchmarks/tag_speed.py FILE TABLE.csv [--models many,minilm] [--labels a,b,c,d] [--sentences 300]`; FILE is
CoNLL, whose first sentences are the texts. The start, which is what twenty of them take, isn't counted.
"""

import argparse
import csv
import os
import sys
import tempfile
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from report import MB, Part, measure

from nerbert.data.splits import read_data

START = 20
HEADER = ("model", "sentences", "words", "words per CPU-second", "memory")


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("table", type=Path)
    parser.add_argument("--models", default="many,minilm")
    parser.add_argument("--labels", default="person,organization,location,event")
    parser.add_argument("--sentences", type=int, default=300)
    options = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    lines = [example.text for example in islice(read_data(options.file).train, options.sentences)]
    words = sum(len(line.split()) for line in lines[START:])
    with options.table.open("w", newline="", encoding="utf-8") as file, tempfile.TemporaryDirectory() as folder:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        for model in options.models.split(","):
            start, whole = (_tag(model, options.labels, some, Path(folder)) for some in (lines[:START], lines))
            speed = words / (whole.cpu_seconds - start.cpu_seconds)
            writer.writerow([model, len(lines), words, f"{speed:.0f}", f"{whole.peak_bytes / MB:.0f}"])


def _tag(model: str, labels: str, lines: Sequence[str], work: Path) -> Part:
    texts = work / "lines.txt"
    texts.write_text("\n".join(lines) + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "nerbert", "tag", model, texts, "--labels", labels, "-o", work / "out.jsonl"]
    options = ["--backend", "onnx", "--precision", "int8", "--threads", "1", "--overwrite"]
    return measure(model, [*command, *options], work / "log")


if __name__ == "__main__":
    main()
