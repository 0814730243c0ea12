"""HTML that is safe by construction: a text becomes markup only through `tag`, which escapes it.

Texts come from corpora and users, so control characters and turns of direction are made visible too
(`nerbert.terminal.visible`).
"""

import base64
import hashlib
import html
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from nerbert.terminal import visible

_VOID = frozenset({"meta", "link", "input", "wbr"})
_LONGEST_NUMBER = 30
_DRAWN = frozenset({"rect", "line", "circle", "path", "use"})


class Markup(str):
    """A text that is HTML already; only this module and those that read a style sheet make one from a text."""

    __slots__ = ()


Child: TypeAlias = "str | int | float | Iterable[Child] | None"


def tag(name: str, /, *children: Child, **attributes: str | float | None) -> Markup:
    """`<name attributes>children</name>`; `class_` is `class`, other `_` are `-`, None is left out."""
    told = "".join(f' {_key(key)}="{escape(value)}"' for key, value in attributes.items() if value is not None)
    inner = join(children)
    if name in _VOID:
        return Markup(f"<{name}{told}>")
    if name in _DRAWN and not inner:
        return Markup(f"<{name}{told}/>")
    return Markup(f"<{name}{told}>{inner}</{name}>")


def document(title: str, main: Child, *, style: str, script: str = "") -> str:
    """A whole page around its `<main>`; the policy forbids the browser everything but this style and this script."""
    scripts = f"script-src {_digest(script)}; " if script else ""
    policy = (
        f"default-src 'none'; style-src {_digest(style)}; {scripts}img-src data:; base-uri 'none'; form-action 'none'"
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"), tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"), tag("meta", name="referrer", content="no-referrer"),
        tag("link", rel="icon", href="data:,"), tag("title", title), tag("style", Markup(style)),
    )  # fmt: skip
    body = tag("body", main, tag("script", Markup(script)) if script else None)
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def join(children: Iterable[Child]) -> Markup:
    """Children one after the other; what is no markup is escaped, numbers have thousands marked."""
    return Markup("".join(map(_child, children)))


def escape(value: object) -> str:
    """`value` as text of an element or a quoted attribute."""
    return html.escape(visible(str(value)), quote=True)


def rows(heads: Iterable[str], lines: Iterable[Iterable[Child]], numbers: Iterable[int] = ()) -> Markup:
    """A table that scrolls sideways where it is too wide; columns in `numbers` stand at the right, and don't wrap."""
    right = set(numbers)
    names = [tag("th", head, scope="col", class_=_side(place, right, head)) for place, head in enumerate(heads)]
    body = [tag("tr", [tag("td", cell, class_=_side(n, right, cell)) for n, cell in enumerate(line)]) for line in lines]
    return tag("div", tag("table", tag("thead", tag("tr", names)), tag("tbody", body)), class_="wide")


def pairs(facts: Mapping[str, Child]) -> Markup:
    """A list of names and what they are."""
    return tag("dl", [tag("div", tag("dt", name), tag("dd", value)) for name, value in facts.items()])


def _side(place: int, right: set[int], cell: Child) -> str | None:
    """The style class of a cell; one that holds a text longer than any number wraps, whatever its column."""
    long = isinstance(cell, str) and len(cell) > _LONGEST_NUMBER
    return "n" if place in right and not long else None


def _key(name: str) -> str:
    return name.rstrip("_").replace("_", "-")


def _child(child: Child) -> str:
    if isinstance(child, Markup):
        return child
    if child is None:
        return ""
    if isinstance(child, str):
        return escape(child)
    if isinstance(child, int | float):
        return escape(f"{child:,}")
    return join(child)
