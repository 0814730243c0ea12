"""Answers that were paid for, kept as soon as they are there: one SQLite file for a model and a prompt.

The choice: SQLite writes each answer whole, so a kill costs the requests in flight and no more, and several runs may
use one file. Its log is not flushed for each answer: a loss of power may cost the last ones. Answers are kept as the
model wrote them and read anew each time. The price: nobody deletes what is no longer wanted.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from nerbert.annotate.answers import Reply, Tokens
from nerbert.artifacts import unwritable
from nerbert.cache import cache_place
from nerbert.errors import WriteError

_FORMAT = 1
"""Raise it when answers are asked for, or kept, otherwise."""
_MAKE = """CREATE TABLE IF NOT EXISTS answers (text BLOB PRIMARY KEY, content TEXT, cut INTEGER NOT NULL,
    input INTEGER NOT NULL, output INTEGER NOT NULL, estimated INTEGER NOT NULL) WITHOUT ROWID"""
_ADD = """INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (text) DO UPDATE SET
    content = excluded.content, cut = excluded.cut, input = input + excluded.input, output = output + excluded.output,
    estimated = max(estimated, excluded.estimated)"""
_GET = "SELECT content, cut, input, output, estimated FROM answers WHERE text = ?"


@dataclass(frozen=True, slots=True)
class AnswerStore:
    """The answers to one way of asking, by text."""

    database: sqlite3.Connection
    path: Path

    def get(self, text: str) -> Reply:
        """Return the last answer, with all tokens that the text has taken."""
        with self.used():
            row = self.database.execute(_GET, (text_key(text),)).fetchone()
        content, cut, taken, given, estimated = row or (None, 0, 0, 0, 0)
        return Reply(content, bool(cut), Tokens(taken, given), bool(estimated))

    def add(self, text: str, reply: Reply) -> None:
        """Keep an answer; of one that was lost, what it took."""
        with self.used():
            self.database.execute(_ADD, (text_key(text), reply.content, reply.cut, *reply.tokens, reply.estimated))

    @contextmanager
    def used(self) -> Iterator[None]:
        """Turn an error of the database into a WriteError."""
        try:
            yield
        except (sqlite3.Error, OverflowError) as error:
            raise WriteError(f"{self.path}: kept answers can't be used: {error}; set another cache") from error


@contextmanager
def open_store(cache: str, asked: Any) -> Iterator[AnswerStore]:
    """Open the answers to one way of asking, a JSON value; `cache` is where they lie (the setting)."""
    name = sha256(json.dumps([_FORMAT, asked], sort_keys=True).encode()).hexdigest()
    path = cache_place(cache, "answers", f"{name}.sqlite")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(path, timeout=60, isolation_level=None)
    except (OSError, sqlite3.Error) as error:
        raise unwritable(path.parent, error, "set another cache") from error
    with closing(database):
        store = AnswerStore(database, path)
        with store.used():
            for statement in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL", _MAKE):
                database.execute(statement)
        yield store


def text_key(text: str) -> bytes:
    """Return what distinguishes a text from all others."""
    return sha256(text.encode("utf-8", "surrogatepass")).digest()
