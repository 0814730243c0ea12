"""Entity scores of 100,000 tagged sentences: nerbert against seqeval, by the CoNLL script's rules and by strict IOB2.

`python benchmarks/scores.py [--sentences 100000] [--repeats 3] [--seed 1]`; some minutes and 1.5 GB. The tags are
generated: ten types, 10 to 40 words a sentence, predictions with every kind of mistake and with tags that follow no
rule. Both sides do the same work (micro, macro, by type: seqeval's `classification_report`), in one process, one after
the other, in CPU seconds; what they say is compared first. The claim: at least 20 times as fast as that report, which
gives the same figures. Against seqeval's `f1_score` alone, which says less and stands beside, it is about 10 times by
the CoNLL script's rules.
"""

import argparse
import gc
import hashlib
import json
import math
import random
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

from report import ratio, surroundings
from seqeval.metrics import classification_report, f1_score
from seqeval.scheme import IOB2

from nerbert.metrics.score import score_tags

_TYPES = "person organisation location event product work law date quantity language".split()
_TAGS = ["O", *(f"{prefix}-{type_}" for type_ in _TYPES for prefix in "BI")]
_STRICT = {"mode": "strict", "scheme": IOB2}
_FIGURES = ("precision", "recall", "f1")

Tagging = list[list[str]]


def main() -> None:
    """Compare, then measure; print a table, then one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sentences", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    gold, found = _generate(options.sentences, random.Random(options.seed))  # noqa: S311
    words = sum(map(len, gold))
    print(f"{len(gold):,} sentences, {words:,} words", file=sys.stderr, flush=True)
    seconds = _measure(_sides(gold, found), options.repeats)
    print("| rules | side | CPU seconds, median (worst and best) | nerbert is … times as fast |\n|---|---|---|---|")
    for (rules, side), taken in seconds.items():
        own = seconds[rules, "nerbert"]
        times = "" if side == "nerbert" else ratio([1 / each for each in own], [1 / each for each in taken])
        print(f"| {rules} | {side} | {median(taken):.3f} ({min(taken):.3f}–{max(taken):.3f}) | {times} |")
    digest = hashlib.sha256(json.dumps([gold, found]).encode()).hexdigest()
    about = {"sentences": len(gold), "words": words, "seed": options.seed, "input_sha256": digest}
    runs = [{"rules": rules, "side": side, "cpu_seconds": taken} for (rules, side), taken in seconds.items()]
    print("\n" + json.dumps({**surroundings([], ("nerbert", "seqeval", "numpy")), **about, "runs": runs}))


def _sides(gold: Tagging, found: Tagging) -> dict[tuple[str, str], Callable[[], Any]]:
    """What is run, by rules and side; the two sides that say the same stand next to each other."""
    return {
        ("CoNLL script", "nerbert"): lambda: score_tags(gold, found).as_json(),
        ("CoNLL script", "seqeval's report"): lambda: classification_report(gold, found, output_dict=True),
        ("CoNLL script", "seqeval's f1_score"): lambda: f1_score(gold, found),
        ("strict IOB2", "nerbert"): lambda: score_tags(gold, found, strict=True).as_json(),
        ("strict IOB2", "seqeval's report"): lambda: classification_report(gold, found, output_dict=True, **_STRICT),
        ("strict IOB2", "seqeval's f1_score"): lambda: f1_score(gold, found, **_STRICT),
    }


def _measure(sides: dict[tuple[str, str], Callable[[], Any]], repeats: int) -> dict[tuple[str, str], list[float]]:
    """CPU seconds of each side, run alternately; ends the benchmark if the two don't say the same."""
    seconds: dict[tuple[str, str], list[float]] = {key: [] for key in sides}
    for number in range(1, repeats + 1):
        said = {}
        for key, side in sides.items():
            gc.collect()
            begin = time.process_time()
            said[key] = side()
            seconds[key].append(time.process_time() - begin)
            print(f"run {number}: {', '.join(key)}: {seconds[key][-1]:.3f} CPU s", file=sys.stderr, flush=True)
        for rules in ("CoNLL script", "strict IOB2"):
            _compare(said[rules, "nerbert"], said[rules, "seqeval's report"], said[rules, "seqeval's f1_score"])
    return seconds


def _compare(score: dict[str, Any], report: dict[str, Any], f1: float) -> None:
    rows = {**score["by_type"], "micro avg": score, "macro avg": score["macro"]}
    if set(rows) | {"weighted avg"} != set(report) or not math.isclose(f1, score["f1"]):
        sys.exit(f"types or F1 differ: {sorted(rows)}, {sorted(report)}")
    for name, row in rows.items():
        wanted = [report[name][key] for key in ("precision", "recall", "f1-score")]
        if not all(map(math.isclose, (row[key] for key in _FIGURES), wanted)):
            sys.exit(f"{name}: nerbert says {row}, seqeval {report[name]}")
        if "gold" in row and row["gold"] != report[name]["support"]:
            sys.exit(f"{name}: nerbert counts {row['gold']} gold entities, seqeval {report[name]['support']}")


def _generate(sentences: int, draws: random.Random) -> tuple[Tagging, Tagging]:
    """Gold and predicted tags, each a str of its own, as they come from a file."""
    gold, found = [], []
    for _ in range(sentences):
        length = draws.randint(10, 40)
        spans = list(_spans(length, draws))
        noisy = [other for span in spans for other in _mistaken(*span, length, draws)]
        gold.append(_tags(length, spans))
        found.append([draws.choice(_TAGS) if draws.random() < 0.01 else tag for tag in _tags(length, noisy)])
    return [" ".join(each).split() for each in gold], [" ".join(each).split() for each in found]


def _spans(length: int, draws: random.Random) -> Iterator[tuple[int, int, str]]:
    place = draws.randint(0, 6)
    while place < length:
        end = min(length, place + draws.choice((1, 1, 2, 2, 3, 5)))
        yield place, end, draws.choice(_TYPES)
        place = end + draws.randint(0, 12)


def _mistaken(start: int, end: int, type_: str, length: int, draws: random.Random) -> Iterator[tuple[int, int, str]]:
    """The span as a tagger finds it: mostly right, else with another type or end, or not at all."""
    chance = draws.random()
    if chance < 0.7:
        yield start, end, type_
    elif chance < 0.8:
        yield start, end, draws.choice(_TYPES)
    elif chance < 0.9:
        yield start, min(length, end + 1), type_


def _tags(length: int, spans: list[tuple[int, int, str]]) -> list[str]:
    tags = ["O"] * length
    for start, end, type_ in spans:
        tags[start:end] = [f"B-{type_}"] + [f"I-{type_}"] * (end - start - 1)
    return tags


if __name__ == "__main__":
    main()
