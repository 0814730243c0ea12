"""JSON formats of annotation tools, for export and import, and GLiNER's training data.

An export is validated against a schema; its other fields (ids, annotators) are ignored.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict  # Python 3.11's TypedDict lacks features that pydantic needs

from nerbert.errors import InputError
from nerbert.formats.conll import example_of
from nerbert.formats.documents import sentences_of
from nerbert.formats.format import LEAST, Abilities, fields_without
from nerbert.formats.json_files import JsonFormat, fields_but, first_value, json_span, share_of
from nerbert.formats.lines import SPANS, TEXT, TOKENS, checked_words
from nerbert.labels import word_spans
from nerbert.records import Document, Repair, Repairs, Span
from nerbert.schema import check_value
from nerbert.words import whole_words

_ID, _DATA, _LABEL, _LABELS = "id", "data", "label", "labels"
_ANSWER = "answer"
_VIEW = "_view_id"
_ACCEPTED = "accept"
_REFUSED = ("reject", "ignore")
_TOKENIZED, _NER = "tokenized_text", "ner"
_QUESTION, _NOBODY = "span_label", "00000000-0000-0000-0000-000000000000"
"""The Argilla question that is written, and the user who answers it, since a response must name one."""


class ExportPlace(TypedDict):
    """The position of a span in an export."""

    start: int
    end: int
    text: NotRequired[str | None]
    score: NotRequired[Any]
    confidence: NotRequired[Any]


class _Labelled(ExportPlace):
    label: str


def export_span(value: ExportPlace, label: str, *, tagged: bool) -> Span:
    """Return a span of an export. A model's span has a `score`, a person's span may have nerbert's `confidence`. Other
    values, and scores of spans that a person changed, are ignored. Raise InputError for an invalid score of a model.
    """
    sure = value.get("score" if tagged else "confidence")
    text = value.get("text") or ""
    confidence = share_of(sure)
    # A person's spans may have a score left over from a model
    if tagged and sure is not None and confidence is None:
        raise InputError(
            f"entity {value['start']}–{value['end']} of type {label!r:.60}: score {sure!r:.40}: must be a "
            "number from 0 to 1"
        )
    return Span(value["start"], value["end"], label, text, 1.0 if confidence is None else confidence)


def score_json(span: Span, *, tagged: bool) -> dict[str, float]:
    """Return the confidence as a field for `export_span`; an empty dict for an annotated span with confidence 1."""
    return {"score" if tagged else "confidence": round(span.confidence, 4)} if tagged or span.confidence != 1 else {}


def text_key(values: Mapping[str, Any], names: Iterable[str], surfaces: Iterable[str] = ()) -> str:
    """Return the key of the annotated text: the first of `names` that exists, else the key of the only text, or of the
    only text that contains the texts of all entities. Raise InputError if the key is unclear.
    """
    texts = [key for key, value in values.items() if isinstance(value, str)]
    if named := next((name for name in names if name in texts), ""):
        return named
    # Two texts, and only one has all entities: that is the annotated one
    required = [surface for surface in surfaces if surface]
    holding = [key for key in texts if all(surface in values[key] for surface in required)]
    texts = holding if len(holding) == 1 else texts
    if len(texts) != 1:
        listed = ", ".join(texts) or "no text"
        raise InputError(f"the annotated text is unclear: there is {listed:.200}; rename its key to 'text'")
    return texts[0]


class Doccano(JsonFormat):
    """The format `doccano`: `label` as lists [start, end, type]. Exports with relations are read as JSON lines."""

    holds = replace(LEAST, text="whole", nested=True, fields=fields_without(TEXT, _LABEL))
    keys = f"{TEXT} and {_LABEL} (doccano)"

    def matches(self, value: Any) -> bool:
        """Return whether an object has a text, and labels as lists."""
        text, label = _doccano(value) if isinstance(value, dict) else ("", "")
        return text != "" and label != "" and all(isinstance(item, list) for item in value[label])

    def recognise(self, path: Path, head: bytes) -> bool:
        """Return whether the first object is doccano's; one without labels needs a field that only doccano has."""
        first = first_value(head)
        # An object with an empty list of labels could be any tool's
        return self.matches(first) and bool(first[_doccano(first)[1]] or "Comments" in first)

    def documents(self, value: Any, repairs: Repairs) -> list[Document]:
        """Return the document of an object."""
        text, label = _doccano(value)
        return [Document(value[text], tuple(map(json_span, value[label])), fields=fields_but(value, text, label))]

    def value(self, document: Document) -> dict[str, Any]:
        """Return a document as an object with labels as lists."""
        label = [[span.start, span.end, span.type] for span in document.spans]
        return {TEXT: document.text, _LABEL: label, **self.holds.fields(document)}


def _doccano(value: Mapping[str, Any]) -> tuple[str, str]:
    """Return the keys of doccano's text and labels; "" for a missing one."""
    text = next((name for name in (TEXT, _DATA) if isinstance(value.get(name), str)), "")
    return text, next((name for name in (_LABEL, _LABELS) if isinstance(value.get(name), list)), "")


class Gliner(JsonFormat):
    """The format `gliner`: tokens, joined by spaces to a text, and entities as first and last token, both inclusive."""

    suffixes = (".json", ".jsonl", ".ndjson")
    holds = replace(LEAST, text="words", words=True, fields=fields_without(_TOKENIZED, _NER))
    keys = f"{_TOKENIZED} and {_NER} (gliner)"

    def matches(self, value: Any) -> bool:
        """Return whether an object has tokens, and entities as lists; the tokens' key differs between data sets."""
        if not isinstance(value, dict) or not isinstance(value.get(_tokens_field(value)), list):
            return False
        entities = value.get(_NER)
        # Strings or numbers under `ner` are tags, not entities
        return isinstance(entities, list) and not any(isinstance(entity, str | int) for entity in entities[:1])

    def documents(self, value: Any, repairs: Repairs) -> list[Document]:
        """Return the sentence of an object."""
        name = _tokens_field(value)
        example = example_of(checked_words(value[name], name), ())
        bounds = (token_span(entity, example.words) for entity in value[_NER])
        spans = tuple(Span(start, end, type_, example.text[start:end]) for start, end, type_ in bounds)
        return [Document(example.text, spans, example.words, fields=fields_but(value, name, _NER))]

    def values(self, document: Document) -> Iterator[Any]:
        """Yield the sentences of a document; each gets the document's other fields."""
        fields = self.holds.fields(document)
        for example in map(whole_words, sentences_of(document)):
            entities = [[first, last - 1, type_] for first, last, type_ in word_spans(example)]
            yield {_TOKENIZED: example.tokens, _NER: entities, **fields}


def _tokens_field(value: Mapping[str, Any]) -> str:
    """Return the key of the tokens; an object that also has a text isn't GLiNER's."""
    return TOKENS if _TOKENIZED not in value and TEXT not in value else _TOKENIZED


def token_span(value: Any, words: tuple[tuple[int, int], ...]) -> tuple[int, int, str]:
    """Convert an entity [first token, last token, type] to characters; raise InputError for any other form."""
    first, last, type_ = value if isinstance(value, list) and len(value) == 3 else (None, None, None)
    # Not `isinstance`, since True and False are ints, too
    if type(first) is not int or type(last) is not int or not isinstance(type_, str):
        raise InputError(f"entity {value!r:.80}: must be first token, last token and type")
    if not 0 <= first <= last < len(words):
        raise InputError(f"entity {value!r:.80}: the row has {len(words)} tokens, the first is 0, the last included")
    return words[first][0], words[last][1], type_


class Token(TypedDict):
    """The position of a token, and often its text."""

    text: NotRequired[str]
    start: int
    end: int


class _ProdigyTask(TypedDict):
    text: str
    answer: NotRequired[Literal["accept"] | None]
    tokens: NotRequired[list[Token] | None]
    spans: NotRequired[list[_Labelled] | None]
    relations: NotRequired[list[Any] | None]


class Prodigy(JsonFormat):
    """The format `prodigy`: tasks from `db-out`. Without an answer, the spans are a model's; relations are ignored."""

    suffixes = (".jsonl", ".ndjson", ".json")
    keys = "prodigy"
    written = (TEXT, TOKENS, SPANS, _ANSWER, _VIEW, "relations")
    holds = Abilities(groups=False, fields=fields_without(*written))

    def matches(self, value: Any) -> bool:
        """Return whether an object has Prodigy's hashes or answers, its tokens, or spans in tokens."""
        if not isinstance(value, dict):
            return False
        if not {"_task_hash", "_input_hash", _VIEW}.isdisjoint(value) or value.get(_ANSWER) in (_ACCEPTED, *_REFUSED):
            return True
        has_texts = all(_has_object(value.get(TOKENS), name) for name in ("start", TEXT))  # spaCy's tokens have no text
        return has_texts or _has_object(value.get(SPANS), "token_start")

    def documents(self, value: Any, repairs: Repairs) -> list[Document]:
        """Return the document of a task, unless it was rejected or ignored."""
        if value.get(_ANSWER) in _REFUSED:
            repairs[Repair.REJECTED] += 1
            return []
        if value.get(SPANS) is None and (_LABEL in value or "options" in value):
            raise InputError(f"a task for categories of whole texts, without {SPANS!r}; only entities can be read")
        task = check_value(value, _ProdigyTask)
        repairs[Repair.PASSED_OVER] += len(task.get("relations") or ())
        text = task["text"]
        tagged = task.get("answer") is None
        words = token_words(text, task.get("tokens") or ())
        spans = [export_span(span, span["label"], tagged=tagged) for span in task.get("spans") or ()]
        # The tokens' texts prove that offsets count characters
        if words:
            spans = [replace(span, text=span.text or text[span.start : span.end]) for span in spans]
        # `ner.teach` asks about one entity at a time
        partial = not tagged and bool(value.get("_is_binary") or value.get(_VIEW) == "ner")
        fields = fields_but(value, *self.written)
        return [Document(text, tuple(spans), words, fields=fields, tagged=tagged, partial=partial)]

    def value(self, document: Document) -> Any:
        """Return a document as a task: accepted or, if a model tagged the text, unanswered."""
        text = document.text
        words = document.words or ()
        tagged = document.tagged
        task = {_VIEW: "ner_manual", **self.holds.fields(document), TEXT: text}
        if document.words is not None:
            task[TOKENS] = [
                {"text": text[start:end], "start": start, "end": end, "id": n, "ws": text[end : end + 1].isspace()}
                for n, (start, end) in enumerate(words)
            ]
        firsts, lasts = ({word[side]: number for number, word in enumerate(words)} for side in (0, 1))
        task[SPANS] = [
            {"start": span.start, "end": span.end, _LABEL: span.type}
            | _token_bounds(span, firsts, lasts)
            | score_json(span, tagged=tagged)
            for span in document.spans
        ]
        return task if tagged else {**task, _ANSWER: _ACCEPTED}


def _token_bounds(span: Span, firsts: Mapping[int, int], lasts: Mapping[int, int]) -> dict[str, int]:
    if span.start not in firsts or span.end not in lasts:
        return {}
    return {"token_start": firsts[span.start], "token_end": lasts[span.end]}


def _has_object(value: Any, key: str) -> bool:
    return isinstance(value, list) and any(isinstance(item, dict) and key in item for item in value)


def token_words(text: str, tokens: Sequence[Token]) -> tuple[tuple[int, int], ...] | None:
    """Return the spans of tokens other than white space; None if there are none, or they don't match the text."""
    words = list[tuple[int, int]]()
    reached = 0
    for token in tokens:
        start = token["start"]
        end = token["end"]
        surface = text[start:end] if start >= 0 else ""
        if not reached <= start <= end <= len(text) or surface != token.get("text", surface):
            return None
        reached = end
        if surface.strip():
            words.append((start, end))
    return tuple(words) or None


class _Response(TypedDict):
    value: NotRequired[Any]
    status: NotRequired[str | None]
    score: NotRequired[Any]


class _Record(TypedDict):
    fields: dict[str, Any]
    responses: NotRequired[dict[str, list[_Response] | None] | None]
    suggestions: NotRequired[dict[str, _Response | None] | None]
    metadata: NotRequired[dict[str, Any] | None]


class Argilla(JsonFormat):
    """The format `argilla`: records of version 2. The first submitted response counts, else the model's suggestion."""

    suffixes = (".json", ".jsonl", ".ndjson")
    keys = "argilla"
    holds = Abilities(
        nested=True,
        words=False,
        groups=False,
        confidences="tagged",
        fields=lambda document: fields_but(document.fields, *(() if document.fields.get(_ID) is not None else (_ID,))),
    )

    def matches(self, value: Any) -> bool:
        """Return whether an object is a record."""
        is_record = isinstance(value, dict) and isinstance(value.get("fields"), dict)
        return is_record and ("responses" in value or "suggestions" in value)

    def documents(self, value: Any, repairs: Repairs) -> list[Document]:
        """Return the document of a record, unless its answer was discarded."""
        record = check_value(value, _Record)
        responses = [answers or [] for answers in (record.get("responses") or {}).values()]
        spans = _read_answers(responses, repairs, tagged=False)
        tagged = False
        # Some person decided against the text; a model's suggestion must not bring it back
        if spans is None and any(_is_discarded(answer) for answers in responses for answer in answers):
            repairs[Repair.REJECTED] += 1
            return []
        if spans is None:
            suggestions = [[answer] for answer in (record.get("suggestions") or {}).values() if answer]
            spans = _read_answers(suggestions, repairs, tagged=True) or []
            tagged = True
        texts = record["fields"]
        key = text_key(texts, [TEXT])
        ids = {} if value.get(_ID) is None else {_ID: value[_ID]}
        fields = {**fields_but(texts, key), **ids, **(record.get("metadata") or {})}
        return [Document(texts[key], tuple(spans), fields=fields, tagged=tagged)]

    def value(self, document: Document) -> Any:
        """Return a document as a record with a response or, if a model tagged the text, a suggestion."""
        fields = self.holds.fields(document)
        spans = [{"start": span.start, "end": span.end, "label": span.type} for span in document.spans]
        scores = [round(span.confidence, 4) for span in document.spans]
        return {
            **{name: value for name, value in fields.items() if name == _ID},
            "fields": {TEXT: document.text},
            "metadata": fields_but(fields, _ID),
            "responses": {}
            if document.tagged
            else {_QUESTION: [{"value": spans, "user_id": _NOBODY, "status": "submitted"}]},
            "suggestions": {_QUESTION: {"value": spans, "score": scores or None, "agent": "nerbert"}}
            if document.tagged
            else {},
        }


def _is_discarded(answer: _Response) -> bool:
    """Return whether a person discarded the text; such an answer may lack a value."""
    status = answer.get("status")
    return status == "discarded" or (status is None and answer.get("value") is None)


def _read_answers(answers: Iterable[list[_Response]], repairs: Repairs, *, tagged: bool) -> list[Span] | None:
    """Return the spans of each question's first answer; None if no question has an answer that is a list of spans."""
    spans: list[Span] | None = None
    for responses in answers:
        first = True
        for answer in responses:
            value = answer.get("value")
            if value is None or _is_discarded(answer):
                continue
            # lists of other questions contain texts, or options with ranks
            are_spans = isinstance(value, list) and all(isinstance(item, dict) and "rank" not in item for item in value)
            if answer.get("status") == "draft" or not are_spans:
                repairs[Repair.PASSED_OVER] += 1
            elif first:
                regions = check_value(value, list[_Labelled])
                score = answer.get("score")
                # One score may stand for all spans
                scores = score if isinstance(score, list) else [score] * len(regions)
                if len(scores) != len(regions):
                    raise InputError(
                        f"a suggestion of {len(regions)} spans with {len(scores)} scores; give one for each"
                    )
                spans = spans or []
                first = False
                for region, sure in zip(regions, scores, strict=True):
                    span = ExportPlace(start=region["start"], end=region["end"], score=sure)
                    spans.append(export_span(span, region["label"], tagged=tagged))
            else:
                repairs[Repair.ANNOTATOR] += len(value)
    return spans
