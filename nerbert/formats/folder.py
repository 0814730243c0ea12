"""A folder of annotated sentences: train.conll, and dev.conll and test.conll where there are such.

The choice: the test split is read only by those who ask for it, so nothing that trains can look at it by accident.
"""

from dataclasses import dataclass
from pathlib import Path

from nerbert.errors import InputError
from nerbert.files import sha256_of
from nerbert.formats.conll import read_conll_file
from nerbert.records import Example

SPLITS = ("train", "dev", "test")
"""The splits of a data set, each the name of a file."""


@dataclass(frozen=True, slots=True)
class DataSet:
    """Annotated sentences by split, with the SHA-256 of each file read; a split that isn't there is empty."""

    folder: Path
    train: list[Example]
    dev: list[Example]
    sha256: dict[str, str]
    test: list[Example]


def read_data(folder: Path, *, test: bool = False) -> DataSet:
    """Read a data folder (or one CoNLL file, as train); raise InputError that says what is missing."""
    if folder.is_file():
        return DataSet(folder, read_conll_file(folder), [], {folder.name: sha256_of(folder)}, [])
    wanted = {split: folder / f"{split}.conll" for split in SPLITS if test or split != "test"}
    if not wanted["train"].is_file():
        raise InputError(f"{folder}: holds no train.conll; give a folder with train.conll (and dev.conll, test.conll)")
    there = {split: path for split, path in wanted.items() if path.is_file()}
    sentences = {split: read_conll_file(path) for split, path in there.items()}
    sums = {path.name: sha256_of(path) for path in there.values()}
    return DataSet(folder, sentences["train"], sentences.get("dev", []), sums, sentences.get("test", []))
