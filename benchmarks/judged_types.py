"""Are the types of a corpus's mentions right? Draw some for judges, and count what they say.

`python benchmarks/judged_types.py draw CORPUS.jsonl MENTIONS.jsonl [--mentions 200] [--seed 1]`: CORPUS is what
`nerbert corpus export --format jsonl` writes; a line of MENTIONS has a typed mention's number, sentence and type.
`python benchmarks/judged_types.py count MENTIONS.jsonl TABLE.csv A.tsv B.tsv`: a judge's file has a line for each
mention, its number and `correct`, `wrong` or `doubtful`. TABLE gets a row a mention (its place, type, source, and what
each judge says), and TABLE with the ending `-judges.csv` a row a judge, with the 95 % interval of Wilson.
"""

import csv
import json
import random
import sys
from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from typing import Any

from scipy.stats import binomtest

VERDICTS = ("correct", "wrong", "doubtful")


def main() -> None:
    """Draw, or count."""
    parser = ArgumentParser(description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True)
    drawn = steps.add_parser("draw")
    drawn.add_argument("corpus", type=Path)
    drawn.add_argument("mentions", type=Path)
    drawn.add_argument("--mentions", dest="number", type=int, default=200)
    drawn.add_argument("--seed", type=int, default=1)
    counted = steps.add_parser("count")
    counted.add_argument("mentions", type=Path)
    counted.add_argument("table", type=Path)
    counted.add_argument("judges", type=Path, nargs=2)
    options = parser.parse_args()
    if options.step == "draw":
        draw(options.corpus, options.mentions, options.number, options.seed)
    else:
        count(options.mentions, options.table, options.judges)


def draw(corpus: Path, output: Path, number: int, seed: int) -> None:
    """Write mentions with a type, drawn from all of a corpus."""
    with corpus.open(encoding="utf-8") as file:
        typed = [
            (sentence, mention)
            for sentence in map(json.loads, file)
            for mention in sentence["mentions"]
            if mention["class_path"]
        ]
    chosen = random.Random(seed).sample(typed, number)  # noqa: S311
    lines = [json.dumps(_mention(place, *each), ensure_ascii=False) for place, each in enumerate(chosen, 1)]
    output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{number} of {len(typed):,} mentions", file=sys.stderr)


def _mention(number: int, sentence: dict[str, Any], mention: dict[str, Any]) -> dict[str, Any]:
    text, start, end = sentence["text"], mention["start"], mention["end"]
    return {
        "number": number,
        "place": f"{sentence['id']}:{start}",
        "page": sentence["title"],
        "sentence": f"{text[:start]}[[{text[start:end]}]]{text[end:]}",
        "link": mention["resolved_target"],
        "type": mention["class_path"][-1],
        "broader": mention["class_path"][:-1],
        "source": mention["source"],
    }


def count(mentions: Path, table: Path, judges: list[Path]) -> None:
    """Write both tables."""
    with mentions.open(encoding="utf-8") as file:
        drawn = [json.loads(line) for line in file]
    said = {judge.stem: _verdicts(judge, len(drawn)) for judge in judges}
    rows = [
        (each["place"], each["type"], each["source"], *(verdicts[each["number"]] for verdicts in said.values()))
        for each in drawn
    ]
    _write(table, ("place", "type", "source", *said), rows)
    summary = list[tuple[Any, ...]]()
    for judge, verdicts in said.items():
        counts = Counter(verdicts.values())
        interval = binomtest(counts["correct"], len(drawn)).proportion_ci(method="wilson")
        shares = (f"{100 * share:.1f}" for share in (counts["correct"] / len(drawn), interval.low, interval.high))
        summary.append((judge, *(counts[verdict] for verdict in VERDICTS), *shares))
    heads = ("judge", *VERDICTS, "percent correct", "lowest", "highest")
    _write(table.with_name(f"{table.stem}-judges.csv"), heads, summary)
    one, other = said.values()
    print(*summary, f"they agree on {sum(one[number] == other[number] for number in one)}", sep="\n")


def _verdicts(file: Path, mentions: int) -> dict[int, str]:
    """Return what a judge says of each mention; stop unless there is one verdict for each."""
    with file.open(newline="", encoding="utf-8") as stream:
        verdicts = {int(number): verdict for number, verdict, *_ in csv.reader(stream, delimiter="\t")}
    if set(verdicts) != set(range(1, mentions + 1)) or not set(verdicts.values()) <= set(VERDICTS):
        raise SystemExit(f"{file}: needs one of {', '.join(VERDICTS)} for each of {mentions} mentions")
    return verdicts


def _write(table: Path, heads: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    with table.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, lineterminator="\n").writerows([heads, *rows])


if __name__ == "__main__":
    main()
