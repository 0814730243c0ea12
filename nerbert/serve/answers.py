"""The answers of a server, which its client reads: entities of texts, models, errors."""

from dataclasses import dataclass, make_dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from nerbert.records import SPAN_FIELDS, Span

Unit = Literal["characters", "utf-16", "bytes"]
_Share = Annotated[float, Field(ge=0, le=1)]

if TYPE_CHECKING:
    FoundEntity = Span
else:
    FoundEntity = make_dataclass(
        "FoundEntity",
        [(name, _Share if type_ is float else type_) for name, type_ in SPAN_FIELDS.items()],
        namespace={"__module__": __name__, "__doc__": "An entity: `start` and `end` (exclusive) in the text."},
        kw_only=True,
        frozen=True,
        slots=True,
    )


@dataclass(frozen=True, slots=True)
class TextResult:
    """The entities of a text, its number of characters (code points), and how many of them the model read."""

    spans: list[FoundEntity]
    characters: int
    read: int


@dataclass(frozen=True, slots=True)
class TagAnswer:
    """A result for each text, and the model that they are from."""

    model: str
    fingerprint: str
    offsets: Unit
    results: list[TextResult]


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model: its name, its origin, the types that it finds, and how it answers.

    With `takes_labels` it finds the labels of a request; otherwise, some of its own types. No entity is less confident
    than `threshold`, unless a request has its own thresholds.
    """

    name: str
    fingerprint: str
    types: list[str]
    takes_labels: bool
    language: str
    word_splitter: str
    answering: str
    threshold: float = 0.0


@dataclass(frozen=True, slots=True)
class ServedModels:
    """The models of a server, the default one first."""

    models: list[ServedModel]


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error; all errors have this form."""

    error: str
    status: int = 0
    request_id: str = ""
