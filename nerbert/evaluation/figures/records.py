"""The CSV of a benchmark, read for pictures."""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from nerbert.errors import InputError, os_refused
from nerbert.evaluation.tables.records import COLUMNS

F1, OWN_F1 = "micro.f1", "at_own_threshold.f1"
"""F1; without a training that at a threshold of 0.5, and beside it F1 at the folder's own one, as users get it."""
PUBLISHED = "published"
"""The state of a paper's figures."""
_LONGEST = 100_000
"""Characters of a field of the CSV."""


def csv_of(results: Path, suite: str) -> Path:
    """Return a suite's CSV in a folder of results; raise InputError if it isn't there."""
    path = results / f"{suite}.csv"
    if not path.is_file():
        raise InputError(f"{path}: no such file; run `nerbert benchmark {suite}.toml -o {results}` first")
    return path


def read_records(path: Path) -> Iterator[dict[str, str]]:
    """Yield the records of a benchmark's CSV; raise InputError for another file."""
    with os_refused(f"{path}: can't be read"), path.open(encoding="utf-8", newline="") as file:
        csv.field_size_limit(_LONGEST)
        rows = csv.DictReader(file)
        try:
            if not set(COLUMNS) <= set(rows.fieldnames or ()):
                raise InputError(f"not a benchmark's CSV; its columns are {', '.join(COLUMNS)}")
            for row in rows:
                if None in row or None in row.values():
                    raise InputError(f"line {rows.line_num}: doesn't have {len(COLUMNS)} columns")
                yield row
        except (csv.Error, UnicodeDecodeError) as error:
            raise InputError(f"can't be read as CSV: {error}") from error


def share_of(record: Mapping[str, str]) -> float:
    """Return a record's value; raise InputError if it isn't between 0 and 1."""
    try:
        share = float(record["value"])
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise InputError(f"value {record['value']!r:.80}: must be F1 between 0 and 1")
    return share
