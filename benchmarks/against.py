"""This checkout against another one of the project: corpus, pre-training, fine-tuning, tagging, benchmark, alternately.

`python benchmarks/against.py OTHER DUMP TEXTS [--repeats 5]`; OTHER is a checkout of an earlier commit (`git worktree
add`), DUMP a MediaWiki export, TEXTS a text file. Each job is a process of its own and uses the sample that ships with
the package where it needs a corpus or annotated sentences. A ratio above 1 says that this checkout is faster.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from report import MB, Part, Run, as_json, measure, ratio, surroundings

HERE = Path(__file__).resolve().parents[1]
SAMPLE = HERE / "nerbert" / "sample"
SUITE = """
title = "One cell"
seeds = [1]
[systems.embedded]
encoder = "embedded"
[protocols.short]
max_steps = 20
min_steps = 0
[[targets]]
data = "domain"
"""
PRETRAINING = {"backbone": '"embedded"', "precision": '"fp32"', "threads": "1", "epochs": "1"}


def main() -> None:
    """Measure both; print a table, then one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path)
    parser.add_argument("dump", type=Path)
    parser.add_argument("texts", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    sides = {"this": HERE, "other": options.other.resolve()}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for name, root in sides.items():
            _prepare(root, work / name)
        runs = [
            _run(name, root, work / name, options.dump.resolve(), options.texts.resolve())
            for _ in range(options.repeats)
            for name, root in sides.items()
        ]
    print("| job | this, CPU s | other, CPU s | other / this |\n|---|---|---|---|")
    for place, part in enumerate(runs[0].parts):
        took = {name: [run.parts[place].cpu_seconds for run in runs if run.side == name] for name in sides}
        speeds = {name: [1 / each for each in seconds] for name, seconds in took.items()}
        middle = " | ".join(f"{median(each):.2f}" for each in took.values())
        print(f"| {part.name} | {middle} | {ratio(speeds['this'], speeds['other'])} |")
    print(as_json(runs, surroundings([options.dump, options.texts], ("torch", "transformers", "lxml", "pyarrow"))))


def _prepare(root: Path, work: Path) -> None:
    """Build the sample's corpus with a checkout, and write the settings of its pre-training."""
    work.mkdir()
    (dump,) = (SAMPLE / "wiki").glob("*.xml.bz2")
    command = ["corpus", "build", dump, "--knowledge", SAMPLE / "knowledge", "-o", work / "corpus"]
    _nerbert("corpus", root, work, [*command, "--set", "min_mentions=5"])
    settings = PRETRAINING | {"corpus": f'"{work / "corpus"}"'}
    lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
    (work / "pretraining.toml").write_text(lines)
    (work / "suite.toml").write_text(SUITE)


def _run(side: str, root: Path, work: Path, dump: Path, texts: Path) -> Run:
    out = work / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    finetuning = ["--set", "threads=1", "--set", "precision=fp32", "--set", "epochs=5"]
    tagging = ["--backend", "torch", "--precision", "fp32", "--threads", "1"]
    parts = (
        _nerbert(
            "corpus",
            root,
            work,
            [
                "corpus",
                "build",
                dump,
                "--knowledge",
                SAMPLE / "knowledge",
                "-o",
                out / "corpus",
                "--set",
                "min_mentions=5",
            ],
        ),
        _nerbert("pre-training", root, work, ["pretrain", work / "pretraining.toml", "-o", out / "encoder"]),
        _nerbert(
            "fine-tuning",
            root,
            work,
            ["finetune", "embedded", "--data", SAMPLE / "domain", "-o", out / "tagger", *finetuning],
        ),
        _nerbert("tagging", root, work, ["tag", "embedded", texts, "-o", out / "tags.jsonl", *tagging]),
        _nerbert("benchmark", root, work, ["benchmark", work / "suite.toml", "--data", SAMPLE, "-o", out / "results"]),
    )
    for part in parts:
        print(f"{side}: {part.name}: {part.cpu_seconds:.2f} CPU s", file=sys.stderr, flush=True)
    return Run(side, dump.stat().st_size or MB, parts)


def _nerbert(name: str, root: Path, work: Path, arguments: Sequence[str | Path]) -> Part:
    return _measured(name, root, work, [sys.executable, "-P", "-m", "nerbert", *arguments])


def _measured(name: str, root: Path, work: Path, command: Sequence[str | Path]) -> Part:
    """Run a command with a checkout's code (`-P`: wherever this is run), one thread and a cache of its own."""
    own: Mapping[str, str] = {
        "PYTHONPATH": str(root),
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "XDG_CACHE_HOME": str(work / "cache"),
    }
    os.environ.update(own)
    return measure(name, command, work / f"{name}.log")


if __name__ == "__main__":
    main()
