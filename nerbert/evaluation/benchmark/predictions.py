"""What a cell gives a tagger and gets from it.

The choice: these stand apart from how sentences are drawn and read, so that the code that trains and tags imports none
of that: an edit there trains nothing anew.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nerbert.errors import NerbertError
from nerbert.records import Example


@dataclass(frozen=True, slots=True)
class CellSentences:
    """Sentences to learn from and sentences to tag, and how they were chosen."""

    train: list[Example]
    test: list[Example]
    whole_test: bool
    """Whether these are the test split's sentences, all and in order; an episode's are not."""
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Predictions:
    """What a tagger said of each word of the sentences to tag, raw, and how it was made."""

    tags: list[list[str]]
    confidences: list[list[float]]
    facts: dict[str, Any]


@contextmanager
def without_folder(folder: Path) -> Iterator[None]:
    """Leave a data folder's path out of the message of any NerbertError raised inside.

    A cell's failure is kept by what its files hold, and another folder may hold the same.
    """
    try:
        yield
    except NerbertError as error:
        raise type(error)(f"{error}".replace(f"{folder}/", "").replace(f"{folder}: ", "")) from error
