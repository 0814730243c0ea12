"""A data set that a server of these tests publishes."""

import hashlib

from nerbert.evaluation.datasets.fetch import conll_text
from nerbert.evaluation.datasets.load import KnownData, KnownSplit, Recipe, Repository

_COMMIT = "c0ffee" * 6 + "abcd"
_TEXTS = {
    split: conll_text([[(f"{split}{number}", "B-x"), ("goes", "O"), ("home", "B-y")] for number in range(size)])
    for split, size in {"train": 30, "dev": 4, "test": 5}.items()
}
FILES = {f"/someone/things/{_COMMIT}/{split}.txt": text.encode() for split, text in _TEXTS.items()}


def find_published(name: str) -> KnownData:
    """Return the data set, whatever name it has."""
    splits = {
        split: KnownSplit(sentences=text.count("goes"), tokens=3 * text.count("goes"), entities=2 * text.count("goes"),
                          sha256=hashlib.sha256(text.encode()).hexdigest())
        for split, text in _TEXTS.items()
    }  # fmt: skip
    return KnownData(
        name=name, title="Made up", about="Made up.", split="ours", licence="CC0", types=("x", "y"), splits=splits,
        sources=(Repository(repository="github.com/someone/things", commit=_COMMIT, paths=()),),
        recipe=Recipe(train="train.txt", dev="dev.txt", test="test.txt"),
    )  # fmt: skip
