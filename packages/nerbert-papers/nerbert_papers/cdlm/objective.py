"""CDLM (Jia, Liang and Zhang, ACL 2019): tags and language models of two domains, learnt together.

A step has a batch of source sentences and a share of the others. Its losses, each divided by its number of sentences,
are tags and neighbouring words of source and target. Steps without a target sentence are skipped, as in the public
code. Ours: BIO instead of IOBES; without `vectors`, words that no training text has are known by characters alone.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import torch
from annotated_types import Interval

from nerbert.config import refuse
from nerbert.data.splits import DataSet
from nerbert.finetuning.data import FinetuneData
from nerbert.labels import tag_names, types_of_examples
from nerbert.model.backbone import Backbone
from nerbert.model.forward import Batch, TorchScorer
from nerbert.model.linear import LinearHead
from nerbert.model.tokenizer import BioLabels, SubwordTokenizer, WordLabels
from nerbert.model.windows import IGNORED, Windows
from nerbert.records import Example
from nerbert.rng import Array, uniforms
from nerbert.terminal import tell
from nerbert.texts.inputs import read_texts
from nerbert.training.batches import TrainingData, most_tokens
from nerbert.training.distributed import ProcessGroup
from nerbert.training.objective import (
    FINETUNE,
    Columns,
    Description,
    EpochColumns,
    EpochHooks,
    StepHooks,
    TaggerObjective,
    Task,
    Traits,
    computed_once,
)
from nerbert.training.settings import Section, TrainSettings
from nerbert.words import split_words
from nerbert_papers.cdlm.cdlm_model import SOURCE, TAGS, TARGET, BatchWords, CdlmModel, CdlmShape, language_loss
from nerbert_papers.cdlm.word_pieces import WordPieces, count_words, make_vocabulary, read_vectors, subword_means

_WIDTH = 100
"""Dimensions of random word vectors."""
_TOKEN = re.compile(r"\S+")
_LONGEST = 250
"""Maximum number of words read from a raw text (the public code's longest sentence)."""
PARTS = ("source_tags", "target_tags", "source_words", "target_words")
"""Names of the losses."""
_WEIGHTS = {
    "supervised": (1.0, 2.0, 1.0, 1.0),
    "unsupervised": (1.0, 0.0, 1.0, 1.0),
    "combined": (0.8, 1.0, 0.5, 0.5),
    "target": (0.0, 1.0, 0.0, 0.0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CdlmSettings(Section):
    """Settings of CDLM."""

    section: ClassVar[str] = "cdlm"
    reads: ClassVar[tuple[str, ...]] = ("texts", "source_texts", "vectors")
    commands: ClassVar[tuple[str, ...]] = ("finetune",)
    removed: ClassVar[Mapping[str, str]] = {
        "weights": "each mode has those of the public code",
        "optimizer": "all modes train by plain SGD",
    }
    mode: Literal["supervised", "unsupervised", "combined", "target"] = "supervised"
    """`supervised`: tags and neighbouring words of both domains' sentences. `unsupervised`: without the target's tags;
    it gets the source's, and raw texts are read, too. `combined`: tags of both domains' sentences, neighbouring words
    of raw texts of both. `target`: a plain BiLSTM-CRF of the target alone, the control. Source: the public code's three
    modes; `target` is ours."""
    texts: tuple[Path, ...] = ()
    """Files of raw text of the target domain, one sentence per line, or in formats of `nerbert tag`. Source: the public
    code."""
    source_texts: tuple[Path, ...] = ()
    """The same for the source domain. Source: the public code."""
    vectors: tuple[Path, ...] = ()
    """A text file of word vectors (in GloVe's format: a word and its numbers per line). The tagger knows all its words;
    only those of the training texts are learnt. Source: the public code has GloVe, 6B, 100 numbers."""
    words: Literal["encoder", "random"] = "encoder"
    """Initial word vectors without `vectors`: means of the encoder's subword vectors, or random. Source: ours."""
    negatives: Annotated[int, Interval(ge=1, le=100_000)] = 50
    """Negative words per batch in the sampled softmax. Source: the public code."""
    dropout: Annotated[float, Interval(ge=0, lt=1)] = 0.5
    """Dropout of words, characters and hidden states. Source: the public code."""
    decay: Annotated[float, Interval(ge=0, lt=1e6)] = 0.05
    """The learning rate in epoch e, counted from 0, is `learning_rate` / (1 + decay · e). Source: the public code."""

    @property
    def joined(self) -> bool:
        """Return whether there is a source domain."""
        return self.mode != "target"

    @property
    def tagged_domain(self) -> int:
        """Return the domain whose tags are learnt for the target and used to choose an epoch."""
        return SOURCE if self.mode == "unsupervised" else TARGET


@dataclass(frozen=True, slots=True)
class JointData(TrainingData):
    """Windows of up to four sets in a row: tagged ones of source and target, raw ones of source and target.

    `ends` are the ends of the sets. A step has a batch of the tagged source (without one: target) and a share of each
    other set.
    """

    ends: tuple[int, ...] = ()
    seed: int = 1

    def steps(self, settings: TrainSettings, after: int, total: int) -> Iterator[tuple[int, Array]]:
        """Yield the epoch and the windows of each step after the first `after` steps, up to step `total`."""
        count = -(-len(self.numbers_of(0)) // settings.batch_size)
        begun = -1
        orders = list[Array]()
        for number, (epoch, step) in enumerate(TrainingData.steps(self, settings, after, total), after):
            if epoch > begun:
                # The other sets are shuffled once an epoch, also after a resume in the middle of one.
                begun = epoch
                orders = self._orders(epoch)
            at = number % count
            shares = (numbers[at * len(numbers) // count : (at + 1) * len(numbers) // count] for numbers in orders)
            yield epoch, np.concatenate([step, *shares])

    def _orders(self, epoch: int) -> list[Array]:
        """Return the windows of all sets except the first, each in a random order for the epoch."""
        # Without a source the first set is empty, and the target takes its place in the steps.
        sets = [np.arange(*span) for span in pairwise(self.ends)] if self.ends[0] else []
        draws = [uniforms(self.seed, f"order of set {number} in epoch {epoch}", ids) for number, ids in enumerate(sets)]
        return [ids[np.argsort(draw, kind="stable")] for ids, draw in zip(sets, draws, strict=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class JointSentences(FinetuneData):
    """Sentences of two domains (the `source` may be empty), and raw texts of both."""

    cdlm: CdlmSettings
    source: DataSet
    raw: tuple[Sequence[Example], Sequence[Example]]

    @classmethod
    def of(cls, sources: FinetuneData) -> "JointSentences":
        """Return the sentences; raise SettingsError if the mode lacks required data, or doesn't use given data."""
        cdlm = sources.settings.of(CdlmSettings)
        source = sources.domains.source or DataSet(Path(), [])
        target, tagged, held_out, mode = sources.domains.target, source.train, source.dev, cdlm.mode
        refuse(
            cdlm.joined and not any(example.spans for example in tagged),
            "cdlm.mode",
            mode,
            "with annotated sentences of a source domain (--source), or 'target'",
        )
        refuse(not cdlm.joined and bool(tagged), "cdlm.mode", mode, "another one: with a source domain they are two")
        for name in ("texts", "source_texts"):
            unread = mode in ("supervised", "target") and bool(getattr(cdlm, name))
            refuse(unread, f"cdlm.{name}", "…", f"left out: mode {mode!r} reads no raw texts")
        # Raw texts are cut as the annotated ones are: at spaces where their words stand between spaces.
        tokens = all(tuple(example.text.split()) == example.tokens for example in [*target.train, *tagged])
        raw = read_raw(cdlm.source_texts, at_spaces=tokens), read_raw(cdlm.texts, at_spaces=tokens)
        refuse(mode == "combined" and not all(raw), "cdlm.mode", mode, "with raw texts of both, or 'supervised'")
        refuse(len(cdlm.vectors) > 1, "cdlm.vectors", len(cdlm.vectors), "one file")
        unscored = mode == "unsupervised" and sources.settings.select == "dev" and not held_out
        refuse(unscored, "select", "dev", "'last': the source has no dev split, and the target's labels aren't read")
        return cls(sources.settings, sources.domains, cdlm=cdlm, source=source, raw=raw)

    @property
    def types(self) -> Sequence[str]:
        """Return the types to tag: the target's, or the source's if the target's tags aren't used."""
        return types_of_examples(self.sets[self.cdlm.tagged_domain])

    @property
    def has_entities(self) -> bool:
        """Return whether there are entities to learn from."""
        return bool(self.types)

    def held_out(self) -> list[Example]:
        """Return the sentences that choose an epoch: the target's, or the source's if the target is used unlabelled."""
        return (self.source if self.cdlm.tagged_domain == SOURCE else self.domains.target).dev

    @property
    def sets(self) -> list[Sequence[Example]]:
        """Return the four sets."""
        return [self.source.train, self.domains.target.train, *self.raw]

    def windows(self, pieces: SubwordTokenizer, labels: WordLabels | None) -> JointData:
        """Return the windows of all sets; the source has separate labels."""
        source_labels = BioLabels(tag_names(types_of_examples(self.source.train)))
        labels_by_set = source_labels, labels, labels, labels
        sets = [list(pieces.windows(*pair)) for pair in zip(self.sets, labels_by_set, strict=True)]
        ends = tuple(np.cumsum([len(windows) for windows in sets]).tolist())
        seed = self.settings.seed
        size = self.settings.batch_size
        count = ends[SOURCE] or ends[TARGET]
        # A step needs a target sentence; with few of them the source's last steps would have none.
        read = min(count, (ends[TARGET] - ends[SOURCE]) * size)
        if skipped := -(-(count - read) // size):
            tell(f"cdlm: {skipped} of an epoch's {-(-count // size)} steps are skipped: they have no target sentence")

        def numbers_of(epoch: int) -> Array:
            draws = uniforms(seed, f"source of epoch {epoch}", np.arange(count))
            return np.sort(np.argsort(draws, kind="stable")[:read])

        windows = Windows.pack(chain.from_iterable(sets))
        return JointData(windows, numbers_of, pieces.pad_id, ends, seed)


def read_raw(paths: Sequence[Path], *, at_spaces: bool) -> list[Example]:
    """Return raw texts as sentences of at most 250 words, split `at_spaces` if the words of the data are."""
    if not paths:
        return []
    words = (lambda text: [token.span() for token in _TOKEN.finditer(text)]) if at_spaces else split_words
    examples = (Example(text, tuple(words(text)[:_LONGEST]), ()) for text in read_texts(map(str, paths)))
    return [example for example in examples if example.words]


class Cdlm(TaggerObjective, EpochHooks, StepHooks):
    """Tags and neighbouring words of two domains, by one BiLSTM whose weights are generated."""

    parts: ClassVar[tuple[str, ...]] = PARTS
    head_name: ClassVar[str] = "cdlm"
    settings: ClassVar[type[Section]] = CdlmSettings
    traits: ClassVar[Traits] = Traits(commands=(FINETUNE,), joins_source=True, usual_rate=0.015)
    # As few as fit: LSTMs run word by word, and gradients of words are dense.
    start_cost: ClassVar[int] = 100_000

    def __init__(self, data: JointSentences, settings: TrainSettings) -> None:
        self._data, self._settings, self._cdlm = data, settings, data.cdlm
        self._tags = tag_names(data.types)
        self._weights = dict(zip(PARTS, _WEIGHTS[data.cdlm.mode], strict=True))
        self._vectors = read_vectors(self._cdlm.vectors[0]) if self._cdlm.vectors else {}
        sentences = list(chain.from_iterable(data.sets))
        learnt = make_vocabulary(sentences)
        # Words of the file come after those of the texts: only the latter are learnt.
        self._vocabulary = make_vocabulary(sentences, self._vectors) if self._vectors else learnt
        self._learnt = count_words(learnt)
        self._ends = np.zeros(len(PARTS), np.int64)

    @classmethod
    def data(cls, sources: Any) -> Any:
        """Return sentences of both domains."""
        return JointSentences.of(sources)

    @classmethod
    def of(cls, task: Task) -> Self:
        """Return the objective for the data of a task."""
        return cls(task.data, task.settings)

    def make_model(self, backbone: Backbone) -> CdlmModel:
        """Return a new model, with initial word vectors as set."""
        cdlm = self._cdlm
        words = count_words(self._vocabulary)
        names = self._vocabulary.convert_ids_to_tokens(list(range(words)))
        vectors: Array | None = None
        if self._vectors:
            unknown = np.full_like(next(iter(self._vectors.values())), np.nan)
            vectors = np.stack([self._vectors.get(name, self._vectors.get(name.lower(), unknown)) for name in names])
        elif cdlm.words == "encoder":
            table = backbone.load_body().get_input_embeddings().weight.detach().numpy()
            vectors = subword_means(backbone.tokenizer, table, names)
        separate = cdlm.joined and cdlm.mode != "unsupervised"
        shape = CdlmShape(
            words=words,
            fixed_words=words - self._learnt,
            pieces=len(self._vocabulary),
            tags=self._tags,
            generated=cdlm.joined,
            dropout=cdlm.dropout,
            source_tags=tag_names(types_of_examples(self._data.source.train)) if separate else [],
            word_width=_WIDTH if vectors is None else vectors.shape[1],
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._settings.seed)
            return CdlmModel(shape, vectors)

    def subwords(self, model: Any, backbone: Backbone, settings: TrainSettings) -> WordPieces:
        """Return the tokenizer that cuts examples into windows of words."""
        return WordPieces(self._vocabulary, settings.max_length, on_too_long=settings.on_too_long)

    def facts(self, windows: Windows) -> dict[str, Any]:
        """Return facts for the card: the loader and precision of the model, and the number of raw sentences read."""
        source, texts = map(len, self._data.raw)
        raw = {"raw_sentences": {"source": source, "target": texts}} if source or texts else {}
        return {"library": "nerbert", "precision": "fp32", "joins_source": self._cdlm.joined, **raw}

    @property
    def labels(self) -> BioLabels:
        """Return the words' labels: the numbers of the target's tags."""
        return BioLabels(self._tags)

    def optimizer(self, model: Any, settings: TrainSettings) -> torch.optim.Optimizer:
        """Return plain SGD."""
        return torch.optim.SGD(model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)

    def rate_factor(self, epoch: int) -> float:
        """Return the factor of the learning rate in an epoch."""
        return 1 / (1 + self._cdlm.decay * epoch)

    def begin_epoch(
        self, model: Any, data: TrainingData, epoch: int, before: Columns, processes: ProcessGroup
    ) -> EpochColumns | None:
        """Store the sets' ends."""
        if isinstance(data, JointData):
            self._ends = np.array(data.ends)
        return None

    @contextmanager
    def step_pass(self, model: Any, shared: Any) -> Iterator[None]:
        """Generate all weights once for a step's batches."""
        if model.generator is None:
            yield
            return
        with computed_once(model.generator()) as model.given:
            yield
        model.given = None

    def _rows(self, batch: Batch) -> dict[str, Array]:
        """Return for each part which windows it reads, (windows,)."""
        sets = np.searchsorted(self._ends, batch.numbers.cpu().numpy(), side="right")
        # Sets 0 and 1 are tagged, 2 and 3 raw: `combined` reads words in raw texts alone.
        of_words = sets - 2 if self._cdlm.mode == "combined" else sets % 2
        return dict(zip(PARTS, (sets == SOURCE, sets == TARGET, of_words == SOURCE, of_words == TARGET), strict=True))

    def terms(self, batch: Batch) -> dict[str, float]:
        """Return the number of sentences of each part."""
        return {part: float(rows.sum()) if self._weights[part] else 0.0 for part, rows in self._rows(batch).items()}

    def loss(self, model: Any, batch: Batch) -> dict[str, torch.Tensor]:
        """Return the weighted sums of sentences' losses, computed in fp32."""
        rows = {
            part: torch.from_numpy(rows.nonzero()[0]).to(batch.ids.device) for part, rows in self._rows(batch).items()
        }
        weights = self._weights
        losses = dict[str, torch.Tensor]()
        with torch.autocast(batch.ids.device.type, enabled=False):
            words = model.read(batch.ids, batch.mask)
            tags = torch.full_like(words.ids, IGNORED)
            tags[batch.rows, words.at[batch.rows, batch.columns]] = batch.labels
            for domain, name in ((SOURCE, "source"), (TARGET, "target")):
                tagged = rows[f"{name}_tags"]
                read = rows[f"{name}_words"]
                if weights[f"{name}_tags"] and len(tagged):
                    chosen = _take_rows(words, tagged)
                    layer = model.layer(domain)
                    emissions = layer(model.states(chosen, TAGS, domain))
                    gold = tags[tagged, : chosen.ids.shape[1]]
                    losses[f"{name}_tags"] = layer.crf.loss(emissions, gold, chosen.mask).sum()
                if weights[f"{name}_words"] and len(read):
                    chosen = _take_rows(words, read)
                    losses[f"{name}_words"] = language_loss(model, chosen, domain, self._cdlm.negatives).sum()
        # A part without sentences is 0, with a gradient all the same.
        none = model.words.sum() * 0
        return {part: weights[part] * losses[part] if part in losses else none for part in PARTS}

    def head(self, model: Any, pieces: SubwordTokenizer, settings: TrainSettings) -> LinearHead:
        """Return the model ready to tag the target's domain."""
        return self._head(model, TARGET, pieces)

    def choosing_head(self, model: Any, pieces: SubwordTokenizer, settings: TrainSettings) -> LinearHead:
        """Return the model ready to tag the domain whose labels may be used."""
        return self._head(model, self._cdlm.tagged_domain, pieces)

    def _head(self, model: CdlmModel, domain: int, pieces: SubwordTokenizer) -> LinearHead:
        scorer = TorchScorer(model, "fp32", lambda model, batch: model.scores(batch, domain))
        tags = model.shape.source_tags if domain == SOURCE and model.shape.source_tags else self._tags
        return LinearHead(scorer, pieces, tags, max_tokens=most_tokens(self._settings))

    def describe(self) -> Description:
        """Return its description for plans and cards."""
        learnt = "tag a domain, together with a source domain and the language of both (CDLM, Jia et al. 2019)"
        return Description(learnt=learnt, chooses="f1", pipeline="token-classification")


def _take_rows(words: BatchWords, rows: torch.Tensor) -> BatchWords:
    """Return the words of some windows, without columns that are only padding there."""
    longest = int((words.ids[rows] >= 0).sum(1).max())
    return BatchWords(words.ids[rows, :longest], words.characters[rows, :longest], words.at[rows])
