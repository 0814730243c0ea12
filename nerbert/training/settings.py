"""What every training can be set: the settings that the loop needs."""

from dataclasses import dataclass
from typing import Annotated, Literal

from nerbert.config import Bounds, Sectioned
from nerbert.model.tokenizer import OnTooLong
from nerbert.registry import OBJECTIVES


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings(Sectioned):
    """How a model is trained. What only an objective or a source needs is in a section of its own."""

    objective: Annotated[str, OBJECTIVES] = "tagging"
    """What is learnt: `tagging`, entities of the data's types; `mlm` (pre-training alone), masked subwords of the same
    sentences, the control that has the text without the labels; `concepts` (pre-training alone), names of open types by
    contrast; `self_training`, as `tagging`, but from the second epoch on the model labels all sentences anew; `typing`
    (pre-training alone), the data's types and clusters of entities; `zero_shot`, entities of any types, told by name;
    `distillation` (fine-tuning alone), as `tagging`, but entities count as much as their confidences say; or your own
    as `module:Class`. Source: NER-BERT §3.1; Devlin et al. 2019 §3.1; NuNER (Bogdanov et al. 2024); CoFEE (Xue et al.
    2020); GLiNER (Zaratiana et al. 2024); Hinton et al. 2015."""
    seed: int = 1
    """Seed of the head's weights, of dropout and of the order of sentences. Source: ours."""
    epochs: Annotated[float, Bounds(above=0, below=1e6)] = 3.0
    """Passes over the training data, copies included. Source: ours; the paper doesn't say."""
    min_steps: Annotated[int, Bounds(at_least=0)] = 0
    """Fewest updates: a training set too small for that many in `epochs` is gone through more often. `max_steps`
    wins over it. 0: no bound. Source: ours."""
    max_steps: Annotated[int, Bounds(at_least=0)] = 0
    """Most updates; the schedule ends there. It wins over `min_steps` and `epochs`. Equal to `min_steps` it fixes the
    number of updates, whatever the size of the data. 0: no bound. Source: ours."""
    batch_size: Annotated[int, Bounds(at_least=1)] = 32
    """Sentences (windows, where one is longer than the model) per step. Unit: windows. Source: ours."""
    max_tokens_per_batch: Annotated[int, Bounds(at_least=1)] = 8192
    """A step's sentences go through the model in micro-batches of at most this size, and of smaller ones where memory
    runs out. Changes memory and speed, never what is summed (rounding, and which units drop out, differ). Unit:
    subwords, padding included. Source: ours."""
    learning_rate: Annotated[float, Bounds(above=0, below=1e6)] = 1e-4
    """Highest learning rate of AdamW. Source: ours, for small encoders."""
    weight_decay: Annotated[float, Bounds(at_least=0, below=1e6)] = 0.01
    """AdamW's weight decay; biases and norms have none. Source: ours; the paper doesn't say."""
    warmup_ratio: Annotated[float, Bounds(at_least=0, at_most=1)] = 0.1
    """Share of steps in which the rate rises from 0; from then on `schedule` holds. Source: ours; the paper doesn't
    say."""
    schedule: Literal["linear", "constant"] = "linear"
    """The learning rate after the warm-up: `linear` lets it fall to 0 in a straight line, `constant` keeps it. Source:
    ours, as in BERT's fine-tuning; the paper doesn't say; CrossNER's code has `constant`."""
    max_grad_norm: Annotated[float, Bounds(above=0, below=1e6)] = 1.0
    """Largest norm of a gradient. Source: ours; the paper doesn't say."""
    max_length: Annotated[int, Bounds(at_least=8)] = 256
    """Longest window; longer sentences are cut into overlapping windows at words, and nothing is lost. Unit: subwords.
    Source: ours; the paper doesn't say."""
    on_too_long: OnTooLong = "window"
    """What becomes of sentences longer than `max_length`: `window` cuts them into overlapping windows, and every word
    is read; `truncate` drops the rest, as many papers do: entities there count as missed, and a tagger goes on so;
    `error` refuses them. Source: ours; the paper doesn't say."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """`bf16` (weights stay fp32), `fp32`, or `auto`: bf16 where the processor has it. Source: ours."""
    num_layers: Annotated[int, Bounds(at_least=0, below=1e6)] = 0
    """Lowest layers of the backbone that are kept, the others are cut off: smaller and faster, and it knows less and
    must be trained on. 0: all. Source: Sajjad et al. 2020 §3 (dropping the top layers costs least)."""
    threads: Annotated[int, Bounds(at_least=0, at_most=4096)] = 0
    """Threads of torch on a CPU; 0 leaves torch's own choice. Two processes on one machine: 1 each. Source: ours."""
