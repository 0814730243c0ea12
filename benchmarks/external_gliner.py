"""GLiNER's own fine-tuning as a system of `nerbert benchmark` (docs/extending/external-system.md).

`python benchmarks/external_gliner.py --model FOLDER TRAIN DEV TEST OUTPUT SEED [--keep FOLDER]`, in an environment with
`gliner` and `accelerate`. FOLDER is any of its models, also one of `nerbert pretrain`. Training is
`GLiNER.train_model` with its own rates, on TRAIN, for --steps steps of 8; types are read in lower case, as the package
does. DEV isn't read.
"""

import argparse
from pathlib import Path
from typing import Any

from external import run, sentences, spans_of, whole_words, write
from gliner import GLiNER
from transformers import set_seed


def train(options: Any, folder: Path) -> None:
    """Fine-tune into a folder."""
    set_seed(options.seed)
    model = GLiNER.from_pretrained(options.model, local_files_only=True)
    data = [(words, spans_of(tags)) for words, tags in sentences(options.train)]
    rows = [
        {"tokenized_text": words, "ner": [[first, end - 1, type_.lower()] for first, end, type_ in spans]}
        for words, spans in data
    ]
    model.train_model(
        train_dataset=rows,
        eval_dataset=rows[:1],
        output_dir=str(folder / "work"),
        max_steps=options.steps,
        per_device_train_batch_size=8,
        save_strategy="no",
        eval_strategy="no",
        report_to="none",
        seed=options.seed,
        use_cpu=True,
        disable_tqdm=True,
        dataloader_num_workers=0,
    )
    model.save_pretrained(folder / "model")
    types = sorted({type_ for _, spans in data for _, _, type_ in spans})
    (folder / "types").write_text("\n".join(types), encoding="utf-8")


def tag(options: Any, folder: Path) -> None:
    """Tag the sentences to score, at the package's threshold of 0.5."""
    model = GLiNER.from_pretrained(folder / "model", local_files_only=True)
    types = {each.lower(): each for each in (folder / "types").read_text(encoding="utf-8").split("\n")}
    data = [words for words, _ in sentences(options.test)]
    found = []
    for first in range(0, len(data), 32):
        part = data[first : first + 32]
        for words, spans in zip(part, _spans(model, part, list(types)), strict=True):
            found.append((words, [(begin, end, types[type_]) for begin, end, type_ in spans]))
    write(options.output, found)


def _spans(model: Any, part: list[list[str]], types: list[str]) -> list[list[tuple[int, int, str]]]:
    """Return the entities of some sentences whose words are joined by spaces; one that cuts a word takes it whole."""
    texts = [" ".join(words) for words in part]
    said = model.inference(texts, types, flat_ner=True, threshold=0.5, batch_size=len(texts))
    return [
        whole_words(words, sorted((each["start"], each["end"], each["label"]) for each in entities))
        for words, entities in zip(part, said, strict=True)
    ]


if __name__ == "__main__":
    own = argparse.ArgumentParser()
    own.add_argument("--model", required=True)
    own.add_argument("--steps", type=int, default=250)
    run(train, tag, own)
