"""What a server answers and its client reads: entities of texts, models, errors."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

Unit = Literal["characters", "utf-16", "bytes"]


@dataclass(frozen=True, slots=True)
class FoundEntity:
    """An entity: `start` and `end` (exclusive) in the text."""

    text: str
    type: str
    start: int
    end: int
    confidence: Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, slots=True)
class TextResult:
    """The entities of a text, its characters (code points), and how many of them the model read."""

    spans: list[FoundEntity]
    characters: int
    read: int


@dataclass(frozen=True, slots=True)
class TagAnswer:
    """A result for each text, and what they are based on."""

    model: str
    fingerprint: str
    offsets: Unit
    results: list[TextResult]


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model: its name, what it was made from, the types that it finds, and how it answers.

    With `takes_labels` it finds the labels of a request; without, some of its types.
    """

    name: str
    fingerprint: str
    types: list[str]
    takes_labels: bool
    language: str
    word_splitter: str
    answering: str


@dataclass(frozen=True, slots=True)
class ServedModels:
    """The models of a server, the default first."""

    models: list[ServedModel]


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is wrong: the one shape of all errors."""

    error: str
    status: int = 0
    request_id: str = ""
