"""Soft labels, and the loss that they give, against torch's own cross-entropy."""

from dataclasses import replace
from typing import Any

import pytest
import torch

import nerbert.distillation.objective as objective
from nerbert import example
from nerbert.distillation.objective import Distillation, DistillationSettings, SoftLabels
from nerbert.encoder.settings import PretrainSettings
from nerbert.errors import SettingsError
from nerbert.labels import tag_names
from nerbert.model.forward import Batch
from nerbert.model.tokenizer import BioLabels
from nerbert.model.windows import IGNORED
from nerbert.records import Example
from nerbert.training.objective import PRETRAIN
from nerbert.training.sections import chosen_objective
from nerbert.training.tagging import TaggingSettings, TokenClassification
from tests.raised import raises

TYPES = ["port", "ship"]
TAGS = tag_names(TYPES)
HARD = example("Old Fram left Oslo.", [(0, 8, "ship"), (14, 18, "port")])


def soft(sure: float, other: float = 1.0) -> Example:
    ship, port = HARD.spans
    return replace(HARD, spans=(replace(ship, confidence=sure), replace(port, confidence=other)))


def batch_of_labels(labels: Any) -> Batch:
    none = torch.zeros(0, dtype=torch.long)
    return Batch(none, none, none, none, torch.tensor(labels), none)


def test_labels_of_words() -> None:
    labels = SoftLabels(TAGS)
    assert labels.of(HARD) == BioLabels(TAGS).of(HARD) == [3, 4, 0, 1, 0]
    assert labels.of(soft(0.75, 0.0)) == [3 + 5 * 25, 4 + 5 * 25, 0, 1 + 5 * 100, 0]
    not_learnt = SoftLabels(tag_names(["port"])).of(soft(0.5))
    assert not_learnt == [IGNORED, IGNORED, 0, 1, 0], "a type that is not learnt gives no loss"


@pytest.mark.parametrize(("smoothing", "outside"), [(0.0, 1.0), (0.1, 1.0), (0.1, 0.3)])
def test_loss_is_that_of_tagging_and_of_no_entity_by_confidence(
    smoothing: float, outside: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    logits = torch.randn(6, len(TAGS), generator=torch.Generator().manual_seed(3))
    monkeypatch.setattr(objective, "logits_at", lambda *_: logits)
    monkeypatch.setattr("nerbert.training.tagging.logits_at", lambda *_: logits)
    soft_loss = Distillation(TYPES, DistillationSettings(label_smoothing=smoothing, outside_weight=outside))
    plain = TokenClassification(TYPES, TaggingSettings(label_smoothing=smoothing, outside_weight=outside))

    def losses(one: TokenClassification, labels: list[int]) -> tuple[float, float]:
        batch = batch_of_labels([*labels, IGNORED])
        return float(one.loss(None, batch)["loss"]), one.terms(batch)["loss"]

    tags, none = [3, 4, 0, 1, 0], [0, 0, 0, 0, 0]
    assert losses(soft_loss, tags) == pytest.approx(losses(plain, tags))
    labels = [3 + 5 * 25, 4 + 5 * 25, 0, 1 + 5 * 25, 0]
    wanted = [0.75 * one + 0.25 * other for one, other in zip(losses(plain, tags), losses(plain, none), strict=True)]
    assert losses(soft_loss, labels) == pytest.approx(wanted)


def test_it_is_for_fine_tuning_alone() -> None:
    with raises(SettingsError, "objective = 'distillation': is for `nerbert finetune` only"):
        chosen_objective(PretrainSettings(objective="distillation"), PRETRAIN)
