"""What int8 costs a zero-shot model in F1, and what its graphs change, on annotated sets: torch, onnx fp32, onnx int8.

`python benchmarks/int8.py MODEL SUITE DATA --sets crossner_politics,btc [-o exports]`

MODEL is a GLiNER folder, SUITE names the labels of types (`suites/zero_shot.toml`), DATA holds the sets. int8
is tried on the set's dev sentences; the threshold is the one of six that is best there in torch; F1 is the test's.
"""

import argparse
import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")

from report import surroundings

from nerbert.artifacts import sha256_of
from nerbert.evaluation.evaluate import evaluate
from nerbert.tagger.export import export

THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7)
BACK_ENDS = {"torch fp32": ("torch", "fp32"), "onnx fp32": ("onnx", "fp32"), "onnx int8": ("onnx", "int8")}


def main() -> None:
    """Print a table, then one line of JSON."""
    options = _options()
    targets = {each["data"]: each for each in tomllib.loads(options.suite.read_text())["targets"]}
    print("| set | threshold | " + " | ".join(BACK_ENDS) + "")
    print("|---|---|" + "---|" * len(BACK_ENDS))
    results = []
    for name in options.sets.split(","):
        target = targets[name]
        labels = dict(each.split("=") for each in target["labels"] if "=" in each)
        folder = options.data / name
        place = options.output / f"{options.model.name}-{name}"
        export(options.model, int8=True, output=place, data=folder / "dev.conll", max_loss=100, overwrite=True)

        dev = {each: _f1(options.model, folder / "dev.conll", labels, each) for each in THRESHOLDS}
        best, test = max(dev, key=lambda each: dev[each]), folder / "test.conll"
        scores = {
            how: 100 * _f1(options.model if how[:5] == "torch" else place, test, labels, best, *back_end)
            for how, back_end in BACK_ENDS.items()
        }
        figures = " | ".join(f"{each:.2f}" for each in scores.values())
        print(f"| {name} | {best} | {figures} |", flush=True)
        results.append({"set": name, "sha256": sha256_of(test), "threshold": best, "f1": scores})
    about = surroundings([], ("nerbert", "torch", "transformers", "onnxruntime"))
    print("\n" + json.dumps({"model": options.model.name, "results": results, **about}))


def _f1(
    model: Path,
    gold: Path,
    labels: Mapping[str, str],
    threshold: float,
    backend: str = "torch",
    precision: str = "fp32",
) -> float:
    how = {"backend": backend, "precision": precision, "thresholds": threshold}
    return evaluate(model, gold, labels=labels, **how).f1_mean  # type: ignore[arg-type]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("suite", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", required=True)
    parser.add_argument("-o", "--output", type=Path, default=Path("exports"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
