"""Speed and memory of gazetteers: the automaton in free text against a dictionary of runs of words, and the table.

`python benchmarks/gazetteers.py SIZE [--megabytes N]` makes SIZE synthetic entries and some text, a tenth of it
entries, and prints what each way takes, on one core and in one run: megabytes of text a second, and memory. Both ways
have to find the same.
"""

import argparse
import json
import random
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nerbert.encoder.gazetteers import Automaton, _Table, _write, marked

_LONGEST = 6
"""More words than an entry has."""


def memory() -> int:
    """Megabytes that the process holds now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * resource.getpagesize() >> 20


def vocabulary() -> list[str]:
    """100,000 words, capital ones for names."""
    letters = random.Random(1)  # noqa: S311
    return ["".join(letters.choices("abcdefghijklmnopqrstuvwxyz", k=letters.randrange(2, 10))) for _ in range(100_000)]


def entries(size: int, words: Sequence[str]) -> Iterator[list[str]]:
    """Yield entries of two to five words, few of them twice."""
    drawn = random.Random(2)  # noqa: S311
    for _ in range(size):
        yield [word.title() for word in drawn.choices(words, k=drawn.randrange(2, _LONGEST))]


def sentences(megabytes: int, names: Sequence[Sequence[str]], words: Sequence[str]) -> Iterator[list[str]]:
    """Yield sentences of about 25 words with about one entry each."""
    drawn, done = random.Random(3), 0  # noqa: S311
    while done < megabytes << 20:
        found = [*drawn.choices(words, k=12), *drawn.choice(names), *drawn.choices(words, k=11), "."]
        done += sum(map(len, found)) + len(found) - 1
        yield found


def by_dictionary(known: dict[str, int], words: Sequence[str]) -> Iterator[tuple[int, int, int]]:
    """Look up all runs of words, the longest first."""
    first = 0
    while first < len(words):
        for end in range(min(len(words), first + _LONGEST - 1), first, -1):
            kind = known.get(" ".join(words[first:end]))
            if kind is not None:
                yield first, end, kind
                first = end - 1
                break
        first += 1


def timed(find: Callable[[Sequence[str]], Iterator[Any]], texts: Sequence[Sequence[str]]) -> tuple[float, int]:
    """Return CPU seconds, and how much was found."""
    begin, found = time.process_time(), 0
    for words in texts:
        found += sum(1 for _ in find(words))
    return time.process_time() - begin, found


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", type=int)
    parser.add_argument("--megabytes", type=int, default=20)
    parser.add_argument("--no-dictionary", action="store_true", help="memory alone: leave the other side out")
    options = parser.parse_args()
    words = vocabulary()
    some = [each for number, each in enumerate(entries(options.size, words)) if number % 100 == 0]
    texts = list(sentences(options.megabytes, some, words))
    size = sum(len(" ".join(each)) for each in texts) / 1e6
    figures: dict[str, Any] = {"entries": options.size, "text_mb": round(size, 1)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (folder / "name.txt").open("w", encoding="utf-8") as file:
            file.writelines(" ".join(each) + "\n" for each in entries(options.size, words))
        for match in ("anchors", "text"):
            (folder / match).mkdir()
            begin = time.process_time()
            _write(folder / match, [folder / "name.txt"], match)  # type: ignore[arg-type]
            figures[f"read_{match}_seconds"] = round(time.process_time() - begin, 1)
            figures[f"{match}_disk_mb"] = sum(each.stat().st_size for each in (folder / match).iterdir()) >> 20
        before = memory()
        table = _Table(folder / "anchors")
        anchors = [" ".join(each) for each in some]
        begin = time.process_time()
        for start in range(0, len(anchors), 1000):
            table.kinds(anchors[start : start + 1000])
        figures["anchors_a_second"] = round(len(anchors) / (time.process_time() - begin))
        figures["anchors_memory_mb"] = memory() - before
        before, begin = memory(), time.process_time()
        with (folder / "text" / "entries.txt").open(encoding="utf-8", newline="\n") as file:
            keys = [line[:-1] for line in file] if not options.no_dictionary else []
            file.seek(0)
            automaton = Automaton((line[:-1] for line in file), np.fromfile(folder / "text" / "kinds.bin", np.uint16))
        figures["automaton_seconds"] = round(time.process_time() - begin, 1)
        figures["automaton_memory_mb"] = memory() - before
    seconds, found = timed(automaton.find, texts)
    figures |= {"found": found, "automaton_mb_a_second": round(size / seconds, 1)}
    seconds, _ = timed(lambda words: iter([marked(words)]), texts)
    figures["marks_alone_mb_a_second"] = round(size / seconds, 1)
    if keys:
        del automaton
        before = memory()
        known = {key[1:-1].replace("\x02\x01", " "): 0 for key in keys}
        figures["dictionary_memory_mb"] = memory() - before
        seconds, other = timed(lambda words: by_dictionary(known, words), texts)
        figures |= {"dictionary_mb_a_second": round(size / seconds, 1), "same": found == other}
    figures["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
