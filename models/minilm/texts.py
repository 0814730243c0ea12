"""Draw the texts of minilm's second training: sentences of Wikipedias without labels, and passages of open types.

`python models/minilm/texts.py OUT NER PASSAGES LANGUAGE=PAGES…`: PAGES are texts of `nerbert corpus near`; NER is a
folder of data sets, with whose dev and test texts no sentence shares eight words in a row.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from heapq import nsmallest
from pathlib import Path

from nerbert.data.exclude import ngrams, read_excluded
from nerbert.rng import uniform
from nerbert.sentences import RuleSplitter

SENTENCES, PASSAGES = 40_000, 20_000
SHARES = {"en": 0.8, "de": 0.1, "it": 0.1}
LENGTHS = range(40, 401)
"""Of a sentence, in characters."""


def main(out: str, ner: str, passages: str, *pages: str) -> None:
    """Write OUT, as JSON lines of open types."""
    files = [path for split in ("dev", "test") for path in sorted(Path(ner).glob(f"*/{split}.conll"))]
    excluded = read_excluded(files, 8).ngrams
    drawn = _draw(_lines(passages), PASSAGES)
    lines = [json.loads(line) | {"asked": "all"} for line in drawn]
    for language, _, path in (each.partition("=") for each in pages):
        found = {text for text in _sentences(path, language) if ngrams(text, 8).isdisjoint(excluded)}
        drawn = _draw(found, int(SENTENCES * SHARES[language]))
        lines += [{"text": text, "entities": [], "asked": []} for text in drawn]
        print(f"{language}: {len(drawn):,} of {len(found):,} sentences")
    Path(out).write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").removesuffix("\n").split("\n")


def _sentences(path: str, language: str) -> Iterator[str]:
    splitter = RuleSplitter(language)
    for line in _lines(path):
        for paragraph in json.loads(line)["text"].splitlines():
            for start, end in splitter.spans(paragraph):
                text = paragraph[start:end].strip()
                if len(text) in LENGTHS and len(text.split()) > 5:
                    yield text


def _draw(texts: Iterable[str], count: int) -> list[str]:
    return nsmallest(count, texts, key=lambda text: (uniform(1, "texts of minilm", text), text))


if __name__ == "__main__":
    main(*sys.argv[1:])
