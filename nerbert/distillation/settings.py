"""Settings of distillation."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Interval

from nerbert.finetuning.settings import FinetuneSettings

SOFT = "distillation"
"""The objective of a student of fixed types, if the settings name none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DistilSettings(FinetuneSettings):
    """Settings for training a tagger on a teacher's tags of texts, and on labelled sentences."""

    objective: str = ""
    """Training objective: `distillation`, entities with the teacher's confidence as a soft label; `tagging`, entities
    as if certain; or your own as `module:Class`. Empty: for a student that takes labels at run time, its own objective,
    with entities as if certain; `distillation` for any other. Source: Hinton et al. 2015."""
    source_epochs: Annotated[float, Interval(gt=0, lt=1e6)] = 3.0
    """Passes over the silver sentences. `epochs` and `min_steps` apply to the labelled sentences, which come after
    them. Source: ours."""
    source_head: Literal["new", "shared"] = "shared"
    """The head for labelled sentences: `shared` keeps the weights trained on the silver ones, `new` starts from random
    ones. Source: ours."""
    max_sentences: Annotated[int, Interval(ge=1, lt=1e9)] = 20_000
    """Maximum number of silver sentences; from more, a sample is drawn by hash. They are kept in memory. Unit:
    sentences. Source: ours."""
    empty_share: Annotated[float, Interval(ge=0, lt=1)] = 0.5
    """Maximum share of silver sentences without an entity, as negative examples; from more, a sample is drawn by hash.
    Source: ours."""
    min_f1_share: Annotated[float, Interval(ge=0, le=1)] = 0.5
    """Minimum F1 of the student as a share of the teacher's: on the dev split, or on held-out silver sentences if there
    are no labelled data (one in ten, at most 500). A worse student isn't kept; 0 accepts any. Source: ours."""
