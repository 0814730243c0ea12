"""What may be spent: tokens and money, with requests in flight reserved at the most that they can take."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from nerbert.annotate.answers import Tokens
from nerbert.annotate.settings import AnnotateSettings
from nerbert.errors import NerbertError


class BudgetSpent(NerbertError):  # noqa: N818  (reads as the fact that it reports)
    """The next request could cost more than is left."""


class Budget:
    """Counts what has been spent; `reserve` lets a request begin only if it fits, whatever it will take."""

    def __init__(self, settings: AnnotateSettings, spent: Tokens) -> None:
        self._settings, self.spent, self._reserved, self._in_flight = settings, spent, Tokens(), 0
        self._freed = asyncio.Condition()

    def cost(self) -> float:
        """Return the money spent."""
        return _cost(self._settings, self.spent)

    @asynccontextmanager
    async def reserve(self, most: Tokens) -> AsyncIterator[Callable[[Tokens], None]]:
        """Wait until a request of `most` tokens fits; yield what takes the tokens that were spent in the end.

        Raise BudgetSpent if it doesn't fit with nothing in flight.
        """
        async with self._freed:
            while not self._fits(most):
                if not self._in_flight:
                    raise BudgetSpent(f"the budget is used up: the next request may take {sum(most):,} tokens")
                await self._freed.wait()
            self._reserved, self._in_flight = self._reserved.plus(most), self._in_flight + 1
        try:
            yield self.spend
        finally:
            self._reserved = Tokens(self._reserved.input - most.input, self._reserved.output - most.output)
            self._in_flight -= 1
            async with self._freed:
                self._freed.notify_all()

    def spend(self, tokens: Tokens) -> None:
        """Count tokens that were spent."""
        self.spent = self.spent.plus(tokens)

    def _fits(self, most: Tokens) -> bool:
        then, limits = self.spent.plus(self._reserved).plus(most), self._settings
        return not (0 < limits.max_total_tokens < sum(then) or 0 < limits.max_cost < _cost(limits, then))


def _cost(settings: AnnotateSettings, tokens: Tokens) -> float:
    return (tokens.input * settings.input_price + tokens.output * settings.output_price) / 1e6
