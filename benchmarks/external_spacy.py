"""spaCy's small English NER as a system of `nerbert benchmark` (docs/extending/external-system.md).

`python benchmarks/external_spacy.py TRAIN DEV TEST OUTPUT SEED [--keep FOLDER]`, in an environment with spaCy and
without nerbert. It trains from nothing on the words of TRAIN, as `spacy init config --pipeline ner` and `spacy train`
do it (no vectors), and writes TEST with its entities to OUTPUT as JSON lines. DEV ends the training and chooses what
is kept; TRAIN stands in for an empty one.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import spacy
from external import run, sentences, write
from spacy.cli.init_config import init_config
from spacy.cli.train import train as train_spacy
from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab


def train(options: Any, folder: Path) -> None:
    """Train a pipeline into a folder."""
    config = init_config(lang="en", pipeline=["ner"], optimize="efficiency", gpu=False)
    paths = {f"paths.{split}": str(folder / f"{split}.spacy") for split in ("train", "dev")}
    for split, path in paths.items():
        file = getattr(options, split.removeprefix("paths."))
        DocBin(docs=docs(file if file.stat().st_size else options.train, Vocab())).to_disk(path)
    config.to_disk(folder / "config.cfg")
    train_spacy(folder / "config.cfg", folder / "out", overrides={**paths, "system.seed": options.seed})


def tag(options: Any, folder: Path) -> None:
    """Tag the sentences to score."""
    nlp = spacy.load(folder / "out" / "model-best")
    found = nlp.pipe(docs(options.test, nlp.vocab))
    write(
        options.output,
        (([word.text for word in doc], [(each.start, each.end, each.label_) for each in doc.ents]) for doc in found),
    )


def docs(path: Path, vocab: Vocab) -> Iterator[Doc]:
    """Yield the sentences of a CoNLL file with their entities."""
    return (Doc(vocab, words=words, ents=tags) for words, tags in sentences(path))


if __name__ == "__main__":
    run(train, tag)
