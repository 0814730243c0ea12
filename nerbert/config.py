"""Load and check settings.

Settings are frozen dataclasses in the packages that use them. A field's annotation states the allowed values (`Literal`
for choices, `Annotated[int, Interval(ge=1)]` for ranges, a registry for names); the docstring under it is its manual
(`docs/generate.py`). Values come from TOML, from `key=value` on the command line, or from Python; pydantic checks them.
Bounds are those of annotated_types, which pydantic's `Field(ge=1)` makes too. Importing pydantic takes ten times as
long, and commands that only print help check nothing, so pydantic is loaded for the first value that isn't a default.
"""

import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from nerbert.about import DOCS
from nerbert.errors import SettingsError, refused, unknown
from nerbert.registry import Registry, missing_package
from nerbert.schema import LARGEST

_Any = TypeVar("_Any")
_PACKAGE = Path(__file__).parent
_FILES = "nerbert.files"
"""The group of entry points of packages that offer files: each is the name of a module, whose folder is searched."""
_LONGEST_FILE = 1 << 20
_BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below", "multiple_of": "multiple of"}
"""Words for each kind of bound, for messages."""
_LISTS = {int: "[1, 2]", float: "[0.1, 0.2]", str: '["one", "two"]', Path: '["one.jsonl", "two.jsonl"]'}
"""An example list for each type of value, for messages."""
_NAMES = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    Path: "a path",
    type(None): "none",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Base class of settings: any value other than a default is checked against its annotation, whatever its source."""

    removed: ClassVar[Mapping[str, str]] = {}
    """Names of removed settings, with the reason why they can be left out."""

    def __post_init__(self) -> None:
        cls: type = type(self)
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not field.default:
                checked = check(_name_in(cls, field.name), value, hints_of(cls)[field.name])
                object.__setattr__(self, field.name, checked)

    @classmethod
    def full_name(cls, name: str) -> str:
        """Return the name of a field in messages and on the command line."""
        return name


def load_settings(cls: type[_Any], path: Path | None, changes: Sequence[str] = ()) -> _Any:
    """Read `path` (TOML), apply `key=value` changes, and make a `cls`; raise SettingsError for any fault."""
    return make_settings(cls, read_settings(path, changes))


def read_settings(path: Path | None, changes: Sequence[str] = ()) -> dict[str, Any]:
    """Return the values of a TOML file (none if `path` is None), overridden by `key=value` changes."""
    return merge_values(read_toml(path) if path is not None else {}, parse_changes(changes))


def merge_values(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return `values` overridden by changes, tables key by key; `NAME.key` is a key of the table NAME."""
    merged = dict(values)
    for name, value in changes.items():
        # `--set section.key=value` must not replace the whole table of the file.
        table, dot, key = name.partition(".")
        inner = {key: value} if dot else value
        before = merged.get(table)
        if isinstance(inner, Mapping) and isinstance(before, Mapping):
            inner = {**before, **inner}
        merged[table] = inner
    return merged


def parse_changes(changes: Sequence[str]) -> dict[str, Any]:
    """Return the values of `key=value` changes; raise SettingsError for a change in another form."""
    values = dict[str, Any]()
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals:
            raise SettingsError(f"--set {change!r}: write it as key=value")
        try:
            values[key.strip()] = _parse_toml(f"value = {value.strip()}")["value"]
        except (ValueError, RecursionError):
            # `corpus=my/folder` isn't TOML without quotes, and shells remove these.
            values[key.strip()] = value.strip()
    return values


def read_toml(path: Path) -> dict[str, Any]:
    """Parse a TOML file of at most 1 MiB; errors name the file.

    `configs/NAME.toml` and `suites/NAME.toml` that don't exist are read from nerbert, or from a package of files.
    """
    # The documentation names them so; a user's file of that path comes first.
    if path.parts[:-1] in (("configs",), ("suites",)) and not path.exists():
        path = _find_offered(path)
    not_toml = refused(f"{path}: not TOML", SettingsError, (ValueError, RecursionError))
    with refused(f"{path}: can't be read", of=OSError), not_toml:
        if path.stat().st_size > _LONGEST_FILE:
            raise SettingsError(f"{path}: {path.stat().st_size} bytes are too many for a settings file")
        return _parse_toml(path.read_text(encoding="utf-8"))


def _find_offered(path: Path) -> Path:
    """Return the file of this path in nerbert's folder, or else in a package's; `path` itself if none has it."""
    from importlib.metadata import entry_points
    from importlib.util import find_spec

    specs = (find_spec(point.value) for point in entry_points(group=_FILES))
    folders = [_PACKAGE, *(Path(spec.origin).parent for spec in specs if spec and spec.origin)]
    found = next((folder / path for folder in folders if (folder / path).is_file()), None)
    if not found and (missing := missing_package(_FILES, path.as_posix())):
        raise missing
    return found or path


def _parse_toml(text: str) -> dict[str, Any]:
    """Parse TOML; raise ValueError or RecursionError for a syntax error, and for a number that is too long to print."""
    import tomllib

    values = tomllib.loads(text)
    # Python parses hexadecimal numbers of any length, but refuses to print long ones.
    repr(values)
    return values


def make_settings(cls: type[_Any], values: Mapping[str, Any], before: _Any | None = None) -> _Any:
    """Make a `cls`, any dataclass, from values by name, which override those of `before`.

    Raise SettingsError for an unknown name, or a wrong or missing value.
    """
    checked = check_values(cls, values)
    if before is not None:
        return replace(before, **checked)  # type: ignore[type-var]
    for field in fields(cls):  # type: ignore[arg-type]
        if field.name not in values and field.default is MISSING and field.default_factory is MISSING:
            name = _name_in(cls, field.name)
            raise SettingsError(f"setting {name} is missing: it has no default", setting=name)
    return cls(**checked)


def check_values(cls: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values, converted to the types of `cls`; fields may be missing. Errors are as in `make_settings`."""
    hints = hints_of(cls)
    removed: Mapping[str, str] = getattr(cls, "removed", {})
    if gone := next((name for name in values if name in removed), ""):
        name = _name_in(cls, gone)
        raise SettingsError(f"setting {name}: was removed; leave it out: {removed[gone]}", setting=name)
    if other := next((name for name in values if name not in hints), ""):
        see = f"see {DOCS}/settings.md" if issubclass(cls, Settings) else ""
        raise SettingsError(f"unknown setting {_name_in(cls, other)!r}{unknown(other, hints, see=see)}", setting=other)
    return {name: check(_name_in(cls, name), value, hints[name]) for name, value in values.items()}


def _name_in(cls: type, name: str) -> str:
    """Return a field's name in messages."""
    return cls.full_name(name) if issubclass(cls, Settings) else name


def check(name: str, value: Any, hint: Any) -> Any:
    """Return `value` converted to the annotation `hint`; raise SettingsError that states the allowed values."""
    try:
        checked = _adapter(hint).validate_python(_as_hinted(value, hint))
        numbers = checked if isinstance(checked, tuple) else (checked,)
        # Larger numbers would fail later, since readers of files have 64 bits.
        if all(abs(number) < LARGEST for number in numbers if isinstance(number, int | float)):
            return checked
        raise ValueError
    except ValueError:
        example = _LISTS.get(get_args(hint)[0], "") if get_origin(hint) is tuple else ""
        form = f"; write it as {name} = {example}" if example else ""
        must = unknown(value, _choices(hint), allowed=describe_hint(hint))
        raise SettingsError(f"setting {name} = {value!r}{must}{form}", setting=name) from None


def refuse(condition: bool, name: str, value: object, bound: str) -> None:
    """Raise SettingsError `setting name = value: must be bound` if `condition` holds."""
    if condition:
        raise SettingsError(f"setting {name} = {value!r}: must be {bound}", setting=name)


def check_choice(option: str, value: str, known: Sequence[str]) -> None:
    """Raise SettingsError for an unknown value; an empty one is allowed."""
    if value and value not in known:
        raise SettingsError(f"{option} {value!r}{unknown(value, known)}")


def whole_numbers(option: str, text: str) -> tuple[int, ...]:
    """Parse `"1,2,3"` to `(1, 2, 3)`; raise SettingsError that names the option."""
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise SettingsError(f"{option} {text!r}: must be whole numbers with commas, say 1,2,3") from None


def describe_hint(hint: Any) -> str:
    """Describe the values that an annotation allows."""
    kind = get_origin(hint)
    args = get_args(hint)
    if kind is Literal:
        *others, last = map(repr, args)
        return f"{', '.join(others)} or {last}" if others else last
    if kind is Annotated:
        # pydantic's `Field` has several bounds in one.
        bounds = [bound for given in args[1:] for bound in getattr(given, "metadata", [given])]
        return ", ".join([describe_hint(args[0]), *map(_describe_bound, bounds)])
    if kind is tuple:
        return f"a list of {describe_hint(args[0]).removeprefix('a ')}"
    return (
        " or ".join(map(describe_hint, args)) if kind in (Union, types.UnionType) else _NAMES.get(hint, hint.__name__)
    )


def _describe_bound(bound: Any) -> str:
    """Describe the bounds of a number, or the names in a registry."""
    values = {words: getattr(bound, name, None) for name, words in _BOUNDS.items()}
    given = ", ".join(f"{words} {value}" for words, value in values.items() if value is not None)
    return str(bound) if isinstance(bound, Registry) else given


def _choices(hint: Any) -> list[str]:
    """Return the names that an annotation allows: those of a `Literal`, or of a registry."""
    args = get_args(hint)
    if get_origin(hint) is Literal:
        return [choice for choice in args if isinstance(choice, str)]
    registered = list(args[1]) if get_origin(hint) is Annotated and isinstance(args[1], Registry) else []
    return registered + [name for arg in args for name in _choices(arg)]


@cache
def hints_of(cls: type) -> dict[str, Any]:
    """Return name → annotation of each field."""
    hints = get_type_hints(cls, include_extras=True)
    return {field.name: hints[field.name] for field in fields(cls)}


@cache
def _adapter(hint: Any) -> Any:
    """Return pydantic's validator of an annotation, in strict mode: text isn't a number, and True isn't 1."""
    from pydantic import ConfigDict, TypeAdapter

    return TypeAdapter(hint, config=ConfigDict(strict=True, allow_inf_nan=False))


def _as_hinted(value: Any, hint: Any) -> Any:
    """Convert lists to tuples, and text to paths if the annotation has paths; a single path becomes a tuple of one."""
    if Path in (hint, *get_args(hint)):
        # `corpus = "folder"` means one path; with a comma it is likely a list in the wrong form.
        if get_origin(hint) is tuple and isinstance(value, str | Path) and f"{value}" and "," not in f"{value}":
            return (Path(value),)
        if isinstance(value, list | tuple):
            return tuple(Path(part) if isinstance(part, str) else part for part in value)
        return Path(value) if isinstance(value, str) else value
    return tuple(value) if isinstance(value, list) else value
