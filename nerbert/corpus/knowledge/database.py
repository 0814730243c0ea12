"""The database of one build: DuckDB, in which titles get their classes and link targets are counted, out of core.

Every choice between rows is an order in SQL, so threads don't affect the result. Cost: one more copy of rows via Arrow.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from nerbert.corpus.knowledge.claims import DISAMBIGUATION, Claim, ClassPath, TitleCounts
from nerbert.errors import InputError, WriteError, refused
from nerbert.rng import hash64

Database: TypeAlias = duckdb.DuckDBPyConnection
_MEGABYTES, _MOST_THREADS = 85, 8
"""Memory of the database and of each of its threads, and the maximum number of threads."""
_ROWS = 1 << 16
_MOST_CLASSES = 1 << 16
MOST_SOURCES = 126
_TIE_BITS = 45
"""Bits of the tie-break between claims of equal priority; rank and priority are the bits above."""
_CLAIMS = pa.schema(
    [("title", pa.string()), ("rank", pa.uint8()), ("priority", pa.uint8()), ("tie", pa.int64()), ("class", pa.int32())]
)
_WRITE_TYPES = """
CREATE TABLE types AS
WITH titles AS (
    SELECT
        title,
        arg_min(class, (rank::BIGINT << 52) | (priority::BIGINT << 45) | tie) FILTER (rank > 0) AS class,
        min(rank) FILTER (rank > 0) AS source,
        bit_or(1::UHUGEINT << rank) AS ranks,
        coalesce(bool_or(rank = 0 AND priority = 0), false) AS shown_as_disambiguation
    FROM claims GROUP BY title
)
SELECT
    title, source, ranks, class,
    shown_as_disambiguation OR (ranks & 1 = 1 AND ranks & $shown::UHUGEINT = 0) AS barred
FROM titles
"""


@contextmanager
def open_database(folder: Path, threads: int = 1) -> Iterator[Database]:
    """Open an empty database that spills into `folder`; raise WriteError if it fails, for example on a full disk."""
    threads = min(threads, _MOST_THREADS)
    database = duckdb.connect(
        ":memory:",
        config={
            "temp_directory": str(folder),
            "memory_limit": f"{_MEGABYTES * (1 + threads)}MB",
            "threads": threads,
            # The build needs none of DuckDB's extensions, and must not fetch any
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            # Every query that depends on an order says so; keeping the rows' own order costs memory
            "preserve_insertion_order": False,
        },
    )
    with closing(database), refused(str(folder), WriteError, duckdb.Error, remedy="is there room on the disk?"):
        # Set last, since the temporary folder and the lock itself are settings too
        database.execute("SET enable_external_access = false")
        database.execute("SET lock_configuration = true")
        yield database


def insert(database: Database, table: str, rows: Iterable[Sequence[Any]], schema: pa.Schema) -> None:
    """Append `rows` to a table, which is created if it doesn't exist; `schema` has its columns."""
    database.register("empty", schema.empty_table())
    database.execute(f"CREATE TABLE IF NOT EXISTS {table} AS FROM empty")
    database.unregister("empty")
    remaining = iter(rows)
    while batch := list(islice(remaining, _ROWS)):
        columns = [pa.array(column, field.type) for column, field in zip(zip(*batch, strict=True), schema, strict=True)]
        database.from_arrow(pa.table(columns, schema)).insert_into(table)


def ask_counts(
    folder: Path, schema: pa.Schema, query: str, parameters: Mapping[str, Any], threads: int
) -> dict[str, Any]:
    """Query the table `counts`, the rows of all Parquet files in a folder; return a NumPy array for each column."""
    with open_database(folder.parent, threads) as database:
        database.from_arrow(schema.empty_table()).create("counts")
        for path in sorted(folder.iterdir()):
            database.from_arrow(pq.read_table(path)).insert_into("counts")
        return dict(database.execute(query, dict(parameters)).fetchnumpy())


def write_types(
    database: Database, claims: Iterable[tuple[int, Claim]], names: Sequence[str], shown: Collection[int] = ()
) -> tuple[list[TitleCounts], int]:
    """Write the table `types`: each title with its class's and source's numbers, null if it is barred; return counts.

    Sources are numbered by precedence. A disambiguation page has no class. Sources in `shown` read the dump's own
    pages, so lists of disambiguation pages don't bar their titles. The tables `classes` and `sources` have the names.
    """
    classes: dict[ClassPath, int] = {}
    insert(database, "claims", _make_rows(claims, classes), _CLAIMS)
    database.execute(_WRITE_TYPES, {"shown": sum(2 << number for number in shown)})
    database.execute("DROP TABLE claims")
    # Number 0 stands for no class and no source
    paths = enumerate([(), *classes])
    insert(database, "classes", paths, pa.schema([("class", pa.int32()), ("class_path", pa.list_(pa.string()))]))
    numbered = enumerate(["", *names])
    insert(database, "sources", numbered, pa.schema([("source", pa.uint8()), ("name", pa.string())]))
    counts = [TitleCounts() for _ in names]
    pages = 0
    groups = "SELECT source, ranks, barred, count(*) FROM types GROUP BY ALL"
    for source, ranks, barred, titles in database.execute(groups).fetchall():
        pages += barred * titles
        for number, count in enumerate(counts, 1):
            if ranks >> number & 1:
                count.disambiguation_pages += barred * titles
                count.typed += (not barred and number == source) * titles
                count.lost_to_precedence += (not barred and number != source) * titles
    # Counted first, as the counts need the sources of barred titles
    database.execute("UPDATE types SET class = NULL, source = NULL WHERE barred")
    return counts, pages


def _make_rows(
    claims: Iterable[tuple[int, Claim]], classes: dict[ClassPath, int]
) -> Iterator[tuple[str, int, int, int, int]]:
    """Yield rows of the table of claims, and number the class paths; rank 0 is for disambiguation pages."""
    for number, (source, (title, priority, path)) in enumerate(claims):
        # Whatever list names a disambiguation page, it must not take a source's rank
        rank = 0 if path == DISAMBIGUATION else source + 1
        # A table of something else, such as titles and dates, would have a class in every row
        if (class_ := classes.setdefault(path, len(classes) + 1)) > _MOST_CLASSES:
            raise InputError(
                f"the knowledge names more than {_MOST_CLASSES} classes, at last {path[-1]!r:.60}: are these classes? "
                "leave that table out, or give an ontology where there is none, which leaves out what it doesn't name"
            )
        # With priority 0, the first claim counts, so the tie-break is its running number
        yield title, rank, priority, _draw_tie(path) if priority else number, class_


@lru_cache(maxsize=4096)
def _draw_tie(path: ClassPath) -> int:
    """Hash a class path, so that the choice among equal claims does not depend on their order."""
    return hash64("\n".join(path)) >> 64 - _TIE_BITS
