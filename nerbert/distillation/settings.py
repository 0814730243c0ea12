"""What a distillation can be set."""

from dataclasses import dataclass
from typing import Annotated, Literal

from nerbert.config import Bounds
from nerbert.finetuning.settings import FinetuneSettings
from nerbert.registry import OBJECTIVES


@dataclass(frozen=True, slots=True, kw_only=True)
class DistilSettings(FinetuneSettings):
    """How a teacher's tags of texts, and labelled sentences beside them, become a tagger."""

    objective: Annotated[str, OBJECTIVES] = "distillation"
    """What is learnt: `distillation`, an entity as surely as the teacher found it; `tagging`, each entity as if it were
    sure; or your own as `module:Class`. Source: Hinton et al. 2015."""
    source_epochs: Annotated[float, Bounds(above=0, below=1e6)] = 3.0
    """Passes over the silver sentences. `epochs` and `min_steps` are for the labelled ones, which come after them.
    Source: ours."""
    source_head: Literal["new", "shared"] = "shared"
    """The head that learns from labelled sentences: `shared` keeps what it learnt from the silver ones, `new` draws all
    its weights. Source: ours."""
    max_sentences: Annotated[int, Bounds(at_least=1, below=1e9)] = 20_000
    """Most silver sentences; of more so many are drawn, by hash. They are held in memory. Unit: sentences. Source:
    ours."""
    empty_share: Annotated[float, Bounds(at_least=0, below=1)] = 0.5
    """Largest share of silver sentences without an entity, from which the student learns what is none; if there are
    more, some are drawn, by hash. Source: ours."""
