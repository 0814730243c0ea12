"""Map link targets to classes: count them, resolve redirects, then look up titles in the knowledge.

All joins run in one database (`knowledge.database`). The results are the files in `targets/`, and scratch files.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from nerbert.corpus.dump.deduplicate import Titles, disambiguation_pages, infobox_pages, redirect_pairs
from nerbert.corpus.evidence import type_by_evidence
from nerbert.corpus.knowledge.claims import LONGEST_TITLE
from nerbert.corpus.knowledge.database import Database, insert, open_database
from nerbert.corpus.knowledge.knowledge import Knowledge
from nerbert.corpus.shards import TARGETS, read_batches, shard_paths, write_grouped
from nerbert.executors import HERE, Executor
from nerbert.terminal import progress

SCRATCH = "scratch"
"""Folder of temporary data for typing: the targets of each part."""
_MOST_UNTYPED = 100
_BATCH = 10_000
_PAIRS = pa.schema([("number", pa.int64()), ("title", pa.string()), ("target", pa.string())])
_LINKS = pa.schema([("part", pa.int32()), ("target", pa.string()), ("links", pa.int64())])
_IMPOSSIBLE = "DELETE FROM pairs WHERE target = '' OR length(title) > $longest OR length(target) > $longest"
_FOLLOW = """
CREATE OR REPLACE TABLE steps AS
WITH chained AS (SELECT * FROM redirects WHERE target IN (SELECT title FROM redirects))
SELECT * FROM chained UNION SELECT * FROM redirects WHERE title IN (SELECT target FROM chained);
CREATE OR REPLACE VIEW further AS
SELECT steps.title, steps.target AS via, next.target FROM steps JOIN steps AS next ON steps.target = next.title;
"""
_JOIN_TYPES = """
CREATE TABLE targets AS
WITH
    counted AS (SELECT target, sum(links)::BIGINT AS links FROM links GROUP BY target),
    resolved AS (
        SELECT counted.target, links, coalesce(redirects.target, counted.target) AS resolved_target
        FROM counted LEFT JOIN redirects ON counted.target = redirects.title
    )
SELECT
    resolved.target, resolved_target, links,
    CASE WHEN ends.title IS NULL THEN own.class ELSE ends.class END AS class,
    CASE WHEN ends.title IS NULL THEN own.source ELSE ends.source END AS source
FROM resolved
LEFT JOIN types AS ends ON ends.title = resolved_target
LEFT JOIN types AS own ON own.title = resolved.target AND resolved.target <> resolved_target
"""
_JOIN_PARTS = """
CREATE TABLE targets_of_parts AS
SELECT part, targets.* FROM (SELECT DISTINCT part, target FROM links) JOIN targets USING (target) ORDER BY part
"""
_NAMES = ("SELECT class_path FROM classes ORDER BY class", "SELECT name FROM sources ORDER BY source")
"""Names by number; 0 means none."""
_MOST_LINKED = """
SELECT resolved_target, sum(links)::BIGINT FROM linked WHERE class IS NULL
GROUP BY resolved_target ORDER BY 2 DESC, 1 LIMIT $most
"""


@dataclass(frozen=True, slots=True)
class TargetReport:
    """Numbers of targets, of typed ones and of ignored invalid redirects, and the most linked untyped titles."""

    targets: int
    typed: int
    unresolved: list[dict[str, Any]]
    bad_redirects: int = 0
    evidence: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def write_targets(
    folder: Path,
    titles: Titles,
    knowledge: Knowledge,
    executor: Executor = HERE,
    evidence: Sequence[str] = (),
    least_precision: float = 0.0,
) -> TargetReport:
    """Write `targets/`, every target with its type, and each part's link targets in the folder SCRATCH.

    `evidence` are the kinds that type what the knowledge doesn't, by features of at least `least_precision`.
    """
    scratch = folder / SCRATCH
    parts = shard_paths(folder / "pages")
    scratch.mkdir()
    (folder / "targets").mkdir()
    with open_database(scratch / "database", executor.workers) as database:
        # Redirects first, as types are looked up at the ends of their chains
        bad_redirects = write_redirects(database, redirect_pairs(folder))
        pages = infobox_pages(folder)
        ambiguous = disambiguation_pages(folder)
        knowledge.write_types(database, pages, titles.template_redirects, ambiguous)
        _count_links(database, parts)
        database.execute(_JOIN_TYPES)
        learnt = dict[str, dict[str, int]]()
        if evidence:
            learnt = type_by_evidence(database, folder, knowledge.language, evidence, least_precision)
        # Evidence adds titles without links, which are of no use to readers
        database.execute("CREATE VIEW linked AS FROM targets WHERE links > 0")
        rows = database.sql("FROM linked ORDER BY links DESC, target")
        write_grouped(_name_rows(database, rows), folder / "targets" / "part-00000.parquet", TARGETS)
        # Now, since evidence may have given more types
        database.execute(_JOIN_PARTS)
        for number, part in enumerate(parts):
            query = "SELECT * EXCLUDE (part) FROM targets_of_parts WHERE part = $part ORDER BY target"
            tables = _name_rows(database, database.sql(query, params={"part": number}))
            write_grouped(tables, scratch / part.name, TARGETS, scratch=True)
        targets, typed = database.execute("SELECT count(*), count(class) FROM linked").fetchall()[0]
        most = database.execute(_MOST_LINKED, {"most": _MOST_UNTYPED}).fetchall()
        return TargetReport(
            targets, typed, [{"title": title, "links": links} for title, links in most], bad_redirects, learnt
        )


def write_redirects(database: Database, redirects: Iterable[tuple[str, str]]) -> int:
    """Write the table `redirects`, each title with the end of its chain, as in `fold_redirects`; the last row counts.

    Return the number of omitted redirects: those with an overlong title or an empty target.
    """
    insert(database, "pairs", ((number, *pair) for number, pair in enumerate(redirects)), _PAIRS)
    ((omitted,),) = database.execute(_IMPOSSIBLE, {"longest": LONGEST_TITLE}).fetchall()
    database.execute(
        "CREATE TABLE redirects AS SELECT title, arg_max(target, number) AS target FROM pairs GROUP BY title"
    )
    database.execute("DROP TABLE pairs")
    # After a cycle is cut, the chains that led into it have new ends
    while not _follow_chains(database):
        pass
    return int(omitted)


def _follow_chains(database: Database) -> bool:
    """Resolve chains of redirects to their ends; if there are cycles, only cut them and return False."""
    database.execute(_FOLLOW)
    # Chains double their reach in each round
    gone, ((rows,),) = 1, database.execute("SELECT count(*) FROM steps").fetchall()
    while gone <= rows and database.execute("FROM further LIMIT 1").fetchall():
        database.execute("UPDATE steps SET target = further.target FROM further WHERE steps.title = further.title")
        # A row that still continues after as many steps as there are rows leads into a cycle
        gone *= 2
    if database.execute("DELETE FROM redirects WHERE title IN (SELECT via FROM further)").fetchall() != [(0,)]:
        return False
    database.execute("UPDATE redirects SET target = steps.target FROM steps WHERE redirects.title = steps.title")
    return True


def _count_links(database: Database, parts: Sequence[Path]) -> None:
    """Write the table `links`: the number of links from each part of `pages/` to each target."""
    insert(database, "links", (), _LINKS)
    with progress("counting link targets", len(parts)) as bar:
        for number, part in enumerate(parts):
            lists = (pc.list_flatten(batch["links"]) for batch in read_batches(part, ["links"]))
            # Counted per batch, so that a part's links are never all in memory
            pieces = [pc.value_counts(pc.struct_field(links, "target")) for links in lists]
            if sum(map(len, pieces)):
                targets, links = (pa.chunked_array([piece.field(column) for piece in pieces]) for column in range(2))
                numbers = pa.repeat(pa.scalar(number, pa.int32()), len(targets))
                database.from_arrow(pa.table([numbers, targets, links], _LINKS)).insert_into("links")
            bar.advance()


def _name_rows(database: Database, rows: duckdb.DuckDBPyRelation) -> Iterator[pa.Table]:
    """Yield rows in the form of `targets/`: with the names of classes and sources instead of their numbers."""
    named = [database.sql(query).to_arrow_table()[0].combine_chunks() for query in _NAMES]
    for batch in rows.to_arrow_reader(_BATCH):
        numbers = (pc.fill_null(batch[name], 0) for name in ("class", "source"))
        columns = [names.take(indexes) for names, indexes in zip(named, numbers, strict=True)]
        yield pa.table([*batch.columns[:3], *columns], TARGETS.names).cast(TARGETS)
