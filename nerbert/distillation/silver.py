"""Silver sentences: those of tagged texts with the entities inside each, and the sample that a student learns from."""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from itertools import chain
from operator import itemgetter
from typing import TypeAlias

from nerbert.data.exclude import ngrams
from nerbert.distillation.settings import DistilSettings
from nerbert.errors import InputError
from nerbert.records import Document, Example, Span
from nerbert.rng import uniform
from nerbert.tagger.jobs.files import TaggedParts
from nerbert.tagger.tagger import Tagger

SHARED_WORDS = 8
"""Consecutive words that no silver sentence may share with an excluded text: as in a corpus's `exclude_ngram_size`."""
_APART, _APART_MOST = 10, 500
"""One in this many silver sentences is held out to score the student, up to this maximum."""
_Drawn: TypeAlias = tuple[float, str, Example]
"""A sentence's number in the draw, its text, and the sentence."""
_ORDER = itemgetter(0, 1)


@dataclass
class SilverCounts:
    """Counts of the texts: `sentences` = `excluded` + `with_entities` + those without.

    `kept` are trained on, `kept_empty` of them have no entity, `apart` score the student. `lost` entities cross the end
    of a sentence.
    """

    rows: int = 0
    sentences: int = 0
    excluded: int = 0
    with_entities: int = 0
    lost: int = 0
    kept: int = 0
    kept_empty: int = 0
    apart: int = 0
    entities: Counter[str] = field(default_factory=Counter)
    """Entities of the kept sentences, by type."""


def draw_silver(
    teacher: Tagger, parts: Iterable[TaggedParts], excluded: frozenset[str], settings: DistilSettings, *, hold_out: bool
) -> tuple[list[Example], list[Example], SilverCounts]:
    """Return the sample of a teacher's tagged texts: sentences to train on, those held out to score, and the counts.

    Raise InputError if no sentence with an entity is left.
    """
    sample = SilverSample(settings.max_sentences, settings.empty_share, settings.seed)
    counts = SilverCounts(sum(part.rows for part in parts), lost=sum(part.entities.total() for part in parts))
    for row in chain.from_iterable(parts):
        for example in silver_examples(teacher, row):
            counts.sentences += 1
            counts.lost -= len(example.spans)
            if shares_words(example, excluded):
                counts.excluded += 1
            else:
                counts.with_entities += bool(example.spans)
                sample.add(example)
    drawn = sample.drawn()
    counts.apart = min(len(drawn) // _APART, _APART_MOST) if hold_out else 0
    kept = drawn[counts.apart :]
    counts.kept = len(kept)
    counts.kept_empty = sum(not example.spans for example in kept)
    counts.entities.update(span.type for example in kept for span in example.spans)
    if not counts.entities:
        raise InputError(
            f"no sentence with an entity is left: of {counts.sentences:,}, {counts.excluded:,} share words with "
            f"--exclude, and {counts.lost:,} entities reach over the end of a sentence; give other texts"
        )
    return kept, drawn[: counts.apart], counts


def silver_examples(tagger: Tagger, row: Document) -> Iterator[Example]:
    """Yield the sentences of a tagged text with the entities inside each; the text's entities are in order."""
    if row.sentence is not None:
        yield replace(row.sentence, spans=row.spans)
        return
    waiting = deque(row.spans)
    for start, sentence in tagger.sentences(row.text):
        spans = list[Span]()
        end = start + len(sentence.text)
        while waiting and waiting[0].start < end:
            span = waiting.popleft()
            if span.start >= start and span.end <= end:
                spans.append(replace(span, start=span.start - start, end=span.end - start))
        yield replace(sentence, spans=tuple(spans))


class SilverSample:
    """A sample of sentences of limited size, each text once; at most a share of them (below 1) has no entity."""

    def __init__(self, most: int, empty_share: float, seed: int) -> None:
        self._most, self._share, self._seed = most, empty_share, seed
        self._kept: dict[bool, dict[str, _Drawn]] = {True: {}, False: {}}
        self._seen = Counter[bool]()

    def add(self, example: Example) -> None:
        """Add a sentence to the draw; of equal texts the most confident one is used."""
        text = example.text
        full = bool(example.spans)
        kept = self._kept[full]
        self._seen[full] += 1
        number, _, other = kept.get(text) or (uniform(self._seed, "distil: sentences", text), text, example)
        kept[text] = number, text, max(other, example, key=_confidence_key)
        if len(kept) > 2 * self._most:
            self._kept[full] = {entry[1]: entry for entry in self._lowest(full)}

    def drawn(self) -> list[Example]:
        """Return the sentences, in the order of their hashes."""
        share = min(self._share, self._seen[False] / max(1, self._seen.total()))
        full = self._lowest(True)[: max(1, int(self._most * (1 - share) + 0.5))]
        texts = {text for _, text, _ in full}
        empty = [entry for entry in self._lowest(False) if entry[1] not in texts]
        empty = empty[: min(self._most - len(full), int(len(full) * share / (1 - share) + 0.5))]
        return [example for _, _, example in sorted([*full, *empty], key=_ORDER)]

    def _lowest(self, full: bool) -> list[_Drawn]:
        """Return the sentences with the lowest numbers, in order."""
        return sorted(self._kept[full].values(), key=_ORDER)[: self._most]


def _confidence_key(example: Example) -> tuple[float, str]:
    """Return the sort key of sentences of equal text: confidence first, then the rest to break ties."""
    return sum(span.confidence for span in example.spans), repr(example)


def soften(example: Example, thresholds: Mapping[str, float]) -> Example:
    """Return a silver sentence whose confidences are odds relative to a teacher's thresholds (0–1, by type).

    A confidence equal to a threshold below 0.5 becomes 0.5: otherwise a student would learn to leave such entities out.
    """

    def above(span: Span) -> float:
        sure = span.confidence
        least = thresholds.get(span.type, 0.0)
        return sure * (1 - least) / (sure * (1 - least) + (1 - sure) * least) if 0 < least < 0.5 else sure

    return replace(example, spans=tuple(replace(span, confidence=above(span)) for span in example.spans))


def shares_words(example: Example, runs: Set[str]) -> bool:
    """Return whether a sentence shares `SHARED_WORDS` consecutive words with others, or equals a short one."""
    return bool(runs) and not ngrams(example.text, SHARED_WORDS).isdisjoint(runs)
