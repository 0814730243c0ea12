"""CDLM (Jia, Liang and Zhang, ACL 2019): tags and language models of two domains, learnt together.

A step has a batch of source sentences and its share of the others, one at least. Its losses, each divided by its
sentences: tags and neighbouring words, of source and target. Ours: BIO in place of IOBES, a vocabulary of training
words alone, and that a small target is gone through several times an epoch.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Self

import numpy as np
import torch

from nerbert.config import Section, refuse
from nerbert.errors import InputError
from nerbert.finetuning.cdlm_data import PARTS, CdlmSettings, JointData, JointSentences
from nerbert.finetuning.replay import types_of_examples
from nerbert.labels import tag_names
from nerbert.metrics.score import score_spans
from nerbert.model.backbone import Backbone
from nerbert.model.cdlm.cdlm_model import SOURCE, TAGS, TARGET, BatchWords, CdlmModel, CdlmShape, language_loss
from nerbert.model.cdlm.word_pieces import WordPieces, count_words, make_vocabulary, read_vectors, subword_means
from nerbert.model.forward import Batch, TorchScorer
from nerbert.model.linear import LinearHead
from nerbert.model.tokenizer import BioLabels, SubwordTokenizer
from nerbert.model.windows import IGNORED, Windows
from nerbert.records import Example
from nerbert.rng import Array
from nerbert.training.batches import TrainingData, most_tokens
from nerbert.training.distributed import ProcessGroup
from nerbert.training.objective import (
    FINETUNE,
    CheckpointScore,
    Columns,
    Description,
    EpochColumns,
    Objective,
    SpanScore,
    Task,
    computed_once,
)
from nerbert.training.settings import TrainSettings

_WIDTH = 100
"""Numbers of a word's vector where they are random."""


class Cdlm(Objective):
    """Tags and neighbouring words of two domains, by one BiLSTM whose weights are generated."""

    parts: ClassVar[tuple[str, ...]] = PARTS
    head_name: ClassVar[str] = "cdlm"
    settings: ClassVar[type[Section]] = CdlmSettings
    commands: ClassVar[tuple[str, ...]] = (FINETUNE,)
    joins_source: ClassVar[bool] = True
    usual_rate: ClassVar[float] = 0.015
    start_cost: ClassVar[int] = 100_000  # as few as fit: an LSTM goes word by word, and gradients of words are dense

    def __init__(self, data: JointSentences, settings: TrainSettings) -> None:
        self._data, self._settings, self._own = data, settings, data.own
        self._tags = tag_names(data.types)
        self._vocabulary = make_vocabulary(example for each in data.every for example in each)
        self._ends = np.zeros(len(data.every), np.int64)
        self._optimizer: RmsThenPlain | None = None
        self._chooses = SOURCE if self._own.mode == "unsupervised" else TARGET

    @classmethod
    def data(cls, sources: Any) -> Any:
        """Return sentences of both domains."""
        return JointSentences.of(sources)

    @classmethod
    def of(cls, task: Task) -> Self:
        """Return the objective for a task's data."""
        if not isinstance(task.data, JointSentences):
            raise InputError("CDLM learns from annotated sentences of two domains")
        return cls(task.data, task.settings)

    def make_model(self, backbone: Backbone) -> CdlmModel:
        """Return a new model; its word vectors begin as the settings say."""
        own, words = self._own, count_words(self._vocabulary)
        names = self._vocabulary.convert_ids_to_tokens(list(range(words)))
        vectors: Array | None = None
        if own.vectors:
            refuse(len(own.vectors) > 1, "cdlm.vectors", len(own.vectors), "one file")
            vectors = read_vectors(own.vectors[0], names)
        elif own.words == "encoder":
            table = backbone.load_body().get_input_embeddings().weight.detach().numpy()
            vectors = subword_means(backbone.tokenizer, table, names)
        separate = self._own.joined and own.mode != "unsupervised"
        shape = CdlmShape(
            words=words, pieces=len(self._vocabulary), tags=self._tags, generated=own.joined, dropout=own.dropout,
            source_tags=tag_names(types_of_examples(self._data.source)) if separate else [],
            word_width=_WIDTH if vectors is None else vectors.shape[1],
        )  # fmt: skip
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._settings.seed)
            return CdlmModel(shape, vectors)

    def subwords(self, model: Any, backbone: Backbone, settings: TrainSettings) -> WordPieces:
        """Return what cuts examples into windows of words."""
        return WordPieces(self._vocabulary, settings.max_length, on_too_long=settings.on_too_long)

    def facts(self, windows: Windows) -> dict[str, Any]:
        """Return facts for the card: who loads the model, in what it computes, and how many raw sentences it read."""
        source, texts = map(len, self._data.raw)
        raw = {"raw_sentences": {"source": source, "target": texts}} if source or texts else {}
        return {"library": "nerbert", "precision": "fp32", "joins_source": self._own.joined, **raw}

    @property
    def labels(self) -> BioLabels:
        """Return the numbers of the target's tags."""
        return BioLabels(self._tags)

    def optimizer(self, model: Any, settings: TrainSettings) -> torch.optim.Optimizer:
        """Return plain steps, or RMSprop until the source is learnt."""
        rate, decay = settings.learning_rate, settings.weight_decay
        if self._own.optimizer == "sgd":
            return torch.optim.SGD(model.parameters(), lr=rate, weight_decay=decay)
        self._optimizer = RmsThenPlain(model.parameters(), rate, decay, self._own.sgd_rate)
        return self._optimizer

    def rate_factor(self, epoch: int) -> float:
        """Return by what the learning rate is multiplied in an epoch."""
        return 1 / (1 + self._own.decay * epoch)

    def begin_epoch(
        self, model: Any, data: TrainingData, epoch: int, before: Columns, processes: ProcessGroup
    ) -> EpochColumns | None:
        """Learn which windows are whose; end RMSprop where F1 on the source's dev split is high enough."""
        if isinstance(data, JointData):
            self._ends = np.array(data.ends)
        if self._optimizer and epoch and not self._optimizer.plain and self._data.source_dev:
            score = self._score(SOURCE, self._data.source_dev)
            self._optimizer.plain = score(model).value > self._own.sgd_above
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

    def _kinds(self, batch: Batch) -> Array:
        """Return (windows,): the set of each."""
        return np.searchsorted(self._ends, batch.numbers.cpu().numpy(), side="right")

    def terms(self, batch: Batch) -> dict[str, float]:
        """Return the sentences of each part."""
        kinds, weights = self._kinds(batch), self._own.own_weights
        counts = [(kinds == SOURCE).sum(), (kinds == TARGET).sum(), (kinds % 2 == SOURCE).sum(),
                  (kinds % 2 == TARGET).sum()]  # fmt: skip
        return {name: float(count) if weight else 0.0
                for name, count, weight in zip(PARTS, counts, weights, strict=True)}  # fmt: skip

    def loss(self, model: Any, batch: Batch) -> dict[str, torch.Tensor]:
        """Return the weighted sums of sentences' losses, computed in fp32."""
        kinds, losses = torch.from_numpy(self._kinds(batch)).to(batch.ids.device), dict[str, torch.Tensor]()
        weights = dict(zip(PARTS, self._own.own_weights, strict=True))
        with torch.autocast(batch.ids.device.type, enabled=False):
            words = model.read(batch.ids, batch.mask)
            tags = torch.full_like(words.ids, IGNORED)
            tags[batch.rows, words.at[batch.rows, batch.columns]] = batch.labels
            for domain, name in ((SOURCE, "source"), (TARGET, "target")):
                tagged, all_of_it = (kinds == domain).nonzero()[:, 0], (kinds % 2 == domain).nonzero()[:, 0]
                if weights[f"{name}_tags"] and len(tagged):
                    some, layer = _chosen(words, tagged), model.layer(domain)
                    emissions = layer(model.states(some, TAGS, domain))
                    losses[f"{name}_tags"] = layer.crf.loss(
                        emissions, tags[tagged, : some.ids.shape[1]], some.mask
                    ).sum()
                if weights[f"{name}_words"] and len(all_of_it):
                    some = _chosen(words, all_of_it)
                    losses[f"{name}_words"] = language_loss(model, some, domain, self._own.negatives).sum()
        none = model.words.sum() * 0
        return {part: weights[part] * losses[part] if part in losses else none for part in PARTS}

    def score_on(
        self, examples: Sequence[Example], pieces: SubwordTokenizer, settings: TrainSettings, processes: ProcessGroup
    ) -> Callable[[Any], CheckpointScore]:
        """Return F1 of entities of the domain that chooses an epoch."""
        return self._score(self._chooses, examples, processes)

    def _score(self, domain: int, examples: Sequence[Example], processes: ProcessGroup | None = None) -> SpanScore:
        return SpanScore(lambda model: self._head(model, domain), examples,
                         lambda gold, found: {"f1": score_spans(gold, found).f1}, "f1", processes)  # fmt: skip

    def head(self, model: Any, pieces: SubwordTokenizer, settings: TrainSettings) -> LinearHead:
        """Return the model ready to tag the target's domain."""
        return self._head(model, TARGET, pieces)

    def choosing_head(self, model: Any, pieces: SubwordTokenizer, settings: TrainSettings) -> LinearHead:
        """Return the model ready to tag the domain whose labels it may read."""
        return self._head(model, self._chooses, pieces)

    def _head(self, model: CdlmModel, domain: int, pieces: SubwordTokenizer | None = None) -> LinearHead:
        pieces = pieces or WordPieces(self._vocabulary, self._settings.max_length)
        scorer = TorchScorer(model, "fp32", lambda model, batch: model.scores(batch, domain))
        tags = model.shape.source_tags if domain == SOURCE and model.shape.source_tags else self._tags
        return LinearHead(scorer, pieces, tags, max_tokens=most_tokens(self._settings))

    def describe(self) -> Description:
        """Return its description for plans and cards."""
        learnt = "tag a domain, together with a source domain and the language of both (CDLM, Jia et al. 2019)"
        return Description(learnt=learnt, chooses="f1", pipeline="token-classification")


def _chosen(words: BatchWords, rows: torch.Tensor) -> BatchWords:
    """Return the words of some windows, without columns that are empty there."""
    longest = int((words.ids[rows] >= 0).sum(1).max())
    return BatchWords(words.ids[rows, :longest], words.characters[rows, :longest], words.at[rows])


class RmsThenPlain(torch.optim.RMSprop):
    """RMSprop; once `plain` is set, steps along the gradient at `rate` in place of `lr`."""

    def __init__(self, parameters: Any, lr: float, weight_decay: float, rate: float) -> None:
        super().__init__(parameters, lr=lr, weight_decay=weight_decay)
        self.plain, self._share = False, rate / lr

    def step(self, closure: Any = None) -> Any:
        """Update the parameters."""
        if not self.plain:
            return super().step(closure)
        with torch.no_grad():
            for group in self.param_groups:
                for each in group["params"]:
                    if each.grad is not None:
                        change = each.grad + group["weight_decay"] * each
                        each.sub_(change, alpha=group["lr"] * self._share)
        return None
