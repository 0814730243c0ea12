"""The queue by itself, with a clock that only the test moves."""

from collections.abc import Sequence
from functools import partial
from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.errors import Overloaded
from nerbert.serve.queue import Queue, QueuedBatch, Ticket
from tests.raised import raises

FOREVER = 1e9


def queue(**more: float) -> Queue[str]:
    settings = {"batch_cost": 100, "deadline": 1000, "most": 100, **more}
    return Queue(**settings)  # type: ignore[arg-type]


def ticket(work: str, cost: int = 10, group: str = "a") -> Ticket[str]:
    return Ticket(group, work, cost, 0, lambda: False)


def tickets(works: str, cost: int = 10, group: str = "a") -> list[Ticket[str]]:
    return [ticket(work, cost, group) for work in works]


def works(batch: QueuedBatch[str]) -> str:
    return "".join(ticket.work for ticket in batch.tickets)


def taken(one: Queue[str]) -> str:
    batch = one.next_batch(0)
    return works(batch) if batch else ""


def learnt(one: Queue[str], cost: int, took: float, group: str = "a") -> None:
    """Let the queue have a finished batch, begun at 0."""
    one.submit([ticket("learnt", cost, group)], 0)
    one.done(next_batch(one), took)


def next_batch(one: Queue[str], now: float = 0) -> QueuedBatch[str]:
    batch = one.next_batch(now)
    assert batch
    return batch


@pytest.mark.parametrize(
    ("batch_cost", "costs", "batches"),
    [
        (20, [10] * 5, ["ab", "cd", "e", ""]),
        (40, [10, 30, 20, 10, 10], ["ac", "b", "de", ""]),  # a batch costs its longest times their number: a and b 60
        (40, [1000, 1, 41, 1], ["a", "bd", "c", ""]),  # one that costs more than a batch is alone
        (100, [0, 0, 0], ["abc", ""]),
    ],
)
def test_batches_are_filled_in_order(batch_cost: int, costs: list[int], batches: list[str]) -> None:
    one = queue(batch_cost=batch_cost)
    for work, cost in zip("abcde", costs, strict=False):
        one.submit([ticket(work, cost)], 0)
    assert [taken(one) for _ in batches] == batches


def test_only_those_of_one_group_share_a_batch() -> None:
    one = queue()
    one.submit([*tickets("a"), *tickets("xy", group="b"), *tickets("b")], 0)
    first, second = next_batch(one), next_batch(one)
    assert [(batch.group, batch.cost, works(batch)) for batch in (first, second)] == [("a", 20, "ab"), ("b", 20, "xy")]


def test_those_that_nobody_waits_for_are_dropped() -> None:
    one, cancelled = queue(), Event()
    for work in "abc":
        one.submit([Ticket("a", work, 10, 0, cancelled.is_set if work == "b" else lambda: False)], 0)
    cancelled.set()
    assert [taken(one), len(one), taken(one)] == ["ac", 0, ""]
    one.submit([Ticket("a", "d", 10, 0, cancelled.is_set)], 0)
    assert (taken(one), len(one)) == ("", 0), "where all are dropped there is no batch"


def test_a_request_is_taken_whole_or_not_at_all() -> None:
    one = queue(most=3)
    one.submit(tickets("abc"), 0)
    with raises(Overloaded, "(3)", retry_after=1):
        one.submit(tickets("d"), 0)
    one = queue(most=3)
    one.submit(tickets("ab"), 0)
    one.submit(tickets("cdef"), 0)  # there is a place for the first, so all may wait
    with raises(Overloaded, "too many texts wait here (6); try again later", retry_after=1):
        one.submit(tickets("gh"), 0)
    assert (len(one), taken(one)) == (6, "abcdef")
    one.submit(tickets("gh"), 0)
    assert taken(one) == "gh"


def test_texts_that_would_wait_too_long_are_refused_when_the_pace_is_known() -> None:
    one = queue(batch_cost=1000)
    one.submit(tickets("a" * 90), 0)
    assert one.wait(0) == 0, "nothing is known of the pace yet"
    one = queue(batch_cost=1000)
    learnt(one, cost=10, took=100)  # 10 ms for a unit
    one.submit(tickets("a" * 10), 0)
    one.submit(tickets("b" * 32), 0)  # would wait for just 1000 ms
    with raises(Overloaded, "a text would wait 4.2 s here, longer than 1 s", retry_after=4):  # 3.2 s, rounded up
        one.submit(tickets("c"), 0)
    assert (one.wait(0), len(one)) == (4200, 42)


def test_what_is_in_the_model_counts_until_it_should_be_done() -> None:
    one = queue()
    learnt(one, cost=10, took=100)
    one.submit(tickets("a"), 200)
    batch = next_batch(one, 200)
    assert [one.wait(now) for now in (200, 260, 300, 9000)] == [100, 40, 0, 0]
    one.done(batch, 300)
    assert one.wait(300) == 0


def test_a_batch_is_a_workers_share() -> None:
    one = queue(workers=2, batch_cost=1000)
    one.submit(tickets("abcdefg"), 0)
    first = next_batch(one)
    assert (works(first), taken(one)) == ("abcd", "efg"), "seven wait or are in a model: four for each worker"
    one.submit(tickets("hi"), 0)
    one.done(first, 10)
    assert taken(one) == "hi"


def test_nothing_is_learnt_from_a_batch_that_failed() -> None:
    one = queue()
    one.submit([ticket("failed", 1)], 0)
    one.done(next_batch(one), 600, learn=False)
    one.submit(tickets("x"), 0)
    assert one.wait(0) == 0


def test_each_group_has_a_pace_that_follows_its_last_batches() -> None:
    one = queue(deadline=FOREVER)
    learnt(one, cost=10, took=100)
    learnt(one, cost=10, took=20, group="b")
    one.submit(tickets("x", cost=1), 0)
    assert one.wait(0) == pytest.approx(10)
    one.submit(tickets("y", cost=1, group="b"), 0)
    assert one.wait(0) == pytest.approx(12)
    assert (taken(one), taken(one)) == ("x", "y")
    one = queue(deadline=FOREVER)
    learnt(one, cost=10, took=100)
    learnt(one, cost=10, took=200)
    one.submit(tickets("x", cost=1), 0)
    assert one.wait(0) == pytest.approx(12), "a fifth of the way from 10 to 20"


Given = Sequence[tuple[int, str, bool]]


@given(
    st.lists(st.tuples(st.integers(0, 60), st.sampled_from("ab"), st.booleans()), max_size=40),
    st.integers(1, 100),
    st.lists(st.integers(1, 5), min_size=1, max_size=8),
)
def test_each_text_is_in_one_batch_or_dropped(given_: Given, batch_cost: int, rounds: list[int]) -> None:
    """Texts come in requests of several sizes, between batches; some are cancelled while they wait."""
    one = Queue[int](batch_cost=batch_cost, deadline=FOREVER, most=len(given_) + 1)
    gone = set[int]()
    every = [
        Ticket(group, place, cost, 0, partial(gone.__contains__, place))
        for place, (cost, group, _) in enumerate(given_)
    ]
    found, order, now, start = list[int](), list[list[int]](), 0, 0

    def step() -> bool:
        nonlocal now
        now += 1
        batch = one.next_batch(now)
        if batch is None:
            return False
        costs = [each.cost for each in batch.tickets]
        assert len({each.group for each in batch.tickets}) == 1
        assert len(costs) == 1 or len(costs) * max(costs) <= batch_cost
        assert not any(each.cancelled() for each in batch.tickets)
        assert batch.cost == sum(costs)
        order.append([each.work for each in batch.tickets])
        found.extend(order[-1])
        one.done(batch, now + 1)
        return True

    while start < len(every):
        size = rounds[len(order) % len(rounds)]
        some = every[start : start + size]
        one.submit(some, now)
        gone.update(each.work for each in some if given_[each.work][2])
        start += size
        oldest = next((each.work for each in every[:start] if each.work not in {*found, *gone}), None)
        assert step() == (oldest is not None)
        assert oldest is None or order[-1][0] == oldest
    while step():
        pass
    assert sorted([*found, *gone]) == list(range(len(every)))
    assert all(each == sorted(each) for each in order)
    assert (len(one), one.wait(now)) == (0, 0)
