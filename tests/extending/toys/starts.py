"""An objective and a head of their own: each word has the type of the entity that begins there, and its length."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch
from transformers import BertModel, BertPreTrainedModel

from nerbert.labels import word_spans
from nerbert.model.backbone import Backbone, load_tokenizer
from nerbert.model.folder import ModelFolder
from nerbert.model.forward import Batch, batch_of
from nerbert.model.heads import Entities, Head
from nerbert.model.tokenizer import SubwordTokenizer, WordLabels
from nerbert.model.windows import IGNORED, Label, Windows, padded
from nerbert.records import Example
from nerbert.rng import Array
from nerbert.tagger.backends import HeadKind, Wanted
from nerbert.training.distributed import ProcessGroup
from nerbert.training.objective import CheckpointScore, Description, Objective, SpanScore, Task, typed_figures
from nerbert.training.settings import TrainSettings

LONGEST = 6
NONE = "none"


class StartsModel(BertPreTrainedModel):  # type: ignore[misc]
    """A BERT with two layers on top: types of entities that begin at a word, and their lengths."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.bert = BertModel(config, add_pooling_layer=False)
        self.types = torch.nn.Linear(config.hidden_size, config.num_labels)
        self.lengths = torch.nn.Linear(config.hidden_size, LONGEST)
        self.post_init()

    def forward(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return types (words, types) and lengths (words, LONGEST)."""
        states = self.bert(input_ids=batch.ids, attention_mask=batch.mask).last_hidden_state[batch.rows, batch.columns]
        return self.types(states).float(), self.lengths(states).float()


class StartLabels(WordLabels):
    """Two numbers a word: the type of the entity that begins there (0: none), and its length less one."""

    ignored: Label = (IGNORED, IGNORED)

    def __init__(self, types: Sequence[str]) -> None:
        self.types = [NONE, *types]

    def of(self, example: Example) -> list[Label]:
        labels: list[Label] = [(0, IGNORED)] * len(example.words)
        for first, last, type_ in word_spans(example):
            labels[first] = (self.types.index(type_), min(last - first, LONGEST) - 1)
        return labels

    def key(self) -> list[str]:
        return ["starts", *self.types]


class Starts(Objective):
    """Two parts, each divided by its own number: types over all words, lengths over those that begin an entity."""

    parts: ClassVar[tuple[str, ...]] = ("type", "length")
    head_name: ClassVar[str] = "tests.extending.toys.starts:StartsKind"

    def __init__(self, types: Sequence[str]) -> None:
        self._labels = StartLabels(types)

    @classmethod
    def of(cls, task: Task) -> Self:
        return cls(task.types)

    def make_model(self, backbone: Backbone) -> Any:
        names = self._labels.types
        return backbone.load(StartsModel, num_labels=len(names), id2label=dict(enumerate(names)),
                             label2id={name: number for number, name in enumerate(names)})  # fmt: skip

    @property
    def labels(self) -> WordLabels:
        return self._labels

    def begin_step(self, windows: Windows, numbers: Array, step: int) -> Any:
        return len(numbers)

    def prepare(self, batch: Batch, step: int, shared: Any = None) -> Batch:
        assert shared >= len(batch.numbers), "what the whole step has"
        return batch

    def terms(self, batch: Batch) -> dict[str, float]:
        counts = (batch.labels != IGNORED).sum(0).tolist()
        return dict(zip(self.parts, counts, strict=True))

    def loss(self, model: Any, batch: Batch) -> Mapping[str, torch.Tensor]:
        return {
            part: torch.nn.functional.cross_entropy(
                logits, batch.labels[:, place], ignore_index=IGNORED, reduction="sum"
            )
            for place, (part, logits) in enumerate(zip(self.parts, model(batch), strict=True))
        }

    def score_on(
        self, examples: Sequence[Example], pieces: SubwordTokenizer, settings: TrainSettings, processes: ProcessGroup
    ) -> Callable[[Any], CheckpointScore]:
        f1 = SpanScore(lambda model: self.head(model, pieces, settings), examples, typed_figures, "span_f1", processes)

        def missed(model: Any) -> CheckpointScore:
            value = 1 - f1(model).value
            return CheckpointScore(value, False, {"missed": value}, {"scored_by": "missed"})

        return missed

    def head(self, model: Any, pieces: SubwordTokenizer, settings: TrainSettings) -> Head:
        return StartsHead(model, pieces, self._labels.types)

    def describe(self) -> Description:
        return Description("find where entities begin", "missed", figures={"missed": "one less the F1 of spans"})


class StartsHead(Head):
    """Entities from left to right, each as long as its first word says."""

    def __init__(self, model: Any, pieces: SubwordTokenizer, types: Sequence[str]) -> None:
        self._model, self._pieces, self._types = model, pieces, list(types)

    @property
    def types(self) -> list[str]:
        return sorted(self._types[1:])

    @torch.inference_mode()
    def predict(self, examples: Sequence[Example]) -> Entities:
        self._model.eval()
        found: list[list[tuple[tuple[int, int, str], float]]] = [[] for _ in examples]
        rows = list(self._pieces.windows(examples))
        windows = Windows.pack(rows)
        for number, window in enumerate(rows):
            batch = batch_of(padded(windows, np.array([number]), self._pieces.pad_id)).to(self._model.device)
            types, lengths = self._model(batch)
            free = 0
            for word, scores, length in zip(window.words, types, lengths.argmax(1).tolist(), strict=True):
                best = int(scores.argmax())
                if best and word >= free:
                    free = min(word + length + 1, len(examples[window.sentence].words))
                    odds = float(scores[best] - scores[0])
                    found[window.sentence].append(((word, free, self._types[best]), odds))
        return Entities.of(found)


class StartsKind(HeadKind):
    """How taggers with this head are opened."""

    @classmethod
    def open(cls, folder: ModelFolder, wanted: Wanted) -> Head:
        """Return the head of a tagger's folder."""
        model = StartsModel.from_pretrained(folder.name, use_safetensors=True)
        pieces = SubwordTokenizer(load_tokenizer(folder.name), model.config, wanted.longest)
        return StartsHead(model, pieces, [model.config.id2label[number] for number in range(model.config.num_labels)])
