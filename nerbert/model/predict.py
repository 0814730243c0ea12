"""Examples → logits of every word → tags: what validation, evaluation, calibration and the tagger share.

Whatever computes logits is a function of a padded batch (`Scorer`), so this module imports no torch, and every back end
cuts, batches and decodes in the same way. Words of many examples are one array, which keeps Python out of what is done
for each word. A stretch of thousands of words without a sentence's end is tokenised in overlapping parts, each read in
its middle, so memory grows with the words and not with their square.

A tag is a number, as in `metrics.columns` (0 is O, 2k is B- and 2k + 1 is I- of type k). Where the most probable tags
are legal they are the best legal path too, so the search (Viterbi 1967) runs over the others alone, and over classes,
not pairs of them: only B-x and I-x may come before I-x. A temperature divides all logits alike, so it changes
probabilities and never a path.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from nerbert.config import check
from nerbert.errors import InputError
from nerbert.labels import OUTSIDE, split_tag
from nerbert.metrics.columns import Columns, decode_columns
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.model.windows import Padded, Windows, chosen, micro_batches, padded
from nerbert.records import Example
from nerbert.rng import Array

MAX_TOKENS = 8192
"""Largest micro-batch, padding included, where nothing better is known."""
_STRETCH, _MARGIN = 4096, 512
"""Words of a sentence that are tokenised together, and how many of them on either side are read off elsewhere."""


class Scorer(Protocol):
    """A model on some back end: a padded batch → (terms, classes) fp32 logits at its rows and columns."""

    def __call__(self, batch: Padded, /) -> Array:
        """Return the logits."""


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
        """Return the number of words of all examples."""
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
    """Return the logits of all words of some examples; `max_tokens` bounds a padded micro-batch."""
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
    """Yield an example as it is, or one of very many words in overlapping parts."""
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
    """Return (words of the windows, classes), in their order."""
    logits = np.zeros((len(windows.words), classes), np.float32)
    terms = np.arange(len(windows.words))
    for group in micro_batches(windows.lengths, max_tokens):
        numbers = np.array(group)
        logits[chosen(terms, windows.word_ends, numbers)[0]] = scorer(padded(windows, numbers, pad_id))
    if not np.isfinite(logits).all():
        raise InputError("the model's logits are no numbers: its weights are damaged, or its precision is too low")
    return logits


def _same_piece(windows: Windows) -> Array:
    """Return (words,): whether a word shares the piece of the word before it in its window."""
    same = np.zeros(len(windows.positions), bool)
    same[1:] = windows.positions[1:] == windows.positions[:-1]
    same[windows.word_ends[windows.word_ends < len(same)]] = False
    return same


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
        """Return (words,): each word's class on the best legal path; `linked`: whether an entity may reach it."""
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
        """Return the best legal path through one chain of words."""
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
        """Return the entities, by the CoNLL script's rules."""
        return decode_columns(self.codes, self.offsets)

    def spans(self, classes: TagClasses) -> Iterator[tuple[int, int, int, str, float]]:
        """Yield (example, first word, word after the last, type, confidence) of each entity, in order."""
        found = self.entities()
        number = np.searchsorted(self.offsets, found.starts, side="right") - 1
        sums = np.concatenate([np.zeros(1), np.cumsum(self.probabilities)])
        sure = np.clip((sums[found.ends] - sums[found.starts]) / (found.ends - found.starts), 0.0, 1.0)
        begin = self.offsets[number]
        columns = (number, found.starts - begin, found.ends - begin, found.types, sure)
        for place, first, last, type_, confidence in zip(*(each.tolist() for each in columns), strict=True):
            yield place, first, last, classes.types[type_], confidence

    def rows(self, classes: TagClasses) -> list[WordTags]:
        """Return tags and probabilities, an example a row."""
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
    """Return a tag for each word of each example, in order."""
    classes, found = TagClasses(names), list[WordTags]()
    for start in range(0, len(examples), _CHUNK):
        some = examples[start : start + _CHUNK]
        scores = word_scores(scorer, pieces, some, len(names), max_tokens)
        found += decode(scores, classes, decoding, temperature).rows(classes)
    return found


def _linked(scores: WordScores) -> Array:
    """Return (read,): whether the word before is in the same example and has a piece."""
    has_piece = np.zeros(scores.words + 1, bool)
    has_piece[scores.read + 1] = True
    has_piece[scores.followers + 1] = True
    has_piece[scores.offsets] = False
    linked: Array = has_piece[scores.read]
    return linked


def probabilities(logits: Array, best: Array, temperature: float) -> Array:
    """Return (words,): the softmax of each row at its class."""
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(1, keepdims=True, initial=-np.inf)
    powers = np.exp(scaled)
    found: Array = powers[np.arange(len(best)), best] / powers.sum(1)
    return found
