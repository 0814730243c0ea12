"""A tagger → ONNX graphs that run without torch, in fp32 and int8; compared with torch before they are published.

Cost: a model type that decides by its input's values (longformer) is refused.
"""

import json
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from nerbert.artifacts import publish_folder, write_json
from nerbert.errors import InputError, OutputExists, SettingsError, at, few, need, refused
from nerbert.formats.data import AnyData, read_gold
from nerbert.formats.documents import Reading, reading_for
from nerbert.formats.entity_labels import as_learnt
from nerbert.labels import WordSpan, word_spans
from nerbert.metrics.judging import bootstrap_difference, span_counts
from nerbert.metrics.score import Counts
from nerbert.model.backbone import load_tokenizer, quiet
from nerbert.model.folder import CARD as MODEL_CARD
from nerbert.model.folder import EMBEDDED, SILVER, ModelFolder, TransformersKind
from nerbert.model.heads import Entities, Head
from nerbert.model.linear import Scorer, word_scores
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.records import Example
from nerbert.rng import Array
from nerbert.schema import parse_json
from nerbert.tagger import onnx
from nerbert.tagger.answers import check_texts
from nerbert.tagger.backends import LONGEST
from nerbert.tagger.hub import check_apart
from nerbert.tagger.thresholds import thresholds_of, usual_threshold
from nerbert.words import split_words

MAX_LOSS = 1.0
"""How many points of F1 int8 may lose, unless the user says otherwise."""
_MOVED = 0.05
"""By how much (0–1) confidences may differ on average."""
_OPSET = 17
_CLOSE = 2e-3
"""The most that a logit of the fp32 graph may differ from torch's."""
_LARGEST = (1 << 31) - (1 << 22)
"""Bytes of weights that a graph's one file holds: its format's limit, less room for the nodes."""
_SILVER = 2000
"""Sentences of its distillation that an export is compared on."""
_USUAL_TYPES = ("person", "organization", "location", "date", "event", "product")
_TEXTS = (
    "The whaler Ingeborg left Bergen in May.", "In 1987 she joined the University of Nairobi as a lecturer.", "Yes.",
    "Minutes: Mr. Okafor (chair), the treasurer, two guests from São Paulo — all agreed; the next is on 3 March 2021.",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of one back end on sentences with `gold` entities: F1 (0–1), and how much less that is than torch's.

    The loss is between `low` and `high` (95 %, a paired bootstrap). `share` (0–1) of torch's entities are found, and
    `other` ones that torch doesn't find; `confidence` is by how much confidences of shared entities differ on average.
    """

    f1: float
    gold: int
    loss: float
    low: float
    high: float
    share: float
    other: int
    confidence: float


@dataclass(frozen=True, slots=True)
class Export:
    """What was written: the folder with `onnx/` in it, bytes of each graph, and agreement by back end if measured."""

    folder: Path
    sizes: dict[str, int]
    agreement: dict[str, Agreement]


ExportedHead: TypeAlias = tuple[dict[str, Any], Mapping[str, Head]]
"""An export's card for a head, and the head by the name of each back end, torch's first."""
Traced: TypeAlias = Mapping[str, tuple[Any, Mapping[int, str]]]
"""Inputs of a graph to be, by name: an example, and the names of the dimensions that vary."""


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

    def exported(self, facts: Mapping[str, Any]) -> onnx.Exported:
        """Return what is written so far, with the card that these facts will be."""
        graphs = {name: self.folder / file for name, file in onnx.GRAPHS.items() if (self.folder / file).is_file()}
        card = json.dumps({"format": onnx.FORMAT, "made_from": {"weights": {}}, **facts})
        return onnx.Exported(self.folder, graphs, parse_json(card, onnx.OnnxCard, self.folder))

    def sentences(self) -> list[Example]:
        """Return some sentences of nerbert's own, and the examples, or more of its own."""
        own = map(_example, () if self.examples else check_texts())
        return [*map(_example, _TEXTS), *self.examples, *own]

    def types(self) -> list[str]:
        """Return the types of the examples, or usual ones."""
        return sorted({span.type for each in self.examples for span in each.spans}) or list(_USUAL_TYPES)

    def graphs(
        self, parts: Sequence[Any], run: Callable[[Any, Any], Any], torch: Scorer, pieces: SubwordTokenizer,
        columns: int, output: str = onnx.LOGITS,
    ) -> dict[str, Scorer]:  # fmt: skip
        """Write what `run` computes as a graph in fp32, and in int8 if wanted; return a scorer for each back end.

        The first scorer is `torch`. The other parameters are those of `graph`.
        """
        exact = self.graph(parts, run, torch, pieces, columns, output, onnx.GRAPHS["fp32"])
        scorers = {"torch fp32": torch, "onnx fp32": exact}
        if self.int8:
            self.quantise()
            scorers["onnx int8"] = onnx.OnnxScorer(self.folder / onnx.GRAPHS["int8"], columns, output=output)
        return scorers

    def quantise(self) -> None:
        """Write the graph with int8 weights by channel, embeddings too: these are the largest part of many models.

        Weights keep 7 bits, since processors without VNNI sum 8-bit products in 16 bits.
        """
        from onnxruntime.quantization import QuantType, quantize_dynamic

        with quiet():
            quantize_dynamic(
                self.folder / onnx.GRAPHS["fp32"], self.folder / onnx.GRAPHS["int8"], per_channel=True,
                reduce_range=True, weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul", "Gather"],
                extra_options={"MatMulConstBOnly": True},
            )  # fmt: skip

    def graph(
        self, parts: Sequence[Any], run: Callable[[Any, Any], Any], torch: Scorer, pieces: SubwordTokenizer,
        columns: int, output: str, file: str,
    ) -> Scorer:  # fmt: skip
        """Write the fp32 graph of what `run` computes from pieces and mask, `columns` numbers a piece; return it.

        `parts` are the modules that it runs through, the first a `transformers` model. Raise InputError if it gives
        other numbers than `torch` for words cut by `pieces`: in batches, alone, and in the longest window there is.
        """
        inputs, outputs = piece_inputs(int(parts[0].config.vocab_size)), {output: {0: "batch", 1: "pieces"}}
        self.trace(parts, run, file, inputs, outputs)
        graph = onnx.OnnxScorer(self.folder / file, columns, output=output)
        examples = [*map(_example, _TEXTS), long_example(10 * pieces.body)]
        for some in (examples[:-1], examples[:1], examples[-1:]):
            with at(self.source):
                check_close(
                    self.source,
                    *(word_scores(each, pieces, some, columns, onnx.MAX_TOKENS).logits for each in (torch, graph)),
                )
        return graph

    def trace(
        self, parts: Sequence[Any], run: Callable[..., Any], file: str, inputs: Traced,
        outputs: Mapping[str, Mapping[int, str]],
    ) -> None:  # fmt: skip
        """Write the fp32 graph of what `run` computes, by modules of torch (`parts`), from inputs, in their order.

        Raise InputError for one that is too large for a file, or can't be a graph.
        """
        import torch

        class Run(torch.nn.Module):
            """The parts, with what they compute."""

            def __init__(self) -> None:
                super().__init__()
                self.parts = torch.nn.ModuleList(parts)

            def forward(self, *given: Any) -> Any:
                return run(*given)

        whole, path = Run().eval(), self.folder / file
        weights = 4 * sum(each.numel() for each in whole.parameters())
        if weights > _LARGEST:
            raise InputError(f"{self.source}: {weights:,} bytes of weights in fp32 don't fit into one ONNX file (2 GB);"
                             " tag with torch")  # fmt: skip
        models: list[Any] = [each for each in whole.modules() if hasattr(each, "set_attn_implementation")]
        axes = {name: dict(free) for name, (_, free) in inputs.items()} | {
            name: dict(each) for name, each in outputs.items()
        }
        with quiet(), torch.inference_mode():
            for each in models:
                each.set_attn_implementation("eager")
            names = ", ".join(dict.fromkeys(str(each.config.model_type) for each in models)) or "model"
            with refused(f"{self.source}: a {names} can't be exported"):
                torch.onnx.export(
                    whole, tuple(example for example, _ in inputs.values()), str(path), input_names=list(inputs),
                    output_names=list(outputs), dynamic_axes=axes, opset_version=_OPSET, dynamo=False,
                )  # fmt: skip
                _fold(path)


def export(
    tagger: str | Path, *, int8: bool = False, output: Path | None = None, data: AnyData | None = None,
    max_loss: float = MAX_LOSS, overwrite: bool = False, reading: Reading | None = None, head: str = "",
) -> Export:  # fmt: skip
    """Export a tagger's folder or hub name into its `onnx/`, or with `output` into a folder without torch's weights.

    With `data` (a file, or a folder: its test split; read as `reading` says) each graph is compared with torch; without
    it on the sentences that the tagger was distilled from, if the folder has them. Raise InputError for an int8 graph
    that loses more than `max_loss` points of F1 there (`check_loss`). `head` is as in `Tagger.load`.
    """
    if not 0 < max_loss <= 100:
        raise SettingsError(f"--max-loss {max_loss:g}: points of F1, above 0 and up to 100")
    need("train", "torch", "transformers")
    source = ModelFolder.open(tagger, "tagger").check()
    card, kind = source.card, source.head_kind(head)
    kind.check_export(str(tagger))
    if source.backend != "torch":
        raise InputError(f"{source}: holds an exported model alone, which can't be exported again; use the folder that "
                         "it was exported from")  # fmt: skip
    need("export", "onnxruntime", "onnx")
    if output is None and not Path(tagger).is_dir():
        what = "part of the package, which is not written to" if str(tagger) in EMBEDDED else "a model on the hub"
        raise InputError(f"{tagger}: is {what}; name a folder to export into with -o")
    if output is not None:
        check_apart(source.path, output)
        if output.is_dir() and ModelFolder(str(output)).files("weights"):
            raise OutputExists(f"{output}: holds a model's weights, so it is not replaced; delete it by hand")
    examples = _to_compare(source, data, reading, int8=int8)
    with publish_folder(output or source.path / onnx.FOLDER, overwrite=overwrite) as folder:
        inside = folder / onnx.FOLDER if output else folder
        inside.mkdir(exist_ok=True)
        task = ExportTask(source.name, inside, int(card.get("max_length") or LONGEST), int8, examples)
        facts, heads = kind.export(task)
        agreement = _agreement(heads, task, card, max_loss) if examples else {}
        versions = {name: version(name) for name in ("torch", "transformers", "onnxruntime", "onnx")}
        facts |= {"made_from": {"weights": onnx.weights_of(source.name)}, "opset": _OPSET, "versions": versions,
                  "agreement": {name: asdict(each) for name, each in agreement.items()}}  # fmt: skip
        write_json(inside / onnx.CARD, {"format": onnx.FORMAT, **facts})
        if output:
            _write_rest(source, folder)
        sizes = {path.name: path.stat().st_size for path in inside.glob("*.onnx")}
    return Export(output or source.path, sizes, agreement)


def _to_compare(source: ModelFolder, data: AnyData | None, reading: Reading | None, *, int8: bool) -> list[Example]:
    """Return annotated sentences: the data's, else the first ones that a tagger was distilled from, else none."""
    own = source.path / SILVER
    if data is None and not (int8 and own.is_file() and own.stat().st_size):
        return []
    found = read_gold(own if data is None else data, "test", reading_for(source.card, reading)).examples
    return found if data is not None else found[:_SILVER]


def _write_rest(source: ModelFolder, folder: Path) -> None:
    """Write all of a tagger but its weights; its card always, since it marks the folder as ours."""
    for file in {*source.files("small"), source.path / source.kind.marker}:
        (folder / file.relative_to(source.path)).parent.mkdir(exist_ok=True)
        shutil.copyfile(file, folder / file.relative_to(source.path))
    card, head = source.card, source.head_name
    write_json(folder / MODEL_CARD, card if head == TransformersKind.head else card | {"head": head})


def _fold(path: Path) -> None:
    """Let onnxruntime compute once what is constant, which halves the time of loading; operators stay standard ones."""
    import onnx as library
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level, options.optimized_model_filepath = 4, str(path)
    onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    model = library.load(path)
    used = {each.domain for each in model.graph.node}
    kept = [each for each in model.opset_import if each.domain in used]
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


def _example(text: str) -> Example:
    return Example(text, split_words(text))


def long_example(characters: int) -> Example:
    """Return a text of at least so many characters."""
    text = " ".join(_TEXTS)
    return _example(" ".join([text] * (1 + characters // len(text))))


def check_close(source: str, ours: Array, theirs: Array) -> None:
    """Raise InputError if a graph's numbers aren't torch's."""
    worst = float(np.abs(ours - theirs).max(initial=0)) if ours.shape == theirs.shape else math.inf
    if not worst <= _CLOSE * max(1.0, float(np.abs(ours).max(initial=0))):
        raise InputError(f"{source}: its graph's output differs from torch's by {worst:.4f}; it can't be exported")


def _agreement(
    heads: Mapping[str, Head], task: ExportTask, card: Mapping[str, Any], max_loss: float
) -> dict[str, Agreement]:
    """Return how each head agrees with the first one on the data's types; raise InputError for none, or a bad int8."""
    known, examples = next(iter(heads.values())).types, task.examples
    if known:
        examples = [replace(each, spans=tuple(span for span in each.spans if span.type in known)) for each in examples]
    if not any(each.spans for each in examples):
        raise InputError(f"{task.source}: finds none of the data's types ({few(task.types())}), so nothing can be "
                         f"compared; give data with its own ({few(known)})")  # fmt: skip
    if not known:  # labels at run time are the data's types, at the tagger's own thresholds
        types, labels = task.types(), as_learnt(task.types(), card)
        usual = usual_threshold(next(iter(heads.values())), card)
        bounds = thresholds_of(None, card.get("thresholds"), types, usual)
        least = [bounds[each] for each in types]
        heads = {name: head.for_labels(labels, least) for name, head in heads.items()}
    found = agreement_of(heads, examples)
    if int8 := found.get("onnx int8"):
        check_loss("int8", int8, max_loss)
    return found


def agreement_of(heads: Mapping[str, Head], examples: Sequence[Example]) -> dict[str, Agreement]:
    """Return how each head, asked for its types, agrees with the first one on annotated sentences."""
    gold = list(map(word_spans, examples))
    found = {name: head.predict(examples) for name, head in heads.items()}
    reference = next(iter(found.values()))
    return {name: _of_one(gold, reference, each) for name, each in found.items()}


def _of_one(gold: Sequence[Sequence[WordSpan]], torch: Entities, other: Entities) -> Agreement:
    counts = [span_counts(gold, each.word_spans(len(gold))) for each in (torch, other)]
    before, after = (Counts(*each.sum(0).tolist()).f1 for each in counts)
    interval = bootstrap_difference(*counts)
    one, two = ({each[:4]: each[4] for each in entities.spans()} for entities in (torch, other))
    both = one.keys() & two.keys()
    return Agreement(
        after, sum(map(len, gold)), before - after, interval.low, interval.high,
        len(both) / len(one) if one else 1.0, len(two) - len(both),
        float(np.mean([abs(one[each] - two[each]) for each in both])) if both else 0.0,
    )  # fmt: skip


def check_loss(name: str, found: Agreement, max_loss: float) -> None:
    """Raise InputError for a back end that loses over `max_loss` points of F1, or whose confidences differ too much."""
    bad = []
    if 100 * found.loss > max_loss:
        bad.append(f"{100 * found.loss:.1f} points of F1 [{100 * found.low:.1f}, {100 * found.high:.1f}] are lost (at "
                   f"most {max_loss:g} allowed)")  # fmt: skip
    if found.confidence > _MOVED:
        bad.append(f"confidences differ by {found.confidence:.3f} on average (at most {_MOVED:g} allowed)")
    if bad:
        raise InputError(
            f"{name}: {'; '.join(bad)}. Nothing is written; allow more with --max-loss, or leave out --int8"
        )
