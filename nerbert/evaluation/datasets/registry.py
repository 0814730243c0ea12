"""Public data sets that nerbert knows: their source, licence, contents and hashes, and how to fetch and convert them.

The facts are in a table of the package, `nerbert/tables/datasets.toml`; the package holds no data. A data set is
identified by the bytes of its files in nerbert's own form, so every claim (counts, licence, whether it is the paper's
split) is about exactly these bytes. The price: nothing is claimed of a set that was converted otherwise, and a set that
needs more than a recipe can't be fetched.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Literal

from nerbert.formats.examples import SPLITS

TABLE = "datasets.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSplit:
    """A split: its counts, and the SHA-256 of its file."""

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
    """How to make a data set: the paths in its repository, their form, and the splits to draw from train."""

    train: str = ""
    dev: str = ""
    test: str = ""
    reader: Literal["columns", "pairs"] = "columns"
    """The form of the lines: token first and tag last, or `word:tag word:tag … <=> intent`."""
    scheme: Literal["iob2", "iob1", "io", "bioes"] = "iob2"
    """The meaning of the tags."""
    drop: tuple[str, ...] = ()
    """Prefixes of lines that hold no token."""
    draw_dev: int = 0
    """Number of sentences to draw from train as dev, before those of test."""
    draw_test: int = 0
    unfetched: str = ""
    """Why it can't be fetched."""

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
    """A data set that nerbert knows; what isn't known of it is empty."""

    name: str
    """The name of its folder."""
    title: str
    about: str
    paper_name: str = ""
    """Its name in NER-BERT's tables."""
    source_domain: bool = False
    """Whether the paper's source & target begins with it."""
    fits: bool = False
    """Whether the splits are the paper's; `split` says in what they agree or differ."""
    split: str
    language: str = "en"
    licence: str
    """In a word or two."""
    licence_note: str = ""
    types: tuple[str, ...]
    splits: Mapping[str, KnownSplit] = field(default_factory=dict)
    sources: tuple[Repository, ...] = ()
    recipe: Recipe


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
    return known.get(name) or next((each for each in known.values() if name and each.paper_name == name), None)


def all_names() -> list[str]:
    """Return every name that `find_known` knows."""
    known = known_data()
    return [*known, *(each.paper_name for each in known.values() if each.paper_name)]
