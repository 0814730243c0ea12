"""A GLiNER model → graphs of texts, labels and scores, compared with torch; in int8 the graph of texts alone.

What is scored by labels is little and sensitive, so it stays in fp32.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch

from nerbert.errors import InputError
from nerbert.model.gliner.folder import GlinerFolder
from nerbert.model.gliner.graphs import LabelGraph, ScoreGraph, TextGraph, can_be_graphs
from nerbert.model.gliner.head import GlinerHead
from nerbert.model.gliner.layers import GlinerModel
from nerbert.records import EntityLabel, Example
from nerbert.rng import Array
from nerbert.tagger import onnx
from nerbert.tagger.backends import Wanted
from nerbert.tagger.export import ExportTask, Traced, check_close, long_example, piece_inputs
from nerbert.tagger.gliner_onnx import ENDS, MARKS, SCORES, STARTS, STATES, traced

if TYPE_CHECKING:
    from nerbert.tagger.export import ExportedHead

_COMPARED = 64
"""Sentences on which a graph is compared with torch."""
_TIES = 0.01
"""Share (0–1) of spans that may be chosen on one back end alone."""
OnOnnx: TypeAlias = Callable[[onnx.Exported, str, Wanted], GlinerHead]
"""Opens exported graphs of a precision."""


def export_gliner(task: ExportTask, loaded: GlinerFolder, own: GlinerHead, on_onnx: OnOnnx) -> "ExportedHead":
    """Write a model's graphs; return its card and a head for each back end, of which `own` is torch's."""
    model, facts = loaded.model, _write_tokenizers(task, loaded)
    _write_graphs(task, model)

    def opened(precision: str) -> GlinerHead:
        head = on_onnx(task.exported(facts), precision, Wanted())
        head.normalises = own.normalises
        return head

    heads = {"torch fp32": own, "onnx fp32": opened("fp32")}
    labels = [EntityLabel(each) for each in task.types()]
    least = [own.usual_threshold] * len(labels)
    asked = {name: each.for_labels(labels, least) for name, each in heads.items()}
    for some in (task.sentences()[:_COMPARED], [long_example(10 * own.longest_text)]):
        _check(task.source, *(_odds(each, some) for each in asked.values()))
    if task.int8:
        task.quantise()
        heads["onnx int8"] = opened("int8")
    return facts, heads


def _write_tokenizers(task: ExportTask, loaded: GlinerFolder) -> dict[str, Any]:
    """Write what cuts texts and labels; return what the card says of it."""
    task.write_tokenizer(loaded.pieces.tokenizer)
    own: dict[str, Any] = {"marks": loaded.pieces.marks, "config": traced(loaded.model.config)}
    if apart := loaded.labels_pieces:
        task.write_tokenizer(apart.tokenizer, onnx.LABELS_TOKENIZER)
        own["labels"] = apart.facts()
    return {"tags": [], "own": own, **loaded.pieces.facts()}


def _write_graphs(task: ExportTask, model: GlinerModel) -> None:
    """Write the three graphs in fp32, traced on two short texts of words, labels and spans."""
    if not can_be_graphs(model):
        raise InputError(f"{task.source}: a {type(model).__name__} has no `rows` of its own, so it can't be exported")
    apart, config = model.labels_body is not None, model.body.config
    with torch.inference_mode():
        text = _text_inputs(int(config.vocab_size), apart)
        parts = TextGraph(model)(*(each for each, _ in text.values()))
        marks = {} if apart else {STATES: (parts[-1][0], {0: "labels"})}
        given = marks or piece_inputs(int(model.labels_body.config.vocab_size))
        labels = LabelGraph(model)(*(each for each, _ in given.values()))
    names = [f"part{number}" for number in range(len(parts) - (not apart))]
    outputs = {each: {0: "words"} for each in names} | ({} if apart else {STATES: {0: "texts", 1: "labels"}})
    of_labels = [f"label{number}" for number in range(len(labels))]
    task.trace(TextGraph(model), onnx.GRAPHS["fp32"], text, outputs)
    task.trace(LabelGraph(model), onnx.LABELS_GRAPH, given, {each: {0: "labels"} for each in of_labels})
    spans = {STARTS: (torch.tensor([0, 1, 0]), {0: "spans"}), ENDS: (torch.tensor([0, 2, 2]), {0: "spans"})}
    own: dict[str, dict[int, str]] = {each: {0: "spans"} for each in spans} if model.config.chooses else {}
    scored = {name: (each, {0: "words"}) for name, each in zip(names, parts, strict=False)} | ({} if own else spans)
    scored |= {name: (each, {0: "labels"}) for name, each in zip(of_labels, labels, strict=True)}
    task.trace(ScoreGraph(model, len(names)), onnx.SCORES_GRAPH, scored, {**own, SCORES: {0: "spans", 1: "labels"}})


def _text_inputs(vocabulary: int, apart: bool) -> Traced:
    places = torch.tensor([[[3, -1], [4, 5], [6, -1]], [[3, -1], [4, -1], [-1, -1]]])
    free = {0: "texts", 1: "words", 2: "pieces of a word"}
    marks = {} if apart else {MARKS: (torch.tensor([[1, 2, 3], [1, 2, 3]]), {0: "texts", 1: "labels"})}
    return {**piece_inputs(vocabulary), "places": (places, free), **marks}


def _odds(head: GlinerHead, examples: Sequence[Example]) -> Array:
    """Return all log-odds of examples' spans, -inf for none."""
    found = list[Array]()
    for part, windows in head.prompted(examples):
        for _, scores in sorted(part.scores(windows), key=lambda each: each[0]):
            more = max(0, len(scores) - scores.shape[1]) if head.config.chooses else 0
            found.append(np.pad(scores, ((0, 0), (0, more), (0, 0)), constant_values=-np.inf).ravel())
    return np.concatenate(found)


def _check(source: str, ours: Array, theirs: Array) -> None:
    """Raise InputError if a graph's log-odds aren't torch's; a few of the spans that a model chooses may differ."""
    one, two = np.isfinite(ours), np.isfinite(theirs)
    both = one & two
    if (one ^ two).sum() > _TIES * both.sum():
        raise InputError(f"{source}: its graph chooses other spans than torch; it can't be exported")
    check_close(source, ours[both], theirs[both])
