"""`transformers`' own fine-tuning as a system of `nerbert benchmark` (docs/extending/external-system.md).

`python benchmarks/external_transformers.py --encoder FOLDER TRAIN DEV TEST OUTPUT SEED [--keep FOLDER]`, in an
environment with transformers, accelerate and torch. As its guide to token classification has it: a new head on a word's
first subword, `Trainer` with its rate of 5e-5 that falls in a straight line, batches of 8, 3 epochs; but at least
--steps steps (250, as nerbert's default), since 3 epochs of 5 sentences are 3 steps. Each word has its most probable
tag. DEV isn't read.
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from external import run, sentences, spans_of, write
from transformers import (
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorForTokenClassification,
    Trainer,
    TrainingArguments,
    set_seed,
)

_BATCH, _EPOCHS = 8, 3
_UNSEEN = -100


def train(options: Any, folder: Path) -> None:
    """Fine-tune into a folder."""
    set_seed(options.seed)
    data = list(sentences(options.train))
    types = sorted({tag[2:] for _, tags in data for tag in tags if tag != "O"})
    names = ["O", *(f"{mark}-{each}" for each in types for mark in "BI")]
    tokenizer = AutoTokenizer.from_pretrained(options.encoder)
    model = AutoModelForTokenClassification.from_pretrained(
        options.encoder, num_labels=len(names), id2label=dict(enumerate(names)),
        label2id={name: number for number, name in enumerate(names)}, ignore_mismatched_sizes=True,
    )  # fmt: skip
    rows = [_row(tokenizer, words, [names.index(tag) for tag in tags]) for words, tags in data]
    steps = max(options.steps, _EPOCHS * -(-len(rows) // _BATCH))
    how = TrainingArguments(
        output_dir=str(folder / "work"), max_steps=steps, per_device_train_batch_size=_BATCH, learning_rate=5e-5,
        seed=options.seed, save_strategy="no", report_to=[], disable_tqdm=True, use_cpu=not torch.cuda.is_available(),
    )  # fmt: skip
    Trainer(model, how, DataCollatorForTokenClassification(tokenizer), train_dataset=rows).train()  # type: ignore[arg-type]
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")


def tag(options: Any, folder: Path) -> None:
    """Tag the sentences to score, 32 at a time."""
    model = AutoModelForTokenClassification.from_pretrained(folder / "model").eval()
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    data = [words for words, _ in sentences(options.test)]
    found = []
    for first in range(0, len(data), 32):
        part = data[first : first + 32]
        batch = tokenizer(part, is_split_into_words=True, truncation=True, padding=True, return_tensors="pt")
        with torch.inference_mode():
            best = model(**batch).logits.argmax(-1).tolist()
        for number, words in enumerate(part):
            tags = ["O"] * len(words)
            for place, word in reversed(list(enumerate(batch.word_ids(number)))):
                if word is not None:
                    tags[word] = model.config.id2label[best[number][place]]
            found.append((words, spans_of(tags)))
    write(options.output, found)


def _row(tokenizer: Any, words: list[str], tags: list[int]) -> dict[str, list[int]]:
    """Return a sentence's subwords; a word's first one has its tag."""
    row = tokenizer(words, is_split_into_words=True, truncation=True)
    labels, before = [], None
    for word in row.word_ids():
        labels.append(_UNSEEN if word is None or word == before else tags[word])
        before = word
    return {**row, "labels": labels}


if __name__ == "__main__":
    own = argparse.ArgumentParser()
    own.add_argument("--encoder", required=True)
    own.add_argument("--steps", type=int, default=250)
    run(train, tag, own)
