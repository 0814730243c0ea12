"""What each rule for the share of the trained weights finds, from the table of `trained_share.py`.

`python benchmarks/share_rules.py DATA TABLE.csv RULES.csv`; DATA is the folder of data sets. A row is a cell of the
table: F1 between two measured shares lies on the line between them. `the rule` is nerbert's own.
"""

import argparse
import csv
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import cast

import numpy as np
from trained_share import read_rows

from nerbert.data.catalogue import open_data
from nerbert.data.sampling import draw_subset, parse_size
from nerbert.finetuning.averaging import WeightAverage, choose_share
from nerbert.records import Example

RULES = ("none", "alone", "a half", "n / (n + 4)", "the rule", "best of seven shares", "regret")


class Line:
    """A cell's F1, on the scored and on the training sentences, at any share."""

    def __init__(self, rows: list[dict[str, str]]) -> None:
        rows = sorted(rows, key=lambda row: float(row["share"]))
        self.shares = [float(row["share"]) for row in rows]
        counts = [tuple(int(row[name]) for name in ("right", "predicted", "gold")) for row in rows]
        self.scored = [200 * right / max(1, predicted + gold) for right, predicted, gold in counts]
        self.trained = [float(row["train_f1"]) for row in rows]
        self.share = 1.0

    def use(self, share: float) -> None:
        """Take the place of an average of weights."""
        self.share = share

    def train_f1(self) -> float:
        """Return F1 on the training sentences at the share in use."""
        return float(np.interp(self.share, self.shares, self.trained))

    def f1(self, share: float) -> float:
        """Return F1 on the scored sentences."""
        return float(np.interp(share, self.shares, self.scored))


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("table", type=Path)
    parser.add_argument("rules", type=Path)
    options = parser.parse_args()
    cells = defaultdict[tuple[str, str, str], list[dict[str, str]]](list)
    for row in read_rows(options.table):
        cells[row["data"], row["sentences"], row["draw"]].append(row)
    with options.rules.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["data", "sentences", "draw", "entities", *RULES])
        for (data, size, draw), rows in cells.items():
            entities = count_entities(data, size, int(draw), options.data)
            writer.writerow(
                [data, size, draw, entities, *(f"{f1:.2f}" for f1 in find(Line(rows), int(size), entities))]
            )


def count_entities(data: str, size: str, draw: int, folder: Path) -> int:
    """Return the number of entities in the sentences drawn."""
    train = read_train(data, folder)
    return sum(len(train[place].spans) for place in draw_subset(train, parse_size(size), draw).places)


@cache
def read_train(data: str, folder: Path) -> list[Example]:
    """Return a data set's training sentences."""
    return list(open_data(data, folder).train)


def find(line: Line, sentences: int, entities: int) -> list[float]:
    """Return F1 by each rule, and what the last but one is above nerbert's own."""
    share = choose_share(cast("WeightAverage", line), line.train_f1, sentences, entities)
    shares = [0.0, 1.0, 0.5, sentences / (sentences + 4), share]
    found = [*map(line.f1, shares), max(line.scored)]
    return [*found, found[-1] - found[-2]]


if __name__ == "__main__":
    main()
