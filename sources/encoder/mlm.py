"""The embedded encoder's first stage: masked language modelling from random weights.

`python sources/encoder/mlm.py sources/encoder/mlm.toml -o encoder-mlm`. Loop, objective and fresh model are nerbert's
own; its setting `corpus` names a file of sentences. A run that was killed resumes.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch

from nerbert.artifacts import publish_job, sha256_of
from nerbert.encoder.objectives.mlm import Mlm
from nerbert.encoder.pretrain import FRESH
from nerbert.encoder.settings import PretrainSettings
from nerbert.model.backbone import Backbone, save_model
from nerbert.model.folder import write_card
from nerbert.model.surgery import fresh_config, train_tokenizer
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.model.windows import Windows
from nerbert.records import Example
from nerbert.schema import to_plain
from nerbert.terminal import progress, tell
from nerbert.training.batches import TrainingData
from nerbert.training.checkpoint import BestCheckpoint, Checkpoints
from nerbert.training.distributed import make_process_group
from nerbert.training.loop import train
from nerbert.training.objective import Task
from nerbert.training.run import Run, total_steps
from nerbert.training.sections import load_settings
from nerbert.words import SPLITTER, split_words

_HELD_OUT = 100
"""One sentence of so many is scored, not trained on."""


def main() -> None:
    """Train the tokenizer and the model, and write them with what made them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("settings", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--set", action="append", default=[])
    given = parser.parse_args()
    settings = load_settings(PretrainSettings, given.settings, given.set)
    sentences = settings.corpus_folder
    texts = sentences.read_text(encoding="utf-8").splitlines()
    tokenizer = train_tokenizer(texts, settings.fresh_vocab_size)
    config = fresh_config(len(tokenizer), settings.fresh_num_layers, settings.fresh_hidden_size)
    objective = Mlm.of(Task((), settings, backbone := Backbone(FRESH, tokenizer, settings.seed, fresh=config)))
    model = objective.make_model(backbone)
    model.set_attn_implementation("eager")  # the fastest here for short sentences on a CPU
    for each in model.modules():
        if isinstance(each, torch.nn.Dropout):
            each.p = 0.0  # a small model has nothing to forget
    pieces = SubwordTokenizer(tokenizer, model.config, settings.max_length)
    trained = Windows.pack(pieces.windows(_examples(text for n, text in enumerate(texts) if n % _HELD_OUT)))
    numbers = np.arange(len(trained))
    processes = make_process_group(settings)
    score = objective.score_on(_examples(texts[::_HELD_OUT]), pieces, settings, processes)
    total = total_steps(len(numbers), settings)

    def told(model: object, step: int, before: int) -> None:
        tell(f"step {step} of {total}: the best so far")

    identity = {"settings": to_plain(settings), "sentences": sha256_of(sentences)}
    tell(f"{len(trained)} windows, {len(trained.ids)} pieces, {model.num_parameters()} parameters")
    with publish_job(given.output, identity) as (folder, place):
        with progress("masked language modelling", total) as bar:
            log = train(
                Run(
                    model,
                    TrainingData(trained, lambda _: numbers, pieces.pad_id),
                    objective,
                    settings,
                    processes,
                    bar,
                    evaluate=BestCheckpoint(score, told),
                    checkpoints=Checkpoints(place, 1, minutes=10),
                )
            )
        save_model(folder, model, tokenizer)
        write_card(
            folder,
            "encoder",
            word_splitter=SPLITTER,
            language="en",
            objective="mlm",
            sentences=len(texts),
            sentences_sha256=identity["sentences"],
            log=log.entries,
        )


def _examples(texts: Iterable[str]) -> list[Example]:
    return [Example(text, split_words(text)) for text in texts]


if __name__ == "__main__":
    main()
