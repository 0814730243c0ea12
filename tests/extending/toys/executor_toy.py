"""An executor of the tests' own: threads."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ClassVar, TypeVar

from nerbert.executors import ONE_CORE, Resources

Item = TypeVar("Item")
Result = TypeVar("Result")


class Threads(ThreadPoolExecutor):
    """Runs tasks in threads of this process; `made` are all that were made, with how many tasks each ran."""

    made: ClassVar[list["Threads"]] = []

    def __init__(self, workers: int) -> None:
        super().__init__(workers)
        self.workers, self.tasks, self.left, self.needs = workers, 0, 0, set[Resources]()
        self.made.append(self)

    def map_ordered(
        self, task: Callable[[Item], Result], items: Iterable[Item], needs: Resources = ONE_CORE
    ) -> Iterator[Result]:
        self.needs.add(needs)
        results: deque[Future[Result]] = deque()
        for item in items:
            self.tasks += 1
            results.append(self.submit(task, item))
            if len(results) > 2 * self.workers:
                yield results.popleft().result()
        while results:
            yield results.popleft().result()

    def __exit__(self, *error: object) -> None:
        self.left += 1
        self.shutdown()
