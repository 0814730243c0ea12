"""doccano's JSONL: `label` as lists [start, end, type], or, of projects with relations, `entities` as objects."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from nerbert.formats.format import LEAST, fields_without
from nerbert.formats.json_files import JsonFormat, fields_but, first_value, json_span
from nerbert.formats.rows import TEXT
from nerbert.records import Document, Repair, Repairs

_LABEL, _ENTITIES, _RELATIONS = "label", "entities", "relations"
_TEXTS, _LABELS = (TEXT, "data"), (_LABEL, "labels")
_OWN = frozenset({_RELATIONS, "Comments"})


class Doccano(JsonFormat):
    """The format `doccano`."""

    holds = replace(LEAST, text="whole", nested=True, fields=fields_without(TEXT, _LABEL, _RELATIONS))
    keys = f"{TEXT} and {_LABEL}, or {_ENTITIES} and {_RELATIONS} (doccano)"

    def matches(self, value: Any) -> bool:
        """Return whether there is a text with labels as lists, or with entities as doccano's objects."""
        return isinstance(value, dict) and _of(value, _TEXTS, str) != "" and _annotation(value) != ""

    def recognise(self, path: Path, head: bytes) -> bool:
        """Return whether the first object is doccano's; one without labels must have a field that only doccano
        writes.
        """
        first = first_value(head)
        return self.matches(first) and bool(first[_annotation(first)] or not _OWN.isdisjoint(first))

    def documents(self, value: Any, repairs: Repairs) -> list[Document]:
        """Return the text of an object."""
        text, name = _of(value, _TEXTS, str), _annotation(value)
        relations = value.get(_RELATIONS)
        repairs[Repair.PASSED_OVER] += len(relations) if isinstance(relations, list) else 0
        fields = fields_but(value, text, name, _RELATIONS)
        return [Document(value[text], tuple(map(json_span, value[name])), fields=fields)]

    def value(self, document: Document) -> dict[str, Any]:
        """Return a document as an object with labels as lists."""
        label = [[span.start, span.end, span.type] for span in document.spans]
        return {TEXT: document.text, _LABEL: label, **self.holds.fields(document)}


def _of(value: dict[str, Any], names: tuple[str, ...], kind: type) -> str:
    """Return the first name of a field of this kind; "" if there is none."""
    return next((name for name in names if isinstance(value.get(name), kind)), "")


def _annotation(value: dict[str, Any]) -> str:
    """Return the name of the labels or entities; "" if there are none of doccano's form."""
    name = _of(value, _LABELS, list)
    if name and all(isinstance(each, list) for each in value[name]):
        return name
    entities = value.get(_ENTITIES)
    if not isinstance(entities, list):
        return ""
    is_own = all(isinstance(each, dict) and "start_offset" in each for each in entities)
    return _ENTITIES if is_own and (entities or _RELATIONS in value) else ""
