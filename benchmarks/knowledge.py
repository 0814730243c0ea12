"""Ten million typed titles: seconds and memory to build the table, and to look a million up in one and two processes.

`python benchmarks/knowledge.py [--titles 10000000] [--lookups 1000000] [--repeats 3]`; takes some 4 GB below the
temporary folder. The input is generated: triples as DBpedia's instance types, names without meaning, 400 classes. The
other side is a plain dictionary of a tenth of the titles in each process, its memory and seconds times ten; a worker
of the table maps what all workers share, so its own memory is told apart from that (`/proc/self/smaps_rollup`).
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

from nerbert.corpus.knowledge.table import TypeTable
from report import MB, Part, measure, surroundings

from nerbert.corpus.knowledge.knowledge import open_knowledge

_SYLLABLES = "ba do ka li mo nu pe ri sa to va we xi yo ze chu dra fle gro sti".split()
_CLASSES, _SHARE = 400, 10
_AT_ONCE = 30_000
"""Titles that are looked up together: about what one part of a dump links to."""
_LINE = (
    "<http://dbpedia.org/resource/{}> <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> "
    "<http://dbpedia.org/ontology/Class{}> .\n"
)


def main() -> None:
    """Measure all parts; print a table, then one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--titles", type=int, default=10_000_000)
    parser.add_argument("--lookups", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--part", choices=["generate", "build", "lookup", "dict"], help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        print(json.dumps(_PARTS[options.part](options.work, options.titles, options.lookups)))
        return
    with tempfile.TemporaryDirectory() as folder:
        parts = _measure_all(Path(folder), options)
    print("| what | seconds | peak MB | own MB at the end | mapped MB at the end |\n|---|---|---|---|---|")
    for name in dict.fromkeys(part.name for part in parts):
        print(_row(name, [part for part in parts if part.name == name]))
    grown = max(part.counts["own"] - part.counts["before"] for part in parts if part.name.startswith("dictionary"))
    print(f"\na dictionary of all {options.titles:,} titles: {_SHARE * grown / MB:,.0f} MB in each process")
    runs = [asdict(part) for part in parts]
    about = {"titles": options.titles, "lookups": options.lookups, "dictionary_share": 1 / _SHARE}
    print("\n" + json.dumps({**surroundings([], ("nerbert", "pyarrow", "numpy")), **about, "runs": runs}))


def _measure_all(work: Path, options: argparse.Namespace) -> list[Part]:
    def run(part: str, name: str, titles: int, lookups: int, log: str = "log") -> Part:
        command = [sys.executable, __file__, "--part", part, "--work", work, "--titles", titles, "--lookups", lookups]
        return measure(name, list(map(str, command)), work / log)

    run("generate", "generate", options.titles, 0)
    found = []
    for _ in range(options.repeats):
        found.append(run("build", "build the table", options.titles, 0))
        found.append(run("lookup", "look up, 1 process", options.titles, options.lookups))
        with ThreadPoolExecutor(2) as pool:
            half = (options.titles, options.lookups // 2)
            both = [pool.submit(run, "lookup", "look up, each of 2", *half, f"log{number}") for number in range(2)]
            found += [each.result() for each in both]
        found.append(run("dict", f"dictionary, 1/{_SHARE} of the titles", options.titles // _SHARE, options.lookups))
        print(f"repeat {len(found) // 5} done", file=sys.stderr, flush=True)
    return found


def _row(name: str, parts: Sequence[Part]) -> str:
    seconds = [part.counts["seconds"] for part in parts]
    taken = f"{median(seconds):.2f} ({min(seconds):.2f}–{max(seconds):.2f})"
    own, mapped = (max(part.counts[kind] for part in parts) / MB for kind in ("own", "mapped"))
    return f"| {name} | {taken} | {max(part.peak_bytes for part in parts) / MB:.0f} | {own:.0f} | {mapped:.0f} |"


def _generate(work: Path, titles: int, _: int) -> dict[str, Any]:
    with (work / "types.nt").open("w") as file:
        file.writelines(_LINE.format(name, number * 7919 % _CLASSES) for number, name in enumerate(_names(titles)))
    return {"bytes": (work / "types.nt").stat().st_size}


def _build(work: Path, _: int, __: int) -> dict[str, Any]:
    (work / "knowledge.arrow").unlink(missing_ok=True)
    begin = time.monotonic()
    knowledge = open_knowledge([work / "types.nt"], "en")
    knowledge.write_table(work / "knowledge.arrow", work / "scratch")
    seconds = time.monotonic() - begin
    shutil.rmtree(work / "scratch", ignore_errors=True)
    return {"seconds": seconds, "bytes": (work / "knowledge.arrow").stat().st_size, **_memory()}


def _look_up(work: Path, titles: int, lookups: int) -> dict[str, Any]:
    asked = list(_asked(titles, lookups))
    before = _memory()["own"]
    begin = time.monotonic()
    table = TypeTable(work / "knowledge.arrow")
    typed = sum(
        int((table.places_of(asked[start : start + _AT_ONCE])[0] >= 0).sum())
        for start in range(0, len(asked), _AT_ONCE)
    )
    return {"seconds": time.monotonic() - begin, "typed": typed, "before": before, **_memory()}


def _dictionary(_: Path, titles: int, lookups: int) -> dict[str, Any]:
    paths = [(f"Class{number}",) for number in range(_CLASSES)]
    asked = list(_asked(titles, lookups))
    before = _memory()["own"]
    begin = time.monotonic()
    table = {
        name.replace("_", " "): (paths[number % _CLASSES], "types.nt") for number, name in enumerate(_names(titles))
    }
    built = time.monotonic() - begin
    begin = time.monotonic()
    typed = sum(title in table for title in asked)
    return {"seconds": time.monotonic() - begin, "built": built, "typed": typed, "before": before, **_memory()}


def _names(titles: int) -> Iterator[str]:
    words = ["".join(each).title() for each in product(_SYLLABLES, repeat=3)]
    return (f"{words[number % 7_993]}_{words[number * 7 % 7_951]}_{number:x}" for number in range(titles))


def _asked(titles: int, lookups: int) -> Iterator[str]:
    """Titles of the table and, every fourth, one that isn't there."""
    names = (
        name.replace("_", " ") for number, name in enumerate(_names(titles)) if number % max(1, titles // lookups) == 0
    )
    for number, name in zip(range(lookups), names, strict=False):
        yield f"{name} no" if number % 4 == 3 else name


def _memory() -> dict[str, int]:
    """Bytes of this process's own memory, and of files that it maps (which processes share)."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
    return {"own": sizes["Anonymous"], "mapped": sizes["Rss"] - sizes["Anonymous"], "pid": os.getpid()}


_PARTS = {"generate": _generate, "build": _build, "lookup": _look_up, "dict": _dictionary}


if __name__ == "__main__":
    main()
