"""Public data sets that nerbert knows: their source, licence, contents and hashes, and how to fetch and convert them.

The facts are in two tables of the package, `nerbert/tables/datasets.toml` and `datasets_raw.toml`; the package holds no
data. A data set is identified by the bytes of its files in nerbert's own form, so every claim (counts, licence, whether
it is the paper's split) is about exactly these bytes. The price: nothing is claimed of a set that was converted
otherwise, and a set that needs more than a recipe can't be fetched.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from typing import Any

from nerbert.config import make_settings, refuse
from nerbert.errors import SettingsError, at
from nerbert.evaluation.datasets.convert import READERS, SCHEMES
from nerbert.formats.folder import SPLITS

TABLE, RECIPES = "datasets.toml", "datasets_raw.toml"
_NAME = re.compile(r"[a-z0-9_]+")
_DIGEST = re.compile(r"[0-9a-f]{64}")


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
    reader: str = "columns"
    scheme: str = "iob2"
    drop: tuple[str, ...] = ()
    """Prefixes of lines that hold no token."""
    draw_dev: int = 0
    """Number of sentences to draw from train as dev, before those of test."""
    draw_test: int = 0
    unfetched: str = ""
    """Why it can't be fetched."""

    def __post_init__(self) -> None:
        refuse(self.reader not in READERS, "reader", self.reader, f"one of {', '.join(READERS)}")
        refuse(self.scheme not in SCHEMES, "scheme", self.scheme, f"one of {', '.join(SCHEMES)}")
        for split in SPLITS:
            there = bool(getattr(self, split)) + bool(self.draws.get(split))
            refuse(there != (not self.unfetched), split, getattr(self, split), "a path, or drawn from train")

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

    name: str = ""
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
    recipe: Recipe = Recipe(unfetched="it was never looked for")


@cache
def known_data() -> Mapping[str, KnownData]:
    """Return all known data sets by the name of their folder, in the table's order."""
    return parse_tables(
        *(files("nerbert.tables").joinpath(each).read_text(encoding="utf-8") for each in (TABLE, RECIPES))
    )


def find_known(name: str, known: Mapping[str, KnownData] | None = None) -> KnownData | None:
    """Return a known data set by its folder's name or by the paper's (Pol, Sci, …); None if there is none."""
    known = known_data() if known is None else known
    return known.get(name) or next((each for each in known.values() if name and each.paper_name == name), None)


def all_names(known: Mapping[str, KnownData] | None = None) -> list[str]:
    """Return every name that `find_known` knows."""
    known = known_data() if known is None else known
    return [*known, *(each.paper_name for each in known.values() if each.paper_name)]


def parse_tables(text: str, recipes: str) -> dict[str, KnownData]:
    """Parse both tables; raise SettingsError that names the table, the data set and the fault."""
    found = {}
    with at(TABLE):
        for name, values in tomllib.loads(text).items():
            with at(part=name):
                found[name] = _known(name, values)
        names = all_names(found)
        if len(set(names)) != len(names):
            raise SettingsError("a paper's name is there twice")
    with at(RECIPES):
        for name, values in tomllib.loads(recipes).items():
            with at(part=name):
                if name not in found:
                    raise SettingsError(f"is not in {TABLE}")
                found[name] = replace(found[name], recipe=make_settings(Recipe, values))
    return found


def _known(name: str, values: dict[str, Any]) -> KnownData:
    if not _NAME.fullmatch(name):
        raise SettingsError("a name must be of small letters, digits and _")
    splits = {split: make_settings(KnownSplit, each) for split, each in values.pop("splits", {}).items()}
    sources = tuple(make_settings(Repository, each) for each in values.pop("sources", []))
    if list(splits) != list(SPLITS) or not sources:
        raise SettingsError(f"must have sources, and the splits {', '.join(SPLITS)}")
    if bad := [each.sha256 for each in splits.values() if not _DIGEST.fullmatch(each.sha256)]:
        raise SettingsError(f"sha256 {bad[0]!r}: must be 64 hexadecimal digits in small letters")
    return replace(make_settings(KnownData, values), name=name, splits=splits, sources=sources)
