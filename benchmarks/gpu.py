"""What a GPU gives: pre-training at BERT-base's shape, tagging, and whether its losses are the CPU's.

`python benchmarks/gpu.py -o FOLDER [--only training tagging losses] [--store]`

Needs no network and no data: weights are random, windows have lengths as English Wikipedia's sentences (log-normal).
Measured in one run: the device's own bf16 matrix product; nerbert's loop, and `transformers`' Trainer
as it comes and sorted by length, on the same windows; tagging by torch, and by onnxruntime
where it has its GPU provider; the losses of a small training against those of a CPU, stored beside this file (`--store`
writes them). Pieces are real ones, padding not counted. A piece takes 6 operations a weight outside the embeddings, and
12 · layers · width · length for attention.

`Trainer` needs accelerate. Without a GPU the sizes are tiny, and the figures say only that everything runs. Writes
gpu.json and gpu.md. On a fresh GPU machine: `PYTHONPATH=. python benchmarks/gpu.py -o out`; it takes less than ten
minutes.
"""

import argparse
import gc
import json
import math
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from report import surroundings

from nerbert.labels import tag_names
from nerbert.model.backbone import load_tokenizer, save_model
from nerbert.model.windows import IGNORED, Windows
from nerbert.terminal import Progress
from nerbert.training.batches import TrainingData
from nerbert.training.checkpoint import StepLog
from nerbert.training.distributed import make_process_group
from nerbert.training.loop import train
from nerbert.training.run import Run
from nerbert.training.settings import TrainSettings
from nerbert.training.tagging import TokenClassification

STORED = Path(__file__).with_name("gpu-losses.json")
PACKAGES = ("nerbert", "torch", "transformers", "accelerate", "numpy", "onnxruntime")
PEAKS = {
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "H200": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
    "4090": 165e12,
}
"""Dense bf16 operations a second, by the makers' data sheets; the first name that fits."""
PAPER, PIECES_A_WORD = 475.6e6, 1.3
"""Words of NER-BERT's corpus (§2.3); pieces of BERT's cased vocabulary a word, about."""
SORTED = {"train_sampling_strategy": "group_by_length"}
THEIRS = {
    "Trainer": {},
    "Trainer, sorted": SORTED,
    "Trainer, sorted, 4 workers": SORTED | {"dataloader_num_workers": 4},
}


@dataclass(frozen=True, slots=True)
class Size:
    """Of a model, and of what it trains on: `batch` windows a step, `steps` that count after `warm` ones."""

    layers: int
    width: int
    vocabulary: int
    windows: int
    batch: int
    steps: int
    warm: int
    types: int = 315
    texts: int = 4000


LARGE = Size(layers=12, width=768, vocabulary=30522, windows=40_000, batch=512, steps=120, warm=20)
TINY = Size(layers=2, width=64, vocabulary=500, windows=96, batch=16, steps=4, warm=1, types=3, texts=8)


def model_of(size: Size, dropout: float = 0.1) -> Any:
    """Return a BERT tagger with random weights."""
    from transformers import BertConfig, BertForTokenClassification

    names = tag_names([f"type {number}" for number in range(size.types)])
    torch.manual_seed(1)
    return BertForTokenClassification(
        BertConfig(
            vocab_size=size.vocabulary,
            hidden_size=size.width,
            num_hidden_layers=size.layers,
            num_attention_heads=size.width // 64,
            intermediate_size=4 * size.width,
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
            id2label=dict(enumerate(names)),
            label2id={name: number for number, name in enumerate(names)},
        )
    )


def data_of(size: Size) -> TrainingData:
    """Return windows of random pieces, with a random label for each of them but the first and the last."""
    chance = np.random.default_rng(1)
    lengths = np.clip(chance.lognormal(np.log(33), 0.5, size.windows).astype(np.int64), 5, 256)
    ends, words = np.cumsum(lengths), np.cumsum(lengths - 2)
    ids = chance.integers(5, size.vocabulary, ends[-1]).astype(np.int32)
    positions = np.concatenate([np.arange(1, each - 1) for each in lengths]).astype(np.int32)
    labels = chance.integers(0, 2 * size.types + 1, words[-1]).astype(np.int32)
    return TrainingData.each_once(Windows(ids, ends, positions - 1, positions, labels, words, np.arange(len(ends))), 0)


def ours(size: Size, settings: TrainSettings, data: TrainingData) -> dict[str, float]:
    """Return pieces a second of nerbert's loop, and its memory."""
    model, objective = model_of(size), TokenClassification([f"type {number}" for number in range(size.types)])
    steps, clock = size.warm + size.steps, Clock(size)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.jsonl"
        settings = replace(settings, min_steps=steps, max_steps=steps)
        train(Run(model, data, objective, settings, make_process_group(settings), clock, steps=StepLog(path)))
        lines = [each for each in map(json.loads, path.read_text().splitlines()) if each["kind"] == "train"]
    begun, done = lines[size.warm - 1], lines[size.warm + size.steps - 1]
    return {"pieces": done["tokens"] - begun["tokens"], "loss": done["loss"], **clock.taken}


class Clock(Progress):
    """A bar that measures the seconds of the steps after the first ones, with the device's work done."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self._first, self._last, self._done, self._timed = size.warm, size.warm + size.steps, 0, Timed()
        self.taken: dict[str, float] = {}

    def advance(self, *given: Any, **named: Any) -> None:
        """Count a step."""
        if not named.get("note"):
            return  # what is told before the first step
        self._done += 1
        if self._done == self._first:
            self.taken = self._timed.__enter__()
        elif self._done == self._last:
            self._timed.__exit__()


def theirs(size: Size, settings: TrainSettings, data: TrainingData, **more: Any) -> dict[str, float]:
    """Return pieces a second of transformers' Trainer on the same windows, after its first steps."""
    from transformers import Trainer, TrainerCallback, TrainingArguments

    timed, pieces, found = Timed(), list[torch.Tensor](), list[dict[str, float]]()

    class StepClock(TrainerCallback):
        def on_step_end(self, _args: Any, state: Any, _control: Any, **_named: Any) -> None:
            if state.global_step == size.warm:
                found.append(timed.__enter__())
            elif state.global_step == size.warm + size.steps:
                timed.__exit__()

    rows = [{"input_ids": ids, "labels": labels} for ids, labels in rows_of(data.windows)]
    on_gpu = torch.cuda.is_available()

    class Counting(Trainer):
        def training_step(self, model: Any, inputs: Any, *given: Any, **named: Any) -> Any:
            many = inputs.pop("pieces")
            if self.state.global_step >= size.warm:
                pieces.append(many)  # read after the clock
            return super().training_step(model, inputs, *given, **named)

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            max_steps=size.warm + size.steps,
            per_device_train_batch_size=size.batch,
            learning_rate=settings.learning_rate,
            report_to="none",
            save_strategy="no",
            use_cpu=not on_gpu,
            bf16=on_gpu,
            dataloader_pin_memory=on_gpu,
            disable_tqdm=True,
            remove_unused_columns=False,
            **more,
        )
        Counting(model_of(size), arguments, train_dataset=rows, data_collator=padded, callbacks=[StepClock()]).train()
    return {"pieces": sum(map(int, pieces)), **found[0]}


def rows_of(windows: Windows) -> Iterator[tuple[list[int], list[int]]]:
    """Yield pieces of each window, and a label for each of them."""
    labels = np.split(windows.labels, windows.word_ends[:-1])
    for ids, own in zip(np.split(windows.ids, windows.ends[:-1]), labels, strict=True):
        yield ids.tolist(), [IGNORED, *own.tolist(), IGNORED]


def padded(rows: Sequence[Mapping[str, list[int]]]) -> dict[str, torch.Tensor]:
    """Return a batch for Trainer."""
    longest = max(len(each["input_ids"]) for each in rows)
    fill = {"input_ids": 0, "labels": IGNORED}
    batch = {
        name: torch.tensor([each[name] + [pad] * (longest - len(each[name])) for each in rows])
        for name, pad in fill.items()
    }
    lengths = torch.tensor([len(each["input_ids"]) for each in rows])
    mask = (torch.arange(longest) < lengths[:, None]).long()
    return batch | {"attention_mask": mask, "pieces": lengths.sum()}


class Timed:
    """A context that measures seconds, with the device's work done, and the device's largest memory."""

    def __enter__(self) -> dict[str, float]:
        synchronize()
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        self._taken, self._begin = dict[str, float](), time.monotonic()
        return self._taken

    def __exit__(self, *_: object) -> None:
        synchronize()
        self._taken["seconds"] = time.monotonic() - self._begin
        if torch.cuda.is_available():
            self._taken["peak_bytes"] = torch.cuda.max_memory_allocated()


def synchronize() -> None:
    """Wait for the device."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def product(side: int) -> float:
    """Return operations a second of a square bf16 product."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    one, two = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        one @ two
    with Timed() as taken:
        for _ in range(10):
            one @ two
    return float(10 * 2 * side**3 / taken["seconds"])


def training(size: Size, data: TrainingData) -> dict[str, Any]:
    """Return the figures of all sides."""
    on_gpu = torch.cuda.is_available()
    settings = TrainSettings(batch_size=size.batch, max_tokens_per_batch=32768, precision="bf16" if on_gpu else "fp32")
    sides: dict[str, Callable[[], dict[str, float]]] = {"nerbert": lambda: ours(size, settings, data)} | {
        name: lambda more=more: theirs(size, settings, data, **more)
        for name, more in THEIRS.items()  # type: ignore[misc]
        if on_gpu or "dataloader_num_workers" not in more
    }
    weights = sum(each.numel() for name, each in model_of(size).named_parameters() if "embeddings" not in name)
    cost = 6 * weights + 12 * size.layers * size.width * len(data.windows.ids) / len(data.windows)
    name = torch.cuda.get_device_name() if on_gpu else "CPU"
    peak = next((each for key, each in PEAKS.items() if key in name), 0.0)
    measured = product(8192 if on_gpu else 256)
    found: dict[str, Any] = {}
    for side, run in sides.items():
        gc.collect()
        if on_gpu:
            torch.cuda.empty_cache()
        try:
            figures = run()
        except Exception as error:  # the other sides are measured all the same
            traceback.print_exc()
            found[side] = {"failed": f"{type(error).__name__}: {error}"[:500]}
            continue
        speed = figures["pieces"] / figures["seconds"]
        figures |= {"pieces_a_second": speed, "operations_a_second": speed * cost}
        found[side] = figures | {"of_product": speed * cost / measured, "of_peak": speed * cost / peak if peak else 0}
        print(f"{side}: {speed:,.0f} pieces/s", file=sys.stderr, flush=True)
    return {"device": name, "peak": peak, "product": measured, "operations_a_piece": cost, "sides": found}


def tagging(size: Size) -> dict[str, Any]:
    """Return words a second of a tagger of this shape, by torch and by onnxruntime's GPU provider."""
    from nerbert.tagger.tagger import Tagger

    tokenizer, chance = load_tokenizer("embedded"), np.random.default_rng(2)
    words = [word for word in tokenizer.get_vocab() if word.isalpha()]
    texts = [" ".join(chance.choice(words, int(each))) for each in np.clip(chance.lognormal(3, 0.5, size.texts), 3, 90)]
    count = sum(len(each.split()) for each in texts)
    with tempfile.TemporaryDirectory() as folder:
        model = model_of(replace(size, vocabulary=len(tokenizer), types=4))
        with torch.no_grad():
            model.classifier.bias[0] = 1.0  # O is likely, as in texts
        save_model(Path(folder), model, tokenizer)
        tagger = Tagger.load(folder, backend="torch")
        list(tagger.tag_many(texts[: size.texts // 4]))
        with Timed() as taken:
            list(tagger.tag_many(texts))
        try:
            graph = onnx(model, size)
        except Exception as error:  # torch's figure is kept
            graph = f"failed: {type(error).__name__}: {error}"[:500]
        return {"words": count, "torch": count / taken["seconds"], "onnxruntime": graph}


def onnx(model: Any, size: Size) -> float | str:
    """Return words a second of the graph alone, 64 windows of 32 pieces a batch, 1.3 pieces a word; or why not."""
    try:
        import onnxruntime
    except ImportError:
        return "onnxruntime is not installed"
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        return "onnxruntime has no GPU provider here"
    ids = torch.ones((64, 32), dtype=torch.long)
    with tempfile.TemporaryDirectory() as folder:
        target = str(Path(folder) / "model.onnx")
        torch.onnx.export(
            model.cpu().eval(),
            (ids, torch.ones_like(ids)),
            target,
            dynamo=True,
            input_names=["input_ids", "attention_mask"],
        )
        session = onnxruntime.InferenceSession(target, providers=["CUDAExecutionProvider"])
    feed = {each.name: ids.numpy() for each in session.get_inputs()}
    session.run(None, feed)
    rounds = size.texts // 64 + 1
    with Timed() as taken:
        for _ in range(rounds):
            session.run(None, feed)
    return rounds * ids.numel() / PIECES_A_WORD / taken["seconds"]


def losses(**settings: Any) -> list[float]:
    """Return the losses of a small training without dropout, step by step."""
    size = TINY
    own = TrainSettings(batch_size=16, min_steps=12, max_steps=12, learning_rate=5e-4, **settings)
    objective = TokenClassification([f"type {number}" for number in range(size.types)])
    with tempfile.TemporaryDirectory() as folder:
        log = StepLog(Path(folder) / "log.jsonl")
        train(Run(model_of(size, 0), data_of(size), objective, own, make_process_group(own), steps=log))
        lines = (Path(folder) / "log.jsonl").read_text().splitlines()
    return [each["loss"] for each in map(json.loads, lines) if each["kind"] == "train"]


def parity() -> dict[str, float]:
    """Return the largest share by which a loss differs from the CPU's stored one, by precision."""
    stored = np.array(json.loads(STORED.read_text()))
    precisions = ("fp32", "bf16")
    return {name: float(np.abs(np.array(losses(precision=name)) / stored - 1).max()) for name in precisions}


def page(found: Mapping[str, Any]) -> str:
    """Return the figures as Markdown."""
    lines = [f"# {found['device']}", "", found["about"], ""]
    if trained := found.get("training"):
        base = trained["sides"]["Trainer"].get("pieces_a_second", math.nan)
        product, peak, cost = trained["product"] / 1e12, trained["peak"] / 1e12, trained["operations_a_piece"] / 1e9
        said = f"bf16 product: {product:.1f} TFLOP/s; data sheet: {peak:.0f}. A piece takes {cost:.3f} GFLOP."
        head = "| training | pieces/s | of the product | of the sheet | 475.6 M words, minutes | GB | times Trainer |"
        lines += [said, "", head, "|---|---:|---:|---:|---:|---:|---:|"]
        for name, each in trained["sides"].items():
            if "failed" in each:
                lines.append(f"| {name} | failed: {each['failed'].partition(chr(10))[0]:.80} | | | | | |")
                continue
            speed = each["pieces_a_second"]
            lines.append(
                f"| {name} | {speed:,.0f} | {each['of_product']:.0%} | {each['of_peak']:.0%} | "
                f"{PAPER * PIECES_A_WORD / speed / 60:,.0f} | {each.get('peak_bytes', 0) / 1e9:.1f} | "
                f"{speed / base:.2f} |"
            )
    if tagged := found.get("tagging"):
        other = tagged["onnxruntime"]
        graph = other if isinstance(other, str) else f"{other:,.0f} words/s, the graph alone"
        lines += ["", f"Tagging: {tagged['torch']:,.0f} words/s by torch; by onnxruntime: {graph}."]
    if shares := found.get("losses"):
        each_kind = ", ".join(f"{name} {share:.4%}" for name, share in shares.items())
        lines += ["", f"Largest difference of a loss from the CPU's: {each_kind}."]
    return "\n".join([*lines, ""])


def main() -> None:
    """Measure, and write the JSON file and the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for gpu.json and gpu.md")
    parser.add_argument("--only", nargs="+", default=["losses", "training", "tagging"])
    parser.add_argument("--store", action="store_true", help="write the losses of this machine's CPU, in fp32")
    options = parser.parse_args()
    if options.store:
        STORED.write_text(json.dumps(losses(precision="fp32")) + "\n")
    on_gpu = make_process_group(TrainSettings()).device.type == "cuda"
    size = LARGE if on_gpu else TINY
    name = torch.cuda.get_device_name() if on_gpu else "CPU"
    about = "BERT-base's shape." if on_gpu else "No GPU: a tiny shape; these figures say only that everything runs."
    found: dict[str, Any] = {"device": name, "about": about, "size": str(size), **surroundings([], PACKAGES)}
    parts: dict[str, Callable[[], Any]] = {
        "losses": parity,
        "training": lambda: training(size, data_of(size)),
        "tagging": lambda: tagging(size),
    }
    options.output.mkdir(parents=True, exist_ok=True)
    for part in options.only:
        try:
            found[part] = parts[part]()
        except Exception:  # what is measured is kept, and the other parts follow
            traceback.print_exc()
        (options.output / "gpu.json").write_text(json.dumps(found, indent=1) + "\n")  # what is done is kept
        (options.output / "gpu.md").write_text(page(found))
    print(page(found))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
