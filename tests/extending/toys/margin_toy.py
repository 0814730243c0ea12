"""An objective with settings of its own: tags must win by a margin, in place of tagging's cross-entropy."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch

from nerbert.config import Bounds, Section
from nerbert.model.forward import Batch, logits_at
from nerbert.model.windows import IGNORED
from nerbert.training.objective import Task
from nerbert.training.tagging import TokenClassification


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginSettings(Section):
    """What the margin can be set."""

    section: ClassVar[str] = "margin"
    width: Annotated[float, Bounds(above=0, at_most=100)] = 1.0
    """By how much the right tag must win. Source: ours."""
    power: Literal["one", "two"] = "one"
    """Whether a loss is squared. Source: ours."""


class Margin(TokenClassification):
    """A hinge loss; all else is tagging's."""

    settings: ClassVar[type[Section]] = MarginSettings

    def __init__(self, types: Any = (), margin: MarginSettings = MarginSettings()) -> None:
        super().__init__(types)
        self.margin = margin

    @classmethod
    def of(cls, task: Task) -> "Margin":
        return cls(task.types, task.settings.of(MarginSettings))

    def loss(self, model: Any, batch: Batch) -> dict[str, torch.Tensor]:
        found = batch.labels != IGNORED
        summed = torch.nn.functional.multi_margin_loss(
            logits_at(model, batch).float()[found], batch.labels[found], p=1 + (self.margin.power == "two"),
            margin=self.margin.width, reduction="sum",
        )  # fmt: skip
        return {"loss": summed}
