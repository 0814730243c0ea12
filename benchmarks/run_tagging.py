"""One way to tag sentences as a process to be measured: the sides of tagging.py.

`python benchmarks/run_tagging.py SIDE MODEL FILE [--sentences N] [--threads 1] [--copies 1]`

FILE is CoNLL; its sentences are given as texts, one after the other, and every side ends with entities as characters.
Sides: `pipeline` (transformers' as it comes), `session` (an int8 onnxruntime session fed a sentence at a time, as
tutorials show it), and nerbert's back ends: `torch fp32`, `torch bf16`, `onnx fp32`, `onnx int8`. Loading and one
warm-up are not counted. The last line is JSON: words, seconds, entities, F1 of entities by characters, peak memory
(after a tenth of the texts, and in all).
"""

import argparse
import json
import resource
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from nerbert.data.splits import read_data
from nerbert.records import Example

Entity = tuple[int, int, str]
Tag = Callable[[Iterable[str]], Iterator[list[Entity]]]
WARM = 32


def main() -> None:
    """Load, warm up, tag, score; print JSON."""
    options = _options()
    examples = read_data(options.file).train[: options.sentences or None]
    tag = _sides()[options.side](options)
    texts = [example.text for example in examples]
    list(tag(texts[:WARM]))
    many = (text for _ in range(options.copies) for text in texts)
    cpu, wall = time.process_time(), time.monotonic()
    found, early = [], 0
    for number, entities in enumerate(tag(many)):
        if number < len(texts):
            found.append(entities)
        if number == len(texts) * options.copies // 10:
            early = _peak()
    spent = {"cpu_seconds": time.process_time() - cpu, "wall_seconds": time.monotonic() - wall}
    words = options.copies * sum(len(example.words) for example in examples)
    print(
        json.dumps(
            {
                "words": words,
                **spent,
                "entities": sum(map(len, found)),
                "f1": f1_of(examples, found),
                "peak_bytes": _peak(),
                "peak_early_bytes": early,
            }
        )
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("side", choices=list(_sides()))
    parser.add_argument("model", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--sentences", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--copies", type=int, default=1, help="how often the sentences are tagged in a row")
    return parser.parse_args()


def _sides() -> dict[str, Callable[[argparse.Namespace], Tag]]:
    ours = ("torch fp32", "torch bf16", "onnx fp32", "onnx int8")
    return {"pipeline": pipeline, "session": session} | dict.fromkeys(ours, nerbert)


def nerbert(options: argparse.Namespace) -> Tag:
    """`Tagger.tag_many` on one of its back ends."""
    from nerbert import Tagger

    backend, precision = options.side.split()
    _torch_threads(options.threads, backend == "torch")
    tagger = Tagger.load(options.model, backend=backend, precision=precision, threads=options.threads)

    def tag(texts: Iterable[str]) -> Iterator[list[Entity]]:
        for spans in tagger.tag_many(texts):
            yield [(span.start, span.end, span.type) for span in spans]

    return tag


def pipeline(options: argparse.Namespace) -> Tag:
    """The pipeline with its defaults; it puts the spans together."""
    from transformers import pipeline as make

    _torch_threads(options.threads, True)
    pipe = make("token-classification", model=str(options.model), aggregation_strategy="simple")

    def tag(texts: Iterable[str]) -> Iterator[list[Entity]]:
        for text in texts:
            yield [(each["start"], each["end"], each["entity_group"]) for each in pipe(text)]

    return tag


def session(options: argparse.Namespace) -> Tag:
    """An int8 session, a sentence at a time: tokenise, run, argmax, join."""
    import onnxruntime
    from transformers import AutoTokenizer

    config = json.loads((options.model / "config.json").read_text())
    names = [config["id2label"][str(number)] for number in range(len(config["id2label"]))]
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    wanted = onnxruntime.SessionOptions()
    wanted.intra_op_num_threads = options.threads
    run = onnxruntime.InferenceSession(
        options.model / "onnx" / "model_int8.onnx", wanted, providers=["CPUExecutionProvider"]
    )
    inputs = {each.name for each in run.get_inputs()}

    def tag(texts: Iterable[str]) -> Iterator[list[Entity]]:
        for text in texts:
            encoded = tokenizer(text, return_offsets_mapping=True, truncation=True, max_length=512)
            feed = {name: np.array([encoded[name]], np.int64) for name in inputs}
            best = run.run(None, feed)[0][0].argmax(1)
            yield _joined([names[label] for label in best], encoded["offset_mapping"])

    return tag


def _joined(tags: Sequence[str], offsets: Sequence[tuple[int, int]]) -> list[Entity]:
    """Pieces' tags as entities."""
    found: list[Entity] = []
    before = "O"
    for tag, (start, end) in zip(tags, offsets, strict=True):
        if start < end and tag != "O":
            if found and tag[0] == "I" and before[2:] == tag[2:]:
                found[-1] = (found[-1][0], end, tag[2:])
            else:
                found.append((start, end, tag[2:]))
        before = tag
    return found


def f1_of(examples: Sequence[Example], found: Iterable[Sequence[Entity]]) -> float:
    """Entities whose ends and type are those of gold."""
    right = given = gold = 0
    for example, entities in zip(examples, found, strict=True):
        wanted = {(span.start, span.end, span.type) for span in example.spans}
        right, given, gold = right + len(wanted & set(entities)), given + len(entities), gold + len(wanted)
    return 2 * right / max(1, given + gold)


def _torch_threads(threads: int, wanted: bool) -> None:
    if wanted:
        import torch

        torch.set_num_threads(threads)


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
