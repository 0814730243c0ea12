"""Kinds of heads: how taggers with a head are opened and exported, and what they may start from."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import numpy as np
from annotated_types import Interval

from nerbert.config import check
from nerbert.errors import InputError, SettingsError, at, refused
from nerbert.labels import types_of_examples
from nerbert.model import onnx
from nerbert.model.backbone import load_tokenizer, quiet
from nerbert.model.folder import ModelFolder
from nerbert.model.heads import Head
from nerbert.model.linear import Scorer, word_scores
from nerbert.model.loading import Loading
from nerbert.model.quantisation import quantise
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.model.windows import Windows, pad_windows
from nerbert.records import Example
from nerbert.registry import Registry
from nerbert.rng import Array
from nerbert.schema import parse_json
from nerbert.words import split_words

LONGEST = 256
"""Pieces of a window where the card says nothing."""
OPSET = 17
_CLOSE = 2e-3
"""The most that a logit of the fp32 graph may differ from torch's."""
_LARGEST = (1 << 31) - (1 << 22)
"""Bytes of weights that a graph's one file holds: its format's limit, less room for the nodes."""
_USUAL_TYPES = ("person", "organization", "location", "date", "event", "product")
TEXTS = (
    "The whaler Ingeborg left Bergen in May.",
    "In 1987 she joined the University of Nairobi as a lecturer.",
    "Yes.",
    "Minutes: Mr. Okafor (chair), the treasurer, two guests from São Paulo — all agreed; the next is on 3 March 2021.",
)

ExportedHead: TypeAlias = tuple[dict[str, Any], Mapping[str, Head]]
"""An export's card for a head, and the head by the name of each back end, torch's first."""
Traced: TypeAlias = Mapping[str, tuple[Any, Mapping[int, str]]]
"""Inputs of a graph to be, by name: an example, and the names of the dimensions that vary."""


@dataclass(frozen=True)
class HeadOptions(Loading):
    """How a tagger computes, handles long sentences and chooses tags (`decoding` "": what is usual for the head)."""

    on_too_long: str = "window"
    longest: int = LONGEST
    window: int = 0
    """As in `SubwordTokenizer`."""

    def __post_init__(self) -> None:
        check("backend", self.backend, Literal["auto", "torch", "onnx"])
        check("precision", self.precision, Literal["auto", "bf16", "fp32", "int8"])
        check("threads", self.threads, Annotated[int, Interval(ge=0, le=4096)])

    def pieces(self, source: str, config: Any) -> SubwordTokenizer:
        """Return what cuts texts for a model in torch of this configuration."""
        tokenizer = load_tokenizer(source)
        too_long = self.on_too_long
        return SubwordTokenizer(tokenizer, config, self.longest, on_too_long=too_long, window=self.window)


@dataclass(frozen=True, slots=True)
class ExportTask:
    """A tagger to export: its folder or hub name, where its graphs go, whether int8 is wanted, too.

    `examples` are annotated sentences to compare on; without any, sentences and labels of nerbert's own are taken.
    """

    source: str
    folder: Path
    longest: int
    int8: bool
    examples: Sequence[Example] = ()

    def pieces(self, config: Any) -> SubwordTokenizer:
        """Return what cuts texts for a model of this configuration; write its tokenizer."""
        tokenizer = load_tokenizer(self.source)
        self.write_tokenizer(tokenizer)
        return SubwordTokenizer(tokenizer, config, self.longest)

    def write_tokenizer(self, tokenizer: Any, file: str = onnx.TOKENIZER) -> None:
        """Write a tokenizer as `transformers` has set it up."""
        tokenizer.backend_tokenizer.save(str(self.folder / file), pretty=False)

    def read_exported(self, facts: Mapping[str, Any]) -> onnx.Exported:
        """Return what is written so far, with the card that these facts will be."""
        card = json.dumps({"format": onnx.FORMAT, "made_from": {"weights": {}}, **facts})
        return onnx.Exported.of(self.folder, parse_json(card, onnx.OnnxCard, self.folder))

    def types(self) -> list[str]:
        """Return the types of the examples, or usual ones."""
        return types_of_examples(self.examples) or list(_USUAL_TYPES)

    def graphs(
        self,
        parts: Sequence[Any],
        run: Callable[[Any, Any], Any],
        torch: Scorer,
        pieces: SubwordTokenizer,
        columns: int,
        output: str = onnx.LOGITS,
    ) -> dict[str, Scorer]:
        """Write what `run` computes as a graph in fp32, and in int8 if wanted; return a scorer for each back end.

        The first scorer is `torch`. The other parameters are those of `graph`.
        """
        exact = self.graph(parts, run, torch, pieces, columns, output, onnx.GRAPHS["fp32"])
        scorers = {"torch fp32": torch, "onnx fp32": exact}
        if self.int8:
            windows = Windows.pack(pieces.windows([as_example(" ".join(TEXTS))]))
            first = pad_windows(windows, np.arange(1), pieces.pad_id)
            quantise(self.folder, inputs={"input_ids": first.ids, "attention_mask": first.mask.astype(np.int64)})
            scorers["onnx int8"] = onnx.OnnxScorer(self.folder / onnx.GRAPHS["int8"], columns, output=output)
        return scorers

    def graph(
        self,
        parts: Sequence[Any],
        run: Callable[[Any, Any], Any],
        torch: Scorer,
        pieces: SubwordTokenizer,
        columns: int,
        output: str,
        file: str,
    ) -> Scorer:
        """Write the fp32 graph of what `run` computes from pieces and mask, `columns` numbers a piece; return it.

        `parts` are the modules that it runs through, the first a `transformers` model. Raise InputError if it gives
        other numbers than `torch` for words cut by `pieces`: in batches, alone, and in the longest window there is.
        """
        inputs = piece_inputs(int(parts[0].config.vocab_size))
        outputs = {output: {0: "batch", 1: "pieces"}}
        self.trace(parts, run, file, inputs, outputs)
        graph = onnx.OnnxScorer(self.folder / file, columns, output=output)
        examples = [*map(as_example, TEXTS), long_example(10 * pieces.body)]
        for batch in (examples[:-1], examples[:1], examples[-1:]):
            with at(self.source):
                scores = (word_scores(side, pieces, batch, columns, onnx.MAX_TOKENS).logits for side in (torch, graph))
                check_close(self.source, *scores)
        return graph

    def trace(
        self,
        parts: Sequence[Any],
        run: Callable[..., Any],
        file: str,
        inputs: Traced,
        outputs: Mapping[str, Mapping[int, str]],
    ) -> None:
        """Write the fp32 graph of what `run` computes, by modules of torch (`parts`), from inputs, in their order.

        Raise InputError for one that is too large for a file, or can't be a graph.
        """
        import torch

        network = torch.nn.Module().eval()
        path = self.folder / file
        network.parts = torch.nn.ModuleList(parts).eval()
        network.forward = run
        weights = 4 * sum(parameter.numel() for parameter in network.parameters())
        if weights > _LARGEST:
            raise InputError(
                f"{self.source}: {weights:,} bytes of weights in fp32 don't fit into one ONNX file (2 GB);"
                " tag with torch"
            )
        models: list[Any] = [module for module in network.modules() if hasattr(module, "set_attn_implementation")]
        examples, dimensions_of = zip(*inputs.values(), strict=True)
        free = dict(zip(inputs, dimensions_of, strict=True)) | dict(outputs)
        axes = {name: dict(dimensions) for name, dimensions in free.items()}
        with quiet(), torch.inference_mode():
            for module in models:
                module.set_attn_implementation("eager")
            names = ", ".join(dict.fromkeys(str(module.config.model_type) for module in models)) or "model"
            with refused(f"{self.source}: a {names} can't be exported"):
                torch.onnx.export(
                    network,
                    examples,
                    str(path),
                    input_names=list(inputs),
                    output_names=list(outputs),
                    dynamic_axes=axes,
                    opset_version=OPSET,
                    dynamo=False,
                )
                _fold(path)


def _fold(path: Path) -> None:
    """Let onnxruntime compute once what is constant, which halves the time of loading; operators stay standard ones."""
    import onnx as library
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 4
    options.optimized_model_filepath = str(path)
    onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    model = library.load(path)
    used = {node.domain for node in model.graph.node}
    kept = [opset for opset in model.opset_import if opset.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    library.save(model, path)


def piece_inputs(vocabulary: int) -> Traced:
    """Return ids and mask of two rows of pieces, to trace with."""
    import torch

    ids = torch.arange(14).reshape(2, 7) % vocabulary
    mask = torch.tensor([[1] * 7, [1] * 5 + [0] * 2])
    free = {0: "batch", 1: "pieces"}
    return {"input_ids": (ids, free), "attention_mask": (mask, free)}


def as_example(text: str) -> Example:
    """Return a text as one sentence."""
    return Example(text, split_words(text))


def long_example(characters: int) -> Example:
    """Return a text of at least so many characters."""
    text = " ".join(TEXTS)
    return as_example(" ".join([text] * (1 + characters // len(text))))


def check_close(source: str, ours: Array, theirs: Array) -> None:
    """Raise InputError if a graph's numbers aren't torch's."""
    worst = float(np.abs(ours - theirs).max(initial=0)) if ours.shape == theirs.shape else math.inf
    if not worst <= _CLOSE * max(1.0, float(np.abs(ours).max(initial=0))):
        raise InputError(f"{source}: its graph's output differs from torch's by {worst:.4f}; it can't be exported")


class HeadKind:
    """A kind of head, an entry of `HEADS`: how its taggers are opened and exported, and what they may start from."""

    labels_at_run_time: ClassVar[bool] = False
    """Whether its taggers take labels at run time, and have no fixed types."""
    starts: ClassVar[frozenset[str]] = frozenset()
    """What a new head may start from in a fine-tuning: the types of an earlier head (`shared`)."""

    @classmethod
    def open(cls, folder: ModelFolder, options: HeadOptions) -> Head:
        """Return the head of a tagger's folder, ready to predict as wanted."""
        raise SettingsError(f"head {cls.__name__}: opens no tagger: the class has no `open` of its own")

    @classmethod
    def check_export(cls, source: str) -> None:
        """Raise InputError if its taggers can't be exported."""
        if cls.export.__func__ is HeadKind.export.__func__:  # type: ignore[attr-defined]
            raise InputError(f"{source}: its head can't be exported: {cls.__name__} has no `export`")

    @classmethod
    def export(cls, task: ExportTask) -> ExportedHead:
        """Write the graphs of a tagger; return what its export's card says, and the head on each back end."""
        raise NotImplementedError

    @classmethod
    def rename_types(cls, folder: Path, names: Mapping[str, str]) -> None:
        """Give the types of a tagger's folder other names, "" for no entity; raise InputError where none can be.

        The card is written apart: labels at run time stand there alone.
        """
        if not cls.labels_at_run_time:
            raise InputError(f"the types of a tagger with a head {cls.__name__} can't be renamed, merged or dropped")


HEADS: Registry[type[HeadKind]] = Registry(
    "head",
    "nerbert.heads",
    {
        "linear": "nerbert.tagger.backends:LinearHeadKind",
        "concepts": "nerbert.tagger.concept_backends:ConceptHeadKind",
        "gliner": "nerbert.tagger.gliner_backends:GlinerHeadKind",
    },
    HeadKind,
)


def head_kind(folder: ModelFolder, chosen: str = "") -> type[HeadKind]:
    """Return the kind of a folder's head; `chosen` is the user's choice of it.

    Raise SettingsError where the folder names code outside of nerbert, which only its user may do.
    """
    name = folder.head_name
    if chosen or name in HEADS:
        return HEADS.find(chosen or name)
    hint = f": if you trust it, name it (head, --head {name})" if HEADS.contains(name) else ", no head's name"
    raise SettingsError(f"{folder}: its head is {name!r:.80}, code outside of nerbert{hint}")


def labels_at_run_time(folder: ModelFolder) -> bool:
    """Return whether a folder's head takes labels at run time, and has no fixed types."""
    return folder.head_name in HEADS and HEADS.find(folder.head_name).labels_at_run_time
