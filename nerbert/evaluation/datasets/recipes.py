"""How public data sets become folders of nerbert's form: which file is which split, how it is read, what is drawn.

The choice: this is a table of the package (`nerbert/tables/datasets_raw.toml`) beside the registry's, which says from
which commit of which repository; a commit's files never change, so an address needs no date. What was converted must
have the registry's SHA-256, so a wrong row can do no harm but fail. The price: a set whose making takes more than this
can't be fetched, and its row says why.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from urllib.parse import quote

from nerbert.config import make_settings, refuse
from nerbert.errors import InputError, SettingsError, at, nearest
from nerbert.evaluation.datasets.convert import READERS, SCHEMES
from nerbert.evaluation.datasets.registry import KnownData
from nerbert.formats.folder import SPLITS
from nerbert.sources.download import Address

TABLE = "datasets_raw.toml"
LONGEST = 16 << 20
"""Bytes of a file that are taken at most; the longest known has 1.7 million."""

_TEXT = re.compile(rb"(?i)(?!\s*<(?:!doctype|html)\b)(?s:.)")
_ADVICE = "the publisher may have taken it away: try a --mirror"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a data set is made: paths in its repository, what they hold, what is drawn from train."""

    train: str = ""
    dev: str = ""
    test: str = ""
    reader: str = "columns"
    scheme: str = "iob2"
    drop: tuple[str, ...] = ()
    """What lines begin with that hold no token."""
    draw_dev: int = 0
    """Sentences drawn from train to be dev; then those drawn to be test."""
    draw_test: int = 0
    train_sha256: str = ""
    """Of the file as it is published, where it is known; so with dev and test."""
    dev_sha256: str = ""
    test_sha256: str = ""
    unfetched: str = ""
    """Why it can't be fetched."""

    def __post_init__(self) -> None:
        """Refuse what names no reader, or leaves a split without sentences."""
        refuse(self.reader not in READERS, "reader", self.reader, f"one of {', '.join(READERS)}")
        refuse(self.scheme not in SCHEMES, "scheme", self.scheme, f"one of {', '.join(SCHEMES)}")
        for split in SPLITS:
            there = bool(getattr(self, split)) + bool(self.draws.get(split))
            refuse(there != (not self.unfetched), split, getattr(self, split), "a path, or drawn from train")

    @property
    def paths(self) -> dict[str, str]:
        """The files that are fetched, by split."""
        return {split: getattr(self, split) for split in SPLITS if getattr(self, split)}

    @property
    def draws(self) -> dict[str, int]:
        """How many sentences are drawn from train, by split."""
        return {split: size for split, size in (("dev", self.draw_dev), ("test", self.draw_test)) if size}

    @property
    def all_sums_known(self) -> bool:
        """Whether each file's SHA-256 is known before it is converted."""
        return all(getattr(self, f"{split}_sha256") for split in self.paths)


@cache
def known_recipes() -> Mapping[str, Recipe]:
    """The package's recipes by the data set's name."""
    return parse_recipes(files("nerbert.tables").joinpath(TABLE).read_text(encoding="utf-8"))


def parse_recipes(text: str) -> dict[str, Recipe]:
    """Read the table; raise SettingsError that names the data set and what is amiss."""
    found = {}
    with at(TABLE):
        for name, values in tomllib.loads(text).items():
            with at(name):
                found[name] = make_settings(Recipe, values)
    return found


def find_recipe(
    name: str, known: Mapping[str, KnownData], recipes: Mapping[str, Recipe]
) -> tuple[KnownData, Recipe]:  # fmt: skip
    """A data set by its own name or the paper's; raise SettingsError or InputError if it can't be had."""
    paper = {each.paper_name: each for each in known.values() if each.paper_name}
    data = known.get(name) or paper.get(name)
    if data is None:
        like = nearest(name, [*known, *paper]) or "; `--list` names those that there are"
        raise SettingsError(f"no data set is known by that name{like}")
    recipe = recipes.get(data.name, Recipe(unfetched="it was never looked for"))
    if recipe.unfetched:
        raise InputError(f"no public address in this form: {recipe.unfetched}")
    return data, recipe


def find_addresses(data: KnownData, recipe: Recipe) -> dict[str, Address]:
    """Where the files of a data set lie, by split."""
    source = data.sources[0]
    if not source.repository.startswith("github.com/"):
        raise SettingsError(f"repository {source.repository!r}: must begin with github.com/ to be fetched")
    root = f"https://raw.githubusercontent.com/{source.repository.removeprefix('github.com/')}/{source.commit}"
    return {
        split: Address(f"{split}.raw", f"{data.name}, {split}", f"{root}/{quote(path)}", LONGEST, _TEXT, _ADVICE,
                       sha256=getattr(recipe, f"{split}_sha256"))
        for split, path in recipe.paths.items()
    }  # fmt: skip
