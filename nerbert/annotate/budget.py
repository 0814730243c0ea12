"""The budget in tokens, of all runs that share the saved answers.

A request is recorded at its highest possible cost before it is sent, and corrected by its answer. Limitation: a stopped
request takes more of the budget than it cost.
"""

import asyncio
from collections.abc import Set
from math import ceil
from typing import NamedTuple

from nerbert.annotate.answers import Reply, Tokens
from nerbert.annotate.settings import AnnotateSettings
from nerbert.annotate.store import AnswerStore
from nerbert.errors import NerbertError


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
        answered = self.spent.minus(self.unanswered[1])
        rest = Tokens(*(ceil(each / done * left) for each in answered)) if done else Tokens()
        wanted = sum(self.spent.plus(self._refused).plus(rest))
        if wanted <= self._settings.max_total_tokens:
            return ""
        scale = 10 ** max(0, len(str(wanted)) - 2)
        limit = ceil(wanted / scale) * scale  # two digits
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
