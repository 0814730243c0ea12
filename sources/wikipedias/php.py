"""Read the variables that a PHP file assigns, as far as MediaWiki's message tables go: strings, arrays, constants.

No PHP is run. Anything else (a call, a loop, a sum of arrays) is an error that names it, so that nothing is lost in
silence. A constant is returned as its name; `true`, `false` and `null` are booleans.
"""

import re
from collections.abc import Iterator
from pathlib import Path

Value = str | bool | dict[str, "Value"]
"""An array is a dict: its keys are strings, numbers as digits."""

_TOKEN = re.compile(
    r"\s++|//[^\n]*+|#[^\n]*+|/\*(?:(?!\*/).)*+\*/"
    r"|(?P<single>'(?:[^'\\]|\\.)*+')|(?P<double>\"(?:[^\"\\]|\\.)*+\")"
    r"|(?P<variable>\$\w++)|(?P<word>-?\w++)|(?P<sign>=>|.)",
    re.DOTALL,
)
_ESCAPE = re.compile(r"((?:\\x[0-9A-Fa-f]{2})++)|\\(?:u\{([0-9A-Fa-f]+)\}|(.))", re.DOTALL)
_WORDS: dict[str, Value] = {"true": True, "false": False, "null": False}
_CONSTANT = re.compile(r"-?\d+|[A-Z][A-Z_]*")
_INSERTED = re.compile(r"(?<!\\)(?:\$[A-Za-z_]|\{\$)")
_PLAIN = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "$": "$", "'": "'"}


def variables(path: Path) -> dict[str, Value]:
    """Return the variables that a file assigns, by name without `$`."""
    tokens = list(_tokens(path.read_text(encoding="utf-8").removeprefix("<?php")))
    found: dict[str, Value] = {}
    place = 0
    while place < len(tokens):
        kind, text = tokens[place]
        key = None
        if kind == "variable" and tokens[place + 1] == ("sign", "["):  # one item of an array: `$words['de'] = …`
            key, place = _value(tokens, place + 2, found)
        if kind == "variable" and tokens[place + 1] == ("sign", "="):
            value, place = _sum(tokens, place + 2, found)
            found[text[1:]] = value if key is None else {**found[text[1:]], str(key): value}  # type: ignore[dict-item]
            if tokens[place : place + 1] != [("sign", ";")]:
                raise ValueError(f"{path}: something follows the value of {text}")
        elif (kind, text) != ("word", "unset"):
            raise ValueError(f"{path}: {text!r} begins no assignment")
        place = tokens.index(("sign", ";"), place) + 1
    return found


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    for token in _TOKEN.finditer(text):
        if token.lastgroup:
            yield token.lastgroup, token.group()


def _sum(tokens: list[tuple[str, str]], place: int, known: dict[str, Value]) -> tuple[Value, int]:
    """Return a value, or strings that are joined by dots, and the place after it."""
    value, place = _value(tokens, place, known)
    while tokens[place] == ("sign", "."):
        more, place = _value(tokens, place + 1, known)
        value = f"{value}{more}"
    return value, place


def _value(tokens: list[tuple[str, str]], place: int, known: dict[str, Value]) -> tuple[Value, int]:
    kind, text = tokens[place]
    if kind == "single":
        return re.sub(r"\\([\\'])", r"\1", text[1:-1]), place + 1
    if kind == "double" and not _INSERTED.search(text):
        return _ESCAPE.sub(_unescaped, text[1:-1]), place + 1
    if kind == "variable":
        return known[text[1:]], place + 1
    if text == "[":
        return _array(tokens, place + 1, known)
    if kind == "word" and text.lower() in _WORDS:
        return _WORDS[text.lower()], place + 1
    if kind == "word" and _CONSTANT.fullmatch(text):
        return text, place + 1
    raise ValueError(f"{text!r} begins no value that can be read")


def _array(tokens: list[tuple[str, str]], place: int, known: dict[str, Value]) -> tuple[Value, int]:
    items: dict[str, Value] = {}
    while tokens[place] != ("sign", "]"):
        value, place = _sum(tokens, place, known)
        key = str(len(items))
        if tokens[place] == ("sign", "=>"):
            key = str(value)
            value, place = _sum(tokens, place + 1, known)
        items[key] = value
        if tokens[place] == ("sign", ","):
            place += 1
        elif tokens[place] != ("sign", "]"):
            raise ValueError(f"{tokens[place][1]!r} follows a value in an array")
    return items, place + 1


def _unescaped(escape: "re.Match[str]") -> str:
    octets, code, char = escape.groups()
    if octets:
        return bytes.fromhex(octets.replace("\\x", "")).decode()
    return chr(int(code, 16)) if code else _PLAIN.get(char, f"\\{char}")
