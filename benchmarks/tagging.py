"""Words a second of nerbert's tagger beside `transformers.pipeline` and an int8 onnxruntime session, with F1.

`python benchmarks/tagging.py MODEL FILE [--sides …] [--runs 3] [--sentences N] [--work DIR]`

MODEL is a tagger's folder after `nerbert export --onnx --int8`, or `base`: BERT-base's shape with random weights, made
and exported here (speed only). FILE is CoNLL; each side tags its sentences as texts in a process of its own, sides in
turn, one thread. Counted are the CPU seconds of tagging, up to entities as characters; loading is not.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median

from report import MB, Part, digest, measure, ratio, surroundings

HERE = Path(__file__).parent
SIDES = ("pipeline", "session", "torch fp32", "torch bf16", "onnx fp32", "onnx int8")
PACKAGES = ("nerbert", "torch", "transformers", "tokenizers", "onnxruntime", "numpy")


def main() -> None:
    """Measure all sides in turn; print a table, then one line of JSON."""
    options = _options()
    os.environ |= {"OMP_NUM_THREADS": str(options.threads), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        model = base(Path(work), options.tokenizer) if options.model == "base" else Path(options.model)
        parts = [_run(options, model, side, Path(work)) for _ in range(options.runs) for side in options.sides]
        around = surroundings([options.file], PACKAGES) | {
            "weights_sha256": [digest(path) for path in sorted(model.glob("*.safetensors"))]
        }
    print(f"{table(parts)}\n\n{around}\n")
    print(json.dumps({**around, "threads": options.threads, "runs": [asdict(part) for part in parts]}))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a tagger's folder with onnx/ in it, or base")
    parser.add_argument("file", type=Path)
    parser.add_argument("--sides", nargs="+", default=list(SIDES), choices=SIDES)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--sentences", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tokenizer", default="embedded", help="whose pieces `base` has")
    parser.add_argument("--work", type=Path, help="folder for models and logs")
    return parser.parse_args()


def _run(options: argparse.Namespace, model: Path, side: str, work: Path) -> Part:
    more: list[str | Path] = ["--sentences", str(options.sentences)] if options.sentences else []
    command: list[str | Path] = [
        sys.executable,
        HERE / "run_tagging.py",
        side,
        model,
        options.file,
        "--threads",
        str(options.threads),
        *more,
    ]
    part = measure(side, command, work / f"{side}.log")
    print(f"{side}: {speed(part):,.0f} words per CPU second, F1 {100 * part.counts['f1']:.2f}", file=sys.stderr)
    return part


def speed(part: Part) -> float:
    """Words per CPU second of tagging."""
    return float(part.counts["words"] / part.counts["cpu_seconds"])


def table(parts: Sequence[Part]) -> str:
    """Markdown: speed with its spread, times the pipeline's and the session's, F1, entities, peak memory."""
    by_side = {name: [part for part in parts if part.name == name] for name in dict.fromkeys(p.name for p in parts)}
    speeds = {name: [speed(part) for part in own] for name, own in by_side.items()}
    heads = ("side", "words per CPU s", "× pipeline", "× session", "F1", "entities", "peak MB")
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for name, own in by_side.items():
        counts, all_speeds, peak = own[-1].counts, speeds[name], max(each.counts["peak_bytes"] for each in own)
        lines.append(
            f"| {name} | {median(all_speeds):,.0f} ({min(all_speeds):,.0f}–{max(all_speeds):,.0f}) | "
            f"{ratio(all_speeds, speeds.get('pipeline', []))} | {ratio(all_speeds, speeds.get('session', []))} | "
            f"{100 * counts['f1']:.2f} | {counts['entities']:,} | {peak / MB:.0f} |"
        )
    return "\n".join(lines)


def base(work: Path, tokenizer: str) -> Path:
    """BERT-base's shape with random weights, nine classes and a tokenizer of its vocabulary's size, exported."""
    folder = work / "base"
    subprocess.run([sys.executable, HERE / "base_shape.py", folder, tokenizer], check=True)
    subprocess.run([sys.executable, "-m", "nerbert", "export", folder, "--onnx", "--int8"], check=True)
    return folder


if __name__ == "__main__":
    main()
