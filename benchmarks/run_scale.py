"""One process of scale.py: prepare a training (`0`: with an empty cache), and (`1`) label all of it again.

`python benchmarks/run_scale.py CORPUS ENCODER CACHE 0|1`; the last line is JSON.
"""

import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from scale import MB, Sampler

from nerbert.encoder.pretrain import begin
from nerbert.encoder.settings import PretrainSettings
from nerbert.training.sections import make_settings


class Scores(torch.nn.Module):
    """A table of random scores of tags for each piece, in place of an encoder."""

    def __init__(self, pieces: int, tags: int) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.table = torch.nn.Embedding(pieces, tags)
        self.table.weight.data[:, 0] += 6.0  # most words are O

    def forward(self, input_ids: Any, attention_mask: Any) -> Any:
        """Return the scores of the pieces."""
        return SimpleNamespace(logits=self.table(input_ids))


def main() -> None:
    """Prepare, label, and print the figures."""
    corpus, encoder, cache, warm = sys.argv[1:]
    settings = make_settings(
        PretrainSettings,
        {
            "corpus": corpus,
            "backbone": encoder,
            "cache": cache,
            "objective": "self_training",
            "max_eval_samples": 500,
            "threads": 1,
            "precision": "fp32",
        },
    )
    sampler, start = Sampler(), time.monotonic()
    processes, work = begin(settings, Path(cache).parent / "never", overwrite=False)
    start_of = "warm" if warm == "1" else "cold"
    figures = {f"{start_of} start, s": time.monotonic() - start, f"{start_of} start, MB": sampler.peak / MB}
    if warm == "1":
        model = Scores(len(work.pieces.tokenizer), 2 * len(work.objective._types) + 1)  # type: ignore[attr-defined]
        sampler.reset()
        time.sleep(0.1)
        before, start = sampler.peak, time.monotonic()
        with torch.no_grad():
            work.objective.begin_epoch(model, work.data, 1, {}, processes)
        figures |= {"labelling, MB": (sampler.peak - before) / MB, "labelling, s": time.monotonic() - start}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
