"""The one tree of errors that nerbert raises on purpose.

    NerbertError            exit code 1: one line for people, never a traceback
    ├── InputError          a file or a text that came from outside is not what it should be
    ├── SettingsError       a setting is unknown, of the wrong kind or out of bounds
    ├── OutputExists        the output's place is taken
    ├── StaleOutput         half of an output is there, made from something else
    ├── WriteError          the output can't be written: full disk, read-only, name too long
    └── MissingExtra        an optional library is not installed

The choice: messages say what was wrong *and what to do*; `at` adds the place. The price is longer raises.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


class NerbertError(Exception):
    """Base of all errors meant for people; `str(error)` is one line."""

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class InputError(NerbertError):
    """What came from outside (dump, table, CoNLL, model folder) can't be used."""


class SettingsError(NerbertError):
    """A setting is refused."""


class OutputExists(NerbertError):  # noqa: N818  (reads as the fact that it reports)
    """The place where output should go is taken."""


class StaleOutput(NerbertError):  # noqa: N818
    """What an earlier run left half made was made from other settings or other input."""


class WriteError(NerbertError):
    """The output can't be written."""


class MissingExtra(NerbertError):  # noqa: N818
    """An optional library is needed; the message names the extra that brings it."""


@contextmanager
def at(path: Path | str, line: int | None = None) -> Iterator[None]:
    """Put `path:line:` before the message of any NerbertError raised inside."""
    try:
        yield
    except NerbertError as error:
        place = f"{path}:{line}" if line is not None else f"{path}"
        raise type(error)(f"{place}: {error}") from error


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """Return `: did you mean 'x'?` with the known name that is most like `name`, whatever its case; "" if none is."""
    from difflib import get_close_matches

    by_folded = {each.casefold(): each for each in known}
    close = get_close_matches(name.casefold(), by_folded, 1, cutoff)
    return f": did you mean {by_folded[close[0]]!r}?" if close else ""


_TRAIN = frozenset({"torch", "transformers", "accelerate", "tokenizers", "safetensors", "huggingface_hub"})


def missing_extra(error: ModuleNotFoundError) -> MissingExtra | None:
    """Return what to say of a failed import, if it is of a library of the extra `train`; else None."""
    name = (error.name or "").partition(".")[0]
    return MissingExtra(f"{name} not installed: pip install 'nerbert[train]'") if name in _TRAIN else None


def need(extra: str, *modules: str) -> None:
    """Raise MissingExtra unless all `modules` can be imported; call it where an optional library is first used."""
    from importlib.util import find_spec

    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise MissingExtra(f"{', '.join(missing)} not installed: pip install 'nerbert[{extra}]'")
