"""Every annotated set through every pair of formats: are the entities the same, or is the loss announced?

`python benchmarks/round_trip.py SETS [--sentences 300] [--work DIR]`; SETS is a folder of data sets, each with a test
split. The first sentences of a split are written in each format, and that file is converted into each other one. Two
files agree if they have the same entities (text without white space, and type), each as often.
"""

import argparse
import tempfile
from collections import Counter
from itertools import islice
from pathlib import Path

from report import surroundings

from nerbert.errors import NerbertError
from nerbert.formats.convert import Conversion, convert_data
from nerbert.formats.documents import Reading, document_of
from nerbert.formats.examples import read_documents, read_examples
from nerbert.formats.format import usable
from nerbert.registry import FORMATS


def main() -> None:
    """Convert all pairs; print a table, then what differs without a word, then a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", type=Path)
    parser.add_argument("--sentences", type=int, default=300)
    parser.add_argument("--work", type=Path)
    options = parser.parse_args()
    faults, kinds, entities = list[str](), Counter[str](), 0
    files = sorted(options.sets.glob("*/test.conll"))
    print("| data set | entities | equal | equal but for announced losses | refused | silently different |")
    print("|---|---:|---:|---:|---:|---:|")
    for file in files:
        with tempfile.TemporaryDirectory(dir=options.work) as work:
            counts, found = round_trips(file, Path(work), options.sentences, faults)
        print(f"| {file.parent.name} | {found:,} | " + " | ".join(
            f"{counts[kind]}" for kind in ("equal", "announced", "refused", "silent")) + " |", flush=True)  # fmt: skip
        kinds, entities = kinds + counts, entities + found
    print(f"| all | {entities:,} | {kinds['equal']} | {kinds['announced']} | {kinds['refused']} | {kinds['silent']} |")
    print(*faults, sep="\n")
    print(surroundings(files, ("nerbert", "pyarrow", "spacy", "datasets")))


def round_trips(file: Path, work: Path, most: int, faults: list[str]) -> tuple[Counter[str], int]:
    """Return how many pairs of formats are of each kind, and the entities that were converted."""
    first, counts = work / "first.jsonl", Counter[str]()
    examples = list(islice(read_examples(file), most))
    usable(FORMATS.find("jsonl")()).write(first, map(document_of, examples))
    wanted = sum(len(each.spans) for each in examples)
    for one in FORMATS:
        through = _path(work, "one", one)
        try:
            convert_data(first, through, to=one, overwrite=True)
        except NerbertError as error:
            counts["refused"] += len(list(FORMATS)) - 1
            faults.append(f"{file.parent.name} → {one}: refused: {error}")
            continue
        for other in FORMATS:
            if other != one:
                kind, why = _pair(through, _path(work, "other", other), one, other)
                counts[kind] += 1
                if kind in ("refused", "silent"):
                    faults.append(f"{file.parent.name}, {one} → {other}: {kind}: {why}")
    return counts, wanted


def _path(work: Path, name: str, format_: str) -> Path:
    return work / f"{name}-{format_}{''.join(usable(FORMATS.find(format_)()).suffixes[:1])}"


def _pair(source: Path, output: Path, one: str, other: str) -> tuple[str, str]:
    """Return what became of a conversion, and why."""
    try:
        made = convert_data(source, output, to=other, reading=Reading(from_=one), overwrite=True)
        before, after = _entities(source, one), _entities(output, other)
    except NerbertError as error:
        return "refused", str(error)
    if before != after:
        lost = f"{(before - after).most_common(3)} became {(after - before).most_common(3)}"
        return ("announced" if _told(made) else "silent"), lost
    return "equal", ""


def _told(made: Conversion) -> bool:
    return bool(made.losses or made.repaired)


def _entities(path: Path, format_: str) -> Counter[tuple[str, str]]:
    found = (span for each in read_documents(path, Reading(from_=format_)) for span in each.spans)
    return Counter(("".join(span.text.split()), span.type) for span in found)


if __name__ == "__main__":
    main()
