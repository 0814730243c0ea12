"""Prodigy's tasks, as `db-out` writes them and its recipes read them: one text per line, with tokens and spans.

A task without an answer is not annotated yet, so its spans are a model's. Tokens that are parts of words are ignored.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nerbert.errors import InputError
from nerbert.formats.format import Abilities, visible_words
from nerbert.formats.json_files import JsonFormat, fields_but
from nerbert.formats.rows import SPANS, TEXT, TOKENS
from nerbert.formats.tool_exports import list_of, object_of, score_json, score_of, span_of
from nerbert.records import Document, Repair, Repairs, Span

_ANSWER, _VIEW, _ACCEPTED = "answer", "_view_id", "accept"
_ANSWERS = (_ACCEPTED, "reject", "ignore")
_MARKS = frozenset({"_task_hash", "_input_hash", _VIEW})
_RELATIONS = "relations"
_WRITTEN = (TEXT, TOKENS, SPANS, _ANSWER, _VIEW)
"""Names that are not among a document's fields."""
Words = tuple[tuple[int, int], ...]


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
        if not _MARKS.isdisjoint(value) or value.get(_ANSWER) in _ANSWERS:
            return True
        return _has_object(value.get(TOKENS), "start") or _has_object(value.get(SPANS), "token_start")

    def documents(self, value: Any, repairs: Repairs) -> Iterable[Document]:
        """Return a task's text, unless it was rejected or ignored."""
        text, answer = value.get(TEXT), value.get(_ANSWER)
        if answer is not None and answer not in _ANSWERS:
            raise InputError(f"answer {answer!r:.60}: must be one of {', '.join(_ANSWERS)}")
        if answer not in (None, _ACCEPTED):
            repairs[Repair.REJECTED] += 1
            return []
        if not isinstance(text, str):
            raise InputError(f"a task without a text ({', '.join(value):.100}); only tasks for entities can be read")
        if value.get(SPANS) is None and ("label" in value or "options" in value):
            raise InputError(f"a task for categories of whole texts, without {SPANS!r}; only entities can be read")
        repairs[Repair.PASSED_OVER] += len(list_of(value.get(_RELATIONS), _RELATIONS))
        words, tagged = _words(text, list_of(value.get(TOKENS), TOKENS)), answer is None
        spans = [_span(object_of(each, "a span"), text, words, tagged) for each in list_of(value.get(SPANS), SPANS)]
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


def _words(text: str, tokens: Sequence[Any]) -> Words | None:
    """Return the places of tokens other than white space; None if there are none, or they don't fit the text."""
    words, place = list[tuple[int, int]](), 0
    for number, each in enumerate(tokens):
        token = object_of(each, f"token {number}")
        start, end, written = token.get("start"), token.get("end"), token.get(TEXT)
        if type(start) is not int or type(end) is not int or not isinstance(written, str):
            raise InputError(f"token {number}, {each!r:.80}: must have a text, and start and end as whole numbers")
        if not place <= start <= end or text[start:end] != written:
            return None
        place = end
        if written.strip():
            words.append((start, end))
    return tuple(words) or None


def _span(value: Mapping[str, Any], text: str, words: Words | None, tagged: bool) -> Span:
    """Return a span; with its text, if words show that its offsets count characters."""
    score = score_of(value, tagged=tagged)
    span = span_of(value.get("start"), value.get("end"), value.get("label"), value.get(TEXT), score)
    if span.text or words is None:
        return span
    return Span(span.start, span.end, span.type, text[span.start : span.end], span.confidence)


def _token(number: int, text: str, word: tuple[int, int]) -> dict[str, Any]:
    start, end = word
    return {"text": text[start:end], "start": start, "end": end, "id": number, "ws": text[end : end + 1].isspace()}


def _span_value(span: Span, first: int | None, last: int | None, tagged: bool) -> dict[str, Any]:
    """Return a span for a task; with its first and last token if it begins and ends with one."""
    value: dict[str, Any] = {"start": span.start, "end": span.end, "label": span.type}
    if first is not None and last is not None:
        value |= {"token_start": first, "token_end": last}
    return value | score_json(span, tagged=tagged)
