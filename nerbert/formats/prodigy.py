"""Prodigy's tasks, as `db-out` writes them and its recipes read them: one text per line, with tokens and spans.

A task without an answer is not annotated yet, so its spans are a model's. Tokens that are parts of words are ignored.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict  # Python 3.11's own lacks what pydantic needs

from nerbert.errors import InputError
from nerbert.formats.format import Abilities, visible_words
from nerbert.formats.json_files import ExportSpan, JsonFormat, export_span, fields_but, score_json
from nerbert.formats.rows import SPANS, TEXT, TOKENS
from nerbert.records import Document, Repair, Repairs, Span
from nerbert.schema import check_value

_ANSWER, _VIEW, _ACCEPTED = "answer", "_view_id", "accept"
_REFUSED = ("reject", "ignore")
_MARKS = frozenset({"_task_hash", "_input_hash", _VIEW})
_RELATIONS = "relations"
_WRITTEN = (TEXT, TOKENS, SPANS, _ANSWER, _VIEW)
"""Names that are not among a document's fields."""


class _Token(TypedDict):
    text: str
    start: int
    end: int


class _ProdigyTask(TypedDict):
    text: str
    answer: NotRequired[Literal["accept"] | None]
    tokens: NotRequired[list[_Token] | None]
    spans: NotRequired[list[ExportSpan] | None]
    relations: NotRequired[list[Any] | None]


def _kept_fields(document: Document) -> Mapping[str, Any]:
    """Return the fields whose names have no other meaning in Prodigy."""
    relations = document.fields.get(_RELATIONS)
    taken = () if relations is None or isinstance(relations, list) else (_RELATIONS,)
    return fields_but(document.fields, *_WRITTEN, *taken)


class Prodigy(JsonFormat):
    """The format `prodigy`: one task per line."""

    suffixes = (".jsonl", ".ndjson", ".json")
    holds = Abilities(words=visible_words, groups=False, fields=_kept_fields)

    def matches(self, value: Any) -> bool:
        """Return whether an object has Prodigy's hashes or answers, its tokens, or spans in tokens."""
        if not isinstance(value, dict):
            return False
        if not _MARKS.isdisjoint(value) or value.get(_ANSWER) in (_ACCEPTED, *_REFUSED):
            return True
        return _has_object(value.get(TOKENS), "start") or _has_object(value.get(SPANS), "token_start")

    def documents(self, value: Any, repairs: Repairs) -> Iterable[Document]:
        """Return a task's text, unless it was rejected or ignored."""
        if value.get(_ANSWER) in _REFUSED:
            repairs[Repair.REJECTED] += 1
            return []
        if value.get(SPANS) is None and ("label" in value or "options" in value):
            raise InputError(f"a task for categories of whole texts, without {SPANS!r}; only entities can be read")
        task = check_value(value, _ProdigyTask)
        repairs[Repair.PASSED_OVER] += len(task.get("relations") or ())
        text, tagged = task["text"], task.get("answer") is None
        words = _words(text, task.get("tokens") or ())
        spans = [export_span(each, each["label"], tagged=tagged) for each in task.get("spans") or ()]
        if words:  # they show that offsets count characters
            spans = [Span(one.start, one.end, one.type, one.text or text[one.start : one.end], one.confidence)
                     for one in spans]  # fmt: skip
        return [Document(text, tuple(spans), words, fields=fields_but(value, *_WRITTEN), tagged=tagged)]

    def value(self, document: Document) -> Any:
        """Return a task: accepted or, where a model tagged the text, not yet answered."""
        task = {_VIEW: "ner_manual", **self.holds.fields(document), TEXT: document.text}
        words = document.words or ()
        if document.words is not None:
            task[TOKENS] = [_token(number, document.text, word) for number, word in enumerate(words)]
        firsts, lasts = ({word[side]: number for number, word in enumerate(words)} for side in (0, 1))
        task[SPANS] = [
            _span_value(each, firsts.get(each.start), lasts.get(each.end), document.tagged) for each in document.spans
        ]
        return task if document.tagged else {**task, _ANSWER: _ACCEPTED}


def _has_object(value: Any, key: str) -> bool:
    return isinstance(value, list) and any(isinstance(each, dict) and key in each for each in value)


def _words(text: str, tokens: Sequence[_Token]) -> tuple[tuple[int, int], ...] | None:
    """Return the places of tokens other than white space; None if there are none, or they don't fit the text."""
    words, place = list[tuple[int, int]](), 0
    for token in tokens:
        start, end = token["start"], token["end"]
        if not place <= start <= end or text[start:end] != token["text"]:
            return None
        place = end
        if token["text"].strip():
            words.append((start, end))
    return tuple(words) or None


def _token(number: int, text: str, word: tuple[int, int]) -> dict[str, Any]:
    start, end = word
    return {"text": text[start:end], "start": start, "end": end, "id": number, "ws": text[end : end + 1].isspace()}


def _span_value(span: Span, first: int | None, last: int | None, tagged: bool) -> dict[str, Any]:
    """Return a span for a task; with its first and last token if it begins and ends with one."""
    value: dict[str, Any] = {"start": span.start, "end": span.end, "label": span.type}
    if first is not None and last is not None:
        value |= {"token_start": first, "token_end": last}
    return value | score_json(span, tagged=tagged)
