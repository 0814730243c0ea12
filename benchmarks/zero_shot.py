"""GLiNER's folders in torch, on onnxruntime, and by the package `gliner`: words a CPU second, one thread.

`python benchmarks/zero_shot.py SENTENCES [--shape deberta] [--heads span,token] [--labels 5,50] [--words 3000]
[--rounds 3] [--batch 8] [--neighbours 8] [--max-types 25] [--models minilm,base] [--table TABLE.csv]`

Needs the group `gliner-test`. SENTENCES is a file of annotated sentences in any format; 1 to `--neighbours` of them,
drawn by a seed, are a text. A text has to fit into the model's room beside the labels: the package cuts off what
doesn't. The weights are the same.
Weights are random in the shape of a public model: `deberta` is GLiNER small's (6 layers × 768, then 512), `medium`
GLiNER medium's (12 layers), `minilm` 6 × 384. `--models` are measured beside them in int8, with their own weights.
The threshold is one that no span reaches, so what is measured is the model, not the choice among its entities.
All sides get the same texts in one call and run in turn in one process; the package's batches are `--batch` texts, its
default. nerbert asks for at most `--max-types` labels in a prompt (25 in folders that say nothing), the package for all
of them. Where labels have an encoder of their own, all sides compute their vectors once.
"""

import argparse
import json
import logging
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")

import torch
from gliner import GLiNER, GLiNERConfig
from report import ratio, surroundings
from trained_share import append_rows

from nerbert.data.splits import read_data
from nerbert.model.surgery import train_tokenizer
from nerbert.records import Example
from nerbert.tagger.export import export
from nerbert.tagger.tagger import Tagger
from nerbert.words import split_words

_DEBERTA = {
    "model_type": "deberta-v2",
    "hidden_size": 768,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "relative_attention": True,
    "position_buckets": 256,
    "max_relative_positions": -1,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
    "share_att_key": True,
    "norm_rel_ebd": "layer_norm",
    "type_vocab_size": 0,
}
BODIES: dict[str, dict[str, Any]] = {
    "deberta": {**_DEBERTA, "num_hidden_layers": 6},
    "medium": {**_DEBERTA, "num_hidden_layers": 12},
    "minilm": {
        "model_type": "bert",
        "hidden_size": 384,
        "num_hidden_layers": 6,
        "num_attention_heads": 12,
        "intermediate_size": 1536,
        "max_position_embeddings": 512,
    },
}
HEADS = {
    "span": {"span_mode": "markerV0"},
    "token": {"span_mode": "token_level"},
    "bi": {"span_mode": "markerV0", "labels_encoder": "a/b", "num_rnn_layers": 0},
}
PACKAGES = ("nerbert", "gliner", "torch", "transformers", "tokenizers", "onnxruntime", "numpy")
OURS = {"torch": ("torch", "fp32"), "onnx": ("onnx", "fp32"), "int8": ("onnx", "int8")}
RATIOS = (("torch", "gliner"), ("onnx", "torch"), ("int8", "gliner"))
TABLE = ("shape", "head", "labels", "side", "words per CPU-second")
THRESHOLD = 0.999


def main() -> None:
    """Measure each head with each number of labels; print a table, then one line of JSON; add rows to a CSV."""
    options = _options()
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    texts = _texts(options.sentences, options.words, options.neighbours)
    words = sum(len(split_words(each, "gliner-words-1")) for each in texts)
    print(f"{len(texts)} texts, {words:,} words; {options.shape}")
    models = [name for name in options.models.split(",") if name]
    heads = ["head", "labels", *OURS, *models, "gliner", *(f"{one} ÷ {other}" for one, other in RATIOS)]
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    results = []
    for head in options.heads.split(","):
        with TemporaryDirectory() as folder:
            package = _package_model(head, options.shape, _texts(options.sentences, 1 << 40), Path(folder))
            _let_prompts_have(options.max_types, Path(folder))
            export(folder, int8=True)
            how = {"thresholds": THRESHOLD, "device": "cpu", "threads": 1}
            taggers = {
                name: Tagger.load(folder, backend=backend, precision=precision, **how)
                for name, (backend, precision) in OURS.items()
            }
            taggers |= {name: Tagger.load(name, backend="onnx", precision="int8", **how) for name in models}
            for count in map(int, options.labels.split(",")):
                labels = [f"{kind} of {what}" for kind in KINDS for what in THINGS][:count]
                sides = {name: _own(tagger, texts, labels) for name, tagger in taggers.items()}
                sides["gliner"] = _theirs(package, texts, labels, options.batch)
                _check_room(taggers["torch"], texts, labels)
                seconds = _measure(sides, options.rounds)
                speeds = {name: [words / each for each in taken] for name, taken in seconds.items()}
                middle = " | ".join(f"{median(speeds[name]):,.0f}" for name in sides)
                ratios = " | ".join(ratio(speeds[one], speeds[other]) for one, other in RATIOS)
                print(f"| {head} | {count} | {middle} | {ratios} |", flush=True)
                results.append({"head": head, "labels": count, "seconds": seconds})
                rows = [(options.shape, head, count, name, round(median(speeds[name]))) for name in sides]
                if options.table:
                    append_rows(options.table, TABLE, rows)
    about = {"shape": options.shape, "texts": len(texts), "words": words, "results": results}
    print("\n" + json.dumps({**about, **surroundings([options.sentences], PACKAGES)}))


KINDS = "name kind place maker owner part price age colour size".split()
THINGS = "ship city person company river law song drug weapon film".split()


def _own(tagger: Tagger, texts: Sequence[str], labels: Sequence[str]) -> Callable[[], int]:
    return lambda: sum(map(len, tagger.tag_many(texts, labels)))


def _theirs(model: Any, texts: Sequence[str], labels: Sequence[str], batch: int) -> Callable[[], int]:
    vectors: dict[str, Any] = {}
    if hasattr(model, "encode_labels"):  # its way to compute labels once
        vectors["labels_embeds"] = model.encode_labels(list(labels))
    return lambda: sum(
        map(len, model.inference(list(texts), list(labels), threshold=THRESHOLD, batch_size=batch, **vectors))
    )


def _check_room(tagger: Tagger, texts: Sequence[str], labels: Sequence[str]) -> None:
    """Stop if a text doesn't go through the model as a whole."""
    head: Any = tagger.with_labels(labels).head
    whole = [Example(each, split_words(each, "gliner-words-1")) for each in texts]
    if (windows := len(head.pieces.windows(whole, head._asked.prompt))) != len(texts):
        raise SystemExit(f"{len(texts)} texts go through {windows} windows, which the package would cut off")


def _measure(sides: dict[str, Callable[[], int]], rounds: int) -> dict[str, list[float]]:
    """Return the CPU seconds of each side in each round; the first one warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, side in sides.items():
            begin = time.process_time()
            if side():
                raise SystemExit(f"{name} found entities: the threshold is too low for these weights")
            if number:
                seconds[name].append(time.process_time() - begin)
    return seconds


def _texts(path: Path, words: int, neighbours: int = 8) -> list[str]:
    """Return texts of several sentences with so many words together."""
    rng, sentences = random.Random(1), [each.text for each in read_data(path).train]  # noqa: S311

    def groups() -> Iterator[str]:
        place = 0
        while place < len(sentences):
            count = rng.randint(1, neighbours)
            yield " ".join(sentences[place : place + count])
            place += count

    found, total = list[str](), 0
    for text in groups():
        found.append(text)
        total += len(text.split())
        if total >= words:
            break
    return found


def _package_model(head: str, shape: str, texts: Sequence[str], folder: Path) -> Any:
    """Return the package's model with random weights, which the folder holds too."""
    tokenizer = train_tokenizer(texts, 8000)
    more = {"labels_tokenizer": train_tokenizer(texts, 8000)} if head == "bi" else {}
    tokenizer.add_tokens(["[FLERT]", "<<ENT>>", "<<SEP>>"], special_tokens=True)
    tokenizer.model_max_length = BODIES[shape].get("max_position_embeddings", 1 << 40)
    size = len(tokenizer)
    values = {
        "hidden_size": BODIES[shape]["hidden_size"] if shape == "minilm" else 512,
        "class_token_index": size - 2,
        "vocab_size": size,
        "encoder_config": {"vocab_size": size, **BODIES[shape]},
        "model_name": "a/b",
        **HEADS[head],
    }
    if head == "bi":
        values["labels_encoder_config"] = {"vocab_size": size, **BODIES["minilm"]}
    made = GLiNER._get_gliner_class(GLiNERConfig(**values))
    torch.manual_seed(1)
    model = made(made.config_class(**values), tokenizer=tokenizer, **more)
    model.save_pretrained(folder, safe_serialization=True)
    return made.from_pretrained(str(folder)).eval()


def _let_prompts_have(types: int, folder: Path) -> None:
    """Say in a folder's configuration how many labels a prompt may have, of any length."""
    path = folder / "gliner_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"max_types": types, "max_prompt_len": 16 * types}))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sentences", type=Path)
    parser.add_argument("--shape", choices=list(BODIES), default="deberta")
    parser.add_argument("--heads", default="span,token")
    parser.add_argument("--labels", default="5,50")
    parser.add_argument("--words", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--neighbours", type=int, default=8)
    parser.add_argument("--max-types", type=int, default=25)
    parser.add_argument("--models", default="")
    parser.add_argument("--table", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
