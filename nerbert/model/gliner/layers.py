"""GLiNER's layers above its encoders, computed without vectors of spans: in parts of a word and of a label."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import nn

from nerbert.model.backbone import quiet
from nerbert.model.forward import autocast
from nerbert.model.gliner.config import GlinerConfig
from nerbert.model.gliner.prompt import LabelPrompt, PromptTokenizer, WordWindow
from nerbert.model.windows import micro_batches, padded_rows
from nerbert.records import EntityLabel
from nerbert.rng import Array

_TRIED = 64
"""Pieces that each encoder reads as a test once it is loaded."""
_ROWS = 64
"""Words whose spans are scored at once: what is between should stay in a processor's cache."""
_PAIRS = 256
"""Pairs of a word and a label that are scored at once, for the same reason."""
_LABELS = 64
"""Labels that go through their own encoder together."""

Parts: TypeAlias = tuple[torch.Tensor, ...]
"""What scores are made of: tensors whose first dimension is words, spans or labels."""


def _two_layers(width: int, inner: int, out: int, dropout: float = 0.0) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, inner), nn.ReLU(), nn.Dropout(dropout), nn.Linear(inner, out))


class GlinerModel(nn.Module):
    """A GLiNER model: encoders, an LSTM over words if there is one; a subclass has the layers that score."""

    def __init__(self, config: GlinerConfig, body: Any, labels_body: Any = None) -> None:
        super().__init__()
        self.config, width = config, config.hidden_size
        self.token_rep_layer = nn.ModuleDict({"bert_layer": nn.ModuleDict({"model": body})})
        if body.config.hidden_size != width:
            self.token_rep_layer["projection"] = nn.Linear(body.config.hidden_size, width)
        if labels_body is not None:
            self.token_rep_layer["labels_encoder"] = nn.ModuleDict({"model": labels_body})
            if labels_body.config.hidden_size != width:
                self.token_rep_layer["labels_projection"] = nn.Linear(labels_body.config.hidden_size, width)
        # With two encoders the package has an LSTM, too, and never asks it.
        elif config.num_rnn_layers > 0:
            layers = {"num_layers": config.num_rnn_layers, "bidirectional": True, "batch_first": True}
            self.rnn = nn.ModuleDict({"lstm": nn.LSTM(width, width // 2, **layers)})

    @property
    def body(self) -> Any:
        """Return the encoder of texts."""
        return self.token_rep_layer["bert_layer"]["model"]  # type: ignore[index]

    @property
    def labels_body(self) -> Any:
        """Return the encoder of labels; None where they stand before the text."""
        parts: Any = self.token_rep_layer
        return parts["labels_encoder"]["model"] if "labels_encoder" in parts else None

    def project(self, states: torch.Tensor, name: str = "projection") -> torch.Tensor:
        """Return an encoder's states in the width of the layers above."""
        return self.token_rep_layer[name](states) if name in self.token_rep_layer else states

    def in_context(self, words: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        """Return the words of several texts, one after the other, after the LSTM if there is one."""
        if not hasattr(self, "rnn"):
            return words
        lstm: Any = self.rnn["lstm"]
        with torch.autocast(words.device.type, enabled=False):
            texts = list(torch.split_with_sizes(words.float(), counts.tolist()))
            packed = nn.utils.rnn.pack_sequence(texts, enforce_sorted=False)
            states, lengths = nn.utils.rnn.pad_packed_sequence(lstm(packed)[0], batch_first=True)
        return states[(torch.arange(states.shape[1]) < lengths[:, None]).to(states.device)]

    def label_vectors(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return (labels, width) from the pieces of labels that have their own encoder: the mean of their states."""
        states = self.project(self.labels_body(input_ids=ids, attention_mask=mask)[0], "labels_projection")
        weights = mask.unsqueeze(-1).to(states.dtype)
        return (states * weights).sum(1) / weights.sum(1).clamp(min=1e-9)

    def prepare_labels(self, labels: torch.Tensor) -> Parts:
        """Return labels' vectors, (labels, width), as `scores` takes them."""
        raise NotImplementedError

    def parts(self, words: torch.Tensor) -> Parts:
        """Return words' vectors, (words, width), as `scores` takes them."""
        return (words,)

    def rows(self, first: Parts, last: Parts, labels: Parts) -> torch.Tensor:
        """Return the log-odds of spans, (spans, labels), each by itself, from the parts of their first and last words.

        At token level it is called with words, and returns (words, labels, 3). An ONNX graph is made of it, so its
        operations must not depend on numbers of spans or labels.
        """
        raise NotImplementedError

    def scores(self, parts: Parts, labels: Parts) -> torch.Tensor:
        """Return the log-odds of one text in fp32: (words, widths, labels) of spans, or (words, labels, 3) of words."""
        raise NotImplementedError

    def scores_of_texts(
        self, words: torch.Tensor, counts: torch.Tensor, labels: Sequence[Parts]
    ) -> Iterator[torch.Tensor]:
        """Yield the log-odds of several texts, as `scores` has them.

        `words` (words, width) are those of all texts, `counts` (texts,) how many each has, `labels` what each is asked
        for, as `prepared` gives it.
        """
        split = [torch.split_with_sizes(part, counts.tolist()) for part in self.parts(self.in_context(words, counts))]
        for number, asked in enumerate(labels):
            yield self.scores(tuple(part[number] for part in split), asked)


class TokenModel(GlinerModel):
    """A model that scores words as first, last and inner ones of an entity of each label; it is only read."""

    def __init__(self, config: GlinerConfig, body: Any, labels_body: Any = None) -> None:
        super().__init__(config, body, labels_body)
        width = config.hidden_size
        token = nn.Linear(width, 2 * width)
        label = nn.Linear(width, 2 * width)
        out = _two_layers(3 * width, 4 * width, 3)
        # Here the package has dropout before ReLU; the model is only read, so there is none.
        out[1], out[2] = nn.Identity(), nn.ReLU()
        self.scorer: Any = nn.ModuleDict({"proj_token": token, "proj_label": label, "out_mlp": out})

    @property
    def _weights(self) -> Any:
        """Return the first layer's weights for a word, a label and both."""
        return self.scorer.out_mlp[0].weight.chunk(3, 1)

    def prepare_labels(self, labels: torch.Tensor) -> Parts:
        """Return labels' part of the first layer's sums, and what is multiplied with a word's."""
        summand, other = self.scorer.proj_label(labels).chunk(2, 1)
        return torch.addmm(self.scorer.out_mlp[0].bias, summand, self._weights[1].T), other

    def parts(self, words: torch.Tensor) -> Parts:
        """Return words' part of the first layer's sums, and what is multiplied with a label's."""
        summand, other = self.scorer.proj_token(words).chunk(2, 1)
        return summand @ self._weights[0].T, other

    def rows(self, first: Parts, last: Parts, labels: Parts) -> torch.Tensor:
        """Return (words, labels, 3)."""
        (by_word, other), (by_label, others) = first, labels
        # The first layer's product over (word, label, both) is split: only the third part needs each pair.
        both = other[:, None] * others
        inner = both.flatten(0, 1) @ self._weights[2].T
        inner = inner.view(both.shape[0], both.shape[1], inner.shape[-1])
        inner += by_word[:, None]
        inner += by_label
        odds: torch.Tensor = self.scorer.out_mlp[3](inner.relu_())
        return odds

    def scores(self, parts: Parts, labels: Parts) -> torch.Tensor:
        """Return (words, labels, 3) log-odds of one text."""
        rows = max(1, _PAIRS // max(1, len(labels[0])))
        chunks = zip(*(torch.split(part, rows) for part in parts), strict=True)
        return torch.cat([self.rows(chunk, chunk, labels) for chunk in chunks]).float()


class SpanModel(GlinerModel):
    """A model that scores spans by their first and last word, or single words as spans of one.

    `span_mode` is `marker`, as in the first version, or `markerV0` with one layer more (`_deep`).
    """

    def __init__(self, config: GlinerConfig, body: Any, labels_body: Any = None) -> None:
        super().__init__(config, body, labels_body)
        width = config.hidden_size
        rate = config.dropout
        self._deep = config.span_mode == "markerV0"
        inner = 4 * width if self._deep else 2 * width
        layers = {
            "project_start": _two_layers(width, inner, width, rate),
            "project_end": _two_layers(width, inner, width, rate),
            "out_project": _two_layers(2 * width, inner, width, rate) if self._deep else nn.Linear(2 * width, width),
        }
        self.span_rep_layer = nn.ModuleDict({"span_rep_layer": nn.ModuleDict(layers)})
        self.prompt_rep_layer: Any = _two_layers(width, 4 * width, width, rate)

    @property
    def _spans(self) -> Any:
        return self.span_rep_layer["span_rep_layer"]

    @property
    def _out(self) -> Any:
        """Return the layers that make spans' vectors, the last one linear."""
        return self._spans.out_project if self._deep else [self._spans.out_project]

    def prepare_labels(self, labels: torch.Tensor) -> Parts:
        """Return labels' vectors with the last layer's product as part of them, and what is added."""
        # span · W · label is (W · label) · span: with the last layer inside the labels,
        # spans skip its product.
        vectors = self.prompt_rep_layer(labels)
        layer = self._out[-1]
        return vectors @ layer.weight, vectors @ layer.bias

    def parts(self, words: torch.Tensor) -> Parts:
        """Return what words give to spans that begin and that end with them, from (words, width)."""
        first = self._spans.project_start(words).relu_()
        last = self._spans.project_end(words).relu_()
        if not self._deep:
            return first, last
        # The layer reads first and last word side by side, so its product is the sum of one
        # part of each; both are computed once a word instead of once a span.
        left, right = self._out[0].weight.chunk(2, 1)
        return first @ left.T, torch.addmm(self._out[0].bias, last, right.T)

    def rows(self, first: Parts, last: Parts, labels: Parts) -> torch.Tensor:
        """Return (spans, labels), from what their first and last words give to them."""
        return self._pairs(first[0], last[1], labels)

    def _pairs(self, first: torch.Tensor, last: torch.Tensor, labels: Parts) -> torch.Tensor:
        vectors, added = labels
        span = self._out[2]((first + last).relu_()) if self._deep else torch.cat([first, last], 1)
        return torch.addmm(added, span, vectors.T)

    def scores(self, parts: Parts, labels: Parts) -> torch.Tensor:
        """Return (words, widths, labels): the log-odds of each span of one text; -inf beyond its end."""
        (first, last), (vectors, added), most = parts, labels, self.config.max_width
        count = len(first)
        odds = first.new_full((count, most, len(added)), -torch.inf)
        if not self._deep:
            left, right = vectors.chunk(2, 1)
            first = first @ left.T
            last = torch.addmm(added, last, right.T)
        for width in range(min(most, count)):
            for start in range(0, count - width, _ROWS):
                end = min(start + _ROWS, count - width)
                pair = first[start:end], last[start + width : end + width]
                odds[start:end, width] = self._pairs(*pair, labels) if self._deep else pair[0] + pair[1]
        return odds.float()

    def expect(self, probability: float) -> None:
        """Set the biases of spans' and labels' vectors so that the log-odds of spans are around those of this."""
        spans = self._out[-1].bias
        labels = self.prompt_rep_layer[-1].bias
        # The product of both biases over the width gives the log-odds, so each is a root of its share.
        odds = math.log(probability / (1 - probability)) / len(spans)
        torch.nn.init.constant_(spans, math.sqrt(abs(odds)))
        torch.nn.init.constant_(labels, math.copysign(math.sqrt(abs(odds)), odds))


@dataclass(frozen=True, slots=True)
class GlinerFolder:
    """A loaded folder: the model on the CPU in fp32, and what cuts its texts and labels."""

    model: GlinerModel
    pieces: PromptTokenizer
    labels_pieces: PromptTokenizer | None = None

    def try_encoders(self) -> None:
        """Let each encoder read some pieces."""
        for body, pieces in ((self.model.body, self.pieces), (self.model.labels_body, self.labels_pieces)):
            if pieces:
                ids = torch.zeros((1, min(_TRIED, pieces.room)), dtype=torch.int64)
                with torch.no_grad(), quiet():
                    body(input_ids=ids, attention_mask=torch.ones_like(ids))


_MARK = "nerbert_positions"


class _Remembered:
    """The table of positions, and what projections made of it, by precision."""

    def __init__(self, encoder: Any) -> None:
        self._make = encoder.get_rel_embedding
        self.table = torch.empty(0)
        self.known: dict[tuple[int, bool], torch.Tensor] = {}
        self.weight: nn.Parameter = encoder.rel_embeddings.weight

    def __call__(self) -> torch.Tensor:
        """Return the table, on the device where the model is now."""
        if not self.table.numel() or self.table.device != self.weight.device:
            self.table = self._make()
            self.known.clear()
        return self.table


def remember_positions(body: Any) -> None:
    """Let an encoder that is no longer trained look up what it makes of positions; others are left as they are."""
    encoder: Any = getattr(body, "encoder", None)
    # Only DeBERTa's encoders look positions up this way; a second wrapping, or one during
    # training, would be wrong.
    if not getattr(encoder, "relative_attention", False) or hasattr(encoder, _MARK) or body.training:
        return
    table = _Remembered(encoder)
    setattr(encoder, _MARK, True)
    encoder.get_rel_embedding = table
    for module in encoder.modules():
        for name in ("query_proj", "key_proj", "pos_key_proj", "pos_query_proj"):
            if isinstance(layer := getattr(module, name, None), nn.Linear):
                layer.forward = _looking_up(layer, table)  # type: ignore[method-assign]


def _looking_up(layer: nn.Linear, table: _Remembered) -> Any:
    def forward(states: torch.Tensor) -> torch.Tensor:
        # These layers also read words' states, which differ from text to text.
        if not table.table.numel() or states.data_ptr() != table.table.data_ptr():
            return nn.functional.linear(states, layer.weight, layer.bias)
        # In bf16 the product is another one.
        key = id(layer), torch.is_autocast_enabled(states.device.type)
        # Another thread may empty it at any time, so it is asked once.
        if (product := table.known.get(key)) is None:
            product = table.known[key] = nn.functional.linear(states, layer.weight, layer.bias)
        return product

    return forward


class TorchGliner:
    """A GLiNER model in torch, where it lies. Nothing is cached of a model that is trained later (`trains`)."""

    def __init__(
        self, loaded: GlinerFolder, precision: str = "fp32", name: str = "gliner", *, trains: bool = False
    ) -> None:
        self.model = loaded.model.eval()
        self.name = name
        self._pad_id, self._labels, self._precision = loaded.pieces.pad_id, loaded.labels_pieces, precision
        # A model that is trained later would go on with positions of its old weights.
        if not trains:
            remember_positions(self.model.body)

    def label_vectors(self, labels: Sequence[EntityLabel]) -> Any:
        """Return labels' vectors as the layers that score take them."""
        rows = self._labels.alone([label.text for label in labels]) if self._labels else []
        with torch.inference_mode(), autocast(self._device.type, self._precision):
            vectors = torch.zeros((len(rows), self.model.config.hidden_size), device=self._device)
            for group in micro_batches([len(row) for row in rows], _LABELS * 8):
                ids, mask = row_tensors([rows[number] for number in group], self._pad_id, self._device)
                vectors[group] = self.model.label_vectors(ids, mask).float()
            return self.model.prepare_labels(vectors)

    def scores(
        self, windows: Sequence[WordWindow], prompts: Sequence[LabelPrompt], vectors: Sequence[Any]
    ) -> Iterator[Array]:
        """Yield the log-odds of each window."""
        with torch.inference_mode(), autocast(self._device.type, self._precision):
            odds = [scores.cpu().numpy() for scores in self._score_windows(windows, prompts, vectors)]
        # Outside of the context: it is the thread's, and a generator may wait in it while other code runs.
        yield from odds

    def _score_windows(
        self, windows: Sequence[WordWindow], prompts: Sequence[LabelPrompt], vectors: Sequence[Any]
    ) -> Iterator[torch.Tensor]:
        model, pooling = self.model, self.model.config.subtoken_pooling
        ids, mask = row_tensors([window.ids for window in windows], self._pad_id, self._device)
        states = model.body(input_ids=ids, attention_mask=mask)[0]
        rows = np.repeat(np.arange(len(windows)), [len(window.places) for window in windows])
        words = model.project(states[rows, np.concatenate([window.places for window in windows])])
        if pooling in ("mean", "max"):
            lengths = torch.from_numpy(np.concatenate([window.counts for window in windows])).to(self._device)
            words = torch.segment_reduce(words.float(), pooling, lengths=lengths)
        labels = [
            model.prepare_labels(model.project(row[list(prompt.places)])) if vector is None else vector
            for row, prompt, vector in zip(states, prompts, vectors, strict=True)
        ]
        yield from model.scores_of_texts(words, torch.tensor([len(window.counts) for window in windows]), labels)

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device


def row_tensors(rows: Sequence[Sequence[int]], pad_id: int, device: torch.device) -> list[torch.Tensor]:
    """Return the ids and the mask of some rows, (rows, pieces) each."""
    return [torch.from_numpy(array).to(device) for array in padded_rows(rows, pad_id)]
