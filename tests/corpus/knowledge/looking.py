"""Databases for tests, and what they say of titles; exports of wikis."""

import atexit
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory

from nerbert.corpus.knowledge.claims import ClassPath
from nerbert.corpus.knowledge.database import Database, open_database


@contextmanager
def a_database() -> Iterator[Database]:
    """An empty database with two threads; all tests of a process share one, since opening it takes longer than they."""
    database = _opened()
    try:
        yield database
    finally:
        for kind in ("view", "table"):
            for (name,) in database.execute(f"SELECT {kind}_name FROM duckdb_{kind}s() WHERE NOT internal").fetchall():
                database.execute(f"DROP {kind} {name}")


@cache
def _opened() -> Database:
    stack = ExitStack()
    folder = stack.enter_context(TemporaryDirectory())
    database = stack.enter_context(open_database(Path(folder) / "database", 2))
    atexit.register(stack.close)
    return database


def types_of(database: Database, titles: Sequence[str]) -> dict[str, tuple[ClassPath, str]]:
    """Those of `titles` that have a class, with it and its source."""
    rows = database.execute(
        "SELECT title, class_path, name FROM types JOIN classes USING (class) JOIN sources USING (source)"
    ).fetchall()
    found = {title: (tuple(path), source) for title, path, source in rows}
    assert len(found) == len(rows)
    return {title: found[title] for title in titles if title in found}


def wiki(pages: Mapping[str, str]) -> str:
    """An export of these pages, as MediaWiki writes it."""
    texts = (
        f"<page><title>{escape(title)}</title><revision><text>{escape(text, quote=False)}</text></revision></page>"
        for title, text in pages.items()
    )
    head = '<?xml version="1.0"?><mediawiki xmlns="http://www.mediawiki.org/xml/export-0.8/">'
    return f"{head}{''.join(texts)}</mediawiki>"
