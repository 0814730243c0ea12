"""A GLiNER model's exported graphs of texts, labels and scores on onnxruntime, treated as untrusted.

Neither torch nor `transformers` is loaded. Cost: the input of the scores' graph is copied once more.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import accumulate, pairwise
from math import prod
from types import SimpleNamespace
from typing import Annotated

import numpy as np
from pydantic import Field

from nerbert.errors import InputError
from nerbert.model import onnx
from nerbert.model.gliner.config import GlinerConfig
from nerbert.model.gliner.prompt import LabelPrompt, PromptTokenizer, WordWindow
from nerbert.model.windows import padded_rows
from nerbert.records import EntityLabel
from nerbert.rng import Array
from nerbert.schema import parse_json
from nerbert.tagger.label_vectors import LabelVectors

MARKS, STATES, STARTS, ENDS, SCORES = "marks", "states", "starts", "ends", "scores"
"""Inputs and outputs of graphs; parts of words and of labels are `part0`, `part1`, … and `label0`, …"""
_SPANS = 256
"""Spans, or pairs of a word and a label, that are scored at once: intermediate values should fit in the cache."""
_TRACED = ("span_mode", "subtoken_pooling", "num_rnn_layers", "embed_ent_token", "class_token_index")
"""Entries of a configuration that determine the graphs' computation or inputs."""


@dataclass(frozen=True, kw_only=True)
class GlinerFacts:
    """The facts of an export's card that only GLiNER models have.

    These are the subwords of marks, the tokenizer of labels with their own encoder, and entries of the configuration.
    """

    marks: dict[str, Annotated[onnx.Specials, Field(min_length=1)]]
    labels: onnx.TokenizerFacts | None = None
    config: dict[str, str | int | bool] = field(default_factory=dict)


def read_traced(config: GlinerConfig) -> dict[str, str | int | bool]:
    """Return the entries of a configuration that an export depends on."""
    return {name: getattr(config, name) for name in _TRACED}


def facts_of(exported: onnx.Exported, config: GlinerConfig, marks: Sequence[str]) -> tuple[GlinerFacts, GlinerConfig]:
    """Return a card's facts, and the configuration as it was exported (first versions leave out a mark's number).

    Raise InputError if they belong to another model than the configuration.
    """
    path = exported.folder / onnx.CARD
    file = config.file
    facts = parse_json(json.dumps(exported.card.own), GlinerFacts, f"{path}: own", remedy="export the model again")
    index = facts.config.get("class_token_index")
    config = replace(config, class_token_index=index) if config.class_token_index < 0 and type(index) is int else config
    same = facts.config == read_traced(config) and (facts.labels is not None) == config.two_encoders
    if {*marks} - facts.marks.keys() or not same:
        raise InputError(
            f"{path}: belongs to another model than {file} beside it, or this was changed since; export the model again"
        )
    return facts, config


def pieces_of(
    tokenizer_class: type[PromptTokenizer],
    exported: onnx.Exported,
    config: GlinerConfig,
    facts: onnx.TokenizerFacts,
    file: str = onnx.TOKENIZER,
    marks: Mapping[str, Sequence[int]] | None = None,
) -> PromptTokenizer:
    """Return the tokenizer of texts; without `marks`, of labels that have their own encoder."""
    tokenizer = onnx.LightTokenizer(exported.folder / file, facts)
    body = SimpleNamespace(config=facts.body_config)
    return tokenizer_class(tokenizer, config, body, for_labels=marks is None, marks=marks)


class OnnxGliner:
    """A GLiNER model's graphs; threads may share it."""

    def __init__(
        self,
        exported: onnx.Exported,
        precision: str,
        config: GlinerConfig,
        labels: onnx.TokenizerFacts | None,
        threads: int = 0,
    ) -> None:
        self.name = f"onnx {precision} cpu"
        self._config = config
        self._pad_id = exported.card.pad_id
        self._text = onnx.Graph(exported.graphs[precision], threads)
        self._rows = onnx.Graph(exported.folder / onnx.SCORES_GRAPH, threads)
        self._of_words = [name for name in self._text.outputs if name != STATES]
        self._of_labels = [name for name in self._rows.inputs if name.startswith("label")]
        self._check_graphs()
        self._vectors: LabelVectors | None = None
        if labels is None:
            self._labels = onnx.Graph(exported.folder / onnx.LABELS_GRAPH, threads)
            self._labels.check(list(self._labels.inputs) == [STATES] and [*self._labels.outputs] == self._of_labels)
            return
        self._shapes = [tuple(self._rows.inputs[name][1:]) for name in self._of_labels]
        sizes = [size for shape in self._shapes for size in shape]
        self._rows.check(bool(self._shapes) and all(isinstance(size, int) for size in sizes))
        files = [exported.folder / name for name in (onnx.LABELS_GRAPH, onnx.LABELS_TOKENIZER)]
        open_encoder = partial(self._open_labels, exported, labels, threads)
        self._vectors = LabelVectors(files, open_encoder, sum(map(prod, self._shapes)), labels)

    def _check_graphs(self) -> None:
        marks, states = (set(), set()) if self._config.two_encoders else ({MARKS}, {STATES})
        self._text.check(
            self._text.outputs.keys() == {*self._of_words, *states}
            and bool(self._of_words)
            and self._text.inputs.keys() == {"input_ids", "attention_mask", "places", *marks}
        )
        parts = {*self._of_words, *self._of_labels}
        spans = [STARTS, ENDS]
        inputs, outputs = (parts, [*spans, SCORES]) if self._config.chooses else (parts.union(spans), [SCORES])
        self._rows.check(list(self._rows.outputs) == outputs and self._rows.inputs.keys() <= inputs)

    def _open_labels(self, exported: onnx.Exported, facts: onnx.TokenizerFacts, threads: int) -> Callable[[str], Array]:
        """Return the function that encodes a label; only labels that aren't in the cache need it."""
        graph = onnx.Graph(exported.folder / onnx.LABELS_GRAPH, threads)
        graph.check({*graph.inputs} == {"input_ids", "attention_mask"} and [*graph.outputs] == self._of_labels)
        pieces = pieces_of(PromptTokenizer, exported, self._config, facts, onnx.LABELS_TOKENIZER)

        def encode(text: str) -> Array:
            ids = np.array(pieces.alone([text]), np.int64)
            parts = graph({"input_ids": ids, "attention_mask": np.ones_like(ids)}, 1)
            if [parts[name].shape[1:] for name in self._of_labels] != self._shapes:
                raise InputError(
                    f"{graph.path}: gives labels of other shapes than {onnx.SCORES_GRAPH} takes: not a "
                    "graph that nerbert made"
                )
            vector = np.concatenate([parts[name].ravel() for name in self._of_labels])
            if not np.isfinite(vector).all():
                raise InputError("its vector is no number: the label encoder's weights are damaged")
            return vector

        return encode

    def label_vectors(self, labels: Sequence[EntityLabel]) -> list[Array]:
        """Return the parts of labels that have their own encoder."""
        if self._vectors is None:
            return []
        flat = self._vectors(labels)
        columns = pairwise(accumulate(map(prod, self._shapes), initial=0))
        return [flat[:, a:b].reshape(-1, *shape) for (a, b), shape in zip(columns, self._shapes, strict=True)]

    def make_feed(self, windows: Sequence[WordWindow], prompts: Sequence[LabelPrompt]) -> dict[str, Array]:
        """Return the inputs of the graph of texts for these windows."""
        ids, mask = padded_rows([window.ids for window in windows], self._pad_id)
        feed = {"input_ids": ids, "attention_mask": mask, "places": _place_words(windows)}
        if not self._config.two_encoders:
            feed[MARKS] = np.zeros((len(windows), max(len(prompt.places) for prompt in prompts)), np.int64)
            for row, prompt in enumerate(prompts):
                feed[MARKS][row, : len(prompt.places)] = prompt.places
        return feed

    def scores(
        self, windows: Sequence[WordWindow], prompts: Sequence[LabelPrompt], vectors: Sequence[list[Array] | None]
    ) -> Iterator[Array]:
        """Yield the log-odds of each window in fp32, as `GlinerScorer` specifies."""
        feed = self.make_feed(windows, prompts)
        most = feed["places"].shape[1]
        outputs = self._text(feed, len(windows) * most, **{STATES: len(windows)})
        score_text = self._score_chosen if self._config.chooses else self._score_spans
        for row, (window, prompt, vector) in enumerate(zip(windows, prompts, vectors, strict=True)):
            first = row * most
            words = len(window.counts)
            parts = {name: outputs[name][first : first + words] for name in self._of_words}
            if self._vectors is None:
                self._text.check(outputs[STATES].ndim == 3)
                states = outputs[STATES][row, : len(prompt.places)]
                labels = self._labels({STATES: states}, len(states) - prompt.own)
            else:
                labels = dict(zip(self._of_labels, vector or (), strict=True))
            yield score_text(words, {**parts, **labels}, len(next(iter(labels.values()))))

    def _score_spans(self, words: int, feed: Mapping[str, Array], labels: int) -> Array:
        """Return the log-odds of one text."""
        if self._config.token_level:
            step = max(1, _SPANS // max(1, labels))
            starts = np.arange(words)
            widths = np.zeros(words, np.int64)
            odds = np.empty((words, 1, labels, 3), np.float32)
        else:
            step, widest = _SPANS, self._config.max_width
            starts, widths = np.nonzero(np.arange(words)[:, None] + np.arange(widest) < words)
            odds = np.full((words, widest, labels), -np.inf, np.float32)
        for index in range(0, len(starts), step):
            start = starts[index : index + step]
            width = widths[index : index + step]
            rows = self._rows({**feed, STARTS: start, ENDS: start + width}, len(start))[SCORES]
            if rows.shape[1:] != odds.shape[2:]:
                raise InputError(
                    f"{self._rows.path}: gives scores of the shape {rows.shape} for {len(start)} spans "
                    f"and {labels} labels: not a graph that nerbert made"
                )
            odds[start, width] = rows
        return odds[:, 0] if self._config.token_level else odds

    def _score_chosen(self, words: int, feed: Mapping[str, Array], labels: int) -> Array:
        """Return the log-odds of one text whose spans the graph chooses."""
        starts, ends, rows = self._rows.run(feed)
        count = starts.size
        shapes = [(column.dtype, column.shape) for column in (starts, ends, rows)]
        right = shapes == [(np.int64, (count,)), (np.int64, (count,)), (np.float32, (count, labels))]
        if not right or ((starts < 0) | (ends < starts) | (ends >= words)).any():
            raise InputError(
                f"{self._rows.path}: gives no spans of a text of {words} words for {labels} labels: not a "
                "graph that nerbert made"
            )
        odds = np.full((words, int((ends - starts).max(initial=-1)) + 1, labels), -np.inf, np.float32)
        odds[starts, ends - starts] = rows
        return odds


def _place_words(windows: Sequence[WordWindow]) -> Array:
    """Return (windows, words, pieces): the indices of words' subwords; −1: none."""
    words = max(len(window.counts) for window in windows)
    most = max(int(window.counts.max(initial=1)) for window in windows)
    indices = np.full((len(windows), words, most), -1, np.int64)
    for row, window in enumerate(windows):
        indices[row, : len(window.counts)][np.arange(most) < window.counts[:, None]] = window.places
    return indices
