"""Texts in progress: the labels of each, and its entities so far.

Texts with different labels or thresholds go through the model together, if its head can do that. If a
batch's input is refused, its texts are tried one by one; a fault of the model fails all of them.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import TypeAlias

from nerbert.entity_labels import read_words
from nerbert.errors import InputError, NerbertError, refused
from nerbert.formats.lines import without_surrogates
from nerbert.labels import OUTSIDE, is_signs, spans_from_bio
from nerbert.locks import ThreadLock
from nerbert.metrics.calibration import Scaling
from nerbert.model.heads import Head, WordTags
from nerbert.records import EntityLabel, Example, Span
from nerbert.tagger.spans import EDGE_MARKS, Graphemes, Spans, counted_spans, trim_marks

_BLOCK_WORDS, _BLOCK_TEXTS = 8192, 512
"""Number of words, or texts, that are read before they go through the model."""
_model_refused = partial(refused, "the model can't be run", NerbertError, (RuntimeError, MemoryError))
"""Turns a fault of the model into one line; other exceptions are mistakes in a head's code, and propagate."""


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class TagRequest:
    """A text to tag, with its labels, thresholds and decoding; None or "": those of the tagger.

    `text` may be an example, one sentence with its own words. `cancelled` is called before the labels are read, and
    just before the text goes into the model: if it returns True, the text is left out.
    """

    text: str | Example
    labels: Iterable[str | EntityLabel] | None = None
    thresholds: float | Mapping[str, float] | None = None
    cancelled: Callable[[], bool] = _never
    decoding: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class EntityFinder:
    """A head's entities to find, by `thresholds` (by type) and a scaling; `signs`: also without letter or digit."""

    head: Head
    thresholds: Mapping[str, float]
    scaling: Scaling
    signs: bool = False


class KeptHead:
    """The head of a list of labels, at the lowest probabilities of the last call; only one thread makes it."""

    def __init__(self, labels: tuple[EntityLabel, ...]) -> None:
        self._labels = labels
        self._lock = ThreadLock()
        self._least = tuple[float, ...]()
        self._head: Head | None = None

    def at_least(self, head: Head, least: tuple[float, ...]) -> Head:
        """Return the head at these probabilities; `head` makes the first one, which makes those at others."""
        with self._lock:
            if self._head is None or self._least != least:
                with _model_refused():
                    self._head = (self._head or head).for_labels(self._labels, least)
                    self._least = least
            return self._head


class PendingText:
    """A text or a sentence: its entities so far, characters `read`, `dropped` (True if cancelled), `error`."""

    def __init__(
        self,
        content: str | Example,
        finder: EntityFinder | None = None,
        cancelled: Callable[[], bool] = _never,
        error: NerbertError | None = None,
    ) -> None:
        self.content, self.finder, self.cancelled, self.error = content, finder, cancelled, error
        self.text = content.text if isinstance(content, Example) else content
        self.spans, self.read, self.dropped = list[Span](), len(self.text), False
        self._graphemes = None if self.text.isascii() else Graphemes(self.text)
        self._around = list[tuple[int, int]]()
        self._free = 0

    @property
    def is_open(self) -> bool:
        """Return whether the text is still to be tagged."""
        return self.error is None and not self.dropped

    def check_cancelled(self) -> bool:
        """Drop the text if cancelled; return True if it is still open. A failure of `cancelled` becomes its error."""
        if self.is_open:
            try:
                self.dropped = self.cancelled()
            except Exception as error:
                self.error = NerbertError(f"a request's `cancelled` failed: {error!r:.300}")
        return self.is_open

    def add(self, start: int, end: int, type_: str, confidence: float) -> None:
        """Add an entity (outer ones first), extended to whole graphemes; what two share goes to the first."""
        while self._around and self._around[-1][0] < end:
            self._free = max(self._free, self._around.pop()[1])
        word_end = end
        if self._graphemes:
            start, end = self._graphemes.grow(start, end)
        self._around.append((word_end, end))
        start = max(start, self._free)
        if start < end:
            self.spans.append(Span(start, end, type_, self.text[start:end], confidence))

    def answer(self, offsets: str) -> Spans:
        """Return the entities, or raise the error; `offsets` is the unit of their offsets."""
        if self.error is not None:
            raise self.error
        return Spans(self.text, counted_spans(self.text, self.spans, offsets), offsets, self.read)


Cut: TypeAlias = Callable[[PendingText], Iterable[tuple[int, Example]]]
"""Splits a text into units for the model, each with the offset of its first character."""
_Sentence: TypeAlias = tuple[PendingText, int, Example]


def tag_in_order(texts: Iterable[PendingText], cut: Cut) -> Iterator[PendingText]:
    """Yield texts, in order, when all their entities are found; hold a few thousand words (or one text) at a time."""
    opened = list[PendingText]()
    block = list[_Sentence]()
    words = 0
    for text in texts:
        opened.append(text)
        for offset, example in cut(text) if text.is_open else ():
            block.append((text, offset, example))
            words += len(example.words)
            if words >= _BLOCK_WORDS:
                _tag_block(block)
                block = []
                words = 0
        if len(opened) >= _BLOCK_TEXTS or not block:
            _tag_block(block)
            yield from opened
            opened = []
            block = []
            words = 0
    _tag_block(block)
    yield from opened


def _tag_block(block: Sequence[_Sentence]) -> None:
    """Find the entities of sentences and put them into their texts; texts that can't be tagged get their error."""
    texts = [[*sentences] for text, sentences in groupby(block, key=itemgetter(0)) if text.check_cancelled()]
    try:
        _tag_together([sentence for sentences in texts for sentence in sentences])
    except NerbertError as error:
        for sentences in texts:
            if len(texts) > 1 and isinstance(error, InputError):
                _tag_block(sentences)
            else:
                sentences[0][0].error = error


def _tag_together(block: Sequence[_Sentence]) -> None:
    groups = defaultdict[EntityFinder, list[_Sentence]](list)
    for sentence in block:
        if finder := sentence[0].finder:
            groups[finder].append(sentence)
    decoding = attrgetter("head.decoding")
    results = list[tuple[EntityFinder, list[tuple[int, int, int, str, float]], list[int]]]()
    for _, of_decoding in groupby(sorted(groups, key=decoding), key=decoding):
        finders = list(of_decoding)
        parts = [(finder.head, [example for _, _, example in groups[finder]]) for finder in finders]
        with _model_refused():
            predicted = parts[0][0].predict_each(parts)
        for finder, (head, examples), entities in zip(finders, parts, predicted, strict=True):
            rows = entities.spans(finder.scaling)
            spans = [row for row in rows if row[4] >= finder.thresholds.get(row[3], 0.0)]
            results.append((finder, spans, head.characters_read(examples)))
    for finder, spans, read in results:  # nothing here can fail, so no text is written to twice
        sentences = groups[finder]
        for number, begin, stop, type_, confidence in spans:
            text, offset, example = sentences[number]
            first, last = (begin, stop) if finder.signs else shown_words(example, begin, stop, type_)
            if first < last:
                start = example.words[first][0]
                end = example.words[last - 1][1]
                text.add(offset + start, offset + end, type_, confidence)
        for (text, _, example), characters in zip(sentences, read, strict=True):
            text.read -= len(example.text) - characters


def shown_words(example: Example, first: int, last: int, type_: str) -> tuple[int, int]:
    """Return the words of an entity that are shown: `trim_marks`, with whole codes; not what training never had.

    That is an entity without a letter or digit, and the name of its type before a colon, as in a form: `City: Leeds`.
    """
    beside = example.words[max(first - 1, 0)][0], example.words[min(last, len(example.words) - 1)][1]
    if not EDGE_MARKS.isdisjoint(example.text[slice(*beside)]):
        first, last = trim_marks(example.tokens, first, last)
    if first == last:
        return first, last
    text = example.text[example.words[first][0] : example.words[last - 1][1]]
    follows = example.text[example.words[last - 1][1] :][:1]
    is_heading = follows in (":", "：") and read_words(text) == read_words(type_)
    if is_signs(text) or is_heading:
        return first, first
    return _start_of_code(example, first) if text[0] == "-" else first, last


def _start_of_code(example: Example, word: int) -> int:
    """Return the first word of a code that was cut at a hyphen, such as `INV-2025-0417`."""
    tokens, words = example.tokens, example.words
    while word and "-" in tokens[word - 1 : word + 1] and words[word - 1][1] == words[word][0]:
        word -= 1
    return word


def clean_example(example: Example) -> Example:
    """Return an example whose text is `without_surrogates`."""
    return replace(example, text=without_surrogates(example.text))


def shown_tags(example: Example, answer: WordTags) -> WordTags:
    """Return a sentence's tags with the `shown_words` of each entity."""
    spans = spans_from_bio(answer.tags) if any(tag != OUTSIDE for tag in answer.tags) else []
    shown = [(*shown_words(example, *span), span[2]) for span in spans]
    if shown == spans:
        return answer
    tags = [OUTSIDE] * len(answer.tags)
    free = 0
    for first, last, type_ in shown:
        start = max(first, free)
        free = last
        tags[start:last] = [f"{'I' if index else 'B'}-{type_}" for index in range(last - start)]
    return WordTags(tags, answer.confidences)


def join_sentences(text: str, sentences: Iterable[tuple[int, Example]], longest: int) -> Iterator[tuple[int, Example]]:
    """Yield neighbouring sentences of a text as one, of at most `longest` words; a longer sentence stays alone."""
    group = list[tuple[int, Example]]()
    words = 0
    for offset, sentence in sentences:
        if group and words + len(sentence.words) > longest:
            yield _join(text, group)
            group = []
            words = 0
        group.append((offset, sentence))
        words += len(sentence.words)
    if group:
        yield _join(text, group)


def _join(text: str, group: Sequence[tuple[int, Example]]) -> tuple[int, Example]:
    """Return sentences as one, with the offset of its first character."""
    start, first = group[0]
    if len(group) == 1:
        return start, first
    end = group[-1][0] + len(group[-1][1].text)
    words = tuple((offset - start + a, offset - start + b) for offset, sentence in group for a, b in sentence.words)
    return start, Example(without_surrogates(text[start:end]), words)
