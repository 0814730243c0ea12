"""What a tagger finds without labelled sentences in data sets of many languages: in the words given, and in raw text.

`python benchmarks/languages.py DATA TABLE.csv --model many --sets a,b [--split test] [--limit 300] [--inputs words]`;
DATA is the folder of data sets with a table labels.tsv (set, type, english). An entity of raw text is right if both its
ends are, in characters. `untrimmed` is the words' entities before the tagger trims them, which `nerbert
benchmark` scores. Rows that the table has already are not computed again.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from trained_share import append_rows, labels_of, read_rows

from nerbert.data.catalogue import open_data
from nerbert.labels import word_spans
from nerbert.records import EntityLabel, Example, Span
from nerbert.tagger.tagger import Tagger

HEADER = ("model", "data", "split", "sentences", "input", "right", "predicted", "gold")


def main() -> None:
    """Add rows to the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("table", type=Path)
    parser.add_argument("--model", default="many")
    parser.add_argument("--sets", required=True)
    parser.add_argument("--split", default="dev")
    parser.add_argument("--limit", type=int, default=300)
    parser.add_argument("--inputs", default="words,raw")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", default="auto")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    tagger = Tagger.load(options.model, device="cpu", threads=options.threads, precision=options.precision)
    known = {(row["model"], row["data"], row["split"], row["input"]) for row in read_rows(options.table)}
    for name in options.sets.split(","):
        examples = list(open_data(name, options.data).splits[options.split])[: options.limit or None]
        labels = {type_: text or type_ for type_, text in labels_of(name, options.data).items()}
        for kind in options.inputs.split(","):
            if (options.model, name, options.split, kind) in known:
                continue
            texts: Sequence[Example | str] = [each.text for each in examples] if kind == "raw" else examples
            if kind == "untrimmed":
                counts = count_untrimmed(tagger, examples, labels)
            else:
                counts = count(tagger, texts, examples, labels)
            row = (options.model, name, options.split, len(examples), kind, *counts)
            append_rows(options.table, HEADER, [row])
            print(*row, f"{200 * counts[0] / max(1, counts[1] + counts[2]):.1f}", flush=True)


def count(
    tagger: Tagger, texts: Iterable[Example | str], examples: Iterable[Example], labels: dict[str, str]
) -> tuple[int, int, int]:
    """Return how many entities are right, predicted, and there."""
    totals = defaultdict[str, int](int)
    for example, spans in zip(examples, tagger.tag_many(texts, dict.fromkeys(labels.values())), strict=True):
        predicted = {_place(span) for span in spans}
        gold = {(span.start, span.end, labels[span.type]) for span in example.spans if span.type in labels}
        totals["right"] += len(predicted & gold)
        totals["predicted"] += len(predicted)
        totals["gold"] += len(gold)
    return totals["right"], totals["predicted"], totals["gold"]


def count_untrimmed(tagger: Tagger, examples: Sequence[Example], labels: dict[str, str]) -> tuple[int, int, int]:
    """Return the same of the model's own entities, which a tagger would trim."""
    asked = [EntityLabel(text) for text in labels.values()]
    threshold = tagger.scaling.undo(tagger.usual_threshold)
    entities = tagger.head.for_labels(asked, [threshold] * len(asked)).predict(examples)
    predicted = list(map(set, entities.word_spans(len(examples))))
    gold = [{(*span[:2], labels[span[2]]) for span in word_spans(example)} for example in examples]
    right = sum(len(found & there) for found, there in zip(predicted, gold, strict=True))
    return right, sum(map(len, predicted)), sum(map(len, gold))


def _place(span: Span) -> tuple[int, int, str]:
    return span.start, span.end, span.type


if __name__ == "__main__":
    main()
