"""The settings that every training shares."""

from dataclasses import dataclass
from typing import Annotated, Literal

from nerbert.config import Bounds, Settings
from nerbert.registry import OBJECTIVES


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings(Settings):
    """How a model is trained."""

    objective: Annotated[str, OBJECTIVES] = "tagging"
    """What is learnt: `tagging`, entities of the data's types; `mlm` (pre-training alone), masked subwords of the same
    sentences, the control that has the text without the labels; or your own as `module:Class`. Source: NER-BERT §3;
    Devlin et al. 2019 §3.1."""
    label_all_tokens: bool = False
    """Whether a word's further subwords give loss too, as the inside of its entity; a word is read off its first
    subword in any case. Source: NER-BERT §3 (first subwords alone)."""
    label_smoothing: Annotated[float, Bounds(at_least=0, below=1)] = 0.0
    """Share of each label that is spread over all classes. Source: ours; 0 as in the paper."""
    outside_weight: Annotated[float, Bounds(at_least=0, below=1e6)] = 1.0
    """Weight of words outside of any entity in the loss: in a corpus many of them are names without a link. Source:
    ours; 1 as in the paper."""
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
    """Share of steps in which the rate rises from 0; then it falls to 0 in a straight line. Source: ours; the paper
    doesn't say."""
    max_grad_norm: Annotated[float, Bounds(above=0, below=1e6)] = 1.0
    """Largest norm of a gradient. Source: ours; the paper doesn't say."""
    max_length: Annotated[int, Bounds(at_least=8)] = 256
    """Longest window; longer sentences are cut into overlapping windows at words, and nothing is lost. Unit: subwords.
    Source: ours; the paper doesn't say."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """`bf16` (weights stay fp32), `fp32`, or `auto`: bf16 where the processor has it. Source: ours."""
    num_layers: Annotated[int, Bounds(at_least=0, below=1e6)] = 0
    """Lowest layers of the backbone that are kept, the others are cut off: smaller and faster, and it knows less and
    must be trained on. 0: all. Source: Sajjad et al. 2020 §3 (dropping the top layers costs least)."""
    threads: Annotated[int, Bounds(at_least=0, at_most=4096)] = 0
    """Threads of torch on a CPU; 0 leaves torch's own choice. Two processes on one machine: 1 each. Source: ours."""
