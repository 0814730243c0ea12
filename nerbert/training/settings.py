"""The settings of every training run, and the base class of sections, which objectives and sources declare."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from annotated_types import Interval

from nerbert.config import Settings, make_settings
from nerbert.errors import SettingsError
from nerbert.model.tokenizer import OnTooLong
from nerbert.records import Example

_Section = TypeVar("_Section", bound="Section")
Schedule = Literal["linear", "cosine", "constant"]
"""Schedules of the learning rate after the warm-up."""


@dataclass(frozen=True, slots=True)
class LinkTypes:
    """Types of a corpus's links, in place of its categories; pickled for workers. Messages name them by their section.

    Sentences of more than `max_words` words are left out (0: none is). `facts` are for the encoder's card: their
    `sha256` stands for all that decides a label.
    """

    section: str
    types: tuple[str, ...]
    max_words: int
    facts: Mapping[str, str | int]

    def relabel(self, examples: Sequence[Example]) -> list[Example]:
        """Return the examples with those of their spans that have a type."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Section(Settings):
    """Base class for the settings that an objective or a source declares as its section."""

    section: ClassVar[str] = ""
    """Its name."""
    reads: ClassVar[tuple[str, ...]] = ()
    """Fields that name files to read: their content is compared, not their path."""
    models: ClassVar[tuple[str, ...]] = ()
    """Fields that name a model's folder, or one on the hub."""
    commands: ClassVar[tuple[str, ...]] = ("pretrain", "finetune")
    """The commands that offer a source's section; an objective's section belongs to the objective's commands."""

    @classmethod
    def full_name(cls, name: str) -> str:
        """Return a field's name, prefixed with the section's."""
        return f"{cls.section}.{name}"

    def open_link_types(self, cache: str) -> Callable[[], LinkTypes] | None:
        """Return what opens the types of links that the section names, with a folder to cache them; None for none."""
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings(Settings):
    """Settings for training a model. Those of an objective or a source are in its section."""

    removed: ClassVar[Mapping[str, str]] = {"compile": "compiled layers were slower on an H100"}

    sections: tuple[Section, ...] = ()
    """The sections of the objective and its sources. Source: ours."""
    objective: str = "tagging"
    """Training objective: `tagging`, entities of the data's types; `mlm` (pre-training only), masked subwords of the
    same sentences, the control without labels; `concepts`, open types by contrastive learning; `names`, boundaries
    by tags, and types by contrastive learning;
    `self_training`, as `tagging`, but from the second epoch on the model relabels all sentences; `typing` (pre-training
    only), the data's types and clusters of entities; `zero_shot`, entities of any types, given by name; `distillation`
    (fine-tuning only), as `tagging`, with confidences as soft labels; `cdlm` (fine-tuning only), tags and neighbouring
    words of two domains by a BiLSTM; or your own as `module:Class`. Source: NER-BERT §3.1; Devlin et al. 2019 §3.1;
    NuNER (Bogdanov et al. 2024); CoFEE (Xue et al. 2020); GLiNER (Zaratiana et al. 2024); Hinton et al. 2015; Jia et
    al. 2019."""
    seed: int = 1
    """Seed of the head's weights, of dropout and of the order of sentences. Source: ours."""
    epochs: Annotated[float, Interval(gt=0, lt=1e6)] = 3.0
    """Passes over the training data, copies included. Source: ours; the paper doesn't say."""
    min_steps: Annotated[int, Interval(ge=0)] = 0
    """Minimum number of updates: a smaller training set is repeated beyond `epochs` until then. `max_steps` takes
    precedence. 0: no limit. Source: ours."""
    max_steps: Annotated[int, Interval(ge=0)] = 0
    """Maximum number of updates; the schedule ends there. Takes precedence over `min_steps` and `epochs`. Equal to
    `min_steps`, it fixes the number of updates. 0: no limit. Source: ours."""
    batch_size: Annotated[int, Interval(ge=1)] = 32
    """Sentences (or windows of sentences that are too long for the model) per step. Unit: windows. Source: ours."""
    max_tokens_per_batch: Annotated[int, Interval(ge=1)] = 8192
    """Maximum size of a step's micro-batches, which are made smaller if memory runs out. Changes memory and speed, not
    results, except for rounding and which units drop out. Unit: subwords, padding included. Source: ours."""
    learning_rate: Annotated[float, Interval(gt=0, lt=1e6)] = 1e-4
    """Peak learning rate of AdamW. Source: ours, for small encoders."""
    new_layers_learning_rate: Annotated[float, Interval(ge=0, lt=1e6)] = 0.0
    """Peak learning rate of layers that aren't part of a pre-trained encoder (a head, a projection, an LSTM), on the
    same schedule. 0: `learning_rate`; for a new `linear` head at least 0.07 divided by the sum of a last state's
    absolute values, so that a step moves the logits of all encoders alike. Source: ours, measured on all-MiniLM-L6-v2
    and all-mpnet-base-v2; GLiNER's public code has 5e-5 here, and 1e-5 for its encoder."""
    weight_decay: Annotated[float, Interval(ge=0, lt=1e6)] = 0.01
    """AdamW's weight decay; not applied to biases and norms. Source: ours; the paper doesn't say."""
    warmup_ratio: Annotated[float, Interval(ge=0, le=1)] = 0.1
    """Share of steps in which the rate rises from 0, before `schedule` applies. Source: ours; the paper doesn't say."""
    schedule: Schedule = "linear"
    """The learning rate after the warm-up: `linear` and `cosine` (half a wave) lower it to 0, `constant` keeps it.
    Source: ours, as in BERT's fine-tuning; the paper doesn't say; GLiNER's public code has `cosine`, CrossNER's
    `constant`."""
    max_grad_norm: Annotated[float, Interval(gt=0, lt=1e6)] = 1.0
    """Maximum norm of the gradient; longer ones are scaled down. Source: ours; the paper doesn't say."""
    max_length: Annotated[int, Interval(ge=8)] = 256
    """Maximum length of a window; longer sentences are cut at words into overlapping windows. Unit: subwords. Source:
    ours; the paper doesn't say."""
    on_too_long: OnTooLong = "window"
    """Sentences longer than `max_length`: `window` cuts them into overlapping windows; `truncate` drops the rest, as
    many papers do: entities there count as missed, and the tagger truncates too; `error` refuses them. Source: ours;
    the paper doesn't say."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """`bf16` (weights stay fp32), `fp32`, or `auto`: bf16 where the device supports it. Source: ours."""
    num_layers: Annotated[int, Interval(ge=0, lt=1e6)] = 0
    """Number of the backbone's lowest layers to keep: fewer are smaller and faster, less accurate, and need training.
    0: all. Source: Sajjad et al. 2020 §3 (dropping the top layers costs least)."""
    threads: Annotated[int, Interval(ge=0, le=4096)] = 0
    """CPU threads of torch; 0: torch's default. With two processes on one machine: 1 each. Source: ours."""

    def __post_init__(self) -> None:
        Settings.__post_init__(self)
        object.__setattr__(self, "sections", tuple(sorted(self.sections, key=lambda section: section.section)))
        names = [section.section for section in self.sections]
        if twice := next((name for name in names if names.count(name) > 1), ""):
            raise SettingsError(f"setting {twice}: is given twice; leave one out", setting=twice)

    def of(self, declared: type[_Section]) -> _Section:
        """Return the section of a class, with its defaults if it isn't given."""
        sections = (section for section in self.sections if type(section) is declared)
        return next(sections, None) or make_settings(declared, {})


def plain_settings(settings: TrainSettings, declared: type[Section] = Section) -> dict[str, Any]:
    """Return values by name, and sections by section name, including `declared` even if it isn't given.

    Paths of files and models that a section reads are reduced to their last part.
    """
    values = {field.name: getattr(settings, field.name) for field in fields(settings) if field.name != "sections"}
    # A section that isn't given has its defaults, which belong into a card as well.
    present = declared.section in ("", *(section.section for section in settings.sections))
    sections = settings.sections if present else (*settings.sections, settings.of(declared))
    for section in sorted(sections, key=lambda section: section.section):
        plain = asdict(section)
        # A card that is published must not show this machine's folders.
        plain |= {name: [path.name for path in plain[name]] for name in section.reads}
        values[section.section] = plain | {name: Path(plain[name]).name for name in section.models}
    return values


def changed_names(settings: TrainSettings) -> list[str]:
    """Return the names of settings that differ from their defaults, prefixed with the section's name in sections."""
    changed = [
        (part, field)
        for part in (settings, *settings.sections)
        for field in fields(part)
        if field.name != "sections" and getattr(part, field.name) != field.default
    ]
    return [part.full_name(field.name) for part, field in changed]


def flat_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings by name; those of sections come last, prefixed with the section's name."""
    flat = {name: value for name, value in values.items() if not isinstance(value, Mapping)}
    sections = {name: value for name, value in values.items() if isinstance(value, Mapping)}
    return flat | {f"{name}.{key}": value for name, section in sections.items() for key, value in section.items()}
