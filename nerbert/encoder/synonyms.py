"""Words that mean the same type, from a table of ours."""

import json
from functools import cache
from hashlib import sha256

from nerbert.formats.open_types import normalised
from nerbert.tables import read_columns


@cache
def read_synonyms() -> dict[str, frozenset[str]]:
    """Return the other words for each normalised name of a type that has some."""
    lines = [[*map(normalised, cell.split(","))] for (cell,) in read_columns("synonyms.tsv", "names")]
    return {name: frozenset(names) - {name} for names in lines for name in names}


@cache
def digest_of_synonyms() -> str:
    """Return the SHA-256 of the table."""
    content = sorted((name, sorted(others)) for name, others in read_synonyms().items())
    return sha256(json.dumps(content).encode()).hexdigest()
