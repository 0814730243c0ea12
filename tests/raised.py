"""Errors that tests expect: by class and fields, words in one table a module; and functions that raise them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nerbert.errors import NerbertError


def raises(kind: type[NerbertError], words: str = "", **fields: Any) -> "pytest.RaisesExc[NerbertError]":
    """Expect an error of exactly this class, whose `path`, `line` or `setting` are as given.

    `words` must occur in its message: for a module's one table of messages.
    """
    expected = {name: str(value) if isinstance(value, Path) else value for name, value in fields.items()}

    def check(error: NerbertError) -> bool:
        found = {name: getattr(error, name) for name in expected}
        assert (type(error), found) == (kind, expected), f"{type(error).__name__} {found}: {error}"
        assert words in str(error), str(error)
        return True

    return pytest.raises(kind, check=check)


def raising(error: BaseException) -> Callable[..., Any]:
    """Return a function that raises an error, whatever it is given."""

    def call(*_: object, **__: object) -> None:
        raise error

    return call
