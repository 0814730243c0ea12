"""Redact entities: pure functions from a text and its entities to a text without them, and back.

Texts are compared word by word, without case and white space. Cost: a repeat in another spelling isn't found.
"""

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias

import regex

from nerbert.errors import InputError
from nerbert.records import Span
from nerbert.words import WORD_EACH

REPLACE, MASK, HASH = "replace", "mask", "hash"
WAYS = (REPLACE, MASK, HASH)
"""What an entity becomes: its type with a number, a block for each character, its type with a keyed hash."""
SHORTEST_KEY = 16
"""Minimum bytes of a key."""
Pseudonym: TypeAlias = Callable[[str, str], str]
"""Returns what replaces an entity of a type and a text."""
_HEX_DIGITS, _BLOCK = 12, "█"
_WORD = regex.compile(
    rf"[[\p{{L}}\p{{M}}\p{{N}}]--{WORD_EACH}]++|{WORD_EACH}\p{{M}}*+|\S", regex.VERSION1
)  # fmt: skip
"""A run of letters and digits (an underscore ends it), a character of a script without spaces, or another character."""
_ASCII_WORD = re.compile(r"[A-Za-z0-9]++|\S", re.ASCII)
"""The same in ASCII, several times faster."""


class Replaced(NamedTuple):
    """A stretch that was replaced: `start` is its place in the redacted text; `marked`: the tagger found it."""

    start: int
    pseudonym: str
    original: str
    type: str
    marked: bool


class Redacted(NamedTuple):
    """A redacted text, and what was replaced in it, in order."""

    text: str
    replaced: tuple[Replaced, ...]


class _Region(NamedTuple):
    """A stretch to redact; `longest` is the length of the entity that gave the type."""

    start: int
    end: int
    type: str
    marked: bool
    longest: int


def _words(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield the words with their places, without case."""
    for found in (_ASCII_WORD if text.isascii() else _WORD).finditer(text):
        yield *found.span(), unicodedata.normalize("NFC", found[0].casefold())


def folded(text: str) -> str:
    """Return a text as it is compared: its words without case, separated by single spaces."""
    return " ".join(word for *_, word in _words(text))


class FoundNames:
    """The texts of the entities of a document, to find their repeats; a repeat has the type of the first one."""

    def __init__(self, spans: Iterable[tuple[str, str]] = ()) -> None:
        self._types: dict[tuple[str, ...], str] = {}
        self._lengths: dict[str, set[int]] = {}
        for text, type_ in spans:
            self.add(text, type_)

    def add(self, text: str, type_: str) -> None:
        """Add the text of an entity; one without a letter or digit is left out, as its repeats say nothing."""
        words = tuple(word for *_, word in _words(text))
        if any(map(str.isalnum, "".join(words))):
            self._types.setdefault(words, type_)
            self._lengths.setdefault(words[0], set()).add(len(words))

    def find(self, text: str) -> Iterator[tuple[int, int, str]]:
        """Yield start, end and type of each place that has the words of an entity; they may overlap."""
        if not self._types:
            return
        words = list(_words(text))
        for place, (start, _, first) in enumerate(words):
            for length in self._lengths.get(first, ()):
                here = words[place : place + length]
                if (type_ := self._types.get(tuple(word for *_, word in here))) is not None:
                    yield start, here[-1][1], type_


def redact(text: str, spans: Iterable[Span], names: FoundNames, pseudonym: Pseudonym) -> Redacted:
    """Return a text whose entities, and the repeats of `names`, are replaced.

    Of entities that overlap the union is replaced, with the type of the longest.
    """
    marked = _union(_Region(each.start, each.end, each.type, True, each.end - each.start) for each in spans)
    gaps = [0, *(place for each in marked for place in (each.start, each.end)), len(text)]
    repeats = list(names.find(text))
    for start, end in list(pairwise(gaps))[::2]:  # what an entity leaves of a word that it cuts may be a name, too
        if marked:
            repeats += [(start + first, start + last, type_) for first, last, type_ in names.find(text[start:end])]
    parts, replaced, done, size = list[str](), list[Replaced](), 0, 0
    for each in _union([*marked, *(_Region(*one, False, one[1] - one[0]) for one in repeats)]):
        original, before = text[each.start : each.end], text[done : each.start]
        new = pseudonym(each.type, original)
        replaced.append(Replaced(size + len(before), new, original, each.type, each.marked))
        parts += [before, new]
        done, size = each.end, size + len(before) + len(new)
    return Redacted("".join([*parts, text[done:]]), tuple(replaced))


def _union(regions: Iterable[_Region]) -> list[_Region]:
    """Return the regions, in order, those that overlap as one."""
    found = list[_Region]()
    for each in sorted(regions, key=lambda one: (one.start, -one.end)):
        if found and each.start < found[-1].end:
            last = found.pop()
            best = each if each.longest > last.longest else last
            each = last._replace(  # noqa: PLW2901
                end=max(last.end, each.end), type=best.type, marked=last.marked or each.marked, longest=best.longest
            )
        found.append(each)
    return found


def redact_value(value: Any, names: FoundNames, pseudonym: Pseudonym) -> Any:
    """Return a JSON value without the texts of `names`: in texts, keys and numbers."""
    if isinstance(value, dict):
        return {redact_value(key, names, pseudonym): redact_value(each, names, pseudonym)
                for key, each in value.items()}  # fmt: skip
    if isinstance(value, list):
        return [redact_value(each, names, pseudonym) for each in value]
    if value is None or isinstance(value, bool):
        return value
    redacted = redact(f"{value}", (), names, pseudonym)
    return redacted.text if redacted.replaced else value


def restore(text: str, replaced: Iterable[tuple[int, str, str]]) -> str:
    """Return the text before it was redacted; `replaced` has start, pseudonym and original, in order.

    Raise InputError if a pseudonym is not at its place.
    """
    parts, done = list[str](), 0
    for start, pseudonym, original in replaced:
        end = start + len(pseudonym)
        if start < done or text[start:end] != pseudonym:
            raise InputError(f"character {start} should begin {pseudonym!r:.60}; the text isn't the one of the map")
        parts += [text[done:start], original]
        done = end
    return "".join([*parts, text[done:]])


class EditedText:
    """Puts `originals`, by pseudonym, into texts that were edited, wherever a pseudonym stands; `seen` has those found.

    `replaced` has start, pseudonym and original. Raise InputError for a pseudonym that doesn't tell names apart.
    """

    def __init__(self, replaced: Iterable[tuple[int, str, str]]) -> None:
        self.originals, self.seen = dict[str, str](), set[str]()
        for _, pseudonym, original in replaced:
            other = folded(self.originals.setdefault(pseudonym, original)) != folded(original)
            if other or pseudonym.startswith(_BLOCK):
                raise InputError(f"{pseudonym:.60} may stand for several names, so an edited text can't be restored")
        self._pseudonym = re.compile("|".join(map(re.escape, self.originals)) or "(?!)")

    def restore(self, text: str) -> str:
        """Return a text with the original, as it was first written, in place of each pseudonym."""
        self.seen.update(self._pseudonym.findall(text))
        return self._pseudonym.sub(lambda found: self.originals[found[0]], text)


def numbered() -> Pseudonym:
    """Return pseudonyms like `[person 1]` for one document: the same number for the same text of a type."""
    numbers: dict[str, dict[str, int]] = {}

    def name(type_: str, text: str) -> str:
        own = numbers.setdefault(type_, {})
        return f"[{_clean(type_)} {own.setdefault(folded(text), len(own) + 1)}]"

    return name


def masked(_: str, text: str) -> str:
    """Return a text of the same length, with a block for each character but white space."""
    return re.sub(r"\S", _BLOCK, text)


def keyed(key: bytes) -> Pseudonym:
    """Return pseudonyms like `[person 3f2a9c1b7d20]`: the first 48 bits of HMAC-SHA256 (RFC 2104) of the text as it is
    compared. Raise InputError for a key of fewer than `SHORTEST_KEY` bytes.
    """
    if len(key) < SHORTEST_KEY:
        raise InputError(f"the key has {len(key)} bytes; it needs at least {SHORTEST_KEY} (openssl rand -hex 32)")

    def name(type_: str, text: str) -> str:
        digest = hmac.new(key, folded(text).encode("utf-8", "surrogatepass"), hashlib.sha256)
        return f"[{_clean(type_)} {digest.hexdigest()[:_HEX_DIGITS]}]"

    return name


def _clean(type_: str) -> str:
    return " ".join(type_.split())
