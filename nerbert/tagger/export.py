"""A tagger → ONNX graphs that run without torch, in fp32 and int8; checked before anyone sees them.

The choice: the graph is a plain one (`input_ids`, `attention_mask` → `logits`, any batch and length) as other tools
take it, traced with eager attention, which onnxruntime computes fastest. int8 is dynamic: weights by channel ahead,
activations as they come, so no calibration data is needed. What an export says is compared with torch on the spot, up
to the longest window: an fp32 graph that differs is not published. The price: the trace fixes what a model decides by
its input's values, so a model type that does (longformer) is refused; and int8 activations share one scale a batch, so
a close call may fall otherwise in other company.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from nerbert.artifacts import publish_folder, write_json
from nerbert.errors import InputError, OutputExists, at, need, refused
from nerbert.formats.data import AnyData, read_gold
from nerbert.formats.documents import Reading, reading_for
from nerbert.labels import word_spans
from nerbert.metrics.score import score_spans
from nerbert.model.backbone import Backbone, load_tagger_model, load_tokenizer, quiet, tags_of
from nerbert.model.folder import CARD as MODEL_CARD
from nerbert.model.folder import ModelFolder, embedded, read_card
from nerbert.model.linear import LinearHead, Scorer, word_scores
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.records import Example
from nerbert.tagger.backends import LONGEST
from nerbert.tagger.hub import check_apart
from nerbert.tagger.onnx import (
    CARD,
    CONCEPTS_GRAPH,
    CONCEPTS_TOKENIZER,
    FOLDER,
    FORMAT,
    GRAPHS,
    LOGITS,
    MAX_TOKENS,
    STATES,
    TOKENIZER,
    OnnxScorer,
    weights_of,
)
from nerbert.tagger.self_check import CHECK
from nerbert.words import split_words

_OPSET = 17
_CLOSE = 2e-3
"""The most that a logit of the fp32 graph may differ from torch's."""
_LARGEST = (1 << 31) - (1 << 22)
"""Bytes of weights that a graph's one file holds: its format's limit, less room for the nodes."""
_TEXTS = (
    "The whaler Ingeborg left Bergen in May.", "In 1987 she joined the University of Nairobi as a lecturer.", "Yes.",
    "Minutes: Mr. Okafor (chair), the treasurer, two guests from São Paulo — all agreed; the next is on 3 March 2021.",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of one back end on annotated sentences: F1, the share (0–1) of torch's entities that it finds, other entities."""

    f1: float
    share: float
    other: int


@dataclass(frozen=True, slots=True)
class Export:
    """What was written: the folder with `onnx/` in it, bytes of each graph, and agreement by back end if measured."""

    folder: Path
    sizes: dict[str, int]
    agreement: dict[str, Agreement]


def export(
    tagger: str | Path, *, int8: bool = False, output: Path | None = None, data: AnyData | None = None,
    overwrite: bool = False, reading: Reading | None = None,
) -> Export:  # fmt: skip
    """Export a tagger's folder or hub name into its `onnx/`, or with `output` into a folder without torch's weights.

    With `data` (a file, or a folder: its test split; read as `reading` says) F1 and shared entities of each graph are
    measured and told.
    """
    source = embedded(str(tagger))
    ModelFolder.open(source, "model").check()
    if Path(source).is_dir():
        _check_head(str(tagger), read_card(source))
    need("train", "torch", "transformers")
    need("export", "onnxruntime", "onnx")
    if output is None and not Path(source).is_dir():
        raise InputError(f"{source}: a model on the hub has no folder to export into; name one with -o")
    if output is not None:
        _check_apart(Path(source), output)
    examples = [] if data is None else read_gold(data, "test", reading_for(read_card(source), reading)).examples
    target = output or Path(source) / FOLDER
    with publish_folder(target, overwrite=overwrite) as folder:
        inside = folder / FOLDER if output else folder
        inside.mkdir(exist_ok=True)
        agreement = _write(source, inside, examples, int8=int8)
        if output:
            _write_rest(source, folder)
        sizes = {path.name: path.stat().st_size for path in inside.glob("*.onnx")}
    return Export(output or Path(source), sizes, agreement)


def _write(source: str, folder: Path, examples: Sequence[Example], *, int8: bool) -> dict[str, Agreement]:
    """Write graphs, tokenizer and card; return their agreement with torch."""
    card = read_card(source)
    _check_head(source, card)
    tokenizer, longest = load_tokenizer(source), int(card.get("max_length") or LONGEST)
    graphs = _GRAPHS[ModelFolder.open(source).head_name(card)]
    facts, agreement = graphs(source, folder, _Task(tokenizer, longest, examples, int8))
    tokenizer.backend_tokenizer.save(str(folder / TOKENIZER), pretty=False)  # as `transformers` has set it up
    versions = {name: version(name) for name in ("torch", "transformers", "onnxruntime", "onnx")}
    told = {name: asdict(each) for name, each in agreement.items()}
    facts |= {"made_from": {"weights": weights_of(source)}, "opset": _OPSET, "versions": versions, "agreement": told}
    write_json(folder / CARD, {"format": FORMAT, **facts})
    return agreement


@dataclass(frozen=True, slots=True)
class _Task:
    """What is exported beside the weights, and the sentences that agreement is measured on."""

    tokenizer: Any
    longest: int
    examples: Sequence[Example]
    int8: bool


def _linear_graphs(source: str, folder: Path, task: _Task) -> tuple[dict[str, Any], dict[str, Agreement]]:
    """Write a tagger's graphs; return what the card says of it, and their agreement with torch."""
    from nerbert.model.forward import TorchScorer

    model = load_tagger_model(source)
    tags = tags_of(model, source)
    pieces = SubwordTokenizer(task.tokenizer, model.config, task.longest)
    scorers: dict[str, Scorer] = {"torch fp32": TorchScorer(model, "fp32")}

    def logits(ids: Any, mask: Any) -> Any:
        return model(input_ids=ids, attention_mask=mask).logits

    _trace(source, [model], logits, folder / GRAPHS["fp32"], LOGITS)
    scorers["onnx fp32"] = OnnxScorer(folder / GRAPHS["fp32"], len(tags))
    _check_close(source, pieces, scorers, len(tags))
    if task.int8:
        _quantise(folder)
        scorers["onnx int8"] = OnnxScorer(folder / GRAPHS["int8"], len(tags))
    agreement = _agreement(scorers, pieces, task.examples, tags) if task.examples else {}
    return {"tags": tags, **pieces.facts()}, agreement


def _concept_graphs(source: str, folder: Path, task: _Task) -> tuple[dict[str, Any], dict[str, Agreement]]:
    """Write the graphs of a text encoder and its concept encoder, of which the second stays in fp32.

    There are no labels here, so no agreement can be measured.
    """
    from nerbert.model.concept_encoder import LONGEST_NAME, ConceptModel, open_concepts
    from nerbert.model.forward import TorchScorer

    if task.examples:
        why = "its labels are given at run time, so data can't tell how the graphs agree; export it without"
        raise InputError(f"{source}: {why}")
    model = open_concepts(source)
    width, both = int(model.config.hidden_size), [model.names, model.projection]
    pieces = SubwordTokenizer(task.tokenizer, model.config, task.longest)
    names = SubwordTokenizer(model.tokenizer, model.names.config, LONGEST_NAME)

    def of_text(ids: Any, mask: Any) -> Any:
        return model.text(input_ids=ids, attention_mask=mask).last_hidden_state

    def of_name(ids: Any, mask: Any) -> Any:
        return model.projection(model.names(input_ids=ids, attention_mask=mask).last_hidden_state)

    for file, run, parts, tokens, forward in (
        (GRAPHS["fp32"], of_text, [model.text], pieces, ConceptModel.word_vectors),
        (CONCEPTS_GRAPH, of_name, both, names, ConceptModel.name_states),
    ):
        _trace(source, parts, run, folder / file, STATES)
        graph = OnnxScorer(folder / file, width, output=STATES)
        _check_close(source, tokens, {"torch": TorchScorer(model, "fp32", forward), "onnx": graph}, width)
    if task.int8:
        _quantise(folder)
    model.tokenizer.backend_tokenizer.save(str(folder / CONCEPTS_TOKENIZER), pretty=False)
    own = {"width": width, "temperature": model.temperature, "bias": model.bias.item(), "pooling": model.pooling,
           "longest": LONGEST_NAME, **names.facts()}  # fmt: skip
    return {"tags": [], "concepts": own, **pieces.facts()}, {}


_GRAPHS = {"linear": _linear_graphs, "concepts": _concept_graphs}
"""What writes the graphs of a head, by its name."""


def _check_head(source: str, card: Mapping[str, object]) -> None:
    """Raise InputError for a tagger whose head can't be exported."""
    if (head := ModelFolder.open(source).head_name(card)) in _GRAPHS:
        return
    if head == "gliner":
        why = "a GLiNER model, which can't be exported yet"
        raise InputError(f"{source}: {why}; `nerbert distil {source} TEXTS --labels …` trains a small tagger of fixed "
                         "types on what it finds, which can be")  # fmt: skip
    raise InputError(f"{source}: its head is {head!r:.80}; only heads {', '.join(_GRAPHS)} can be exported")


def _write_rest(source: str, folder: Path) -> None:
    """Write all of a tagger but its weights; its card in any case, which marks the folder as ours."""
    backbone = Backbone(source, load_tokenizer(source), seed=0)
    backbone.config.save_pretrained(folder)
    backbone.tokenizer.save_pretrained(folder)
    for name in ("README.md", CHECK):
        if (file := Path(source) / name).is_file():
            shutil.copyfile(file, folder / name)
    card = read_card(source)
    head = ModelFolder.open(source).head_name(card)
    write_json(folder / MODEL_CARD, card if head == "linear" else card | {"head": head})


def _trace(source: str, parts: Sequence[Any], run: Callable[[Any, Any], Any], path: Path, output: str) -> None:
    """Write the fp32 graph of what `run` computes from pieces and mask; `parts` are the modules that it runs through.

    The first part is a `transformers` model.
    """
    import torch

    class Traced(torch.nn.Module):
        """The parts, with one output."""

        def __init__(self) -> None:
            super().__init__()
            self.parts = torch.nn.ModuleList(parts)

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            return run(input_ids, attention_mask)

    whole, model = Traced().eval(), parts[0]
    weights = 4 * sum(each.numel() for each in whole.parameters())
    if weights > _LARGEST:
        raise InputError(
            f"{source}: {weights:,} bytes of weights in fp32 don't fit into one ONNX file (2 GB); tag with torch"
        )
    ids = torch.arange(14).reshape(2, 7) % int(model.config.vocab_size)
    mask = torch.tensor([[1] * 7, [1] * 5 + [0] * 2])
    free = {0: "batch", 1: "pieces"}
    with quiet(), torch.inference_mode():
        if hasattr(model, "set_attn_implementation"):
            model.set_attn_implementation("eager")
        with refused(f"{source}: a {model.config.model_type} can't be exported"):
            torch.onnx.export(
                whole, (ids, mask), str(path), input_names=["input_ids", "attention_mask"], output_names=[output],
                dynamic_axes={"input_ids": free, "attention_mask": free, output: free}, opset_version=_OPSET,
                dynamo=False,
            )  # fmt: skip


def _quantise(folder: Path) -> None:
    """Write the int8 graph beside the other.

    Weights keep 7 bits, since processors without VNNI sum 8-bit products in 16 bits; by channel that costs no F1.
    Embeddings are the largest part of many models, so they are int8 too.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with quiet():
        quantize_dynamic(
            folder / GRAPHS["fp32"], folder / GRAPHS["int8"], per_channel=True, reduce_range=True,
            weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul", "Gather"],
            extra_options={"MatMulConstBOnly": True},
        )  # fmt: skip


def _check_close(source: str, pieces: SubwordTokenizer, scorers: dict[str, Scorer], classes: int) -> None:
    """Raise InputError if a graph's output isn't torch's: in batches, alone, and in the longest window there is."""
    longest = " ".join(_TEXTS) * (1 + pieces.body // 40)
    examples = [Example(text, split_words(text)) for text in (*_TEXTS, longest)]
    for some in (examples[:-1], examples[:1], examples[-1:]):
        with at(source):
            ours, theirs = (word_scores(each, pieces, some, classes, MAX_TOKENS).logits for each in scorers.values())
        worst = float(np.abs(ours - theirs).max())
        if not worst <= _CLOSE * max(1.0, float(np.abs(ours).max())):
            raise InputError(f"{source}: its graph's output differs from torch's by {worst:.4f}; it can't be exported")


def _agreement(
    scorers: dict[str, Scorer], pieces: SubwordTokenizer, examples: Sequence[Example], tags: list[str]
) -> dict[str, Agreement]:
    """Return each scorer's F1, and its entities compared with the first one's."""
    gold, found, reference = [word_spans(each) for each in examples], {}, None
    for name, scorer in scorers.items():
        rows = LinearHead(scorer, pieces, tags, MAX_TOKENS).predict(examples).word_spans(len(examples))
        spans = {(number, *span) for number, row in enumerate(rows) for span in row}
        reference = spans if reference is None else reference
        share = len(spans & reference) / len(reference) if reference else 1.0
        found[name] = Agreement(score_spans(gold, rows).f1, share, len(spans - reference))
    return found


def _check_apart(source: Path, output: Path) -> None:
    """Raise InputError for an output that would replace the tagger, or any weights."""
    check_apart(source, output)
    if any(output.glob("*.safetensors")):
        raise OutputExists(f"{output}: holds a model's weights, so it is left alone; delete it by hand")
