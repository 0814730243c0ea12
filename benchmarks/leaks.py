"""How many sentences of annotated files share a run of words with a corpus's text, before anything was excluded.

    python benchmarks/leaks.py CORPUS FILE.conll …

Reads `pages/`, all sentences of the corpus's articles; runs are those of `--exclude` (lower-case `\\w+`, 8 in a row, or
all words of a shorter sentence that has at least four, so that equal ones share a run).
"""

import argparse
from pathlib import Path

from nerbert.corpus.shards import read_batches, shard_paths
from nerbert.formats.conll import read_conll
from nerbert.formats.exclude import ngrams


def main() -> None:
    """Print for each file: its sentences, those that share a run, the corpus's sentences that share one with it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--length", type=int, default=8)
    given = parser.parse_args()
    texts = {path: [ngrams(each.text, given.length) for each in read_conll(path)] for path in given.files}
    wanted = {gram for sentences in texts.values() for grams in sentences for gram in grams}
    held = [
        shared
        for part in shard_paths(given.corpus / "pages")
        for batch in read_batches(part, ["text"])
        for text in batch["text"].to_pylist()
        if (shared := ngrams(text, given.length) & wanted)
    ]
    everywhere = set[str]().union(*held)
    print("| file | sentences | that share a run | corpus sentences that share one with it |")
    print("|---|---|---|---|")
    for path, sentences in texts.items():
        own = set[str]().union(*sentences)
        leaking = sum(bool(grams & everywhere) for grams in sentences)
        back = sum(bool(shared & own) for shared in held)
        print(f"| {path.parent.name}/{path.name} | {len(sentences)} | {leaking} | {back} |")


if __name__ == "__main__":
    main()
