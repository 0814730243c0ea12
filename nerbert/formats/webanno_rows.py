"""Rows and escapes of WebAnno TSV 3. Texts and feature values have escapes of their own, tokens have none."""

import re
from collections import deque
from collections.abc import Iterator

from nerbert.errors import InputError
from nerbert.records import Example
from nerbert.words import split_words, whole_words

_VALUE_ESCAPE, _VALUE_SPECIAL = re.compile(r"\\(->|[\\\[\]|_;*tn])"), re.compile(r"->|[\\\[\]|_;*\t\n]")
_TEXT_ESCAPE, _TEXT_SPECIAL = re.compile(r"\\([tnfrb\\\x00-\x07\x0e-\x1f])"), re.compile(r"[\\\x00-\x0a\x0c-\x1f]")
_JAVA_ESCAPE = re.compile(r"\\(?:u+([0-9A-Fa-f]{4})|(.))")
_SHORT = {"t": "\t", "n": "\n", "f": "\f", "r": "\r", "b": "\b"}
_LONG = {char: letter for letter, char in _SHORT.items()}
_BREAKS = re.compile(r"[\t\r\n]")


def all_words(example: Example) -> list[tuple[int, int]]:
    """Return the words of a sentence, and those of the text before and behind them, which has no other place."""
    first, last = example.words[0][0], example.words[-1][1]
    before, behind = whole_words(Example(example.text[:first], ())).words, split_words(example.text[last:])
    return [*before, *example.words, *((last + start, last + end) for start, end in behind)]


def token_rows(
    example: Example, words: list[tuple[int, int]], prefix: str, place: int, annotations: int
) -> Iterator[str]:
    """Yield the rows of a sentence whose first word begins at `place`, after so many annotations."""
    reached = words[0][0]
    spans = deque(enumerate(sorted(example.spans, key=lambda span: span.start), annotations + 1))
    for count, (start, end) in enumerate(words, 1):
        token = example.text[start:end]
        if _BREAKS.search(token):
            raise InputError(f"word {token!r:.60} holds a tab or the end of a line, which TSV can't; choose jsonl")
        begin = place + utf16_units(example.text[reached:start])
        place, reached = begin + utf16_units(token), end
        while spans and spans[0][1].end <= start:
            spans.popleft()
        columns = "_\t_"
        if spans and spans[0][1].start < end:
            key, span = spans[0]
            mark = "" if (span.start, span.end) == (start, end) else f"[{key}]"
            columns = f"*{mark}\t{_VALUE_SPECIAL.sub(_value_escape, span.type)}{mark}"
        yield f"{prefix}{count}\t{begin}-{place}\t{token}\t{columns}\t\n"


def utf16_units(text: str) -> int:
    """Return how many UTF-16 units a text has."""
    return len(text) + sum(char > "\uffff" for char in text)


def _value_escape(found: re.Match[str]) -> str:
    return "\\" + ({"\t": "t", "\n": "n"}.get(found[0]) or found[0])


def plain_value(value: str) -> str:
    """Return a feature's value without escapes."""
    return _VALUE_ESCAPE.sub(lambda found: {"t": "\t", "n": "\n"}.get(found[1]) or found[1], value)


def escaped_text(text: str) -> str:
    """Return a line of text with control characters and backslashes escaped."""
    return _TEXT_SPECIAL.sub(lambda found: "\\" + _LONG.get(found[0], found[0]), text)


def plain_text(text: str, version: int) -> str:
    """Return a text without escapes, which were those of Java up to version 3.1."""
    if version > 1:
        return _TEXT_ESCAPE.sub(lambda found: _SHORT.get(found[1], found[1]), text)

    def char(found: re.Match[str]) -> str:
        return chr(int(found[1], 16)) if found[1] else _SHORT.get(found[2], found[2])

    return _JAVA_ESCAPE.sub(char, text).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
