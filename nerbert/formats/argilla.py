"""Argilla's records, of version 2, nested or flat.

The first submitted answer counts; without any answer, the model's suggestion does. A response must name its user;
written ones name a made-up user.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NotRequired

from typing_extensions import TypedDict

from nerbert.errors import InputError
from nerbert.formats.format import Abilities
from nerbert.formats.json_files import ExportSpan, JsonFormat, export_span, fields_but, text_key
from nerbert.formats.rows import TEXT
from nerbert.records import Document, Repair, Repairs, Span
from nerbert.schema import check_value

_ID, _FIELDS, _RESPONSES, _SUGGESTIONS, _METADATA = "id", "fields", "responses", "suggestions", "metadata"
_FLAT_RESPONSES, _FLAT_SUGGESTION = ".responses", ".suggestion"
_FLAT = tuple(
    base + part
    for base, parts in ((_FLAT_RESPONSES, ("", ".users", ".status")), (_FLAT_SUGGESTION, ("", ".agent", ".score")))
    for part in parts
)
"""Suffixes of a flat record's columns."""
_QUESTION, _AGENT, _NOBODY = "span_label", "nerbert", "00000000-0000-0000-0000-000000000000"


class _Answer(TypedDict):
    """A person's response to a question, or a model's suggestion."""

    value: NotRequired[Any]
    status: NotRequired[str | None]
    score: NotRequired[Any]


_Answers = dict[str, list[_Answer]]
"""The answers to each question."""


class _Record(TypedDict):
    fields: dict[str, Any]
    responses: NotRequired[dict[str, list[_Answer] | None] | None]
    suggestions: NotRequired[dict[str, _Answer | None] | None]
    metadata: NotRequired[dict[str, Any] | None]


def _is_discarded(answer: _Answer) -> bool:
    """Return whether a person discarded the text; then a nested record has no value."""
    status = answer.get("status")
    return status == "discarded" or (status is None and answer.get("value") is None)


def _kept_fields(document: Document) -> Mapping[str, Any]:
    """Return all fields except an id that is null."""
    return fields_but(document.fields, *([_ID] if document.fields.get(_ID) is None else []))


class Argilla(JsonFormat):
    """The format `argilla`: an array of records, or one record per line."""

    suffixes = (".json", ".jsonl", ".ndjson")
    holds = Abilities(nested=True, words=False, groups=False, confidences="tagged", fields=_kept_fields)

    def matches(self, value: Any) -> bool:
        """Return whether an object is a record, nested or flat."""
        if not isinstance(value, dict):
            return False
        return _is_nested(value) or any(name.endswith((_FLAT_RESPONSES, _FLAT_SUGGESTION)) for name in value)

    def documents(self, value: Any, repairs: Repairs) -> Iterable[Document]:
        """Return a record's text, unless its answer was discarded."""
        texts, fields, responses, suggestions = (_nested if _is_nested(value) else _flat)(value)
        spans = _spans_of(responses, repairs, tagged=False)
        if spans is None and any(_is_discarded(each) for answers in responses.values() for each in answers):
            repairs[Repair.REJECTED] += 1
            return []
        tagged = spans is None
        if spans is None:
            spans = _spans_of(suggestions, repairs, tagged=True) or []
        key = text_key(texts, [TEXT])
        own = {} if value.get(_ID) is None else {_ID: value[_ID]}
        return [Document(texts[key], tuple(spans), fields={**fields_but(texts, key), **own, **fields}, tagged=tagged)]

    def value(self, document: Document) -> Any:
        """Return a nested record with a response or, for a text that a model tagged, a suggestion."""
        fields = self.holds.fields(document)
        spans = [{"start": each.start, "end": each.end, "label": each.type} for each in document.spans]
        answer: dict[str, Any] = {"value": spans, "user_id": _NOBODY, "status": "submitted"}
        if document.tagged:
            scores = [round(each.confidence, 4) for each in document.spans]
            answer = {"value": spans, "score": scores or None, "agent": _AGENT}
        return {
            **{name: each for name, each in fields.items() if name == _ID},
            _FIELDS: {TEXT: document.text},
            _METADATA: fields_but(fields, _ID),
            _RESPONSES: {} if document.tagged else {_QUESTION: [answer]},
            _SUGGESTIONS: {_QUESTION: answer} if document.tagged else {},
        }


def _is_nested(value: Mapping[str, Any]) -> bool:
    return isinstance(value.get(_FIELDS), dict) and (_RESPONSES in value or _SUGGESTIONS in value)


def _nested(value: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any], _Answers, _Answers]:
    """Return a record's texts, its other fields, its responses and its suggestions."""
    record = check_value(value, _Record)
    responses = {question: given or [] for question, given in (record.get("responses") or {}).items()}
    suggestions = {question: [given] for question, given in (record.get("suggestions") or {}).items() if given}
    return record["fields"], record.get("metadata") or {}, responses, suggestions


def _flat(record: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any], _Answers, _Answers]:
    """Return the same of a flat record, whose other columns are its texts."""
    responses, suggestions = _Answers(), _Answers()
    for name, value in record.items():
        if name.endswith(_FLAT_RESPONSES):
            values = check_value(value, list[Any]) if value else []
            status = check_value(record.get(f"{name}.status") or [], list[str | None])
            status = status if len(status) == len(values) else [None] * len(values)
            responses[name] = [_Answer(value=one, status=how) for one, how in zip(values, status, strict=True)]
        elif name.endswith(_FLAT_SUGGESTION):
            suggestions[name] = [_Answer(value=value, score=record.get(f"{name}.score"))]
    rest = fields_but(record, _ID, "status", "_server_id")
    return {name: each for name, each in rest.items() if not name.endswith(_FLAT)}, {}, responses, suggestions


def _spans_of(answers: _Answers, repairs: Repairs, *, tagged: bool) -> list[Span] | None:
    """Return the spans of each question's first answer; None if no question has an answer that is a list of spans."""
    found: list[Span] | None = None
    for given in answers.values():
        first = True
        for answer in given:
            value = answer.get("value")
            if value is None or _is_discarded(answer):
                continue
            # other questions' lists hold texts, or options with ranks
            are_spans = isinstance(value, list) and all(isinstance(each, dict) and "rank" not in each for each in value)
            if answer.get("status") == "draft" or not are_spans:
                repairs[Repair.PASSED_OVER] += 1
            elif first:
                found, first = [*(found or ()), *_spans(value, answer.get("score"), tagged)], False
            else:
                repairs[Repair.ANNOTATOR] += len(value)
    return found


def _spans(value: Any, score: Any, tagged: bool) -> Iterator[Span]:
    given = check_value(value, list[ExportSpan])
    scores = score if isinstance(score, list) else [score] * len(given)
    if len(scores) != len(given):
        raise InputError(f"a suggestion of {len(given)} spans with {len(scores)} scores; give one for each")
    for each, one in zip(given, scores, strict=True):
        yield export_span({"start": each["start"], "end": each["end"], "score": one}, each["label"], tagged=tagged)
