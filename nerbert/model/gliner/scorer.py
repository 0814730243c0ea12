"""What computes a GLiNER model for its head, by arrays; here with torch."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from nerbert.model.forward import autocast
from nerbert.model.gliner.layers import remember_positions
from nerbert.model.gliner.prompt import LabelPrompt, WordWindow
from nerbert.model.windows import micro_batches, padded_rows
from nerbert.records import EntityLabel
from nerbert.rng import Array

if TYPE_CHECKING:
    from nerbert.model.gliner.folder import GlinerFolder

_LABELS = 64
"""Labels that go through their own encoder together."""


class GlinerScorer(Protocol):
    """Computes a GLiNER model; threads may share it."""

    name: str
    """What it computes on."""

    def label_vectors(self, labels: Sequence[EntityLabel]) -> Any:
        """Return what `scores` takes for labels that have their own encoder."""

    def scores(
        self, windows: Sequence[WordWindow], prompts: Sequence[LabelPrompt], vectors: Sequence[Any]
    ) -> Iterator[Array]:
        """Yield the log-odds of each window in fp32; all windows go through the text's encoder together.

        They are (words, widths, labels) of spans, or (words, labels, 3) of words as first, last and inner ones. The
        labels of a window are in its prompt, or in `vectors` unless that is None.
        """


class TorchGliner:
    """A GLiNER model in torch, where it lies. Nothing is cached of a model that is trained later (`trains`)."""

    def __init__(
        self, loaded: "GlinerFolder", precision: str = "fp32", name: str = "gliner", *, trains: bool = False
    ) -> None:
        self.model, self.name = loaded.model.eval(), name
        self._pad_id, self._labels, self._precision = loaded.pieces.pad_id, loaded.labels_pieces, precision
        if not trains:
            remember_positions(self.model.body)

    def label_vectors(self, labels: Sequence[EntityLabel]) -> Any:
        """Return labels' vectors as the layers that score take them."""
        rows = self._labels.alone([each.text for each in labels]) if self._labels else []
        with torch.inference_mode(), autocast(self._device.type, self._precision):
            found = torch.zeros((len(rows), self.model.config.hidden_size), device=self._device)
            for group in micro_batches([len(each) for each in rows], _LABELS * 8):
                ids, mask = row_tensors([rows[each] for each in group], self._pad_id, self._device)
                found[group] = self.model.label_vectors(ids, mask).float()
            return self.model.prepared(found)

    def scores(
        self, windows: Sequence[WordWindow], prompts: Sequence[LabelPrompt], vectors: Sequence[Any]
    ) -> Iterator[Array]:
        """Yield the log-odds of each window."""
        with torch.inference_mode(), autocast(self._device.type, self._precision):
            found = [scores.cpu().numpy() for scores in self._scored(windows, prompts, vectors)]
        yield from found  # outside of the context, which is the thread's

    def _scored(
        self, windows: Sequence[WordWindow], prompts: Sequence[LabelPrompt], vectors: Sequence[Any]
    ) -> Iterator[torch.Tensor]:
        model, pooling = self.model, self.model.config.subtoken_pooling
        states = self._states([each.ids for each in windows])
        rows = np.repeat(np.arange(len(windows)), [len(each.places) for each in windows])
        words = model.projected(states[rows, np.concatenate([each.places for each in windows])])
        if pooling in ("mean", "max"):
            lengths = torch.from_numpy(np.concatenate([each.counts for each in windows])).to(self._device)
            words = torch.segment_reduce(words.float(), pooling, lengths=lengths)
        labels = [
            model.prepared(model.projected(own[list(prompt.places)])) if given is None else given
            for own, prompt, given in zip(states, prompts, vectors, strict=True)
        ]
        yield from model.scores_of_texts(words, torch.tensor([len(each.counts) for each in windows]), labels)

    def _states(self, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        """Return (rows, pieces, width): the text encoder's states."""
        ids, mask = row_tensors(rows, self._pad_id, self._device)
        states: torch.Tensor = self.model.body(input_ids=ids, attention_mask=mask)[0]
        return states

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device


def row_tensors(rows: Sequence[Sequence[int]], pad_id: int, device: torch.device) -> list[torch.Tensor]:
    """Return the ids and the mask of some rows, (rows, pieces) each."""
    return [torch.from_numpy(each).to(device) for each in padded_rows(rows, pad_id)]
