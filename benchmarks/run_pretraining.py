"""One side of pretraining.py as a process to be measured: nerbert's loop, or `Trainer`, over the same windows.

`python benchmarks/run_pretraining.py SIDE ENCODER CORPUS --work FOLDER --steps 100 …`; the last line is JSON. Both
start from the same model (the encoder with a fresh head by seed) and from windows that are in memory or mapped before
the clock starts; both train a few steps first that aren't counted. `check` trains one step on each side, on the same
windows without dropout in fp32, and tells both losses and gradient norms.

`Trainer` has its windows as plain lists, which is the least it can have to do (a `Dataset` turns Arrow into lists
first), and writes no checkpoints; what isn't named here is its default, as is the collator.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import DataCollatorForTokenClassification, Trainer, TrainingArguments

from nerbert.encoder.pretrain import prepare
from nerbert.encoder.settings import PretrainSettings
from nerbert.model.windows import IGNORED
from nerbert.training.batches import TrainingData, batches_of
from nerbert.training.checkpoint import StepLog
from nerbert.training.distributed import make_process_group
from nerbert.training.loop import train
from nerbert.training.run import Run
from nerbert.training.tagging import TokenClassification

SIDES = ("nerbert", "nerbert, fp32", "Trainer", "Trainer, fp32", "Trainer, best", "Trainer, best, fp32")
WARM_STEPS = 5


def main() -> None:
    """Train one side, or check both; the last line is JSON."""
    options = _options()
    torch.set_num_threads(options.threads)
    settings = _settings(options)
    model, tokenizer, data = _start(settings)
    if options.side == "check":
        print(json.dumps(check(model, tokenizer, data, settings, options.work)))
        return
    side = ours if options.side.startswith("nerbert") else theirs
    side(model, tokenizer, data, _with_steps(settings, WARM_STEPS), options)
    print(json.dumps(side(model, tokenizer, data, settings, options)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("side", choices=("check", *SIDES))
    parser.add_argument("encoder")
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--work", type=Path, required=True, help="folder for pieces and logs")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=PretrainSettings.__dataclass_fields__["batch_size"].default)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def _settings(options: argparse.Namespace) -> PretrainSettings:
    settings = PretrainSettings(
        corpus=(options.corpus,),
        backbone=options.encoder,
        cache=str(options.work / "cache"),
        seed=options.seed,
        batch_size=options.batch_size,
        precision="fp32" if options.side.endswith(("fp32", "check")) else "bf16",
    )
    return _with_steps(settings, 1 if options.side == "check" else options.steps)


def _with_steps(settings: PretrainSettings, steps: int) -> PretrainSettings:
    return replace(settings, min_steps=steps, max_steps=steps)


def _start(settings: PretrainSettings) -> tuple[Any, Any, TrainingData]:
    """Model, tokenizer and windows, as `nerbert.encoder.pretrain` has them."""
    work = prepare(settings, make_process_group(settings))
    return work.model, work.pieces.tokenizer, work.data


def ours(
    model: Any, _tokenizer: Any, data: TrainingData, settings: PretrainSettings, options: argparse.Namespace
) -> dict[str, Any]:
    """What nerbert's loop took, with its log of steps."""
    steps = StepLog(options.work / "log.jsonl")
    cpu, wall = time.process_time(), time.monotonic()
    log = train(Run(model, data, TokenClassification(), settings, make_process_group(settings), steps=steps))
    cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    order = [numbers for _, numbers in data.steps(settings, 0, log.steps)]
    cut = [
        each.ids.numel()
        for own in order
        for each in batches_of(data.windows, own, settings.max_tokens_per_batch, "cpu", data.pad_id)
    ]
    return {
        "cpu_seconds": cpu,
        "wall_seconds": wall,
        "steps": log.steps,
        "pieces": log.tokens,
        "padded_pieces": sum(cut),
        "passes": len(cut),
        "loss": log.entries[-1]["loss"],
    }


def theirs(
    model: Any, tokenizer: Any, data: TrainingData, settings: PretrainSettings, options: argparse.Namespace
) -> dict[str, Any]:
    """What `Trainer` took; pieces are counted where its collator gives batches out."""
    sizes: list[tuple[int, int]] = []
    collate = DataCollatorForTokenClassification(tokenizer)

    def counted(rows: list[Any]) -> Any:
        batch = collate(rows)
        sizes.append((int(batch["attention_mask"].sum()), batch["input_ids"].numel()))
        return batch

    more: dict[str, Any] = {"bf16": settings.precision == "bf16"}
    if "best" in options.side:
        more |= {"train_sampling_strategy": "group_by_length", "disable_tqdm": True, "logging_strategy": "no"}
    trainer = _trainer(model, data, settings, options.work, counted, data.numbers_of(0), **more)
    cpu, wall = time.process_time(), time.monotonic()
    done = trainer.train()
    cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    real, padded = (sum(column) for column in zip(*sizes[: done.global_step], strict=True))
    return {
        "cpu_seconds": cpu,
        "wall_seconds": wall,
        "steps": done.global_step,
        "pieces": real,
        "padded_pieces": padded,
        "passes": done.global_step,
        "loss": done.training_loss,
    }


def _trainer(
    model: Any, data: TrainingData, settings: PretrainSettings, work: Path, collate: Any, numbers: Any, **more: Any
) -> Trainer:
    arguments = TrainingArguments(
        output_dir=str(work / "trainer"),
        seed=settings.seed,
        max_steps=settings.max_steps,
        per_device_train_batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        warmup_steps=settings.warmup_ratio,
        lr_scheduler_type="linear",
        max_grad_norm=settings.max_grad_norm,
        report_to="none",
        use_cpu=True,
        save_strategy="no",
        dataloader_pin_memory=False,
        **more,
    )
    return Trainer(model=model, args=arguments, train_dataset=rows_of(data, numbers), data_collator=collate)


def rows_of(data: TrainingData, numbers: Any) -> list[dict[str, list[int]]]:
    """The windows as `Trainer` takes them: a label for each piece, of which only words' first ones have one."""
    rows = []
    for number in numbers:
        window = data.windows.row(int(number))
        labels = [IGNORED] * len(window.ids)
        for position, label in zip(window.positions, window.labels, strict=True):
            labels[position] = label
        rows.append({"input_ids": list(window.ids), "attention_mask": [1] * len(window.ids), "labels": labels})
    return rows


def check(model: Any, tokenizer: Any, data: TrainingData, settings: PretrainSettings, work: Path) -> dict[str, Any]:
    """Loss, gradient norm and real pieces of the first step on both sides: the same windows, no dropout, fp32."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    _, numbers = next(data.steps(settings, 0, 1))
    steps = StepLog(work / "check.jsonl")
    log = train(Run(model, data, TokenClassification(), settings, make_process_group(settings), steps=steps))
    line = json.loads((work / "check.jsonl").read_text().splitlines()[0])
    model.load_state_dict(weights)
    collate = DataCollatorForTokenClassification(tokenizer)
    trainer = _trainer(model, data, settings, work, collate, numbers, logging_steps=1)
    trainer.train()
    told = trainer.state.log_history[0]
    pieces = sum(len(row["input_ids"]) for row in trainer.train_dataset)
    return {
        "loss": (line["loss"], told["loss"]),
        "norm": (line["norm"], told["grad_norm"]),
        "pieces": (log.tokens, pieces),
        "classes": model.config.num_labels,
        "windows": len(data.numbers_of(0)),
    }


if __name__ == "__main__":
    main()
