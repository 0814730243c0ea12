"""A data set by name: a folder below the data folder, or what the registry knows under that name.

The choice: a name comes from outside (a suite, a command line) and never leads out of the data folder, by dots, by
being absolute, or through a link. The price: data elsewhere must be copied, not linked, into the data folder.
"""

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from nerbert.errors import InputError, nearest
from nerbert.evaluation.datasets.duplicates import find_twins
from nerbert.evaluation.datasets.recipes import known_recipes
from nerbert.evaluation.datasets.registry import KnownData, all_names, find_known
from nerbert.formats.folder import SPLITS, read_data
from nerbert.records import Example

_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Data:
    """A data set as it was read. `known` is what the registry knows of exactly these files, None where it doesn't."""

    name: str
    """Its folder, as seen from the data folder."""
    folder: Path
    train: list[Example]
    dev: list[Example]
    test: list[Example]
    sha256: dict[str, str]
    """By the file's name."""
    known: KnownData | None
    twins: tuple[int, ...]
    """Places of the test sentences of eight tokens or more that are in train too."""
    notes: tuple[str, ...] = ()
    """How the files differ from those that the registry knows by that name."""

    @property
    def splits(self) -> dict[str, list[Example]]:
        """The sentences by the name of their split; a split that isn't there is empty."""
        return {"train": self.train, "dev": self.dev, "test": self.test}

    @property
    def files(self) -> dict[str, Path]:
        """The files read, by the name of their split."""
        if self.folder.is_file():
            return {"train": self.folder}
        return {split: self.folder / f"{split}.conll" for split in SPLITS if f"{split}.conll" in self.sha256}


def load_data(root: Path, name: str) -> Data:
    """Read a data set with all its splits; raise InputError that names the nearest there is, or what is missing."""
    data = open_data(name, root)
    if not data.test:
        raise InputError(f"{data.folder}: holds no test.conll, so nothing can be scored on it; add one")
    return data


def open_data(name: str, root: Path | None = None) -> Data:
    """Read a data set below `root`, or the folder (or CoNLL file) at the path `name` where no `root` is given."""
    folder, name = find_place(name, root)
    return load_folder(folder, name=name)


def find_place(name: str, root: Path | None = None) -> tuple[Path, str]:
    """Return where `open_data` reads a data set, and what it calls it; nothing is read yet."""
    if root is not None:
        folder = find_folder(root, name)
        return folder, folder.relative_to(root).as_posix()
    known = find_known(name)
    if known and not Path(name).exists():
        raise InputError(f"{name}: no such folder; name the one that holds the data sets with --data{_fetched(known)}")
    return Path(name), Path(name).resolve().name


def load_folder(folder: Path, *, name: str = "") -> Data:
    """Read a data folder of anyone's; dev and test are empty where there are none."""
    name = name or folder.resolve().name
    found = read_data(folder, SPLITS)
    known = find_known(name)
    notes = tuple(differences(known, found.sha256)) if known else ()
    twins = find_twins(found.train, found.test)
    return Data(name, folder, found.train, found.dev, found.test, found.sha256, None if notes else known, twins, notes)


def find_folder(root: Path, name: str) -> Path:
    """Return the folder of a data set: that of its own name, else of the set that the paper calls so."""
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; name the one that holds the data sets (--data)")
    _check_name(name)
    known = find_known(name)
    names = [name] if known is None or known.name == name else [name, known.name]
    folder = next((root / each for each in names if (root / each).is_dir()), None)
    if folder is None:
        raise InputError(_unknown(root, name, known))
    if (path := link_out(root, folder)) is not None:
        raise InputError(f"{path}: a link that leads out of {root}; copy the data there")
    return folder


def split_files(folder: Path) -> dict[str, Path]:
    """Return the files there are of a data folder, or of one CoNLL file, by the name of their split."""
    if folder.is_file():
        return {"train": folder}
    return {split: path for split in SPLITS if (path := folder / f"{split}.conll").is_file()}


def link_out(root: Path, folder: Path) -> Path | None:
    """Return the first of a data set's folder and files that is a link out of `root`; None if none is."""
    inside = os.path.realpath(root)  # unlike resolve, no error where links go round
    paths = (folder, *(folder / f"{split}.conll" for split in SPLITS))
    return next((path for path in paths if not Path(os.path.realpath(path)).is_relative_to(inside)), None)


def folder_names(root: Path) -> list[str]:
    """Return the folders below `root` that hold a train.conll, sorted."""
    return sorted(path.name for path in root.iterdir() if (path / "train.conll").is_file())


def _check_name(name: str) -> None:
    """Raise InputError for what is no path downwards."""
    parts = PurePosixPath(name).parts
    downwards = parts and name.isprintable() and not name.startswith("/") and ".." not in parts
    if not downwards or len(name.encode()) > _LONGEST:
        raise InputError(f"data set {name!r:.80}: must be the name of a folder below the data folder")


def _unknown(root: Path, name: str, known: KnownData | None) -> str:
    if known is not None:
        return f"{root}: holds no folder {known.name!r}{_fetched(known) or '; it has no public address'}"
    there = folder_names(root)
    close = nearest(name, [*there, *all_names()])
    return f"data set {name!r}: no such folder in {root}{close or ';'} there are {', '.join(there) or 'none'}"


def _fetched(known: KnownData) -> str:
    """Return how to get a known data set that isn't there; "" if it has no public address."""
    recipe = known_recipes().get(known.name)
    return f"; `nerbert data fetch {known.name}` gets it" if recipe and not recipe.unfetched else ""


def differences(known: KnownData, sha256: dict[str, str]) -> list[str]:
    """Return how files differ from those that are known, a line each."""
    notes = []
    for split, each in known.splits.items():
        file = f"{split}.conll"
        if file not in sha256:
            notes.append(f"{file} is missing, which the known {known.name} has")
        elif sha256[file] != each.sha256:
            sums = f"SHA-256 {sha256[file][:12]}…, not {each.sha256[:12]}…"
            notes.append(f"{file} differs from that of the known {known.name} ({sums})")
    return notes
