"""What CDLM learns from: tagged sentences of a source and a target domain, raw ones of both, and its settings."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np

from nerbert.config import Bounds, Section, refuse
from nerbert.finetuning.replay import FinetuneData, FinetuneSources, types_of_examples
from nerbert.formats.inputs import read_texts
from nerbert.labels import tag_names
from nerbert.model.cdlm.cdlm_model import SOURCE, TARGET
from nerbert.model.tokenizer import BioLabels, SubwordTokenizer, WordLabels
from nerbert.model.windows import Windows
from nerbert.records import Example
from nerbert.rng import Array, uniforms
from nerbert.training.batches import TrainingData
from nerbert.training.settings import TrainSettings
from nerbert.words import split_words

_TOKEN = re.compile(r"\S+")
_LONGEST = 250
"""Words of a raw text that are read (the public code's longest sentence)."""
PARTS = ("source_tags", "target_tags", "source_words", "target_words")
"""The losses."""
_USUAL = {"supervised": (1.0, 2.0, 1.0, 1.0), "unsupervised": (1.0, 0.0, 1.0, 1.0), "combined": (0.8, 1.0, 0.5, 0.5),
          "target": (0.0, 1.0, 0.0, 0.0)}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class CdlmSettings(Section):
    """Settings of CDLM."""

    section: ClassVar[str] = "cdlm"
    reads: ClassVar[tuple[str, ...]] = ("texts", "source_texts", "vectors")
    commands: ClassVar[tuple[str, ...]] = ("finetune",)
    mode: Literal["supervised", "unsupervised", "combined", "target"] = "supervised"
    """`supervised`: tags and neighbouring words of both domains' sentences. `unsupervised`: the target's tags aren't
    read, and it gets the source's; raw texts are read, too. `combined`: supervised, with raw texts, too. `target`: a
    plain BiLSTM-CRF of the target alone, the control. Source: the public code's three modes; `target` is ours."""
    texts: tuple[Path, ...] = ()
    """Files of raw text of the target's domain, one sentence a line, or as `nerbert tag` reads them. Source: the public
    code."""
    source_texts: tuple[Path, ...] = ()
    """The same of the source's domain. Source: the public code."""
    vectors: tuple[Path, ...] = ()
    """A file of word vectors as text (GloVe's form: a word and its numbers in each line). Source: the public code has
    GloVe, 6B, 100 numbers."""
    words: Literal["encoder", "random"] = "encoder"
    """Without `vectors`: word vectors begin as means of the encoder's subword vectors, or at random. Source: ours."""
    weights: tuple[Annotated[float, Bounds(at_least=0, below=1e6)], ...] = ()
    """Weights of the losses: source's tags, target's tags, source's words, target's words. Empty: by the mode, 1 2 1 1,
    1 0 1 1, or 0.8 1 0.5 0.5. Source: the public code."""
    negatives: Annotated[int, Bounds(at_least=1, at_most=100_000)] = 50
    """Words that the sampled softmax of a batch has beside the right one. Source: the public code."""
    dropout: Annotated[float, Bounds(at_least=0, below=1)] = 0.5
    """Dropout of words, characters and states. Source: the public code."""
    optimizer: Literal["sgd", "rmsprop"] = "sgd"
    """`rmsprop` is the unsupervised mode's; from the epoch on in which F1 on the source's dev split is above
    `sgd_above`, plain steps follow at `sgd_rate`. Source: the public code."""
    sgd_above: Annotated[float, Bounds(at_least=0, at_most=1)] = 0.72
    """F1 (0–1). Source: the public code."""
    sgd_rate: Annotated[float, Bounds(above=0, below=1e6)] = 0.015
    """Learning rate. Source: the public code."""
    decay: Annotated[float, Bounds(at_least=0, below=1e6)] = 0.05
    """The rate in epoch e, counted from 0, is `learning_rate` / (1 + decay · e). Source: the public code."""

    def __post_init__(self) -> None:
        Section.__post_init__(self)
        refuse(len(self.weights) not in (0, len(PARTS)), "cdlm.weights", list(self.weights), "four numbers, or none")
        tags = self.own_weights[:2]
        wrong = not any(tags) or any(given and not usual for given, usual in zip(tags, _USUAL[self.mode], strict=False))
        refuse(wrong, "cdlm.weights", list(self.weights), f"above 0 for tags that mode {self.mode!r} reads, and for no "
               "others")  # fmt: skip

    @property
    def own_weights(self) -> tuple[float, ...]:
        """Return the weights of the losses."""
        return self.weights or _USUAL[self.mode]

    @property
    def joined(self) -> bool:
        """Return whether there is a source domain."""
        return self.mode != "target"


@dataclass(frozen=True, slots=True)
class JointData(TrainingData):
    """Windows of up to four sets, one after the other: tagged ones of source and target, raw ones of source and target.

    `ends` says where each set ends. An epoch has the tagged source (without a source the target) in batches, and beside
    each of them an equal share of every other set. Of a set that has fewer windows than there are batches each has one,
    in turn: ours, since without it the target isn't learnt beside a large source (docs/results).
    """

    ends: tuple[int, ...] = ()
    seed: int = 1

    def steps(self, settings: TrainSettings, after: int, total: int) -> Iterator[tuple[int, Array]]:
        """Yield the epoch and the windows of each step, from the one after `after` on."""
        count = -(-len(self.numbers_of(0)) // settings.batch_size)
        begun, orders = -1, list[Array]()
        for number, (epoch, step) in enumerate(TrainingData.steps(self, settings, after, total), after):
            if epoch > begun:
                begun, orders = epoch, self._orders(epoch)
            at = number % count
            yield epoch, np.concatenate([step, *(_part(some, at, count, number) for some in orders)])

    def _orders(self, epoch: int) -> list[Array]:
        """Return the windows of all sets but the first, each in an order of the epoch."""
        sets = [np.arange(*span) for span in pairwise(self.ends)] if self.ends[0] else []
        drawn = (uniforms(self.seed, f"order of set {place} in epoch {epoch}", some) for place, some in enumerate(sets))
        return [some[np.argsort(each, kind="stable")] for some, each in zip(sets, drawn, strict=True)]


def _part(numbers: Array, at: int, count: int, step: int) -> Array:
    """Return the share of a set that batch `at` of `count` has; of a small set the next one by the number of steps."""
    if 0 < len(numbers) < count:
        return numbers[[step % len(numbers)]]
    return numbers[at * len(numbers) // count : (at + 1) * len(numbers) // count]


@dataclass(frozen=True, slots=True)
class JointSentences(FinetuneData):
    """Sentences of two domains, and raw ones of both."""

    own: CdlmSettings = field(default_factory=CdlmSettings)
    raw: tuple[Sequence[Example], Sequence[Example]] = ((), ())

    @classmethod
    def of(cls, sources: FinetuneSources) -> "JointSentences":
        """Return them; raise SettingsError for a mode without what it needs, or with what it doesn't read."""
        own = sources.settings.of(CdlmSettings)
        tagged = sources.source.train if sources.source else []
        refuse(own.joined and not any(each.spans for each in tagged), "cdlm.mode", own.mode,
               "with annotated sentences of a source domain (--source), or 'target'")  # fmt: skip
        refuse(not own.joined and bool(tagged), "cdlm.mode", own.mode, "another one: with a source domain they are two")
        for name in ("texts", "source_texts"):
            unread = own.mode in ("supervised", "target") and bool(getattr(own, name))
            refuse(unread, f"cdlm.{name}", "…", f"left out: mode {own.mode!r} reads no raw texts")
        tokens = all(tuple(each.text.split()) == each.tokens for each in [*sources.examples, *tagged])
        raw = read_raw(own.source_texts, at_spaces=tokens), read_raw(own.texts, at_spaces=tokens)
        refuse(own.mode == "combined" and not any(raw), "cdlm.mode", own.mode, "with raw texts, or 'supervised'")
        held_out = sources.source.dev if sources.source else []
        never = own.optimizer == "rmsprop" and not held_out
        refuse(never, "cdlm.optimizer", own.optimizer, "'sgd' without a source domain that has a dev split")
        unscored = own.mode == "unsupervised" and sources.settings.select == "dev" and not held_out
        refuse(unscored, "select", "dev", "'last': the source has no dev split, and the target's labels aren't read")
        return cls(
            sources.settings, sources.examples, sources.dev, source=tagged, source_dev=held_out, own=own, raw=raw
        )

    @property
    def types(self) -> Sequence[str]:
        """Return the types that are tagged: the target's, or without its tags the source's."""
        return types_of_examples(self.source if self.own.mode == "unsupervised" else self.examples)

    @property
    def has_entities(self) -> bool:
        """Return whether there is something to learn."""
        return bool(self.types)

    def held_out(self) -> list[Example]:
        """Return the sentences that choose an epoch: the target's, or without its labels the source's."""
        return list(self.source_dev if self.own.mode == "unsupervised" else self.dev)

    @property
    def every(self) -> list[Sequence[Example]]:
        """Return the four sets."""
        return [self.source, self.examples, *self.raw]

    def windows(self, pieces: SubwordTokenizer, labels: WordLabels | None) -> JointData:
        """Return the windows of all sets; the source has labels of its own."""
        of_source = labels if self.own.mode == "unsupervised" else BioLabels(tag_names(types_of_examples(self.source)))
        sets = [list(pieces.windows(each, of_source if number == SOURCE else labels))
                for number, each in enumerate(self.every)]  # fmt: skip
        ends = tuple(np.cumsum([len(each) for each in sets]).tolist())
        first = np.arange(ends[SOURCE] or ends[TARGET])
        windows = Windows.pack([window for each in sets for window in each])
        return JointData(windows, lambda _: first, pieces.pad_id, ends, self.settings.seed)


def read_raw(paths: Sequence[Path], *, at_spaces: bool) -> list[Example]:
    """Return raw texts as sentences of at most 250 words, which stand between spaces if those of the data do."""
    if not paths:
        return []
    words = (lambda text: [each.span() for each in _TOKEN.finditer(text)]) if at_spaces else split_words
    found = (Example(text, tuple(words(text)[:_LONGEST]), ()) for text in read_texts(map(str, paths)))
    return [each for each in found if each.words]
