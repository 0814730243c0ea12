"""Label Studio's JSON export, whose objects are tasks, and its minimal one (JSON-MIN), whose objects are annotations.

The export doesn't name the key of the annotated text in the data: it is the tag's name, or `text`, or the only text.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NotRequired

from typing_extensions import TypedDict  # Python 3.11's TypedDict lacks features that pydantic needs

from nerbert.errors import InputError, at
from nerbert.formats.exports import ExportPlace, export_span, score_json, text_key
from nerbert.formats.format import Abilities, fields_without
from nerbert.formats.json_files import JsonFormat, fields_but, is_json_min
from nerbert.formats.lines import TEXT
from nerbert.records import Document, Repair, Repairs, Span
from nerbert.schema import check_value

_DATA, _LABELS = "data", "labels"
_LINE_END = r"\n"
"""Label Studio's line break in the text of an entity, of two characters."""
_ADDRESS = re.compile(r"(?:[a-z][a-z0-9+.-]*:/)?/[^/\s]\S*")
"""A text that is the URL of another text."""
_ABOUT = ("annotator", "annotation_id", "created_at", "updated_at", "lead_time")
"""Fields of an annotation in JSON-MIN."""


class _LabelledRegion(ExportPlace):
    labels: NotRequired[list[str] | None]


class _StudioRegion(TypedDict):
    type: str
    value: NotRequired[dict[str, Any] | None]
    to_name: NotRequired[Any]
    score: NotRequired[Any]
    confidence: NotRequired[Any]


class _Result(TypedDict):
    result: NotRequired[list[_StudioRegion] | None]
    was_cancelled: NotRequired[Any]
    score: NotRequired[Any]


class _StudioTask(TypedDict):
    data: dict[str, Any]
    annotations: NotRequired[list[_Result] | None]
    predictions: NotRequired[list[_Result] | None]


class LabelStudio(JsonFormat):
    """The format `label-studio`: an array of tasks, or of JSON-MIN's annotations."""

    suffixes = (".json",)
    keys = "label-studio"
    holds = Abilities(nested=True, words=False, groups=False, fields=fields_without(TEXT))

    def matches(self, value: Any) -> bool:
        """Return whether an object is a task with data and results, or an annotation of JSON-MIN."""
        is_task = isinstance(value, dict) and isinstance(value.get(_DATA), dict)
        return is_json_min(value) or (is_task and ("annotations" in value or "predictions" in value))

    def documents(self, value: Any, repairs: Repairs) -> list[Document]:
        """Return a task's text with its first uncancelled annotation, or without annotations its first prediction."""
        value = _task_of(value)
        task = check_value(value, _StudioTask)
        annotations = task.get("annotations") or []
        kept = [annotation for annotation in annotations if not annotation.get("was_cancelled")]
        if annotations and not kept:
            repairs[Repair.REJECTED] += 1
            return []
        tagged = not annotations
        spans, tags = _first_result(task.get("predictions") or [] if tagged else kept, repairs, tagged)
        data = task["data"]
        # Label Studio writes a line's end as two characters, so such a text isn't found as it is
        surfaces = (span.text for span in spans if _LINE_END not in span.text)
        key = text_key(fields_but(data, *_ABOUT), [*tags, TEXT], surfaces)
        text: str = data[key]
        spans = [_readable(span, text) for span in spans]
        _check_text(text, spans)
        fields = {name: value[name] for name in ("id", "meta") if value.get(name)} | fields_but(data, key)
        return [Document(text, tuple(spans), fields=fields, tagged=tagged)]

    def read(self, path: Path, repairs: Repairs) -> Iterator[Document]:
        """Yield the documents of a file; in JSON-MIN, only the first annotation of each task."""
        last: tuple[str, Any] | None = None
        for document in super().read(path, repairs):
            # JSON-MIN has a row for each annotation, and those of one task follow each other
            task = (document.text, document.fields.get("id")) if is_json_min(document.fields) else None
            if task is not None and task == last:
                repairs[Repair.ANNOTATOR] += len(document.spans)
            else:
                yield document
            last = task

    def value(self, document: Document) -> Any:
        """Return a document as a task with an annotation or, if a model tagged the text, a prediction."""
        regions = [
            {
                "id": f"entity-{number}",
                "from_name": "label",
                "to_name": TEXT,
                "type": _LABELS,
                "value": {
                    "start": span.start,
                    "end": span.end,
                    "text": document.text[span.start : span.end],
                    _LABELS: [span.type],
                },
            }
            | score_json(span, tagged=document.tagged)
            for number, span in enumerate(document.spans)
        ]
        data = {**self.holds.fields(document), TEXT: document.text}
        if not document.tagged:
            return {_DATA: data, "annotations": [{"result": regions}]}
        score = min((round(span.confidence, 4) for span in document.spans), default=1.0)
        return {_DATA: data, "predictions": [{"model_version": "nerbert", "score": score, "result": regions}]}


def _check_text(text: str, spans: Sequence[Span]) -> None:
    # Entities that are in the text prove that it is the text, not an address of it
    if _ADDRESS.fullmatch(text) and not (spans and all(span.text and span.text in text for span in spans)):
        raise InputError(f"the text {text!r:.80} is an address (valueType=url); put the text itself into the task")


def _first_result(results: Sequence[_Result], repairs: Repairs, tagged: bool) -> tuple[list[Span], list[str]]:
    """Return the entities and tags of the first result; count the entities of the others."""
    # Only repairs of the result that is kept are counted
    read = [_result(result, Repairs() if number else repairs, tagged) for number, result in enumerate(results)]
    repairs[Repair.ANNOTATOR] += sum(len(others) for others, _ in read[1:])
    return read[0] if read else ([], [])


def _result(result: _Result, repairs: Repairs, tagged: bool) -> tuple[list[Span], list[str]]:
    """Return the entities of a result, and the name of the tag they belong to; count other annotations."""
    spans = list[Span]()
    tags = dict[str, None]()
    for number, region in enumerate(result.get("result") or ()):
        type_ = region["type"]
        value = region.get("value") or {}
        # Labels of pages and pictures count in elements or pixels
        if type_.endswith(_LABELS) and (type_ != _LABELS or "startOffset" in value):
            raise InputError(
                f"a region of type {type_!r:.60} of a page; only labels of plain text ({_LABELS!r}) are read"
            )
        if type_ != _LABELS:
            repairs[Repair.PASSED_OVER] += 1
            continue
        score = region.get("score", result.get("score"))
        with at(part=f"region {number}"):
            fields = {**value, "score": score, "confidence": region.get("confidence")}
            labelled = check_value(fields, _LabelledRegion) if value.get(_LABELS) else None
        if labelled is None:
            repairs[Repair.PASSED_OVER] += 1
        else:
            spans.extend(export_span(labelled, label, tagged=tagged) for label in labelled.get("labels") or ())
        tags[str(region.get("to_name"))] = None
    if len(tags) > 1:
        raise InputError(f"a task with entities in several texts ({', '.join(tags):.100}); make one task per text")
    return spans, list(tags)


def _readable(span: Span, text: str) -> Span:
    """Return a span with its text as spelt in `text`; "" if it is only a part of the selected words."""
    if span.text in text[span.start : span.end]:
        return span if len(span.text) == span.end - span.start else replace(span, text="")
    return replace(span, text=span.text if span.text in text else span.text.replace(_LINE_END, "\n"))


def _task_of(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an annotation of JSON-MIN as a task of the full export."""
    if not is_json_min(value):
        return value
    regions = {
        name: rows
        for name, rows in value.items()
        if isinstance(rows, list) and any(isinstance(part, dict) and {"start", _LABELS} <= part.keys() for part in rows)
    }
    result = [{"type": _LABELS, "value": region} for rows in regions.values() for region in rows]
    return {_DATA: fields_but(value, *regions), "annotations": [{"result": result}]}
