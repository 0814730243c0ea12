"""Boundaries and types in one model (ours): untyped BIO tags, and entity vectors compared with names of concepts."""

from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from annotated_types import Interval

from nerbert.encoder.concept_table import Row
from nerbert.encoder.objectives.concepts import Concepts, ConceptsSettings, StepConcepts, concept_loss
from nerbert.encoder.objectives.span_labels import SpanLabels, WindowLabels
from nerbert.labels import word_spans
from nerbert.model.concept_encoder import ConceptModel
from nerbert.model.concept_head import BOUNDARIES
from nerbert.model.forward import Batch, states_at
from nerbert.model.windows import IGNORED, Label, Windows
from nerbert.records import Example
from nerbert.rng import Array
from nerbert.training.settings import Section

_OUTSIDE, _BEGIN, _INSIDE = range(len(BOUNDARIES))
_UNMARKED = len(BOUNDARIES)
"""Label of a corpus word outside its links: most are outside entities, but many names have no link."""
_NOWHERE = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class NamesSettings(ConceptsSettings):
    """Settings for learning boundaries and names."""

    section: ClassVar[str] = "names"
    boundary_weight: Annotated[float, Interval(ge=0, lt=1e6)] = 1.0
    """Weight of the boundaries' loss; that of entities' types is 1. Source: ours."""
    word_weight: Annotated[float, Interval(ge=0, lt=1e6)] = 1.0
    """Weight of the loss of words' types; that of entities' types is 1. Source: ours, on dev (docs/results)."""
    outside_weight: Annotated[float, Interval(ge=0, lt=1e6)] = 0.1
    """Weight in the boundaries' loss of a corpus's words outside links, many of which are names without a link. Source:
    ours; with 1 names in encyclopedic text aren't found (docs/results)."""


class BoundaryLabels(SpanLabels):
    """Labels of words: a row of a table, marks and a boundary tag, that of the outermost of nested entities.

    A word outside all entities has the tag O, whatever types were annotated; in a text of links it is unmarked. In a
    text without entities and without annotated types, all tags are unknown.
    """

    ignored: Label = (IGNORED, 0, IGNORED)

    def of(self, example: Example) -> list[Label]:
        """Return the three numbers of each word; raise InputError for an entity that cuts a word."""
        # A word outside entities is O if types were annotated, unmarked in a text of links,
        # and unknown if nobody looked for anything.
        outside = IGNORED if example.asked == () else _UNMARKED if example.partial else _OUTSIDE
        labels = zip(super().of(example), boundary_tags(example), strict=True)
        return [(*label, tag or outside) for label, tag in labels]  # type: ignore[misc]


def boundary_tags(example: Example) -> list[int]:
    """Return the index in `BOUNDARIES` of each word's tag, by the outermost entities."""
    tags = [_OUTSIDE] * len(example.words)
    end = 0
    for first, last, _ in sorted(word_spans(example), key=lambda span: (span[0], -span[1])):
        if first >= end:
            tags[first:last] = [_BEGIN] + [_INSIDE] * (last - first - 1)
            end = last
    return tags


@dataclass(frozen=True, slots=True)
class NamesBatch(Batch):
    """A micro-batch whose labels are boundary tags; words are counted across all its windows, in its spans, too."""

    step: StepConcepts
    gold: Array
    words: Array
    outside: Array
    starts: Array
    """(terms,): True for the first word of a window."""


class Names(Concepts):
    """The objective; `backbone` is the initial concept encoder."""

    settings: ClassVar[type[Section]] = NamesSettings
    learnt: ClassVar[str] = "find entities, and match each with the names of its types (NuNER, Bogdanov et al. 2024)"
    parts: ClassVar[tuple[str, ...]] = ("boundaries", "types", "words")
    boundaries: ClassVar[bool] = True

    def freeze(self, model: ConceptModel, layers: int) -> int:
        """Freeze the lowest layers of both encoders, none by default; return the number in the text encoder."""
        return super().freeze(model, max(0, layers))

    @property
    def labels(self) -> BoundaryLabels:
        """Return the words' labels: rows of the table, starts and ends of entities, and boundary tags."""
        return BoundaryLabels(self._table, self._texts, 0)

    def begin_step(self, windows: Windows, numbers: Array, step: int) -> StepConcepts:
        """Return the concepts of the step's entities in all processes, and the spans of each window."""
        rows = dict[Row, int]()
        by_window = WindowLabels.by_window(windows, numbers, self._rows)
        targets = {number: _targets_of(window, rows) for number, window in by_window.items()}
        return replace(self._concepts_of(list(rows), np.zeros(0, np.int64), step), targets=targets)

    def prepare(self, batch: Batch, step: int, shared: Any = None) -> NamesBatch:
        """Return the batch with its spans."""
        numbers = batch.numbers.tolist()
        counts = np.bincount(batch.rows.numpy(), minlength=len(batch.numbers))
        firsts = np.cumsum(counts) - counts
        spans, words, outside = zip(*(shared.targets[number] for number in numbers), strict=True)
        gold = [entities + np.array((first, first, 0)) for entities, first in zip(spans, firsts.tolist(), strict=True)]
        starts = np.zeros(int(counts.sum()), bool)
        starts[firsts[counts > 0]] = True
        return batch.extend(
            NamesBatch,
            labels=batch.labels[:, 2],
            step=shared,
            gold=np.concatenate(gold),
            words=np.concatenate(words),
            outside=np.concatenate(outside),
            starts=starts,
        )

    def terms(self, batch: Any) -> dict[str, float]:
        """Return the weights of the words' tags, and the numbers of entities and words with known concepts."""
        tells = batch.step.tells
        entities, words = (int(tells[torch.from_numpy(rows)].sum()) for rows in (batch.gold[:, 2], batch.words))
        return {"boundaries": float(self._weights(batch.labels).sum()), "types": entities, "words": words}

    def _weights(self, labels: torch.Tensor) -> torch.Tensor:
        """Return (words,): the weight of each word's tag in the loss."""
        return (labels != IGNORED) * torch.where(labels == _UNMARKED, self._section.outside_weight, 1.0)

    def loss(self, model: Any, batch: Any) -> dict[str, torch.Tensor]:
        """Return the weighted sums of losses: of words' tags, and of concepts of spans and words; computed in fp32."""
        return self.losses(model, batch, states_at(model.text, batch))

    def losses(self, model: Any, batch: Any, words: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the losses given the words' states, (words, width)."""
        section = self._section
        tags = model.boundaries(words).float()
        targets = batch.labels.masked_fill(batch.labels == _UNMARKED, _OUTSIDE)
        losses = torch.nn.functional.cross_entropy(tags, targets, ignore_index=IGNORED, reduction="none")
        boundaries = (losses * self._weights(batch.labels)).sum()
        # The model's own spans, too: wrong ones must match no name.
        spans = np.concatenate([batch.gold, _find_spans(tags.detach().argmax(1).cpu().numpy(), batch)])
        types = concept_loss(model, mean_states(words, spans), batch.step, torch.from_numpy(spans[:, 2]))
        of_words = concept_loss(model, words, batch.step, torch.from_numpy(batch.words))
        boundaries = boundaries * section.boundary_weight
        of_words = of_words * section.word_weight
        return {"boundaries": boundaries, "types": types, "words": of_words}


def mean_states(words: torch.Tensor, spans: Array) -> torch.Tensor:
    """Return (spans, width) in fp32: the mean of each span's words; `spans` are (spans, 3)."""
    lengths = spans[:, 1] - spans[:, 0]
    owner = np.repeat(np.arange(len(spans)), lengths)
    inside = np.arange(len(owner)) - np.repeat(np.cumsum(lengths) - lengths, lengths) + spans[owner, 0]
    owners, indices, counts = (torch.from_numpy(array).to(words.device) for array in (owner, inside, lengths))
    sums = torch.zeros(len(spans), words.shape[1], dtype=torch.float32, device=words.device)
    return sums.index_add(0, owners, words[indices].float()) / counts[:, None]


def _targets_of(window: WindowLabels, rows: dict[Row, int]) -> tuple[Array, Array, Array]:
    """Return a window's targets, as defined in `StepConcepts`; `rows` maps rows to their numbers."""
    types = np.array(sorted(window.concepts), np.int64)
    concepts: dict[tuple[int, int], list[int]] = {}
    for start, end, index in window.spans(types):
        concepts.setdefault((start, end), []).append(int(types[index]))
    gold = []
    for (start, end), numbers in concepts.items():
        asked = window.rows[window.indices[start]][1]
        gold.append((start, end, rows.setdefault((tuple(sorted(numbers)), asked), len(rows))))
    words = [rows.setdefault(row, len(rows)) for row in window.rows]
    # A predicted span may lie only on words outside entities of which something is known.
    outside = [_NOWHERE if row[0] or row[1] == () else rows[row] for row in window.rows]
    of_words = np.array([words, outside], np.int64)[:, window.indices]
    return np.array(gold, np.int64).reshape(-1, 3), of_words[0], of_words[1]


def spans_of(tags: Array, batch: NamesBatch) -> tuple[Array, Array]:
    """Return (spans,) twice: the first words of the spans of BIO tags, and the words after their last ones."""
    previous = np.where(batch.starts, _OUTSIDE, np.roll(tags, 1))
    begins = (tags == _BEGIN) | ((tags == _INSIDE) & (previous == _OUTSIDE))
    starts = np.flatnonzero(begins)
    outside = np.flatnonzero(np.append((tags == _OUTSIDE) | begins | batch.starts, True))
    return starts, outside[np.searchsorted(outside, starts, side="right")]


def _find_spans(tags: Array, batch: NamesBatch) -> Array:
    """Return (spans, 3): the spans of BIO tags, without those that overlap entities or words of unknown label."""
    starts, ends = spans_of(tags, batch)
    unknown = np.concatenate([[0], np.cumsum(batch.outside == _NOWHERE)])
    return np.asarray(np.stack([starts, ends, batch.outside[starts]], 1)[unknown[ends] == unknown[starts]])
