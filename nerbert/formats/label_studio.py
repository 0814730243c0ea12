"""Label Studio's JSON export, whose objects are tasks, and its minimal one (JSON-MIN), whose objects are annotations.

The export doesn't name the annotated key of the data: it is the tag's name, or `text`, or the only text.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from nerbert.errors import InputError
from nerbert.formats.format import Abilities, fields_without
from nerbert.formats.json_files import JsonFormat, fields_but
from nerbert.formats.rows import TEXT
from nerbert.formats.tool_exports import list_of, object_of, score_json, score_of, span_of, text_key
from nerbert.records import Document, Repair, Repairs, Span

_CONTROL, _LABELS, _MODEL = "label", "labels", "nerbert"
_RESULTS = ("annotations", "completions", "predictions")
_LINE_END = r"\n"
"""Label Studio's line end in the text of an entity: two characters."""
_OWN = frozenset({"annotator", "annotation_id", "created_at", "updated_at", "lead_time"})
"""Fields of an annotation in JSON-MIN."""


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
        task = value if isinstance(value.get("data"), dict) else _task_of(value)
        data, old = task["data"], task.get("completions")
        given = [object_of(each, "an annotation") for each in list_of(task.get("annotations", old), "annotations")]
        kept = [each for each in given if not each.get("was_cancelled") and not each.get("skipped")]
        if given and not kept:
            repairs[Repair.REJECTED] += 1
            return []
        tagged = not given
        if tagged:
            kept = [object_of(each, "a prediction") for each in list_of(task.get("predictions"), "predictions")]
        results = [_result(each, repairs if number == 0 else Repairs(), tagged) for number, each in enumerate(kept)]
        spans, tags = results[0] if results else ([], [])
        repairs[Repair.ANNOTATOR] += sum(len(others) for others, _ in results[1:])
        surfaces = (each.text for each in spans if _LINE_END not in each.text)
        key = text_key(fields_but(data, *_OWN), [*tags, TEXT], surfaces)
        text: str = data[key]
        for place, each in enumerate(spans):
            if each.text not in text:
                spans[place] = replace(each, text=each.text.replace(_LINE_END, "\n"))
        fields = {name: task[name] for name in ("id", "meta") if task.get(name)} | fields_but(data, key)
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


def _result(annotation: Mapping[str, Any], repairs: Repairs, tagged: bool) -> tuple[list[Span], list[str]]:
    """Return the entities of an annotation or a prediction, and the name of the tag whose text they are in."""
    spans, tags = list[Span](), dict[str, None]()
    for each in list_of(annotation.get("result"), "an annotation's result"):
        region = object_of(each, "a region")
        kind, value = region.get("type"), region.get("value")
        if kind == _LABELS:
            score = score_of(region, tagged=tagged, usual=annotation.get("score"))
            spans.extend(_spans(object_of(value, "a region's value"), score, repairs))
            tags[str(region.get("to_name"))] = None
        else:
            _pass_over(kind, repairs)
    if len(tags) > 1:
        raise InputError(f"a task with entities in several texts ({', '.join(tags):.100}); make one task per text")
    return spans, list(tags)


def _spans(value: Mapping[str, Any], score: Any, repairs: Repairs) -> Iterator[Span]:
    """Yield a span for each label of a region; a region without a label is no entity."""
    labels = list_of(value.get(_LABELS), "a region's labels")
    repairs[Repair.PASSED_OVER] += not labels
    if isinstance(value.get("start"), str) and "startOffset" in value:
        _pass_over("hypertextlabels", repairs)
    for label in labels:
        yield span_of(value.get("start"), value.get("end"), label, value.get("text"), score)


def _pass_over(kind: Any, repairs: Repairs) -> None:
    """Count other annotations (a relation, a choice); raise InputError for labels of anything but plain text."""
    if not isinstance(kind, str):
        raise InputError(f"a region's type is {kind!r:.60}: must be a text, {_LABELS!r} for entities")
    if kind.endswith(_LABELS):
        raise InputError(f"a region of type {kind!r:.60}; only labels of plain text ({_LABELS!r}) can be read")
    repairs[Repair.PASSED_OVER] += 1


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
