"""Find, read, list and sample data sets by name: a folder below the data folder, or a registered name."""

import os
import shutil
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Literal

from nerbert.artifacts import check_apart, check_free, publish_folder, sha256_of, write_json
from nerbert.data.sampling import Subset, draw_subset, parse_size
from nerbert.data.splits import SPLITS, DataSet, cut_of, data_sum, find_splits, read_data, split_files, split_of
from nerbert.errors import InputError, nearest
from nerbert.formats.documents import Reading, document_of
from nerbert.formats.format import find_format
from nerbert.records import Example
from nerbert.sources.files import entries_of

TABLE = "datasets.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSplit:
    """A split: counts, and the SHA-256 of its file. With open types sentences are passages, and entities overlap."""

    sentences: int
    tokens: int
    entities: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """The source of files: a repository, a commit, and paths."""

    repository: str
    commit: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The steps to make a data set: paths in its repository, their format, splits to draw; a `release` stays as is."""

    train: str = ""
    dev: str = ""
    test: str = ""
    reader: Literal["columns", "pairs"] = "columns"
    """Format of the lines: token first and tag last, or `word:tag word:tag … <=> intent`."""
    scheme: Literal["iob2", "iob1", "io", "bioes"] = "iob2"
    """Tag scheme of the files."""
    drop: tuple[str, ...] = ()
    """Prefixes of lines without a token."""
    draw_dev: int = 0
    """Number of sentences to draw from train as dev, before those of test."""
    draw_test: int = 0
    release: str = ""
    """Address of the folder with its files, instead of a repository's."""
    script: str = ""
    """The script that makes the files of a `release`, by its path in a checkout of nerbert."""
    unfetched: str = ""
    """The reason why it can't be fetched; empty if it can."""

    @property
    def paths(self) -> dict[str, str]:
        """The files to fetch, by split."""
        return {split: getattr(self, split) for split in SPLITS if getattr(self, split)}

    @property
    def draws(self) -> dict[str, int]:
        """The number of sentences to draw from train, by split."""
        return {split: size for split, size in (("dev", self.draw_dev), ("test", self.draw_test)) if size}


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownData:
    """A data set that nerbert knows; unknown fields are empty."""

    name: str
    """The name of its folder."""
    title: str
    about: str
    paper_name: str = ""
    """Its name in NER-BERT's tables."""
    source_domain: bool = False
    """True if it is the paper's source in source & target."""
    fits: bool = False
    """True if splits and types are the paper's; `split` describes how they agree or differ."""
    split: str
    language: str = "en"
    licence: str
    """Licence in a word or two."""
    licence_note: str = ""
    types: tuple[str, ...]
    """Entity types; empty if they are open."""
    splits: Mapping[str, KnownSplit] = field(default_factory=dict)
    sources: tuple[Repository, ...] = ()
    recipe: Recipe

    def file_of(self, split: str) -> str:
        """Return the name of a split's file."""
        return split + (PurePosixPath(self.recipe.paths[split]).suffix if self.recipe.release else ".conll")


@cache
def known_data() -> Mapping[str, KnownData]:
    """Return all known data sets by the name of their folder, in the table's order."""
    from pydantic import TypeAdapter

    table = tomllib.loads(files("nerbert.tables").joinpath(TABLE).read_text(encoding="utf-8"))
    named = {name: values | {"name": name} for name, values in table.items()}
    return TypeAdapter(dict[str, KnownData]).validate_python(named)


def find_known(name: str) -> KnownData | None:
    """Return a known data set by its folder's name or by the paper's (Pol, Sci, …); None if there is none."""
    known = known_data()
    return known.get(name) or next((data for data in known.values() if name and data.paper_name == name), None)


def all_names() -> list[str]:
    """Return every name that `find_known` knows."""
    known = known_data()
    return [*known, *(data.paper_name for data in known.values() if data.paper_name)]


AT_LEAST = 8
"""Minimum tokens of a sentence that counts as a duplicate."""
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Data(DataSet):
    """A data set by name."""

    name: str = ""
    """Its folder, relative to the data folder."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A data set and its state in a folder: whole, –, not known, or `no dev`, `another test`; "" without a folder.
    `link out` is a link that leads out of the folder; `can't be listed` means no permission.
    """

    name: str
    known: KnownData | None
    there: str = ""


def open_data(name: str, root: Path | None = None, reading: Reading | None = None) -> Data:
    """Read the splits of a data set below `root`, or of the folder (or file) at the path `name` without a root."""
    folder, name = find_place(name, root)
    data = read_data(folder, tuple(find_splits(folder, reading)) or SPLITS, reading)
    return Data(folder, data.train, data.dev, data.sha256, data.test, data.files, data.reading, data.repairs, name)


def find_place(name: str, root: Path | None) -> tuple[Path, str]:
    """Return the folder (or file) of a data set, named as in `open_data`, and its name."""
    # With a data folder, names lead only downwards, since a suite may come from someone else.
    if root is not None:
        folder = find_folder(root, name)
        return folder, folder.relative_to(root).as_posix()
    # A folder in the current one wins over a registered name.
    if (known := find_known(name)) and not Path(name).exists():
        raise InputError(f"{name}: no such folder; name the folder of the data sets with --data{_fetch_hint(known)}")
    return Path(name), Path(name).resolve().name


def find_known_files(name: str, sha256: Mapping[str, str]) -> tuple[KnownData | None, tuple[str, ...]]:
    """Return the known data set of this name and exactly these files, or None and the differences."""
    known = find_known(name)
    faults = _faults(known, {split_of(file): digest for file, digest in sha256.items()}) if known else ""
    # Licence and counts apply to exactly the known files, so a changed copy is an unknown set.
    return (None, (f"not those of the known {known.name}: {faults}",)) if known and faults else (known, ())


def find_folder(root: Path, name: str) -> Path:
    """Return the folder of a data set: that of its own name, else that of the set with this name in the paper."""
    check_root(root)
    parts = PurePosixPath(name).parts
    # "../secret" or "/etc" in a suite must not be read.
    downwards = parts and name.isprintable() and not name.startswith("/") and ".." not in parts
    if not downwards or len(name.encode()) > _LONGEST:
        raise InputError(f"data set {name!r:.80}: must be the name of a folder below the data folder")
    known = find_known(name)
    # The user's own folder "Pol" comes before the registered set that the paper calls so.
    names = [name] if known is None or known.name == name else [name, known.name]
    folder = next((path for path in map(root.joinpath, names) if path.is_dir()), None)
    if folder is None:
        raise InputError(_unknown_name(root, name, known))
    # A link could lead where ".." may not.
    if (path := link_out(root, folder)) is not None:
        raise InputError(f"{path}: a link that leads out of {root}; copy the data there")
    return folder


def link_out(root: Path, folder: Path) -> Path | None:
    """Return the first of a data set's folder and files that is a link out of `root`, or None."""
    # Unlike `resolve`, this raises no error for circular links.
    inside = os.path.realpath(root)
    files = (path for path, _ in entries_of(folder) if split_of(path.name) in SPLITS)
    return next((path for path in (folder, *files) if not Path(os.path.realpath(path)).is_relative_to(inside)), None)


def list_data(root: Path | None = None) -> list[Listed]:
    """Return the known data sets with their state in `root`, then the other data sets in it."""
    known = known_data()
    if root is None:
        return [Listed(name, data) for name, data in known.items()]
    check_root(root)
    names = dict.fromkeys([*known, *_folder_names(root)])
    return [Listed(name, known.get(name), _state(root, root / name, known.get(name))) for name in names]


def find_duplicates(train: Iterable[Example], test: Sequence[Example], at_least: int = AT_LEAST) -> tuple[int, ...]:
    """Return indices of test sentences, of `at_least` tokens or more, that are in train; "Yes ." isn't a leak."""
    long = {example.tokens for example in train if len(example.words) >= at_least}
    return tuple(index for index, example in enumerate(test) if example.tokens in long)


def write_sample(data: Data, size: str, draw: int, output: Path, *, overwrite: bool = False) -> Subset:
    """Draw a subset of the train split and write it to the folder `output`, with dev and test."""
    check_free(output, overwrite=overwrite)
    # Overwriting the data's own folder would delete the sentences to be drawn.
    check_apart(output, [data.folder])
    if not data.train:
        raise InputError(f"{data.folder}: has no train split to draw from")
    subset = draw_subset(data.train, parse_size(size), draw)
    format_ = find_format(data.files["train"], data.reading.from_)
    suffix = format_.suffixes[0] if format_.suffixes else ""
    # The sample's splits are files already: the cut of the source must not be applied again.
    plain = Reading(from_=data.reading.from_)
    with publish_folder(output, overwrite=overwrite) as folder:
        for split, examples in data.splits.items():
            drawn = [data.train[index] for index in subset.places] if split == "train" else examples
            path = data.files.get(split)
            # Dev and test are copied byte by byte, so their digests stay those of the known set.
            if split != "train" and path and path.is_file() and not data.reading.split:
                shutil.copyfile(path, folder / path.name)
            elif drawn:
                format_.write(folder / f"{split}{suffix}", map(document_of, drawn))
        write_json(
            folder / "manifest.json",
            {
                "kind": "sample",
                "data": data.name,
                "data_sha256": data.sha256,
                **cut_of(data.reading),
                "size": str(subset.size),
                "draw": subset.draw,
                "sentences": len(subset.places),
                "sentences_there": len(data.train),
                "places": list(subset.places),
                "entities": subset.reached,
                "entities_there": subset.there,
                "types_short_of_k": subset.short,
                "sha256": {path.name: data_sum(path) for path in find_splits(folder, plain).values()},
            },
        )
    return subset


def _state(root: Path, folder: Path, known: KnownData | None) -> str:
    try:
        # One folder that can't be listed must not end the list of all.
        if folder.is_dir() and link_out(root, folder):
            return "link out"
        paths = [*split_files(folder, "conll" if known and not known.recipe.release else "")]
    except InputError:
        return "can't be listed"
    if known is None:
        return "not known"
    files = {split: sha256_of(path) for split, path in paths if path.is_file()}
    return (_faults(known, files) or "whole") if files else "–"


def _faults(known: KnownData, sha256: Mapping[str, str]) -> str:
    """Return which of a known data set's splits are missing or different, by their SHA-256; "" if none is."""
    wrong = [split for split, facts in known.splits.items() if sha256.get(split) != facts.sha256]
    return ", ".join(f"{'another' if split in sha256 else 'no'} {split}" for split in wrong)


def _folder_names(root: Path) -> list[str]:
    """Return the folders below `root` that hold a split or can't be listed, sorted."""
    return [path.name for path, is_folder in entries_of(root) if is_folder and _may_hold_split(path)]


def _may_hold_split(folder: Path) -> bool:
    try:
        return any(split_files(folder))
    except InputError:
        # It can't be listed, so it is shown as such instead of being left out.
        return True


def check_root(root: Path) -> None:
    """Raise InputError if there is no folder of data sets, or no permission to list it."""
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; name the folder of the data sets (--data)")
    entries_of(root)


def _unknown_name(root: Path, name: str, known: KnownData | None) -> str:
    if known is not None:
        return f"{root}: holds no folder {known.name!r}{_fetch_hint(known) or '; it has no public address'}"
    folders = _folder_names(root)
    close = nearest(name, [*folders, *all_names()])
    return f"data set {name!r}: no such folder in {root}{close or ';'} there are {', '.join(folders) or 'none'}"


def _fetch_hint(known: KnownData) -> str:
    """Return how to get a known data set; "" if it has no public address."""
    return "" if known.recipe.unfetched else f"; `nerbert data fetch {known.name}` gets it"
