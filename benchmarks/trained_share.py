"""Which share of the trained weights finds most: a model fine-tuned on few sentences, averaged with its start.

`python benchmarks/trained_share.py DATA TABLE.csv --sets crossner_politics,btc --sizes 5,20 --draws 1,2,3`; DATA is the
folder of data sets. A row per share has its counts on the first `--limit` sentences of the split, all in one type list,
and apart those of the types that no training sentence has. Rows that the table has already are not computed again, so
several processes may fill parts of it. Labels are those of DATA/labels.tsv (set, type, english), else of
suites/starts.toml and suites/zero_shot.toml, else the types in words. `auto` is nerbert's own share.
"""

import argparse
import csv
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from nerbert.artifacts import held
from nerbert.data.catalogue import open_data
from nerbert.data.sampling import draw_subset, parse_size
from nerbert.data.splits import DataSet
from nerbert.entity_labels import parse_type_labels
from nerbert.errors import OutputExists
from nerbert.finetuning.averaging import WeightAverage, choose_share, training_f1
from nerbert.finetuning.domains import Domains
from nerbert.finetuning.finetune import train_tagger
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.finetuning.start import Start
from nerbert.labels import WordSpan, types_of_examples, word_spans
from nerbert.model.heads import Head
from nerbert.records import Example
from nerbert_bench.suite import read_suite

SUITES = ("suites/starts.toml", "suites/zero_shot.toml")
HEADER = (
    "data",
    "split",
    "sentences",
    "draw",
    "share",
    "right",
    "predicted",
    "gold",
    "lacking_right",
    "lacking_gold",
    "train_f1",
    "train_cpu_seconds",
)


@dataclass(frozen=True, slots=True)
class Cell:
    """A data set, and the sentences drawn from its train split."""

    data: str
    size: str
    draw: int


def main() -> None:
    """Add rows to the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("table", type=Path)
    parser.add_argument("--encoder", default="minilm")
    parser.add_argument("--sets", required=True)
    parser.add_argument("--sizes", required=True)
    parser.add_argument("--draws", default="1")
    parser.add_argument("--split", default="dev")
    parser.add_argument("--shares", default="0,0.15,0.3,0.5,0.7,0.85,1")
    parser.add_argument("--limit", type=int, default=300)
    parser.add_argument("--precision", default="auto")
    options = parser.parse_args()
    settings = FinetuneSettings(trained_share=1, threads=1, precision=options.precision)
    for draw in options.draws.split(","):
        for size in options.sizes.split(","):
            for name in options.sets.split(","):
                _add(Cell(name, size, int(draw)), options, settings)


def _add(cell: Cell, options: argparse.Namespace, settings: FinetuneSettings) -> None:
    """Train a cell and add its rows, unless another process does."""
    lock = options.table.with_name(f"{options.table.name}.{cell.data}-{cell.size}-{cell.draw}.lock")
    with suppress(OutputExists), held(lock, ""):
        if cell in _read_cells(options.table, options.split):
            return
        rows = list(_rows(cell, options, settings))
        append_rows(options.table, HEADER, rows)
        print(cell, *(f"{row[4]:.2f} {_f1(row[5:8]):.1f}" for row in rows), flush=True)


def _read_cells(table: Path, split: str) -> set[Cell]:
    rows = [row for row in read_rows(table) if row["split"] == split]
    return {Cell(row["data"], row["sentences"], int(row["draw"])) for row in rows}


def read_rows(table: Path) -> list[dict[str, str]]:
    """Return the rows of a table, none if it isn't there yet."""
    if not table.exists():
        return []
    with table.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def append_rows(table: Path, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Add rows to a table, which begins with its header."""
    new = not table.exists()
    with table.open("a", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows] if new else rows)


def _rows(cell: Cell, options: argparse.Namespace, settings: FinetuneSettings) -> Iterator[Sequence[Any]]:
    data = open_data(cell.data, options.data)
    drawn = draw_subset(data.train, parse_size(cell.size), cell.draw)
    train = [data.train[place] for place in drawn.places]
    scored = list(data.splits[options.split])[: options.limit or None]
    labels = labels_of(cell.data, options.data) or dict.fromkeys(types_of_examples(data.train), "")
    told = {type_: text for type_, text in labels.items() if text}
    domains = Domains(DataSet(Path(cell.data), train), labels=told, types=list(labels))
    start = Start.of(options.encoder, domains, settings)
    average, begun = WeightAverage(start.model), time.process_time()
    start.model.load_state_dict(train_tagger(options.encoder, domains, settings).model.state_dict())
    seconds = round(time.process_time() - begun, 1)
    average.end_training()

    def learnt() -> float:
        return training_f1(start.head(), train)

    entities = sum(len(example.spans) for example in train)
    lacking = set(labels) - set(types_of_examples(train))
    for given in options.shares.split(","):
        share = choose_share(average, learnt, len(train), entities) if given == "auto" else float(given)
        average.use(share)
        right, predicted, gold = _find(start.head(), scored)
        counts = len(right), len(predicted), len(gold), _count(right, lacking), _count(gold, lacking)
        yield (
            cell.data,
            options.split,
            cell.size,
            cell.draw,
            round(share, 4),
            *counts,
            round(100 * learnt(), 2),
            seconds,
        )


def labels_of(name: str, folder: Path) -> dict[str, str]:
    """Return the words for a data set's types; nothing if neither the folder's table nor a suite has them."""
    table = folder / "labels.tsv"
    if table.is_file():
        with table.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file, delimiter="\t") if row["set"] == name]
        return {row["type"]: row["english"] for row in rows}
    targets = [target for suite in SUITES for target in read_suite(Path(suite)).targets if target.data == name]
    return dict(parse_type_labels(targets[0].labels)) if targets else {}


def _find(head: Head, examples: Sequence[Example]) -> tuple[list[WordSpan], list[WordSpan], list[WordSpan]]:
    """Return the right entities, those that were predicted, and those that there are."""
    predicted = list(map(set, head.predict(examples).word_spans(len(examples))))
    gold = [set(word_spans(example)) for example in examples]
    right = [one & other for one, other in zip(gold, predicted, strict=True)]
    return list(chain(*right)), list(chain(*predicted)), list(chain(*gold))


def _count(spans: Iterable[WordSpan], types: Collection[str]) -> int:
    return sum(span[2] in types for span in spans)


def _f1(counts: Sequence[Any]) -> float:
    right, predicted, gold = counts
    return 200 * right / max(1, predicted + gold)


if __name__ == "__main__":
    main()
