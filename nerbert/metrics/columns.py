"""Two taggings of the same words as columns of entities: a fast decoder, and comparisons on its output.

There are two decoders. `labels.spans_from_bio` reads one sentence and defines what BIO means here. This one reads all
sentences of a test set at once and must agree with it (a property test checks both). Python handles a tag only when it
first occurs; the rest is numpy on one number per word. For one sentence this would be slower.

Positions count words over all sentences, so an entity's position also determines its sentence. Entities of one tagging
never overlap and are sorted, which makes every comparison a search in sorted numbers.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import numpy.typing as npt

from nerbert.errors import InputError
from nerbert.labels import OUTSIDE, WordSpan, split_tag

Numbers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Columns:
    """Entities `[start, end)` in words over all sentences, with type numbers; `opened`: whether B- begins them."""

    starts: Numbers
    ends: Numbers
    types: Numbers
    opened: Mask

    def where(self, mask: Mask) -> "Columns":
        """Return the entities that the mask keeps."""
        return Columns(self.starts[mask], self.ends[mask], self.types[mask], self.opened[mask])

    def within(self, other: "Columns", *, typed: bool = True) -> Mask:
        """Return for each entity whether the other tagging has it too; unless `typed`, its type may differ."""
        if not other.starts.size:
            return np.zeros(self.starts.size, bool)
        place = np.minimum(np.searchsorted(other.starts, self.starts), other.starts.size - 1)
        same: Mask = (other.starts[place] == self.starts) & (other.ends[place] == self.ends)
        if typed:
            same &= other.types[place] == self.types
        return same


@dataclass(frozen=True, slots=True)
class Pair:
    """Gold and predicted entities of the same sentences; `types` has their names, `offsets` the sentences' starts."""

    types: tuple[str, ...]
    offsets: Numbers
    gold: Columns
    found: Columns

    @property
    def sentences(self) -> int:
        """Number of sentences."""
        return self.offsets.size - 1

    def strict(self) -> "Pair":
        """Return the pair by strict IOB2: an entity that no B- opens is none."""
        return replace(self, gold=self.gold.where(self.gold.opened), found=self.found.where(self.found.opened))

    def sentence_of(self, columns: Columns) -> Numbers:
        """Return the number of each entity's sentence."""
        return np.searchsorted(self.offsets, columns.starts, side="right") - 1

    def spans(self, columns: Columns) -> list[WordSpan]:
        """Return the entities as `(start, end, type)`, positions over all sentences."""
        rows = zip(columns.starts.tolist(), columns.ends.tolist(), columns.types.tolist(), strict=True)
        return [(start, end, self.types[type_]) for start, end, type_ in rows]


def pair_of(gold: Iterable[Iterable[str]], found: Iterable[Iterable[str]]) -> Pair:
    """Decode two taggings; raise InputError for a bad tag, or for different sentences or words."""
    gold, found = _sentences("gold", gold), _sentences("predicted", found)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(_lengths(gold))])
    check_lengths(offsets, "predicted", found)
    codes = _Codes()
    numbers = [_numbers(name, each, codes, int(offsets[-1])) for name, each in (("gold", gold), ("predicted", found))]
    return Pair(("", *codes.types), offsets, *(decode_columns(each, offsets) for each in numbers))


def check_lengths(offsets: Numbers, what: str, other: Sequence[Sequence[object]]) -> None:
    """Raise InputError unless `other` has as many items in each sentence as there are gold tags."""
    gold = np.diff(offsets)
    if gold.size != len(other):
        raise InputError(f"{gold.size} gold sentences, {len(other)} {what}: score the same sentences")
    lengths = _lengths(other)
    if (wrong := np.flatnonzero(gold != lengths)).size:
        place = int(wrong[0])
        raise InputError(f"sentence {place}: {gold[place]} gold tags, {lengths[place]} {what}: score the same words")


def _lengths(sentences: Sequence[Sequence[object]]) -> Numbers:
    return np.fromiter(map(len, sentences), np.int64, len(sentences))


def _sentences(name: str, sentences: Iterable[Iterable[str]]) -> list[Sequence[str]]:
    try:
        return [each if isinstance(each, (list, tuple)) else list(each) for each in sentences]
    except TypeError as error:
        raise InputError(f"{name}: must be one list of tags a sentence: {error}") from error


class _Codes(dict[str, int]):
    """Tag → number: 0 is O, 2k is B- and 2k + 1 is I- of type k. A tag is split when it first occurs."""

    def __init__(self) -> None:
        super().__init__()
        self.types: dict[str, int] = {}

    def __missing__(self, tag: str) -> int:
        prefix, type_ = split_tag(tag)
        number = 0 if prefix == OUTSIDE else self.types.setdefault(type_, len(self.types) + 1)
        return self.setdefault(tag, 2 * number + (prefix == "I"))


def _numbers(name: str, sentences: Sequence[Sequence[str]], codes: _Codes, words: int) -> npt.NDArray[np.int32]:
    try:
        return np.fromiter(map(codes.__getitem__, chain.from_iterable(sentences)), np.int32, words)
    except (InputError, TypeError):
        _name_bad_tag(name, sentences)
        raise


def _name_bad_tag(name: str, sentences: Sequence[Sequence[str]]) -> None:
    """Find the first bad tag again, and raise an error with its position."""
    for number, sentence in enumerate(sentences):
        for place, tag in enumerate(sentence):
            try:
                split_tag(tag)
            except InputError as error:
                raise InputError(f"{name}, sentence {number}, word {place}: {error}") from None


def decode_columns(codes: npt.NDArray[np.int32], offsets: Numbers) -> Columns:
    """Decode the tag numbers of all sentences, whose words begin at `offsets`.

    The numbers are those of `_Codes`. By the CoNLL script's rules, a word continues an entity if its tag is I- of the
    same type as the word before.
    """
    first = np.zeros(codes.size + 1, bool)
    first[offsets] = True
    words = np.flatnonzero(codes)
    tags, types = codes[words], codes[words] >> 1
    goes_on = (tags & 1).astype(bool) & ~first[words]
    goes_on[1:] &= (types[1:] == types[:-1]) & (words[1:] == words[:-1] + 1)
    goes_on[:1] = False
    begin = np.flatnonzero(~goes_on)
    last = np.concatenate([begin[1:] - 1, np.full(min(1, words.size), words.size - 1)])
    return Columns(words[begin], words[last] + 1, types[begin].astype(np.int64), tags[begin] % 2 == 0)
