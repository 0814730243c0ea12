"""A suite: which systems are compared on which data, under which protocols, with which seeds.

Nothing that depends on the machine is in it. Cost: an encoder of one's own has no place, only a name.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from nerbert.config import Bounds, Settings
from nerbert.errors import SettingsError
from nerbert.evaluation.benchmark.cells import CellKey
from nerbert.finetuning.sampling import SizeUnit, parse_size
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.formats.entity_labels import parse_type_labels
from nerbert.registry import FORMATS

SEEDS = (1, 2, 3, 4, 5)
"""The default seeds."""
MOST_CELLS = 1_000_000
"""Maximum cells of a plan, about 2 KB of memory each."""


class _Readable:
    """The bound of a text for people."""

    def contains(self, text: str) -> bool:
        """Return whether it is readable."""
        return bool(text.strip()) and text.isprintable()

    def __str__(self) -> str:
        return "printable and not empty"


Readable = Annotated[str, _Readable()]
FormatName = Annotated[str, FORMATS] | Literal[""]
Seeds = tuple[Annotated[int, Bounds(at_least=0, below=1 << 32)], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemSettings:
    """A system to compare: an encoder, perhaps trained on a source domain first (source & target), or a command."""

    encoder: str | tuple[str, ...] = ""
    """Folder or hub name; "" is one that the command line must give. Of several, pre-trained in the same way with
    other seeds, the i-th is fine-tuned with the i-th seed, so that runs differ by the chance of pre-training too."""
    same_encoder_as: str = ""
    """Name of another system that has the same encoder, even if the command line gives it."""
    source: str = ""
    """Data set to train on first."""
    source_format: FormatName = ""
    """Format of its files, as for a target."""
    command: tuple[str, ...] = ()
    """Instead of an encoder: program and arguments of another system, with the placeholders {train}, {dev}, {test},
    {output} and {seed}. Paths are relative to the current folder, as for an encoder."""
    version: str = ""
    """A command's version, if its files don't show it; a change runs its cells again."""
    timeout_minutes: Annotated[float, Bounds(above=0, at_most=10_080)] = 60.0
    """A command that takes longer is ended, and its cell fails."""
    trained_on: tuple[str, ...] = ()
    """Training data of the encoder (files of open types, corpora), for Familiarity and F1 by seen names; paths as for a
    command."""
    shuffled_labels: bool = False
    """Zero-shot: ask for each type under another type's name; entities found then don't depend on the name's
    meaning."""
    seen_only: bool = False
    """Instead of an encoder: find only texts that `trained_on` has as a mention of a type of that name."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings of its fine-tuning that override every protocol's, to compare settings."""

    @property
    def encoders(self) -> tuple[str, ...]:
        """Return its encoders; none if the command line must give them."""
        several = (self.encoder,) if isinstance(self.encoder, str) else self.encoder
        return tuple(each for each in several if each)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target(Settings):
    """A data set, with the sizes of its train split and the draws of each."""

    data: Readable
    """Name of a data set, or a folder below the data folder."""
    format: FormatName = ""
    """Format of its files: a name, or your own as module:name, which worker processes import; "": by their content."""
    sizes: tuple[str | int, ...] = ("all",)
    """`"all"`, a number of sentences (50), none (0: zero-shot), a share ("5%"), entities per type ("k=4"), or episodes
    ("5 way 1 shot")."""
    draws: Annotated[int, Bounds(at_least=1, at_most=10_000)] = 1
    """Number of subsets drawn for each size except "all"; the same for all systems, nested over sizes. Few-NERD's
    papers use 5,000 episodes."""
    draw_by_seed: bool = False
    """The first seed trains on draw 1, the second on draw 2 …: a spread over seeds and subsets at the cost of only the
    seeds. Leave out `draws` then."""
    seeds: Seeds = ()
    """Seeds of training; default: the suite's."""
    labels: tuple[Readable, ...] = ()
    """Zero-shot: the types to ask for, each `TYPE=label` or `TYPE`; default: all that occur, in words."""
    else_types: tuple[Readable, ...] = ()
    """Types that mean "none of the others" (misc): a second F1 leaves them out."""

    def __post_init__(self) -> None:
        Settings.__post_init__(self)
        parse_type_labels(self.labels)
        object.__setattr__(self, "sizes", tuple(str(parse_size(size)) for size in self.sizes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """Figures of a paper on a `size` of the train split: entity F1 and token F1 in percent, by data set."""

    name: str
    of: str
    """Their source: paper, table, setting, rules of scoring if they aren't the usual ones."""
    f1: dict[str, float]
    token_f1: dict[str, float] = field(default_factory=dict)
    size: str = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """A checked suite. Order is priority: cells run in the order of the file."""

    name: str
    title: str
    systems: dict[str, SystemSettings]
    targets: tuple[Target, ...]
    seeds: tuple[int, ...] = SEEDS
    split: Literal["test", "dev"] = "test"
    """The split that is scored. `dev` is for choosing: don't compare its figures with those of test."""
    about: str = ""
    baseline: str = ""
    protocols: dict[str, FinetuneSettings] = field(default_factory=dict)
    published: tuple[Published, ...] = ()
    label_encoder: str = ""
    """Folder or hub name of the encoder for the names of types, for Familiarity; "": none."""
    means: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Groups of targets, by name, that have a mean of their own beside that of all."""

    def __post_init__(self) -> None:
        trainings = sum(
            len(each.seeds or self.seeds) * (1 if each.draw_by_seed or size in ("all", "0") else each.draws)
            for each in self.targets for size in each.sizes
        )  # fmt: skip
        if (cells := trainings * len(self.protocols) * len(self.systems)) > MOST_CELLS:
            raise SettingsError(
                f"{cells:,} cells are more than {MOST_CELLS:,}; choose fewer draws, seeds, sizes or targets"
            )

    def places(self) -> Iterator[CellKey]:
        """Yield every cell, by priority. The first seed (and draw) of all targets, sizes, protocols and systems, in the
        suite's order; then the second of all, and so on: finished cells are comparable at any moment.
        """
        rows = [(each.data, str(size), self.trainings(each, size)) for each in self.targets for size in each.sizes]
        for number in range(max((len(trainings) for _, _, trainings in rows), default=0)):
            for data, size, trainings in rows:
                for draw, seed in trainings[number : number + 1]:
                    for protocol in self.protocols:
                        yield from (CellKey(name, data, size, draw, seed, protocol) for name in self.systems)

    def encoder_of(self, place: CellKey) -> str:
        """Return the encoder of a cell: of several the one at its seed's position."""
        encoders = self.systems[place.system].encoders
        row = next(each for each in self.targets if each.data == place.target and place.size in each.sizes)
        return encoders[(row.seeds or self.seeds).index(place.seed) % len(encoders)]

    def settings_of(self, system: str, protocol: str) -> FinetuneSettings:
        """Return how a system is fine-tuned under a protocol; raise SettingsError for settings that don't go
        together.
        """
        return self.protocols[protocol].changed(self.systems[system].settings)

    def trainings(self, target: Target, size: str | int) -> list[tuple[int, int]]:
        """Return (draw, seed) of a target's cells at a size, by priority: a new draw with a new seed comes first."""
        seeds = target.seeds or self.seeds
        if parse_size(size).kind in (SizeUnit.ALL, SizeUnit.ZERO):
            return [(1, seed) for seed in seeds]
        if target.draw_by_seed:
            return list(enumerate(seeds, 1))
        pairs = [(draw, place) for draw in range(target.draws) for place in range(len(seeds))]
        pairs.sort(key=lambda pair: ((pair[0] - pair[1]) % max(target.draws, len(seeds)), pair))
        return [(draw + 1, seeds[place]) for draw, place in pairs]
