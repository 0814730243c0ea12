"""What is known of public data sets: where they come from, whose they are, what they hold, and their hashes.

The choice: facts are in a table of the package (`nerbert/tables/datasets.toml`), and nothing of the data does. A set
is known by the bytes of its files in nerbert's own form, so what is claimed of it (counts, licence, whether it is the
paper's split) is claimed of exactly these. The price: a set converted otherwise is used, but nothing is claimed of it.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from typing import Any

from nerbert.config import make_settings
from nerbert.errors import SettingsError, at
from nerbert.formats.folder import SPLITS

TABLE = "datasets.toml"
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
    """Where files come from: a repository, a commit of it, paths in it."""

    repository: str
    commit: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetFacts:
    """What the table says of a data set in so many words; what isn't known is empty."""

    title: str
    about: str
    paper_name: str = ""
    """What NER-BERT's tables call it."""
    source_domain: bool = False
    """Whether the paper's source & target begins with it."""
    fits: bool = False
    """Whether the splits are the paper's; `split` says how they are, or aren't."""
    split: str
    language: str = "en"
    licence: str
    """In a word or two."""
    licence_note: str = ""
    types: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownData(DatasetFacts):
    """A data set that nerbert knows; `name` is its folder's."""

    name: str
    splits: Mapping[str, KnownSplit]
    sources: tuple[Repository, ...]


@cache
def known_data() -> Mapping[str, KnownData]:
    """Return all known data sets by the name of their folder, in the table's order."""
    return parse_table(files("nerbert.tables").joinpath(TABLE).read_text(encoding="utf-8"))


def find_known(name: str) -> KnownData | None:
    """Return a known data set by its folder's name or by the paper's (Pol, Sci, …); None if there is none."""
    known = known_data()
    return known.get(name) or next((each for each in known.values() if name and each.paper_name == name), None)


def all_names() -> list[str]:
    """Return every name that `find_known` knows."""
    return [*known_data(), *(each.paper_name for each in known_data().values() if each.paper_name)]


def parse_table(text: str) -> dict[str, KnownData]:
    """Read the table; raise SettingsError that names the data set and what is amiss."""
    with at(TABLE):
        found = {}
        for name, values in tomllib.loads(text).items():
            with at(name):
                found[name] = _known(name, values)
        papers = [each.paper_name for each in found.values() if each.paper_name]
        if len(set(papers)) != len(papers) or set(papers) & set(found):
            raise SettingsError("a paper's name is there twice")
    return found


def _known(name: str, values: dict[str, Any]) -> KnownData:
    if not _NAME.fullmatch(name):
        raise SettingsError("a name must be of small letters, digits and _")
    splits = {split: make_settings(KnownSplit, each) for split, each in values.pop("splits", {}).items()}
    sources = tuple(make_settings(Repository, each) for each in values.pop("sources", []))
    told = make_settings(DatasetFacts, values)
    if list(splits) != list(SPLITS) or not sources:
        raise SettingsError(f"must have sources, and the splits {', '.join(SPLITS)}")
    if bad := [each.sha256 for each in splits.values() if not _DIGEST.fullmatch(each.sha256)]:
        raise SettingsError(f"sha256 {bad[0]!r}: must be 64 hexadecimal digits in small letters")
    plain = {field.name: getattr(told, field.name) for field in fields(told)}
    return KnownData(name=name, splits=splits, sources=sources, **plain)
