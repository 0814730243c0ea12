"""The settings that every training shares."""

from dataclasses import dataclass

from nerbert.config import refuse


def check_precision(name: str) -> str:
    """`name` if it is a precision to compute in; else raise SettingsError."""
    refuse(name not in ("auto", "bf16", "fp32"), "precision", name, "auto, bf16 or fp32")
    return name


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """How a model is trained."""

    seed: int = 1
    """Seed of the head's weights, of dropout and of the order of sentences. Unit: none. Source: ours."""
    epochs: float = 3.0
    """Passes over the training data, copies included. Unit: epochs. Source: ours; the paper doesn't say."""
    least_steps: int = 0
    """Fewest updates: a training set too small for that many in `epochs` is gone through more often. 0: no bound. Unit:
    steps. Source: ours."""
    most_steps: int = 0
    """Most updates; the schedule ends there. Equal to `least_steps` it fixes their number, whatever the size of the
    data. 0: no bound. Unit: steps. Source: ours."""
    batch_size: int = 32
    """Sentences (windows, where one is longer than the model) per step. Unit: windows. Source: ours."""
    micro_batch_tokens: int = 8192
    """A step's sentences go through the model in parts of at most this size. Changes memory and speed, never what is
    summed (rounding, and which units drop out, differ). Unit: pieces, padding included. Source: ours."""
    learning_rate: float = 1e-4
    """Highest learning rate of AdamW. Unit: per step. Source: ours, for small encoders."""
    weight_decay: float = 0.01
    """AdamW's weight decay; biases and norms have none. Unit: none. Source: ours; the paper doesn't say."""
    warmup_share: float = 0.1
    """Share of steps in which the rate rises from 0; then it falls to 0 in a straight line. Unit: 0–1. Source: ours;
    the paper doesn't say."""
    clip_norm: float = 1.0
    """Largest norm of a gradient. Unit: none. Source: ours; the paper doesn't say."""
    max_length: int = 256
    """Longest window; longer sentences are cut into overlapping windows at words, and nothing is lost. Unit: pieces.
    Source: ours; the paper doesn't say."""
    precision: str = "auto"
    """`bf16` (weights stay fp32), `fp32`, or `auto`: bf16 where the processor has it. Unit: none. Source: ours."""
    keep_layers: int = 0
    """Lowest layers of the backbone that are kept, the others are cut off: smaller and faster, and it knows less and
    must be trained on. 0: all. Unit: layers. Source: Sajjad et al. 2020 §3 (dropping the top layers costs least)."""
    threads: int = 0
    """Threads of torch on a CPU; 0 leaves torch's own choice. Two processes on one machine: 1 each. Unit: threads.
    Source: ours."""

    def __post_init__(self) -> None:
        for name in ("batch_size", "micro_batch_tokens"):
            refuse(getattr(self, name) < 1, name, getattr(self, name), "at least 1")
        for name in ("epochs", "clip_norm"):
            refuse(not 0 < getattr(self, name) < 1e6, name, getattr(self, name), "above 0")
        refuse(not 0 <= self.learning_rate < 1e6, "learning_rate", self.learning_rate, "at least 0")
        refuse(self.least_steps < 0, "least_steps", self.least_steps, "at least 0")
        most, least = self.most_steps, self.least_steps
        refuse(most != 0 and most < max(1, least), "most_steps", most, f"0, or at least least_steps ({least})")
        refuse(self.max_length < 8, "max_length", self.max_length, "at least 8")
        refuse(not 0 <= self.warmup_share <= 1, "warmup_share", self.warmup_share, "between 0 and 1")
        refuse(not 0 <= self.weight_decay < 1e6, "weight_decay", self.weight_decay, "at least 0")
        refuse(not 0 <= self.keep_layers < 1e6, "keep_layers", self.keep_layers, "at least 0")
        refuse(not 0 <= self.threads <= 4096, "threads", self.threads, "between 0 and 4096")
        check_precision(self.precision)
