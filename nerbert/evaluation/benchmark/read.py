"""Read a suite's TOML: every name is known, every size is valid, nothing is there twice.

Everything that can be refused without data is refused before the first training. Whether a data set exists is known
only where the data are, so a wrong name there makes its own cells fail and no others.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from nerbert.config import make_settings, read_toml, refuse
from nerbert.errors import SettingsError, at, nearest
from nerbert.evaluation.benchmark.suite import DEFAULT_PROTOCOL, SEEDS, Published, Suite, System, Target
from nerbert.evaluation.datasets.registry import find_known
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.finetuning.sizes import Size, SizeUnit, parse_size
from nerbert.registry import FORMATS

_Table = TypeVar("_Table")
_RUNNERS = {"seed": "give the suite `seeds`", "threads": "every cell has one thread"}
"""Settings of a training that no protocol may choose, and what to do instead."""
_NAME = re.compile(r"\w[\w .-]{0,99}")
_FEW_SHOTS, _DRAWS_FOR_FEW = 4, 5
"""So few entities a type need so many draws: one alone says nothing (templateNER's users got 51 for 37)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    """The keys of a suite that are no tables."""

    title: str = ""
    about: str = ""
    baseline: str = ""
    seeds: tuple[int, ...] = SEEDS


def read_suite(path: Path, encoders: Mapping[str, str] | None = None) -> Suite:
    """Read and check a suite; `encoders` (name of a system → folder or hub name) win over the file's.

    Raise SettingsError that names file, key and the nearest right one.
    """
    with at(path):
        if not _NAME.fullmatch(path.stem):
            raise SettingsError("its name names the tables: use letters, digits, spaces, dots and hyphens alone")
        suite = _suite(path.stem, read_toml(path))
        return replace(suite, systems=_with_encoders(suite.systems, encoders or {}))


def parse_encoders(given: Iterable[str]) -> dict[str, str]:
    """Return `NAME=FOLDER`, as often as a command line has it; what is before the first `=` is the name."""
    encoders: dict[str, str] = {}
    for each in given:
        name, _, folder = (part.strip() for part in each.partition("="))
        if not (name and folder):
            raise SettingsError(f"--encoder {each!r}: write it as NAME=FOLDER, NAME being a system of the suite")
        if name in encoders:
            raise SettingsError(f"--encoder {each!r}: {name!r} is there twice")
        encoders[name] = folder
    return encoders


def _suite(name: str, values: Mapping[str, Any]) -> Suite:
    known = [each.name for each in fields(Suite) if each.name != "name"]
    for key in values:
        _check_known("setting", key, known)
    systems = {key: _system(key, value) for key, value in _tables(values, "systems").items()}
    targets = tuple(_target(number, each) for number, each in enumerate(_list(values, "targets"), 1))
    if not systems or not targets:
        raise SettingsError("a suite needs at least one [systems.NAME] and one [[targets]]")
    protocols = {key: _protocol(key, value) for key, value in _tables(values, "protocols").items()}
    if len(protocols) > 1 and DEFAULT_PROTOCOL in protocols:
        raise SettingsError(f"[protocols.{DEFAULT_PROTOCOL}]: is what a suite without protocols has; name it otherwise")
    published = tuple(_published(number, each, targets) for number, each in enumerate(_list(values, "published"), 1))
    head = make_settings(_Head, {each.name: values[each.name] for each in fields(_Head) if each.name in values})
    suite = Suite(
        name=name, title=head.title or name, about=head.about, baseline=head.baseline or next(iter(systems)),
        seeds=head.seeds, systems=systems, targets=targets, published=published,
        protocols=protocols or {DEFAULT_PROTOCOL: FinetuneSettings()},
    )  # fmt: skip
    _check_known("baseline", suite.baseline, systems)
    _check_seeds(suite.seeds, at_least=1)
    _check_targets(suite)
    return suite


def _system(name: str, values: Any) -> System:
    with at(setting=f"[systems.{name!r}]"):
        system = _make(System, values)
        _check_readable("a system", name)
        _check_format("source_format", system.source_format)
        if system.encoder and system.same_encoder_as:
            raise SettingsError("encoder and same_encoder_as can't both be given; leave one out")
    return system


def _target(number: int, values: Any) -> Target:
    with at(setting=f"[[targets]] number {number}"):
        target = _make(Target, values)
        if not target.data.strip() or not target.sizes:
            raise SettingsError("data and sizes can't be empty")
        _check_seeds(target.seeds, at_least=0)
        _check_format("format", target.format)
        if target.draw_by_seed and "draws" in values:
            raise SettingsError("setting draws: leave it out where draw_by_seed is true; there are as many as seeds")
        return replace(target, sizes=tuple(str(parse_size(size)) for size in target.sizes))


def _protocol(name: str, values: Any) -> FinetuneSettings:
    with at(setting=f"[protocols.{name!r}]"):
        _check_readable("a protocol", name)
        for key, instead in _RUNNERS.items():
            if isinstance(values, dict) and key in values:
                raise SettingsError(f"setting {key}: not a protocol's to choose; {instead}")
        return _make(FinetuneSettings, values)


def _published(number: int, values: Any, targets: Iterable[Target]) -> Published:
    with at(setting=f"[[published]] number {number}"):
        _check_table(values)
        for key in values:
            _check_known("setting", key, [each.name for each in fields(Published)])
        for key in ("name", "of"):
            if not isinstance(values.get(key), str) or not _is_readable(values[key]):
                raise SettingsError(f"setting {key} = {values.get(key)!r:.80}: must be text: whose figures these are")
        f1 = values.get("f1")
        if not isinstance(f1, dict) or not all(map(_is_percent, f1.values())):
            raise SettingsError(f"setting f1 = {f1!r:.80}: must be figures in percent by data set, {{ NAME = 66.56 }}")
        for data in f1:
            _check_known("target", data, [target.data for target in targets])
        return Published(name=values["name"], of=values["of"], f1={data: float(each) for data, each in f1.items()})


def _is_percent(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 100


def _with_encoders(systems: Mapping[str, System], encoders: Mapping[str, str]) -> dict[str, System]:
    """Return the systems with the encoders that the command line gives, also by way of `same_encoder_as`."""
    for name in encoders:
        _check_known("system", name, systems)
    own = {name: encoders.get(name, each.encoder) for name, each in systems.items()}
    for name, each in systems.items():
        if each.same_encoder_as:
            with at(setting=f"[systems.{name!r}]"):
                _check_known("system", each.same_encoder_as, systems)
                if systems[each.same_encoder_as].same_encoder_as:
                    raise SettingsError(f"same_encoder_as = {each.same_encoder_as!r}: has no encoder of its own either")
            own[name] = encoders.get(name, own[each.same_encoder_as])
    return {name: replace(each, encoder=own[name]) for name, each in systems.items()}


def _check_targets(suite: Suite) -> None:
    """Raise SettingsError for a cell that would be there twice, and for few shots in few draws."""
    rows = Counter((target.data, size) for target in suite.targets for size in target.sizes)
    for (data, size), count in rows.items():
        if count > 1:
            raise SettingsError(f"[[targets]]: {data!r} at size {size} is there {count} times; leave one")
    formats = Counter(data for data, _ in {(target.data, target.format) for target in suite.targets})
    for data in (each for each, count in formats.items() if count > 1):
        raise SettingsError(f"[[targets]]: {data!r} has two formats; give all its targets the same")
    _check_names({target.data for target in suite.targets})
    for target in suite.targets:
        draws = len(target.seeds or suite.seeds) if target.draw_by_seed else target.draws
        for each in target.sizes:
            _check_draws(target.data, parse_size(each), draws)


def _check_names(names: Iterable[str]) -> None:
    """Raise SettingsError for two names of one data set, which would count as two targets in every mean."""
    found: dict[str, str] = {}
    for name in sorted(names):
        path = PurePosixPath(name).as_posix()
        known = find_known(path)
        other = found.setdefault(known.name if known else path, name)
        if other != name:
            raise SettingsError(f"[[targets]]: {other!r} and {name!r} are one data set; write one name for both")


def _check_draws(data: str, size: Size, draws: int) -> None:
    if size.kind in (SizeUnit.EACH, SizeUnit.EPISODE) and size.shots <= _FEW_SHOTS and draws < _DRAWS_FOR_FEW:
        raise SettingsError(
            f"[[targets]]: {data!r} at size {size}: draws = {draws} are too few for so few examples: another draw can "
            f"give 14 F1 more or less; take {_DRAWS_FOR_FEW} or more"
        )


def _check_seeds(seeds: tuple[int, ...], at_least: int) -> None:
    if len(set(seeds)) != len(seeds) or not all(0 <= seed < 1 << 32 for seed in seeds) or len(seeds) < at_least:
        raise SettingsError(f"setting seeds = {list(seeds)}: must be different whole numbers from 0, below 2**32")


def _check_known(what: str, name: str, known: Iterable[str]) -> None:
    if name not in (known := list(known)):
        raise SettingsError(f"unknown {what} {name!r}{nearest(name, known) or '; there are ' + ', '.join(known)}")


def _check_format(key: str, name: str) -> None:
    refuse(bool(name) and not FORMATS.contains(name), key, name, str(FORMATS))


def _check_readable(what: str, name: str) -> None:
    if not _is_readable(name):
        raise SettingsError(f"{what} needs a name that can be read")


def _is_readable(name: str) -> bool:
    return bool(name.strip()) and name.isprintable()


def _check_table(values: Any) -> None:
    if not isinstance(values, dict):
        raise SettingsError(f"{values!r:.80}: must be a table of settings")


def _make(cls: type[_Table], values: Any) -> _Table:
    _check_table(values)
    return make_settings(cls, values)


def _tables(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return the tables below `[key.NAME]`."""
    tables = values.get(key, {})
    if not isinstance(tables, dict):
        raise SettingsError(f"setting {key} = {tables!r:.80}: must be tables [{key}.NAME]")
    return tables


def _list(values: Mapping[str, Any], key: str) -> list[Any]:
    """Return the tables of `[[key]]`."""
    tables = values.get(key, [])
    if not isinstance(tables, list):
        raise SettingsError(f"setting {key}: must be tables with double brackets, [[{key}]]")
    return tables
