"""Pages, cards, pictures and tables for people. Modules that compute results don't import it.

`render` is the only way to run a template; external text is always escaped. Pages make no network requests.
"""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from nerbert.about import DOCS
from nerbert.artifacts import publish
from nerbert.errors import few, visible
from nerbert.terminal import percent

TEMPLATES = Path(__file__).parent / "templates"
LOG_NAMES = ("step", "epoch", "loss")
"""The first columns of a training log."""
_MOST = 1e15


def render(template: str, folder: Path = TEMPLATES, /, **facts: Any) -> str:
    """Return a template's text with these facts, escaped for its format: `NAME.html.j2`, or svg, md, tex.

    `NAME.txt.j2` is plain text, which the caller escapes. A template of another `folder` can use those of nerbert.
    Raise jinja2.UndefinedError for a missing fact.
    """
    return _environment(template.split(".")[-2], folder).get_template(template).render(**facts)


def words(name: str) -> Any:
    """Return a table of `words.j2`, which the templates share."""
    return getattr(_environment("html").get_template("words.j2").module, name)


def write(target: Path, text: str) -> None:
    """Write a text to a file, whole or not at all."""
    with publish(target) as draft:
        # Bytes, so that no system changes the ends of lines: equal tables give equal files.
        draft.write_bytes(text.encode())


def _on_one_line(value: Any) -> str:
    """Return a value as text on one line; whole numbers with thousands separators."""
    marked = isinstance(value, int) and not isinstance(value, bool)
    return " ".join((f"{value:,}" if marked else str(value)).splitlines())


def _join_counts(numbers: Mapping[str, int]) -> str:
    """Return `text (1 cell); text (2 cells)`."""
    return "; ".join(f"{text} ({number} {'cell' if number == 1 else 'cells'})" for text, number in numbers.items())


@cache
def _environment(ending: str, folder: Path = TEMPLATES) -> Environment:
    """Return the environment of a kind of template; LaTeX, full of braces, uses the tags `<% %>` and `<< >>`."""
    finalize: dict[str, Callable[[Any], Any]] = {"md": escape, "tex": latex, "txt": _on_one_line}
    marks = ("<%", "%>", "<<", ">>", "<#", "#>") if ending == "tex" else ("{%", "%}", "{{", "}}", "{#", "#}")
    environment = Environment(
        *marks,
        # Pages are escaped by Jinja; the other formats have syntax of their own, escaped in `finalize`.
        autoescape=ending not in finalize,  # noqa: S701  (Markdown is escaped by `finalize`)
        loader=FileSystemLoader([folder, TEMPLATES]),
        finalize=finalize.get(ending, _page_value),
        # A misspelt fact is an error instead of a gap on the page.
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.do"],
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "decimals": decimals,
        "fields": fields,
        "percent": shown_percent,
        "size": size,
        "code": code,
        "few": few,
        "paragraph": paragraph,
        "plain": Markdown,
        "quote": quote,
        "counted": _join_counts,
    }
    environment.globals |= {"docs": DOCS, "share": share, "table": table, "asset": _asset, "digest": _digest}
    return environment


def decimals(value: Any, digits: int) -> str:
    """Return a number with `digits` decimals, "–" for anything else."""
    return f"{value:,.{digits}f}" if isinstance(value, int | float) and abs(value) < _MOST else "–"


def shown_percent(value: Any) -> str:
    """Return a share (0–1) in percent, "–" for anything else."""
    return percent(value) if isinstance(value, int | float) and abs(value) < _MOST else "–"


def log_figure(name: str, value: Any) -> str:
    """Return a figure of a training's log: a step, an epoch, a loss, or a share in percent."""
    # Names of losses are the objective's own, such as "mlm_loss" and "type_loss".
    digits = {"step": 0, "epoch": 2}.get(name, 4 if "loss" in name else None)
    return shown_percent(value) if digits is None else decimals(value, digits)


def fields(items: Any, *keys: str) -> list[list[Any]]:
    """Return a table's rows: each item's values of these keys; for a mapping after its name, without keys its value."""
    if isinstance(items, Mapping):
        return [[name, *([value[key] for key in keys] if keys else [value])] for name, value in items.items()]
    return [[item[key] for key in keys] for item in items]


def share(part: int, whole: int) -> str:
    """Return a part of a whole in percent, with one decimal."""
    if not whole:
        return "–"
    # "0.0 %" would read as none at all.
    return f"{100 * part / whole:.1f}\u00a0%" if part <= 0 or part >= whole / 1000 else "<\u00a00.1\u00a0%"


def size(count: int) -> str:
    """Return a number of bytes in a readable unit."""
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} bytes"


def _page_value(value: Any) -> Any:
    """Return a value as pages show it: whole numbers with thousands separators, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, Markup):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return visible(str(value))


@cache
def _asset(name: str) -> Markup:
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))  # noqa: S704  (a file of the package)


def _digest(name: str) -> Markup:
    """Return the source expression that allows an asset in a Content-Security-Policy."""
    sha256 = hashlib.sha256(_asset(name).encode()).digest()
    return Markup("'sha256-{}'").format(Markup(base64.b64encode(sha256).decode()))  # noqa: S704  (base64)


class Facts(dict[str, Any]):
    """A JSON object that may lack keys: a missing value is empty and false, and is shown as "–"."""

    def __missing__(self, key: str) -> "Facts":
        return Facts()

    def __str__(self) -> str:
        return super().__repr__() if self else "–"


def facts_of(value: Mapping[str, Any]) -> Facts:
    """Return JSON as facts at every level; null counts as missing."""

    def present(table: dict[str, Any]) -> Facts:
        return Facts({key: value for key, value in table.items() if value is not None})

    # Through JSON, so that nested objects are facts, too.
    return Facts(json.loads(json.dumps(value), object_hook=present))


def changed_settings(settings: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that differ from the defaults."""
    return {name: value for name, value in settings.items() if name not in defaults or defaults[name] != value}


class Mark(NamedTuple):
    """The display of a mention: its type, its style classes, and its tooltip."""

    label: str
    style: str
    title: str = ""


def pieces_of(
    text: str, marks: Iterable[tuple[int, int, Mark]], begin: int = 0, end: int | None = None
) -> Iterator[tuple[str, Mark | None]]:
    """Yield a text from `begin` to `end` in pieces: mentions with their (sorted) marks, and the text between them."""
    end = len(text) if end is None else end
    for start, stop, mark in marks:
        first = max(begin, start)
        last = min(end, stop)
        if first < last:
            yield text[begin:first], None
            yield text[first:last], mark
            begin = last
    yield text[begin:end], None


_MEANS = re.compile(r"([\\`*_{}\[\]<>&|~$#!@])")
_FENCE = re.compile(r"`+")
_BEGINS = re.compile(r"(\d*)([-+=.)])")
"""Characters that start a list, or underline a title, at the start of a Markdown line."""
_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "`": r"\textasciigrave{}",
        '"': r"\textquotedbl{}",
        **{char: f"\\{char}" for char in "{}$&#%_"},
        **{char: f"{{{char}}}" for char in "[]*-"},
    }
)
"""LaTeX would take brackets and stars for an option of a line break, two hyphens for a dash."""


class Markdown(str):
    """Text that is Markdown already, and is not escaped again."""

    __slots__ = ()


def code(value: object) -> Markdown:
    """Return `value` as a code span, also for table cells; control characters become visible, nothing becomes "–"."""
    text = "" if value is None or value == {} else visible(str(value)).replace("|", "\\|")
    # A span of nothing would show as bare backticks.
    if not text.strip():
        return Markdown("–")
    # One backtick more than the longest run inside, by CommonMark.
    fence = "`" * (1 + max(map(len, _FENCE.findall(text)), default=0))
    # A backtick beside the fence would join it; CommonMark removes one space at each side.
    pad = " " if text[0] in "` " or text[-1] in "` " else ""
    return Markdown(f"{fence}{pad}{text}{pad}{fence}")


def escape(value: object) -> str:
    """Return `value` as plain text: Markdown and HTML syntax is escaped; whole numbers get thousands separators."""
    if isinstance(value, Markdown):
        return value
    if value is None or value == {}:
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    # `://` alone turns a text into a link on GitHub.
    return _MEANS.sub(r"\\\1", visible(str(value))).replace("://", ":\\//")


def paragraph(text: str) -> Markdown:
    """Return a text as one line that doesn't start a list, a title or code."""
    folded = escape(" ".join(text.split()))
    return Markdown(_BEGINS.sub(r"\1\\\2", folded, count=1) if _BEGINS.match(folded) else folded)


def latex(value: object) -> str:
    """Return `value` with LaTeX syntax escaped; control characters become visible."""
    return visible(str(value)).translate(_LATEX)


def quote(text: object) -> Markdown:
    """Return a text as a double-quote YAML scalar in ASCII."""
    chars = (
        f"\\{char}" if char in '"\\' else char if " " <= char <= "~" else f"\\U{ord(char):08x}"
        for char in visible(str(text))
    )
    return Markdown(f'"{"".join(chars)}"')


def table(heads: Sequence[object], rows: Iterable[Sequence[object]], numbers: Iterable[int] = ()) -> Markdown:
    """Return a table with escaped cells; columns in `numbers` align right. "" if there are no rows."""
    right = set(numbers)
    body = [f"| {' | '.join(map(escape, row))} |" for row in rows]
    rule = "|".join("---:" if column in right else "---" for column in range(len(heads)))
    return Markdown("\n".join([f"| {' | '.join(map(escape, heads))} |", f"|{rule}|", *body]) if body else "")
