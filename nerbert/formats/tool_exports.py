"""Shared code of the readers of tools' exports: checked JSON values, and which of several texts is annotated."""

from collections.abc import Iterable, Mapping
from typing import Any

from nerbert.errors import InputError
from nerbert.records import Span

_SCORE, _CONFIDENCE = "score", "confidence"


def object_of(value: Any, what: str) -> Mapping[str, Any]:
    """Return `value` if it is an object, and an empty one for null; else raise InputError that names it."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InputError(f"{what} is {value!r:.60}: must be an object")
    return value


def list_of(value: Any, what: str) -> list[Any]:
    """Return `value` if it is a list, and an empty one for null; else raise InputError that names it."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise InputError(f"{what} is {value!r:.60}: must be a list")
    return value


def score_of(value: Mapping[str, Any], *, tagged: bool, usual: Any = None) -> Any:
    """Return the confidence of a span in an export; None for none. `score` is the model's, even if a person changed the
    span. A person's span has nerbert's `confidence`; other values of that name are not a confidence.
    """
    if tagged:
        return value.get(_SCORE, usual)
    own = value.get(_CONFIDENCE)
    return own if isinstance(own, int | float) and 0 <= own <= 1 else None


def score_json(span: Span, *, tagged: bool) -> dict[str, float]:
    """Return the confidence as a field that `score_of` finds; nothing for an annotated span with confidence 1."""
    if span.confidence == 1 and not tagged:
        return {}
    return {_SCORE if tagged else _CONFIDENCE: round(span.confidence, 4)}


def span_of(start: Any, end: Any, label: Any, text: Any = None, score: Any = None) -> Span:
    """Return a span of an export, in its own unit; raise InputError for values of a wrong type."""
    if type(start) is not int or type(end) is not int or not isinstance(label, str):
        raise InputError(
            f"entity {start!r:.40}–{end!r:.40} of type {label!r:.60}: start and end must be whole numbers, "
            "and the type a text"
        )
    if not isinstance(text, str | None):
        raise InputError(f"entity {start}–{end} of type {label!r:.60}: its text is {text!r:.60}: must be a text")
    if score is None:
        score = 1.0
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
        raise InputError(
            f"entity {start}–{end} of type {label!r:.60}: score {score!r:.40}: must be a number from 0 to 1"
        )
    return Span(start, end, label, text or "", float(score))


def text_key(values: Mapping[str, Any], names: Iterable[str], surfaces: Iterable[str] = ()) -> str:
    """Return the key of the annotated text; raise InputError if that is unclear. It is the first of `names` that
    exists. Without one, it is the only text, or the only one that contains all the entities' texts.
    """
    texts = [key for key, value in values.items() if isinstance(value, str)]
    if named := next((name for name in names if name in texts), ""):
        return named
    if len(texts) > 1:
        wanted = [surface for surface in surfaces if surface]
        holding = [key for key in texts if all(surface in values[key] for surface in wanted)]
        texts = holding if wanted and len(holding) == 1 else texts
    if len(texts) != 1:
        known = ", ".join(texts) or "no text"
        raise InputError(f"the annotated text is unclear: there is {known:.200}; rename its key to 'text'")
    return texts[0]
