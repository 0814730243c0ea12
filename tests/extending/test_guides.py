"""The guides to objectives and heads are true: their examples run, and are what the commands take."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from nerbert.config import make_settings
from nerbert.errors import SettingsError
from nerbert.finetuning.finetune import finetune
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.tagger.tagger import Tagger

GUIDES = Path(__file__).parents[2] / "docs" / "extending"


def module(guide: str, name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Save a guide's example as a module that can be imported."""
    (code,) = re.findall(r"```python\n(.*?)```", (GUIDES / guide).read_text(encoding="utf-8"), re.DOTALL)
    (folder / f"{name}.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(folder)


def test_the_objective_trains(
    tiny_encoder: Path, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module("objective.md", "focal", tmp_path, monkeypatch)
    values: dict[str, Any] = {"max_steps": 4, "precision": "fp32", "threads": 1, "objective": "focal:Focal"}
    own = make_settings(FinetuneSettings, values)
    with pytest.raises(SettingsError, match=r"setting focal\.gamma = 11: must be a number, at least 0, at most 10"):
        own.changed({"focal": {"gamma": 11}})
    weights = []
    for number, settings in enumerate((own, own.changed({"focal": {"gamma": 0}}), replace(own, objective="tagging"))):
        (folder,) = finetune(str(tiny_encoder), sample / "domain", tmp_path / str(number), settings, calibrate=False)
        head: Any = Tagger.load(folder, backend="torch").head
        weights.append(head.scorer._model.classifier.weight)
    focal, plain, tagging = weights
    assert not torch.equal(focal, plain)
    assert torch.allclose(plain, tagging, atol=1e-6)


def test_the_head_finds(tiny_tagger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module("head.md", "names", tmp_path, monkeypatch)
    tagger = Tagger.load(tiny_tagger, head="names:NamesKind")
    (span,) = tagger.tag("The whaler Ingeborg left Bergen.")
    assert (span.text, span.type, tagger.types) == ("Ingeborg", "ship", ["ship"])
