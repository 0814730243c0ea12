"""Average a trained model of `names` with the one it started from, and fit its threshold and temperature again.

`PYTHONPATH=models/minilm python models/minilm/average.py TRAINED OUT NAME=VALUE…`: the values are those that the
training was given. The average finds more than either (Wortsman et al. 2022, WiSE-FT); the share was chosen on dev.
"""

import shutil
import sys
from pathlib import Path

import torch

from nerbert.artifacts import write_json
from nerbert.encoder.pretrain import prepare
from nerbert.encoder.settings import PretrainSettings
from nerbert.model.concept_encoder import open_concepts
from nerbert.model.folder import CARD, read_card
from nerbert.training.distributed import make_process_group
from nerbert.training.sections import load_settings

SHARE = 0.55
"""Of the trained weights."""


def main(trained: str, out: str, *values: str) -> None:
    """Write OUT."""
    settings = load_settings(PretrainSettings, Path(__file__).with_name("taught.toml"), values)
    work = prepare(settings, make_process_group(settings))
    weights = open_concepts(trained).state_dict()
    with torch.no_grad():
        for name, start in work.model.named_parameters():  # each once, whoever shares it
            start.lerp_(weights[name], SHARE)
    score = work.score(work.model)
    shutil.copytree(trained, out)
    work.model.save_pretrained(Path(out))
    averaged = {"share": SHARE, "with": read_card(settings.backbone)}
    facts = {"objective": "names", "averaged": averaged, "validation": score.figures, **score.facts}
    write_json(Path(out, CARD), read_card(trained) | facts)
    print(score.figures)


if __name__ == "__main__":
    main(*sys.argv[1:])
