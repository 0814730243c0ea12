"""Write the titles that some knowledge types as a gazetteer: lines `entry<TAB>type`, for the setting `gazetteers`.

An entry is a title without its disambiguation. Limitation: infobox mappings are ignored, as they need pages.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from nerbert.artifacts import check_free_file, publish, scratch_prefix
from nerbert.corpus.knowledge.database import Database, insert, open_database
from nerbert.corpus.knowledge.knowledge import open_knowledge
from nerbert.errors import InputError
from nerbert.label_sets import open_label_set
from nerbert.records import ENTITY

_LABELS = pa.schema([("class", pa.int32()), ("label", pa.string())])
_ROWS = 1 << 16
_ENTRIES = r"""
SELECT entry, arg_min(label, title) AS label
FROM (
    SELECT title, regexp_replace(title, '^(.+?) *\([^()]*\)$', '\1') AS entry, label
    FROM types JOIN labels USING (class)
)
WHERE length(entry) > 1
GROUP BY entry ORDER BY entry
"""


def write_gazetteer(
    knowledge: Sequence[Path], label_set: str, output: Path, *, language: str = "en", overwrite: bool = False
) -> int:
    """Write the entries of some knowledge, sorted, each once; return how many; raise InputError if there is none."""
    check_free_file(output, overwrite=overwrite)
    read = open_knowledge(knowledge, language)
    labels = open_label_set(label_set, read.ontology.parents)
    with TemporaryDirectory(prefix=scratch_prefix()) as scratch, open_database(Path(scratch) / "database") as database:
        read.write_types(database)
        classes = database.execute("SELECT class, class_path FROM classes").fetchall()
        named = ((number, labels.label(path)) for number, path in classes)
        insert(database, "labels", [row for row in named if row[1] != ENTITY], _LABELS)
        count = 0
        with publish(output) as draft, draft.open("w", encoding="utf-8", newline="\n") as file:
            for rows in _batches(database):
                file.writelines(f"{entry}\t{label}\n" for entry, label in rows)
                count += len(rows)
            if not count:
                raise InputError(f"label_set = {label_set!r}: gives no title of the knowledge a type; choose another")
    return count


def _batches(database: Database) -> Iterator[list[tuple[str, str]]]:
    rows = database.execute(_ENTRIES)
    while some := rows.fetchmany(_ROWS):
        yield some
