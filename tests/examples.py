"""The sentences of a file of annotated data, as training reads them."""

from pathlib import Path

from nerbert.data.splits import read_data
from nerbert.formats.documents import Reading
from nerbert.records import Example


def read_examples(path: Path, reading: Reading | None = None) -> list[Example]:
    """Return the sentences that people annotated in a file."""
    return read_data(path, ("train",), reading).train
