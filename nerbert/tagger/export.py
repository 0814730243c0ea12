"""A tagger → ONNX graphs that run without torch, in fp32 and int8; compared with torch before they are published.

Cost: a model type that decides by its input's values (longformer) is refused.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from nerbert.artifacts import publish_folder, write_json
from nerbert.errors import InputError, OutputExists, at, need, refused
from nerbert.formats.data import AnyData, read_gold
from nerbert.formats.documents import Reading, reading_for
from nerbert.labels import word_spans
from nerbert.metrics.score import score_spans
from nerbert.model.backbone import Backbone, load_tokenizer, quiet
from nerbert.model.folder import CARD as MODEL_CARD
from nerbert.model.folder import ModelFolder, TransformersKind, embedded
from nerbert.model.heads import Head
from nerbert.model.linear import Scorer, word_scores
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.records import Example
from nerbert.tagger.answers import CHECK
from nerbert.tagger.backends import LONGEST, HeadKind
from nerbert.tagger.hub import check_apart
from nerbert.tagger.onnx import (
    CARD,
    FOLDER,
    FORMAT,
    GRAPHS,
    LOGITS,
    MAX_TOKENS,
    TOKENIZER,
    OnnxScorer,
    weights_of,
)
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


ExportedHead: TypeAlias = tuple[dict[str, Any], Mapping[str, Head]]
"""An export's card for a head, and the head by the name of each back end, torch's first; none if it takes labels at run
time."""


@dataclass(frozen=True, slots=True)
class ExportTask:
    """A tagger to export: its folder or hub name, where its graphs go, what cuts texts, whether int8 is wanted, too."""

    source: str
    folder: Path
    tokenizer: Any
    longest: int
    int8: bool

    def pieces(self, config: Any) -> SubwordTokenizer:
        """Return what cuts texts for a model of this configuration."""
        return SubwordTokenizer(self.tokenizer, config, self.longest)

    def graphs(
        self, parts: Sequence[Any], run: Callable[[Any, Any], Any], torch: Scorer, pieces: SubwordTokenizer,
        columns: int, output: str = LOGITS,
    ) -> dict[str, Scorer]:  # fmt: skip
        """Write what `run` computes as a graph in fp32, and in int8 if wanted; return a scorer for each back end.

        The first scorer is `torch`. The parameters are those of `graph`.
        """
        scorers: dict[str, Scorer] = {"torch fp32": torch}
        scorers["onnx fp32"] = self.graph(parts, run, torch, pieces, columns, output, GRAPHS["fp32"])
        if self.int8:
            _quantise(self.folder)
            scorers["onnx int8"] = OnnxScorer(self.folder / GRAPHS["int8"], columns, output=output)
        return scorers

    def graph(
        self, parts: Sequence[Any], run: Callable[[Any, Any], Any], torch: Scorer, pieces: SubwordTokenizer,
        columns: int, output: str, file: str,
    ) -> Scorer:  # fmt: skip
        """Write the fp32 graph of what `run` computes from pieces and mask, `columns` numbers a piece; return it.

        `parts` are the modules that it runs through, the first a `transformers` model. Raise InputError if it gives
        other numbers than `torch` for words cut by `pieces`.
        """
        _trace(self.source, parts, run, self.folder / file, output)
        graph = OnnxScorer(self.folder / file, columns, output=output)
        _check_close(self.source, pieces, torch, graph, columns)
        return graph


def export(
    tagger: str | Path, *, int8: bool = False, output: Path | None = None, data: AnyData | None = None,
    overwrite: bool = False, reading: Reading | None = None, head: str = "",
) -> Export:  # fmt: skip
    """Export a tagger's folder or hub name into its `onnx/`, or with `output` into a folder without torch's weights.

    With `data` (a file, or a folder: its test split; read as `reading` says) F1 and shared entities of each graph are
    measured and printed. `head` is as in `Tagger.load`.
    """
    need("train", "torch", "transformers")
    source = ModelFolder.open(tagger, "model").check()
    card, kind = source.card, source.head_kind(head)
    kind.check_export(str(tagger))
    need("export", "onnxruntime", "onnx")
    if output is None and not Path(embedded(str(tagger))).is_dir():
        raise InputError(f"{tagger}: a model on the hub has no folder to export into; name one with -o")
    if output is not None:
        _check_apart(source.path, output)
    if data is not None and kind.labels_at_run_time:
        why = "its labels are given at run time, so data can't measure how the graphs agree; export it without"
        raise InputError(f"{source}: {why}")
    examples = [] if data is None else read_gold(data, "test", reading_for(card, reading)).examples
    with publish_folder(output or source.path / FOLDER, overwrite=overwrite) as folder:
        inside = folder / FOLDER if output else folder
        inside.mkdir(exist_ok=True)
        longest = int(card.get("max_length") or LONGEST)
        agreement = _write(ExportTask(source.name, inside, load_tokenizer(source.name), longest, int8), kind, examples)
        if output:
            _write_rest(source, folder)
        sizes = {path.name: path.stat().st_size for path in inside.glob("*.onnx")}
    return Export(output or source.path, sizes, agreement)


def _write(task: ExportTask, kind: type[HeadKind], examples: Sequence[Example]) -> dict[str, Agreement]:
    """Write graphs, tokenizer and card; return their agreement with torch, if there are examples."""
    facts, heads = kind.export(task)
    agreement = _agreement(heads, examples) if examples else {}
    path = str(task.folder / TOKENIZER)
    task.tokenizer.backend_tokenizer.save(path, pretty=False)  # as `transformers` has set it up
    versions = {name: version(name) for name in ("torch", "transformers", "onnxruntime", "onnx")}
    scores, made_from = {name: asdict(each) for name, each in agreement.items()}, {"weights": weights_of(task.source)}
    facts |= {"made_from": made_from, "opset": _OPSET, "versions": versions, "agreement": scores}
    write_json(task.folder / CARD, {"format": FORMAT, **facts})
    return agreement


def _write_rest(source: ModelFolder, folder: Path) -> None:
    """Write all of a tagger but its weights; its card always, since it marks the folder as ours."""
    backbone = Backbone.of(source.name, seed=0)
    backbone.config.save_pretrained(folder)
    backbone.tokenizer.save_pretrained(folder)
    for name in ("README.md", CHECK):
        if (file := source.path / name).is_file():
            shutil.copyfile(file, folder / name)
    card, head = source.card, source.head_name
    write_json(folder / MODEL_CARD, card if head == TransformersKind.head else card | {"head": head})


def _trace(source: str, parts: Sequence[Any], run: Callable[[Any, Any], Any], path: Path, output: str) -> None:
    """Write the fp32 graph of what `run` computes; `parts` are its modules, the first a `transformers` model."""
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


def _check_close(source: str, pieces: SubwordTokenizer, torch: Scorer, graph: Scorer, columns: int) -> None:
    """Raise InputError if a graph's output isn't torch's: in batches, alone, and in the longest window there is."""
    longest = " ".join(_TEXTS) * (1 + pieces.body // 40)
    examples = [Example(text, split_words(text)) for text in (*_TEXTS, longest)]
    for some in (examples[:-1], examples[:1], examples[-1:]):
        with at(source):
            ours, theirs = (word_scores(each, pieces, some, columns, MAX_TOKENS).logits for each in (torch, graph))
        worst = float(np.abs(ours - theirs).max())
        if not worst <= _CLOSE * max(1.0, float(np.abs(ours).max())):
            raise InputError(f"{source}: its graph's output differs from torch's by {worst:.4f}; it can't be exported")


def _agreement(heads: Mapping[str, Head], examples: Sequence[Example]) -> dict[str, Agreement]:
    """Return each head's F1, and its entities compared with the first one's."""
    gold, agreement, reference = [word_spans(each) for each in examples], {}, None
    for name, head in heads.items():
        rows = head.predict(examples).word_spans(len(examples))
        spans = {(number, *span) for number, row in enumerate(rows) for span in row}
        reference = spans if reference is None else reference
        share = len(spans & reference) / len(reference) if reference else 1.0
        agreement[name] = Agreement(score_spans(gold, rows).f1, share, len(spans - reference))
    return agreement


def _check_apart(source: Path, output: Path) -> None:
    """Raise InputError for an output that would replace the tagger, or any weights."""
    check_apart(source, output)
    if any(output.glob("*.safetensors")):
        raise OutputExists(f"{output}: holds a model's weights, so it is not replaced; delete it by hand")
