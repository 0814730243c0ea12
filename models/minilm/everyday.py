"""F1 of a tagger on the 60 everyday texts of `everyday/`, by kind and over all; each kind is asked for its own types.

`PYTHONPATH=sources/open_types python models/minilm/everyday.py MODEL [FOLDER]`, in the repository's folder; `german/`
is another folder.
"""

import sys
from dataclasses import astuple
from pathlib import Path
from tempfile import TemporaryDirectory

from domains import read_domains

from nerbert.evaluation.evaluate import evaluate_open, open_tagger
from nerbert.metrics.score import Counts

HERE = Path(__file__).parent


def main(model: str, texts: str = "everyday") -> None:
    """Print precision, recall and F1 in percent."""
    tagger, counted = open_tagger(model), list[tuple[int, ...]]()
    with TemporaryDirectory() as folder:
        for kind in read_domains(HERE / texts):
            file = Path(folder, f"{kind.name}.jsonl")
            file.write_bytes(b"".join(kind.line_of(passage) for passage in kind.passages))
            counts = evaluate_open(tagger, file).counts
            counted.append(astuple(counts))
            print(_line(kind.name, counts))
    print(_line("all", Counts(*map(sum, zip(*counted, strict=True)))))


def _line(name: str, counts: Counts) -> str:
    figures = (100 * value for value in (counts.precision, counts.recall, counts.f1))
    return "\t".join([name, *(f"{figure:.1f}" for figure in figures), str(counts.gold)])


if __name__ == "__main__":
    main(*sys.argv[1:])
