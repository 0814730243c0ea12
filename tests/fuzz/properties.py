"""What holds for any input: one error class, one line without control characters, right offsets, linear growth."""

import math
import re
import sys
import time
import tracemalloc
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from nerbert.errors import NerbertError
from nerbert.records import Document

T = TypeVar("T")


def answer(call: Callable[[], T], place: str = "") -> T | None:
    """Return what the call returns, or None if it refuses its input as it should: anything else raised is a fault.

    The message of a refusal must begin with a match of the pattern `place`.
    """
    try:
        return call()
    except NerbertError as error:
        refusal = str(error)
    check_message(refusal)
    assert re.match(place, refusal), f"no place: {refusal}"
    return None


def check_message(message: str) -> None:
    """Check that a message is one printable line of bounded length."""
    assert message
    assert _is_harmless(message), f"not a printable line: {message!r}"
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
            assert _is_harmless(span.type), span


def _is_harmless(text: str) -> bool:
    """Return whether no character ends a line, controls a terminal or changes the direction of writing."""
    return not any(
        unicodedata.category(each) in ("Cc", "Cs", "Zl", "Zp")
        or unicodedata.bidirectional(each) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
        for each in text
    )


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


def seconds_of(run: Callable[[], object]) -> float:
    """Return the least seconds of the processor of three calls: what regular expressions cost, which are one call."""
    costs = []
    for _ in range(3):
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
