"""Read a suite from its TOML file (docs/how-to/compare.md), with all checks that need no data."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, TypeVar, cast

from nerbert.config import Bounds, check, make_settings, read_toml
from nerbert.errors import SettingsError, at, unknown
from nerbert.evaluation.benchmark.suite import SEEDS, Published, Readable, Seeds, Suite, SystemSettings, Target
from nerbert.evaluation.benchmark.systems.external import check_command
from nerbert.evaluation.datasets.load import find_known
from nerbert.finetuning.sampling import SizeUnit, parse_size
from nerbert.finetuning.settings import FinetuneSettings

_Table = TypeVar("_Table")
_Percent = Annotated[float, Bounds(at_least=0, at_most=100)]

DEFAULT_PROTOCOL = "default"
"""The name of the only protocol of a suite without `[protocols]`: finetune's defaults."""
_RUNNERS = {"seed": "give the suite `seeds`", "threads": "every cell has one thread"}
"""Settings of a training that no protocol or system may set, and what to do instead."""
_NAME = re.compile(r"\w[\w .-]{0,99}")
_FEW_SHOTS, _DRAWS_FOR_FEW, _DRAWS_BY_SEED = 4, 5, 3
"""So few entities per type need so many draws: one alone is meaningless (templateNER's users got 51 for 37). Draws with
their own seeds, and so encoders, need only enough for an interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _SuiteFile:
    """The keys of a suite's file; its tables are read one by one."""

    title: str = ""
    about: str = ""
    baseline: str = ""
    seeds: Seeds = SEEDS
    split: Literal["test", "dev"] = "test"
    label_encoder: str = ""
    systems: object = None
    protocols: object = None
    targets: object = None
    published: object = None
    means: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _PublishedTable:
    """The keys of `[[published]]`."""

    name: Readable
    of: Readable
    f1: object = None
    token_f1: object = None
    size: str | int = "all"


def read_suite(path: Path, encoders: Mapping[str, str | tuple[str, ...]] | None = None) -> Suite:
    """Read and check a suite; `encoders` (system → folders) override the file's; SettingsErrors name file and key."""
    with at(path):
        if not _NAME.fullmatch(path.stem):
            raise SettingsError("the tables get its name: use only letters, digits, spaces, dots and hyphens")
        file = make_settings(_SuiteFile, read_toml(path))
        systems = _with_encoders(_named("systems", file.systems, SystemSettings), encoders or {})
        targets = tuple(_listed("targets", file.targets, Target))
        if not systems or not targets:
            raise SettingsError("a suite needs at least one [systems.NAME] and one [[targets]]")
        protocols = _named("protocols", file.protocols, FinetuneSettings) or {DEFAULT_PROTOCOL: FinetuneSettings()}
        papers = _listed("published", file.published, _PublishedTable)
        published = tuple(_published(each, targets) for each in papers)
        suite = Suite(
            name=path.stem, title=file.title or path.stem, about=file.about, seeds=file.seeds, split=file.split,
            systems=systems, baseline=file.baseline or next(iter(systems)), targets=targets, published=published,
            protocols=protocols, label_encoder=file.label_encoder, means=_means(file.means, targets),
        )  # fmt: skip
        _check_suite(suite)
        return suite


def parse_encoders(given: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the folders by name from `NAME=FOLDER`, which may be repeated; the name ends at the first `=`."""
    encoders: dict[str, tuple[str, ...]] = {}
    for each in given:
        name, _, folder = (part.strip() for part in each.partition("="))
        if not (name and folder):
            raise SettingsError(f"--encoder {each!r}: write it as NAME=FOLDER, NAME being a system of the suite")
        if folder in encoders.get(name, ()):
            raise SettingsError(f"--encoder {each!r}: is given twice; each encoder needs its own pre-training")
        encoders[name] = (*encoders.get(name, ()), folder)
    return encoders


def _named(key: str, tables: object, kind: type[_Table]) -> dict[str, _Table]:
    """Return the tables `[key.NAME]`, checked."""
    if not isinstance(tables, dict | None):
        raise SettingsError(f"setting {key} = {tables!r:.80}: must be tables [{key}.NAME]")
    found = {}
    for name, values in (tables or {}).items():
        with at(setting=f"[{key}.{name!r}]"):
            check("NAME", name, Readable)
            found[name] = _made(kind, values)
    return found


def _listed(key: str, tables: object, kind: type[_Table]) -> list[_Table]:
    """Return the tables `[[key]]`, checked."""
    if not isinstance(tables, list | None):
        raise SettingsError(f"setting {key}: must be tables with double brackets, [[{key}]]")
    found = []
    for number, values in enumerate(tables or [], 1):
        with at(setting=f"[[{key}]] number {number}"):
            found.append(_made(kind, values))
    return found


def _made(kind: type[_Table], values: object) -> _Table:
    values = _table(values)
    if kind is FinetuneSettings:
        _check_chosen(values)
    if kind is Target and values.get("draw_by_seed") and "draws" in values:
        raise SettingsError("setting draws: leave it out if draw_by_seed is true; there is one draw per seed")
    if kind is SystemSettings and "settings" in values:
        made: Any = make_settings(kind, {name: value for name, value in values.items() if name != "settings"})
        return cast("_Table", replace(made, settings=_changes(values["settings"])))
    return make_settings(kind, values)


def _changes(values: object) -> dict[str, Any]:
    """Return a system's own settings, by name; they are checked with each protocol."""
    with at(setting="settings"):
        changes = _table(values)
        _check_chosen(changes)
        return changes


def _table(values: object) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise SettingsError(f"{values!r:.80}: must be a table of settings")
    return values


def _check_chosen(values: Mapping[str, Any]) -> None:
    """Raise SettingsError for settings of a training that a suite can't set."""
    if taken := next((key for key in _RUNNERS if key in values), ""):
        raise SettingsError(f"setting {taken}: can't be set by a protocol or system; {_RUNNERS[taken]}")


def _published(paper: _PublishedTable, targets: Iterable[Target]) -> Published:
    """Return a paper's figures by target, for entities, tokens, or both."""
    with at(setting=f"[[published]] {paper.name!r}"):
        given = {key: each for key, each in (("f1", paper.f1), ("token_f1", paper.token_f1)) if each is not None}
        figures = {key: _figures(key, each, targets) for key, each in (given or {"f1": None}).items()}
        f1, token_f1 = (figures.get(key, {}) for key in ("f1", "token_f1"))
        return Published(name=paper.name, of=paper.of, f1=f1, token_f1=token_f1, size=str(parse_size(paper.size)))


def _figures(key: str, given: object, targets: Iterable[Target]) -> dict[str, float]:
    """Return the figures of one kind by target."""
    if not isinstance(given, dict):
        example = "{ NAME = 66.56 }"
        raise SettingsError(f"setting {key} = {given!r:.80}: must be figures in percent by data set, {example}")
    for data in given:
        _check_known("target", data, [target.data for target in targets])
    return {data: check(f"{key}.{data}", value, _Percent) for data, value in given.items()}


def _means(given: object, targets: Sequence[Target]) -> dict[str, tuple[str, ...]]:
    """Return the groups of targets that have a mean of their own, by name."""
    if not isinstance(given, dict | None):
        raise SettingsError(f'setting means = {given!r:.80}: must be a table [means] with NAME = ["target", "target"]')
    known = list(dict.fromkeys(target.data for target in targets))
    found = {}
    for name, group in (given or {}).items():
        with at(setting=f"[means] {name!r}"):
            check("NAME", name, Readable)
            names = check(f"means.{name}", group, tuple[Readable, ...])
            for each in names:
                _check_known("target", each, known)
            if name in known or len(set(names)) < max(2, len(names)):
                raise SettingsError("must be two targets or more, each once, under a name that is none of theirs")
            found[name] = names
    return found


def _with_encoders(
    systems: Mapping[str, SystemSettings], encoders: Mapping[str, str | tuple[str, ...]]
) -> dict[str, SystemSettings]:
    """Return the systems with the encoders of the command line, also through `same_encoder_as`."""
    for name in encoders:
        _check_known("system", name, systems)
    own = {name: encoders.get(name, each.encoder) for name, each in systems.items()}
    for name, each in systems.items():
        if each.same_encoder_as:
            with at(setting=f"[systems.{name!r}]"):
                if each.encoder:
                    raise SettingsError("encoder and same_encoder_as can't both be given; leave one out")
                _check_known("system", each.same_encoder_as, systems)
                if (other := systems[each.same_encoder_as]).same_encoder_as or other.command:
                    raise SettingsError(f"same_encoder_as = {each.same_encoder_as!r}: has no encoder of its own either")
            own[name] = encoders.get(name, own[each.same_encoder_as])
    made = {name: replace(each, encoder=own[name]) for name, each in systems.items()}
    for name, each in made.items():
        with at(setting=f"[systems.{name!r}]"):
            _check_system(each)
    return made


def _check_system(system: SystemSettings) -> None:
    """Raise SettingsError for a command, or `seen_only`, with settings of an encoder."""
    if system.command:
        check_command(system.command)
        if system.encoder or system.same_encoder_as or system.source:
            raise SettingsError("has a command, so it can't have an encoder or a source; leave one out")
    if system.settings and (system.command or system.shuffled_labels or system.seen_only):
        raise SettingsError("settings are for fine-tuning, and this system has none; leave them out")
    others = system.encoder or system.command or system.source or system.shuffled_labels
    if system.seen_only and (others or not system.trained_on):
        raise SettingsError("seen_only finds mentions of trained_on: give only that, without an encoder or a command")


def _check_suite(suite: Suite) -> None:
    """Raise SettingsError for faults across tables: repeated names, seeds and cells, too few draws."""
    _check_known("baseline", suite.baseline, suite.systems)
    if len(suite.protocols) > 1 and DEFAULT_PROTOCOL in suite.protocols:
        raise SettingsError(f"[protocols.{DEFAULT_PROTOCOL}]: is named so by a suite without protocols; rename it")
    for system, protocol in product(suite.systems, suite.protocols):
        with at(setting=f"[systems.{system!r}] under [protocols.{protocol}]"):
            suite.settings_of(system, protocol)
    _check_seeds(suite)
    _check_split(suite)
    rows = Counter((target.data, size) for target in suite.targets for size in target.sizes)
    for (data, size), count in rows.items():
        if count > 1:
            raise SettingsError(f"[[targets]]: {data!r} at size {size} is given {count} times; keep one")
    names: dict[str, Target] = {}
    for target in sorted(suite.targets, key=lambda each: each.data):
        first = names.setdefault(_folder_of(target.data), target)
        if first.data != target.data:
            raise SettingsError(f"[[targets]]: {first.data!r} and {target.data!r} are one data set; write one name")
        if first.format != target.format:
            raise SettingsError(f"[[targets]]: {target.data!r} has two formats; give all its targets the same")
        seeds = len(target.seeds or suite.seeds)
        _check_draws(target, *((seeds, _DRAWS_BY_SEED) if target.draw_by_seed else (target.draws, _DRAWS_FOR_FEW)))


def _check_seeds(suite: Suite) -> None:
    for seeds in (suite.seeds, *(target.seeds for target in suite.targets if target.seeds)):
        if not seeds or len(set(seeds)) != len(seeds):
            raise SettingsError(f"setting seeds = {list(seeds)}: must be different, at least one")
        for name, system in suite.systems.items():
            if len(system.encoders) > len(seeds):
                given = f"{len(system.encoders)} encoders, but seeds = {list(seeds)}"
                raise SettingsError(f"[systems.{name!r}]: {given}: each encoder needs a seed of its own; add seeds")


def _check_split(suite: Suite) -> None:
    """Raise SettingsError for settings that don't fit a suite scored on dev."""
    if suite.split == "dev":
        for system, protocol in product(suite.systems, suite.protocols):
            if suite.settings_of(system, protocol).select == "dev":
                why = "select = 'dev' chooses on the split that split = 'dev' scores"
                raise SettingsError(f"[systems.{system!r}] under [protocols.{protocol}]: {why}")
        if suite.published:
            raise SettingsError("[[published]]: figures of test are not comparable with split = 'dev'; leave them out")


def _folder_of(data: str) -> str:
    """Return a data set's main name; under several names it would count as several targets in every mean."""
    path = PurePosixPath(data).as_posix()
    known = find_known(path)
    return known.name if known else path


def _check_draws(target: Target, draws: int, enough: int) -> None:
    if not target.sizes:
        raise SettingsError(f"[[targets]]: {target.data!r}: sizes can't be empty; leave it out for all")
    for size in map(parse_size, target.sizes):
        few = size.kind in (SizeUnit.EACH, SizeUnit.EPISODE) and size.shots <= _FEW_SHOTS
        if few and draws < enough:
            raise SettingsError(
                f"[[targets]]: {target.data!r} at size {size}: draws = {draws} are too few for so few examples: "
                f"another draw can change F1 by 14 points; choose {enough} or more"
            )


def _check_known(what: str, name: str, known: Iterable[str]) -> None:
    if name not in (known := list(known)):
        raise SettingsError(f"unknown {what} {name!r}{unknown(name, known)}")
