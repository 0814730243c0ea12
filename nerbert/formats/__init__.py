"""Annotation formats, one per file; `read_examples` and `find_splits` know them all."""

from nerbert.formats.examples import (
    FORMATS,
    Format,
    example_of_spans,
    find_format,
    read_examples,
    recognised,
    write_examples,
)
from nerbert.formats.folder import SPLITS, DataSet, find_splits, read_data, split_file, split_of, split_sum

__all__ = [
    "FORMATS",
    "SPLITS",
    "DataSet",
    "Format",
    "example_of_spans",
    "find_format",
    "find_splits",
    "read_data",
    "read_examples",
    "recognised",
    "split_file",
    "split_of",
    "split_sum",
    "write_examples",
]
