"""Saved answers, one SQLite file for a model and a prompt, and the budget in tokens of all runs that share them.

SQLite writes each answer whole, so several runs may use one file. A request is recorded at its highest possible cost
before it is sent, and corrected by its answer. Limitation: a loss of power may cost the last answers, old ones are
never deleted, and a stopped request takes more of the budget than it cost.
"""

import asyncio
import json
import sqlite3
from collections.abc import Iterator, Set
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

from nerbert.annotate.answers import Reply, Tokens
from nerbert.annotate.settings import AnnotateSettings
from nerbert.artifacts import unwritable
from nerbert.cache import cache_place
from nerbert.errors import NerbertError, WriteError

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


class BudgetSpent(NerbertError):  # noqa: N818  (reads as the fact that it reports)
    """The next request could cost more than is left."""


class Reservation(NamedTuple):
    """A recorded request; `most` is what it can take."""

    number: int
    text: str
    most: Tokens


class Budget:
    """Counts what some texts have taken; `reserve` lets a request begin only if it fits, whatever it will take."""

    def __init__(self, settings: AnnotateSettings, store: AnswerStore) -> None:
        self._settings, self._store = settings, store
        self._texts: Set[bytes] = frozenset()
        self.spent, self._open, self._last = Tokens(), dict[int, Tokens](), 0
        self._freed, self._in_flight, self._refused = asyncio.Condition(), 0, Tokens()

    def begin(self, texts: Set[bytes]) -> None:
        """Count for texts, of which the keys are given, what all runs have spent on them."""
        self._texts = texts
        self.update()

    def update(self) -> None:
        """Count what any run has recorded since."""
        for number, settles, text, tokens in self._store.spending(self._last):
            self._last = number
            if text not in self._texts:
                continue
            self.spent = self.spent.plus(tokens)
            if settles is None:
                self._open[number] = tokens
            else:
                self._open.pop(settles, None)

    @property
    def unanswered(self) -> tuple[int, Tokens]:
        """Return how many counted requests have no answer, and the tokens counted for them."""
        return len(self._open), Tokens(*map(sum, zip(*self._open.values(), strict=True)))

    async def reserve(self, text: str, most: Tokens) -> Reservation:
        """Wait until a request of `most` tokens fits; raise BudgetSpent if it doesn't with nothing in flight here."""
        async with self._freed:
            while (number := self._admit(text, most)) is None:
                if not self._in_flight:
                    self._refused = most
                    raise BudgetSpent(f"the budget is used up: the next request may take {sum(most):,} tokens")
                await self._freed.wait()
            self._in_flight += 1
        return Reservation(number, text, most)

    async def settle(self, request: Reservation, reply: Reply | None) -> None:
        """Keep a request's answer and count what it took, in place of the reservation; None: it took nothing."""
        try:
            self._store.settle(*request, reply)
            self.update()
        finally:
            self._in_flight -= 1
            async with self._freed:
                self._freed.notify_all()

    def remedy(self, done: int, left: int) -> str:
        """Return the limit with which a run can do `left` more texts; "" if it was not stopped by it."""
        if not sum(self._refused):
            return ""
        answered = sum(self.spent.minus(self.unanswered[1]))
        wanted = sum(self.spent.plus(self._refused)) + (ceil(answered / done * left) if done else 0)
        if wanted <= self._settings.max_total_tokens:
            return ""
        limit = ceil(wanted / 1000) * 1000
        why = "about what all texts take" if done else "enough for the next request"
        return f"rerun it with --max-total-tokens {limit} (max_total_tokens={limit}), {why}"

    def _admit(self, text: str, most: Tokens) -> int | None:
        """Return the number of a reservation, before any other run writes one; None if it doesn't fit."""
        with self._store.alone():
            self.update()
            limit = self._settings.max_total_tokens
            if limit and sum(self.spent.plus(most)) > limit:
                return None
            number = self._store.reserve(text, most)
            self.update()
            return number
