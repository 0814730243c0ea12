"""Read JSON from disk or the network as typed values, checked strictly by pydantic; unknown keys are ignored."""

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from nerbert.errors import InputError, NerbertError, at, nearest, refused

Read = TypeVar("Read")
LARGEST_FILE = 64 << 20
LARGEST = 1 << 63
"""Exclusive upper bound of integers in nerbert's files, since readers use 64 bits."""
_COMPARED = 100
"""Maximum number of fields that are compared with a missing one, and maximum length of their names."""
_JSON = json.JSONEncoder(ensure_ascii=False)
_RAW_CONTROL = re.compile(r"[\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_BRANCH = re.compile(r"str|int|float|bool|(?:list|dict)\[.*\]")
"""A type in the location of an error: pydantic adds it where a value may have one of several types."""
_PLAIN = (
    ("EOF while parsing", "it ends inside"),
    ("trailing characters", "text after the end"),
    ("expected ident", "a word without quotes"),
    ("expected value", "no value"),
    ("key must be a string", "a key without double quotes"),
    (r"control character (\u0000-\u001F) found while parsing", "a control character inside"),
)
"""A JSON parser's words for syntax errors, in plain words."""


def read_json(path: Path, type_: type[Read], *, limit: int = LARGEST_FILE, remedy: str = "") -> Read:
    """Return the content of a JSON file, of at most `limit` bytes, as a `type_`.

    Raise InputError that names the file, the path inside, the value and the allowed values; `remedy` is added.
    """
    return parse_json(read_content(path, limit), type_, path, remedy=remedy)


def read_checked(
    path: Path, type_: type[Read], *, limit: int = LARGEST_FILE, remedy: str = ""
) -> tuple[Read, dict[str, Any]]:
    """Return the object in a JSON file as a `type_`, and as a dict with all keys in order; errors as in `read_json`."""
    content = read_content(path, limit)
    return parse_json(content, type_, path, remedy=remedy), parse_json(content, dict, path, remedy=remedy)


def parse_json(content: bytes | str, type_: type[Read], source: Path | str, *, remedy: str = "") -> Read:
    """Return JSON text as a `type_`; `source` names it in errors, as in `read_json`."""
    return _validate(type_, lambda: _adapter(type_).validate_json(content, strict=True), content, source, remedy)  # type: ignore[no-any-return, arg-type]


def check_value(value: object, type_: type[Read]) -> Read:
    """Return a JSON value as a `type_`; raise InputError that names the path inside and the value."""
    return _validate(type_, lambda: _adapter(type_).validate_python(value, strict=True), "", "", "")  # type: ignore[no-any-return, arg-type]


def parse_strings(values: Mapping[str, str], type_: type[Read], source: str) -> Read:
    """Return texts by name, such as the query of a URL, as a `type_`; `source` names them in errors."""
    return _validate(type_, lambda: _adapter(type_).validate_strings(values), "", source, "")  # type: ignore[no-any-return, arg-type]


def _validate(type_: Any, validate: Callable[[], Any], content: bytes | str, source: Path | str, remedy: str) -> Any:
    from pydantic import ValidationError

    try:
        return validate()
    # A record's own checks have raised it.
    except NerbertError:
        with at(source):
            raise
    except ValidationError as error:
        faults = error.errors(include_url=False)
        if faults[0]["type"] == "json_invalid":
            reason, line = _syntax_error(faults[0]["ctx"]["error"], content)
        else:
            fields = {*getattr(type_, "model_fields", ()), *getattr(type_, "__dataclass_fields__", ())}
            reason = _describe(faults, fields)
            line = None
        with at(source, line):
            raise InputError(f"{reason}{remedy and '; ' + remedy}") from error


def to_plain(value: object) -> Any:
    """Return a dataclass and everything in it as JSON values, which `read_json` can read back."""
    from pydantic_core import to_jsonable_python

    return to_jsonable_python(value)


def read_content(path: Path, limit: int) -> bytes:
    """Return the bytes of a file; raise InputError if it can't be read, or is longer than `limit` bytes."""
    with refused(f"{path}: can't be read", of=OSError):
        # Before reading: a file of gigabytes must not fill the memory.
        if (size := path.stat().st_size) > limit:
            raise InputError(f"{path}: {size} bytes of JSON are more than the {limit} allowed")
        return path.read_bytes()


@cache
def _adapter(type_: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(type_)


def _hint_missing(missing: str, names: Collection[str], fields: Collection[str]) -> str:
    # A misspelt name explains a missing one. Bounded, since a file may hold a million keys.
    strange = (name for name in islice(names, _COMPARED) if name not in fields and len(name) < _COMPARED)
    hints = (f"; there is {name!r}{hint}" for name in strange if (hint := nearest(name, [missing], 0.75)))
    return next(hints, "")


def _describe(faults: Sequence[Any], fields: Collection[str]) -> str:
    """Return `a.b[0] = 'x': must be a valid integer` for pydantic's first error; `fields` are those of the root."""
    paths = [tuple(part for part in fault["loc"] if not _BRANCH.fullmatch(str(part))) for fault in faults]
    # Of a union's branches, the one that fits deepest is the one that was meant.
    location = max((path for path in paths if path[: len(paths[0])] == paths[0]), key=len)
    fault, value = (faults[paths.index(location)][name] for name in ("type", "input"))
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")
    if fault == "missing":
        return f"{path:.200} is missing{_hint_missing(str(location[-1]), value, fields)}"
    if fault == "extra_forbidden":
        return f"{path:.200}: is no field{nearest(path[:_COMPARED], fields)}"
    messages = dict.fromkeys(fault["msg"] for index, fault in enumerate(faults) if paths[index] == location)
    plain = re.sub(r" after validation, not \d+|, unable to parse .*", "", " or ".join(messages))
    plain = re.sub(r"\b(Input|String|List|Dictionary) should", "must", plain).replace(" or must be", " or")
    return f"{path:.200}{path and ' = '}{value!r:.80}: {plain}"


def _syntax_error(message: str, content: bytes | str) -> tuple[str, int | None]:
    """Return the reason why a text is not JSON, and the line if known."""
    try:
        text = content if isinstance(content, str) else content.decode()
    except UnicodeDecodeError:
        return "not JSON in UTF-8", None
    line = re.search(r" at line ([0-9]+) ", message)
    # A text that ends early was cut off, rather than written wrongly.
    cut = message.startswith("EOF") or not text.strip()
    for words, plain in _PLAIN:
        message = message.replace(words, plain)
    return f"not JSON: {message}{'; it is cut off or damaged' if cut else ''}", int(line[1]) if line else None


def json_line(value: Any) -> str:
    """Return readable JSON on one line, with control characters and lone surrogates escaped."""
    # U+2028 would break the line in some readers; a lone surrogate can't be written.
    return _RAW_CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", _JSON.encode(value))


def difference(old: Any, new: Any, name: str = "") -> str:
    """Return the first difference of two JSON values, its path and both values; "" for none (null equals missing)."""
    if old == new:
        return ""
    if isinstance(old, dict) and isinstance(new, dict):
        # `get`: a key that one version lacks equals null in the other.
        pairs = [(f"{name}.{key}".strip("."), old.get(key), new.get(key)) for key in {**old, **new}]
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = [(f"{name}[{index}]", *pair) for index, pair in enumerate(zip(old, new, strict=True))]
    else:
        return f"{name}: {old!r:.80} then, {new!r:.80} now"
    return next((difference(then, now, key) for key, then, now in pairs if then != now), "")
