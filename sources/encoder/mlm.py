"""The embedded encoder's first stage: masked language modelling from random weights.

`python sources/encoder/mlm.py sources/encoder/mlm.toml --sentences sentences.txt -o encoder-mlm`. The loop, the
objective and the fresh model are nerbert's own; what is read is a file of sentences instead of a corpus.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from nerbert.artifacts import publish_folder, sha256_of
from nerbert.config import load_settings
from nerbert.encoder.mlm import Mlm, score_mlm
from nerbert.model.backbone import save_model, write_card
from nerbert.model.fresh import fresh_model, train_tokenizer
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.model.windows import Windows
from nerbert.records import Example
from nerbert.terminal import progress, tell
from nerbert.training.distributed import make_process_group
from nerbert.training.loop import TrainingData, total_steps, train
from nerbert.training.settings import TrainSettings
from nerbert.words import SPLITTER, split_words

_HELD_OUT = 100
"""One sentence of so many is scored, not trained on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MlmSettings(TrainSettings):
    """How the embedded encoder is made."""

    layers: int = 4
    """Layers. Unit: layers. Source: ours."""
    width: int = 192
    """Width; heads are 64 wide. Unit: dimensions. Source: ours."""
    vocabulary: int = 5500
    """Largest vocabulary of the cased WordPiece tokenizer. Unit: pieces. Source: ours."""
    mlm_probability: float = 0.15
    """Share of pieces asked for. Unit: 0–1. Source: Devlin et al. 2019 §3.1."""


def main() -> None:
    """Train the tokenizer and the model, and write them with what made them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("settings", type=Path)
    parser.add_argument("--sentences", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--set", action="append", default=[])
    given = parser.parse_args()
    settings = load_settings(MlmSettings, given.settings, given.set)
    texts = given.sentences.read_text(encoding="utf-8").splitlines()
    tokenizer = train_tokenizer(texts, settings.vocabulary)
    model = fresh_model(len(tokenizer), settings.layers, settings.width, None, settings.seed)
    model.set_attn_implementation("eager")  # the fastest here for short sentences on a CPU
    for each in model.modules():
        if isinstance(each, torch.nn.Dropout):
            each.p = 0.0  # a small model has nothing to forget
    pieces = SubwordTokenizer(tokenizer, model.config, settings.max_length)
    trained = _windows(pieces, [text for number, text in enumerate(texts) if number % _HELD_OUT])
    held_out = _windows(pieces, texts[::_HELD_OUT])
    numbers = np.arange(len(trained))
    objective = Mlm.of(tokenizer, model.config, settings.seed, settings.mlm_probability)

    class Held:
        """Scores on the sentences held out."""

        def __call__(self, model: object, step: int) -> dict[str, float]:
            figures = score_mlm(
                model, held_out, objective, pieces.pad_id, max_tokens=16384, precision=settings.precision
            )
            tell(f"step {step} of {total_steps(len(numbers), settings)}: {figures}")
            return figures

        def restore(self, entries: object) -> None:
            """Nothing to take up: this script starts anew each time."""

    tell(f"{len(trained)} windows, {len(trained.ids)} pieces, {model.num_parameters()} parameters")
    with progress("masked language modelling", total_steps(len(numbers), settings)) as bar:
        log = train(model, TrainingData(trained, lambda _: numbers, pieces.pad_id), objective, settings, bar,
                    evaluate=Held(), processes=make_process_group(settings))  # fmt: skip
    with publish_folder(given.output, overwrite=True) as folder:
        save_model(folder, model, tokenizer)
        write_card(folder, "encoder", word_splitter=SPLITTER, language="en", objective="mlm", sentences=len(texts),
                   sentences_sha256=sha256_of(given.sentences), log=log.entries)  # fmt: skip


def _windows(pieces: SubwordTokenizer, texts: list[str]) -> Windows:
    return Windows.pack(pieces.windows([Example(text, split_words(text)) for text in texts]))


if __name__ == "__main__":
    main()
