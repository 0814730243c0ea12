"""Typing at scale: ten million typed titles, five million redirects, ten million links in forty parts.

`python benchmarks/knowledge.py [--titles 10000000] [--workers 2] [--repeats 3]`; takes some 3 GB below the temporary
folder. The input is generated: triples as DBpedia's instance types, names without meaning, 400 classes; each fiftieth
redirect leads to a redirect, each tenth link to no page. Measured are `write_targets` (reading the triples included)
and `read_targets` of all parts, in processes of their own.
"""

import argparse
import json
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import partial
from itertools import product
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
from report import MB, Part, measure, surroundings

from nerbert.corpus.dump.deduplicate import Titles
from nerbert.corpus.knowledge.knowledge import open_knowledge
from nerbert.corpus.shards import TITLES, UNTYPED, shard_paths, write_grouped
from nerbert.corpus.types import SCRATCH, read_targets, write_targets
from nerbert.executors import LocalExecutor

_SYLLABLES = "ba do ka li mo nu pe ri sa to va we xi yo ze chu dra fle gro sti".split()
_WORDS = ["".join(each).title() for each in product(_SYLLABLES, repeat=3)]
_CLASSES, _ROWS, _LINKS_A_ROW = 400, 250_000, 10
_LINE = (
    "<http://dbpedia.org/resource/{}> <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> "
    "<http://dbpedia.org/ontology/Class{}> .\n"
)


def main() -> None:
    """Measure; print a table, then one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--titles", type=int, default=10_000_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--part", choices=["generate", "type"], help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        act: Callable[[Path, int], dict[str, Any]] = _generate if options.part == "generate" else _type
        print(json.dumps(act(options.work, options.titles if options.part == "generate" else options.workers)))
        return
    with tempfile.TemporaryDirectory() as work:
        sizes = ["--titles", str(options.titles), "--workers", str(options.workers), "--work", work]
        command = [sys.executable, __file__, *sizes, "--part"]
        measure("generate", [*command, "generate"], Path(work) / "log")
        parts = [measure("type", [*command, "type"], Path(work) / "log") for _ in range(options.repeats)]
    print("| what | seconds | peak MB of the largest process |\n|---|---|---|")
    for name in ("write_targets", "read_targets"):
        print(f"| {name} | {median(part.counts[name] for part in parts):.1f} | {_peak(parts):.0f} |")
    about = {"titles": options.titles, "workers": options.workers, "runs": [asdict(part) for part in parts]}
    print("\n" + json.dumps({**surroundings([], ("nerbert", "duckdb", "pyarrow", "numpy")), **about}))


def _peak(parts: Iterable[Part]) -> float:
    return max(part.peak_bytes for part in parts) / MB


def _name(number: int) -> str:
    return f"{_WORDS[number % 7_993]} {_WORDS[number * 7 % 7_951]} {number:x}"


def _generate(work: Path, titles: int) -> dict[str, Any]:
    with (work / "types.nt").open("w") as file:
        file.writelines(_LINE.format(_name(n).replace(" ", "_"), n * 7919 % _CLASSES) for n in range(titles))
    for kind in ("titles", "pages"):
        (work / "corpus" / kind).mkdir(parents=True)
    for part in range(-(-titles // _ROWS)):
        path, random = f"part-{part:05d}.parquet", Random(part)  # noqa: S311  (no secret)
        targets = [_target(int(titles * random.random() ** 4), random.random()) for _ in range(_ROWS)]
        write_grouped([_page_rows(targets)], work / "corpus/pages" / path, UNTYPED)
        if part % 2:
            numbers = range((part - 1) * _ROWS // 2, (part + 1) * _ROWS // 2)
            ends = (f"R {_name(n + 1)}" if n % 50 == 0 else _name(n * 13 % titles) for n in numbers)
            rows = [{"title": f"R {_name(n)}", "ns": 0, "redirect": end, "fate": "redirect"}
                    for n, end in zip(numbers, ends, strict=True)]  # fmt: skip
            write_grouped([pa.Table.from_pylist(rows, TITLES)], work / "corpus/titles" / path, TITLES)
    return {"bytes": (work / "types.nt").stat().st_size}


def _target(number: int, share: float) -> str:
    """Return the title itself, a redirect, or a page that is not there."""
    return _name(number) if share < 0.7 else f"R {_name(number // 2)}" if share < 0.9 else f"Red link {number}"


def _page_rows(targets: list[str]) -> pa.Table:
    """Return rows of `pages/` with these links, and nothing else in them."""
    offsets = pa.array(range(0, len(targets) + 1, _LINKS_A_ROW), pa.int32())
    ends = pa.array(np.ones(len(targets), np.int32))
    links = pa.ListArray.from_arrays(
        offsets, pa.StructArray.from_arrays([ends, ends, targets], ["start", "end", "target"])
    )
    columns = [links if each.name == "links" else pa.nulls(len(links), each.type) for each in UNTYPED]
    return pa.table(columns, UNTYPED.names).cast(UNTYPED)


def _type(work: Path, workers: int) -> dict[str, Any]:
    folder, seconds = work / "corpus", {}
    for name in (SCRATCH, "targets"):
        shutil.rmtree(folder / name, ignore_errors=True)
    with LocalExecutor(workers) as executor:
        begin = time.monotonic()
        none = Titles({}, np.zeros(0, np.int64), 0)
        report = write_targets(folder, none, open_knowledge([work / "types.nt"], "en"), executor)
        seconds["write_targets"] = time.monotonic() - begin
        seconds["cpu"] = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
        begin = time.monotonic()
        read = sum(executor.map_ordered(partial(_read, folder=folder), shard_paths(folder / "pages")))
        seconds["read_targets"] = time.monotonic() - begin
    return {**seconds, "targets": report.targets, "typed": report.typed, "read": read}


def _read(part: Path, folder: Path) -> int:
    return len(read_targets(folder, part))


if __name__ == "__main__":
    main()
