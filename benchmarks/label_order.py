"""How much a zero-shot tagger's spans depend on the order of its labels.

`python benchmarks/label_order.py MODEL FILE --labels "person,ship,…" [--orders 10] [--texts 200] [--threshold 0.5]`

MODEL is a GLiNER folder or an encoder that learnt concepts, FILE one of open types. The labels are asked for in several
orders, drawn by number. Printed are the F1 of each order's entities against the first order's, the greatest difference
in confidence of an entity that both have, and F1 against the file's own marks of these types.
"""

import argparse
from itertools import islice
from pathlib import Path
from statistics import mean

import numpy as np

from nerbert import Tagger
from nerbert.formats.open_types import read_open_types

Found = dict[tuple[int, int, int, str], float]


def main() -> None:
    """Tag the texts under each order, and print how the entities differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("file", type=Path)
    parser.add_argument("--labels", required=True)
    parser.add_argument("--orders", type=int, default=10)
    parser.add_argument("--texts", type=int, default=200)
    parser.add_argument("--threshold", type=float, default=0.5)
    options = parser.parse_args()
    labels = options.labels.split(",")
    texts = list(islice(read_open_types(options.file), options.texts))
    gold = {(number, each.start, each.end, each.type): 1.0
            for number, text in enumerate(texts) for each in text.entities if each.type in labels}  # fmt: skip
    tagger = Tagger.load(options.model, precision="fp32", device="cpu", threads=1, thresholds=options.threshold)
    runs = list[Found]()
    for order in range(options.orders):
        places = np.random.default_rng(order).permutation(len(labels)) if order else range(len(labels))
        spans = tagger.tag_many([each.text for each in texts], [labels[place] for place in places])
        runs.append({(number, each.start, each.end, each.type): each.confidence
                     for number, found in enumerate(spans) for each in found})  # fmt: skip
    alike, right = [100 * _f1(runs[0], run) for run in runs[1:]], [100 * _f1(gold, run) for run in runs]
    moved = max((abs(runs[0][each] - run[each]) for run in runs for each in runs[0].keys() & run.keys()), default=0.0)
    print(f"{len(texts)} texts, {len(labels)} labels, {options.orders} orders, threshold {options.threshold}")
    print(f"entities: {min(map(len, runs))} to {max(map(len, runs))}")
    print(f"F1 of the other orders against the first: {mean(alike):.1f}, at least {min(alike):.1f}")
    print(f"confidences differ by up to {moved:.3f}")
    print(f"F1 against the file's marks: {mean(right):.1f}, from {min(right):.1f} to {max(right):.1f}")


def _f1(gold: Found, found: Found) -> float:
    return 2 * len(gold.keys() & found.keys()) / max(1, len(gold) + len(found))


if __name__ == "__main__":
    main()
