"""A folder of annotated sentences: a file for each split (`train.conll`, `dev.jsonl`, …), in any format.

The test split is read only by callers that request it, so no training code can see it by accident. A split that is not
requested causes no failure.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nerbert.artifacts import sha256_of
from nerbert.errors import InputError
from nerbert.formats.examples import Format, read_examples
from nerbert.records import Example
from nerbert.registry import FORMATS

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


def read_data(folder: Path, splits: Collection[str] = ("train", "dev"), format_: str = "") -> DataSet:
    """Read splits of a data folder (or one file, as train), and no other file.

    Raise InputError with the fault; of the requested splits only train must exist.
    """
    there = find_splits(folder, format_, splits)
    if "train" in splits and "train" not in there:
        raise InputError(f"{folder}: {missing('train', format_)}; give a folder with it (and with dev and test)")
    found = {split: read_examples(path, format_) for split, path in there.items()}
    sums = {path.name: sha256_of(path) for path in there.values()}
    return DataSet(folder, found.get("train", []), found.get("dev", []), sums, found.get("test", []))


def find_splits(folder: Path, format_: str = "", splits: Collection[str] = SPLITS) -> dict[str, Path]:
    """Return the files of a folder's splits: named train, dev or test, with a suffix of the format, or of any.

    A file in place of a folder is train. Raise InputError for two files of one of these splits.
    """
    if folder.is_file():
        return {"train": folder} if "train" in splits else {}
    found: dict[str, Path] = {}
    for split, path in split_files(folder, format_):
        if split in splits and (other := found.setdefault(split, path)) != path:
            raise InputError(f"{folder}: holds {other.name} and {path.name}; move one away, or choose with --from")
    return {split: found[split] for split in SPLITS if split in found}


def split_files(folder: Path, format_: str = "") -> Iterator[tuple[str, Path]]:
    """Yield each file of a folder that is a split by its name, with the split, in the order of names."""
    suffixes = {each for one in _formats(format_) for each in one.suffixes}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        split = split_of(path.name)
        if split in SPLITS and path.name.removeprefix(split).lower() in suffixes and path.is_file():
            yield split, path


def split_file(data: Path, split: str, format_: str = "") -> Path:
    """Return the file of a folder's split, or the file that was named itself; raise InputError if there is none."""
    found = data if data.is_file() else find_splits(data, format_, [split]).get(split)
    if found is None:
        fault = missing(split, format_) if data.is_dir() else "no such file or folder"
        raise InputError(f"{data}: {fault}; name a file of annotated sentences, or a folder with a {split} split")
    return found


def missing(split: str, format_: str = "") -> str:
    """Return that a folder lacks the file of a split, and how such a file may be named."""
    return f"holds no {' or '.join(split + each.suffixes[0] for each in _formats(format_))}"


def _formats(format_: str) -> list[Format]:
    """Return the format named, or all."""
    return [FORMATS.find(name)() for name in ([format_] if format_ else FORMATS)]


def split_of(name: str) -> str:
    """Return which split a file's name says: `train` of `train.conll`."""
    return name.partition(".")[0]


def split_sum(sums: Mapping[str, Any], split: str) -> str:
    """Return the SHA-256 of a split's file, of several by name; "" if it isn't there."""
    found = next((each for name, each in sums.items() if split_of(name) == split), "")
    return found if isinstance(found, str) else ""


def train_sum(data: object) -> str:
    """Return the SHA-256 of the training file (train, or the only one) from a card's `data`; "" if it isn't there."""
    sums = data.get("sha256") if isinstance(data, dict) else None
    sums = sums if isinstance(sums, dict) else {}
    return split_sum(sums, "train") or (split_sum(sums, split_of(*sums)) if len(sums) == 1 else "")
