"""Logits of words → tags and their probabilities: greedily, or as the best path of legal BIO tags.

The choice: a tag is a number, as in `metrics.columns` (0 is O, 2k is B- and 2k + 1 is I- of type k), and all examples
are decoded at once. Where the most probable tags are legal they are the best legal path too, so the search (Viterbi
1967) runs over the others alone, and over classes, not pairs of them: only B-x and I-x may come before I-x. A
temperature divides all logits alike, so it changes probabilities and never a path.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nerbert.config import check
from nerbert.labels import OUTSIDE, split_tag
from nerbert.metrics.columns import Columns, decode_columns
from nerbert.model.predict import MAX_TOKENS, Scorer, WordScores, word_scores
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.records import Example
from nerbert.rng import Array

_CHUNK = 1000
"""Examples whose logits are held at once."""


def check_decoding(name: str) -> str:
    """Return `name` if it is a way to choose tags; else raise SettingsError."""
    return str(check("decoding", name, Literal["legal", "greedy"]))


@dataclass(frozen=True, slots=True)
class WordTags:
    """Tags of one sentence's words with their probabilities (0–1).

    A word without a piece is O with 1; one that shares the piece of the word before it continues that one's entity.
    """

    tags: list[str]
    confidences: list[float]


class TagClasses:
    """The classes of a head: their numbers, and what may follow what."""

    def __init__(self, names: Sequence[str]) -> None:
        parts = [split_tag(name) for name in names]
        self.types = ("", *sorted({type_ for _, type_ in parts if type_}))
        number = {type_: place for place, type_ in enumerate(self.types)}
        self.codes = np.array([2 * number[type_] + (prefix == "I") for prefix, type_ in parts], np.int32)
        self.tags = [OUTSIDE, OUTSIDE, *(f"{prefix}-{type_}" for type_ in self.types[1:] for prefix in "BI")]
        self._inside = np.flatnonzero(self.codes & 1)
        of_code = {int(code): place for place, code in enumerate(self.codes)}
        self._begin = np.array([of_code.get(int(code) - 1, -1) for code in self.codes[self._inside]], np.int64)

    def best(self, logits: Array, linked: Array) -> Array:
        """(words,): the class of each word on the best legal path; `linked`: whether an entity may reach it."""
        greedy: Array = logits.argmax(1)
        bad = self._illegal(greedy, linked)
        if not bad.any():
            return greedy
        begins = np.flatnonzero(~linked)
        ends = np.append(begins[1:], len(linked))
        for chain in np.unique(np.searchsorted(begins, np.flatnonzero(bad), side="right") - 1):
            here = slice(begins[chain], ends[chain])
            greedy[here] = self._search(logits[here])
        return greedy

    def _illegal(self, classes: Array, linked: Array) -> Array:
        codes = self.codes[classes]
        before = np.concatenate([np.zeros(1, codes.dtype), codes[:-1]])
        illegal: Array = (codes & 1).astype(bool) & ~(linked & (codes >> 1 == before >> 1))
        return illegal

    def _search(self, logits: Array) -> Array:
        """The best legal path through one chain of words."""
        total = logits[0].astype(np.float64)
        total[self._inside] = -np.inf
        back = np.zeros(logits.shape, np.int64)
        for word in range(1, len(logits)):
            back[word] = total.argmax()
            came = np.full(len(total), total.max())
            inside, begin = total[self._inside], np.where(self._begin >= 0, total[self._begin], -np.inf)
            came[self._inside] = np.maximum(inside, begin)
            back[word, self._inside] = np.where(inside >= begin, self._inside, self._begin)
            total = came + logits[word]
        path = [int(total.argmax())]
        for word in range(len(logits) - 1, 0, -1):
            path.append(int(back[word, path[-1]]))
        return np.array(path[::-1])


@dataclass(frozen=True, slots=True)
class Decoded:
    """Tags of all words as numbers, (words,), their probabilities beside, and where each example begins."""

    offsets: Array
    codes: Array
    probabilities: Array

    def entities(self) -> Columns:
        """The entities, by the CoNLL script's rules."""
        return decode_columns(self.codes, self.offsets)

    def spans(self, classes: TagClasses) -> Iterator[tuple[int, int, int, str, float]]:
        """(example, first word, word after the last, type, confidence) of each entity, in order."""
        found = self.entities()
        number = np.searchsorted(self.offsets, found.starts, side="right") - 1
        sums = np.concatenate([np.zeros(1), np.cumsum(self.probabilities)])
        sure = np.clip((sums[found.ends] - sums[found.starts]) / (found.ends - found.starts), 0.0, 1.0)
        begin = self.offsets[number]
        columns = (number, found.starts - begin, found.ends - begin, found.types, sure)
        for place, first, last, type_, confidence in zip(*(each.tolist() for each in columns), strict=True):
            yield place, first, last, classes.types[type_], confidence

    def rows(self, classes: TagClasses) -> list[WordTags]:
        """Tags and probabilities, an example a row."""
        tags = [classes.tags[code] for code in self.codes.tolist()]
        sure = self.probabilities.tolist()
        ends = self.offsets.tolist()
        return [WordTags(tags[a:b], sure[a:b]) for a, b in itertools.pairwise(ends)]


def decode(scores: WordScores, classes: TagClasses, decoding: str = "greedy", temperature: float = 1.0) -> Decoded:
    """Choose a tag for each word; its probability is the softmax of its piece's logits over the temperature."""
    best: Array
    best = scores.logits.argmax(1) if decoding == "greedy" else classes.best(scores.logits, _linked(scores))
    codes, sure = np.zeros(scores.words, np.int32), np.ones(scores.words)
    codes[scores.read] = classes.codes[best]
    sure[scores.read] = probabilities(scores.logits, best, temperature)
    owner = np.arange(scores.words)
    owner[scores.followers] = 0
    owner = np.maximum.accumulate(owner)[scores.followers]
    codes[scores.followers] = np.where(codes[owner] > 0, codes[owner] | 1, 0)
    sure[scores.followers] = sure[owner]
    return Decoded(scores.offsets, codes, sure)


def predict(
    scorer: Scorer, pieces: SubwordTokenizer, examples: Sequence[Example], names: Sequence[str], *,
    max_tokens: int = MAX_TOKENS, decoding: str = "greedy", temperature: float = 1.0,
) -> list[WordTags]:  # fmt: skip
    """A tag for each word of each example, in order."""
    classes, found = TagClasses(names), list[WordTags]()
    for start in range(0, len(examples), _CHUNK):
        some = examples[start : start + _CHUNK]
        scores = word_scores(scorer, pieces, some, len(names), max_tokens)
        found += decode(scores, classes, decoding, temperature).rows(classes)
    return found


def _linked(scores: WordScores) -> Array:
    """(read,): whether the word before one that is read off stands in the same example and has a piece."""
    has_piece = np.zeros(scores.words + 1, bool)
    has_piece[scores.read + 1] = True
    has_piece[scores.followers + 1] = True
    has_piece[scores.offsets] = False
    linked: Array = has_piece[scores.read]
    return linked


def probabilities(logits: Array, best: Array, temperature: float) -> Array:
    """(words,): the softmax of each row at its class."""
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(1, keepdims=True, initial=-np.inf)
    powers = np.exp(scaled)
    found: Array = powers[np.arange(len(best)), best] / powers.sum(1)
    return found
