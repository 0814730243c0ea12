"""Average a trained model of `names` with the one it started from, and fit its threshold and scaling again.

`python models/average.py CONFIG SHARE TRAINED OUT NAME=VALUE…`: configuration and values are those of the training,
SHARE is that of the trained weights, chosen on dev. The average finds more than either (Wortsman et al. 2022, WiSE-FT).
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


def main(config: str, share: str, trained: str, out: str, *values: str) -> None:
    """Write OUT."""
    settings = load_settings(PretrainSettings, Path(config), values)
    work = prepare(settings, make_process_group(settings))
    weights = open_concepts(trained).state_dict()
    with torch.no_grad():
        for name, start in work.model.named_parameters():  # each once, whoever shares it
            start.lerp_(weights[name], float(share))
    score = work.score(work.model)
    shutil.copytree(trained, out)
    work.model.save_pretrained(Path(out))
    averaged = {"share": float(share), "with": read_card(settings.backbone)}
    facts = {"objective": "names", "averaged": averaged, "validation": score.figures, **score.facts}
    write_json(Path(out, CARD), read_card(trained) | facts)
    print(score.figures)


if __name__ == "__main__":
    main(*sys.argv[1:])
