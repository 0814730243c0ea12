"""The choice of texts for a batch, and the refusal of too many: a queue that knows neither HTTP nor model.

Times are milliseconds of any clock; costs are in the caller's unit (subwords). Nothing here blocks or locks. Cost: the
wait of new texts is estimated from the last batches, so before the first batches only the number of texts is limited.

"""

from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Generic, TypeVar

from nerbert.errors import Overloaded

Work = TypeVar("Work")
# One slow batch alone must not make the server refuse texts.
_NEWEST = 0.2
"""Weight of the last batch in the estimate of a group's speed."""


@dataclass(eq=False, slots=True)
class Ticket(Generic[Work]):
    """A text in the queue; only those of one `group` (a model; hashable) share a batch.

    `cancelled` returns True if its answer isn't needed any more.
    """

    group: Any
    work: Work
    cost: int
    entered: float
    cancelled: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class QueuedBatch(Generic[Work]):
    """Tickets that go through the model together."""

    tickets: Sequence[Ticket[Work]]
    started: float
    cost: int
    """Total cost of its texts."""

    @property
    def group(self) -> Any:
        """Return the group of its texts."""
        return self.tickets[0].group


class Queue(Generic[Work]):
    """Tickets, first in, first out.

    A batch costs at most `batch_cost`, padded: its number of texts times the highest cost; a text that costs more is
    alone. It has at most a worker's share of the texts that wait or are in a model, so that no worker is idle. Texts
    are refused while `most` wait, or while a new one would wait for longer than `deadline` ms for one of `workers`.
    """

    def __init__(self, *, batch_cost: int, deadline: float, most: int, workers: int = 1) -> None:
        self._batch_cost, self._deadline, self._most, self._workers = batch_cost, deadline, most, workers
        self._waiting = deque[Ticket[Work]]()
        self._running = list[QueuedBatch[Work]]()
        self._costs = Counter[Hashable]()
        self._pace = dict[Hashable, float]()
        """By group: total cost of waiting texts, and a worker's milliseconds per unit of cost."""

    def __len__(self) -> int:
        return len(self._waiting)

    def wait(self, now: float) -> float:
        """Return the estimated wait of a new text, in milliseconds."""
        # A group without a finished batch has no known pace, so its texts count as no time.
        waiting = sum(cost * self._pace.get(group, 0.0) for group, cost in self._costs.items())
        running = (batch.cost * self._pace.get(batch.group, 0.0) - (now - batch.started) for batch in self._running)
        # A batch that runs longer than estimated ends at any moment: it counts as 0, not less.
        return (waiting + sum(max(0.0, cost) for cost in running)) / self._workers

    def check(self, now: float) -> None:
        """Raise Overloaded if there is no space for a text."""
        wait = self.wait(now)
        reason = ""
        # The number bounds memory; the wait keeps answers fast.
        if len(self._waiting) >= self._most:
            reason = f"too many texts wait here ({len(self._waiting):,})"
        elif wait > self._deadline:
            reason = f"a text would wait {wait / 1000:.1f} s here, longer than {self._deadline / 1000:g} s"
        if reason:
            error = Overloaded(f"{reason}; try again later")
            error.retry_after = max(1, ceil((wait - self._deadline) / 1000))
            raise error

    def submit(self, tickets: Sequence[Ticket[Work]], now: float) -> None:
        """Add the texts of one request: all, or none; raise Overloaded if there is no space."""
        self.check(now)
        # Checked once for all texts of a request: half of them would be of no use.
        self._waiting.extend(tickets)
        for ticket in tickets:
            self._costs[ticket.group] += ticket.cost

    def next_batch(self, now: float) -> QueuedBatch[Work] | None:
        """Return the oldest text with those after it that fit, or None; drop cancelled texts."""
        chosen = list(self._choose_tickets([ticket for ticket in self._waiting if not ticket.cancelled()]))
        in_batch = {*chosen}
        waiting = deque[Ticket[Work]]()
        for ticket in self._waiting:
            if ticket in in_batch or ticket.cancelled():
                self._costs[ticket.group] -= ticket.cost
            else:
                waiting.append(ticket)
        self._waiting = waiting
        if not chosen:
            return None
        batch = QueuedBatch(chosen, now, sum(ticket.cost for ticket in chosen))
        self._running.append(batch)
        return batch

    def _choose_tickets(self, tickets: Sequence[Ticket[Work]]) -> Iterator[Ticket[Work]]:
        count, longest = 0, 0
        # Two workers with ten texts take five each, rather than one taking all.
        share = ceil((len(tickets) + sum(len(batch.tickets) for batch in self._running)) / self._workers)
        for ticket in tickets:
            if count == share:
                return
            # Shorter texts are padded to the longest one, so that one decides the cost.
            highest = max(longest, ticket.cost)
            if count and (ticket.group != tickets[0].group or (count + 1) * highest > self._batch_cost):
                # Later texts may be of the group, or short enough.
                continue
            yield ticket
            count += 1
            longest = highest

    def done(self, batch: QueuedBatch[Work], now: float, *, learn: bool = True) -> None:
        """Remove a finished batch; with `learn`, update the speed estimate (not if a part of it failed)."""
        self._running.remove(batch)
        # A batch that failed early would make the model look fast.
        if learn:
            pace = (now - batch.started) / max(1, batch.cost)
            self._pace[batch.group] = pace + (1 - _NEWEST) * (self._pace.get(batch.group, pace) - pace)
