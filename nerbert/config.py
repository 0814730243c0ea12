"""Loads and checks settings, and writes their manual.

Settings are frozen dataclasses beside their stage. A field's annotation says what is allowed (`Literal` for choices,
`Annotated[int, Bounds(at_least=1)]` for ranges); the docstring under it is its manual. Values come from TOML, from
`key=value` on the command line, or from Python. The price: the manual is read from the source, so settings classes must
live in files.
"""

import ast
import inspect
import operator
import textwrap
import tomllib
import types
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, dataclass, fields
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from nerbert.errors import InputError, SettingsError, nearest

_Any = TypeVar("_Any")
_PACKAGE = Path(__file__).parent
_LONGEST_FILE = 1 << 20
_LARGEST = 1 << 63
"""No number of a setting is that large."""
_TESTS: dict[str, Callable[[float, float], bool]] = {
    "at_least": operator.ge, "above": operator.gt, "at_most": operator.le, "below": operator.lt,
    "multiple_of": lambda value, step: value % step == 0,
}  # fmt: skip
_NAMES = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    Path: "a path",
    type(None): "none",
}
RENAMED = {
    "checkpoint_minutes": "save_minutes", "checkpoint_steps": "save_steps", "checkpoints": "save_total_limit",
    "clip_norm": "max_grad_norm", "evaluate_at_most": "max_eval_samples", "exclude_ngram": "exclude_ngram_size",
    "fresh_layers": "fresh_num_layers", "fresh_vocabulary": "fresh_vocab_size", "fresh_width": "fresh_hidden_size",
    "frozen_layers": "num_frozen_layers", "further_pieces": "label_all_tokens", "keep_layers": "num_layers",
    "least_steps": "min_steps", "mask_share": "mlm_probability", "micro_batch_tokens": "max_tokens_per_batch",
    "most_steps": "max_steps", "redraw_copies": "resample_each_epoch", "validation_share": "validation_ratio",
    "warmup_share": "warmup_ratio",
}  # fmt: skip
"""Old name of a setting → its name now."""
REMOVED = frozenset({"drop_at_3", "drop_at_4", "drop_above_4", "max_page_characters"})
"""Settings that became constants."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The range of a number: `Annotated[float, Bounds(above=0, at_most=1)]`."""

    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    multiple_of: int | None = None

    def contains(self, value: float) -> bool:
        """Return whether `value` is in the range."""
        return all(_TESTS[name](value, bound) for name, bound in self._given())

    def __str__(self) -> str:
        return ", ".join(f"{name.replace('_', ' ')} {bound}" for name, bound in self._given())

    def _given(self) -> list[tuple[str, float]]:
        return [(name, bound) for name in _TESTS if (bound := getattr(self, name)) is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A base for settings: each value is checked against its annotation, wherever the value comes from."""

    def __post_init__(self) -> None:
        for name, hint in _hints(type(self)).items():  # type: ignore[arg-type]
            object.__setattr__(self, name, check(name, getattr(self, name), hint))


def load_settings(cls: type[_Any], path: Path | None, changes: Sequence[str] = ()) -> _Any:
    """Read `path` (TOML), apply `key=value` changes, and make a `cls`; raise SettingsError for anything amiss."""
    values = read_toml(path) if path is not None else {}
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals:
            raise SettingsError(f"--set {change!r}: write it as key=value")
        values[key.strip()] = _parse_value(value.strip())
    return make_settings(cls, values)


def read_toml(path: Path) -> dict[str, Any]:
    """Parse a TOML file of at most a megabyte; errors name the file.

    `configs/NAME.toml` and `suites/NAME.toml` that aren't there are the package's.
    """
    if path.parts[:-1] in (("configs",), ("suites",)) and not path.exists() and (_PACKAGE / path).is_file():
        path = _PACKAGE / path
    try:
        if path.stat().st_size > _LONGEST_FILE:
            raise SettingsError(f"{path}: {path.stat().st_size} bytes are too many for settings")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{path}: not TOML: {str(error).splitlines()[0]}") from error


def make_settings(cls: type[_Any], values: Mapping[str, Any]) -> _Any:
    """Make a `cls`, any dataclass, from values by name; raise SettingsError for an unknown name or a wrong value."""
    hints = _hints(cls)  # type: ignore[arg-type]
    for name in values:
        if name not in hints:
            raise SettingsError(_unknown(name, hints), setting=name)
    for each in fields(cls):  # type: ignore[arg-type]
        if each.name not in values and each.default is MISSING and each.default_factory is MISSING:
            raise SettingsError(f"setting {each.name} is missing: it has no default", setting=each.name)
    return cls(**{name: check(name, value, hints[name]) for name, value in values.items()})


def check(name: str, value: Any, hint: Any) -> Any:
    """Return `value` in the type of `hint`, an annotation; raise SettingsError that says what is allowed."""
    try:
        return _convert(value, hint)
    except ValueError:
        raise SettingsError(f"setting {name} = {value!r}: must be {_allowed(hint)}", setting=name) from None


def refuse(condition: bool, name: str, value: object, bound: str) -> None:
    """Raise SettingsError `setting name = value: must be bound` if `condition` holds."""
    if condition:
        raise SettingsError(f"setting {name} = {value!r}: must be {bound}", setting=name)


def whole_numbers(option: str, text: str) -> tuple[int, ...]:
    """Parse `"1,2,3"` to `(1, 2, 3)`; raise SettingsError that names the option."""
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise SettingsError(f"{option} {text!r}: must be whole numbers with commas, say 1,2,3") from None


def field_docs(cls: type) -> dict[str, str]:
    """Return name → docstring of each field, those of base classes included."""
    docs: dict[str, str] = {}
    for base in reversed(cls.__mro__[:-1]):
        tree = ast.parse(textwrap.dedent(inspect.getsource(base)))
        for pair in pairwise(each for node in tree.body if isinstance(node, ast.ClassDef) for each in node.body):
            match pair:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    docs[name] = " ".join(text.split())
    return docs


def manual(title: str, cls: type) -> str:
    """Return the settings of `cls` as a Markdown section."""
    docs, hints = field_docs(cls), _hints(cls)
    lines = [f"## {title}", "", inspect.getdoc(cls) or "", ""]
    for each in fields(cls):
        allowed = _allowed(hints[each.name]).removeprefix("a ")
        default = "no default" if each.default is MISSING else f"default `{each.default!r}`"
        lines.append(f"- **`{each.name}`** ({allowed}; {default}). {docs.get(each.name, '')}")
    return "\n".join(lines) + "\n"


@cache
def _hints(cls: type) -> dict[str, Any]:
    """Return name → annotation of each field."""
    hints = get_type_hints(cls, include_extras=True)
    return {each.name: hints[each.name] for each in fields(cls)}


def _unknown(name: str, known: Mapping[str, Any]) -> str:
    if name in REMOVED:
        return f"setting {name!r} is gone: its value is a constant now; leave it out"
    if (new := RENAMED.get(name)) in known:
        return f"setting {name!r} is now called {new!r}"
    return f"unknown setting {name!r}{nearest(name, known, 0.4) or '; there are ' + ', '.join(known)}"


def _parse_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def _convert(value: Any, hint: Any) -> Any:
    """Return `value` in the type of `hint`; raise ValueError if it isn't allowed."""
    kind, args = get_origin(hint), get_args(hint)
    if kind in (Union, types.UnionType):
        for one in args:
            with suppress(ValueError):
                return _convert(value, one)
    elif kind is Annotated:
        value = _convert(value, args[0])
        if args[1].contains(value):
            return value
    elif kind is tuple and isinstance(value, list | tuple):
        return tuple(_convert(one, args[0]) for one in value)
    elif _is_one(value, hint):
        return hint(value) if hint in (float, Path) else value
    raise ValueError


def _is_one(value: Any, hint: Any) -> bool:
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if hint in (int, float):
        accepted = isinstance(value, int if hint is int else int | float) and not isinstance(value, bool)
        return accepted and abs(value) < _LARGEST
    return get_origin(hint) is not tuple and isinstance(value, (str, Path) if hint is Path else hint)


def _allowed(hint: Any) -> str:
    """Describe the values that an annotation allows."""
    kind, args = get_origin(hint), get_args(hint)
    if kind is Literal:
        *others, last = map(repr, args)
        return f"{', '.join(others)} or {last}" if others else last
    if kind is Annotated:
        return f"{_allowed(args[0])}, {args[1]}"
    if kind is tuple:
        return f"a list of {_allowed(args[0]).removeprefix('a ')}"
    return " or ".join(map(_allowed, args)) if kind in (Union, types.UnionType) else _NAMES.get(hint, str(hint))
