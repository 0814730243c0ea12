"""A GLiNER model → graphs of texts, labels and scores, compared with torch; in int8 only the graph of texts.

A graph works for any number of words, widths and labels. Scores by labels are sensitive, so they stay in fp32.
"""

from collections.abc import Callable, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, TypeAlias

import numpy as np
import torch

from nerbert.errors import InputError
from nerbert.model import head_kinds, onnx
from nerbert.model.gliner.head import GlinerHead
from nerbert.model.gliner.layers import GlinerFolder, GlinerModel, Parts
from nerbert.model.head_kinds import TEXTS, ExportedHead, ExportTask, HeadOptions, as_example, check_close, long_example
from nerbert.model.quantisation import quantise
from nerbert.records import EntityLabel, Example
from nerbert.rng import Array
from nerbert.tagger.gliner_onnx import ENDS, MARKS, SCORES, STARTS, STATES, read_traced
from nerbert.tagger.self_check_answers import check_texts

_COMPARED = 64
"""Maximum sentences on which a graph is compared with torch."""
_TIES = 0.01
"""Maximum share (0–1) of spans that only one back end chooses."""
OnOnnx: TypeAlias = Callable[[onnx.Exported, str, HeadOptions], GlinerHead]
"""Opens exported graphs of a precision."""


def export_gliner(task: ExportTask, loaded: GlinerFolder, torch_head: GlinerHead, on_onnx: OnOnnx) -> ExportedHead:
    """Write a model's graphs; return its card and a head for each back end."""
    task.write_tokenizer(loaded.pieces.tokenizer)
    own: dict[str, Any] = {"marks": loaded.pieces.marks, "config": read_traced(loaded.model.config)}
    if apart := loaded.labels_pieces:
        task.write_tokenizer(apart.tokenizer, onnx.LABELS_TOKENIZER)
        own["labels"] = apart.facts()
    facts = {"tags": [], "own": own, **loaded.pieces.facts()}
    _write_graphs(task, loaded.model)
    heads = {"torch fp32": torch_head, "onnx fp32": on_onnx(task.read_exported(facts), "fp32", HeadOptions())}
    labels = list(map(EntityLabel, task.types()))
    asked = [head.for_labels(labels, [torch_head.usual_threshold] * len(labels)) for head in heads.values()]
    sentences = [*map(as_example, TEXTS), *(task.examples or map(as_example, check_texts()))]
    for examples in (sentences[:_COMPARED], [long_example(10 * torch_head.longest_text)]):
        _check_odds(task.source, *(_score_examples(head, examples) for head in asked))
    if task.int8:
        quantise(task.folder)
        heads["onnx int8"] = on_onnx(task.read_exported(facts), "int8", HeadOptions())
    return facts, heads


def _write_graphs(task: ExportTask, model: GlinerModel) -> None:
    """Write the three graphs in fp32, traced on two short texts of words, labels and spans."""
    config = model.config
    apart = model.labels_body is not None
    directions = _split_directions(model.rnn["lstm"]) if hasattr(model, "rnn") else []
    of_text = partial(_text_graph, model, directions)
    of_labels = partial(_label_graph, model)
    free = {0: "texts", 1: "words", 2: "pieces of a word"}
    marked = {0: "texts", 1: "labels"}
    places = torch.tensor([[[3, -1], [4, 5], [6, -1]], [[3, -1], [4, -1], [-1, -1]]])
    text = {**head_kinds.piece_inputs(int(model.body.config.vocab_size)), "places": (places, free)}
    if not apart:
        text[MARKS] = torch.tensor([[1, 2, 3], [1, 2, 3]]), marked
    with torch.inference_mode():
        parts = of_text(*(tensor for tensor, _ in text.values()))
        label = (
            head_kinds.piece_inputs(int(model.labels_body.config.vocab_size))
            if apart
            else {STATES: (parts[-1][0], {0: "labels"})}
        )
        labels = of_labels(*(tensor for tensor, _ in label.values()))
    words = {f"part{number}": {0: "words"} for number in range(len(parts) - (not apart))}
    names = {f"label{number}": {0: "labels"} for number in range(len(labels))}
    task.trace(
        [model, *directions],
        of_text,
        onnx.GRAPHS["fp32"],
        text,
        words | ({} if apart else {STATES: marked}),
    )
    task.trace([model], of_labels, onnx.LABELS_GRAPH, label, names)
    spans = {STARTS: (torch.tensor([0, 1, 0]), {0: "spans"}), ENDS: (torch.tensor([0, 2, 2]), {0: "spans"})}
    chosen = {name: {0: "spans"} for name in spans} if config.chooses else {}
    scored = {name: (part, axes) for (name, axes), part in zip(words.items(), parts, strict=False)}
    scored |= {} if config.chooses else spans
    scored |= {name: (part, axes) for (name, axes), part in zip(names.items(), labels, strict=True)}
    task.trace(
        [model],
        partial(_score_graph, model, len(words)),
        onnx.SCORES_GRAPH,
        scored,
        {**chosen, SCORES: {0: "spans", 1: "labels"}},
    )


def _score_examples(head: GlinerHead, examples: Sequence[Example]) -> Array:
    """Return all log-odds of examples' spans, -inf for none."""
    odds = list[Array]()
    for part, windows in head.prompt_windows(examples):
        for _, scores in sorted(part.scores(windows), key=itemgetter(0)):
            missing = max(0, len(scores) - scores.shape[1]) if head.config.chooses else 0
            odds.append(np.pad(scores, ((0, 0), (0, missing), (0, 0)), constant_values=-np.inf).ravel())
    return np.concatenate(odds)


def _check_odds(source: str, ours: Array, theirs: Array) -> None:
    """Raise InputError if a graph's log-odds aren't torch's; a few of the spans that a model chooses may differ."""
    both = np.isfinite(ours) & np.isfinite(theirs)
    if (np.isfinite(ours) ^ np.isfinite(theirs)).sum() > _TIES * both.sum():
        raise InputError(f"{source}: its graph chooses other spans than torch; it can't be exported")
    check_close(source, ours[both], theirs[both])


def _text_graph(model: Any, directions: Sequence[Any], ids: Any, mask: Any, places: Any, *marks: torch.Tensor) -> Parts:
    """Return (texts · words, …) parts, and (texts, labels, width) states for `marks` (texts, labels)."""
    states = model.body(input_ids=ids, attention_mask=mask)[0]
    texts = torch.arange(states.shape[0])[:, None]
    words = _pool_words(model, states, places)
    counts = (places[:, :, 0] >= 0).sum(1)
    back = (counts[:, None] - 1 - torch.arange(words.shape[1])).clamp(min=0)  # from each text's last word
    for forward, backward in zip(directions[::2], directions[1::2], strict=True):
        words = torch.cat([forward(words)[0], backward(words[texts, back])[0][texts, back]], 2)
    return (*model.parts(words.flatten(0, 1)), *(states[texts, indices] for indices in marks))


def _pool_words(model: Any, states: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Return (texts, words, width); `places` (texts, words, pieces) are indices of words' subwords; −1: none."""
    texts = torch.arange(states.shape[0])[:, None]
    pooling = model.config.subtoken_pooling
    if pooling not in ("mean", "max"):
        first: torch.Tensor = model.project(states[texts, places[:, :, 0].clamp(min=0)])
        return first
    pieces: torch.Tensor = model.project(states[texts[..., None], places.clamp(min=0)])
    mask = places[..., None] >= 0
    if pooling == "max":
        return pieces.masked_fill(~mask, torch.finfo(pieces.dtype).min).amax(2)
    return (pieces * mask).sum(2) / mask.sum(2).clamp(min=1)


def _split_directions(lstm: Any) -> list[torch.nn.Module]:
    """Return an LSTM's layers as LSTMs of one direction, forward and backward in turn."""
    directions = list[torch.nn.Module]()
    for layer in range(lstm.num_layers):
        for suffix in ("", "_reverse"):
            weights = {
                f"{name}_l0": getattr(lstm, f"{name}_l{layer}{suffix}")
                for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            }
            direction = torch.nn.LSTM(weights["weight_ih_l0"].shape[1], lstm.hidden_size, batch_first=True)
            direction.load_state_dict(weights)
            directions.append(direction)
    return directions


def _label_graph(model: GlinerModel, *label: torch.Tensor) -> Parts:
    """Return (labels, …) of (labels, width) states of marks, or of (labels, pieces) ids and mask."""
    return model.prepare_labels(model.project(*label) if len(label) == 1 else model.label_vectors(*label))


def _score_graph(model: Any, count: int, *tensors: torch.Tensor) -> Any:
    """Return log-odds of `count` parts of words, spans and labels, as `rows`; if it chooses spans, these too."""
    if model.config.chooses:
        return model.choose_spans(tensors[:count], tensors[count:])
    parts, (starts, ends, *labels) = tensors[:count], tensors[count:]
    first, last = (tuple(part[indices] for part in parts) for indices in (starts, ends))
    return model.rows(first, last, tuple(labels))
