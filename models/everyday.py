"""F1 of a tagger on a model's everyday texts, by file, over all, and in the mean; each file is asked for its own types.

`PYTHONPATH=sources/open_types python models/everyday.py MODEL FOLDER [TABLE.csv]`, in the repository's folder: FOLDER
is `models/minilm/everyday` or `german` beside it, or `models/many/everyday`. Counts are added to the table.
"""

import csv
import sys
from dataclasses import astuple, fields
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

from domains import read_domains
from nerbert.evaluation.evaluate import evaluate_open, open_tagger
from nerbert.metrics.score import Counts


def main(model: str, texts: str, table: str = "") -> None:
    """Print precision, recall and F1 in percent."""
    tagger, counted = open_tagger(model), list[tuple[int, ...]]()
    names = list[str]()
    with TemporaryDirectory() as folder:
        for kind in read_domains(Path(texts)):
            file = Path(folder, f"{kind.name}.jsonl")
            file.write_bytes(b"".join(kind.line_of(passage) for passage in kind.passages))
            counts = evaluate_open(tagger, file).counts
            counted.append(astuple(counts))
            names.append(kind.name)
            print(_line(kind.name, counts))
    total = Counts(*map(sum, zip(*counted, strict=True)))
    print(_line("all", total))
    print(f"mean\t{100 * fmean(Counts(*each).f1 for each in counted):.1f}")
    if table:
        place = Path(texts).name
        rows = [(model, place, "file", *row) for row in zip(names, counted, strict=True)]
        _add(Path(table), [*rows, (model, place, "all", "", astuple(total))])


def _add(table: Path, rows: list[tuple[str, str, str, str, tuple[int, ...]]]) -> None:
    new = not table.exists()
    with table.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(["model", "texts", "unit", "file", *(field.name for field in fields(Counts))])
        writer.writerows((*names, *counts) for *names, counts in rows)


def _line(name: str, counts: Counts) -> str:
    figures = (100 * value for value in (counts.precision, counts.recall, counts.f1))
    return "\t".join([name, *(f"{figure:.1f}" for figure in figures), str(counts.gold)])


if __name__ == "__main__":
    main(*sys.argv[1:])
