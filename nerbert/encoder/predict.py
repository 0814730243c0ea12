"""Windows in, a label and its probability for every word out: what validation, evaluation and the tagger share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from nerbert.encoder.heads import word_logits
from nerbert.encoder.pieces import Pieces
from nerbert.labels import OUTSIDE
from nerbert.records import Example
from nerbert.training.batches import collate, micro_batches
from nerbert.training.loop import best_precision, to_device


@dataclass(frozen=True, slots=True)
class WordTags:
    """Tags of one sentence's words with their probabilities (0–1); a word without a piece is O with 1."""

    tags: list[str]
    confidences: list[float]


def predict(
    model: Any, pieces: Pieces, examples: Sequence[Example], names: Sequence[str], *, max_tokens: int = 8192,
    precision: str = "auto",
) -> list[WordTags]:  # fmt: skip
    """The most probable tag of each word (greedy), sentences in order."""
    windows = list(pieces.windows(examples))
    found = [WordTags([OUTSIDE] * len(e.words), [1.0] * len(e.words)) for e in examples]
    device = next(model.parameters()).device
    bf16 = (precision if precision != "auto" else best_precision()) == "bf16"
    model.eval()
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        for group in micro_batches(windows, max_tokens):
            batch = to_device(collate([windows[place] for place in group], pieces.pad_id), device)
            confidences, labels = word_logits(model, batch).float().softmax(-1).max(-1)
            reader = zip(labels.tolist(), confidences.tolist(), strict=True)
            for place in group:
                sentence = found[windows[place].sentence]
                for word in windows[place].words:
                    label, confidence = next(reader)
                    sentence.tags[word], sentence.confidences[word] = names[label], confidence
    return found
