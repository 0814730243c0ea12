"""Data sets of Hugging Face's `datasets`: a folder that `save_to_disk` wrote, or a name on the hub.

Files are mapped into memory as they are, so all rows are checked first. Cost: one more pass. A row is a sentence,
so a text without words comes back as the sentences of one document.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nerbert.artifacts import publish_folder
from nerbert.errors import InputError, need, refused
from nerbert.formats.documents import found_words, sentences_of
from nerbert.formats.format import Abilities
from nerbert.formats.json_files import fields_but
from nerbert.formats.parquet_documents import DocumentRows, documents_of, kept_fields
from nerbert.formats.rows import SPANS, TOKENS, spooled
from nerbert.labels import example_tags, tag_names
from nerbert.records import Document, Example, Repairs

_STATE, _INFO = "state.json", "dataset_info.json"
_TAGS = "ner_tags"
_SPLITS = {"train": "train", "dev": "validation", "validation": "validation", "test": "test"}
_NAME = re.compile(r"[\w.-]+(/[\w.-]+){0,3}")
_ROWS = 1_000
"""Rows per batch."""


def _kept_fields(document: Document) -> Mapping[str, Any]:
    """Return the fields that Parquet keeps, without the name of the tags."""
    return fields_but(kept_fields(document), _TAGS)


class Datasets:
    """The format `datasets`."""

    suffixes, needs = (), ("datasets", "datasets")
    holds = Abilities(text="sentences", words=found_words, tagged=False, fields=_kept_fields)

    def recognise(self, path: Path, head: bytes) -> bool:
        """Return whether a folder is one that `Dataset.save_to_disk` wrote."""
        return (path / _STATE).is_file() and (path / _INFO).is_file()

    def read(self, path: Path, repairs: Repairs) -> Iterator[Document]:
        """Yield the rows of a folder, or, if it doesn't exist, of a split of the hub's data set of this name. Such a
        name is `NAME` or `OWNER/NAME`, optionally with `/CONFIG` and `/SPLIT` (default `train`).
        """
        from datasets import DatasetDict

        with refused(f"{path}: can't be read as a data set of Hugging Face"), _quietly():
            data = _opened(path)
            if isinstance(data, DatasetDict):
                there = ", ".join(f"{path / split}" for split in data)
                raise InputError(f"{path}: holds several splits; name one of them: {there:.200}")
            _check_memory(data)
            if {SPANS, _TAGS} <= set(data.features):  # the tags repeat the spans
                data = data.remove_columns(_TAGS)
            features, arrow = data.features.to_dict(), data.with_format("arrow")
        return documents_of(path, lambda: arrow.iter(_ROWS), features, repairs)

    def write(self, path: Path, documents: Iterable[Document]) -> None:
        """Write sentences as a folder that `datasets.load_from_disk` opens."""
        from datasets import ClassLabel, Dataset, Features, Sequence
        from pyarrow.parquet import read_schema

        from nerbert.formats.parquet import write_parquet

        with (
            spooled(_sentences(documents)) as again,
            TemporaryDirectory(prefix="nerbert-") as scratch,
            publish_folder(path) as draft,
        ):
            names = tag_names({span.type for each in again() for span in each.spans})
            numbers = {name: number for number, name in enumerate(names)}

            def tags(document: Document) -> Mapping[str, Any]:
                example = Example(document.text, document.words or (), document.spans)
                return {_TAGS: [numbers[tag] for tag in example_tags(example)]}

            table = Path(scratch) / "rows.parquet"
            write_parquet(table, DocumentRows(again, tags), path)
            features = Features.from_arrow_schema(read_schema(table))
            if _TAGS not in features:
                raise InputError(f"{path}: no text to write, and a data set without rows can't be opened")
            features[_TAGS] = Sequence(ClassLabel(names=names))
            features[TOKENS] = Sequence(features[TOKENS].feature)
            with _quietly():
                data = Dataset.from_parquet(str(table), features=features, cache_dir=scratch)
                data.save_to_disk(str(draft))


def _opened(path: Path) -> Any:
    """Return the data set of a folder, or of the hub."""
    from datasets import load_dataset, load_from_disk

    if path.exists():
        return load_from_disk(str(path))
    if not _NAME.fullmatch(str(path)):
        raise InputError(f"{path}: no such folder, and not the name of a data set (OWNER/NAME/SPLIT)")
    name, config, split = _named(path)
    return load_dataset(name, *config, split=_SPLITS[split or "train"])


def _check_memory(data: Any) -> None:
    """Raise ArrowInvalid for rows that lie outside their file or aren't UTF-8: the file is damaged. Reading such rows
    may end the process. All rows at once, because a slice's check covers all values of its lists.
    """
    for table in filter(None, (data.data, data._indices)):
        table.validate(full=True)


def hub_splits(path: Path) -> list[str]:
    """Return which of train, dev and test a data set of the hub has; none for a name with a split."""
    need("datasets", "datasets")
    from datasets import get_dataset_split_names

    name, config, split = _named(path)
    if split:
        return []
    with refused(f"{path}: can't be loaded from the hub"):
        there = get_dataset_split_names(name, *config)
    return [split for split in ("train", "dev", "test") if _SPLITS[split] in there]


def _named(path: Path) -> tuple[str, list[str], str]:
    """Return a name on the hub, its configuration (one or none), and the split in the name, "" for none."""
    parts = str(path).split("/")
    split = parts.pop() if len(parts) > 1 and parts[-1] in _SPLITS else ""
    return "/".join(parts[:2]), parts[2:], split


def _sentences(documents: Iterable[Document]) -> Iterator[Document]:
    """Yield documents with words: each unchanged, or its sentences, which then share a group."""
    for number, document in enumerate(documents, 1):
        if document.words is not None:
            yield document
            continue
        found = sentences_of(document)
        group = document.group or (f"{number}" if len(found) > 1 else "")
        for each in found:
            yield replace(document, text=each.text, words=each.words, spans=each.spans, group=group)


@contextmanager
def _quietly() -> Iterator[None]:
    """Hide the progress bars of `datasets`."""
    from datasets.utils.logging import disable_progress_bar, enable_progress_bar, is_progress_bar_enabled

    enabled = is_progress_bar_enabled()
    disable_progress_bar()
    try:
        yield
    finally:
        if enabled:
            enable_progress_bar()
