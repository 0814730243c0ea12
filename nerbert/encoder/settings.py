"""The settings of `nerbert pretrain`."""

from dataclasses import dataclass
from pathlib import Path

from nerbert.config import refuse
from nerbert.training.base_settings import TrainSettings

OBJECTIVES = ("tagging", "mlm")


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainSettings(TrainSettings):
    """How an encoder is pre-trained as a tagger on a corpus (NER-BERT §3)."""

    corpus: Path
    """Folder that `nerbert corpus build` made. Unit: path. Source: ours."""
    backbone: str = "fresh"
    """Encoder to start from: a folder, a name on the hub, `embedded` or `embedded-mlm` for the small ones in the
    package (with types of links, masked words alone), or `fresh` for a small BERT with random weights and a tokenizer
    trained on the corpus. Unit: none. Source: NER-BERT §3 takes BERT-base-cased."""
    label_set: str = ""
    """Categories to train on: empty takes the corpus's own; `4types`, `212types`, `1type` and all that `corpus build`
    knows are read off the class paths of the same sentences. Unit: none. Source: NER-BERT §3."""
    objective: str = "tagging"
    """What is learnt: `tagging`, the corpus's categories; `mlm`, masked pieces of the same sentences, the control that
    has the text without the labels. Unit: none. Source: NER-BERT §3; Devlin et al. 2019 §3.1."""
    further_pieces: bool = False
    """Whether a word's further pieces give loss too, as the inside of its entity; a word is read off its first piece in
    any case. Unit: none. Source: NER-BERT §3 (first pieces alone)."""
    label_smoothing: float = 0.0
    """Share of each label that is spread over all classes. Unit: 0–1. Source: ours; 0 as in the paper."""
    outside_weight: float = 1.0
    """Weight of words outside of any entity in the loss: many of them are names without a link. Unit: times. Source:
    ours; 1 as in the paper."""
    mask_share: float = 0.15
    """Share of pieces that `mlm` asks for: 80 % of them masked, 10 % another piece, 10 % as they are. Unit: 0–1.
    Source: Devlin et al. 2019 §3.1."""
    frozen_layers: int = 0
    """Lowest layers, embeddings with them, that stay as the backbone has them. 0: all is trained. Unit: layers. Source:
    ours; NuNER freezes 6 of 12."""
    cache: str = ""
    """Folder for the corpus's pieces, made once for each corpus, label set and tokenizer, and mapped from then on. May
    be deleted at any time. Empty: `nerbert` in the user's cache folder. Unit: path. Source: ours."""
    checkpoint_minutes: float = 10.0
    """How much of a killed run is lost at most: the same command goes on from its last checkpoint, as if it had never
    stopped. SIGTERM makes one too. 0: only by steps. Unit: minutes. Source: ours."""
    checkpoint_steps: int = 0
    """Steps between checkpoints; 0: only by time. Unit: steps. Source: ours."""
    checkpoints: int = 2
    """How many checkpoints are kept until the end, the newest ones. Unit: none. Source: ours."""
    tensorboard: str = ""
    """Folder for TensorBoard's event files, written while it trains (`nerbert[tensorboard]`). Empty: none; the figures
    of each step are in the encoder's log.jsonl in any case. Unit: path. Source: ours."""
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
        refuse(self.objective not in OBJECTIVES, "objective", self.objective, " or ".join(map(repr, OBJECTIVES)))
        refuse(not 0 <= self.label_smoothing < 1, "label_smoothing", self.label_smoothing, "at least 0 and below 1")
        refuse(not 0 <= self.outside_weight < 1e6, "outside_weight", self.outside_weight, "at least 0")
        refuse(not 0 < self.mask_share <= 1, "mask_share", self.mask_share, "above 0 and at most 1")
        for name in ("checkpoint_minutes", "checkpoint_steps", "frozen_layers"):
            refuse(not 0 <= getattr(self, name) < 1e6, name, getattr(self, name), "at least 0")
        refuse(self.checkpoints < 1, "checkpoints", self.checkpoints, "at least 1")
        refuse(not self.backbone, "backbone", self.backbone, "a folder, a name on the hub, or 'fresh'")
        cut = self.keep_layers != 0 and self.backbone == "fresh"
        refuse(cut, "keep_layers", self.keep_layers, "0 with backbone = 'fresh', which has fresh_layers")
        refuse(not 1 <= self.fresh_layers <= 1000, "fresh_layers", self.fresh_layers, "between 1 and 1000")
        good = 64 <= self.fresh_width <= 16384 and self.fresh_width % 64 == 0
        refuse(not good, "fresh_width", self.fresh_width, "a multiple of 64, at most 16384")
        good = 100 <= self.fresh_vocabulary <= 1_000_000
        refuse(not good, "fresh_vocabulary", self.fresh_vocabulary, "between 100 and 1000000")
        if self.objective == "mlm":
            refuse(bool(self.label_set), "label_set", self.label_set, "left out with objective = 'mlm'")
            refuse(self.further_pieces, "further_pieces", True, "left out with objective = 'mlm'")
        refuse(self.evaluate_at_most < 0, "evaluate_at_most", self.evaluate_at_most, "at least 0")
