"""Run one pure task over many items, in order, in local processes.

The choice: results come back in the order of the items whatever the number of workers, and at most a few items a
worker are under way, so memory stays flat. The price is that one slow item can hold the others back for a moment.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

from nerbert.errors import NerbertError

Item = TypeVar("Item")
Result = TypeVar("Result")


def run_ordered(task: Callable[[Item], Result], items: Iterable[Item], workers: int = 1) -> Iterator[Result]:
    """Yield `task(item)` for each item, in order; `task` must be importable and pure.

    With one worker everything runs here. A worker that dies (out of memory, killed) raises NerbertError.
    """
    if workers <= 1:
        yield from map(task, items)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("forkserver")) as pool:
        under_way: deque[Future[Result]] = deque()
        try:
            for item in items:
                under_way.append(pool.submit(task, item))
                if len(under_way) > 2 * workers:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        except BrokenProcessPool as error:
            raise NerbertError("a worker process died (out of memory?): try fewer --workers") from error
        finally:
            for future in under_way:
                future.cancel()
