"""Has a target's type a near class in pre-training, and is that where pre-training helps?

`python benchmarks/label_coverage.py ENCODER RESULTS.csv DATA --system NER-BERT [--against none]`; a minute. ENCODER is
the pre-trained encoder before any fine-tuning, RESULTS.csv the table of `nerbert benchmark`, DATA the folder of its
data sets. For each type of each target, on its train and dev sentences (never on test): the category of the encoder,
ENTITY apart, that agrees best with it as exact spans (`near`, an F1), and the share of its entities whose bounds the
encoder finds whatever the category (`found`). Beside them the gain: the type's F1 on test after fine-tuning, system
less other, mean over seeds. Types with fewer than 20 test entities are left out. Last line: JSON, with Spearman's rank
correlations over all types.
"""

import argparse
import csv
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from scipy.stats import spearmanr

from nerbert.formats.examples import read_data
from nerbert.labels import WordSpan, word_spans
from nerbert.model.backbone import load_tagger_model, load_tokenizer, tags_of
from nerbert.model.forward import TorchScorer
from nerbert.model.linear import LinearHead
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.records import ENTITY, Example

_FEWEST = 20
"""Test entities that a type must have."""
Row = dict[str, Any]


def main() -> None:
    """Print a row a type, then one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encoder")
    parser.add_argument("results", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--system", default="NER-BERT")
    parser.add_argument("--against", default="none")
    given = parser.parse_args()
    f1, gold = read_results(given.results)
    targets = sorted({target for system, target, _ in f1 if system == given.system})
    rows = [row for target in targets for row in rows_of(given.encoder, given.data, target)]
    kept = []
    for row in rows:
        ours, theirs = ((system, row["target"], row["type"]) for system in (given.system, given.against))
        if gold.get(ours, 0) >= _FEWEST and theirs in f1:
            kept.append(row | {"gain": 100 * (mean(f1[ours]) - mean(f1[theirs])), "test": gold[ours]})
    show(kept)


def read_results(path: Path) -> tuple[dict[tuple[str, str, str], list[float]], dict[tuple[str, str, str], int]]:
    """(system, target, type) → F1 of each seed, and the number of test entities."""
    f1: defaultdict[tuple[str, str, str], list[float]] = defaultdict(list)
    gold: dict[tuple[str, str, str], int] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            key = (row["system"], row["target"], row["type"])
            if row["metric"] == "by_type.f1":
                f1[key].append(float(row["value"]))
            elif row["metric"] == "by_type.gold":
                gold[key] = round(float(row["value"]))
    return f1, gold


def rows_of(encoder: str, data: Path, target: str) -> list[Row]:
    """For each type of a target its near category, how near that is, and how often its bounds are found."""
    examples = [*(found := read_data(data / target)).train, *found.dev]
    counts, agree, gold, right = Counter[str](), Counter[tuple[str, str]](), Counter[str](), Counter[str]()
    for example, spans in zip(examples, tagged(encoder, examples), strict=True):
        category = {span[:2]: span[2] for span in spans}
        counts.update(category.values())
        for start, end, type_ in word_spans(example):
            gold[type_] += 1
            if other := category.get((start, end)):
                agree[type_, other] += 1
                right[type_] += 1
    rows: list[Row] = []
    for type_, size in sorted(gold.items()):
        near = {other: 2 * agree[type_, other] / (size + count) for other, count in counts.items() if other != ENTITY}
        best = max(near, key=lambda name: (near[name], name))
        name = best if near[best] else "–"
        row: Row = {"target": target, "type": type_, "category": name, "near": near[best], "found": right[type_] / size}
        rows.append(row | {"train": sum(span.type == type_ for each in found.train for span in each.spans)})
    return rows


def tagged(encoder: str, examples: Sequence[Example]) -> list[list[WordSpan]]:
    """What the pre-trained head says of the examples."""
    model = load_tagger_model(encoder)
    pieces = SubwordTokenizer(load_tokenizer(encoder), model.config, 256)
    return LinearHead(TorchScorer(model), pieces, tags_of(model, encoder)).predict(examples).word_spans(len(examples))


def show(rows: list[Row]) -> None:
    """The table, from the nearest type to the farthest."""
    print("| target | type | near category | near F1 | bounds found | in train | in test | gain |")
    print("|---|---|---|---:|---:|---:|---:|---:|")
    for row in sorted(rows, key=lambda each: -float(each["near"])):
        shares = f"{100 * float(row['near']):.1f} | {100 * float(row['found']):.1f}"
        print(
            f"| {row['target']} | {row['type']} | {row['category']} | {shares} | {row['train']} | {row['test']} | "
            f"{row['gain']:+.1f} |"
        )
    summary: dict[str, object] = {"types": len(rows)}
    for name in ("near", "found", "train"):
        rho, p = spearmanr([float(row[name]) for row in rows], [float(row["gain"]) for row in rows])
        summary[f"spearman of gain and {name}"] = {"rho": round(float(rho), 3), "p": round(float(p), 4)}
    halves = sorted(rows, key=lambda each: float(each["near"]))
    cut = len(halves) // 2
    for name, part in (("farther half", halves[:cut]), ("nearer half", halves[cut:])):
        summary[f"mean gain, {name}"] = round(mean(float(row["gain"]) for row in part), 2)
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
