"""Settings of a fine-tuning, besides those of its objective and sources."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Interval

from nerbert.config import refuse
from nerbert.training.settings import TrainSettings

FEW_SENTENCES = 10
"""Sentences up to which a model that trains on forgets more than it learns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneSettings(TrainSettings):
    """How an encoder becomes a tagger on annotated sentences (NER-BERT §4.4)."""

    removed: ClassVar[Mapping[str, str]] = {
        **TrainSettings.removed, "compare_parts": "nerbert report TAGGER DATA --against START compares both"
    }  # fmt: skip

    objective: str = ""
    """Training objective, as in pre-training. Empty: `zero_shot` for a GLiNER folder, else `tagging`. Source: ours."""
    epochs: Annotated[float, Interval(gt=0, lt=1e6)] = 20.0
    """Passes over the training sentences. Source: ours, by a pilot; the paper doesn't say."""
    batch_size: Annotated[int, Interval(ge=1)] = 16
    """Sentences per step. Unit: windows. Source: NER-BERT §4.4 (16 or 32)."""
    min_steps: Annotated[int, Interval(ge=-1)] = -1
    """Fewest updates: a smaller training set is repeated beyond `epochs` until then. `max_steps` wins over it. 0: no
    bound. -1 chooses by the objective: 250; with `names` and `concepts`, which start from a whole model, 100, and for
    more than 10 sentences from MiniLM's width on 50. Source: ours, by measurement at 1–200 sentences."""
    learning_rate: Annotated[float, Interval(ge=0, lt=1e6)] = 0.0
    """Highest learning rate of AdamW. 0 chooses by the encoder's width: 5e-5 from 768 on (NER-BERT §4.4, for
    BERT-base), 2e-4 below (ours, measured on all-MiniLM-L6-v2); with `names` and `concepts` half of that, a quarter for
    up to 10 sentences, since a higher rate loses what the model knows; 5e-4 below a width of 384 (measured on
    `embedded-open`). Source: NER-BERT §4.4 and ours."""
    source_epochs: Annotated[float, Interval(gt=0, lt=1e6)] = 3.0
    """Passes over the source data before the target's (source & target); bounds on steps are the target's alone.
    Source: ours; the paper doesn't say; CrossNER's code has 2."""
    source_head: Literal["new", "shared"] = "new"
    """The head after a tagger, such as the source's: `new` has random weights; `shared` keeps O and the types that both
    have, by names without case, where PER is person (so for ORG, LOC, MISC). Other starts always have a new head.
    Source: ours (`new`); `shared` follows CrossNER's code, which trains the target's whole head on the source and keeps
    the optimiser's state: here types of the target alone start from random weights, and the optimiser is new."""
    select: Literal["last", "dev"] = "last"
    """Which model is kept: the `last`, or with `dev` that with the best F1 on the dev split, scored `epochs` times (if
    few sentences train, this adds dev's labels). Source: ours; CrossNER's code has `dev`."""
    patience: Annotated[int, Interval(ge=0)] = 0
    """With `select = "dev"`: stop after this many evaluations in a row without a better F1, even before `min_steps`. 0:
    never. Unit: evaluations, one an epoch where `min_steps` is 0. Source: ours; the paper doesn't say; CrossNER's code
    has 8."""

    def __post_init__(self) -> None:
        TrainSettings.__post_init__(self)
        unscored = self.patience != 0 and self.select == "last"
        refuse(
            unscored, "patience", self.patience, "0 with select = 'last', which scores no dev split; or select 'dev'"
        )
