"""What a pre-training needs before its first step, by the size of the corpus: time, disk, memory; and what
`self_training` needs to label all of it again.

`python benchmarks/scale.py CORPUS ENCODER --shares 0.01 0.02 0.04 [--against CHECKOUT] [--work FOLDER]`

A share is of NER-BERT's corpus, 16.3 million sentences (arXiv 2112.00405, §2.3). A corpus of that size is made by
repeating the sentences of CORPUS (a folder that `nerbert corpus build` made) under ids of their own: pieces a sentence
are real, the number of different texts is not. For each share one process prepares the training with an empty cache.
Another one does so with the cache that is there then, and labels all sentences by `self_training`, with a table of
random scores in place of the encoder. Memory is what a process and its children hold alone (RssAnon, sampled); mapped
files are not in it, since the kernel drops them when memory is short. `--against` runs an older checkout as well, on
the same corpora. The last table has the line through the shares (least squares), and what it says of the whole.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

WHOLE = 16_300_000
FIGURES = ("cold start, s", "cold start, MB", "cache, MB", "warm start, s", "warm start, MB", "labelling, MB")
SHARD = 5_000
"""Sentences of a shard: about those of a part of 8 MB of the English dump."""
MB = 1e6


def main() -> None:
    """Measure all shares; print tables, then one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("corpus", type=Path)
    parser.add_argument("encoder")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.01, 0.02, 0.04])
    parser.add_argument("--against", type=Path)
    parser.add_argument("--work", type=Path)
    given = parser.parse_args()
    sides = {"here": Path(__file__).parent.parent} | ({"before": given.against} if given.against else {})
    rows = list[dict[str, Any]]()
    with tempfile.TemporaryDirectory(dir=given.work) as name:
        for share in given.shares:
            corpus, words = generated(given.corpus, Path(name) / "corpus", round(share * WHOLE))
            for side, code in sides.items():
                rows.append({"share": share, "side": side, "words": words, **measured(corpus, given.encoder, code)})
                print(rows[-1], file=sys.stderr, flush=True)
            shutil.rmtree(corpus)
    print(tables(rows, list(sides)))
    print(json.dumps({"rows": rows}))


def generated(source: Path, target: Path, sentences: int) -> tuple[Path, int]:
    """Write a corpus of so many training sentences; return it, and its words."""
    manifest = json.loads((source / "manifest.json").read_text())
    table = pa.concat_tables([pq.read_table(source / name) for name in manifest["shards"]])
    train = table.filter(pc.equal(table["split"], "train"))
    others = table.filter(pc.not_equal(table["split"], "train"))
    train = train.set_column(train.column_names.index("copies"), "copies", pa.array([1] * len(train), pa.int32()))
    (target / "sentences").mkdir(parents=True)
    shards, written, words, repeat = {}, 0, 0, 0
    while written < sentences:
        parts = list[pa.Table]()
        while (size := sum(map(len, parts))) < SHARD and written + size < sentences:
            some = train.slice(0, sentences - written - size)
            ids = pc.binary_join_element_wise(some["id"], f"r{repeat}", "-")
            parts.append(some.set_column(some.column_names.index("id"), "id", ids))
            repeat += 1
        shard = pa.concat_tables([*parts, *([] if written else [others])])
        name = f"sentences/part-{len(shards):05d}.parquet"
        pq.write_table(shard, target / name, compression="zstd", row_group_size=10_000)
        shards[name] = len(shard)
        written += size
        words += pc.sum(pc.list_value_length(shard["words"])).as_py()
    manifest["shards"] = shards
    manifest.pop("shard_sha256", None)
    (target / "manifest.json").write_text(json.dumps(manifest))
    return target, words


def measured(corpus: Path, encoder: str, code: Path) -> dict[str, float]:
    """Return the figures of one corpus and one checkout."""
    cache = corpus.parent / "cache"
    found = {}
    for number in (0, 1):
        command = [
            sys.executable,
            str(Path(__file__).with_name("run_scale.py")),
            str(corpus),
            encoder,
            str(cache),
            str(number),
        ]
        around = os.environ | {"PYTHONPATH": str(code), "HF_HUB_OFFLINE": "1"}
        done = subprocess.run(command, env=around, stdout=subprocess.PIPE, check=True)
        found |= json.loads(done.stdout.splitlines()[-1])
    found["cache, MB"] = sum(each.stat().st_size for each in cache.rglob("*") if each.is_file()) / MB
    shutil.rmtree(cache)
    return found


def tables(rows: list[dict[str, Any]], sides: list[str]) -> str:
    """Return the figures of all shares, and their lines, as Markdown."""
    lines = [f"| share | words, M | side | {' | '.join(FIGURES)} |", "|---:|---:|---|" + "---:|" * len(FIGURES)]
    for row in rows:
        figures = " | ".join(f"{row[name]:,.1f}" for name in FIGURES)
        lines.append(f"| {row['share']:g} | {row['words'] / 1e6:,.1f} | {row['side']} | {figures} |")
    lines += ["", f"| the whole, by the line | side | {' | '.join(FIGURES)} |", "|---|---|" + "---:|" * len(FIGURES)]
    for side in sides:
        own = [row for row in rows if row["side"] == side]
        if len(own) > 1:
            fits = [np.polyfit([row["share"] for row in own], [row[name] for row in own], 1) for name in FIGURES]
            lines.append(f"| at 0 | {side} | {' | '.join(f'{at_zero:,.1f}' for _, at_zero in fits)} |")
            lines.append(f"| at 1 | {side} | {' | '.join(f'{slope + at_zero:,.0f}' for slope, at_zero in fits)} |")
    return "\n".join(lines)


def held_alone(process: str) -> int:
    """Return the bytes that a process and its children hold alone; 0 for one that has ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
        children = " ".join(each.read_text() for each in Path(f"/proc/{process}/task").glob("*/children")).split()
    except OSError:
        return 0
    own = status.partition("RssAnon:")[2].split()
    return (1024 * int(own[0]) if own else 0) + sum(map(held_alone, children))


class Sampler(threading.Thread):
    """The most memory that this process and its children held alone since `reset`, in bytes, sampled each 50 ms."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self.start()

    def run(self) -> None:
        """Sample until the process ends."""
        while True:
            self.peak = max(self.peak, held_alone(str(os.getpid())))
            time.sleep(0.05)

    def reset(self) -> None:
        """Begin anew."""
        self.peak = 0


if __name__ == "__main__":
    main()
