"""The settings of `nerbert finetune`."""

from dataclasses import dataclass
from typing import Annotated, Literal

from nerbert.config import Bounds
from nerbert.model.tokenizer import OnTooLong
from nerbert.training.base_settings import TrainSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneSettings(TrainSettings):
    """How an encoder becomes a tagger on annotated sentences (NER-BERT §4)."""

    epochs: Annotated[float, Bounds(above=0, below=1e6)] = 20.0
    """Passes over the training sentences. Source: ours, by a pilot; the paper doesn't say."""
    batch_size: Annotated[int, Bounds(at_least=1)] = 16
    """Sentences per step. Unit: windows. Source: NER-BERT §4 (16 or 32)."""
    min_steps: Annotated[int, Bounds(at_least=0)] = 250
    """Fewest updates: a training set too small for that many in `epochs` is gone through more often. `max_steps`
    wins over it. 0: no bound. Source: ours, by measurement at 10–200 sentences."""
    learning_rate: Annotated[float, Bounds(at_least=0, below=1e6)] = 0.0
    """Highest learning rate of AdamW. 0 chooses by the encoder's width: 5e-5 from 768 on (NER-BERT §4, for BERT-base),
    2e-4 below (ours, measured on all-MiniLM-L6-v2). Source: NER-BERT §4 and ours."""
    source_epochs: Annotated[float, Bounds(above=0, below=1e6)] = 3.0
    """Passes over the source data before the target's (source & target); bounds on steps are the target's alone.
    Source: ours; the paper doesn't say."""
    on_too_long: OnTooLong = "window"
    """What becomes of sentences longer than `max_length`: `window` cuts them into overlapping windows, and every word
    is tagged; `truncate` drops the rest, as many papers do: entities there count as missed, and the tagger goes on so;
    `error` refuses them. Source: ours; the paper doesn't say."""
    select: Literal["last", "dev"] = "last"
    """Which model is kept: the `last`, or for `dev` that of the best F1 on the dev split, scored `epochs` times (a
    hidden budget of labels when few train). Source: ours; the paper chooses on dev."""
