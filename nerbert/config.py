"""Loads and refuses settings, and writes their manual.

Settings are frozen dataclasses that stand beside their stage; the docstring under a field is its manual. They come
from TOML and from `key=value` on the command line; unknown keys are refused with the nearest right one. The price:
the manual is read from the source, so settings classes must live in files.
"""

import ast
import inspect
import textwrap
import tomllib
import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from nerbert.errors import InputError, SettingsError, nearest

Settings = TypeVar("Settings")
_LONGEST_FILE = 1 << 20
_LARGEST = 1 << 63
"""What no whole number of a setting reaches."""


def load_settings(cls: type[Settings], path: Path | None, changes: Sequence[str] = ()) -> Settings:
    """Read `path` (TOML), apply `key=value` changes, and make a `cls`; raise SettingsError for anything amiss."""
    values = read_toml(path) if path is not None else {}
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals:
            raise SettingsError(f"--set {change!r}: write it as key=value")
        values[key.strip()] = _parse_value(value.strip())
    return make_settings(cls, values)


def read_toml(path: Path) -> dict[str, Any]:
    """Parse a TOML file of at most a megabyte; errors name the file."""
    try:
        if path.stat().st_size > _LONGEST_FILE:
            raise SettingsError(f"{path}: {path.stat().st_size} bytes are too many for settings")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{path}: not TOML: {str(error).splitlines()[0]}") from error


def make_settings(cls: type[Settings], values: Mapping[str, Any]) -> Settings:
    """Check names and kinds of `values` and make a `cls`; its own `__post_init__` checks bounds."""
    hints = get_type_hints(cls)
    for name, value in values.items():
        if name not in hints:
            raise SettingsError(f"unknown setting {name!r}{_nearest(name, hints)}")
        if not _fits(value, hints[name]):
            raise SettingsError(f"setting {name} = {value!r}: must be {_kind(hints[name])}")
    missing = [f.name for f in fields(cls) if f.name not in values and _required(f)]  # type: ignore[arg-type]
    if missing:
        raise SettingsError(f"setting {missing[0]} is missing: it has no default")
    return cls(**{name: _shape(value, hints[name]) for name, value in values.items()})


def whole_numbers(option: str, text: str) -> tuple[int, ...]:
    """`"1,2,3"` → `(1, 2, 3)`; raise SettingsError that names the option."""
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise SettingsError(f"{option} {text!r}: must be whole numbers with commas, say 1,2,3") from None


def refuse(condition: bool, name: str, value: object, bound: str) -> None:
    """Raise SettingsError `setting name = value: must be bound` if `condition` holds."""
    if condition:
        raise SettingsError(f"setting {name} = {value!r}: must be {bound}")


def field_docs(cls: type) -> dict[str, str]:
    """Name → docstring of each field, those of base classes included."""
    docs: dict[str, str] = {}
    for base in reversed(cls.__mro__[:-1]):
        body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        statements = body.body if isinstance(body, ast.ClassDef) else []
        for first, second in pairwise(statements):
            if isinstance(first, ast.AnnAssign) and isinstance(first.target, ast.Name):
                text = _string(second)
                if text:
                    docs[first.target.id] = " ".join(text.split())
    return docs


def manual(title: str, cls: type) -> str:
    """The settings of `cls` as a Markdown section."""
    docs = field_docs(cls)
    hints = get_type_hints(cls)
    lines = [f"## {title}", "", inspect.getdoc(cls) or "", ""]
    for each in fields(cls):
        default = "no default" if _required(each) else f"default `{_default(each)!r}`"
        lines += [f"- **`{each.name}`** ({_kind(hints[each.name])}, {default}). {docs.get(each.name, '')}"]
    return "\n".join(lines) + "\n"


def _string(node: ast.stmt) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return node.value.value
    return ""


def _required(each: "Field[Any]") -> bool:
    return each.default is MISSING and each.default_factory is MISSING


def _default(each: "Field[Any]") -> object:
    return each.default_factory() if each.default_factory is not MISSING else each.default


def _nearest(name: str, known: Mapping[str, Any]) -> str:
    return nearest(name, known, 0.4) or f"; there are {', '.join(known)}"


def _parse_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def _fits(value: Any, hint: Any) -> bool:
    if get_origin(hint) in (Union, types.UnionType):
        return any(_fits(value, one) for one in get_args(hint))
    if get_origin(hint) is tuple:
        return isinstance(value, (list, tuple)) and all(_fits(one, get_args(hint)[0]) for one in value)
    if hint is float and isinstance(value, float):
        return True
    if hint in (int, float):
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LARGEST
    if hint is Path:
        return isinstance(value, (str, Path))
    return isinstance(value, hint)


def _shape(value: Any, hint: Any) -> Any:
    if get_origin(hint) is tuple:
        return tuple(_shape(one, get_args(hint)[0]) for one in value)
    if get_origin(hint) in (Union, types.UnionType):
        return next(_shape(value, one) for one in get_args(hint) if _fits(value, one))
    if hint in (float, Path):
        return hint(value)
    return value


def _kind(hint: Any) -> str:
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(_kind(one) for one in get_args(hint))
    if get_origin(hint) is tuple:
        return f"list of {_kind(get_args(hint)[0])}"
    names = {int: "whole number", float: "number", str: "text", bool: "true or false", Path: "path", type(None): "none"}
    return names.get(hint, str(hint))
