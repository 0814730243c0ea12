"""A suite: which systems are compared on which data, under which protocols, with which seeds. A TOML file.

    title = "North star"
    seeds = [1, 2, 3]
    baseline = "MiniLM"                      # what the others are tested against; the first system if not given

    [systems.MiniLM]
    encoder = "sentence-transformers/all-MiniLM-L6-v2"    # folder or hub name; --encoder NAME=FOLDER wins
    [systems."MiniLM, source & target"]
    encoder = "sentence-transformers/all-MiniLM-L6-v2"
    source = "conll2003"                     # a chain: trained on this data first, once for all cells

    [protocols.fixed]                        # settings of `nerbert finetune`; none at all is one protocol, "default"
    [protocols.dev]
    select = "dev"

    [[targets]]
    data = "crossner_politics"
    [[targets]]
    data = "btc"
    sizes = [10, "5%", "k=4", "5 way 1 shot"]
    draws = 5

    [[published]]
    name = "BERT"
    of = "Liu et al. 2021, Table 2, target only"
    f1 = {crossner_politics = 66.56}

The choice: everything that decides what is compared stands in this file, and nothing that depends on the machine does:
folders come from the command line. The price: an encoder of one's own has no place in the file, only a name.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nerbert.config import make_settings, read_toml, refuse
from nerbert.errors import SettingsError, at, nearest
from nerbert.evaluation.benchmark.cells import Place
from nerbert.finetune.settings import FinetuneSettings

DEFAULT_PROTOCOL = "default"
"""The name of the one protocol of a suite that has no `[protocols]`: finetune's own defaults."""
_FEW = re.compile(r"k=(\d+)")
_MOST_DRAWS_NEEDED = 5
"""Draws that are asked for where k ≤ 4: one alone says nothing (templateNER's users got 51 for 37)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """What is fine-tuned: an encoder, perhaps trained on a source domain first (source & target)."""

    encoder: str = ""
    """Folder or hub name; "" is one that the command line must give."""
    source: str = ""
    """Data set to train on first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A data set, at which sizes of its train split, in how many draws of each."""

    data: str
    """Name of a data set, or a folder below the data folder."""
    sizes: tuple[str | int, ...] = ("all",)
    """`"all"`, so many sentences (50), a share ("5%"), so many entities a type ("k=4"), or episodes ("5 way 1 shot")."""
    draws: int = 1
    """Subsets drawn of each size but "all", numbered from 1; the same for all systems, nested over sizes."""
    seeds: tuple[int, ...] = ()
    """Seeds of training; none: the suite's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """Figures of a paper, shown in a column of their own. `f1` is in percent, by data set, for the whole train split."""

    name: str
    of: str
    """Where they stand: paper, table, setting, rules of scoring if they aren't the usual ones."""
    f1: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """A suite, checked. Order is worth: what is written first runs first."""

    name: str
    title: str
    systems: dict[str, System]
    targets: tuple[Target, ...]
    seeds: tuple[int, ...] = (1, 2, 3, 4, 5)
    about: str = ""
    baseline: str = ""
    protocols: dict[str, FinetuneSettings] = field(default_factory=dict)
    published: tuple[Published, ...] = ()

    def places(self) -> Iterator[Place]:
        """Every cell, in order of worth.

        The first seed (and draw) of all targets, sizes, protocols and systems, in the order in which the suite names
        them; then the second of all, and so on: what there is can be compared at any moment.
        """
        rounds = [list(self._rounds(target)) for target in self.targets]
        for number in range(max((len(each) for each in rounds), default=0)):
            for target, own in zip(self.targets, rounds, strict=True):
                if number < len(own):
                    yield from self._cells_of(target, *own[number])

    def _rounds(self, target: Target) -> Iterator[tuple[int, int]]:
        """(draw, seed) of a target, in order: each seed with a draw of its own first."""
        seeds = target.seeds or self.seeds
        pairs = [(draw, seed) for draw in range(1, target.draws + 1) for seed in seeds]
        return iter(sorted(pairs, key=lambda pair: max(pair[0] - 1, seeds.index(pair[1]))))

    def _cells_of(self, target: Target, draw: int, seed: int) -> Iterator[Place]:
        for size in target.sizes:
            if size == "all" and draw > 1:
                continue
            for protocol in self.protocols:
                for system in self.systems:
                    yield Place(system, target.data, str(size), draw, seed, protocol)


def read_suite(path: Path, encoders: Mapping[str, str] | None = None) -> Suite:
    """Read and check a suite; `encoders` (name of a system → folder or hub name) win over the file's.

    Raise SettingsError that names file, key and the nearest right one.
    """
    with at(path):
        suite = _suite(path.stem, read_toml(path))
        unknown = next((name for name in encoders or {} if name not in suite.systems), None)
        if unknown is not None:
            raise SettingsError(f"no system {unknown!r} in the suite{nearest(unknown, suite.systems)}")
    given = {name: replace(each, encoder=(encoders or {}).get(name, each.encoder)) for name, each in suite.systems.items()}
    return replace(suite, systems=given)
