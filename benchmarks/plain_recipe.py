"""The plain `transformers` recipe for token classification, as its own example script and course teach it: fine-tuning
or prediction as a process to be measured. What nerbert's fine-tuning is compared with; nothing of nerbert is used.

`python benchmarks/plain_recipe.py MODEL TRAIN.conll --output FOLDER [--better] [settings]` fine-tunes and saves;
`python benchmarks/plain_recipe.py FOLDER TEST.conll --predict` scores by seqeval.

A tokenizer that takes words, the label on a word's first piece and -100 on the others, a fresh head, sentences padded
to the longest of their batch, `Trainer`, which needs accelerate. What is not named here is `Trainer`'s default: fp32,
sentences in random order, fused AdamW, a checkpoint with the optimizer's state at the end besides the model. `--better`
is the same recipe in the hands of someone who knows what `Trainer` offers: bf16 on the CPU, sentences of a length
together, no checkpoint, plain lists instead of a `Dataset`. Both are spared what the example script loads and training
doesn't need (`evaluate`, seqeval, logs to a file).

Two differences from that script, for the score's sake: words that it cuts off at the model's length count as O, where
the script leaves them out of the score; and what is scored against are the tags of the file, so that a type which train
lacks is missed instead of an error. Sentences are predicted in the order of their lengths, which saves padding.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from transformers import (
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorForTokenClassification,
    Trainer,
    TrainingArguments,
    set_seed,
)

Sentences = list[tuple[list[str], list[str]]]
IGNORED = -100


def main() -> None:
    """Fine-tune or predict; the last line is JSON."""
    options = _options()
    sentences = read_conll(options.file)
    print(json.dumps(predict(options, sentences) if options.predict else fine_tune(options, sentences)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("file", type=Path)
    parser.add_argument("--predict", action="store_true")
    parser.add_argument("--output", type=Path, default=Path("plain"))
    parser.add_argument("--better", action="store_true", help="Trainer's better settings for a CPU")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=float, default=20.0)
    parser.add_argument("--steps", type=int, default=0, help="instead of epochs")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=2e-4)
    parser.add_argument("--weight-decay", type=float, default=0.01)
    parser.add_argument("--warmup", type=float, default=0.1, help="share of steps")
    parser.add_argument("--clip", type=float, default=1.0)
    return parser.parse_args()


def read_conll(path: Path) -> Sentences:
    """Words and tags of each sentence of a file with a tab between them."""
    blocks = path.read_text(encoding="utf-8").strip("\n").split("\n\n")
    rows = [[line.split("\t") for line in block.split("\n") if line] for block in blocks]
    return [([row[0] for row in each], [row[-1] for row in each]) for each in rows if each]


def encode(tokenizer: Any, words: list[list[str]], tags: list[list[int]]) -> dict[str, list[list[int]]]:
    """Pieces of sentences with a label for the first piece of each word."""
    encoded = tokenizer(words, truncation=True, is_split_into_words=True)
    labels = []
    for number, own in enumerate(tags):
        places = encoded.word_ids(number)
        befores = [None, *places]
        labels.append(
            [
                own[word] if word is not None and word != before else IGNORED
                for word, before in zip(places, befores, strict=False)
            ]
        )
    return {**encoded, "labels": labels}


def fine_tune(options: argparse.Namespace, sentences: Sentences) -> dict[str, Any]:
    """Train on the sentences and save; what the training alone took."""
    set_seed(options.seed)
    names = sorted({tag for _, tags in sentences for tag in tags})
    number_of = {name: number for number, name in enumerate(names)}
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    model = AutoModelForTokenClassification.from_pretrained(
        options.model, num_labels=len(names), id2label=dict(enumerate(names)), label2id=number_of
    )
    rows = {"words": [words for words, _ in sentences], "tags": [[number_of[t] for t in own] for _, own in sentences]}
    data: Any
    if options.better:
        columns = encode(tokenizer, rows["words"], rows["tags"])
        data = [dict(zip(columns, each, strict=True)) for each in zip(*columns.values(), strict=True)]
    else:
        data = Dataset.from_dict(rows).map(
            lambda some: encode(tokenizer, some["words"], some["tags"]), batched=True, remove_columns=list(rows)
        )
    trainer = Trainer(
        model=model,
        args=_arguments(options),
        train_dataset=data,
        processing_class=tokenizer,
        data_collator=DataCollatorForTokenClassification(tokenizer),
    )
    cpu, wall = time.process_time(), time.monotonic()
    done = trainer.train()
    cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    trainer.save_model()
    return {"training_cpu_seconds": cpu, "training_wall_seconds": wall, "steps": done.global_step}


def _arguments(options: argparse.Namespace) -> TrainingArguments:
    more: dict[str, Any] = {}
    if options.better:
        more = {"bf16": True, "train_sampling_strategy": "group_by_length", "save_strategy": "no"}
        more |= {"logging_strategy": "no", "disable_tqdm": True, "dataloader_pin_memory": False}
    return TrainingArguments(
        output_dir=str(options.output),
        seed=options.seed,
        num_train_epochs=options.epochs,
        max_steps=options.steps or -1,
        per_device_train_batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        weight_decay=options.weight_decay,
        warmup_steps=options.warmup,
        lr_scheduler_type="linear",
        max_grad_norm=options.clip,
        report_to="none",
        use_cpu=True,
        **more,
    )


def predict(options: argparse.Namespace, sentences: Sentences) -> dict[str, Any]:
    """Tag the sentences by `Trainer.predict` and score the raw greedy tags; how many words have none."""
    from seqeval.metrics import f1_score

    sentences = sorted(sentences, key=lambda each: len(each[0]))
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    model = AutoModelForTokenClassification.from_pretrained(options.model)
    columns = encode(tokenizer, [words for words, _ in sentences], [[*range(len(words))] for words, _ in sentences])
    places = columns["labels"]
    data = [dict(zip(columns, each, strict=True)) for each in zip(*columns.values(), strict=True)]
    for each in data:
        each["labels"] = [place if place == IGNORED else 0 for place in each["labels"]]
    arguments = TrainingArguments(
        output_dir=str(options.output), use_cpu=True, report_to="none", disable_tqdm=True, per_device_eval_batch_size=32
    )
    trainer = Trainer(model=model, args=arguments, data_collator=DataCollatorForTokenClassification(tokenizer))
    best = np.argmax(trainer.predict(data).predictions, axis=2)
    found = [["O"] * len(words) for words, _ in sentences]
    for row, own in enumerate(places):
        for column, word in enumerate(own):
            if word != IGNORED:
                found[row][word] = model.config.id2label[int(best[row][column])]
    lost = sum(len(words) for words, _ in sentences) - sum(place != IGNORED for own in places for place in own)
    return {"f1": float(f1_score([tags for _, tags in sentences], found)), "words_without_tag": lost}


if __name__ == "__main__":
    main()
