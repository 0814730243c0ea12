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
    [[targets]]
    data = "conll2003"
    sizes = [100]
    draw_by_seed = true                      # seed 1 trains on draw 1, seed 2 on draw 2: as many cells as seeds

    [[published]]
    name = "BERT"
    of = "Liu et al. 2021, Table 2, target only"
    f1 = {crossner_politics = 66.56}

The choice: everything that decides what is compared is in this file, and nothing that depends on the machine does:
folders come from the command line. The price: an encoder of one's own has no place in the file, only a name.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated

from nerbert.config import Bounds, Settings
from nerbert.errors import SettingsError
from nerbert.evaluation.benchmark.cells import CellKey
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.finetuning.sizes import SizeUnit, parse_size

DEFAULT_PROTOCOL = "default"
"""The name of the one protocol of a suite that has no `[protocols]`: finetune's own defaults."""
SEEDS = (1, 2, 3, 4, 5)
"""The seeds of a suite that names none."""
MOST_CELLS = 1_000_000
"""What a plan holds in memory, some 2 KB each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """What is fine-tuned: an encoder, perhaps trained on a source domain first (source & target)."""

    encoder: str = ""
    """Folder or hub name; "" is one that the command line must give."""
    same_encoder_as: str = ""
    """Name of another system whose encoder this one has, also if the command line gives it."""
    source: str = ""
    """Data set to train on first."""
    source_format: str = ""
    """Format of its files, as a target's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target(Settings):
    """A data set, at which sizes of its train split, in how many draws of each."""

    data: str
    """Name of a data set, or a folder below the data folder."""
    format: str = ""
    """Format of its files: a name, or your own as module:name, which worker processes import; "": by their content."""
    sizes: tuple[str | int, ...] = ("all",)
    """`"all"`, so many sentences (50), a share ("5%"), entities a type ("k=4"), or episodes ("5 way 1 shot")."""
    draws: Annotated[int, Bounds(at_least=1, at_most=10_000)] = 1
    """Subsets drawn of each size but "all", numbered from 1; the same for all systems, nested over sizes. Few-NERD's
    papers use 5,000 episodes."""
    draw_by_seed: bool = False
    """The first seed trains on draw 1, the second on draw 2 …: a spread over seeds and subsets at the cost of seeds
    alone. `draws` isn't given then."""
    seeds: tuple[int, ...] = ()
    """Seeds of training; none: the suite's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """Figures of a paper, in a column of their own. `f1` is in percent, by data set, for the whole train split."""

    name: str
    of: str
    """Their place: paper, table, setting, rules of scoring if they aren't the usual ones."""
    f1: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """A suite, checked. Order is worth: what is written first runs first."""

    name: str
    title: str
    systems: dict[str, System]
    targets: tuple[Target, ...]
    seeds: tuple[int, ...] = SEEDS
    about: str = ""
    baseline: str = ""
    protocols: dict[str, FinetuneSettings] = field(default_factory=dict)
    published: tuple[Published, ...] = ()

    def __post_init__(self) -> None:
        trainings = sum(self._trainings(each, size) for each in self.targets for size in each.sizes)
        if (cells := trainings * len(self.protocols) * len(self.systems)) > MOST_CELLS:
            raise SettingsError(
                f"{cells:,} cells are more than {MOST_CELLS:,}; take fewer draws, seeds, sizes or targets, or cut the "
                "suite in two"
            )

    def places(self) -> Iterator[CellKey]:
        """Yield every cell, in order of worth.

        The first seed (and draw) of all targets, sizes, protocols and systems, in the order in which the suite names
        them; then the second of all, and so on: what there is can be compared at any moment.
        """
        rows = [(each.data, str(size), self.trainings(each, size)) for each in self.targets for size in each.sizes]
        for number in range(max((len(trainings) for _, _, trainings in rows), default=0)):
            for data, size, trainings in rows:
                for draw, seed in trainings[number : number + 1]:
                    for protocol in self.protocols:
                        yield from (CellKey(name, data, size, draw, seed, protocol) for name in self.systems)

    def _trainings(self, target: Target, size: str | int) -> int:
        """Return how many `trainings` there are."""
        one = target.draw_by_seed or parse_size(size).kind is SizeUnit.ALL
        return len(target.seeds or self.seeds) * (1 if one else target.draws)

    def trainings(self, target: Target, size: str | int) -> list[tuple[int, int]]:
        """Return (draw, seed) of a target's cells at a size, in order of worth.

        A new draw with a new seed comes first.
        """
        seeds = target.seeds or self.seeds
        if parse_size(size).kind is SizeUnit.ALL:
            return [(1, seed) for seed in seeds]
        if target.draw_by_seed:
            return list(enumerate(seeds, 1))
        pairs = [(draw, place) for draw in range(target.draws) for place in range(len(seeds))]
        pairs.sort(key=lambda pair: ((pair[0] - pair[1]) % max(target.draws, len(seeds)), pair))
        return [(draw + 1, seeds[place]) for draw, place in pairs]
