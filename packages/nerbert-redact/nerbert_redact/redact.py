"""Redact entities: pure functions from a text and its entities to a text without them, and back.

Texts are compared word by word, without case, white space, invisible characters, and the signs that join words of
letters. Cost: a repeat in another spelling isn't found.
"""

import hashlib
import hmac
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import pairwise
from operator import attrgetter
from typing import Any, NamedTuple, TypeAlias

import regex

from nerbert.errors import InputError
from nerbert.records import Span
from nerbert.words import WORD_EACH

REPLACE, MASK, HASH = "replace", "mask", "hash"
WAYS = (REPLACE, MASK, HASH)
"""Replacements for an entity: its type with a number, a block for each character, its type with a keyed hash."""
SHORTEST_KEY = 16
"""Minimum bytes of a key."""
Pseudonym: TypeAlias = Callable[[str, str, str], str]
"""(Type, name, text there, which may be a part of the name) → text that replaces the entity."""
_HEX_DIGITS, _BLOCK = 12, "█"
_WORD = regex.compile(rf"[[\p{{L}}\p{{M}}\p{{N}}]--{WORD_EACH}]++|{WORD_EACH}\p{{M}}*+|\S", regex.VERSION1)
"""A run of letters and digits (an underscore ends it), a character of a script without spaces, or another character."""
_ASCII_WORD = re.compile(r"[A-Za-z0-9]++|\S", re.ASCII)
"""The same in ASCII, several times faster."""
_INVISIBLE = regex.compile(r"[\p{Cf}\p{Default_Ignorable_Code_Point}]++")
_SIGNS = str.maketrans(dict.fromkeys("‘’‛ʹʻʼˈ′´＇", "'") | dict.fromkeys("‐‑‒–—―−﹣－", "-") | {"ı": "i"})
"""Apostrophes, hyphens and the dotless i, each as one character."""
_CASE_MARKS = re.compile("(?<=i)\u0307|(?<=[\u0370-\u03ff])\u0301")
"""Marks that other cases lack: the dot of the Turkish capital i, Greek accents."""
_JOINER = regex.compile(r"[\p{Pd}−._]")
_JOINED = regex.compile(r"(?<=\p{L}\p{M}*)[\p{Pd}−._](?=\p{L})|(?<=(?<![\p{L}\p{M}\p{N}])\p{L})\.")
"""A sign that joins letters, and the full stop of an initial."""
_EDGE = 200
"""Maximum characters of a line that can belong to a name that a line break cuts."""
_PLACEHOLDER = re.compile(r"(?=(\[.{1,99}? \d{1,9}\]))")


class Replaced(NamedTuple):
    """A replaced span, at `start` in the redacted text; `marked`: the tagger found it; `name`: the whole name."""

    start: int
    pseudonym: str
    original: str
    type: str
    marked: bool
    name: str


class Redacted(NamedTuple):
    """A redacted text, and what was replaced in it, in order."""

    text: str
    replaced: tuple[Replaced, ...]


class Region(NamedTuple):
    """A span to redact; `longest` is the length of the entity that gave the type, `name` the name it belongs to."""

    start: int
    end: int
    type: str
    marked: bool
    longest: int
    name: str = ""


def _words(text: str) -> list[tuple[int, int, str]]:
    """Return the words in the form that is compared, with their offsets.

    Signs that join words of letters (`Mary-Ann`, `anna.berg@…`, `Anna_Berg`), or end an initial, don't count as words.
    """
    if text.isascii():
        words = [(*match.span(), match[0].lower()) for match in _ASCII_WORD.finditer(text)]
    else:
        seen = _INVISIBLE.sub("", text).translate(_SIGNS)
        places = (
            range(len(text))
            if len(seen) == len(text)
            else [index for index, char in enumerate(text) if not _INVISIBLE.match(char)]
        )
        words = [
            (places[match.start()], places[match.end() - 1] + 1, _fold_word(match[0])) for match in _WORD.finditer(seen)
        ]
    joiners = {match.end() for match in _JOINED.finditer(text)} if _JOINER.search(text) else ()
    return [word for word in words if word[2] not in ".-_" or word[1] not in joiners]


def _fold_word(word: str) -> str:
    return unicodedata.normalize("NFC", _CASE_MARKS.sub("", unicodedata.normalize("NFD", word.casefold())))


def fold_text(text: str) -> str:
    """Return a text in the form that is compared: its words without case, separated by single spaces."""
    return " ".join(word for *_, word in _words(text))


class FoundNames:
    """The texts of the entities of a document, to find their repeats; a repeat has the type of the first one."""

    def __init__(self, spans: Iterable[tuple[str, str]] = ()) -> None:
        self._types: dict[tuple[str, ...], str] = {}
        self._lengths: dict[str, set[int]] = {}
        for text, type_ in spans:
            self.add(text, type_)

    def add(self, text: str, type_: str) -> None:
        """Add the text of an entity; one without a letter or digit is left out, because its repeats mean nothing."""
        words = tuple(word for *_, word in _words(text))
        if any(map(str.isalnum, "".join(words))):
            self._types.setdefault(words, type_)
            self._lengths.setdefault(words[0], set()).add(len(words))

    def find(self, text: str) -> Iterator[tuple[int, int, str]]:
        """Yield start, end and type of each occurrence of the words of an entity; they may overlap."""
        if not self._types:
            return
        words = _words(text)
        for index, (start, _, first) in enumerate(words):
            for length in self._lengths.get(first, ()):
                part = words[index : index + length]
                if (type_ := self._types.get(tuple(word for *_, word in part))) is not None:
                    yield start, part[-1][1], type_

    def find_cut(self, before: str, after: str) -> tuple[list[Region], list[Region]]:
        """Return the parts, in two consecutive lines, of names that the line break cuts."""
        first = list[Region]()
        second = list[Region]()
        skipped = max(0, len(before) - _EDGE)
        edge = f"{before[-_EDGE:]}\n"
        for start, end, type_ in self.find(edge + after[:_EDGE]):
            if start < len(edge) - 1 and len(edge) < end:
                name = f"{edge}{after}"[start:end]
                facts = type_, False, len(name), name
                first.append(Region(start + skipped, len(before.rstrip()), *facts))
                second.append(Region(len(after) - len(after.lstrip()), end - len(edge), *facts))
        return first, second


def redact(
    text: str, spans: Iterable[Span], names: FoundNames, pseudonym: Pseudonym, parts: Iterable[Region] = ()
) -> Redacted:
    """Return a text whose entities, the repeats of `names`, and the `parts` of names are replaced.

    The union of overlapping entities is replaced, with the type of the longest.
    """
    marked = _join_regions(Region(span.start, span.end, span.type, True, span.end - span.start) for span in spans)
    gaps = [0, *(border for region in marked for border in region[:2]), len(text)]
    repeats = list(names.find(text))
    for start, end in list(pairwise(gaps))[::2]:  # the rest of a word that an entity cuts may be a name, too
        if marked:
            repeats += [(start + first, start + last, type_) for first, last, type_ in names.find(text[start:end])]
    regions = [Region(*row, False, row[1] - row[0]) for row in repeats]
    pieces = list[str]()
    replaced = list[Replaced]()
    done = 0
    size = 0
    for region in _join_regions([*marked, *regions, *parts]):
        original = text[region.start : region.end]
        gap = text[done : region.start]
        name = region.name or original
        new = pseudonym(region.type, name, original)
        replaced.append(Replaced(size + len(gap), new, original, region.type, region.marked, name))
        pieces += [gap, new]
        done = region.end
        size = size + len(gap) + len(new)
    return Redacted("".join([*pieces, text[done:]]), tuple(replaced))


def _join_regions(regions: Iterable[Region]) -> list[Region]:
    """Return the regions, in order, with overlapping ones joined."""
    joined = list[Region]()
    for region in sorted(regions, key=lambda region: (region.start, -region.end)):
        if joined and region.start < joined[-1].end:
            last = joined.pop()
            best = max(last, region, key=attrgetter("longest"))
            end = max(last.end, region.end)
            joined.append(Region(last.start, end, best.type, last.marked or region.marked, *best[4:]))
        else:
            joined.append(region)
    return joined


def redact_value(value: Any, names: FoundNames, pseudonym: Pseudonym) -> Any:
    """Return a JSON value without the texts of `names`: in texts, keys and numbers."""
    if isinstance(value, dict):
        return {
            redact_value(key, names, pseudonym): redact_value(item, names, pseudonym) for key, item in value.items()
        }
    if isinstance(value, list):
        return [redact_value(item, names, pseudonym) for item in value]
    if value is None or isinstance(value, bool):
        return value
    redacted = redact(f"{value}", (), names, pseudonym)
    return redacted.text if redacted.replaced else value


def restore(text: str, replaced: Iterable[tuple[int, str, str]]) -> str:
    """Return the text before it was redacted; `replaced` has start, pseudonym and original, in order.

    Raise InputError if a pseudonym is not at its place.
    """
    parts = list[str]()
    done = 0
    for start, pseudonym, original in replaced:
        end = start + len(pseudonym)
        if start < done or text[start:end] != pseudonym:
            raise InputError(f"character {start} should begin {pseudonym!r:.60}; the text isn't the one of the map")
        parts += [text[done:start], original]
        done = end
    return "".join([*parts, text[done:]])


class EditedText:
    """Restores `originals`, by pseudonym, in edited texts; `seen` has the pseudonyms that were found.

    `replaced` has start, pseudonym and original. Raise InputError for a pseudonym of several names.
    """

    def __init__(self, replaced: Iterable[tuple[int, str, str]]) -> None:
        self.originals = dict[str, str]()
        self.seen = set[str]()
        for _, pseudonym, original in replaced:
            other = fold_text(self.originals.setdefault(pseudonym, original)) != fold_text(original)
            if other or pseudonym.startswith(_BLOCK):
                raise InputError(f"{pseudonym:.60} may stand for several names, so an edited text can't be restored")
        self._pseudonym = re.compile("|".join(map(re.escape, self.originals)) or "(?!)")

    def restore(self, text: str) -> str:
        """Return a text with the original, as it was first written, in place of each pseudonym."""
        self.seen.update(self._pseudonym.findall(text))
        return self._pseudonym.sub(lambda match: self.originals[match[0]], text)


def find_placeholders(text: str) -> set[str]:
    """Return the parts of a text that could be pseudonyms of `number_names`."""
    return set(_PLACEHOLDER.findall(text)) if "[" in text else set()


def number_names(taken: Collection[str] = ()) -> Pseudonym:
    """Return pseudonyms like `[person 1]` for one document, except those `taken`; a name of a type has one number."""
    names = dict[tuple[str, str], str]()
    last = Counter[str]()

    def make(type_: str, name: str, _: str) -> str:
        key = type_, fold_text(name)
        while key not in names:
            last[type_] += 1
            if (new := f"[{' '.join(type_.split())} {last[type_]}]") not in taken:
                names[key] = new
        return names[key]

    return make


def mask_text(_: str, __: str, text: str) -> str:
    """Return a text of the same length, with a block for each character but white space."""
    return re.sub(r"\S", _BLOCK, text)


def hash_names(key: bytes) -> Pseudonym:
    """Return pseudonyms like `[person 3f2a9c1b7d20]`: the first 48 bits of HMAC-SHA256 (RFC 2104) of the text, as in
    `fold_text`. Raise InputError for a key of fewer than `SHORTEST_KEY` bytes.
    """
    if len(key) < SHORTEST_KEY:
        raise InputError(f"the key has {len(key)} bytes; it needs at least {SHORTEST_KEY} (openssl rand -hex 32)")

    def make(type_: str, name: str, _: str) -> str:
        digest = hmac.new(key, fold_text(name).encode("utf-8", "surrogatepass"), hashlib.sha256)
        return f"[{' '.join(type_.split())} {digest.hexdigest()[:_HEX_DIGITS]}]"

    return make
