"""What labels cost a bi-encoder: words per CPU-second with 5, 100 and more of them, and what their vectors cost.

`python benchmarks/concept_labels.py ENCODER FILE [--labels 5 100 1000] [--sentences 200] [--runs 3] [--backend torch]`

ENCODER is a folder that `nerbert pretrain --set objective=concepts` made, FILE is CoNLL. Labels are pairs of words of
the file. One thread, fp32; numbers of labels take turns, and the least of the runs counts. `new` and `cached` are CPU
milliseconds a label, on the way to its vector the first time and the second.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from copy import copy
from itertools import islice
from pathlib import Path

from nerbert import Tagger
from nerbert.formats.examples import read_examples
from nerbert.records import Example


def main() -> None:
    """Measure, and print a table and the same as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("encoder", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--labels", type=int, nargs="+", default=[5, 100, 1000])
    parser.add_argument("--sentences", type=int, default=200)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--backend", default="torch")
    options = parser.parse_args()
    examples = list(read_examples(options.file))
    texts = [each.text for each in examples[: options.sentences]]
    words = sum(len(each.words) for each in examples[: options.sentences])
    names = _names(examples, max(options.labels))
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        tagger = Tagger.load(
            options.encoder, backend=options.backend, precision="fp32", device="cpu", threads=1, offsets="characters"
        )
        list(tagger.tag_many(texts[:20], ["warm"]))
        rows = {}
        for count in options.labels:
            some = [f"{name} {count}" for name in names[:count]]
            new, cached = (_seconds(lambda some=some: copy(tagger).with_labels(some)) for _ in range(2))
            rows[count] = {"new": 1000 * new / count, "cached": 1000 * cached / count}
        asked = {count: tagger.with_labels(names[:count]) for count in options.labels}
        runs = [{count: _seconds(lambda each=each: list(each.tag_many(texts))) for count, each in asked.items()}
                for _ in range(options.runs)]  # fmt: skip
    least = {count: min(run[count] for run in runs) for count in options.labels}
    print("| labels | words per CPU-second | cost beside the first | new label, ms | cached label, ms |")
    print("|---|---|---|---|---|")
    for count, row in rows.items():
        row |= {"words_per_second": words / least[count], "cost": least[count] / least[options.labels[0]]}
        print(
            f"| {count} | {row['words_per_second']:.0f} | {row['cost']:.3f} | {row['new']:.2f} | {row['cached']:.2f} |"
        )
    print(json.dumps(rows))


def _names(examples: Sequence[Example], count: int) -> list[str]:
    """Return so many different labels: words with their neighbours, in lower case."""
    pairs = (" ".join(each.tokens[place : place + 2]).lower() for each in examples for place in range(len(each.words)))
    return list(islice(dict.fromkeys(pair for pair in pairs if pair.replace(" ", "").isalpha()), count))


def _seconds(run: Callable[[], object]) -> float:
    begin = time.process_time()
    run()
    return time.process_time() - begin


if __name__ == "__main__":
    main()
