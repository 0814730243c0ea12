"""Silver sentences: what a teacher found in texts, cut into sentences; a bounded sample of them, drawn by hash."""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from nerbert.formats.exclude import ngrams
from nerbert.records import Document, Example, Span
from nerbert.rng import uniform
from nerbert.tagger.tagger import Tagger

SHARED_WORDS = 8
"""Words in a row that no silver sentence may share with an excluded text: as in `exclude_ngram_size` of a corpus."""


@dataclass
class SilverCounts:
    """Counts of the texts: `sentences` = `excluded` + `with_entities` + those without.

    `kept` are trained on, `kept_empty` of them have no entity. `lost` entities reach over the end of a sentence.
    """

    rows: int = 0
    sentences: int = 0
    excluded: int = 0
    with_entities: int = 0
    lost: int = 0
    kept: int = 0
    kept_empty: int = 0
    entities: Counter[str] = field(default_factory=Counter)
    """Those of the kept sentences, by type."""


def silver_examples(tagger: Tagger, row: Document) -> Iterator[Example]:
    """Yield the sentences of a tagged text with the entities that lie in each; its own are in order."""
    if row.sentence is not None:
        yield replace(row.sentence, spans=row.spans)
        return
    waiting = deque(row.spans)
    for start, sentence in tagger.sentences(row.text):
        own, end = list[Span](), start + len(sentence.text)
        while waiting and waiting[0].start < end:
            span = waiting.popleft()
            if span.start >= start and span.end <= end:
                own.append(replace(span, start=span.start - start, end=span.end - start))
        yield replace(sentence, spans=tuple(own))


class SilverSample:
    """A sample of sentences of bounded size, each text once, of which at most a share (below 1) has no entity."""

    def __init__(self, most: int, empty_share: float, seed: int) -> None:
        self._most, self._share, self._seed = most, empty_share, seed
        self._kinds = {True: dict[str, tuple[float, Example]](), False: dict[str, tuple[float, Example]]()}
        self._seen = Counter[bool]()

    def add(self, example: Example) -> None:
        """Add a sentence to the draw; of equal texts the surest counts."""
        text, full = example.text, bool(example.spans)
        kept = self._kinds[full]
        self._seen[full] += 1
        other = kept[text][1] if text in kept else example
        kept[text] = uniform(self._seed, "distil: sentences", text), max(other, example, key=_surest)
        if len(kept) > 2 * self._most:
            self._kinds[full] = {text: (number, each) for number, text, each in self._lowest(full)}

    def drawn(self) -> list[Example]:
        """Return the sentences, in the order of their hashes."""
        found, empty = self._lowest(True), self._lowest(False)
        share = min(self._share, self._seen[False] / max(1, self._seen.total()))
        found = found[: max(1, int(self._most * (1 - share) + 0.5))]
        texts = {text for _, text, _ in found}
        empty = [each for each in empty if each[1] not in texts]
        empty = empty[: min(self._most - len(found), int(len(found) * share / (1 - share) + 0.5))]
        return [example for _, _, example in sorted([*found, *empty], key=lambda each: each[:2])]

    def _lowest(self, full: bool) -> list[tuple[float, str, Example]]:
        """Return number, text and sentence of those with the lowest numbers, in order."""
        items = ((number, text, example) for text, (number, example) in self._kinds[full].items())
        return sorted(items, key=lambda each: each[:2])[: self._most]


def _surest(example: Example) -> tuple[Any, ...]:
    """Return what orders sentences of equal text; the rest only decides between equal ones."""
    found = [(each.start, each.end, each.type, each.confidence) for each in example.spans]
    return sum(each.confidence for each in example.spans), found, example.words


def taught(example: Example, thresholds: Mapping[str, float]) -> Example:
    """Return a silver sentence with the confidences to train on: above a teacher's thresholds (0–1, by type).

    The odds of an entity are divided by those of its type's threshold, so what a teacher just accepts has probability
    0.5. Else a student would learn to leave out all that a teacher with a threshold below 0.5 isn't sure of. Higher
    thresholds, and none (0), change nothing.
    """

    def above(span: Span) -> float:
        sure, least = span.confidence, thresholds.get(span.type, 0.0)
        return sure * (1 - least) / (sure * (1 - least) + (1 - sure) * least) if 0 < least < 0.5 else sure

    return replace(example, spans=tuple(replace(span, confidence=above(span)) for span in example.spans))


def runs_of_words(examples: Iterable[Example]) -> frozenset[str]:
    """Return what `shares_words` looks for, of sentences that none should share."""
    return frozenset(run for each in examples for run in ngrams(each.text, SHARED_WORDS))


def shares_words(example: Example, runs: frozenset[str]) -> bool:
    """Return whether a sentence shares `SHARED_WORDS` words in a row with others, or equals a short one."""
    return bool(runs) and not ngrams(example.text, SHARED_WORDS).isdisjoint(runs)
