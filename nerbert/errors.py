"""The errors that nerbert raises on purpose.

    NerbertError            exit code 1, HTTP 500: one line for people, never a traceback
    ├── InputError          422  a file or a text from outside can't be used
    ├── SettingsError       400  a setting is unknown, of the wrong kind or out of bounds
    ├── OutputExists        409  the output exists already
    ├── StaleOutput         409  an unfinished output was made from other settings or input
    ├── WriteError          507  the output can't be written: full disk, read-only, name too long
    ├── WorkerDied          503  a worker of an executor ended without a result
    ├── MissingExtra        501  an optional library is not installed
    ├── Overloaded          429  a server has too much to do; try again in `retry_after` seconds
    ├── Unavailable         503  a server is stopping, or can't give this answer now
    └── TimedOut            504  an answer takes longer than a server's limit

Messages state the fault *and the remedy*; `at` adds the place, to the message and as fields. Messages quote input, so
`NerbertError` turns each into one line that is safe to print, and cuts the middle out of a long one: the place at its
start and the remedy at its end stay.
"""

import errno
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_LONGEST = 1000
"""Maximum length of a message, in characters."""
_LONGEST_LIST, _FEW = 200, 10
"""Maximum length of a list of known names, in characters; of a longer list, the number of names shown."""


class NerbertError(Exception):
    """Base of all errors meant for people; `str(error)` is one line of bounded length, without control characters.
    `path`, `line` and `setting` locate the fault: "" or None if unknown.
    """

    exit_code = 1
    http_status = 500
    try_again = True
    """True if the same work may succeed on another try, because the fault isn't in the input."""

    def __init__(self, message: str, *, path: str = "", line: int | None = None, setting: str = "") -> None:
        # Cut before escaping, which is slow for a megabyte of input, and after it, since it lengthens the text.
        super().__init__(shorten(visible(shorten(" ".join(message.split()), _LONGEST)), _LONGEST))
        self.path, self.line, self.setting = path, line, setting


class InputError(NerbertError):
    """Input (dump, table, CoNLL file, model folder) can't be used."""

    http_status = 422
    try_again = False


class SettingsError(NerbertError):
    """A setting is invalid."""

    http_status = 400
    try_again = False


class OutputExists(NerbertError):  # noqa: N818  (reads as the fact that it reports)
    """The output exists already."""

    http_status = 409
    try_again = False


class StaleOutput(NerbertError):  # noqa: N818
    """An unfinished output of an earlier run was made from other settings or other input."""

    http_status = 409
    try_again = False


class WriteError(NerbertError):
    """The output can't be written."""

    http_status = 507


class WorkerDied(NerbertError):  # noqa: N818
    """A worker of an executor ended without a result; the task that caused it is unknown."""

    http_status = 503


class MissingExtra(NerbertError):  # noqa: N818
    """An optional library is needed; the message names the extra that installs it."""

    http_status = 501
    try_again = False


class Overloaded(NerbertError):  # noqa: N818
    """A server has too much to do."""

    http_status = 429
    retry_after = 1
    """Seconds after which to try again."""


class Unavailable(NerbertError):  # noqa: N818
    """A server can't answer now."""

    http_status = 503


class TimedOut(NerbertError):  # noqa: N818
    """An answer takes longer than a server's limit."""

    http_status = 504


_PANICS = "pyo3_runtime"
"""The module of a Rust panic's class, which doesn't derive from Exception."""
_FINAL = (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)
"""Errors of the operating system that are due to the given paths, not to the machine."""


def may_try_again(error: BaseException) -> bool:
    """Return whether the same work may succeed on another try, because the machine may have made it fail.

    Only errors of input, settings and paths are final, unless the machine or a lack of memory caused them.
    """
    cause = error.__cause__
    # The cause may be several errors deep: InputError from a parser's error from OSError.
    while cause is not None and not isinstance(cause, OSError | MemoryError):
        cause = cause.__cause__
    by_machine = cause is not None and not isinstance(cause, _FINAL)
    return getattr(error, "try_again", True) or by_machine


@contextmanager
def at(path: Path | str = "", line: int | None = None, *, part: str = "", setting: str = "") -> Iterator[None]:
    """Add a place to any NerbertError raised inside: before the message (`path:line: part: setting: `), and as fields.

    In nested blocks, the message gets all places, and the fields get the innermost. `part` (for example a row of a
    table) appears only in the message.
    """
    try:
        yield
    except NerbertError as error:
        location = f"{path}:{line}" if path and line is not None else f"{path}"
        message = ": ".join(filter(None, (location, part, setting, str(error))))
        # A line belongs to its path: an outer line must not be joined to an inner path.
        own_line = error.line if error.path or error.line is not None else line
        fields = {"path": error.path or str(path), "setting": error.setting or setting}
        raise type(error)(message, line=own_line, **fields) from error


@contextmanager
def refused(
    what: str | Callable[[BaseException], NerbertError | None],
    kind: type[NerbertError] = InputError,
    of: type[Exception] | tuple[type[Exception], ...] = Exception,
    *,
    remedy: str = "",
) -> Iterator[None]:
    """Turn an error of the system or a library into an error of one line: `what`, the reason, the remedy.

    The reason is the first line of the original message; in errors of the system, a path that `what` names is left out.
    Panics of libraries in Rust are converted, too. If `what` is a function, it returns the error to raise, or None to
    let the original error pass.
    """
    try:
        yield
    except NerbertError:
        raise
    # A panic of a library in Rust doesn't derive from Exception.
    except BaseException as error:
        raised = what(error) if callable(what) else _refusal(error, what, kind, of, remedy)
        if raised is None:
            raise
        raise raised from error


def _refusal(error: BaseException, what: str, kind: type[NerbertError], of: Any, remedy: str) -> NerbertError | None:
    """Return the error that replaces one of the class `of`, or a panic; a path that is too long has its own remedy."""
    if not isinstance(error, of) and type(error).__module__ != _PANICS:
        return None
    reason = next(iter(str(error).strip().rstrip(".").splitlines()), "") or type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        # A user who passes a text in place of a file gets this error from the system.
        if error.errno == errno.ENAMETOOLONG and not remedy:
            return _too_long(error)
        # Else the path would be in the message twice.
        reason = error.strerror if str(error.filename or "") in what else f"{error.strerror}: {error.filename!r}"
    return kind(f"{what}: {reason:.300}{remedy and '; '}{remedy}")


def bad_path(error: BaseException) -> NerbertError | None:
    """Return the error for a path that the system rejects (too long, or with NUL), or a disk that fails; else None."""
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        refusal = _too_long(error)
    elif isinstance(error, OSError) and error.errno in (errno.EIO, errno.ESTALE):
        path = f"{error.filename:.500}" if isinstance(error.filename, str) else "a file"
        refusal = InputError(f"{path}: can't be read or written: {error.strerror}; check the disk")
    elif isinstance(error, ValueError) and "embedded null" in str(error):
        return InputError("a path contains the character NUL; give another path")
    else:
        return None
    # How to resume is in a note, which the new error must keep.
    for note in getattr(error, "__notes__", ()):
        refusal.add_note(note)
    return refusal


def _too_long(error: Any) -> InputError:
    return InputError(
        f"{shorten(str(error.filename), 80)!r}: too long for the name of a file or folder; put a text into a "
        "file, or tag it as it is (nerbert tag TAGGER --text …)"
    )


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """Return `: did you mean 'x'?` with the known name that is most similar to `name`, ignoring case; "" for none."""
    from difflib import get_close_matches

    by_folded = {candidate.casefold(): candidate for candidate in known}
    close = get_close_matches(name.casefold(), by_folded, 1, cutoff)
    return f": did you mean {by_folded[close[0]]!r}?" if close else ""


def unknown(name: object, known: Iterable[str], *, see: str = "", allowed: str = "") -> str:
    """Return the end of a message about an unknown name: the nearest known name, and the allowed names or `allowed`.

    `see` points to a list of the names, if there are many.
    """
    names = list(dict.fromkeys(known))
    listed = ", ".join(names)
    if len(listed) > _LONGEST_LIST:
        listed = f"{len(names)}: {see}" if see else few(names)
    must = f"must be {allowed or 'one of ' + listed}" if names or allowed else "there is none"
    close = nearest(str(name), names)
    return f"{close} ({must})" if close else f": {must}"


def few(names: Iterable[str]) -> str:
    """Return the first names, separated by commas, and the number of the remaining ones."""
    every = list(names)
    rest = f" and {len(every) - _FEW:,} more" if len(every) > _FEW else ""
    return f"{', '.join(every[:_FEW])}{rest}" if every else "none"


def visible(text: str) -> str:
    """Return `text` with control characters escaped, so that input can't control the terminal."""
    # Nearly all texts: the loop below is slow for long ones.
    if text.isprintable():
        return text
    # Changes of direction can reorder what a terminal shows.
    acting = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    acts = (char in acting or unicodedata.category(char) in ("Cc", "Cs") for char in text)
    return "".join(ascii(char)[1:-1] if act else char for act, char in zip(acts, text, strict=True))


def shorten(text: str, longest: int) -> str:
    """Return a text of at most `longest` characters; a longer one is cut to its beginning and end, joined by `…`."""
    # More of the beginning, which has the place; the end has the remedy.
    end = longest * 2 // 5
    return text if len(text) <= longest else f"{text[: longest - end - 3]} … {text[-end:]}"


_EXTRAS = {
    **dict.fromkeys(("pyarrow", "duckdb", "lxml"), "corpus"),
    **dict.fromkeys(("torch", "transformers", "tokenizers", "safetensors", "huggingface_hub"), "train"),
}
"""Libraries that whole modules need, and the extras that install them."""


def missing_extra(error: ModuleNotFoundError) -> MissingExtra | None:
    """Return the error for a failed import of a library of the extra `corpus` or `train`; None for any other."""
    name = (error.name or "").partition(".")[0]
    return MissingExtra(f"{name} not installed: pip install 'nerbert[{_EXTRAS[name]}]'") if name in _EXTRAS else None


def need(extra: str, *modules: str, package: str = "nerbert") -> None:
    """Raise MissingExtra unless all `modules`, which an extra of a package installs, can be imported.

    Call it where an optional library is first used.
    """
    from importlib.util import find_spec

    # `find_spec` doesn't import, which may take seconds.
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise MissingExtra(f"{', '.join(missing)} not installed: pip install '{package}[{extra}]'")
