"""`nerbert tag` of a million short lines (int8) against `transformers.pipeline` of 20,000 of them, per CPU second.

`python benchmarks/million.py MODEL FILE… [--lines 1000000] [--theirs 20000]`

MODEL is a tagger's folder with its weights, after `nerbert export --int8`; FILEs are CoNLL, whose sentences of 3 to 12
words are the lines, in random order, again and again. Each side is a process with one thread that writes JSON lines;
nerbert's is the whole command. A start, which both have, is what each takes for 20 lines. The pipeline is given its
lines one by one, as it comes, and in batches of 32 sorted by length.
"""

import argparse
import json
import os
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from report import MB, Part, digest, measure, surroundings

from nerbert.data.splits import read_data
from nerbert.model.folder import weight_files

PACKAGES = ("nerbert", "torch", "transformers", "tokenizers", "onnxruntime", "numpy")
START = 20
SIDES = {"nerbert tag": 0, "pipeline": 1, "pipeline, sorted batches": 32}


def main() -> None:
    """Measure; print a table, then one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--theirs", type=int, default=20_000)
    parser.add_argument("--batch", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.batch is not None:
        _pipeline(options.model, options.files[0], options.batch)
        return
    os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    lines = _lines(options.files, options.lines)
    with tempfile.TemporaryDirectory() as folder:
        work, found = Path(folder), dict[str, dict[str, float]]()
        for name, batch in SIDES.items():
            count = options.theirs if batch else options.lines
            start, whole = (_run(options.model, lines[:many], name, batch, work) for many in (START, count))
            taken = whole.cpu_seconds - start.cpu_seconds
            found[name] = {
                "lines": count,
                "words": sum(len(line.split()) for line in lines[:count]),
                "cpu_seconds": taken,
                "start_cpu_seconds": start.cpu_seconds,
                "lines_per_cpu_second": (count - START) / taken,
                "peak_bytes": whole.peak_bytes,
                "entities": whole.counts["entities"],
            }
    print(_table(found))
    around = surroundings(options.files, PACKAGES) | {"weights_sha256": list(map(digest, weight_files(options.model)))}
    print(json.dumps({**around, "sides": found}))


def _lines(files: Sequence[Path], count: int) -> list[str]:
    texts = {example.text for file in files for example in read_data(file).train}
    short = sorted(text for text in texts if 3 <= len(text.split()) <= 12)
    chance, lines = random.Random(1), list[str]()  # noqa: S311
    while len(lines) < count:
        lines += chance.sample(short, len(short))
    return lines[:count]


def _run(model: Path, lines: Sequence[str], name: str, batch: int, work: Path) -> Part:
    texts, output = work / "lines.txt", work / "tagged.jsonl"
    texts.write_text("\n".join(lines) + "\n", encoding="utf-8")
    command: list[str | Path] = [sys.executable, Path(__file__), model, texts, "--batch", str(batch)]
    if not batch:
        command = [
            sys.executable,
            "-m",
            "nerbert",
            "tag",
            model,
            texts,
            "-o",
            output,
            "--backend",
            "onnx",
            "--precision",
            "int8",
            "--threads",
            "1",
            "--overwrite",
        ]
    part = measure(name, command, work / "log")
    if not batch:
        with output.open(encoding="utf-8") as stream:
            part.counts["entities"] = sum(len(json.loads(line)["spans"]) for line in stream)
    print(f"{name}, {len(lines):,} lines: {part.cpu_seconds:,.1f} CPU s", file=sys.stderr, flush=True)
    return part


def _pipeline(model: Path, file: Path, batch: int) -> None:
    """Tag a file's lines with the pipeline; print the number of entities as JSON."""
    import torch
    from transformers import pipeline

    torch.set_num_threads(1)
    classify = pipeline("token-classification", model=str(model), aggregation_strategy="simple", device="cpu")
    lines = file.read_text(encoding="utf-8").split("\n")[:-1]
    if batch > 1:
        lines.sort(key=len)
    found = list(classify(lines, batch_size=batch))
    for entity in (entity for entities in found for entity in entities):
        entity["score"] = float(entity["score"])
    file.with_suffix(".jsonl").write_text("".join(json.dumps(entities) + "\n" for entities in found))
    print(json.dumps({"entities": sum(map(len, found))}))


def _table(found: dict[str, dict[str, float]]) -> str:
    own = found["nerbert tag"]["lines_per_cpu_second"]
    rows = [
        f"| {name} | {each['lines']:,} | {each['start_cpu_seconds']:.1f} | {each['lines_per_cpu_second']:,.0f} | "
        f"{own / each['lines_per_cpu_second']:.2f} | {each['peak_bytes'] / MB:,.0f} |"
        for name, each in found.items()
    ]
    head = "| side | lines | start, CPU s | lines per CPU s | nerbert is so many times as fast | peak MB |"
    return "\n".join([head, "|---|---:|---:|---:|---:|---:|", *rows])


if __name__ == "__main__":
    main()
