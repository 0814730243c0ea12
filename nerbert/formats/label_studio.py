"""Label Studio's JSON export, whose objects are tasks, and its minimal one (JSON-MIN), whose objects are annotations.

The export doesn't name the annotated key of the data: it is the tag's name, or `text`, or the only text.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NotRequired

from typing_extensions import TypedDict

from nerbert.errors import InputError, at
from nerbert.formats.format import Abilities, fields_without
from nerbert.formats.json_files import ExportPlace, JsonFormat, export_span, fields_but, score_json, text_key
from nerbert.formats.rows import TEXT
from nerbert.records import Document, Repair, Repairs, Span
from nerbert.schema import check_value

_CONTROL, _LABELS, _MODEL = "label", "labels", "nerbert"
_RESULTS = ("annotations", "completions", "predictions")
_LINE_END = r"\n"
"""Label Studio's line end in the text of an entity: two characters."""
_OWN = frozenset({"annotator", "annotation_id", "created_at", "updated_at", "lead_time"})
"""Fields of an annotation in JSON-MIN."""


class _ExportedRegion(TypedDict):
    type: str
    value: NotRequired[dict[str, Any] | None]
    to_name: NotRequired[Any]
    score: NotRequired[Any]
    confidence: NotRequired[Any]


class _Result(TypedDict):
    result: NotRequired[list[_ExportedRegion] | None]
    was_cancelled: NotRequired[Any]
    skipped: NotRequired[Any]
    score: NotRequired[Any]


class _ExportedTask(TypedDict):
    data: dict[str, Any]
    annotations: NotRequired[list[_Result] | None]
    completions: NotRequired[list[_Result] | None]
    predictions: NotRequired[list[_Result] | None]


class _Labelled(ExportPlace):
    labels: NotRequired[list[str] | None]


class LabelStudio(JsonFormat):
    """The format `label-studio`: an array of tasks, or of JSON-MIN's annotations."""

    suffixes = (".json",)
    holds = Abilities(nested=True, words=False, groups=False, fields=fields_without(TEXT))

    def matches(self, value: Any) -> bool:
        """Return whether an object is a task with data and results, or an annotation of JSON-MIN."""
        if not isinstance(value, dict):
            return False
        if isinstance(value.get("data"), dict) and any(name in value for name in _RESULTS):
            return True
        return value.keys() >= {"annotator", "annotation_id"} or any(map(_has_regions, value.values()))

    def documents(self, value: Any, repairs: Repairs) -> Iterable[Document]:
        """Return a task's text with its first annotation that wasn't cancelled; without one, its first prediction."""
        whole = value if isinstance(value.get("data"), dict) else _task_of(value)
        task = check_value(whole, _ExportedTask)
        given = task.get("annotations", task.get("completions")) or []
        kept = [each for each in given if not each.get("was_cancelled") and not each.get("skipped")]
        if given and not kept:
            repairs[Repair.REJECTED] += 1
            return []
        tagged = not given
        results = [_result(each, repairs if number == 0 else Repairs(), tagged)
                   for number, each in enumerate(task.get("predictions") or [] if tagged else kept)]  # fmt: skip
        spans, tags = results[0] if results else ([], [])
        repairs[Repair.ANNOTATOR] += sum(len(others) for others, _ in results[1:])
        data, surfaces = task["data"], (each.text for each in spans if _LINE_END not in each.text)
        key = text_key(fields_but(data, *_OWN), [*tags, TEXT], surfaces)
        text: str = data[key]
        for place, each in enumerate(spans):
            if each.text not in text:
                spans[place] = replace(each, text=each.text.replace(_LINE_END, "\n"))
        fields = {name: whole[name] for name in ("id", "meta") if whole.get(name)} | fields_but(data, key)
        return [Document(text, tuple(spans), fields=fields, tagged=tagged)]

    def read(self, path: Path, repairs: Repairs) -> Iterator[Document]:
        """Yield the documents of a file; of annotations of one task in JSON-MIN, the first."""
        last: Document | None = None
        for document in super().read(path, repairs):
            if last is not None and _same_task(last, document):
                repairs[Repair.ANNOTATOR] += len(document.spans)
                continue
            yield document
            last = document

    def value(self, document: Document) -> Any:
        """Return a task with an annotation or, for a text that a model tagged, a prediction."""
        regions = [_region(number, each, document) for number, each in enumerate(document.spans)]
        data = {**self.holds.fields(document), TEXT: document.text}
        if not document.tagged:
            return {"data": data, "annotations": [{"result": regions}]}
        score = min((each["score"] for each in regions), default=1.0)
        return {"data": data, "predictions": [{"model_version": _MODEL, "score": score, "result": regions}]}


def _result(result: _Result, repairs: Repairs, tagged: bool) -> tuple[list[Span], list[str]]:
    """Return the entities of an annotation or a prediction, and the name of the tag whose text they are in.

    Other annotations (a relation, a choice) are counted; labels of anything but plain text are an InputError.
    """
    spans, tags = list[Span](), dict[str, None]()
    for number, region in enumerate(result.get("result") or ()):
        kind, value = region["type"], region.get("value") or {}
        if kind.endswith(_LABELS) and (kind != _LABELS or "startOffset" in value):
            raise InputError(
                f"a region of type {kind!r:.60} of a page; only labels of plain text ({_LABELS!r}) are read"
            )
        if kind != _LABELS:
            repairs[Repair.PASSED_OVER] += 1
            continue
        score = region.get("score", result.get("score"))
        with at(part=f"region {number}"):
            given = {**value, "score": score, "confidence": region.get("confidence")}
            labelled = check_value(given, _Labelled) if value.get(_LABELS) else None
        if labelled is None:
            repairs[Repair.PASSED_OVER] += 1
        else:
            spans.extend(export_span(labelled, label, tagged=tagged) for label in labelled.get("labels") or ())
        tags[str(region.get("to_name"))] = None
    if len(tags) > 1:
        raise InputError(f"a task with entities in several texts ({', '.join(tags):.100}); make one task per text")
    return spans, list(tags)


def _task_of(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return an annotation of JSON-MIN as a task of the full export."""
    regions = {name: each for name, each in value.items() if _has_regions(each)}
    result = [{"type": _LABELS, "value": region} for each in regions.values() for region in each]
    return {"data": fields_but(value, *regions), "annotations": [{"result": result}]}


def _has_regions(value: Any) -> bool:
    """Return whether a value is JSON-MIN's of a Labels control that was used."""
    return isinstance(value, list) and any(
        isinstance(each, dict) and {"start", _LABELS} <= each.keys() for each in value
    )


def _same_task(one: Document, other: Document) -> bool:
    """Return whether two documents are annotations of one task in JSON-MIN."""
    if one.text != other.text or not one.fields.keys() & other.fields.keys() >= _OWN:
        return False
    return bool(one.fields.get("id") == other.fields.get("id") is not None)


def _region(number: int, span: Span, document: Document) -> dict[str, Any]:
    """Return an entity as an item of a result."""
    value = {"start": span.start, "end": span.end, "text": document.text[span.start : span.end], _LABELS: [span.type]}
    region = {"id": f"entity-{number}", "from_name": _CONTROL, "to_name": TEXT, "type": _LABELS, "value": value}
    return region | score_json(span, tagged=document.tagged)
