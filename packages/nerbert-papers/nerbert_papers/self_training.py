"""Self-training (CoFEE, Xue et al. 2020): after each epoch except the last the model relabels the whole training set.

The probability of an entity's end at a word is P(B-x or I-x) there, times P(not I-x) of the next word. Labels are in a
file and windows are read in parts, so memory doesn't grow with the corpus. Cost: eight bytes of disk per word in each
process, in the cache's folder, or in a temporary file if that isn't writable.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Self

import numpy as np
import torch
from annotated_types import Interval

from nerbert.metrics.score import Columns as Spans
from nerbert.metrics.score import decode_columns
from nerbert.model.forward import Batch, autocast, logits_at
from nerbert.model.windows import IGNORED, Windows, copied_to_file, places_of
from nerbert.rng import Array
from nerbert.terminal import tell
from nerbert.training.batches import TrainingData, batches_to_read
from nerbert.training.distributed import ProcessGroup
from nerbert.training.objective import PRETRAIN, Columns, EpochColumns, EpochHooks, Task, Traits
from nerbert.training.settings import Section, TrainSettings
from nerbert.training.tagging import TaggingSettings, TokenClassification

_PART = 1 << 15
"""Windows of all processes that are labelled, and compared, at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTrainingSettings(TaggingSettings):
    """Settings of self-training."""

    section: ClassVar[str] = "self_training"
    threshold: Annotated[float, Interval(ge=0, lt=1)] = 0.1
    """Probability that an entity's start and its end must exceed. Low values find entities that the labels miss.
    Source: CoFEE."""


class SelfTraining(TokenClassification, EpochHooks):
    """Tagging with the model's own labels from the second epoch on."""

    learnt: ClassVar[str] = "tag entities, with labels that it gives its own training texts (CoFEE, Xue et al. 2020)"
    settings: ClassVar[type[Section]] = SelfTrainingSettings
    traits: ClassVar[Traits] = replace(TokenClassification.traits, commands=(PRETRAIN,))

    def __init__(self, types: Sequence[str], section: SelfTrainingSettings, settings: TrainSettings) -> None:
        super().__init__(types, section)
        self._threshold, self._settings = section.threshold, settings

    @classmethod
    def of(cls, task: Task) -> Self:
        """Return the objective for the types of a task."""
        return cls(sorted(set(task.types)), cls.read_section(task), task.settings)

    def begin_epoch(
        self, model: Any, data: TrainingData, epoch: int, before: Columns, processes: ProcessGroup
    ) -> EpochColumns | None:
        """Return the model's labels of the epoch's windows; the first epoch uses those of the data."""
        if not epoch:
            return None
        windows = data.windows
        # Changes are told against the last labels, not against those of the data.
        old = before.get("labels", data.windows.labels)
        new = self._relabel(model, data, np.unique(data.numbers_of(epoch)), old, processes)
        changes = Counter[str]()
        for rows, indices in _words(windows):
            starts = np.flatnonzero(np.diff(rows, prepend=-1))
            was, now = (decode_columns(labels[indices], starts) for labels in (old, new))
            changes.update({name: len(spans.starts) for name, spans in compare_spans(was, now).items()})
        if processes.is_first:
            counts = ", ".join(f"{count:,} {name}" for name, count in changes.items())
            tell(f"epoch {epoch + 1}: relabelled: {counts}")
        return EpochColumns({"labels": new}, dict(changes))

    def use_columns(self, windows: Windows, columns: Columns) -> Windows:
        """Return the windows with the labels of the epoch."""
        return replace(windows, labels=columns["labels"])

    def _relabel(self, model: Any, data: TrainingData, numbers: Array, old: Array, processes: ProcessGroup) -> Array:
        """Return all labels, with new ones in the windows of `numbers`. Each process computes its share."""
        new = copied_to_file(old, beside=data.windows.labels)
        for start in range(0, len(numbers), _PART):
            share = numbers[start : start + _PART][processes.rank :: processes.count]
            parts = [np.empty((2, 0), np.int64)]
            for batch in batches_to_read(data.windows, share, self._settings, processes.device.type, data.pad_id):
                indices, _ = places_of(data.windows.word_ends, batch.numbers.numpy())
                labels = self._labels(model, batch.to(processes.device), data.windows, indices)
                parts.append(np.stack([indices, labels]))
            for indices, labels in processes.gather([np.concatenate(parts, axis=1)]):
                new[indices] = labels
        return new

    def _labels(self, model: Any, batch: Batch, windows: Windows, indices: Array) -> Array:
        """Return the labels of a batch's rows, which are at `indices` in the columns of all windows."""
        with torch.inference_mode(), autocast(batch.ids.device.type, self._settings.precision):
            chances = logits_at(model, batch).float().softmax(-1).cpu().numpy()
        rows = batch.rows.cpu().numpy()
        words = windows.words[indices]
        firsts = are_first_pieces(rows, words, windows.positions[indices])
        # A word in the piece of an earlier word gives no loss, as with the data's labels.
        labels = np.full(len(rows), IGNORED)
        labels[firsts] = decode_spans(chances[firsts], rows[firsts], self._threshold)
        # What nobody knows of the text stays unknown.
        return np.where(windows.labels[indices] == IGNORED, IGNORED, labels)


def are_first_pieces(rows: Array, words: Array, positions: Array) -> Array:
    """Return True for first subwords that no earlier word contains; `rows` are the numbers of their windows."""
    new_row = np.diff(rows, prepend=-1) != 0
    return np.asarray(new_row | ((np.diff(words, prepend=-1) != 0) & (np.diff(positions, prepend=-1) != 0)))


def decode_spans(chances: Array, rows: Array, threshold: float) -> Array:
    """Return the BIO labels of words, given their (words, tags) probabilities; `rows` are the numbers of their windows.

    From the left, a span begins at a word outside the previous spans if the largest P(B-x) exceeds `threshold`. It ends
    at the nearest word of the window, itself or later, whose (P(B-x) + P(I-x)) · (1 - P(I-x) of the next word) exceeds
    it; after a window's last word P(I-x) is 0. A start without an end is dropped.
    """
    labels = np.zeros(len(rows), np.int64)
    if not len(rows) or chances.shape[1] < 3:
        return labels
    begin = chances[:, 1::2]
    inside = chances[:, 2::2]
    last = np.append(np.diff(rows) != 0, [True])
    goes_on = np.where(last[:, None], 0, np.roll(inside, -1, axis=0))
    ends = (begin + inside) * (1 - goes_on) > threshold
    nearest = np.where(ends, np.arange(len(rows))[:, None], len(rows))
    nearest = np.minimum.accumulate(nearest[::-1])[::-1]
    types = begin.argmax(1)
    free = 0
    for first in np.flatnonzero(begin.max(1) > threshold).tolist():
        end = int(nearest[first, types[first]])
        type_ = int(types[first])
        if first >= free and end < len(rows) and rows[end] == rows[first]:
            labels[first], labels[first + 1 : end + 1] = 1 + 2 * type_, 2 + 2 * type_
            free = end + 1
    return labels


def compare_spans(was: Spans, now: Spans) -> dict[str, Spans]:
    """Return the spans by kind of change: all from `now`, except the removed ones from `was`.

    A kept span is equal to an old one. A changed one shares words with old spans but equals none; an added one shares
    no words with them; a removed one shares no words with new spans.
    """
    same = now.within(was)
    over = now.over(was)
    return {
        "added": now.where(~over),
        "kept": now.where(same),
        "changed": now.where(over & ~same),
        "removed": was.where(~was.over(now)),
    }


def _words(windows: Windows) -> Iterator[tuple[Array, Array]]:
    """Yield (words,) twice, for a part of the windows at a time: each word's window, and its index in the columns."""
    for first in range(0, len(windows), _PART):
        ends = windows.word_ends[first : first + _PART]
        begin = int(windows.word_ends[first - 1]) if first else 0
        end = int(ends[-1])
        rows = np.repeat(np.arange(len(ends)), np.diff(ends, prepend=begin))
        firsts = np.flatnonzero(are_first_pieces(rows, windows.words[begin:end], windows.positions[begin:end]))
        yield rows[firsts], begin + firsts
