"""Keys: a cell's key is a SHA-256 of all that its outcome depends on, so that stale outcomes are found without dates.

Code is represented by version numbers, raised by hand: `TRAINING` if drawing, training or tagging changes for the same
data, settings and seed, `ASKING` if the input of a zero-shot tagger changes, `SCORING` if the same tags get other
scores. Tests check these by draws and golden files. Cost: a change that the tests miss leaves old cells in place.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nerbert.artifacts import sha256_once
from nerbert.data.splits import DataSet, data_sum, find_splits, read_data, split_of
from nerbert.errors import InputError, refused
from nerbert.formats.documents import Reading
from nerbert.model.folder import ModelFolder, Use

FORMAT = 6
"""Raise it to run everything again."""
TRAINING = 4
"""Version of drawing sentences, fine-tuning and tagging."""
SCORING = 3
"""Version of scoring."""
ASKING = 3
"""Version of asking a zero-shot tagger."""
CHANGED = "what the cell reads changed while the benchmark ran; run it again"


def key_of(step: str, **facts: Any) -> str:
    """Return the key of a step: the SHA-256 of all that its outcome depends on, in canonical JSON."""
    # Sorted keys and fixed separators: equal facts give equal bytes, so equal keys. NaN is no JSON.
    text = json.dumps({"format": FORMAT, "step": step, **facts}, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def encoder_digest(folder: Path, use: Use = "digest") -> str:
    """Return one digest over the names and contents of a model's files for a use."""
    # The names count, too: the same bytes under another name are loaded as something else.
    names = "".join(f"{path.name} {sha256_once(path)}\n" for path in ModelFolder.open(folder).files(use))
    return hashlib.sha256(names.encode()).hexdigest()


def data_digest(path: Path) -> str:
    """Return the digest of a data file or folder; "" for a missing one, which its reader reports."""
    with refused(f"{path}: can't be read", of=OSError):
        return sha256_once(path) if path.is_file() else data_sum(path) if path.is_dir() else ""


@dataclass(frozen=True, slots=True)
class DataFiles:
    """The files of a data set that a cell reads."""

    folder: Path
    format: str
    """Name of the format; "" to recognise it by the content."""
    sha256: dict[str, str]
    """Digests by file name; "" for a missing split, under its usual name."""
    episodes: str = ""
    """Name of the file of published episodes, which is no split; "" for none."""

    @classmethod
    def find(cls, folder: Path, format_: str, splits: Iterable[str], episodes: str = "") -> "DataFiles":
        """Return the current files of some splits, and of published episodes; these must be there."""
        paths = [
            find_splits(folder, Reading(from_=format_), (split,)).get(split, folder / f"{split}.conll")
            for split in dict.fromkeys(splits)
        ]
        # Checked while planning, unlike a split: without its episodes no draw of the target can run.
        if episodes:
            paths.append(folder / episodes)
            if not paths[-1].is_file():
                raise InputError(f"{paths[-1]}: no such file of episodes; bring Few-NERD's, or leave `episodes` out")
        return cls(folder, format_, {path.name: data_digest(path) for path in paths}, episodes)

    def read_digests(self) -> "DataFiles":
        """Return the current files of the same splits."""
        return DataFiles.find(self.folder, self.format, self.splits, self.episodes)

    @property
    def splits(self) -> list[str]:
        """Return the names of the splits."""
        return [split_of(name) for name in self.sha256 if name != self.episodes]

    @property
    def key(self) -> dict[str, Any]:
        """Return their part of a key."""
        # A format recognised by the content adds nothing, since the digests say it already.
        return {"data": self.sha256} | ({"read_as": self.format} if self.format else {})

    def read(self) -> DataSet:
        """Read exactly these splits."""
        return read_data(self.folder, self.splits, Reading(from_=self.format))
