"""A folder of annotated sentences: train.conll, and optionally dev.conll and test.conll.

The test split is read only by callers that request it, so no training code can see it by accident. A split that is not
requested causes no failure.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from nerbert.artifacts import sha256_of
from nerbert.errors import InputError
from nerbert.formats.conll import read_conll_file
from nerbert.records import Example

SPLITS = ("train", "dev", "test")
"""The splits of a data set, each the name of a file."""


@dataclass(frozen=True, slots=True)
class DataSet:
    """Annotated sentences by split, with the SHA-256 of each file read.

    A split that does not exist or was not requested is empty.
    """

    folder: Path
    train: list[Example]
    dev: list[Example]
    sha256: dict[str, str]
    test: list[Example]


def read_data(folder: Path, splits: Collection[str] = ("train", "dev")) -> DataSet:
    """Read splits of a data folder (or one CoNLL file, as train), and no other file.

    Raise InputError with the fault; of the requested splits only train must exist.
    """
    if folder.is_file():
        return DataSet(folder, read_conll_file(folder), [], {folder.name: sha256_of(folder)}, [])
    wanted = {split: folder / f"{split}.conll" for split in SPLITS if split in splits}
    if "train" in wanted and not wanted["train"].is_file():
        raise InputError(f"{folder}: holds no train.conll; give a folder with train.conll (and dev.conll, test.conll)")
    there = {split: path for split, path in wanted.items() if path.is_file()}
    found = {split: read_conll_file(path) for split, path in there.items()}
    sums = {path.name: sha256_of(path) for path in there.values()}
    return DataSet(folder, found.get("train", []), found.get("dev", []), sums, found.get("test", []))
