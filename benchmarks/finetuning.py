"""nerbert's fine-tuning against the plain `transformers` recipe: F1 and CPU seconds on the same sentences, settings and
seeds.

`python benchmarks/finetuning.py MODEL DATA [--sentences 100] [--seeds 1 2 3] [--sides nerbert plain …] [settings]`

DATA holds train.conll and test.conll; dev.conll is left out, since nobody chooses by it here. Each side is the command
that its users run (`nerbert finetune`; run_finetune.py, plain_recipe.py), one process at a time and one torch thread,
sides in turn for each seed. Counted are the CPU seconds of the whole command (imports, loading, training, saving) and
of the training alone; tagging the test set comes after, uncounted, by each side's own means, and seqeval scores all
words. `plain` is `Trainer` by its defaults, `plain, better` the same tuned for a CPU (bf16, lengths together, no
checkpoint), `nerbert, fp32` nerbert without bf16.
"""

import argparse
import json
import math
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean, median, stdev

from report import MB, Part, digest, measure, ratio, surroundings

from nerbert.data.sampling import draw_subset
from nerbert.data.splits import read_data
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.formats.conll import write_conll
from nerbert.training.run import total_steps

HERE = Path(__file__).parent
SIDES = ("nerbert", "plain", "plain, better", "nerbert, fp32")
PACKAGES = ("nerbert", "torch", "transformers", "accelerate", "tokenizers", "datasets", "seqeval", "numpy")
DEFAULTS = FinetuneSettings()


@dataclass(frozen=True, slots=True)
class Tuning:
    """One side with one seed: what the command cost, and the F1 of its tagger."""

    side: str
    seed: int
    part: Part
    f1: float

    @property
    def training(self) -> float:
        """CPU seconds of the training alone."""
        return float(self.part.counts["training_cpu_seconds"])


def main() -> None:
    """Measure all sides alternately; print tables, then one line of JSON."""
    options = _options()
    os.environ |= {"OMP_NUM_THREADS": str(options.threads), "HF_HUB_OFFLINE": "1"}
    examples = read_data(options.data / "train.conll").train
    chosen = draw_subset(examples, options.sentences, options.draw).places
    test = options.data / "test.conll"
    with tempfile.TemporaryDirectory(dir=options.work) as name:
        train = Path(name) / "data" / "train.conll"
        train.parent.mkdir()
        write_conll(train, [examples[place] for place in chosen])
        around = surroundings([options.data / "train.conll", test], PACKAGES) | {"subset_sha256": digest(train)}
        around["weights_sha256"] = [digest(path) for path in sorted(Path(options.model).glob("*.safetensors"))]
        steps = options.steps or total_steps(len(chosen), replace(DEFAULTS, batch_size=options.batch_size))
        tunings = _tune(options, train, test, steps)
    print(f"{table(tunings)}\n\n{differences(tunings)}\n\n{len(chosen)} sentences, {steps} steps; {around}\n")
    settings = {key: value for key, value in vars(options).items() if not isinstance(value, Path)}
    print(json.dumps({**around, "settings": settings, "steps": steps, "runs": [asdict(each) for each in tunings]}))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of the encoder")
    parser.add_argument("data", type=Path)
    parser.add_argument("--sentences", default="all", help='size of the training set, as "100" or "5%%"')
    parser.add_argument("--draw", type=int, default=1, help="number of the draw")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--sides", nargs="+", default=list(SIDES[:3]), choices=SIDES)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--work", type=Path, help="folder for models and logs")
    parser.add_argument("--steps", type=int, default=0, help="default: as many as nerbert would take")
    parser.add_argument("--batch-size", type=int, default=DEFAULTS.batch_size)
    parser.add_argument("--learning-rate", type=float, default=2e-4, help="default: nerbert's for small encoders")
    parser.add_argument("--weight-decay", type=float, default=DEFAULTS.weight_decay)
    parser.add_argument("--warmup", type=float, default=DEFAULTS.warmup_ratio)
    parser.add_argument("--clip", type=float, default=DEFAULTS.max_grad_norm)
    return parser.parse_args()


def _tune(options: argparse.Namespace, train: Path, test: Path, steps: int) -> list[Tuning]:
    """Every side with every seed, sides in turn."""
    tunings = []
    for seed in options.seeds:
        for side in options.sides:
            work = train.parent.parent
            output, log = work / f"{side}-{seed}", work / f"{side}-{seed}.log"
            ours = side.startswith("nerbert")
            command = (_ours if ours else _plain)(options, side, seed, train, output, steps)
            part = measure(side, [sys.executable, *command], log)
            if part.counts["steps"] != steps:
                sys.exit(f"{side}: {part.counts['steps']} steps instead of {steps}")
            script = HERE / ("run_finetune.py" if ours else "plain_recipe.py")
            words = [output, "--predict", test] if ours else [output, test, "--predict", "--output", work]
            found = measure(side, [sys.executable, script, *words], log.with_suffix(".test.log"))
            tunings.append(Tuning(side, seed, part, found.counts["f1"]))
            print(
                f"seed {seed}: {side}: {part.cpu_seconds:.1f} CPU s, of them {tunings[-1].training:.1f} in training; "
                f"F1 {100 * tunings[-1].f1:.2f}",
                file=sys.stderr,
                flush=True,
            )
    return tunings


def _ours(options: argparse.Namespace, side: str, seed: int, train: Path, output: Path, steps: int) -> list[str | Path]:
    settings = {
        "seed": seed,
        "min_steps": steps,
        "max_steps": steps,
        "batch_size": options.batch_size,
        "learning_rate": options.learning_rate,
        "weight_decay": options.weight_decay,
        "warmup_ratio": options.warmup,
        "max_grad_norm": options.clip,
    } | ({"precision": "fp32"} if side.endswith("fp32") else {})
    words = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    return [HERE / "run_finetune.py", options.model, "--data", train.parent, "-o", output, *words]


def _plain(
    options: argparse.Namespace, side: str, seed: int, train: Path, output: Path, steps: int
) -> list[str | Path]:
    settings = {
        "seed": seed,
        "steps": steps,
        "batch-size": options.batch_size,
        "learning-rate": options.learning_rate,
        "weight-decay": options.weight_decay,
        "warmup": options.warmup,
        "clip": options.clip,
    }
    words = [word for key, value in settings.items() for word in (f"--{key}", str(value))]
    better = ["--better"] if side.endswith("better") else []
    return [HERE / "plain_recipe.py", options.model, train, "--output", output, *words, *better]


def table(tunings: Sequence[Tuning]) -> str:
    """Markdown: F1, CPU seconds, and how many times faster nerbert is than each side."""
    lines = [
        "| side | F1 | CPU s, whole command | CPU s, training | peak MB | nerbert faster: command | training |",
        "|---|---|---|---|---|---|---|",
    ]
    whole = {side: [each.part.cpu_seconds for each in own] for side, own in _by_side(tunings).items()}
    train = {side: [each.training for each in own] for side, own in _by_side(tunings).items()}
    for side, own in _by_side(tunings).items():
        times = [_ratio(cost, side) for cost in (whole, train)]
        peak = max(each.part.peak_bytes for each in own) / MB
        cells = [f1_told(own), _spread(whole[side]), _spread(train[side]), f"{peak:.0f}", *times]
        lines.append(f"| {side} | {' | '.join(cells)} |")
    return "\n".join(lines)


def differences(tunings: Sequence[Tuning]) -> str:
    """F1 of the other sides minus nerbert's, with the standard error that both sides' seeds give."""
    by_side = _by_side(tunings)
    base = [100 * each.f1 for each in by_side.get(SIDES[0], [])]
    lines = []
    for side, own in by_side.items():
        other = [100 * each.f1 for each in own]
        if side != SIDES[0] and min(len(base), len(other)) > 1:
            error = math.sqrt(stdev(base) ** 2 / len(base) + stdev(other) ** 2 / len(other))
            lines.append(f"F1 of {side} − nerbert: {mean(other) - mean(base):+.2f} (standard error {error:.2f})")
    return "\n".join(lines)


def f1_told(tunings: Sequence[Tuning]) -> str:
    """`56.13 ± 0.60 (55.49, 56.67, 56.24)`."""
    figures = [100 * each.f1 for each in tunings]
    spread = f" ± {stdev(figures):.2f}" if len(figures) > 1 else ""
    return f"{mean(figures):.2f}{spread} ({', '.join(f'{each:.2f}' for each in figures)})"


def _by_side(tunings: Sequence[Tuning]) -> dict[str, list[Tuning]]:
    return {side: [each for each in tunings if each.side == side] for side in dict.fromkeys(e.side for e in tunings)}


def _spread(costs: Sequence[float]) -> str:
    return f"{median(costs):.1f} ({min(costs):.1f}–{max(costs):.1f})"


def _ratio(costs: dict[str, list[float]], side: str) -> str:
    return ratio([1 / each for each in costs.get(SIDES[0], [])] or [0], [1 / each for each in costs[side]])


if __name__ == "__main__":
    main()
