"""Settings with sections, from TOML, the command line or Python: a section is found by its name."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, TypeVar

from nerbert.about import DOCS
from nerbert.config import Settings, check, check_values, read_settings
from nerbert.config import make_settings as make_plain_settings
from nerbert.errors import SettingsError, unknown
from nerbert.registry import Registry, missing_package
from nerbert.training.objective import OBJECTIVES, Objective
from nerbert.training.settings import Section, TrainSettings

_Settings = TypeVar("_Settings")
SOURCES: Registry[type[Section]] = Registry(
    "section of settings",
    "nerbert.sources",
    {
        "open_types": "nerbert.encoder.open_texts:OpenTypesSettings",
        "replay": "nerbert.finetuning.data:ReplaySettings",
    },
    base=Section,
)
"""The sections of sources."""


def load_settings(cls: type[_Settings], path: Path | None, changes: Sequence[str] = ()) -> _Settings:
    """Read `path` (TOML), apply `key=value` changes, and make a `cls`; raise SettingsError for any error."""
    return make_settings(cls, read_settings(path, changes))


def make_settings(cls: type[_Settings], values: Mapping[str, Any], before: _Settings | None = None) -> _Settings:
    """Make settings from values by name, which override those of `before`, in sections key by key.

    Raise SettingsError for an unknown name, a wrong or missing value, and an unknown objective.
    """
    if not issubclass(cls, TrainSettings):
        return make_plain_settings(cls, values, before)
    flat = {*_names_of(cls), *cls.removed}
    # What is no setting of the class must be a section; the names of sections depend on the objective.
    tables = {name: value for name, value in values.items() if name not in flat}
    checked = check_values(cls, {name: value for name, value in values.items() if name in flat})
    default: Any = next(field.default for field in fields(cls) if field.name == "objective")
    # The objective is looked up before the sections, since a user's own one declares a section itself.
    objective = checked.get("objective", getattr(before, "objective", default)) or default
    if objective:
        check("objective", objective, Annotated[str, OBJECTIVES])
    present = checked.get("sections", getattr(before, "sections", ()))
    earlier = {section.section: section for section in present}
    made = [_make_section(name, value, objective, earlier.get(name), cls) for name, value in tables.items()]
    kept = [section for section in present if section.section not in tables]
    return make_plain_settings(cls, checked | {"sections": (*kept, *made)}, before)


def change_settings(settings: _Settings, values: Mapping[str, Any]) -> _Settings:
    """Return settings with some values changed, in sections key by key."""
    return make_settings(type(settings), values, settings)


def find_section(name: str, objective: str = "") -> type[Section] | None:
    """Return the section of this name: a source's, that of the objective of this name, or of a user's `objective`."""
    # `module:Class` is an objective of a user's, which isn't imported to look for a name.
    if not name or ":" in name:
        return None
    if SOURCES.contains(name):
        return SOURCES.find(name)
    names = [candidate for candidate in (name, objective) if candidate and OBJECTIVES.contains(candidate)]
    declared = [OBJECTIVES.find(candidate).settings for candidate in names]
    return next((section for section in declared if section.section == name), None)


def sections_of(objective: str = "") -> dict[str, type[Section]]:
    """Return all known sections by name, including that of a user's `objective`."""
    sections = dict[str, type[Section]]()
    for name in filter(None, (*OBJECTIVES, objective)):
        declared = OBJECTIVES.find(name).settings
        sections.setdefault(declared.section, declared)
    sections.pop("", None)
    return sections | {name: SOURCES.find(name) for name in SOURCES}


def _names_of(cls: type[Settings]) -> list[str]:
    return [field.name for field in fields(cls)]


def _make_section(name: str, value: Any, objective: str, before: Section | None, cls: type[TrainSettings]) -> Section:
    """Return a section from its values, which override `before`; raise SettingsError for any other value."""
    section = find_section(name, objective)
    if section is None:
        in_package = missing_package(SOURCES.group, name) or missing_package(OBJECTIVES.group, name)
        raise in_package or _no_section(name, objective, cls)
    if isinstance(value, section):
        return value
    if not isinstance(value, Mapping):
        why = f"is a section: write {name}.{_names_of(section)[0]} = …, or a table [{name}]"
        raise SettingsError(f"setting {name} = {value!r:.80}: {why}", setting=name)
    return make_plain_settings(section, value, before)


def _no_section(name: str, objective: str, cls: type[TrainSettings]) -> SettingsError:
    """Return the error for a name that is neither a setting nor a section."""
    known = sections_of(objective)
    # The chosen objective's own section first: a moved setting most likely belongs there.
    for section in sorted(known.values(), key=lambda section: section.section != objective):
        if name in _names_of(section):
            return SettingsError(f"setting {name}: is now {section.section}.{name}", setting=name)
    must = unknown(name, [*_names_of(cls), *known], see=f"see {DOCS}/settings.md")
    return SettingsError(f"unknown setting {name!r:.80}{must}", setting=name)


def chosen_objective(settings: TrainSettings, command: str) -> type[Objective]:
    """Return the objective to train with; raise SettingsError for another command's, and for unrelated sections."""
    objective = OBJECTIVES.find(settings.objective)
    name = settings.objective
    if command not in objective.traits.commands:
        raise SettingsError(
            f"setting objective = {name!r}: is for {_quote(objective.traits.commands)} only", setting="objective"
        )
    declared = objective.settings
    # A user's objective could hide a section of the package by its name.
    taken = find_section(declared.section) not in (None, declared)
    if taken or declared.section in _names_of(type(settings)):
        why = f"its section is called {declared.section!r}, as another setting is; use another name"
        raise SettingsError(f"setting objective = {name!r}: {why}", setting="objective")
    for section in settings.sections:
        if type(section) is not declared and section.section not in objective.traits.sources:
            raise _unread_section(section, name, [*filter(None, (declared.section, *objective.traits.sources))])
        if command not in section.commands:
            why = f"is for {_quote(section.commands)} only; leave it out"
            raise SettingsError(f"setting {section.section}: {why}", setting=section.section)
    return objective


def _quote(commands: Sequence[str]) -> str:
    return " and ".join(f"`nerbert {command}`" for command in commands)


def _unread_section(section: Section, objective: str, read: Sequence[str]) -> SettingsError:
    """Return the error for a section that the objective doesn't read."""
    defaults = type(section)()
    # The message names a value that the user gave, if it can.
    changed = next((name for name in _names_of(type(section)) if getattr(section, name) != getattr(defaults, name)), "")
    name = section.full_name(changed) if changed else section.section
    objectives = {name: OBJECTIVES.find(name) for name in OBJECTIVES}
    readers = [
        repr(name)
        for name, reader in objectives.items()
        if section.section in (reader.settings.section, *reader.traits.sources)
    ]
    whose = " or ".join(readers) or "another one"
    why = f"is for objective {whose}, but objective = {objective!r}, which reads {', '.join(read) or 'no section'}"
    return SettingsError(f"setting {name}: {why}; leave it out, or choose another objective", setting=name)
