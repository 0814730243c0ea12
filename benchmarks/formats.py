"""Memory and time of `nerbert data check` and `data convert` on a file and on one ten times as large.

`python benchmarks/formats.py [--megabytes 20] [--work DIR]`

Both files are JSON lines, made here by a seed: texts of two sentences with invented names, a third of them labelled.
Each command is a process of its own, one thread. What is claimed is the ratio of the peaks of memory: a reader that
streams has about the same for both.
"""

import argparse
import json
import os
import random
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from report import MB, measure, surroundings

PACKAGES = ("nerbert", "numpy", "duckdb", "pyarrow")
VERBS = ("left", "reached", "passed", "saw", "met", "bought", "sold", "named")
SYLLABLES = "ar bel cor dun el fjor gan hol ing jor kel lun mar nes or pel".split()


def main() -> None:
    """Measure both sizes; print a table, then one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--megabytes", type=int, default=20)
    parser.add_argument("--work", type=Path)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    rows = []
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        for megabytes in (options.megabytes, 10 * options.megabytes):
            data = Path(work) / f"{megabytes}.jsonl"
            texts = write(data, megabytes << 20)
            for command in (["check", data], ["convert", data, Path(work) / f"{megabytes}.conll"]):
                part = measure(
                    command[0], [sys.executable, "-m", "nerbert", "data", *command], data.with_suffix(".log")
                )
                rows.append({"megabytes": megabytes, "texts": texts, **asdict(part)})
    print("| command | MB | texts | peak memory, MB | CPU seconds |\n|---|---|---|---|---|")
    for row in rows:
        peak = row["peak_bytes"] / MB
        print(f"| {row['name']} | {row['megabytes']} | {row['texts']:,} | {peak:.0f} | {row['cpu_seconds']:.0f} |")
    for name in ("check", "convert"):
        small, large = (row for row in rows if row["name"] == name)
        memory, seconds = (large[each] / small[each] for each in ("peak_bytes", "cpu_seconds"))
        print(f"{name}: memory × {memory:.2f}, time × {seconds:.2f}")
    print(json.dumps(surroundings([], PACKAGES) | {"runs": rows}))


def write(path: Path, size: int) -> int:
    """Write a file of about this many bytes; return how many texts it has."""
    draw, texts, written = random.Random(1), 0, 0  # noqa: S311  (a draw of texts, not of secrets)
    with path.open("w", encoding="utf-8") as file:
        while written < size:
            text, spans = "", []
            for _ in range(4):
                name = "".join(draw.choices(SYLLABLES, k=4)).title()
                start = len(text) + len("The brig ")
                text += f"The brig {name} {draw.choice(VERBS)} the harbour at noon. "
                if draw.random() < 1 / 3:
                    spans.append({"start": start, "end": start + len(name), "type": "vessel"})
            written += file.write(json.dumps({"text": text.strip(), "spans": spans}) + "\n")
            texts += 1
    return texts


if __name__ == "__main__":
    main()
