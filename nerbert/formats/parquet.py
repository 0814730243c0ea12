"""Columns as annotated data: Parquet, and data sets of Hugging Face's `datasets`, on disk or on the hub.

Rows are read like objects of JSON lines, and written like those of `nerbert tag`. Data sets are mapped into memory, so
all rows are checked first: one more pass. Their rows are sentences: a text without words is written as its sentences.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nerbert.artifacts import publish, publish_folder
from nerbert.errors import InputError, at, need, refused
from nerbert.formats.documents import as_documents, sentences_of
from nerbert.formats.format import Abilities
from nerbert.formats.json_files import fields_but
from nerbert.formats.jsonl import ANNOTATIONS, JsonLines, in_iob2
from nerbert.formats.lines import SPANS, TOKENS, Stream, spool
from nerbert.labels import example_tags, tag_names
from nerbert.records import Document, Example, Repairs

_STATE, _INFO = "state.json", "dataset_info.json"
_TAGS = "ner_tags"
_SPLITS = {"train": "train", "dev": "validation", "validation": "validation", "test": "test"}
_NAME = re.compile(r"[\w.-]+(/[\w.-]+){0,3}")
_ROWS = 1_000
"""Rows per batch."""


def _kept_columns(document: Document) -> dict[str, Any]:
    """Return the fields that JSON lines keep, without nulls: a column can't distinguish null from missing."""
    kept: dict[str, Any] = _without_nulls(JsonLines.holds.fields(document))
    return kept


class Parquet:
    """The format `parquet`: a text or tokens, with spans or tags, and any other columns."""

    suffixes = by_name = (".parquet", ".pq")
    needs = ("corpus", "pyarrow")
    for_programs = True
    streams = True
    holds = Abilities(nested=True, tagged=False, fields=_kept_columns)

    def recognise(self, path: Path, head: bytes) -> bool:
        """Return whether a file is Parquet; the first bytes don't show its columns."""
        return head.startswith(b"PAR1")

    def read(self, source: Path | Stream, repairs: Repairs) -> Iterator[Document]:
        """Yield the texts of a file, or for a stream those in a column; it must be a file too. Errors name the row."""
        from pyarrow.parquet import read_schema

        from nerbert.formats.arrow_rows import parquet_texts, read_batches

        if isinstance(source, Stream):
            if source.path is None:
                raise InputError(f"{source.name}: Parquet can't be read from a pipe; name a file")
            return parquet_texts(source.path, source)
        with refused(f"{source}: can't be read as Parquet"):
            metadata = read_schema(source).metadata or {}
        return _Rows(lambda: read_batches(source), _features_of(metadata)).read(source, repairs)

    def write_rows(self, path: Path, rows: Iterable[Document], name: object, like: Path | None = None) -> None:
        """Write tagged rows with all their columns, as `write_parquet` does."""
        from nerbert.formats.arrow_rows import write_parquet

        write_parquet(path, rows.__iter__, name, like)

    def write(self, path: Path, documents: Iterable[Document]) -> None:
        """Write documents in the form of `nerbert tag`'s output, with their words as `tokens`."""
        from nerbert.formats.arrow_rows import write_parquet

        with spool(documents) as again, publish(path) as draft:
            write_parquet(draft, lambda: _as_rows(again()), path)


class Datasets:
    """The format `datasets`."""

    suffixes = ()
    needs = ("datasets", "datasets")
    holds = Abilities(
        text="sentences", tagged=False, fields=lambda document: fields_but(_kept_columns(document), _TAGS)
    )

    def recognise(self, path: Path, head: bytes) -> bool:
        """Return whether a folder was written by `Dataset.save_to_disk`."""
        return (path / _STATE).is_file() and (path / _INFO).is_file()

    def read(self, path: Path, repairs: Repairs) -> Iterator[Document]:
        """Yield the rows of a folder, or, if it doesn't exist, of a split of the data set of this name on the hub. Such
        a name is `NAME` or `OWNER/NAME`, optionally with `/CONFIG` and `/SPLIT` (default `train`).
        """
        from datasets import DatasetDict

        with refused(f"{path}: can't be read as a data set of Hugging Face"), _quietly():
            data = _open_data_set(path)
            if isinstance(data, DatasetDict):
                names = ", ".join(f"{path / split}" for split in data)
                raise InputError(f"{path}: holds several splits; name one of them: {names:.200}")
            # Rows outside their file or not in UTF-8 may crash the process. All are checked at once, because checking
            # a slice would check all values of its lists.
            for table in filter(None, (data.data, data._indices)):
                table.validate(full=True)
            if {SPANS, _TAGS} <= set(data.features):  # the tags repeat the spans
                data = data.remove_columns(_TAGS)
            features = data.features.to_dict()
            arrow = data.with_format("arrow")
        return _Rows(lambda: arrow.iter(_ROWS), features).read(path, repairs)

    def write(self, path: Path, documents: Iterable[Document]) -> None:
        """Write sentences as a folder that `datasets.load_from_disk` opens."""
        from datasets import ClassLabel, Dataset, Features, Sequence
        from pyarrow.parquet import read_schema

        from nerbert.formats.arrow_rows import write_parquet

        with (
            spool(_sentences(documents)) as again,
            TemporaryDirectory(prefix="nerbert-") as scratch,
            publish_folder(path) as draft,
        ):
            names = tag_names({span.type for document in again() for span in document.spans})
            numbers = {name: number for number, name in enumerate(names)}

            def rows() -> Iterator[Document]:
                # Made anew in each pass, since the writer reads its rows twice
                for row in _as_rows(again()):
                    tags = example_tags(Example(row.text, row.words or (), row.spans))
                    yield replace(row, fields={**row.fields, _TAGS: [numbers[tag] for tag in tags]})

            table = Path(scratch) / "rows.parquet"
            write_parquet(table, rows, path)
            features = Features.from_arrow_schema(read_schema(table))
            # The tags are missing only if there are no rows
            if _TAGS not in features:
                raise InputError(f"{path}: no text to write, and a data set without rows can't be opened")
            features[_TAGS] = Sequence(ClassLabel(names=names))
            features[TOKENS] = Sequence(features[TOKENS].feature)
            with _quietly():
                data = Dataset.from_parquet(str(table), features=features, cache_dir=scratch)
                data.save_to_disk(str(draft))


def _as_rows(documents: Iterable[Document]) -> Iterator[Document]:
    """Yield documents with all their content as fields."""
    format_ = JsonLines()
    return (replace(document, fields=format_.value(document)) for document in documents)


class _Rows(JsonLines):
    """Rows of columns, each read as an object of JSON lines; `features` are those of Hugging Face's `datasets`."""

    def __init__(self, batches: Callable[[], Iterator[Any]], features: Mapping[str, Any]) -> None:
        self._batches, self._features = batches, features

    def rows(self, path: Path, repairs: Repairs) -> Iterator[tuple[int, Any]]:
        """Yield each row with its number."""
        return in_iob2(path, lambda: _numbered_rows(path, self._batches, self._features), repairs)


def _features_of(metadata: Mapping[bytes, bytes]) -> Mapping[str, Any]:
    """Return the features that Hugging Face's `datasets` stored in a schema; an empty mapping if there are none."""
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return features if isinstance(features, dict) else {}


def _numbered_rows(
    path: Path, batches: Callable[[], Iterator[Any]], features: Mapping[str, Any]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the number (from 1) and columns of each row: labels by name, without nulls; null spans become []."""
    from nerbert.formats.arrow_rows import plain_rows

    labelled = {name: feature for name, feature in features.items() if "ClassLabel" in json.dumps(feature)}
    number = 0
    for batch in batches():
        with at(path):
            rows = plain_rows(batch)
        for number, columns in enumerate(rows, number + 1):  # noqa: B020
            spans = (SPANS,) if SPANS in columns else ANNOTATIONS
            with at(path, number):
                row = {name: _as_list(_label_names(value, labelled.get(name), name)) for name, value in columns.items()}
            # Null spans are an empty list here, as a column has no missing fields
            row |= {name: [] for name in spans if row.get(name, "") is None}
            yield number, _without_nulls(row)


def _without_nulls(value: Any) -> Any:
    """Return a value without the nulls in its objects."""
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    if isinstance(value, Mapping):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    return value


def _label_names(value: Any, feature: Any, column: str) -> Any:
    """Return a value with the names of its labels, by its feature, which may be nested."""
    # A list feature in the form of older versions
    if isinstance(feature, list):
        feature = {"_type": "List", "feature": feature[0] if feature else None}
    if value is None or not isinstance(feature, dict):
        return value
    inner = feature.get("feature")
    if feature.get("_type") == "ClassLabel":
        return _label_name(value, feature.get("names") or [], column)
    if isinstance(value, list):
        return [_label_names(item, inner, column) for item in value]
    if isinstance(value, dict) and isinstance(inner, dict):  # a list of structs, kept as a struct of lists
        return {name: _label_names(items or [], [inner.get(name)], column) for name, items in value.items()}
    if isinstance(value, dict):
        return {name: _label_names(item, feature.get(name), column) for name, item in value.items()}
    return value


def _label_name(value: Any, names: list[str], column: str) -> Any:
    if type(value) is not int:
        return value
    # -1 means no label in `datasets`, and would be the last name
    if not 0 <= value < len(names):
        raise InputError(f"column {column!r} holds label {value}: the file names {len(names)} labels, from 0 on")
    return names[value]


def _as_list(value: Any) -> Any:
    """Return a struct of lists as a list of structs."""
    # A list of structs can be stored as a struct of lists
    if isinstance(value, dict) and "start" in value and all(isinstance(item, list) for item in value.values()):
        return [dict(zip(value, row, strict=False)) for row in zip(*value.values(), strict=False)]
    return value


def _open_data_set(path: Path) -> Any:
    """Return the data set in a folder, or on the hub."""
    from datasets import load_dataset, load_from_disk

    if path.exists():
        return load_from_disk(str(path))
    if not _NAME.fullmatch(str(path)):
        raise InputError(f"{path}: no such folder, and not the name of a data set (OWNER/NAME/SPLIT)")
    name, config, split = _split_name(path)
    return load_dataset(name, *config, split=_SPLITS[split or "train"])


def hub_splits(path: Path) -> list[str]:
    """Return those of the splits train, dev and test that a data set on the hub has; none for a name with a split."""
    need("datasets", "datasets")
    from datasets import get_dataset_split_names

    name, config, split = _split_name(path)
    if split:
        return []
    with refused(f"{path}: can't be loaded from the hub"):
        splits = get_dataset_split_names(name, *config)
    return [split for split in ("train", "dev", "test") if _SPLITS[split] in splits]


def _split_name(path: Path) -> tuple[str, list[str], str]:
    """Return a name on the hub, its configuration (one or none), and the split in the name, "" for none."""
    parts = str(path).split("/")
    split = parts.pop() if len(parts) > 1 and parts[-1] in _SPLITS else ""
    return "/".join(parts[:2]), parts[2:], split


def _sentences(documents: Iterable[Document]) -> Iterator[Document]:
    """Yield documents with words: the document itself, or its sentences, which then share a group."""
    for number, document in enumerate(documents, 1):
        has_words = document.words is not None
        yield from [document] if has_words else as_documents(document, sentences_of(document), f"{number}")


@contextmanager
def _quietly() -> Iterator[None]:
    """Hide the progress bars of `datasets`."""
    from datasets.utils.logging import disable_progress_bar, enable_progress_bar, is_progress_bar_enabled

    enabled = is_progress_bar_enabled()
    disable_progress_bar()
    try:
        yield
    # The setting is global: leave it as it was
    finally:
        if enabled:
            enable_progress_bar()
