"""JSON exports of tools: one array of objects, or one object per line, read one by one.

A subclass for each format recognises its objects and converts them to documents. Cost: an array's text is held in
memory, so an array longer than `LONGEST_FILE` is rejected.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from io import BufferedReader
from itertools import chain
from pathlib import Path
from typing import IO, Any, ClassVar

from nerbert.artifacts import publish
from nerbert.errors import InputError, at
from nerbert.formats.format import LEAST, Abilities
from nerbert.formats.lines import SPANS, TEXT, read_lines, read_text
from nerbert.records import Document, Repair, Repairs, Span
from nerbert.schema import json_line
from nerbert.sources.files import BOM

_HEAD = 1 << 16
_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\r\n]*")
_STARTS = ("start", "start_offset", "start_char", "begin", "offset", "start_pos", "start_position")
_ENDS = ("end", "end_offset", "end_char", "stop", "end_pos", "end_position")
_TYPES = (
    "type",
    "label",
    "tag",
    "entity_type",
    "entity_group",
    "entity_label",
    "class",
    "category",
    "entity",
    "labels",
)
_POINTS, _ENTITIES, _LABELS = "points", "entities", "labels"
_SCORE, _CONFIDENCE = "score", "confidence"


class JsonFormat:
    """A format whose files are JSON lines (`.jsonl`) or one array (`.json`); a base class.

    A `.json` file is written as an array, others as lines; without a suffix, the first of `suffixes` decides.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".jsonl", ".ndjson", ".json")
    holds: ClassVar[Abilities] = LEAST
    keys: ClassVar[str] = ""
    """The fields that describe the format, for messages."""

    def matches(self, value: Any) -> bool:
        """Return whether an object has the form of this format, by its fields and their types."""
        raise NotImplementedError

    def documents(self, value: Any, repairs: Repairs) -> Iterable[Document]:
        """Return the documents of a matching object; raise InputError for invalid values."""
        raise NotImplementedError

    def value(self, document: Document) -> Any:
        """Return a document as an object of this format."""
        raise NotImplementedError

    def values(self, document: Document) -> Iterable[Any]:
        """Return a document as objects of this format: one, or its sentences."""
        return (self.value(document),)

    def recognise(self, path: Path, head: bytes) -> bool:
        """Return whether the first object matches; an object cut off at the end of `head` doesn't."""
        first = first_value(head)
        return first is not None and self.matches(first)

    def read(self, path: Path, repairs: Repairs) -> Iterator[Document]:
        """Yield the documents of a file; raise InputError that names file and line."""
        for number, (line, value) in enumerate(self.rows(path, repairs)):
            with at(path, line):
                if not self.matches(value):
                    expected = self.keys or "another form"
                    fault = f"earlier lines have {expected}; a file holds one format: split it, or fix the line"
                    # The first object decides the format, so the fault is the file's, not the line's
                    if number == 0:
                        fault = f"is not {expected}; name its format with --from, or fix it"
                    raise InputError(f"{_describe(value)}; {fault}")
                documents = list(self.documents(value, repairs))
            yield from (document if document.line else replace(document, line=line) for document in documents)

    def rows(self, path: Path, repairs: Repairs) -> Iterator[tuple[int, Any]]:
        """Yield each object of a file with its line."""
        return values_of_file(path)

    def write(self, path: Path, documents: Iterable[Document]) -> None:
        """Write documents atomically."""
        suffix = path.suffix.lower()
        array = (suffix if suffix in self.suffixes else self.suffixes[0]) == ".json"
        with publish(path) as draft, draft.open("w", encoding="utf-8", newline="\n") as stream:
            stream.write("[\n" if array else "")
            for number, value in enumerate(chain.from_iterable(map(self.values, documents))):
                stream.write(",\n" if array and number else "")
                stream.write(json_text(value) + ("" if array else "\n"))
            stream.write("\n]\n" if array else "")


def values_of_file(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield each value of a file of JSON lines, or of one array, with its line number."""
    with path.open("rb") as stream:
        yield from ((line, value) for line, value, _ in json_values(stream, path))


def json_values(stream: IO[bytes], source: Path | str, errors: str = "") -> Iterator[tuple[int, Any, int]]:
    """Yield line number, value and size of each value of JSON lines, or of one array.

    Raise InputError that names source and line for invalid JSON; `errors` is as in `decode_line`.
    """
    peekable = stream if hasattr(stream, "peek") else BufferedReader(stream)  # type: ignore[type-var]
    head: bytes = peekable.peek(_HEAD)
    if is_array(head):
        yield from _elements_of(read_text(peekable, source, errors).removeprefix("\ufeff"), source)
        return
    for line in read_lines(peekable, source, errors):
        if line.text.strip():
            with line.locate_errors():
                value = json_value(line.text)
            yield line.number, value, line.size


def json_value(text: str) -> Any:
    """Parse a JSON text of one line; raise InputError for anything else."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"not JSON: {error.msg} at character {error.pos} of the line") from None
    # Numbers of thousands of digits, and objects nested a thousand deep
    except (ValueError, RecursionError):
        raise InputError("not JSON that can be read: too deep, or too long a number") from None


def json_text(value: Any) -> str:
    """Return a value as JSON on one line."""
    try:
        return json_line(value)
    except RecursionError:
        raise InputError("not JSON that can be written: too deep") from None


def object_line(fields: Mapping[str, Any]) -> bytes:
    """Return an object as a line of UTF-8."""
    return f"{json_text(fields)}\n".encode()


def first_value(head: bytes) -> Any:
    """Return the first object of JSON lines or of an array that begins with `head`; None if it isn't complete."""
    text = head.removeprefix(BOM).decode("utf-8", "ignore").lstrip()
    try:
        return _DECODER.raw_decode(text[1:].lstrip() if is_array(head) else text)[0]
    except (ValueError, RecursionError):
        return None


def is_array(head: bytes) -> bool:
    """Return whether a file is one array of values; a line `["a text", …]` is itself a value."""
    text = head.removeprefix(BOM).lstrip()
    # A line `["a text", …]` of JSON lines also begins with a bracket
    return text.startswith(b"[") and text[1:].lstrip()[:1] in (b"{", b"[", b"]", b"")


def _elements_of(text: str, source: Path | str) -> Iterator[tuple[int, Any, int]]:
    """Yield the elements of an array, as `json_values` does."""
    position = _next(text, _next(text, 0) + 1)
    line = 1
    counted = 0
    goes_on = text[position : position + 1] != "]"
    while goes_on:
        # Counted from the last element on, so that the whole takes linear time
        line += text.count("\n", counted, position)
        counted = position
        with at(source, line):
            try:
                value, position = _DECODER.raw_decode(text, position)
            except json.JSONDecodeError as error:
                raise InputError(f"not JSON: {error.msg} (line {error.lineno}, column {error.colno})") from None
            except (ValueError, RecursionError):
                raise InputError("not JSON that can be read: too deep, or too long a number") from None
        yield line, value, position - counted
        position = _next(text, position)
        if (char := text[position : position + 1]) not in (",", "]") or not char:
            with at(source, text.count("\n", 0, position) + 1):
                raise InputError(f"not JSON: {repr(char) if char else 'the end'} where a comma or ] must be")
        goes_on = char == ","
        position = _next(text, position + 1) if goes_on else position
    position = _next(text, position + 1)
    if char := text[position : position + 1]:
        with at(source, text.count("\n", 0, position) + 1):
            raise InputError(f"{char!r} after the array's end: a file holds one array, or one object per line")


def _next(text: str, position: int) -> int:
    """Return the position of the next character that isn't JSON white space."""
    return match.end() if (match := _SPACE.match(text, position)) else position


def fields_but(value: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Return the fields of an object except `names`."""
    return {name: item for name, item in value.items() if name not in names}


def is_json_min(value: Any) -> bool:
    """Return whether this is an annotation of Label Studio's minimal export, and not one that nerbert rewrote."""
    return isinstance(value, Mapping) and {"annotator", "annotation_id"} <= value.keys() and SPANS not in value


def share_of(value: Any) -> float | None:
    """Return a number from 0 to 1 as a float; None for any other value."""
    is_share = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
    return float(value) if is_share else None


def json_span(value: Any) -> Span:
    """Return the span of an object, whose fields have various names in practice, or of a list [start, end, type]. Raise
    InputError for invalid values; other fields (ids, annotators) are ignored.
    """
    text, sure = None, None
    if isinstance(value, list | tuple) and len(value) in (3, 4):  # the fourth is spaCy's knowledge base id
        start, end, type_ = value[:3]
    elif isinstance(value, dict):
        start = _first(value, _STARTS)
        end = _first(value, _ENDS)
        type_ = _first(value, _TYPES)
        sure = _first(value, (_CONFIDENCE, _SCORE))
        text = value.get(TEXT)
        length = value.get("length")
        # Some tools give the length instead of the end
        if end is None and type(length) is int and type(start) is int:
            end = start + length
    else:
        raise InputError(f"span {value!r:.80}: must be an object with start, end and type, or [start, end, type]")
    if type(start) is not int or type(end) is not int:
        raise InputError(f"span {value!r:.80}: must have start and end, as whole numbers, and type")
    if not isinstance(type_, str) or not isinstance(text, str | None):
        remedy = "; export the labels' names, not their numbers (doccano: as JSONL)" if type(type_) is int else ""
        raise InputError(f"span {value!r:.80}: must have a type, and it and any text must be texts{remedy}")
    confidence = share_of(sure)
    return Span(start, end, type_, text or "", 1.0 if confidence is None else confidence)


def _first(value: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    for name in names:
        if (item := value.get(name)) is not None:
            return item
    return None


def json_spans(annotation: Any, repairs: Repairs, text: str = "") -> Iterator[Span]:
    """Yield the spans of a list, or of an object with lists by type. An item becomes a span for each label and point
    (Dataturks' points, whose ends are inclusive). A mention without offsets becomes a span per occurrence in `text`.
    """
    for item in annotation if isinstance(annotation, list) else _items_by_type(annotation, text):
        name = _LABELS if type(item) is dict and type(item.get(_LABELS)) is list else "label"
        if type(item) is not dict or type(item.get(name)) is not list:
            yield json_span(item)
            continue
        labels = [label.get("value") if isinstance(label, dict) else label for label in item[name]]
        repairs[Repair.UNTYPED] += not labels
        for point in item[_POINTS] if isinstance(item.get(_POINTS), list) else [{}]:
            bounds = point if isinstance(point, dict) else {}
            # The end of Dataturks' points is inclusive
            end = {"end": bounds["end"] + 1} if type(bounds.get("end")) is int else {}
            yield from (json_span({**item, **bounds, **end, name: label}) for label in labels)


def _items_by_type(annotation: Mapping[str, Any], text: str) -> Iterator[Any]:
    """Yield the items of an object of lists by type; in GLiNER2's form, they are mentions in the text."""
    for type_, item in ((type_, item) for type_, items in _by_type(annotation).items() for item in items):
        if isinstance(item, str):
            # `an` must not be found inside `Oman`
            matches = [*re.finditer(rf"(?<!\w){re.escape(item)}(?!\w)", text, re.IGNORECASE)] if item else []
            if not matches:
                raise InputError(f"mention {item!r:.60} of type {type_!r:.60}: the text doesn't have it")
            yield from ([*match.span(), type_] for match in matches)
        else:
            yield {**item, "type": type_} if isinstance(item, dict) else [*item[:2], type_]


def _by_type(annotation: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = annotation.get(_ENTITIES)
    return inner if isinstance(inner, dict) else annotation


def seem_spans(value: Any) -> bool:
    """Return whether a value is a list of spans, judged by the first item (others may be broken), or lists by type."""
    if isinstance(value, dict):
        by_type = _by_type(value)
        lists = [items if isinstance(items, list) else [None] for items in by_type.values()]
        # Mentions as strings are only in the form `{"entities": {type: [mention]}}`
        is_text = by_type is not value
        return all(seem_spans([item]) or (is_text and isinstance(item, str)) for items in lists for item in items)
    if not isinstance(value, list) or not value:
        return value == []
    names = (*_STARTS, _POINTS)
    return isinstance(value[0], list) or (isinstance(value[0], dict) and any(name in value[0] for name in names))


def _describe(value: Any) -> str:
    """Describe a value for messages."""
    if isinstance(value, dict):
        fields = ", ".join(f"{name}: {item!r:.20}" for name, item in value.items()) or "no field"
        return f"an object with {fields:.180}"
    return f"{value!r:.60}"
