"""The budget in tokens and money, of all runs that share the saved answers.

A request is recorded at its highest possible cost before it is sent, and corrected by its answer. Limitation: a stopped
request takes more of the budget than it cost.
"""

import asyncio
from collections.abc import Callable, Iterator, Set
from math import ceil, floor, log10
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

    def cost(self) -> float:
        """Return the money spent."""
        return _cost(self._settings, self.spent)

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
        """Return the limits with which a run can do `left` more texts; "" if it was not stopped by one."""
        if not sum(self._refused):
            return ""
        answered = self.spent.minus(self.unanswered[1])
        rest = Tokens(*(ceil(each / done * left) for each in answered)) if done else Tokens()
        wanted = self.spent.plus(self._refused).plus(rest)
        raised = [(option, _rounded_up(size(wanted))) for option, limit, size in self._limits() if limit < size(wanted)]
        if not raised:
            return ""
        options = " ".join(f"--{option.replace('_', '-')} {limit}" for option, limit in raised)
        arguments = ", ".join(f"{option}={limit}" for option, limit in raised)
        why = "about what all texts take" if done else "enough for the next request"
        return f"rerun it with {options} ({arguments}), {why}"

    def _admit(self, text: str, most: Tokens) -> int | None:
        """Return the number of a reservation, before any other run writes one; None if it doesn't fit."""
        with self._store.alone():
            self.update()
            then = self.spent.plus(most)
            if any(size(then) > limit for _, limit, size in self._limits()):
                return None
            number = self._store.reserve(text, most)
            self.update()
            return number

    def _limits(self) -> Iterator[tuple[str, float, Callable[[Tokens], float]]]:
        """Yield the limits that are set: the setting, its value, and what is measured."""
        settings = self._settings
        if settings.max_total_tokens:
            yield "max_total_tokens", settings.max_total_tokens, sum
        if settings.max_cost:
            yield "max_cost", settings.max_cost, lambda tokens: _cost(settings, tokens)


def _cost(settings: AnnotateSettings, tokens: Tokens) -> float:
    return (tokens.input * settings.input_price + tokens.output * settings.output_price) / 1e6


def _rounded_up(number: float) -> str:
    """Return a number above 0, or the next one of two digits."""
    scale = 10.0 ** (floor(log10(number)) - 1)
    return f"{ceil(number / scale) * scale:.12g}"
