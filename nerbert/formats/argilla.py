"""Argilla's records: those of version 2, nested or flat, and those of version 1.

The first submitted answer counts; without any answer, the model's suggestion does. A response must name its user;
written ones name a made-up user.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from nerbert.errors import InputError
from nerbert.formats.documents import find_words
from nerbert.formats.format import Abilities
from nerbert.formats.json_files import JsonFormat, fields_but
from nerbert.formats.rows import TEXT, TOKENS, checked_words
from nerbert.formats.tool_exports import list_of, object_of, span_of, text_key
from nerbert.records import Document, Repair, Repairs, Span

_ID, _FIELDS, _RESPONSES, _SUGGESTIONS, _METADATA = "id", "fields", "responses", "suggestions", "metadata"
_FLAT_RESPONSES, _FLAT_SUGGESTION = ".responses", ".suggestion"
_FLAT = tuple(
    base + part
    for base, parts in ((_FLAT_RESPONSES, ("", ".users", ".status")), (_FLAT_SUGGESTION, ("", ".agent", ".score")))
    for part in parts
)
"""Suffixes of a flat record's columns."""
_BEFORE_2 = ("annotation", "prediction")
_QUESTION, _AGENT, _NOBODY = "span_label", "nerbert", "00000000-0000-0000-0000-000000000000"


class _Answer(NamedTuple):
    """A person's answer to a question, or a model's suggestion; `status` is None where the record has none."""

    value: Any
    status: Any = None
    score: Any = None

    @property
    def is_discarded(self) -> bool:
        """Whether a person discarded the text; then a nested record has no value."""
        return bool(self.status == "discarded") or (self.status is None and self.value is None)

    @property
    def is_draft(self) -> bool:
        """Whether a person hasn't submitted the answer."""
        return bool(self.status == "draft")


_Answers = dict[str, list[_Answer]]
"""The answers to each question."""


def _kept_fields(document: Document) -> Mapping[str, Any]:
    """Return all fields except an id that is null."""
    return fields_but(document.fields, *([_ID] if document.fields.get(_ID) is None else []))


class Argilla(JsonFormat):
    """The format `argilla`: an array of records, or one record per line."""

    suffixes = (".json", ".jsonl", ".ndjson")
    holds = Abilities(nested=True, words=False, groups=False, confidences="tagged", fields=_kept_fields)

    def matches(self, value: Any) -> bool:
        """Return whether an object is a record of version 2, nested or flat, or of version 1."""
        if not isinstance(value, dict):
            return False
        if isinstance(value.get(_FIELDS), dict):
            return _RESPONSES in value or _SUGGESTIONS in value
        return _is_flat(value) or _is_version_1(value)

    def documents(self, value: Any, repairs: Repairs) -> Iterable[Document]:
        """Return a record's text, unless its answer was discarded."""
        fields = {} if value.get(_ID) is None else {_ID: value[_ID]}
        kind = _nested if isinstance(value.get(_FIELDS), dict) else _flat if _is_flat(value) else _version_1
        texts, responses, suggestions = kind(value)
        if kind is not _flat:
            fields |= object_of(value.get(_METADATA), _METADATA)
        spans = _spans_of(responses, repairs)
        if spans is None and any(each.is_discarded for answers in responses.values() for each in answers):
            repairs[Repair.REJECTED] += 1
            return []
        tagged = spans is None
        if spans is None:
            spans = _spans_of(suggestions, repairs) or []
        key = text_key(texts, [TEXT])
        text = texts[key]
        words = _words(text, value.get(TOKENS)) if kind is _version_1 else None
        if words:  # by them the unit of the offsets is known
            spans = [replace(each, text=text[each.start : each.end]) for each in spans]
        return [Document(text, tuple(spans), words, fields={**fields_but(texts, key), **fields}, tagged=tagged)]

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


def _is_flat(value: Mapping[str, Any]) -> bool:
    return any(name.endswith((_FLAT_RESPONSES, _FLAT_SUGGESTION)) for name in value)


def _is_version_1(value: Mapping[str, Any]) -> bool:
    """Return whether a record has version 1's fields, which all its tasks share."""
    if TEXT not in value or not any(name in value for name in _BEFORE_2):
        return False
    return any(name in value for name in ("status", *(f"{name}_agent" for name in _BEFORE_2)))


def _nested(record: Mapping[str, Any]) -> tuple[dict[str, Any], _Answers, _Answers]:
    return record[_FIELDS], _responses(record), _suggestions(record)


def _responses(record: Mapping[str, Any]) -> _Answers:
    found = _Answers()
    for question, given in object_of(record.get(_RESPONSES), _RESPONSES).items():
        answers = [object_of(each, "a response") for each in list_of(given, f"responses to {question!r:.60}")]
        found[question] = [_Answer(each.get("value"), each.get("status")) for each in answers]
    return found


def _suggestions(record: Mapping[str, Any]) -> _Answers:
    found = _Answers()
    for question, given in object_of(record.get(_SUGGESTIONS), _SUGGESTIONS).items():
        answer = object_of(given, f"the suggestion to {question!r:.60}")
        found[question] = [_Answer(answer.get("value"), score=answer.get("score"))]
    return found


def _flat(record: Mapping[str, Any]) -> tuple[dict[str, Any], _Answers, _Answers]:
    """Return a flat record's other columns, its responses and its suggestions."""
    responses, suggestions = _Answers(), _Answers()
    for name, value in record.items():
        if name.endswith(_FLAT_RESPONSES):
            values, status = list_of(value, name), list_of(record.get(f"{name}.status"), f"{name}.status")
            status = status if len(status) == len(values) else [None] * len(values)
            responses[name] = [_Answer(*each) for each in zip(values, status, strict=True)]
        elif name.endswith(_FLAT_SUGGESTION):
            suggestions[name] = [_Answer(value, score=record.get(f"{name}.score"))]
    rest = fields_but(record, "id", "status", "_server_id")
    return {name: each for name, each in rest.items() if not name.endswith(_FLAT)}, responses, suggestions


def _spans_of(answers: _Answers, repairs: Repairs) -> list[Span] | None:
    """Return the spans of each question's first answer; None if no question has an answer that is a list of spans."""
    found: list[Span] | None = None
    for given in answers.values():
        first = True
        for answer in given:
            if answer.value is None or answer.is_discarded:
                continue
            if answer.is_draft or not _are_spans(answer.value):
                repairs[Repair.PASSED_OVER] += 1
            elif first:
                found, first = [*(found or ()), *_spans(answer)], False
            else:
                repairs[Repair.ANNOTATOR] += len(answer.value)
    return found


def _are_spans(value: Any) -> bool:
    """Return whether an answer belongs to a span question; other lists hold texts, or options with ranks."""
    return isinstance(value, list) and all(isinstance(each, dict) and "rank" not in each for each in value)


def _spans(answer: _Answer) -> list[Span]:
    score = answer.score
    scores = score if isinstance(score, list) else [score] * len(answer.value)
    if len(scores) != len(answer.value):
        raise InputError(f"a suggestion of {len(answer.value)} spans with {len(scores)} scores; give one for each")
    return [
        span_of(each.get("start"), each.get("end"), each.get("label"), score=score)
        for each, score in zip(answer.value, scores, strict=True)
    ]


def _version_1(record: Mapping[str, Any]) -> tuple[dict[str, Any], _Answers, _Answers]:
    """Return the text of a record, its annotation as a response, and its prediction as a suggestion."""
    if not isinstance(record[TEXT], str):
        raise InputError(f"{TEXT} is {record[TEXT]!r:.60}: must be a text")
    if record.get("status") == "Discarded":
        return {}, {_BEFORE_2[0]: [_Answer(None)]}, {}
    tagged = record.get(_BEFORE_2[0]) is None
    entities = [_entity(each) for each in list_of(record.get(_BEFORE_2[tagged]), _BEFORE_2[tagged])]
    spans = [{"label": label, "start": start, "end": end} for label, start, end, _ in entities]
    answer = {_BEFORE_2[tagged]: [_Answer(spans, score=[score for *_, score in entities] if tagged else None)]}
    return {TEXT: record[TEXT]}, {} if tagged else answer, answer if tagged else {}


def _words(text: str, tokens: Any) -> tuple[tuple[int, int], ...] | None:
    """Return the places of the tokens of a record of version 1, if it has some."""
    given = list_of(tokens, TOKENS)
    places = find_words(text, checked_words(given, TOKENS)) if given else ()
    return tuple(place for place in places if text[slice(*place)].strip()) or None


def _entity(value: Any) -> tuple[Any, Any, Any, Any]:
    """Return label, start, end and score of an entity, which is a list of these, or an object."""
    if isinstance(value, list) and len(value) in (3, 4):
        return value[0], value[1], value[2], value[3] if len(value) > 3 else None
    if isinstance(value, dict):
        return value.get("label"), value.get("start"), value.get("end"), value.get("score")
    raise InputError(f"entity {value!r:.80}: must be a label, start and end (only records for entities can be read)")
