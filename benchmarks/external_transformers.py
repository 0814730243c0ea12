"""`transformers`' own fine-tuning as a system of `nerbert benchmark` (docs/extending/external-system.md).

`python benchmarks/external_transformers.py --encoder FOLDER TRAIN DEV TEST OUTPUT SEED [--keep FOLDER]`, in an
environment with transformers, accelerate, datasets and torch. It is the recipe of plain_recipe.py with the settings of
its example script: a rate of 5e-5 that falls in a straight line, batches of 8, 3 epochs; but at least --steps steps
(250, as nerbert's default), since 3 epochs of 5 sentences are 3 steps. Each word has its most probable tag. DEV isn't
read.
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from external import run, sentences, spans_of, write
from plain_recipe import IGNORED, encode, fine_tune
from transformers import AutoModelForTokenClassification, AutoTokenizer

_BATCH, _EPOCHS = 8, 3


def train(options: Any, folder: Path) -> None:
    """Fine-tune into a folder."""
    data = list(sentences(options.train))
    fine_tune(
        argparse.Namespace(
            model=options.encoder,
            output=folder,
            seed=options.seed,
            better=False,
            epochs=_EPOCHS,
            clip=1.0,
            warmup=0,
            steps=max(options.steps, _EPOCHS * -(-len(data) // _BATCH)),
            batch_size=_BATCH,
            learning_rate=5e-5,
            weight_decay=0.0,
        ),
        data,
    )


def tag(options: Any, folder: Path) -> None:
    """Tag the sentences to score, 32 at a time."""
    model = AutoModelForTokenClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    data = [words for words, _ in sentences(options.test)]
    write(
        options.output,
        (each for first in range(0, len(data), 32) for each in _tagged(model, tokenizer, data[first : first + 32])),
    )


def _tagged(model: Any, tokenizer: Any, part: list[list[str]]) -> list[tuple[list[str], list[tuple[int, int, str]]]]:
    """Return some sentences with their entities; a word that was cut off is outside of all."""
    columns = encode(tokenizer, part, [[*range(len(words))] for words in part])
    places = columns.pop("labels")
    with torch.inference_mode():
        best = model(**tokenizer.pad(columns, return_tensors="pt")).logits.argmax(-1).tolist()
    found = []
    for words, own, row in zip(part, places, best, strict=True):
        tags = ["O"] * len(words)
        for place, word in enumerate(own):
            if word != IGNORED:
                tags[word] = model.config.id2label[row[place]]
        found.append((words, spans_of(tags)))
    return found


if __name__ == "__main__":
    own = argparse.ArgumentParser()
    own.add_argument("--encoder", required=True)
    own.add_argument("--steps", type=int, default=250)
    run(train, tag, own)
