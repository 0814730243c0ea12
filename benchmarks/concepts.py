"""A step of the objective `concepts` against one of `tagging`: CPU seconds on the same windows, in turn, one process.

`python benchmarks/concepts.py ENCODER CORPUS [--subwords 16000] [--concepts 500] [--rounds 5] [--frozen -1]`

CORPUS is a folder that `nerbert corpus build` made; its sentences are taken in the order of an epoch until they have
enough subwords. Each mention gets one of the concepts at random, all of which occur; their names are classes and pairs
of classes. Both sides are whole steps of the training loop (cutting, loss, gradients, update) with dropout, in bf16
where the processor has it, on one thread. Tagging trains all layers, concepts the upper half, as their defaults are;
`--frozen 0` trains all on both sides.
"""

import argparse
import json
import os
import time
from dataclasses import replace
from itertools import product
from pathlib import Path
from statistics import median

import numpy as np
from report import surroundings

from nerbert.encoder.objectives.concepts import Concepts
from nerbert.encoder.pretrain import Preparation, prepare
from nerbert.encoder.settings import PretrainSettings
from nerbert.model.concept_table import Concept, ConceptTable, class_words
from nerbert.rng import Array
from nerbert.training.distributed import make_process_group
from nerbert.training.loop import make_optimizer
from nerbert.training.step import train_step

PACKAGES = ("nerbert", "torch", "transformers", "accelerate", "tokenizers", "numpy")


def main() -> None:
    """Measure both sides in turn; print the medians and their ratio, then one line of JSON."""
    options = _options()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    sides = {name: _side(options, name) for name in ("tagging", "concepts")}
    numbers = _step(sides["tagging"][0], options.subwords)
    _spread(*sides["concepts"], options.concepts, numbers)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for round_ in range(options.rounds + 1):
        for name, (work, settings) in sides.items():
            optimizer = make_optimizer(work.model, settings, "cpu")
            begin = time.process_time()
            figures = train_step(
                work.model.train(), work.data, numbers, work.objective, optimizer, 1e-5, settings,
                make_process_group(settings), round_ + 1,
            )  # fmt: skip
            if round_:  # the first one warms up
                seconds[name].append(time.process_time() - begin)
    middle = {name: median(each) for name, each in seconds.items()}
    ratio = middle["concepts"] / middle["tagging"]
    subwords = int(sides["tagging"][0].data.windows.lengths_of(numbers).sum())
    print(f"{subwords:,} subwords in {len(numbers)} windows, {figures['concepts']:.0f} concepts")
    print(f"tagging {middle['tagging']:.2f} s, concepts {middle['concepts']:.2f} s of CPU: ratio {ratio:.2f}")
    around = surroundings([options.corpus / "manifest.json"], PACKAGES)
    print(json.dumps({"seconds": seconds, "ratio": ratio, "subwords": subwords, "frozen": options.frozen, **around}))


def _side(options: argparse.Namespace, name: str) -> tuple[Preparation, PretrainSettings]:
    frozen = options.frozen if name == "concepts" else 0
    settings = PretrainSettings(
        corpus=options.corpus, backbone=options.encoder, objective=name, threads=1, num_frozen_layers=frozen
    )
    return prepare(settings, make_process_group(settings)), settings


def _step(work: Preparation, subwords: int) -> Array:
    """Return windows with so many subwords together."""
    numbers = work.data.numbers_of(0)
    order = numbers[np.random.default_rng(1).permutation(len(numbers))]
    return order[: int(np.searchsorted(np.cumsum(work.data.windows.lengths_of(order)), subwords)) + 1]


def _spread(work: Preparation, settings: PretrainSettings, count: int, numbers: Array) -> None:
    """Give the mentions of a step's words one of `count` concepts each, in turn."""
    objective = work.objective
    if not isinstance(objective, Concepts) or work.source.labels is None:
        raise TypeError("not a training of concepts")
    classes = [class_words(each) for each in work.source.labels.categories]
    names = [*classes, *(f"{one} of {other}" for one, other in product(classes, classes) if one != other)]
    table = ConceptTable()
    table.add_rows([((table.add(Concept(name)),), None) for name in names[:count]])
    labels = np.array(work.data.windows.labels)
    mentions = np.flatnonzero(labels > 0)
    labels[mentions] = 1 + np.arange(len(mentions)) % count
    objective = Concepts(table, {}, settings, objective._backbone)
    data = replace(work.data, windows=replace(work.data.windows, labels=labels))
    work_ = {"objective": objective, "data": data}
    for name, value in work_.items():
        object.__setattr__(work, name, value)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encoder")
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--subwords", type=int, default=16_000)
    parser.add_argument("--concepts", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frozen", type=int, default=-1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
