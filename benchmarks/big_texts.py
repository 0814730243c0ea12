"""`nerbert tag` on texts of many words: is memory flat, is every row there, are offsets right?

`python benchmarks/big_texts.py TAGGER --data FILE.conll --work DIR [--words 10000000]`

One command tags two files, lines of text and JSON lines with fields of their own, each with half of the words. They are
made from the sentences of FILE: rows of one to five of them, drawn by a seed, with other numbers and now and then a
name that has letters of two UTF-16 units; a row in a thousand is empty (in JSON lines), one in ten thousand has 20,000
words. Memory is the sum of the processes' VmRSS, each second (`memory.jsonl`). All rows are counted; of each, the text
and the text of each entity are compared; a hundred rows are compared with what `Tagger` finds in this process.
"""

import argparse
import json
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from statistics import linear_regression, median
from typing import Any

from report import MB, surroundings
from serving import Server, Side, _texts

from nerbert.tagger.tagger import Tagger

_COMPARED, _LONG = 100, 20_000
_NAMES = ("Zoë", "Łódź", "東京", "Ada 👩‍🚀", "Tregallack", "Müller & Söhne")


def texts(sentences: list[str], words: int, chance: random.Random) -> Iterator[str]:
    """Yield texts until they have so many words."""
    while words > 0:
        kind = chance.random()
        text = " ".join(chance.choices(sentences, k=chance.randint(1, 5)))
        if kind < 0.3:
            text = f"{text} {chance.choice(_NAMES)}"
        elif kind > 0.9999:
            text = " ".join([text] * (_LONG // len(text.split())))
        elif kind > 0.9989:
            text = ""
        text = re.sub(r"\d+", lambda found: str(chance.randrange(10 ** len(found[0]))), text)
        words -= len(text.split())
        yield text


def main() -> None:
    """Make the input unless it is there, tag it, and check the output; print a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tagger", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--words", type=int, default=10_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    source, output = options.work / "in", options.work / "out"
    made = _write(source, _texts(options.data), options)
    print(json.dumps(made), flush=True)
    command = [sys.executable, "-m", "nerbert", "tag", options.tagger, source, "-o", output, "--to", "jsonl",
               "--backend", "onnx", "--precision", "fp32", "--threads", "1"]  # fmt: skip
    found = _run([*map(str, command)], options.work / "memory.jsonl")
    tagger = Tagger.load(options.tagger, backend="onnx", precision="fp32")
    checked = {each.name: _check(each, output / f"{each.stem}.jsonl", tagger) for each in sorted(source.iterdir())}
    print(json.dumps({**made, **found, "files": checked, "seed": options.seed,
                      **surroundings([options.tagger / "config.json"], ["onnxruntime", "tokenizers"])}))  # fmt: skip


def _write(folder: Path, sentences: list[str], options: argparse.Namespace) -> dict[str, int]:
    """Write both files; return their numbers of rows and words."""
    folder.mkdir(parents=True, exist_ok=True)
    chance, count = random.Random(options.seed), {"rows": 0, "words": 0}  # noqa: S311
    with (folder / "lines.txt").open("w") as lines, (folder / "rows.jsonl").open("w") as rows:
        for file in (lines, rows):
            for number, text in enumerate(texts(sentences, options.words // 2, chance)):
                if file is lines and not text:
                    continue
                file.write(f"{text}\n" if file is lines else json.dumps({"id": number, "text": text}) + "\n")
                count = {"rows": count["rows"] + 1, "words": count["words"] + len(text.split())}
    return count


def _run(command: list[str], log: Path) -> dict[str, Any]:
    """Run a command, and return how its memory went."""
    begin, samples = time.monotonic(), list[tuple[float, float]]()
    with subprocess.Popen(command) as process, log.open("w") as file:
        server = Server(Side("tag", command), [process])
        cpu = 0.0
        while process.poll() is None:
            time.sleep(1)
            try:
                cpu, memory = server.cpu(), server.memory("VmRSS") / MB
            except OSError:
                break  # it has ended
            if memory:
                samples.append(((time.monotonic() - begin) / 60, memory))
                file.write(json.dumps({"minute": samples[-1][0], "rss_mb": memory, "cpu_s": cpu}) + "\n")
                file.flush()
    tenth = max(1, len(samples) // 10)
    late = samples[tenth:]
    return {
        "exit code": process.returncode, "minutes": round((time.monotonic() - begin) / 60, 1), "CPU s": round(cpu, 1),
        "MB, medians of tenths": [round(median(mb for _, mb in samples[at : at + tenth]), 1)
                                  for at in range(0, 10 * tenth, tenth)],
        "MB, most": round(max(mb for _, mb in samples), 1),
        "MB a minute, after the first tenth": round(linear_regression(*zip(*late, strict=True)).slope, 3),
    }  # fmt: skip


def _check(source: Path, output: Path, tagger: Tagger) -> dict[str, int]:
    """Compare a file's rows with those of its output."""
    counts = dict.fromkeys(("rows", "words", "entities", "wrong text", "wrong fields", "wrong offsets", "compared",
                            "other entities"), 0)  # fmt: skip
    total = sum(1 for _ in source.open())
    chosen = {*random.Random(2).sample(range(total), min(_COMPARED, total))}  # noqa: S311
    with source.open() as read, output.open() as found:
        for place, (line, written) in enumerate(zip_longest(read, found, fillvalue="")):
            row = json.loads(line) if source.suffix == ".jsonl" else {"text": line.rstrip("\n")}
            answer = json.loads(written or "{}")
            text, spans = row["text"], answer.get("spans", [])
            counts["rows"] += bool(written)
            counts["words"] += len(text.split())
            counts["entities"] += len(spans)
            counts["wrong text"] += answer.get("text") != text
            counts["wrong fields"] += any(answer.get(name) != value for name, value in row.items())
            counts["wrong offsets"] += sum(text[each["start"] : each["end"]] != each["text"] for each in spans)
            if place in chosen:
                wanted = [(each.start, each.end, each.type) for each in tagger.tag(text)]
                counts["compared"] += 1
                counts["other entities"] += [(each["start"], each["end"], each["type"]) for each in spans] != wanted
    return counts


if __name__ == "__main__":
    main()
