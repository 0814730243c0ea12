"""The settings of `nerbert pretrain`."""

from dataclasses import dataclass
from pathlib import Path

from nerbert.config import refuse
from nerbert.training.settings import TrainSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainSettings(TrainSettings):
    """How an encoder is pre-trained as a tagger on a corpus (NER-BERT §3)."""

    corpus: Path
    """Folder that `nerbert corpus build` made. Unit: path. Source: ours."""
    backbone: str = "fresh"
    """Encoder to start from: a folder, a name on the hub, or `fresh` for a small BERT with random weights and a
    tokenizer trained on the corpus. Unit: none. Source: NER-BERT §3 takes BERT-base-cased."""
    label_set: str = ""
    """Categories to train on: empty takes the corpus's own; `4types`, `212types`, `1type` and all that `corpus build`
    knows are read off the class paths of the same sentences. Unit: none. Source: NER-BERT §3."""
    redraw_copies: bool = False
    """Draw each sentence's copies anew in each epoch, from the corpus's `expected_copies`. Epochs then differ in size
    by about a percent; steps are counted, and scores taken, by the first one's. Unit: none. Source: ours."""
    evaluate_at_most: int = 5000
    """Validation sentences scored after each epoch, drawn by seed; 0 takes all. Unit: sentences. Source: ours."""
    fresh_layers: int = 4
    """Layers of a fresh encoder. Unit: layers. Source: ours."""
    fresh_width: int = 256
    """Width of a fresh encoder; its heads are 64 wide. Unit: dimensions, a multiple of 64. Source: ours."""
    fresh_vocabulary: int = 8000
    """Largest vocabulary of a fresh cased WordPiece tokenizer. Unit: pieces. Source: ours."""

    def __post_init__(self) -> None:
        TrainSettings.__post_init__(self)
        refuse(self.learning_rate == 0, "learning_rate", self.learning_rate, "above 0")
        refuse(self.fresh_layers < 1, "fresh_layers", self.fresh_layers, "at least 1")
        refuse(self.fresh_width < 64 or self.fresh_width % 64 != 0, "fresh_width", self.fresh_width, "a multiple of 64")
        refuse(self.fresh_vocabulary < 100, "fresh_vocabulary", self.fresh_vocabulary, "at least 100")
        refuse(self.evaluate_at_most < 0, "evaluate_at_most", self.evaluate_at_most, "at least 0")
