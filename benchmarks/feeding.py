"""What feeding alone gives, beside what a training step takes: real pieces (padding not counted) per CPU second.

`python benchmarks/feeding.py ENCODER CORPUS [--windows 200000] [--rounds 3] [--steps 30]`

CORPUS is a folder that `nerbert corpus build` made. Its windows, cut by the encoder's tokenizer, are written again and
again until there are `--windows` of them, and mapped. Feeding is all that the loop does before a batch goes into the
model: the order of the epoch, steps, micro-batches, padding, and what the objective draws. It is measured with batches
of 32 and 960 windows, cut as for a CPU and as for a GPU, for `tagging` and for `mlm`. The step is nerbert's loop
(run_pretraining.py) in a process of its own, in turn with feeding. Last, the order of an epoch of `--ordered` windows
of made-up lengths, in a process of its own for its memory.

What a GPU would take is an estimate, not a measurement: six operations for each weight of BERT-base (85 million without
embeddings) and piece, at `--gpu-flops` a second.
"""

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median

import numpy as np
from report import MB, Part, measure, surroundings

from nerbert.corpus.shards import read_manifest
from nerbert.encoder.corpus_labels import read_label_set
from nerbert.encoder.objectives.mlm import Mlm
from nerbert.encoder.preprocess import open_training_data
from nerbert.encoder.settings import PretrainSettings
from nerbert.model.backbone import Backbone, load_tokenizer
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.model.windows import Windows, open_windows, write_windows
from nerbert.training.batches import TrainingData, batches_of, steps_of_epoch
from nerbert.training.objective import Objective, Task
from nerbert.training.tagging import Tagging

HERE = Path(__file__).parent
PACKAGES = ("nerbert", "torch", "transformers", "tokenizers", "numpy")
BERT_BASE = 6 * 85_000_000
"""Operations of a piece, forward and backward."""
GOAL = 10


def main() -> None:
    """Measure feeding and training in turn; print tables, then one line of JSON."""
    options = _options()
    if options.alone:
        print(json.dumps(order(options.ordered)))
        return
    os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    around = surroundings([options.corpus / "manifest.json"], PACKAGES) | {"load": os.getloadavg()[0]}
    with tempfile.TemporaryDirectory(dir=options.work) as name:
        sides = _sides(options, Path(name))
        fed: dict[str, list[float]] = {}
        steps = []
        for seed in range(1, options.rounds + 1):
            steps.append(_child(options, Path(name), seed))
            for side, feed in sides.items():
                fed.setdefault(side, []).append(feed(seed))
            print(f"round {seed}: {_speed(steps[-1]):.0f} trained; {_last(fed)}", file=sys.stderr, flush=True)
        command = [sys.executable, HERE / "feeding.py", options.encoder, options.corpus, "--alone"]
        ordering = measure("order", [*command, "--ordered", str(options.ordered)], Path(name) / "order.log").counts
    taken = [_speed(part) for part in steps]
    print(f"{table(fed, taken, options.gpu_flops)}\n\nOrder of an epoch: {ordering}\n")
    settings = {key: value for key, value in vars(options).items() if not isinstance(value, Path)}
    runs = {"fed": fed, "trained": [asdict(part) for part in steps], "order": ordering}
    print(json.dumps({**around, "settings": settings, **runs}))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encoder", help="folder of the encoder")
    parser.add_argument("corpus", type=Path, help="folder of the corpus")
    parser.add_argument("--windows", type=int, default=200_000)
    parser.add_argument("--ordered", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=30, help="of training, in each round")
    parser.add_argument("--gpu-flops", type=float, default=4e14, help="default: 40 %% of an H100's bf16 peak")
    parser.add_argument("--work", type=Path, help="folder for pieces and logs")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def _sides(options: argparse.Namespace, work: Path) -> dict[str, Callable[[int], float]]:
    """What is fed: name → seed → real pieces per CPU second."""
    from transformers import AutoConfig

    settings = PretrainSettings(corpus=options.corpus, backbone=options.encoder, cache=str(work / "cache"))
    manifest, tokenizer = read_manifest(settings.corpus), load_tokenizer(options.encoder)
    config = AutoConfig.from_pretrained(options.encoder)
    pieces = SubwordTokenizer(tokenizer, config, settings.max_length)
    small = open_training_data(manifest, read_label_set(manifest, settings), pieces, settings).windows
    (work / "windows").mkdir()
    write_windows(work / "windows", _again(small, options.windows))
    windows = open_windows(work / "windows")
    tagging, mlm = Tagging(), Mlm.of(Task((), settings, Backbone(options.encoder, tokenizer, settings.seed)))

    def side(size: int, device: str, objective: Objective) -> Callable[[int], float]:
        return lambda seed: fed_per_second(
            windows, size, device, objective, pieces.pad_id, replace(settings, seed=seed)
        )

    kinds = ("tagging", tagging), ("mlm", mlm)
    return {
        f"{name}, {size} windows, cut for a {device}": side(size, device, objective)
        for name, objective in kinds
        for size in (32, 960)
        for device in ("cpu", "cuda")
    }


def _again(windows: Windows, count: int) -> Iterator[Windows]:
    while count > 0:
        yield windows
        count -= len(windows)


def fed_per_second(
    windows: Windows, size: int, device: str, objective: Objective, pad_id: int, settings: PretrainSettings
) -> float:
    """Real pieces per CPU second of one epoch, its order included."""
    feed = TrainingData(windows, lambda _: np.arange(len(windows)), pad_id)
    settings = replace(settings, batch_size=size)
    pieces, begin = 0, time.process_time()
    for step, (_, numbers) in enumerate(feed.steps(settings, 0, -(-len(windows) // size)), 1):
        cut = batches_of(windows, numbers, settings.max_tokens_per_batch, device, pad_id)
        batches = [objective.prepare(batch, step) for batch in cut]
        if sum(objective.terms(batch)["loss"] for batch in batches) <= 0:
            sys.exit(f"step {step} has no terms")
        pieces += int(windows.lengths_of(numbers).sum())
    return pieces / (time.process_time() - begin)


def order(count: int) -> dict[str, float]:
    """What it takes to put an epoch of `count` windows of lengths around 37 in order."""
    lengths = np.clip(np.random.default_rng(1).lognormal(3.5, 0.45, count), 8, 256).astype(np.int64)
    numbers, before = np.arange(count), _peak()
    begin = time.process_time()
    steps = steps_of_epoch(numbers, lengths, 32, 1, 0)
    seconds = time.process_time() - begin
    return {"windows": count, "steps": len(steps), "cpu_seconds": seconds, "more_peak_mb": (_peak() - before) / MB}


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _child(options: argparse.Namespace, work: Path, seed: int) -> Part:
    words = ["--work", str(work), "--seed", str(seed), "--steps", str(options.steps)]
    command = [sys.executable, HERE / "run_pretraining.py", "nerbert", options.encoder, options.corpus, *words]
    return measure("nerbert", command, work / f"nerbert-{seed}.log")


def _speed(part: Part) -> float:
    return float(part.counts["pieces"] / part.counts["cpu_seconds"])


def _last(fed: dict[str, list[float]]) -> str:
    return ", ".join(f"{name}: {speeds[-1]:,.0f}" for name, speeds in fed.items())


def table(fed: dict[str, list[float]], taken: Sequence[float], gpu_flops: float) -> str:
    """Markdown: pieces per CPU second, and how often that is what training takes."""
    gpu = gpu_flops / BERT_BASE
    lines = ["| | real pieces per CPU s | times what the step takes | times a GPU (estimate) |", "|---|---|---|---|"]
    for name, speeds in fed.items():
        times = f"{median(speeds) / median(taken):,.0f} | {median(speeds) / gpu:.1f}"
        lines.append(f"| feeding: {name} | {_spread(speeds)} | {times} |")
    lines.append(f"| the step (this encoder, one CPU thread, bf16) | {_spread(taken)} | goal: {GOAL} | |")
    return "\n".join([*lines, f"| estimate: BERT-base at {gpu_flops:.0e} operations/s | {gpu:,.0f} | | |"])


def _spread(speeds: Sequence[float]) -> str:
    return f"{median(speeds):,.0f} ({min(speeds):,.0f}–{max(speeds):,.0f})"


if __name__ == "__main__":
    main()
