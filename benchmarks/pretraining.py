"""nerbert's pre-training loop against Hugging Face's `Trainer`: real pieces (padding not counted) per CPU second, on
the same model, windows, batch size, schedule and steps.

`python benchmarks/pretraining.py ENCODER CORPUS [--steps 100] [--rounds 3] [--sides nerbert Trainer …] [settings]`

CORPUS is a folder that `nerbert corpus build` made. First both sides train one step on the same windows without
dropout: losses, gradient norms and pieces must be the same. Then each side is a process of its own
(run_pretraining.py), sides in turn, one torch thread; a round is a seed. Counted are the CPU seconds of the training
alone, after some steps that warm up; whole processes stand in the JSON beside. `Trainer` is its default collator in
random order, `Trainer, best` what it offers for a CPU: windows of a length together, no logs, no bar. Both are in bf16,
and both are spared checkpoints and tokenising. `Trainer` needs accelerate.

`Trainer, best` sorts within 50 steps, so a number of steps that is a multiple of 50 holds short and long ones alike.
"""

import argparse
import json
import math
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from report import MB, Part, digest, measure, ratio, surroundings
from run_pretraining import SIDES

HERE = Path(__file__).parent
PACKAGES = ("nerbert", "torch", "transformers", "accelerate", "tokenizers", "numpy")


@dataclass(frozen=True, slots=True)
class Training:
    """One side with one seed."""

    side: str
    seed: int
    load: float
    part: Part

    @property
    def speed(self) -> float:
        """Real pieces per CPU second of training."""
        return float(self.part.counts["pieces"] / self.part.counts["cpu_seconds"])


def main() -> None:
    """Check that both sides do the same, measure them alternately; print a table, then one line of JSON."""
    options = _options()
    os.environ |= {"OMP_NUM_THREADS": str(options.threads), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    around = surroundings([options.corpus / "manifest.json"], PACKAGES)
    around["weights_sha256"] = [digest(path) for path in sorted(Path(options.encoder).glob("*.safetensors"))]
    with tempfile.TemporaryDirectory(dir=options.work) as name:
        checked = _child(options, Path(name), "check", 1).counts
        print(f"check: {checked}", file=sys.stderr, flush=True)
        if not _agree(checked):
            sys.exit("the two sides don't do the same")
        trainings = _train(options, Path(name))
    print(
        f"{table(trainings)}\n\n{options.steps} steps of {options.batch_size} windows; first step of both: {checked}\n"
    )
    settings = {key: value for key, value in vars(options).items() if not isinstance(value, Path)}
    runs = [asdict(each) for each in trainings]
    print(json.dumps({**around, "settings": settings, "check": checked, "runs": runs}))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encoder", help="folder of the encoder")
    parser.add_argument("corpus", type=Path, help="folder of the corpus")
    parser.add_argument("--steps", type=int, default=100, help="counted steps of a run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sides", nargs="+", default=list(SIDES[:5]), choices=SIDES)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--work", type=Path, help="folder for pieces and logs")
    return parser.parse_args()


def _agree(checked: dict[str, list[float]]) -> bool:
    same = (math.isclose(*checked[name], rel_tol=1e-4) for name in ("loss", "norm"))
    return all(same) and checked["pieces"][0] == checked["pieces"][1]


def _train(options: argparse.Namespace, work: Path) -> list[Training]:
    trainings = []
    for seed in range(1, options.rounds + 1):
        for side in options.sides:
            trainings.append(Training(side, seed, os.getloadavg()[0], _child(options, work, side, seed)))
            told = f"{trainings[-1].speed:.0f} pieces per CPU s, loss {trainings[-1].part.counts['loss']:.3f}"
            print(f"round {seed}: {side}: {told}", file=sys.stderr, flush=True)
    return trainings


def _child(options: argparse.Namespace, work: Path, side: str, seed: int) -> Part:
    settings = {"work": work, "seed": seed} | {
        name.replace("_", "-"): getattr(options, name) for name in ("steps", "batch_size", "threads")
    }
    words = [word for key, value in settings.items() for word in (f"--{key}", str(value))]
    command = [sys.executable, HERE / "run_pretraining.py", side, options.encoder, options.corpus, *words]
    return measure(side, command, work / f"{side}-{seed}.log")


def table(trainings: Sequence[Training]) -> str:
    """Markdown: speed with its spread, padding, memory, and how many times faster nerbert is, in the same precision."""
    lines = [
        "| side | real pieces per CPU s | padding | micro-batches a step | loss | peak MB | nerbert faster |",
        "|---|---|---|---|---|---|---|",
    ]
    sides = list(dict.fromkeys(each.side for each in trainings))
    speeds = {side: [each.speed for each in trainings if each.side == side] for side in sides}
    for side in sides:
        own = [each.part for each in trainings if each.side == side]
        total = {
            name: sum(part.counts[name] for part in own) for name in ("pieces", "padded_pieces", "passes", "steps")
        }
        against = speeds.get("nerbert, fp32" if side.endswith("fp32") else "nerbert", [])
        cells = [
            f"{median(speeds[side]):.0f} ({min(speeds[side]):.0f}–{max(speeds[side]):.0f})",
            f"{100 * (1 - total['pieces'] / total['padded_pieces']):.1f} %",
            f"{total['passes'] / total['steps']:.2f}",
            f"{median(part.counts['loss'] for part in own):.3f}",
            f"{max(part.peak_bytes for part in own) / MB:.0f}",
            ratio(against or [0], speeds[side]),
        ]
        lines.append(f"| {side} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
