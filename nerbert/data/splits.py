"""Data sets: a folder with a file (or folder) for each split, one file that is cut into splits, or examples in memory.

Only requested splits are read. A file is cut by the hash of each document's group, or its text, and the seed.
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from nerbert.artifacts import sha256_of
from nerbert.errors import InputError, SettingsError, at, nearest, refused, unknown
from nerbert.formats.documents import Reading, no_sentence, repairs_line, sentences_of
from nerbert.formats.format import FORMATS, known_formats, read_documents, recognise_format
from nerbert.records import Document, Example, Repair, Repairs
from nerbert.rng import uniform
from nerbert.schema import json_line
from nerbert.sources.files import entries_of
from nerbert.terminal import tell

SPLITS = ("train", "dev", "test")
"""The splits of a data set."""
_USUAL = {
    "train": "train",
    "training": "train",
    "dev": "dev",
    "devel": "dev",
    "development": "dev",
    "valid": "dev",
    "validation": "dev",
    "val": "dev",
    "testa": "dev",
    "test": "test",
    "testing": "test",
    "testb": "test",
}
"""Words in file names that denote a split."""
_WORD = re.compile(r"[a-z]+")
_SHARES = re.compile(r"\d{1,3}(?:/\d{1,3}){1,2}")
_MEMORY = Path("examples in memory")


@dataclass(frozen=True, slots=True)
class DataSet:
    """Annotated sentences by split, with the SHA-256 of each source, by name. A split that does not exist or was not
    requested is empty. `repairs` counts what was repaired or left out.
    """

    folder: Path
    train: list[Example]
    dev: list[Example] = field(default_factory=list)
    sha256: dict[str, str] = field(default_factory=dict)
    test: list[Example] = field(default_factory=list)
    files: dict[str, Path] = field(default_factory=dict)
    """The file of each split; the same for all if one file is cut into splits."""
    reading: Reading = field(default_factory=Reading)
    repairs: Repairs = field(default_factory=Repairs)

    @property
    def splits(self) -> dict[str, list[Example]]:
        """The sentences by split; a missing split is empty."""
        return {"train": self.train, "dev": self.dev, "test": self.test}

    def source(self, split: str) -> dict[str, str]:
        """Return the name and SHA-256 of a split's source; an empty dict if unknown."""
        path = self.files.get(split)
        return {"name": path.name, "sha256": self.sha256[path.name]} if path else {}


AnyData: TypeAlias = str | Path | DataSet | Mapping[str, Sequence[Example]] | Iterable[Example]
"""A data set: its folder or file, or examples in memory by split; a list of examples is a train split."""


def read_data(data: AnyData, splits: Collection[str] = ("train", "dev"), reading: Reading | None = None) -> DataSet:
    """Read splits of a data folder, and no other file, or read one file, as train unless it is cut into splits.

    Raise InputError for invalid data; of the requested splits only train must exist. Data in memory is used unchanged.
    """
    # A misspelt split would be read as empty
    if strange := [split for split in splits if split not in SPLITS]:
        raise SettingsError(f"split {strange[0]!r}{unknown(strange[0], SPLITS)}")
    if not isinstance(data, str | Path):
        data_set = data if isinstance(data, DataSet) else _in_memory(data)
        if "train" in splits and not data_set.train:
            raise InputError(f"{data_set.folder}: its train split holds no sentence, or was not read")
        return data_set
    return _read_splits(Path(data), splits, reading or Reading())


def _read_splits(folder: Path, splits: Collection[str], reading: Reading) -> DataSet:
    """Return splits of a data folder, or of one file."""
    repairs = Repairs()
    files = find_splits(folder, reading, splits)
    if "train" in splits and "train" not in files:
        raise no_split(folder, "train", reading.from_)
    read: dict[str, list[Example]] = {split: [] for split in files}
    for split, path, document in _stream(folder, files, reading).documents(repairs):
        # A cut file yields all its splits, wanted or not
        if split in read:
            with at(path, document.line or None):
                read[split] += sentences_of(document, reading, repairs)
    # A requested split that exists but is empty is a mistake
    if empty := next((split for split in read if not read[split]), ""):
        raise InputError(f"{files[empty]}: {no_sentence(repairs)}")
    if repairs.total():
        tell(f"{folder}: {repairs_line(repairs)}")
    sums = {
        # A name on the hub has no file here; its examples stand for it
        path.name: data_sum(path) if path.exists() else examples_digest(read.get(split, ()))
        for split, path in files.items()
    }
    train, dev, test = (read.get(split, []) for split in SPLITS)
    return DataSet(folder, train, dev, sums, test, files, reading, repairs)


def _in_memory(data: object) -> DataSet:
    """Return examples as a data set: all in train, or by split."""
    by_split = isinstance(data, Mapping)
    examples_of_split: Mapping[str, object] = data if isinstance(data, Mapping) else {"train": data}
    if strange := [split for split in examples_of_split if split not in SPLITS]:
        raise InputError(f"data: split {strange[0]!r:.80}{unknown(strange[0], SPLITS)}")
    read: dict[str, list[Example]] = {}
    for split, examples in examples_of_split.items():
        if not isinstance(examples, Iterable) or isinstance(examples, str | Example):
            name = type(examples).__name__
            raise InputError(f"data: {name} is not data; give a folder, a file or a list of examples")
        read[split] = list(examples)
        if wrong := [item for item in read[split] if not isinstance(item, Example)]:
            raise InputError(f"data: {type(wrong[0]).__name__} is not an Example; make examples with nerbert.example")
    train, dev, test = (read.get(split, []) for split in SPLITS)
    files = {split: _MEMORY / split if by_split else _MEMORY for split in read}
    sums = {path.name: examples_digest(read[split]) for split, path in files.items()}
    return DataSet(_MEMORY, train, dev, sums, test, files)


@dataclass(frozen=True, slots=True)
class GoldSentences:
    """The sentences to score or calibrate on, with their path (`place`), and its name and SHA-256."""

    place: str
    examples: list[Example]
    name: str
    sha256: str
    cut: Mapping[str, Any] = field(default_factory=dict)
    """The settings by which they were cut out of a file, in the form of a card; empty for a whole file."""

    def learnt_by(self, data: object) -> bool:
        """Return whether a card's training data is the same file: all of it, or a part from another cut."""
        card_data = data if isinstance(data, dict) else {}
        # Another part of the same cut was not trained on
        same_cut = bool(self.cut) and all(card_data.get(key) == value for key, value in self.cut.items())
        return bool(self.sha256) and self.sha256 == train_sum(card_data) and not same_cut


def read_gold(data: AnyData, split: str, reading: Reading | None = None) -> GoldSentences:
    """Read one split, or all of a file or list without splits; raise InputError if there are no sentences."""
    reading = reading or Reading()
    if isinstance(data, str | Path):
        path = Path(data)
        files = find_splits(path, reading)
        # A file without splits is train, whatever split is named
        if set(files.values()) == {path} and not reading.split:
            split = "train"
        elif split not in files:
            if files and reading.split:
                raise InputError(f"{path}: --split {reading.split} cuts no {split} split; give it a share: 80/10/10")
            raise no_split(path, split, reading.from_)
        data = read_data(path, (split,), reading)
    elif not isinstance(data, DataSet):
        split = split if isinstance(data, Mapping) else "train"
        data = _in_memory(data)
    examples = data.splits[split]
    source = data.source(split)
    if not examples:
        raise InputError(f"{data.folder}: its {split} split holds no sentence")
    path = data.files.get(split, data.folder)
    cut = cut_of(data.reading) if set(data.files.values()) == {path} and split != "train" else {}
    return GoldSentences(str(path), examples, source.get("name", ""), source.get("sha256", ""), cut)


def cut_of(reading: Reading) -> dict[str, Any]:
    """Return the settings by which a file is cut into splits, in the form of a card; empty if it isn't cut."""
    return {"split": reading.split, "split_seed": reading.split_seed} if reading.split else {}


def find_splits(data: Path, reading: Reading | None = None, splits: Collection[str] = SPLITS) -> dict[str, Path]:
    """Return the path of each split of a data set: the files (or folders) of a folder with a split's name.

    One file, or a folder in one format, is train, or every split if `reading.split` cuts it. Raise InputError for two
    files of one of these splits, and for a cut of data that has splits.
    """
    reading = reading or Reading()
    with refused(f"{data}: can't be read", of=OSError):
        files = _named_splits(data, reading.from_, splits)
        # A cut would mix splits that the data set keeps apart
        if files:
            if reading.split:
                own = ", ".join(files)
                raise InputError(f"{data}: has splits of its own ({own}); leave out --split, or name one file")
        elif data.is_file() or (data.is_dir() and _is_format(data, reading.from_)):
            files = dict.fromkeys(_shares(reading.split) if reading.split else ("train",), data)
    wanted = files.keys() & splits
    return {split: files[split] for split in SPLITS if split in wanted}


def _named_splits(data: Path, format_: str, splits: Collection[str]) -> dict[str, Path]:
    files = dict[str, Path]()
    # A name on the hub lists its splits there
    if format_ == "datasets" and not data.exists():
        from nerbert.formats.parquet import hub_splits  # a name of the hub

        files = {split: data / split for split in hub_splits(data)} or {"train": data}
    for split, path in split_files(data, format_):
        # `train.conll` beside `train.jsonl`: none of them is obviously meant
        if split in splits and (other := files.setdefault(split, path)) != path:
            raise InputError(f"{data}: holds {other.name} and {path.name}; move one away, or choose with --from")
    return files


def split_files(folder: Path, format_: str = "") -> Iterator[tuple[str, Path]]:
    """Yield each split and its file (or folder), for files in a folder that have a split's name, sorted by name. A
    folder in one format may contain texts such as `train-01.ann` or `test.ann`, which aren't splits.
    """
    if not folder.is_dir():
        return
    folder_format = recognise_format(folder)
    inside = [path for path, _ in entries_of(folder)]
    # `train.conll` rather than `train-01.ann`, which may be a text in a folder
    named = {path for path in inside if path.name.lower().partition(".")[0] in _USUAL}
    others = {path.suffix for path in inside if path not in named}

    def is_part(path: Path) -> bool:
        if not folder_format or not path.is_file():
            return False
        return path not in named or (path.suffix in others and recognise_format(path) == folder_format)

    for path in inside:
        split = split_of(path.name)
        if split and not is_part(path) and _is_format(path, format_):
            yield split, path


def _is_format(path: Path, format_: str) -> bool:
    """Return whether a file or folder is in the given format, or in any: by its name, or else by its content. The name
    suffices only if it consists of a split and a suffix, so that `train_log.json` doesn't count as data.
    """
    formats = [FORMATS.find(format_)()] if format_ else [*known_formats().values()]
    stem, dot, suffix = path.name.lower().partition(".")
    if path.is_file() and stem in _USUAL and any(dot + suffix in format_.suffixes for format_ in formats):
        return True
    if format_:
        (chosen,) = formats
        return path.is_file() and path.name.lower().endswith(chosen.suffixes) if chosen.suffixes else path.is_dir()
    return path.exists() and recognise_format(path) != ""


def no_split(data: Path, split: str, format_: str = "") -> InputError:
    """Return the error for a missing split: the data set doesn't exist, or has no split of that name."""
    remedy = f"name a file of annotated sentences, or a folder with a {split} split"
    if not data.is_dir():
        with suppress(OSError):
            if like := nearest(data.name, (path.name for path in data.parent.iterdir())):
                return InputError(f"{data}: no such file or folder{like}")
        return InputError(f"{data}: no such file or folder; {remedy}")
    suffixes = FORMATS.find(format_)().suffixes[:1] if format_ else (".conll", ".jsonl")
    names = " or ".join(split + suffix for suffix in suffixes) or split
    return InputError(f"{data}: holds no {split} split, say {names}; {remedy}")


def split_of(name: str) -> str:
    """Return the split that a file's name denotes: `train` for `train.conll`, `dev` for `eng.testa`; else ""."""
    splits = {_USUAL[word] for word in _WORD.findall(name.lower()) if word in _USUAL}
    # `train-dev.conll` names two splits, so neither
    return splits.pop() if len(splits) == 1 else ""


def split_sum(sums: Mapping[str, Any], split: str) -> str:
    """Return the SHA-256 of a split's file, from those of all files by name; "" if it is missing."""
    digest = next((digest for name, digest in sums.items() if split_of(name) == split), "")
    return digest if isinstance(digest, str) else ""


def train_sum(data: object) -> str:
    """Return the SHA-256 of the training file (train, or the only one) from a card's `data`; "" if it is missing."""
    sums = data.get("sha256") if isinstance(data, dict) else None
    sums = sums if isinstance(sums, dict) else {}
    (only,) = sums.values() if len(sums) == 1 else ("",)
    return split_sum(sums, "train") or (only if isinstance(only, str) else "")


def data_sum(path: Path) -> str:
    """Return the SHA-256 of a file, or of the names and digests of all files below a folder."""
    if not path.is_dir():
        return sha256_of(path)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    lines = (f"{file.relative_to(path)} {sha256_of(file)}\n" for file in files)
    return hashlib.sha256("".join(lines).encode("utf-8", "replace")).hexdigest()


def examples_digest(examples: Iterable[Example]) -> str:
    """Return the SHA-256 of examples in memory."""
    digest = hashlib.sha256()
    for example in examples:
        spans = [(span.start, span.end, span.type) for span in example.spans]
        digest.update(json_line([example.text, example.words, spans]).encode("utf-8", "replace") + b"\n")
    return digest.hexdigest()


def _shares(split: str) -> dict[str, float]:
    """Return the share (0–1) of each split from `80/10/10` (train, dev, test) or `80/20` (train, dev)."""
    parts = [int(part) for part in split.split("/")] if _SHARES.fullmatch(split) else []
    if sum(parts) != 100 or not parts[0]:
        raise SettingsError(f"split {split!r}: must be percentages of train, dev and test that sum to 100: 80/10/10")
    return {name: part / 100 for name, part in zip(SPLITS, parts, strict=False) if part}


def cut_documents(keys: Iterable[str], split: str, seed: int, path: Path | str = "") -> list[str]:
    """Return the split of each document, from its key, `split` (`80/10/10`) and `seed`; equal keys stay together. Raise
    InputError that names `path` if a split would be empty. Keys are not kept in memory.
    """
    shares = _shares(split)
    draws = np.fromiter((uniform(seed, "split", key) for key in keys), np.float64)
    # Equal keys have equal draws, so they are one group
    _, parts, sizes = np.unique(draws, return_inverse=True, return_counts=True)
    # Groups in random order fill the splits; each goes where its middle lies
    middles = (np.cumsum(sizes) - sizes / 2) / max(1, len(draws))
    chosen = np.searchsorted(list(accumulate(shares.values()))[:-1], middles, side="right")
    if empty := {name for number, name in enumerate(shares) if number not in chosen}:
        with at(path):
            raise InputError(
                f"{len(sizes)} documents are too few for {split}: none would be {' or '.join(sorted(empty))}"
            )
    names = list(shares)
    return [names[number] for number in chosen[parts]]


@dataclass(frozen=True, slots=True)
class SplitStream:
    """The splits of a data set; every iteration reads the documents again, one by one."""

    data: Path
    files: Mapping[str, Path]
    reading: Reading
    tagged: bool = False
    """True to keep texts that only a model tagged; else they are counted and left out, as in training."""
    cut: Sequence[str] = ()
    """The split of each document, if one file is cut into splits."""

    def documents(self, repairs: Repairs) -> Iterator[tuple[str, Path, Document]]:
        """Yield each document with its split and file, split by split, or in file order if one file is cut."""
        if self.cut:
            documents = self.read(self.data, repairs)
            yield from ((split, self.data, document) for split, document in zip(self.cut, documents, strict=True))
            return
        for split, path in self.files.items():
            yield from ((split, path, document) for document in self.read(path, repairs))

    def split(self, name: str, repairs: Repairs) -> Iterator[tuple[Path, Document]]:
        """Yield the documents of one split, each with its file; `repairs` counts all documents read for it."""
        # A cut file can't be read without its other splits
        part = self if self.cut else replace(self, files={name: self.files[name]})
        yield from ((path, document) for split, path, document in part.documents(repairs) if split == name)

    def sums(self) -> dict[str, str]:
        """Return the SHA-256 of each local file, by name."""
        return {path.name: data_sum(path) for path in dict.fromkeys(self.files.values()) if path.exists()}

    def read(self, path: Path, repairs: Repairs) -> Iterator[Document]:
        """Yield the documents of a file."""
        for document in read_documents(path, self.reading, repairs):
            # Texts that no person checked would train the model on its own mistakes
            if document.tagged and not self.tagged:
                repairs[Repair.UNANNOTATED] += 1
            else:
                yield document


def stream_splits(data: Path, reading: Reading, *, tagged: bool = False) -> SplitStream:
    """Return a data set's splits, read in constant memory (cutting takes one more pass); raise InputError for none."""
    files = find_splits(data, reading)
    if not files:
        raise no_split(data, "train", reading.from_)
    return _stream(data, files, reading, tagged=tagged)


def _stream(data: Path, files: Mapping[str, Path], reading: Reading, *, tagged: bool = False) -> SplitStream:
    stream = SplitStream(data, files, reading, tagged)
    if not reading.split or not files:
        return stream
    documents = stream.read(data, Repairs())
    # Prefixes, so that a group's name never equals a text
    keys = (f"group {document.group}" if document.group else f"text {document.text}" for document in documents)
    return replace(stream, cut=cut_documents(keys, reading.split, reading.split_seed, data))
