"""Saved answers: one SQLite file for a model and a prompt.

SQLite writes each answer whole, so several runs may use one file. Limitation: a loss of power may cost the last
answers, and old ones are never deleted.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from nerbert.annotate.answers import Reply, Tokens
from nerbert.artifacts import unwritable
from nerbert.cache import cache_place
from nerbert.errors import WriteError

_FORMAT = 1
"""Raise it when requests or saved answers change."""
_MAKE = (
    """CREATE TABLE IF NOT EXISTS answers (text BLOB PRIMARY KEY, content TEXT, cut INTEGER NOT NULL,
    input INTEGER NOT NULL, output INTEGER NOT NULL, estimated INTEGER NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS spending (number INTEGER PRIMARY KEY, settles INTEGER, text BLOB NOT NULL,
    input INTEGER NOT NULL, output INTEGER NOT NULL)""",
    """INSERT INTO spending (settles, text, input, output) SELECT 0, text, input, output FROM answers
    WHERE NOT EXISTS (SELECT 1 FROM spending)""",
)
"""The last one is for files that were made before there was the table."""
_ADD = """INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (text) DO UPDATE SET
    content = excluded.content, cut = excluded.cut, input = input + excluded.input, output = output + excluded.output,
    estimated = max(estimated, excluded.estimated)"""
_SPEND = "INSERT INTO spending (settles, text, input, output) VALUES (?, ?, ?, ?)"
_SPENDING = "SELECT number, settles, text, input, output FROM spending WHERE number > ? ORDER BY number"
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

    def reserve(self, text: str, most: Tokens) -> int:
        """Record a request at the most that it can take; return its number."""
        with self.used():
            return self.database.execute(_SPEND, (None, text_key(text), *most)).lastrowid or 0

    def settle(self, number: int, text: str, most: Tokens, reply: Reply | None) -> None:
        """Save the answer to a recorded request, and what it took instead of the most; None: nothing.

        Of a lost answer, only what it took is saved.
        """
        key, taken = text_key(text), reply.tokens if reply else Tokens()
        with self.alone(), self.used():
            self.database.execute(_SPEND, (number, key, *taken.minus(most)))
            if reply:
                self.database.execute(_ADD, (key, reply.content, reply.cut, *taken, reply.estimated))

    def spending(self, after: int) -> Iterator[tuple[int, int | None, bytes, Tokens]]:
        """Yield the records after a number: number, the one that it settles or None, text's key, tokens."""
        with self.used():
            for number, settles, key, *tokens in self.database.execute(_SPENDING, (after,)):
                yield number, settles, key, Tokens(*tokens)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Let no other run write meanwhile; all is written, or nothing after an error."""
        with self.used():
            self.database.execute("BEGIN IMMEDIATE")
        try:
            yield
            with self.used():
                self.database.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self.database.execute("ROLLBACK")
            raise

    @contextmanager
    def used(self) -> Iterator[None]:
        """Turn an error of the database into a WriteError."""
        try:
            yield
        except (sqlite3.Error, OverflowError) as error:
            raise WriteError(f"{self.path}: saved answers can't be used: {error}; set another cache") from error


@contextmanager
def open_store(cache: str, asked: Any) -> Iterator[AnswerStore]:
    """Open the answers to one way of asking, a JSON value; `cache` is the setting."""
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
            for statement in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL", *_MAKE):
                database.execute(statement)
        yield store


def text_key(text: str) -> bytes:
    """Return what distinguishes a text from all others."""
    return sha256(text.encode("utf-8", "surrogatepass")).digest()
