"""What a tagger forgets when it learns new types: fine-tuned as usual, with replay, by `--add-types`; joint training.

`python benchmarks/adding_types.py DATA [--draws 0,1,2] [--processes 4] [--only TEXT]`

DATA holds crossner_politics and mit_movie. Two tasks: three of politics' nine types are new (100 sentences with the
other six, then 100 with these three), and MIT Movie's twelve types are new (100 sentences of each set). Two heads:
fixed types (`embedded`), labels at run time (`embedded-open`, an encoder of names). A draw chooses sentences and new
types. F1 is that of the test splits: old types on politics, new ones on the set that has them. All types are asked for
at once.
Each cell is a process; it prints lines of JSON, and at the end there is a table.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from tempfile import TemporaryDirectory
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")

from report import digest, surroundings

from nerbert.finetuning.add_types import AddTypes, prepare
from nerbert.finetuning.finetune import finetune_data
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.finetuning.train_tagger import Finetuned
from nerbert.formats.data import DataSet, read_data
from nerbert.formats.entity_labels import as_learnt
from nerbert.formats.examples import read_examples
from nerbert.labels import word_spans
from nerbert.metrics.score import score_spans
from nerbert.records import Example
from nerbert.registry import HEADS
from nerbert.rng import uniform

TASKS = ("6 + 3 of politics", "MIT Movie onto politics")
HEADS_OF = {"fixed types": "embedded", "labels at run time": "embedded-open"}
SETS = ("crossner_politics", "mit_movie")
SENTENCES, NEW_TYPES, TESTED = 100, 3, 1000
METHODS = ("before", "as usual", "replay", "add-types", "add-types, old data", "joint")


def main() -> None:
    """Run one cell, or all and print a table."""
    options = _options()
    if options.cell:
        _run_cell(options.data, *json.loads(options.cell))
        return
    cells = [(task, head, draw) for draw in map(int, options.draws.split(",")) for task in TASKS for head in HEADS_OF]
    cells = [each for each in cells if options.only in " ".join(map(str, each))]
    with ThreadPoolExecutor(options.processes) as pool:
        results = [each for some in pool.map(lambda cell: _of_process(options.data, cell), cells) for each in some]
    _print_table(results)
    files = [options.data / name / f"{split}.conll" for name in SETS for split in ("train", "test")]
    around = surroundings([], ("torch", "transformers"))
    print(json.dumps({"results": results, "data": {f"{f.parent.name}/{f.name}": digest(f) for f in files}, **around}))


def _of_process(data: Path, cell: Sequence[Any]) -> list[dict[str, Any]]:
    """Run a cell in a process of its own; print and return its results."""
    command = [sys.executable, __file__, str(data), "--cell", json.dumps(cell)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    for each in found:
        print(json.dumps(each), flush=True)
    if done.returncode:
        print(f"{cell}: {done.stderr[-1500:]}", file=sys.stderr, flush=True)
    return found


def _run_cell(data: Path, task: str, head: str, draw: int) -> None:
    old, new, own = _old_and_new(data, task, draw)
    types = sorted({span.type for each in new for span in each.spans})
    tests = {"old": _of(read_examples(data / SETS[0] / "test.conll"), own),
             "new": _of(read_examples(data / SETS[TASKS.index(task)] / "test.conll")[:TESTED], types)}  # fmt: skip
    settings = FinetuneSettings(seed=draw, compare_parts=0)
    names = dict.fromkeys((*own, *types), "") if head == "labels at run time" else None
    with TemporaryDirectory() as scratch:
        first = finetune_data(HEADS_OF[head], _data(old), settings)
        first.save(Path(scratch))
        begins = settings if names is not None else replace(settings, source_head="shared")
        again = [replace(each, asked=tuple(own), partial=True) for each in old]

        def added(given: list[Example] | None) -> Finetuned:
            made = prepare(
                scratch, _data(new), settings, AddTypes(given, max_loss=100), names and dict.fromkeys(own, "")
            )
            found = finetune_data(scratch, made.data, made.settings, labels=made.labels, types=own)
            if not made.old:
                return found
            return finetune_data(scratch, made.with_old(found.head), made.settings, labels=made.labels, types=own)

        makers = {
            "before": lambda: first,
            "as usual": lambda: finetune_data(scratch, _data(new), begins, types=own),
            "replay": lambda: finetune_data(scratch, _data([*new, *again]), begins, types=own),
            "add-types": lambda: added(None),
            "add-types, old data": lambda: added(old),
            "joint": lambda: finetune_data(HEADS_OF[head], _data(_joint(data, task, draw)), settings),
        }
        for method in METHODS:
            tagger = makers[method]()
            scores = {name: _f1(tagger, test, [*own, *types]) for name, test in tests.items()}
            print(json.dumps({"task": task, "head": head, "draw": draw, "method": method, **scores}), flush=True)


def _old_and_new(data: Path, task: str, draw: int) -> tuple[list[Example], list[Example], list[str]]:
    """Return sentences of old types alone, ones of new types alone, and the old types."""
    politics = _drawn(data / SETS[0], draw)
    types = sorted({span.type for each in politics for span in each.spans})
    if task == TASKS[1]:
        return politics[:SENTENCES], _drawn(data / SETS[1], draw)[:SENTENCES], types
    fresh = sorted(types, key=lambda each: uniform(draw, "new type", each))[:NEW_TYPES]
    own = [each for each in types if each not in fresh]
    return _of(politics[:SENTENCES], own), _of(politics[SENTENCES : 2 * SENTENCES], fresh), own


def _joint(data: Path, task: str, draw: int) -> list[Example]:
    """Return the same sentences with all of their types."""
    politics = _drawn(data / SETS[0], draw)
    if task == TASKS[1]:
        return [*politics[:SENTENCES], *_drawn(data / SETS[1], draw)[:SENTENCES]]
    return politics[: 2 * SENTENCES]


def _drawn(folder: Path, draw: int) -> list[Example]:
    return sorted(read_examples(folder / "train.conll"), key=lambda each: uniform(draw, "sentence", each.text))


def _of(examples: Sequence[Example], types: Sequence[str]) -> list[Example]:
    return [replace(each, spans=tuple(span for span in each.spans if span.type in types)) for each in examples]


def _data(examples: Sequence[Example]) -> DataSet:
    return read_data({"train": list(examples)})


def _f1(tagger: Finetuned, test: Sequence[Example], types: Sequence[str]) -> float:
    """Return F1 on the types of the test sentences; a head of labels at run time is asked for all types."""
    head = tagger.head
    if HEADS.find(tagger.card["head"]).labels_at_run_time:
        labels = as_learnt(types, tagger.card)
        head = head.for_labels(labels, [tagger.card.get("threshold", head.usual_threshold)] * len(labels))
    wanted = {span.type for each in test for span in each.spans}
    found = [[span for span in each if span[2] in wanted] for each in head.predict(test).word_spans(len(test))]
    return score_spans(list(map(word_spans, test)), found).f1


def _print_table(results: Sequence[dict[str, Any]]) -> None:
    print("| task | head | method | old types' F1 | new types' F1 | old F1 lost |")
    print("|---|---|---|---|---|---|")
    for task in TASKS:
        for head in HEADS_OF:
            rows = [each for each in results if (each["task"], each["head"]) == (task, head)]
            before = {each["draw"]: each["old"] for each in rows if each["method"] == "before"}
            for method in METHODS:
                some = [each for each in rows if each["method"] == method]
                old, new = ([100 * each[name] for each in some] for name in ("old", "new"))
                lost = [100 * (before[each["draw"]] - each["old"]) for each in some]
                print(f"| {task} | {head} | {method} | {' | '.join(map(_shown, (old, new, lost)))} |")


def _shown(values: Sequence[float]) -> str:
    if not values:
        return "–"
    spread = f" ± {stdev(values):.1f}" if len(values) > 1 else ""
    return f"{mean(values):.1f}{spread}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--draws", default="0,1,2")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--only", default="", help="cells whose names contain this")
    parser.add_argument("--cell", default="", help="one cell, as JSON: what a process is started with")
    return parser.parse_args()


if __name__ == "__main__":
    main()
