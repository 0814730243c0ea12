"""Examples in, logits of every word out: what validation, evaluation, calibration and the tagger share.

The choice: whatever computes logits is a function of a padded batch (`Scorer`), so this module knows no torch, and a
tagger on another back end cuts, batches and reads off in the same way. Words of many examples stand in one row, which
keeps Python out of what is done for each word. A stretch of thousands of words without a sentence's end is tokenised
in overlapping parts, each read off in its middle, so memory follows the words and not the square of anything.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from nerbert.errors import InputError
from nerbert.model.padding import Padded, micro_batches, padded
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.model.windows import Windows, chosen
from nerbert.records import Example
from nerbert.rng import Array

MAX_TOKENS = 8192
"""Largest micro-batch, padding included, where nothing better is known."""
_STRETCH, _MARGIN = 4096, 512
"""Words of a sentence that are tokenised together, and how many of them on either side are read off elsewhere."""


class Scorer(Protocol):
    """A model on some back end: a padded batch → (terms, classes) fp32 logits at its rows and columns."""

    def __call__(self, batch: Padded, /) -> Array:
        """The logits."""


@dataclass(frozen=True, slots=True)
class WordScores:
    """What a model says of the words of some examples, which stand in one row.

    `offsets` (examples + 1,) says where each example's words begin. `logits` (read, classes) are of the words `read`
    (read,), rising; `followers` are words that share the piece of the word before. All other words got no piece.
    """

    offsets: Array
    read: Array
    logits: Array
    followers: Array

    @property
    def words(self) -> int:
        """Of all examples."""
        return int(self.offsets[-1])


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Some words of an example from number `first` on; those in [begin, end) of the example are read off here."""

    number: int
    first: int
    begin: int
    end: int
    example: Example


def word_scores(
    scorer: Scorer, pieces: SubwordTokenizer, examples: Sequence[Example], classes: int, max_tokens: int = MAX_TOKENS
) -> WordScores:
    """The logits of all words of some examples; `max_tokens` bounds a micro-batch, padding included."""
    parts = [part for number, example in enumerate(examples) for part in _parts(number, example)]
    windows = Windows.pack(pieces.windows([part.example for part in parts]))
    logits = _logits(scorer, windows, pieces.pad_id, classes, max_tokens)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum([len(each.words) for each in examples], dtype=np.int64)])
    part_of = np.repeat(windows.sentences, np.diff(windows.word_ends, prepend=0))
    number, first, begin, end = _columns(parts)
    inside = windows.words + first[part_of]
    kept = (begin[part_of] <= inside) & (inside < end[part_of])
    follows = _same_piece(windows)
    places = inside + offsets[number[part_of]]
    own = kept & ~follows
    return WordScores(offsets, places[own], logits[own], places[kept & follows])


def _parts(number: int, example: Example) -> Iterator[_Stretch]:
    """An example as it is; one of very many words in overlapping parts."""
    count = len(example.words)
    if count <= _STRETCH:
        yield _Stretch(number, 0, 0, count, example)
        return
    for begin in range(0, count, _STRETCH - 2 * _MARGIN):
        end = min(begin + _STRETCH - 2 * _MARGIN, count)
        first, last = max(0, begin - _MARGIN), min(end + _MARGIN, count)
        start = example.words[first][0]
        words = tuple((a - start, b - start) for a, b in example.words[first:last])
        yield _Stretch(number, first, begin, end, Example(example.text[start : start + words[-1][1]], words))


def _columns(parts: Sequence[_Stretch]) -> tuple[Array, Array, Array, Array]:
    rows = [(part.number, part.first, part.begin, part.end) for part in parts]
    number, first, begin, end = np.array(rows, np.int64).reshape(len(rows), 4).T
    return number, first, begin, end


def _logits(scorer: Scorer, windows: Windows, pad_id: int, classes: int, max_tokens: int) -> Array:
    """(words of the windows, classes), in their order."""
    logits = np.zeros((len(windows.words), classes), np.float32)
    terms = np.arange(len(windows.words))
    for group in micro_batches(windows.lengths, max_tokens):
        numbers = np.array(group)
        logits[chosen(terms, windows.word_ends, numbers)[0]] = scorer(padded(windows, numbers, pad_id))
    if not np.isfinite(logits).all():
        raise InputError("the model's logits are no numbers: its weights are damaged, or its precision is too low")
    return logits


def _same_piece(windows: Windows) -> Array:
    """(words,): whether a word shares the piece of the word before it in its window."""
    same = np.zeros(len(windows.positions), bool)
    same[1:] = windows.positions[1:] == windows.positions[:-1]
    same[windows.word_ends[windows.word_ends < len(same)]] = False
    return same
