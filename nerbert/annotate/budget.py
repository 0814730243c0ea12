"""What may be spent: tokens and money, with requests in flight reserved at the most that they can take."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nerbert.annotate.answers import Tokens
from nerbert.annotate.settings import AnnotateSettings
from nerbert.errors import NerbertError


class BudgetSpent(NerbertError):  # noqa: N818  (reads as the fact that it reports)
    """The next request could cost more than is left."""


class Budget:
    """Counts what has been spent; `reserve` lets a request begin only if it fits, whatever it will take."""

    def __init__(self, settings: AnnotateSettings) -> None:
        self._settings, self.spent, self._reserved = settings, Tokens(), Tokens()
        self._freed = asyncio.Condition()

    def cost(self) -> float:
        """Return the money spent."""
        return _cost(self._settings, self.spent)

    @asynccontextmanager
    async def reserve(self, most: Tokens) -> AsyncIterator[None]:
        """Wait until a request of `most` tokens fits; raise BudgetSpent if it doesn't with nothing in flight."""
        async with self._freed:
            while not self._fits(most):
                if self._reserved == Tokens():
                    raise BudgetSpent(f"the budget is used up: the next request may take {sum(most):,} tokens")
                await self._freed.wait()
            self._reserved = self._reserved.plus(most)
        try:
            yield
        finally:
            self._reserved = self._reserved.plus(Tokens(-most.input, -most.output))
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
