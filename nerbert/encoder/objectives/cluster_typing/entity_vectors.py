"""Entities of labelled windows, and their vectors: the sum of their subwords' last states (CoFEE, Xue et al. 2020)."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from nerbert.metrics.score import decode_columns
from nerbert.model.forward import autocast, states_at
from nerbert.model.windows import Windows, places_of
from nerbert.rng import Array
from nerbert.training.batches import TrainingData, batches_to_read
from nerbert.training.settings import TrainSettings

_SCANNED = 1 << 16
"""Windows whose entities are looked for at once."""


@dataclass(frozen=True, slots=True)
class EntityPieces:
    """The entities of some windows, in order, (entities,) each.

    `terms` are the places in the windows' column of labels where they begin, `rows` the places of their windows among
    those asked for, `firsts` and `ends` their pieces there.
    """

    terms: Array
    rows: Array
    firsts: Array
    ends: Array

    @classmethod
    def of(cls, windows: Windows, numbers: Array, after: int) -> "EntityPieces":
        """Return the entities of some windows; `after` is the number of special pieces at a window's end."""
        terms, counts = places_of(windows.word_ends, numbers)
        labels, columns = windows.labels[terms], windows.positions[terms]
        rows = np.repeat(np.arange(len(numbers)), counts)
        same = rows[1:] == rows[:-1]
        own = np.r_[True, ~same | (columns[1:] != columns[:-1])][: len(rows)]  # else the piece is another word's
        labels, columns, rows, terms = labels[own], columns[own], rows[own], terms[own]

        found = decode_columns(labels, np.flatnonzero(np.diff(rows, prepend=-1)))
        found = found.where(found.opened)
        begins, nexts = found.starts, found.ends
        inside = np.r_[rows, -1][nexts] == rows[begins]
        ends = np.where(inside, np.r_[columns, 0][nexts], _last_ends(windows, numbers, after)[rows[begins]])
        cut = ends < 0  # the sentence continues in another window
        ends[cut] = columns[nexts[cut] - 1] + 1
        return cls(terms[begins], rows[begins], columns[begins], ends)

    def __len__(self) -> int:
        return len(self.terms)

    def chosen(self, which: Array) -> "EntityPieces":
        """Return some of the entities."""
        columns = (self.terms, self.rows, self.firsts, self.ends)
        return EntityPieces(*(each[which] for each in columns))

    def places(self) -> tuple[Array, Array, Array]:
        """Return (pieces,): the entity, the row and the column of each piece of all entities."""
        lengths = self.ends - self.firsts
        entities = np.repeat(np.arange(len(self)), lengths)
        columns = np.repeat(self.ends - np.cumsum(lengths), lengths) + np.arange(len(entities))
        return entities, self.rows[entities], columns


def _last_ends(windows: Windows, numbers: Array, after: int) -> Array:
    """Return where the text of each window ends; -1 if its sentence continues in the next one."""
    nexts = np.minimum(numbers + 1, len(windows) - 1)
    goes_on = (nexts > numbers) & (windows.sentences[nexts] == windows.sentences[numbers])
    ends: Array = np.where(goes_on, -1, windows.lengths_of(numbers) - after)
    return ends


def entities_of(windows: Windows, numbers: Array, after: int) -> tuple[Array, Array]:
    """Return (entities,) of some windows, in order: their windows' numbers and terms."""
    found = list[tuple[Array, Array]]()
    for start in range(0, len(numbers), _SCANNED):
        own = numbers[start : start + _SCANNED]
        entities = EntityPieces.of(windows, own, after)
        found.append((own[entities.rows], entities.terms))
    homes, terms = (np.concatenate(each) for each in zip(*found, strict=True))
    return homes, terms


def summed(states: torch.Tensor, entities: torch.Tensor, count: int) -> torch.Tensor:
    """Return (count, width): the sums of the states (pieces, width) of each of so many entities, in fp32."""
    return states.new_zeros(count, states.shape[-1], dtype=torch.float32).index_add_(0, entities, states.float())


def vectors_of(
    model: Any, data: TrainingData, homes: Array, terms: Array, after: int, settings: TrainSettings
) -> Array:
    """Return (entities, width): the vectors of the entities that begin at `terms`, sorted, in the windows `homes`."""
    device = next(model.parameters()).device
    vectors = np.empty((len(terms), int(model.config.hidden_size)), np.float32)
    with torch.inference_mode(), autocast(device.type, settings.precision):
        for batch in batches_to_read(data.windows, np.unique(homes), settings, device.type, data.pad_id):
            entities = EntityPieces.of(data.windows, batch.numbers.numpy(), after)
            places = np.minimum(np.searchsorted(terms, entities.terms), len(terms) - 1)
            wanted = np.flatnonzero(terms[places] == entities.terms)
            which, rows, columns = (torch.from_numpy(each) for each in entities.chosen(wanted).places())
            own = replace(batch, rows=rows, columns=columns).to(device)
            sums = summed(states_at(model.base_model, own), which.to(device), len(wanted))
            vectors[places[wanted]] = sums.cpu().numpy()
    return vectors
