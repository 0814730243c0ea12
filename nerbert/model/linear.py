"""The linear head: examples → logits of every word → the best legal path of BIO tags → entities; without torch.

A tag is a number, as in `metrics.score`. A path is searched only where the likeliest tags are illegal.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Literal, Protocol, Self

import numpy as np

from nerbert.config import check
from nerbert.errors import InputError
from nerbert.labels import split_tag, tag_names
from nerbert.metrics.calibration import UNSCALED, Scaling
from nerbert.metrics.score import decode_columns
from nerbert.model.heads import Entities, Head, WordTags, predict_filtered, probabilities
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.model.windows import Padded, Windows, micro_batches, pad_windows, take_column
from nerbert.records import EntityLabel, Example
from nerbert.rng import Array, uniform

MAX_TOKENS = 8192
"""Default size of the largest micro-batch, padding included."""
_CHUNK = 1000
"""Examples whose logits are held at once."""


class Scorer(Protocol):
    """A model on some back end: a padded batch → (terms, classes) fp32 logits at its rows and columns."""

    def __call__(self, batch: Padded, /) -> Array:
        """Return the logits."""


def merged_tags(scorer: Scorer, tags: Sequence[str]) -> tuple[Scorer, list[str]]:
    """Return a scorer with one column for each name among its `tags`, and the names.

    Columns with one name are one tag, which has the sum of their probabilities. `nerbert types` merges types by giving
    them one name, and drops a type by naming its tags O.
    """
    names = list(dict.fromkeys(tags))
    if len(names) == len(tags):
        return scorer, names
    columns = [np.flatnonzero(np.array(tags) == name) for name in names]

    def merge_columns(batch: Padded) -> Array:
        logits = scorer(batch)
        return np.stack([np.logaddexp.reduce(logits[:, group], axis=1) for group in columns], 1)

    return merge_columns, names


@dataclass(frozen=True, slots=True)
class WordScores:
    """A model's output for the words of some examples, one after the other.

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

    def part(self, first: int, last: int) -> "WordScores":
        """Return the output for the examples from `first` to the one before `last`."""
        start = self.offsets[first]
        end = self.offsets[last]
        read, followers = (slice(*np.searchsorted(numbers, (start, end))) for numbers in (self.read, self.followers))
        return WordScores(
            self.offsets[first : last + 1] - start,
            self.read[read] - start,
            self.logits[read],
            self.followers[followers] - start,
        )


def word_scores(
    scorer: Scorer, pieces: SubwordTokenizer, examples: Sequence[Example], classes: int, max_tokens: int = MAX_TOKENS
) -> WordScores:
    """Return the logits of all words of some examples; `max_tokens` bounds a padded micro-batch."""
    windows = Windows.pack(pieces.windows(examples))
    logits = _logits(scorer, windows, pieces.pad_id, classes, max_tokens)
    offsets = np.cumsum([0, *(len(example.words) for example in examples)], dtype=np.int64)
    words = windows.words + offsets[np.repeat(windows.sentences, np.diff(windows.word_ends, prepend=0))]
    # A word at the place of the word before shares its piece, unless it is the first of its window.
    follows = np.diff(windows.positions, prepend=-1) == 0
    follows[windows.word_ends[windows.word_ends < len(follows)]] = False
    return WordScores(offsets, words[~follows], logits[~follows], words[follows])


def _logits(scorer: Scorer, windows: Windows, pad_id: int, classes: int, max_tokens: int) -> Array:
    """Return (words of the windows, classes), in their order."""
    logits = np.zeros((len(windows.words), classes), np.float32)
    terms = np.arange(len(windows.words))
    for group in micro_batches(windows.lengths, max_tokens):
        numbers = np.array(group)
        logits[take_column(terms, windows.word_ends, numbers)[0]] = scorer(pad_windows(windows, numbers, pad_id))
    # Infinite or missing numbers would decode to some tag in silence.
    if not np.isfinite(logits).all():
        raise InputError("the model's logits are no numbers: its weights are damaged, or its precision is too low")
    return logits


class TagClasses:
    """The classes of a head: their numbers, and legal successors."""

    def __init__(self, names: Sequence[str]) -> None:
        parts = [split_tag(name) for name in names]
        self.types = ("", *sorted({type_ for _, type_ in parts if type_}))
        number = {type_: index for index, type_ in enumerate(self.types)}
        # As in `metrics.score`: O is 0, B-x is odd, I-x is the even number after it.
        self.codes = np.array([2 * number[type_] - (prefix == "B") for prefix, type_ in parts], np.int32)
        self.tags = tag_names(self.types[1:])
        self._inside = np.flatnonzero((self.codes > 0) & (self.codes % 2 == 0))
        of_code = {int(code): index for index, code in enumerate(self.codes)}
        self._order = np.argsort(self.codes)
        # Foreign taggers may have an I-x without a B-x; −1 says so.
        self._begin = np.array([of_code.get(int(code) - 1, -1) for code in self.codes[self._inside]], np.int64)

    def of(self, codes: Array) -> Array:
        """Return the classes of tag numbers."""
        return np.asarray(self._order[np.searchsorted(self.codes, codes, sorter=self._order)])

    def best(self, logits: Array, linked: Array) -> Array:
        """Return (words,): each word's class on the best legal path; `linked`: whether an entity may reach it."""
        greedy: Array = logits.argmax(1)
        codes = self.codes[greedy]
        before = np.append(0, codes[:-1])
        # An I- is illegal where the word before isn't of its type, or can't be linked to.
        bad = (codes > 0) & (codes % 2 == 0) & ~(linked & ((codes == before) | (codes == before + 1)))
        # The likeliest tags are legal for most sentences, and then no path is better.
        if not bad.any():
            return greedy
        begins = np.flatnonzero(~linked)
        ends = np.append(begins[1:], len(linked))
        # Chains of linked words are independent, so only those with an illegal tag are searched.
        for chain in np.unique(np.searchsorted(begins, np.flatnonzero(bad), side="right") - 1):
            here = slice(begins[chain], ends[chain])
            greedy[here] = self._search(logits[here])
        return greedy

    def _search(self, logits: Array) -> Array:
        """Return the best legal path through one chain of words."""
        total = logits[0].astype(np.float64)
        total[self._inside] = -np.inf
        back = np.zeros(logits.shape, np.int64)
        for word in range(1, len(logits)):
            back[word] = total.argmax()
            # O and B- may follow any tag, so the best path so far is theirs; an I- only
            # follows its own type.
            came = np.full(len(total), total.max())
            inside = total[self._inside]
            # Without its B-x (−1), an I-x follows only itself.
            begin = np.where(self._begin >= 0, total[self._begin], -np.inf)
            came[self._inside] = np.maximum(inside, begin)
            back[word, self._inside] = np.where(inside >= begin, self._inside, self._begin)
            total = came + logits[word]
        path = [int(total.argmax())]
        for word in range(len(logits) - 1, 0, -1):
            path.append(int(back[word, path[-1]]))
        return np.array(path[::-1])


def decode(scores: WordScores, classes: TagClasses, decoding: str = "greedy") -> Array:
    """Choose a tag for each word; return their numbers, (words,)."""
    greedy = decoding == "greedy"
    best: Array = scores.logits.argmax(1) if greedy else classes.best(scores.logits, linked_words(scores))
    codes = np.zeros(scores.words, np.int32)
    codes[scores.read] = classes.codes[best]
    owner = codes[owners(scores)]
    # A word in a shared piece goes on with that entity: B-x becomes I-x, I-x and O stay.
    codes[scores.followers] = owner + owner % 2
    return codes


def entities_of(scores: WordScores, classes: TagClasses, codes: Array) -> Entities:
    """Return the entities by the CoNLL script's rules; a word that shares the piece before has that word's logits."""
    spans = decode_columns(codes, scores.offsets)
    number = np.searchsorted(scores.offsets, spans.starts, side="right") - 1
    begin = scores.offsets[number]
    lengths = spans.ends - spans.starts
    parts = np.cumsum(lengths) - lengths
    row = np.full(scores.words, -1)
    row[scores.read] = np.arange(len(scores.read))
    inside = np.repeat(spans.starts - parts, lengths) + np.arange(int(lengths.sum()))
    # A word without logits of its own (−1) takes those of the last word that has some.
    rows = np.maximum.accumulate(row)[inside]
    return Entities(
        number,
        spans.starts - begin,
        spans.ends - begin,
        [classes.types[type_] for type_ in spans.types.tolist()],
        scores.logits[rows],
        classes.of(codes[scores.read[rows]]),
        parts,
    )


def word_tags(scores: WordScores, classes: TagClasses, codes: Array, scaling: Scaling = UNSCALED) -> list[WordTags]:
    """Return tags and probabilities, an example a row."""
    sure = np.ones(scores.words)
    sure[scores.read] = probabilities(scores.logits, classes.of(codes[scores.read]), scaling)
    sure[scores.followers] = sure[owners(scores)]
    tags = [classes.tags[code] for code in codes.tolist()]
    confidences = sure.tolist()
    return [WordTags(tags[a:b], confidences[a:b]) for a, b in itertools.pairwise(scores.offsets.tolist())]


def owners(scores: WordScores) -> Array:
    """Return (followers,): the word whose piece each of them shares."""
    owner = np.arange(scores.words)
    owner[scores.followers] = 0
    return np.asarray(np.maximum.accumulate(owner)[scores.followers])


@dataclass(frozen=True)
class WindowedHead(Head):
    """A head whose model, on any back end, reads examples in the windows of a `SubwordTokenizer`."""

    scorer: Scorer
    pieces: SubwordTokenizer
    decodings: ClassVar[Any]

    def __post_init__(self) -> None:
        check("decoding", self.decoding, self.decodings)

    def decode_by(self, decoding: str) -> Self:
        """Return it with another way of decoding."""
        # The same head keeps what it has computed of its tags.
        if decoding == self.decoding:
            return self
        return replace(self, decoding=decoding)  # type: ignore[call-arg]  # subclasses have it

    def cost(self, examples: Sequence[Example], labels: Sequence[EntityLabel] = ()) -> int:
        """Return how many subwords the model reads, whatever the labels."""
        return sum(len(window.ids) for window in self.pieces.windows(examples))

    def characters_read(self, examples: Sequence[Example]) -> list[int]:
        """Return how many characters of each example are in a window."""
        return self.pieces.characters_read(examples)

    def score_words(
        self, examples: Sequence[Example], classes: int, max_tokens: int
    ) -> Iterator[tuple[Sequence[Example], WordScores]]:
        """Yield the examples and the logits of their words in parts, so that memory is bounded."""
        # Even without examples one part is yielded, so that callers get empty columns of the right shape.
        for start in range(0, max(1, len(examples)), _CHUNK):
            chunk = examples[start : start + _CHUNK]
            yield chunk, word_scores(self.scorer, self.pieces, chunk, classes, max_tokens)


@dataclass(frozen=True)
class LinearHead(WindowedHead):
    """A linear layer over BIO `tags`; see the module."""

    tags: list[str]
    max_tokens: int = MAX_TOKENS
    decoding: str = "legal"
    name: str = "linear"
    decodings: ClassVar[Any] = Literal["legal", "greedy"]

    @classmethod
    def of(cls, scorer: Scorer, pieces: SubwordTokenizer, tags: Sequence[str], *how: Any) -> "LinearHead":
        """Return the head of a tagger's columns, several of which may have one tag (`merged_tags`); `how`: the rest."""
        scorer, names = merged_tags(scorer, tags)
        return cls(scorer, pieces, names, *how)

    @cached_property
    def classes(self) -> TagClasses:
        """Return the numbers of the tags."""
        return TagClasses(self.tags)

    @property
    def types(self) -> list[str]:
        """Return the entity types, sorted."""
        return list(self.classes.types[1:])

    def predict(self, examples: Sequence[Example]) -> Entities:
        """Return the entities of some examples."""
        entities = list[Entities]()
        counts = list[int]()
        for chunk, scores in self.score_words(examples, len(self.tags), self.max_tokens):
            entities.append(entities_of(scores, self.classes, decode(scores, self.classes, self.decoding)))
            counts.append(len(chunk))
        return entities[0] if len(entities) == 1 else Entities.join(entities, counts)

    def predict_each(self, groups: Sequence[tuple[Head, Sequence[Example]]]) -> list[Entities]:
        """Return the entities of several groups, all read together."""
        return predict_filtered(self, groups)

    def tag(self, examples: Sequence[Example], scaling: Scaling = UNSCALED) -> list[WordTags]:
        """Return a tag and its probability for each word, raw."""
        return self.tag_by((self.decoding,), examples, scaling)[0]

    def tag_by(
        self, decodings: Sequence[str], examples: Sequence[Example], scaling: Scaling = UNSCALED
    ) -> list[list[WordTags]]:
        """Return the same by each of several decodings, from one pass through the model."""
        answers: dict[str, list[WordTags]] = {decoding: [] for decoding in decodings}
        for _, scores in self.score_words(examples, len(self.tags), self.max_tokens):
            for decoding, tags in answers.items():
                tags.extend(word_tags(scores, self.classes, decode(scores, self.classes, decoding), scaling))
        return [answers[decoding] for decoding in decodings]

    def for_self_check(self, decoding: str) -> "LinearHead":
        """Return it with a decoding; long sentences go through windows."""
        return replace(self, decoding=decoding, pieces=self.pieces.use_windows())

    def projections(self, texts: Sequence[Sequence[Example]]) -> list[float | None]:
        """Return for each text the mean over words of the tags' log probabilities, weighted by their names."""
        scores = word_scores(self.scorer, self.pieces, [*itertools.chain(*texts)], len(self.tags), self.max_tokens)
        logits = scores.logits.astype(np.float64)
        logits -= logits.max(1, keepdims=True, initial=-np.inf)
        # Weighted by the tags' names, not their order, so the numbers don't change with the
        # order of the labels.
        weights = np.array([2 * uniform(0, "self check", tag) - 1 for tag in self.tags]) / math.sqrt(len(self.tags))
        of_words = (logits - np.log(np.exp(logits).sum(1, keepdims=True))) @ weights
        ends = np.cumsum([sum(len(example.words) for example in text) for text in texts])
        text_of = np.searchsorted(ends, scores.read, side="right")
        sums, counts = (np.bincount(text_of, values, len(texts)) for values in (of_words, np.ones(len(of_words))))
        means: list[float | None] = (sums / np.maximum(counts, 1)).tolist()
        return means


def tag_both_ways(
    head: Head, examples: Sequence[Example], scaling: Scaling = UNSCALED
) -> tuple[list[WordTags], list[WordTags]]:
    """Return a head's tag of each word, and its most probable tag; without tags, both are the same."""
    if isinstance(head, LinearHead):
        tags, greedy = head.tag_by((head.decoding, "greedy"), examples, scaling)
        return tags, greedy
    tags = head.tag(examples, scaling)
    return tags, tags


def linked_words(scores: WordScores) -> Array:
    """Return (read,): whether the word before is in the same example and has a piece."""
    has_piece = np.zeros(scores.words + 1, bool)
    # Shifted by one, so that a word's own index asks about the word before.
    has_piece[scores.read + 1] = True
    has_piece[scores.followers + 1] = True
    has_piece[scores.offsets] = False
    return np.asarray(has_piece[scores.read])
