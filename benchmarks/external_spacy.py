"""spaCy's small English NER as a system of `nerbert benchmark` (docs/extending/external-system.md).

`python benchmarks/external_spacy.py TRAIN DEV TEST OUTPUT SEED`, in an environment with spaCy and without nerbert. It
trains from nothing on the words of TRAIN, as `spacy init config --pipeline ner` and `spacy train` do it, and writes
TEST with its entities to OUTPUT as JSON lines. DEV ends the training and chooses what is kept; TRAIN stands in for an
empty one.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import spacy
from spacy.cli.init_config import init_config
from spacy.cli.train import train
from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab


def main(files: dict[str, Path], output: Path, seed: int) -> None:
    """Train, tag and write."""
    config = init_config(lang="en", pipeline=["ner"], optimize="efficiency", gpu=False)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = {f"paths.{split}": str(folder / f"{split}.spacy") for split in ("train", "dev")}
        for split, path in paths.items():
            file = files[split.removeprefix("paths.")]
            DocBin(docs=docs(file if file.stat().st_size else files["train"], Vocab())).to_disk(path)
        config.to_disk(folder / "config.cfg")
        train(folder / "config.cfg", folder / "out", overrides={**paths, "system.seed": seed})
        nlp = spacy.load(folder / "out" / "model-best")
    with output.open("w", encoding="utf-8") as file:
        for doc in nlp.pipe(docs(files["test"], nlp.vocab)):
            spans = [{"start": each.start_char, "end": each.end_char, "type": each.label_} for each in doc.ents]
            text = " ".join(word.text for word in doc)  # doc.text ends in another space
            file.write(json.dumps({"text": text, "spans": spans}) + "\n")


def docs(path: Path, vocab: Vocab) -> Iterator[Doc]:
    """Yield the sentences of a CoNLL file with their entities."""
    for block in path.read_text(encoding="utf-8").split("\n\n"):
        if block.strip():
            words, tags = zip(*(line.split("\t") for line in block.strip("\n").split("\n")), strict=True)
            yield Doc(vocab, words=list(words), ents=list(tags))


if __name__ == "__main__":
    first, second, third, last, number = sys.argv[1:]
    main({"train": Path(first), "dev": Path(second), "test": Path(third)}, Path(last), int(number))
