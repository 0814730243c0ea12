"""Titles of a knowledge and their types as a list of names, which the setting `gazetteers` reads."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from nerbert.artifacts import check_free, publish
from nerbert.corpus.knowledge.database import insert, open_database
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
    """Write `entry<TAB>type` for each title without its disambiguation, sorted, as the setting `gazetteers` reads it.

    Return the number of entries; raise InputError for none. Infobox mappings are ignored, because they need pages.
    """
    check_free(output, overwrite=overwrite, file=True)
    read = open_knowledge(knowledge, language)
    labels = open_label_set(label_set, read.ontology.parents)
    with TemporaryDirectory(prefix="nerbert-") as scratch, open_database(Path(scratch) / "database") as database:
        read.write_types(database)
        classes = database.execute("SELECT class, class_path FROM classes").fetchall()
        named = ((number, labels.label(path)) for number, path in classes)
        insert(database, "labels", [row for row in named if row[1] != ENTITY], _LABELS)
        count = 0
        with publish(output) as draft, draft.open("w", encoding="utf-8", newline="\n") as file:
            entries = database.execute(_ENTRIES)
            while rows := entries.fetchmany(_ROWS):
                file.writelines(f"{entry}\t{label}\n" for entry, label in rows)
                count += len(rows)
            # Inside the block, so that no empty file is published
            if not count:
                raise InputError(f"label_set = {label_set!r}: gives no title of the knowledge a type; choose another")
    return count
