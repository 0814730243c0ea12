"""Which order of sentences teaches a tagger more while they are labelled (`nerbert label --order`): random, or mixed.

`python benchmarks/labelling_order.py DATA/mit_movie … [--draws 1,2,3] [-o cells.jsonl]`; each folder has train and dev.
Sentences are labelled as the data has them, in the page's order: one in five is kept apart and not learnt from. The
mixed order is told by a new tagger after 10, 20, 30, 40 and 60 sentences. Both orders share their first ten. Prints F1
on dev after 20, 40 and 80 sentences. Cells that the output has already aren't computed again.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from typing import Any

from nerbert.artifacts import json_line
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.finetuning.train_tagger import finetune_examples
from nerbert.formats.data import read_data
from nerbert.model.heads import predict_entities
from nerbert.serve.labelling.order import Draw, Order
from nerbert.serve.protocols.labelling import uncertainty
from nerbert.tagger.tagger import Tagger
from nerbert.words import SPLITTER

SIZES = (20, 40, 80)
ROUNDS = {"random": SIZES, "mixed": (10, 20, 30, 40, 60, 80)}
MOST = 10_000
"""Sentences to choose from."""


def main() -> None:
    """Compute what is missing; print a table of means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--encoder", default="embedded")
    parser.add_argument("--draws", default="1,2,3")
    parser.add_argument("-o", "--output", type=Path, default=Path("labelling_order.jsonl"))
    options = parser.parse_args()
    done = [json.loads(line) for line in options.output.read_text().splitlines()] if options.output.exists() else []
    for folder in options.data:
        for seed in map(int, options.draws.split(",")):
            for order in ROUNDS:
                if any((each["data"], each["draw"], each["order"]) == (folder.name, seed, order) for each in done):
                    continue
                for cell in _cells(folder, order, seed, options.encoder):  # type: ignore[arg-type]
                    done.append(cell)
                    with options.output.open("a") as stream:
                        stream.write(json_line(cell) + "\n")
    _print(done)


def _cells(folder: Path, order: Order, seed: int, encoder: str) -> Iterator[dict[str, Any]]:
    data = read_data(folder)
    pool = data.train[:MOST]
    draw, labelled, uncertain = Draw(pool, order, seed), list[int](), dict[int, float]()
    shown, cells = 0, []
    for size in ROUNDS[order]:
        while shown < size:
            found = draw.next(uncertain)
            if found is None:
                raise SystemExit(f"{folder}: has fewer than {size} sentences")
            draw.show(found[0])
            shown += 1
            if not found[1]:
                labelled.append(found[0])
        settings = FinetuneSettings(seed=seed, threads=1)
        made = finetune_examples(encoder, [pool[each] for each in labelled], [], settings)
        if size in SIZES:
            f1 = round(100 * predict_entities(made.head, data.dev).score.f1, 2)
            cells.append({"data": folder.name, "draw": seed, "order": order, "size": size, "dev": f1})
        if order == "mixed":
            numbers = draw.sample()
            tagged = Tagger(made.head, SPLITTER, "en").tag_many([pool[each] for each in numbers])
            uncertain = {number: uncertainty(spans) for number, spans in zip(numbers, tagged, strict=True)}
    yield from cells


def _print(cells: list[dict[str, Any]]) -> None:
    print("| data | sentences | random | mixed | difference, by draw |\n|---|---:|---:|---:|---|")
    for data in dict.fromkeys(each["data"] for each in cells):
        for size in SIZES:
            by = {order: {each["draw"]: each["dev"] for each in cells
                          if (each["data"], each["order"], each["size"]) == (data, order, size)}
                  for order in ROUNDS}  # fmt: skip
            both = sorted(by["random"].keys() & by["mixed"].keys())
            if both:
                gained = ", ".join(f"{by['mixed'][each] - by['random'][each]:+.1f}" for each in both)
                means = " | ".join(f"{mean(by[order][each] for each in both):.1f}" for order in ROUNDS)
                print(f"| {data} | {size} | {means} | {gained} |")


if __name__ == "__main__":
    main()
