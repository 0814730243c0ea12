"""Calls that tests note: what a function was given, which does its work as before."""

from collections.abc import Callable
from typing import Any, TypeVar

import pytest

T = TypeVar("T")


def noted(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, note: Callable[..., T]) -> list[T]:
    """Watch a function of a module or a method of a class; return the list that gets `note` of what each call is given.

    What it notes is seen before the call.
    """
    notes, real = list[T](), getattr(owner, name)

    def call(*given: Any, **named: Any) -> Any:
        notes.append(note(*given, **named))
        return real(*given, **named)

    monkeypatch.setattr(owner, name, call)
    return notes
