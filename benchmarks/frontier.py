"""Words per CPU-second and memory of a suite's systems, for draw_frontier.py: writes RESULTS/speeds.json.

`python benchmarks/frontier.py SUITE DATA RESULTS [--encoder NAME=FOLDER …] [--sentences 20] [--times 5]`

Each system is trained once on the first sentences of SUITE's first target, by its command, or with an encoder by
external_nerbert.py. Then processes of its own tag the test sentences, once and several times over; words per CPU-second
are the difference in words over that in CPU seconds (one thread), so that neither the start nor loading counts. Memory
is the peak of the process that tags once. A system whose command doesn't know --keep (external.py) gets its speed by
hand: {"systems": {"NAME": {"words_per_cpu_second": 1234, "memory_mb": 567}}}. Systems that have a speed keep it.
"""

import argparse
import os
import sys
import tempfile
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")

from external import sentences
from report import MB, measure, surroundings

from nerbert.artifacts import write_json
from nerbert.schema import read_json, to_plain
from nerbert_bench.suite import SystemSettings, parse_encoders, read_suite
from nerbert_bench.systems.external import fill_command

SPEEDS = "speeds.json"
"""File of speeds in the results folder."""
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class Speed:
    """The cost of tagging with a system: words per CPU-second (one thread) and peak memory in MB."""

    words_per_cpu_second: _Positive
    memory_mb: _Positive


@dataclass(frozen=True, slots=True)
class Speeds:
    """The content of `speeds.json`: speeds by system name; `about` describes the measurement."""

    systems: dict[str, Speed]
    about: dict[str, Any] = field(default_factory=dict)


def main() -> None:
    """Measure what has no speed yet, and write after each system."""
    options = _options()
    suite = read_suite(options.suite, parse_encoders(options.encoder))
    target = options.data / suite.targets[0].data
    path = options.results / SPEEDS
    speeds = to_plain(read_json(path, Speeds)) if path.is_file() else {"systems": {}, "about": {}}
    for name, system in suite.systems.items():
        if name in speeds["systems"] or not (system.command or system.encoders):
            continue
        with tempfile.TemporaryDirectory() as folder:
            figures = speeds["systems"][name] = _speed(system, target, Path(folder), options)
        print(f"{name}: {figures}", flush=True)
        about = surroundings([], ("nerbert", "torch", "transformers", "onnxruntime"))
        speeds["about"] = {"target": suite.targets[0].data, "sentences": options.sentences, **about}
        write_json(path, speeds)


def _speed(system: SystemSettings, target: Path, folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """Train a system, and measure its tagging."""
    test = (target / "test.conll").read_text(encoding="utf-8").strip("\n") + "\n\n"
    texts = {
        "train": "".join(_blocks(target / "train.conll", options.sentences)),
        "dev": "",
        "once": test,
        "often": test * options.times,
    }
    for name, text in texts.items():
        (folder / f"{name}.conll").write_text(text, encoding="utf-8")

    def run(test: str) -> tuple[float, float]:
        places = {name: folder / f"{name}.conll" for name in ("train", "dev")}
        places |= {"test": folder / f"{test}.conll", "output": folder / "output"}
        part = measure(
            test,
            _command(system, {name: str(each) for name, each in places.items()}, folder / "kept"),
            folder / f"{test}.log",
        )
        return part.cpu_seconds, part.peak_bytes

    run("once")  # trains
    (once, memory), (often, _) = run("once"), run("often")
    words = sum(len(words) for words, _ in sentences(folder / "once.conll"))
    if often < 1.2 * once:
        sys.exit(f"tagging {options.times} times takes {often:.1f} CPU seconds, once {once:.1f}: raise --times")
    speed = words * (options.times - 1) / (often - once)
    return {"words_per_cpu_second": round(speed, 1), "memory_mb": round(memory / MB, 1)}


def _command(system: SystemSettings, places: dict[str, str], kept: Path) -> list[str]:
    """Return the command of a system that keeps its tagger."""
    own = [
        sys.executable,
        str(Path(__file__).with_name("external_nerbert.py")),
        "--encoder",
        *system.encoders[:1],
        "{train}",
        "{dev}",
        "{test}",
        "{output}",
        "{seed}",
    ]
    values = {**places, "seed": "1"}
    return [*fill_command(system.command or own, values), "--keep", str(kept)]


def _blocks(path: Path, most: int) -> list[str]:
    blocks = (f"{block}\n\n" for block in path.read_text(encoding="utf-8").split("\n\n") if "\tB-" in block)
    return list(islice(blocks, most))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--encoder", action="append", default=[])
    parser.add_argument("--sentences", type=int, default=20)
    parser.add_argument("--times", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
