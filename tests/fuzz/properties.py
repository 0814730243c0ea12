"""What holds for any input: one error class, one line without control characters, right offsets, linear growth."""

import math
import re
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TypeVar

from nerbert.errors import NerbertError, visible
from nerbert.records import Document

T = TypeVar("T")


def answer(call: Callable[[], T], *, naming: Sequence[str] = ()) -> T | None:
    """Return what the call returns, or None if it refuses its input as it should: anything else raised is a fault.

    The message must match one of the patterns `naming`: a place.
    """
    try:
        return call()
    except NerbertError as error:
        message = str(error)
    check_message(message)
    assert re.search("|".join(naming), message), f"names no place: {message}"
    return None


def check_message(message: str) -> None:
    """Check that a message is one line of bounded length, in which no character acts on the terminal."""
    assert message
    assert visible(message) == message, f"acts on the terminal: {message!r}"
    assert len(message.splitlines()) == 1, f"several lines: {message!r}"
    assert len(message) <= 1000, f"{len(message)} characters: {message[:200]!r}"


def check_documents(documents: Iterable[Document], *, half_characters: bool = False) -> None:
    """Check that each span lies in its text, isn't empty, and has the text between its offsets.

    Only JSON can hold `half_characters` (`"\\ud83d"`); models read U+FFFD in their place.
    """
    for document in documents:
        document.text.encode(errors="surrogatepass" if half_characters else "strict")
        for span in document.spans:
            assert 0 <= span.start < span.end <= len(document.text), (span, document.text)
            assert span.text == document.text[span.start : span.end], (span, document.text)
            assert span.type
            assert visible(span.type) == span.type, span


def calls_of(run: Callable[[], object]) -> int:
    """Return how many functions, of Python and of C, a call runs: a measure of time that no other program changes."""
    count = 0

    def seen(_frame: object, event: str, _value: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(seen)
    try:
        run()
    finally:
        sys.setprofile(before)
    return count


def seconds_of(run: Callable[[], object], calls: int = 3) -> float:
    """Return the least seconds of the processor of some calls: what regular expressions cost, which are one call."""
    costs = []
    for _ in range(calls):
        start = time.process_time()
        run()
        costs.append(time.process_time() - start)
    return max(1e-4, min(costs))


def peak_of(run: Callable[[], object]) -> int:
    """Return the most bytes that Python's objects take during a call."""
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def exponent(sizes: Sequence[int], costs: Sequence[float]) -> float:
    """Return the power of the size with which a cost grows: the slope of its logarithm, by least squares."""
    x, y = [math.log(size) for size in sizes], [math.log(cost) for cost in costs]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    return sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / sum((a - mean_x) ** 2 for a in x)


def check_growth(
    run: Callable[[int], object],
    sizes: Sequence[int],
    *,
    cost: Callable[[Callable[[], object]], float] = calls_of,
    below: float = 1.2,
) -> None:
    """Check that a call's cost grows with its size by less than this power."""
    costs = [cost(partial(run, size)) for size in sizes]
    assert exponent(sizes, costs) < below, f"of {list(sizes)} it costs {costs}"


def check_seconds(run: Callable[[int], object], sizes: Sequence[int], *, what: object, below: float = 1.4) -> None:
    """Check that a call's seconds of the processor grow by less than this power, in one of three measurements."""
    costs = [[seconds_of(partial(run, size), 1) for size in sizes]]
    while exponent(sizes, costs[-1]) >= below:  # another program may have slowed one
        assert len(costs) < 4, f"{what!r:.500}: of {list(sizes)} it takes {costs}"
        costs.append([seconds_of(partial(run, size)) for size in sizes])
