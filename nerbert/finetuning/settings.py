"""Settings of fine-tuning, except those of its objective and sources."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Interval

from nerbert.config import refuse
from nerbert.training.settings import TrainSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneSettings(TrainSettings):
    """Settings for fine-tuning an encoder on annotated sentences (NER-BERT §4.4)."""

    removed: ClassVar[Mapping[str, str]] = {
        **TrainSettings.removed,
        "compare_parts": "nerbert report TAGGER DATA --against START compares both",
    }

    objective: str = ""
    """Training objective, as in pre-training. Empty: `zero_shot` for a GLiNER folder, else `tagging`. Source: ours."""
    epochs: Annotated[float, Interval(gt=0, lt=1e6)] = 20.0
    """Passes over the training sentences. Source: ours, by a pilot; the paper doesn't say."""
    batch_size: Annotated[int, Interval(ge=1)] = 16
    """Sentences per step. Unit: windows. Source: NER-BERT §4.4 (16 or 32)."""
    min_steps: Annotated[int, Interval(ge=-1)] = -1
    """Minimum number of updates: a smaller training set is repeated beyond `epochs` until then. `max_steps` takes
    precedence. 0: no limit. -1 chooses by the objective: 250; with `names` and `concepts`, which start from a whole
    model, 50; below MiniLM's width 100. Source: ours, measured at 1–200 sentences."""
    learning_rate: Annotated[float, Interval(ge=0, lt=1e6)] = 0.0
    """Peak learning rate of AdamW. 0 chooses by the encoder's width: 1e-4 from 768 on, 2e-4 below (ours, measured on
    all-mpnet-base-v2 and all-MiniLM-L6-v2; NER-BERT §4.4 has 5e-5 for BERT-base); with `names` and `concepts` half of
    that, since a higher rate makes the model forget; 5e-4 below a width of 384 (measured on `embedded-open`). Source:
    ours."""
    source_epochs: Annotated[float, Interval(gt=0, lt=1e6)] = 3.0
    """Passes over the source data before the target's (source & target); limits of steps apply to the target only.
    Source: ours; the paper doesn't say; CrossNER's code has 2."""
    source_head: Literal["new", "shared"] = "new"
    """The head after a tagger, such as the source's: `new` has random weights; `shared` keeps O and the types that both
    have, compared by names without case, where PER is person (so for ORG, LOC, MISC). Other starts always have a new
    head. Source: ours (`new`); `shared` follows CrossNER's code, which trains the target's whole head on the source and
    keeps the optimiser's state: here types only in the target start from random weights, and the optimiser is new."""
    trained_share: Literal["auto"] | Annotated[float, Interval(ge=0, le=1)] = "auto"
    """Share of the trained weights in the tagger's; the rest are those of the start, if it finds all types before the
    training: a model with labels at run time, or a tagger of them with `source_head = "shared"`. 1: the trained weights
    alone. `auto`: more than the smallest share whose average has learnt the training sentences, less for few sentences
    and entities. Other starts have nothing to average with, so 1. Source: Wortsman et al. 2022 (WiSE-FT); the rule is
    ours, on dev (docs/results)."""
    select: Literal["last", "dev"] = "last"
    """The model to keep: the `last`, or with `dev` the one with the best F1 on the dev split, scored `epochs` times
    (with few training sentences, this adds the labels of dev). Source: ours; CrossNER's code has `dev`."""
    patience: Annotated[int, Interval(ge=0)] = 0
    """With `select = "dev"`: stop after this many evaluations in a row without a better F1, even before `min_steps`. 0:
    never. Unit: evaluations, one per epoch if `min_steps` is 0. Source: ours; the paper doesn't say; CrossNER's code
    has 8."""

    def __post_init__(self) -> None:
        TrainSettings.__post_init__(self)
        unscored = self.patience != 0 and self.select == "last"
        refuse(
            unscored, "patience", self.patience, "0 with select = 'last', which scores no dev split; or select 'dev'"
        )
