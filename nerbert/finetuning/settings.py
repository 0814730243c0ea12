"""The settings of `nerbert finetune`."""

from dataclasses import dataclass

from nerbert.config import refuse
from nerbert.model.tokenizer import check_on_too_long
from nerbert.training.base_settings import TrainSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneSettings(TrainSettings):
    """How an encoder becomes a tagger on annotated sentences (NER-BERT §4)."""

    epochs: float = 20.0
    """Passes over the training sentences. Unit: epochs. Source: ours, by a pilot; the paper doesn't say."""
    batch_size: int = 16
    """Sentences per step. Unit: windows. Source: NER-BERT §4 (16 or 32)."""
    least_steps: int = 250
    """Fewest updates: a training set too small for that many in `epochs` is gone through more often. 0: no bound. Unit:
    steps. Source: ours, by measurement at 10–200 sentences."""
    learning_rate: float = 0.0
    """Highest learning rate of AdamW. 0 chooses by the encoder's width: 5e-5 from 768 on (NER-BERT §4, for BERT-base),
    2e-4 below (ours, measured on MiniLM). Unit: per step. Source: NER-BERT §4 and ours."""
    source_epochs: float = 3.0
    """Passes over the source data before the target's (source & target); bounds on steps are the target's alone. Unit:
    epochs. Source: ours; the paper doesn't say."""
    on_too_long: str = "window"
    """What becomes of sentences longer than `max_length`: `window` cuts them into overlapping windows, and every word
    is tagged; `truncate` drops the rest, as many papers do: entities there count as missed, and the tagger goes on so;
    `error` refuses them. Unit: none. Source: ours; the paper doesn't say."""
    select: str = "last"
    """Which model is kept: the `last`, or for `dev` that of the best F1 on dev.conll, scored `epochs` times (a hidden
    budget of labels when few train). Unit: none. Source: ours; the paper chooses on dev."""

    def __post_init__(self) -> None:
        TrainSettings.__post_init__(self)
        refuse(not 0 < self.source_epochs < 1e6, "source_epochs", self.source_epochs, "above 0")
        check_on_too_long(self.on_too_long)
        refuse(self.select not in ("last", "dev"), "select", self.select, "'last' or 'dev'")
