"""A suite: systems, data, protocols and seeds, from TOML. Cost: it names encoders, but doesn't store their paths."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, product
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, ValidationError

from nerbert.config import read_toml
from nerbert.data.catalogue import find_known
from nerbert.data.sampling import SizeUnit, parse_size
from nerbert.entity_labels import parse_type_labels
from nerbert.errors import NerbertError, SettingsError, at, unknown
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.formats.format import FORMATS
from nerbert.training.sections import change_settings, make_settings
from nerbert_bench.cells import CellKey
from nerbert_bench.systems.external import check_command

DEFAULT_PROTOCOL = "default"
"""The name of the only protocol of a suite without `[protocols]`: finetune's defaults."""
_NAME = re.compile(r"\w[\w .-]{0,99}")
_FEW_SHOTS, _DRAWS_FOR_FEW, _DRAWS_BY_SEED = 4, 5, 3
"""Up to 4 entities per type need 5 draws: a single one is meaningless (templateNER's users got 51 instead of 37). Draws
with their own seeds, and so encoders, need only as many as an interval does, 3."""
_NOT_CHOSEN = {"seed": "give the suite `seeds`", "threads": "every cell has one thread"}
"""Training settings that a protocol or system can't set, and the alternative."""
_REMOVED = ("label_encoder", "shuffled_labels", "seen_only", "trained_on")


def _validator(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a validator that reports an error of nerbert at its key."""

    def validate(value: Any) -> Any:
        try:
            return check(value)
        except NerbertError as error:
            raise ValueError(str(error)) from error

    return validate


def _readable(text: str) -> str:
    if not (text.strip() and text.isprintable()):
        raise ValueError(f"{text!r}: must be text, printable and not empty")
    return text


def _format(name: str) -> str:
    if name and not FORMATS.contains(name):
        raise ValueError(f"{name!r}{unknown(name, FORMATS, allowed=str(FORMATS))}")
    return name


def _labels(labels: tuple[str, ...]) -> tuple[str, ...]:
    parse_type_labels(labels)
    return labels


def _check_choice(values: Any) -> dict[str, Any]:
    """Return settings of a training; raise SettingsError for those that a suite can't set."""
    if not isinstance(values, dict):
        raise SettingsError(f"{values!r:.80}: must be a table of settings")
    for name, instead in _NOT_CHOSEN.items():
        if name in values:
            raise SettingsError(f"setting {name}: can't be set by a protocol or system; {instead}")
    return values


def _protocol(values: Any) -> FinetuneSettings:
    return values if isinstance(values, FinetuneSettings) else make_settings(FinetuneSettings, _check_choice(values))


def _seeds(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"{list(seeds)}: must be different")
    return seeds


Readable = Annotated[str, AfterValidator(_readable)]
FormatName = Annotated[str, AfterValidator(_validator(_format))]
Size = Annotated[str, PlainValidator(_validator(lambda size: str(parse_size(size))))]
Labels = Annotated[tuple[Readable, ...], AfterValidator(_validator(_labels))]
Seeds = Annotated[tuple[Annotated[int, Field(ge=0, lt=1 << 32)], ...], AfterValidator(_seeds)]
Percents = dict[str, Annotated[float, Field(ge=0, le=100)]]


class _SuiteTable(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class SystemSettings(_SuiteTable):
    """A system to compare: an encoder, optionally trained on a source domain first (source & target), or a command."""

    encoder: str | tuple[str, ...] = ""
    """Folder or hub name; "" if the command line must give it; {target} is the target's name, where each has an encoder
    of its own. Of several, pre-trained in the same way with other seeds, the i-th is fine-tuned with the i-th seed, so
    that runs include the random variation of pre-training."""
    same_encoder_as: str = ""
    """Name of another system that has the same encoder, even if the command line gives it."""
    source: str = ""
    """Data set to train on first; {target} in it is the target's `data`, for the train split beside episodes."""
    source_format: FormatName = ""
    """Format of its files, as for a target."""
    command: Annotated[tuple[str, ...], AfterValidator(_validator(check_command))] = ()
    """Instead of an encoder: program and arguments of another system, with the placeholders {train}, {dev}, {test},
    {output} and {seed}. Paths are relative to the current folder, as for an encoder."""
    version: str = ""
    """A command's version, if its files don't show it; a change runs its cells again."""
    timeout_minutes: Annotated[float, Field(gt=0, le=10_080)] = 60.0
    """Time limit of a command; one that takes longer is killed, and its cell fails."""
    settings: Annotated[dict[str, Any], PlainValidator(_validator(_check_choice))] = {}
    """Settings of its fine-tuning that override every protocol's, to compare settings."""

    @property
    def encoders(self) -> tuple[str, ...]:
        """Return its encoders; none if the command line must give them."""
        several = (self.encoder,) if isinstance(self.encoder, str) else self.encoder
        return tuple(encoder for encoder in several if encoder)


class Target(_SuiteTable):
    """A data set, with the sizes of its train split and the draws of each."""

    data: Readable
    """Name of a data set, or a folder below the data folder."""
    format: FormatName = ""
    """Format of its files: a name, or your own as module:name, which worker processes import; "": by their content."""
    sizes: Annotated[tuple[Size, ...], Field(min_length=1)] = ("all",)
    """`"all"`, a number of sentences (50), none (0: zero-shot), a share ("5%"), entities per type ("k=4"), or episodes
    ("5 way 1 shot")."""
    draws: Annotated[int, Field(ge=1, le=10_000)] = 1
    """Number of subsets drawn for each size except "all"; the same for all systems, nested over sizes. Few-NERD's
    papers use 5,000 episodes."""
    episodes: Literal["drawn", "published"] = "drawn"
    """Whether episodes are drawn from the scored split, or are the lines of Few-NERD's `published` files in the data
    set's folder: draw n is line n of `test_5_1.jsonl` for 5 ways and 1 shot."""
    draw_by_seed: bool = False
    """The first seed trains on draw 1, the second on draw 2 …: a spread over seeds and subsets at the cost of only the
    seeds. Leave out `draws` then."""
    seeds: Seeds = ()
    """Seeds of training; default: the suite's."""
    systems: tuple[Readable, ...] = ()
    """Systems that run on it; default: all."""
    labels: Labels = ()
    """Zero-shot: the types to ask for, each `TYPE=label` or `TYPE`; default: all types that occur, as words."""
    else_types: tuple[Readable, ...] = ()
    """Types that mean "none of the others" (misc): a second F1 leaves them out."""


class Published(_SuiteTable):
    """A paper's figures on a `size` of the train split, in percent, by data set; all but `token_f1` are of entities."""

    name: Readable
    of: Readable
    """Source of the figures: paper, table, setting, and scoring rules if they aren't the usual ones."""
    f1: Percents = {}
    token_f1: Percents = {}
    precision: Percents = {}
    recall: Percents = {}
    size: Size = "all"

    @property
    def figures(self) -> dict[str, Percents]:
        """Return its figures by metric of a cell's scores."""
        entities = {"micro.f1": self.f1, "micro.precision": self.precision, "micro.recall": self.recall}
        return entities | {"token.micro_f1": self.token_f1}


class Suite(_SuiteTable):
    """A checked suite. Order is priority: cells run in the order of the file."""

    name: str
    """The name of its file, and of its tables."""
    title: str = ""
    about: str = ""
    systems: Annotated[dict[Readable, SystemSettings], Field(min_length=1)]
    targets: Annotated[tuple[Target, ...], Field(min_length=1)]
    seeds: Annotated[Seeds, Field(min_length=1)] = (1, 2, 3, 4, 5)
    split: Literal["test", "dev"] = "test"
    """The split that is scored. `dev` is for choosing: don't compare its figures with those of test."""
    baseline: str = ""
    """The system that the others are tested against; default: the first."""
    protocols: dict[Readable, Annotated[FinetuneSettings, PlainValidator(_validator(_protocol))]] = {
        DEFAULT_PROTOCOL: FinetuneSettings()
    }
    published: tuple[Published, ...] = ()
    means: dict[Readable, Annotated[tuple[Readable, ...], Field(min_length=2)]] = {}
    """Groups of targets, by name, with a separate mean in addition to the mean of all."""

    def cell_keys(self) -> Iterator[CellKey]:
        """Yield every cell, by priority. The first seed (and draw) of all targets, sizes, protocols and systems, in the
        suite's order; then the second of all, and so on: finished cells are comparable at any moment.
        """
        # Row by row would leave the last targets empty until the end of a long run.
        rows = [(target, size, self.trainings(target, size)) for target in self.targets for size in target.sizes]
        for number in range(max(len(trainings) for _, _, trainings in rows)):
            for target, size, trainings in rows:
                systems = [name for name in self.systems if name in (target.systems or self.systems)]
                for (draw, seed), protocol in product(trainings[number : number + 1], self.protocols):
                    yield from (CellKey(name, target.data, size, draw, seed, protocol) for name in systems)

    def encoder_of(self, key: CellKey) -> str:
        """Return the encoder of a cell: of several encoders, the one at its seed's position, for its target."""
        encoders = self.systems[key.system].encoders
        target = next(target for target in self.targets if target.data == key.target and key.size in target.sizes)
        encoder = encoders[(target.seeds or self.seeds).index(key.seed) % len(encoders)]
        return encoder.replace("{target}", key.target)

    def settings_of(self, system: str, protocol: str) -> FinetuneSettings:
        """Return a system's fine-tuning settings under a protocol; raise SettingsError for settings that clash."""
        return change_settings(self.protocols[protocol], self.systems[system].settings)

    def trainings(self, target: Target, size: str) -> list[tuple[int, int]]:
        """Return (draw, seed) of a target's cells at a size, by priority: a new draw with a new seed comes first."""
        seeds = target.seeds or self.seeds
        if parse_size(size).unit in (SizeUnit.ALL, SizeUnit.ZERO):
            return [(1, seed) for seed in seeds]
        if target.draw_by_seed:
            return list(enumerate(seeds, 1))
        pairs = [(draw, index) for draw in range(target.draws) for index in range(len(seeds))]
        # Diagonally: (1, a), (2, b), (3, c) before (1, b), so few cells already vary draw and seed.
        pairs.sort(key=lambda pair: ((pair[0] - pair[1]) % max(target.draws, len(seeds)), pair))
        return [(draw + 1, seeds[index]) for draw, index in pairs]


def read_suite(path: Path, encoders: Mapping[str, str | tuple[str, ...]] | None = None) -> Suite:
    """Read and check a suite; `encoders` (system → folders) override the file's; SettingsErrors name file and key."""
    with at(path):
        # The stem becomes the names of NAME.md, NAME.tex and so on.
        if not _NAME.fullmatch(path.stem):
            raise SettingsError("the tables get its name: use only letters, digits, spaces, dots and hyphens")
        values = read_toml(path)
        try:
            # From JSON, pydantic's strict mode accepts a list for a tuple, which TOML doesn't have.
            suite = Suite.model_validate_json(json.dumps(values | {"name": path.stem}, default=str))
        except ValidationError as error:
            raise _fault(error) from error
        suite = _with_encoders(suite, encoders or {})
        for setting, fault in _faults(suite):
            raise SettingsError(f"{setting}: {fault}", setting=setting)
        return suite


def parse_encoders(options: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the folders by name from `NAME=FOLDER`, which may be repeated; the name ends at the first `=`."""
    encoders: dict[str, tuple[str, ...]] = {}
    for option in options:
        name, _, folder = (part.strip() for part in option.partition("="))
        if not (name and folder):
            raise SettingsError(f"--encoder {option!r}: write it as NAME=FOLDER, NAME being a system of the suite")
        if folder in encoders.get(name, ()):
            raise SettingsError(f"--encoder {option!r}: is given twice; each encoder needs its own pre-training")
        encoders[name] = (*encoders.get(name, ()), folder)
    return encoders


def _fault(error: ValidationError) -> SettingsError:
    """Return the first fault that pydantic found, with its key; a misspelt key before the one it leaves missing."""
    faults = error.errors(include_url=False)
    # `dat` for `data` is both unknown and missing; the misspelt key is the cause.
    fault = next((entry for entry in faults if entry["type"] == "extra_forbidden"), faults[0])
    fault_type = fault["type"]
    location = fault["loc"]
    setting = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")
    name = str(location[-1]) if location else ""
    # Suites of earlier versions have these keys; a similar name would mislead.
    if name in _REMOVED and fault_type == "extra_forbidden":
        return SettingsError(f"setting {setting}: scores by seen names are gone; leave it out", setting=setting)
    if fault_type == "extra_forbidden":
        tables: dict[Any, type[_SuiteTable]] = {"systems": SystemSettings, "targets": Target, "published": Published}
        model = tables.get(location[0], Suite) if len(location) > 1 else Suite
        return SettingsError(f"unknown setting {setting!r:.200}{unknown(name, model.model_fields)}", setting=setting)
    if fault_type == "missing":
        return SettingsError(f"setting {setting} is missing; add it", setting=setting)
    if fault_type == "value_error":
        return SettingsError(f"setting {setting:.200}: {fault['ctx']['error']}", setting=setting)
    why = fault["msg"].replace("Input should", "must")
    return SettingsError(f"setting {setting:.200} = {fault['input']!r:.80}: {why}", setting=setting)


def _with_encoders(suite: Suite, encoders: Mapping[str, str | tuple[str, ...]]) -> Suite:
    """Return a suite with the encoders of the command line, also through `same_encoder_as`."""
    for name in encoders:
        if fault := _unknown("system", name, suite.systems):
            raise SettingsError(f"--encoder {name}: {fault}")
    folders = {name: encoders.get(name, system.encoder) for name, system in suite.systems.items()}
    for name, system in suite.systems.items():
        if other := system.same_encoder_as:
            with at(setting=f"systems.{name}"):
                if system.encoder:
                    raise SettingsError("encoder and same_encoder_as can't both be given; leave one out")
                if fault := _unknown("system", other, suite.systems):
                    raise SettingsError(fault)
                # A chain of references could be a circle.
                if suite.systems[other].same_encoder_as or suite.systems[other].command:
                    raise SettingsError(f"same_encoder_as = {other!r}: has no encoder of its own either")
            folders[name] = encoders.get(name, folders[other])
    systems = {name: system.model_copy(update={"encoder": folders[name]}) for name, system in suite.systems.items()}
    return suite.model_copy(update={"systems": systems})


def _faults(suite: Suite) -> Iterator[tuple[str, str]]:
    """Yield the key and the description of each fault across tables."""
    if suite.baseline and (fault := _unknown("baseline", suite.baseline, suite.systems)):
        yield "baseline", fault
    # A cell's name leaves this protocol out, so among others it would look like none.
    if len(suite.protocols) > 1 and DEFAULT_PROTOCOL in suite.protocols:
        yield f"protocols.{DEFAULT_PROTOCOL}", "is the name that suites without protocols use; rename it"
    for name, system in suite.systems.items():
        yield from ((f"systems.{name}", fault) for fault in _system_faults(suite, system))
    _check_settings(suite)
    yield from _repeat_faults(suite)
    yield from _target_faults(suite)
    targets = dict.fromkeys(target.data for target in suite.targets)
    for paper in suite.published:
        yield from ((f"published {paper.name!r}", fault) for fault in _paper_faults(suite, paper, targets))
    for name, group in suite.means.items():
        yield from ((f"means.{name}", fault) for target in group if (fault := _unknown("target", target, targets)))
        # A group with a target's name would give two rows of one name.
        if name in targets or len(set(group)) < len(group):
            yield f"means.{name}", "must have each target once, under a name that isn't a target's"


def _check_settings(suite: Suite) -> None:
    """Raise SettingsError if a system's settings clash with a protocol, or choose on the split that is scored."""
    for name, protocol in product(suite.systems, suite.protocols):
        with at(setting=f"systems.{name} under protocols.{protocol}"):
            if suite.settings_of(name, protocol).select == "dev" and suite.split == "dev":
                raise SettingsError("select = 'dev' chooses on the split that split = 'dev' scores")


def _system_faults(suite: Suite, system: SystemSettings) -> Iterator[str]:
    if system.command and (system.encoders or system.same_encoder_as or system.source):
        yield "has a command, so it can't have an encoder or a source; leave one out"
    if system.command and system.settings:
        yield "settings are for fine-tuning, and a command has none; leave them out"
    # An encoder beyond the last seed would never run.
    for seeds in (suite.seeds, *(target.seeds for target in suite.targets if target.seeds)):
        if len(system.encoders) > len(seeds):
            counts = f"{len(system.encoders)} encoders, but seeds = {list(seeds)}"
            yield f"{counts}: each encoder needs a seed of its own; add seeds"


def _paper_faults(suite: Suite, paper: Published, targets: Iterable[str]) -> Iterator[str]:
    if suite.split == "dev":
        yield "figures of test are not comparable with split = 'dev'; leave them out"
    if not (paper.f1 or paper.token_f1):
        yield "needs f1 or token_f1: figures in percent by data set, { NAME = 66.56 }"
    yield from filter(None, (_unknown("target", name, targets) for name in chain(*paper.figures.values())))


def _repeat_faults(suite: Suite) -> Iterator[tuple[str, str]]:
    cells = Counter((target.data, size) for target in suite.targets for size in target.sizes)
    for (data, size), count in cells.items():
        if count > 1:
            yield "targets", f"{data!r} at size {size} is given {count} times; keep one"


def _target_faults(suite: Suite) -> Iterator[tuple[str, str]]:
    """Yield faults of targets: unknown systems, a data set under two names, too few draws."""
    first = dict[str, Target]()
    for target in sorted(suite.targets, key=lambda target: target.data):
        yield from (("targets", fault) for name in target.systems if (fault := _unknown("system", name, suite.systems)))
        path = PurePosixPath(target.data).as_posix()
        # Under two names, "crossner_politics" and "Pol", one data set would count as two targets in every mean.
        known = find_known(path)
        other = first.setdefault(known.name if known else path, target)
        if other.data != target.data:
            yield "targets", f"{other.data!r} and {target.data!r} are one data set; write one name"
        if other.format != target.format:
            yield "targets", f"{target.data!r} has two formats; give all its targets the same"
        # `model_fields_set` tells a given `draws = 1` from the default.
        if target.draw_by_seed and "draws" in target.model_fields_set:
            yield "targets", f"{target.data!r}: leave draws out if draw_by_seed is true; there is one draw per seed"
        draws, enough = target.draws, _DRAWS_FOR_FEW
        if target.draw_by_seed:
            draws = len(target.seeds or suite.seeds)
            enough = _DRAWS_BY_SEED
        for drawn in map(parse_size, target.sizes):
            few = drawn.unit in (SizeUnit.EACH, SizeUnit.EPISODE) and drawn.shots <= _FEW_SHOTS
            if few and draws < enough:
                why = f"draws = {draws} are too few for so few examples: another draw can change F1 by 14 points"
                yield "targets", f"{target.data!r} at size {drawn}: {why}; choose {enough} or more"


def _unknown(noun: str, name: str, names: Iterable[str]) -> str:
    return "" if name in (names := list(names)) else f"unknown {noun} {name!r}{unknown(name, names)}"
