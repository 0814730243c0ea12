"""Windows in, a label and its probability for every word out: what validation, evaluation and the tagger share."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from nerbert.encoder.heads import logits_at
from nerbert.encoder.pieces import Pieces
from nerbert.labels import OUTSIDE, continued
from nerbert.records import Example
from nerbert.training.batches import collate, micro_batches
from nerbert.training.loop import autocast
from nerbert.training.windows import Window, Windows


@dataclass(frozen=True, slots=True)
class WordTags:
    """Tags of one sentence's words with their probabilities (0–1).

    A word without a piece is O with 1; one that shares the piece of the word before it continues that one's entity.
    """

    tags: list[str]
    confidences: list[float]


def predict(
    model: Any, pieces: Pieces, examples: Sequence[Example], names: Sequence[str], *, max_tokens: int = 8192,
    precision: str = "auto",
) -> list[WordTags]:  # fmt: skip
    """The most probable tag of each word (greedy), sentences in order."""
    rows = list(pieces.windows(examples))
    windows = Windows.pack(rows)
    found = [WordTags([OUTSIDE] * len(e.words), [1.0] * len(e.words)) for e in examples]
    device = next(model.parameters()).device
    model.eval()
    with torch.inference_mode(), autocast(device.type, precision):
        for group in micro_batches(windows.lengths, max_tokens):
            batch = collate(windows, np.array(group), pieces.pad_id).to(device)
            confidences, labels = logits_at(model, batch).float().softmax(-1).max(-1)
            reader = zip(labels.tolist(), confidences.tolist(), strict=True)
            for place in group:
                _read_off(rows[place], found[rows[place].sentence], reader, names)
    return found


def _read_off(window: Window, found: WordTags, reader: Iterator[tuple[int, float]], names: Sequence[str]) -> None:
    """Put the labels of one window's words into the tags of its sentence."""
    tag, before = OUTSIDE, -1
    for word, position in zip(window.words, window.positions, strict=True):
        label, confidence = next(reader)
        tag = names[label] if position != before else continued(tag)
        found.tags[word], found.confidences[word], before = tag, confidence, position
