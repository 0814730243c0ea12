"""Parquet as annotated data: rows are read like objects of JSON lines, and written like those of `nerbert tag`.

Labels that are numbers get their names from the features that Hugging Face's `datasets` keeps in a file's schema.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from nerbert.artifacts import publish
from nerbert.errors import InputError, at, refused
from nerbert.formats.documents import found_words
from nerbert.formats.format import Abilities
from nerbert.formats.jsonl import ANNOTATIONS, JsonLines, in_iob2
from nerbert.formats.rows import SPANS, Stream, spooled
from nerbert.records import Document, Repairs

_MAGIC = b"PAR1"


def kept_fields(document: Document) -> dict[str, Any]:
    """Return the fields that JSON lines keep, without nulls: a column can't distinguish null from missing."""
    kept: dict[str, Any] = _without_nulls(JsonLines.holds.fields(document))
    return kept


class Parquet:
    """The format `parquet`: a text or tokens, with spans or tags, and any other columns."""

    suffixes = by_name = (".parquet", ".pq")
    needs, for_programs, streams = ("corpus", "pyarrow"), True, True
    holds = Abilities(nested=True, words=found_words, tagged=False, fields=kept_fields)

    def recognise(self, path: Path, head: bytes) -> bool:
        """Return whether it is Parquet; its beginning doesn't show its columns."""
        return head.startswith(_MAGIC)

    def read(self, source: Path | Stream, repairs: Repairs) -> Iterator[Document]:
        """Yield the texts of a file; raise InputError that names file and row. Of a stream, which must be a file, the
        text in a column of each row.
        """
        from pyarrow.parquet import read_schema

        from nerbert.formats.parquet import parquet_texts, read_batches

        if isinstance(source, Stream):
            if source.path is None:
                raise InputError(f"{source.name}: Parquet can't be read from a pipe; name a file")
            return parquet_texts(source.path, source)
        with refused(f"{source}: can't be read as Parquet"):
            metadata = read_schema(source).metadata or {}
        return documents_of(source, lambda: read_batches(source), features_of(metadata), repairs)

    def write_rows(
        self, path: Path, rows: Iterable[Document], name: object, added: Mapping[str, str] | None = None,
        like: Path | None = None,
    ) -> None:  # fmt: skip
        """Write tagged rows with all their columns, as `write_parquet` does."""
        from nerbert.formats.parquet import write_parquet

        write_parquet(path, rows, name, added, like)

    def write(self, path: Path, documents: Iterable[Document]) -> None:
        """Write documents as `nerbert tag` writes texts, with their words as `tokens`."""
        with spooled(documents) as again, publish(path) as draft:
            self.write_rows(draft, DocumentRows(again), path)


class DocumentRows:
    """Documents as rows with all their fields, made again for each iteration; `more` gives further fields."""

    def __init__(
        self, again: Callable[[], Iterator[Document]], more: Callable[[Document], Mapping[str, Any]] = lambda _: {}
    ) -> None:
        self._again, self._more = again, more

    def __iter__(self) -> Iterator[Document]:
        format_ = JsonLines()
        return (replace(each, fields={**format_.value(each), **self._more(each)}) for each in self._again())


def documents_of(
    path: Path, batches: Callable[[], Iterator[Any]], features: Mapping[str, Any], repairs: Repairs
) -> Iterator[Document]:
    """Yield the documents of rows of columns, each read as an object of JSON lines; raise InputError with the row.

    Each call of `batches` gives the rows from the start; `features` describes columns as in Hugging Face's `datasets`.
    """
    format_ = JsonLines()
    for number, row in in_iob2(path, lambda: _numbered_rows(path, batches, features), repairs):
        with at(path, number):
            if not format_.matches(row):
                raise InputError(
                    f"columns {', '.join(row) or 'none'}: must be a text, or tokens, and spans or tags of the tokens"
                )
            (document,) = format_.documents(row, repairs)
        yield replace(document, line=number)


def features_of(metadata: Mapping[bytes, bytes]) -> Mapping[str, Any]:
    """Return the features that Hugging Face's `datasets` wrote into a schema; none otherwise."""
    try:
        found = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _numbered_rows(
    path: Path, batches: Callable[[], Iterator[Any]], features: Mapping[str, Any]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the number (from 1) and columns of each row: labels by name, no nulls, but no spans for a null of them."""
    from nerbert.formats.parquet import plain_rows

    labelled = {name: each for name, each in features.items() if "ClassLabel" in json.dumps(each)}
    number = 0
    for batch in batches():
        with at(path):
            rows = plain_rows(batch)
        for number, columns in enumerate(rows, number + 1):  # noqa: B020
            spans = (SPANS,) if SPANS in columns else ANNOTATIONS
            with at(path, number):
                row = {
                    name: _as_list(_label_names(value, labelled[name], name) if name in labelled else value)
                    for name, value in columns.items()
                }
            row |= {name: [] for name in spans if row.get(name, "") is None}
            yield number, _without_nulls(row)


def _without_nulls(value: Any) -> Any:
    """Return a value without the nulls in its objects."""
    if isinstance(value, list):
        return [_without_nulls(each) for each in value]
    if isinstance(value, Mapping):
        return {name: _without_nulls(each) for name, each in value.items() if each is not None}
    return value


def _label_names(value: Any, feature: Any, column: str) -> Any:
    """Return a value with the names of its labels, by its feature, which may be nested."""
    if isinstance(feature, list):  # how older versions write a list
        feature = {"_type": "List", "feature": feature[0] if feature else None}
    if value is None or not isinstance(feature, dict):
        return value
    inner = feature.get("feature")
    if feature.get("_type") == "ClassLabel":
        names = feature.get("names") or []
        if type(value) is int and not 0 <= value < len(names):
            raise InputError(f"column {column!r} holds label {value}: the file names {len(names)} labels, from 0 on")
        return names[value] if type(value) is int else value
    if isinstance(value, list):
        return [_label_names(each, inner, column) for each in value]
    if isinstance(value, dict) and isinstance(inner, dict):  # a list of structs, kept as a struct of lists
        return {
            name: [_label_names(one, inner.get(name), column) for one in each or []] for name, each in value.items()
        }
    if isinstance(value, dict):
        return {name: _label_names(each, feature.get(name), column) for name, each in value.items()}
    return value


def _as_list(value: Any) -> Any:
    """Return a struct of lists as a list of structs."""
    if isinstance(value, dict) and "start" in value and all(isinstance(each, list) for each in value.values()):
        return [dict(zip(value, each, strict=False)) for each in zip(*value.values(), strict=False)]
    return value
