"""Saved answers, in one SQLite file per model and prompt, and the token budget for the texts of a run.

SQLite writes each answer atomically, so several runs may use the same file. Limitation: a power failure may lose the
last answers, and old answers are never deleted.
"""

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from math import ceil
from pathlib import Path
from typing import Any

from nerbert.artifacts import unwritable
from nerbert.cache import cache_place
from nerbert.errors import NerbertError, WriteError, refused
from nerbert_annotate.answers import Reply, Tokens

_FORMAT = 1
"""Version of the file; increment it when requests or saved answers change."""
_MAKE = """CREATE TABLE IF NOT EXISTS answers (text BLOB PRIMARY KEY, content TEXT, cut INTEGER NOT NULL,
    input INTEGER NOT NULL, output INTEGER NOT NULL, estimated INTEGER NOT NULL) WITHOUT ROWID"""
_ADD = """INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (text) DO UPDATE SET
    content = excluded.content, cut = excluded.cut, input = input + excluded.input, output = output + excluded.output,
    estimated = max(estimated, excluded.estimated)"""
_GET = "SELECT content, cut, input, output, estimated FROM answers WHERE text = ?"


@dataclass(frozen=True, slots=True)
class AnswerStore:
    """The answers to requests with the same model, prompt and fields, by text."""

    database: sqlite3.Connection
    path: Path

    def get(self, text: str) -> Reply:
        """Return the last answer for a text, with all tokens spent on the text."""
        with self.catch_errors():
            row = self.database.execute(_GET, (text_key(text),)).fetchone()
        content, cut, taken, produced, estimated = row or (None, 0, 0, 0, 0)
        return Reply(content, bool(cut), Tokens(taken, produced), bool(estimated))

    def add(self, text: str, reply: Reply) -> None:
        """Save an answer, or only the tokens of a lost one."""
        with self.catch_errors():
            self.database.execute(_ADD, (text_key(text), reply.content, reply.cut, *reply.tokens, reply.estimated))

    def catch_errors(self) -> AbstractContextManager[None]:
        """Turn an error of the database into a WriteError."""
        kinds = (sqlite3.Error, OverflowError)
        return refused(f"{self.path}: saved answers can't be used", WriteError, kinds, remedy="set another cache")


@contextmanager
def open_store(cache: str, request: Any) -> Iterator[AnswerStore]:
    """Open the answers for `request`, a JSON value of everything except the text; `cache` is the setting."""
    name = sha256(json.dumps([_FORMAT, request], sort_keys=True).encode()).hexdigest()
    path = cache_place(cache, "answers", f"{name}.sqlite")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(path, timeout=60, isolation_level=None)
    except (OSError, sqlite3.Error) as error:
        raise unwritable(path.parent, error, "set another cache") from error
    with closing(database):
        store = AnswerStore(database, path)
        with store.catch_errors():
            for statement in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL", _MAKE):
                database.execute(statement)
        yield store


def text_key(text: str) -> bytes:
    """Return a hash that identifies a text."""
    return sha256(text.encode("utf-8", "surrogatepass")).digest()


class BudgetSpent(NerbertError):  # noqa: N818  (reads as the fact that it reports)
    """The next request could exceed the budget."""


class Budget:
    """Counts the tokens spent; `reserve` lets a request start only if its maximum cost fits into the budget."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.spent = Tokens()
        self._freed = asyncio.Condition()
        self._reserved = 0
        self._refused = 0
        """Maximum tokens of the requests in flight, and of the last request that didn't fit."""

    async def reserve(self, most: int) -> None:
        """Wait until a request of `most` tokens fits; raise BudgetSpent if it doesn't even with no others in flight."""
        async with self._freed:
            while self.limit and sum(self.spent) + self._reserved + most > self.limit:
                if not self._reserved:
                    self._refused = most
                    raise BudgetSpent(f"the budget is used up: the next request may take {most:,} tokens")
                await self._freed.wait()
            self._reserved += most

    async def settle(self, most: int, taken: Tokens) -> None:
        """Replace a request's reservation by the tokens that it took."""
        self._reserved -= most
        self.spent = Tokens(self.spent.input + taken.input, self.spent.output + taken.output)
        async with self._freed:
            self._freed.notify_all()

    def remedy(self, done: int, left: int) -> str:
        """Return advice on a limit that suffices for `left` more texts; "" if the budget didn't stop the run."""
        if not self._refused:
            return ""
        needed = sum(self.spent) + self._refused + (sum(self.spent) / done * left if done else 0)
        limit = ceil(needed / 1000) * 1000
        why = "about what all texts take" if done else "enough for the next request"
        return f"rerun it with --max-total-tokens {limit} (max_total_tokens={limit}), {why}"
