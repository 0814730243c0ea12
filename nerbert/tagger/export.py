"""A tagger → ONNX graphs that run without torch, in fp32 and int8; compared with torch before they are published.

Cost: a model type whose control flow depends on its input's values (longformer) is refused.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from nerbert.artifacts import check_apart, publish_folder, write_json
from nerbert.data.splits import AnyData, read_gold
from nerbert.entity_labels import as_learnt
from nerbert.errors import InputError, OutputExists, SettingsError, few, need
from nerbert.formats.documents import Reading, reading_for
from nerbert.labels import WordSpan, word_spans
from nerbert.metrics.judging import bootstrap_difference, span_counts
from nerbert.metrics.score import Counts
from nerbert.model import onnx
from nerbert.model.folder import CARD as MODEL_CARD
from nerbert.model.folder import SILVER, ModelFolder, TransformersKind, find_named
from nerbert.model.head_kinds import LONGEST, OPSET, ExportTask, head_kind
from nerbert.model.heads import Entities, Head
from nerbert.records import Example
from nerbert.tagger.thresholds import thresholds_of, usual_threshold

MAX_LOSS = 1.0
"""Default for the maximum points of F1 that int8 may lose."""
_MOVED = 0.05
"""Maximum mean difference (0–1) of confidences."""
_SILVER = 2000
"""Maximum sentences of its distillation that an export is compared on."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """A back end's result on sentences with `gold` entities: F1 (0–1), and its loss compared with torch's F1.

    The loss is between `low` and `high` (95 %, a paired bootstrap). `share` (0–1) of torch's entities are found, and
    `other` ones that torch doesn't find; `confidence` is the mean difference in confidence of shared entities.
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
    """The written files: the folder with `onnx/` in it, bytes of each graph, and agreement by back end if measured."""

    folder: Path
    sizes: dict[str, int]
    agreement: dict[str, Agreement]


def export(
    tagger: str | Path,
    *,
    int8: bool = False,
    output: Path | None = None,
    data: AnyData | None = None,
    max_loss: float = MAX_LOSS,
    overwrite: bool = False,
    reading: Reading | None = None,
    head: str = "",
) -> Export:
    """Export a tagger's folder or hub name into its `onnx/`, or with `output` into a folder without torch's weights.

    With `data` (a file, or a folder: its test split; read as `reading` says) each graph is compared with torch; without
    it on the sentences that the tagger was distilled from, if the folder has them. Raise InputError for an int8 graph
    that loses more than `max_loss` points of F1 there (`check_loss`). `head` is as in `Tagger.load`.
    """
    if not 0 < max_loss <= 100:
        raise SettingsError(f"--max-loss {max_loss:g}: points of F1, above 0 and up to 100")
    need("train", "torch", "transformers")
    source = ModelFolder.open(tagger, "tagger").check()
    card = source.card
    exporter = head_kind(source, head)
    exporter.check_export(str(tagger))
    if source.backend != "torch":
        raise InputError(
            f"{source}: holds an exported model alone, which can't be exported again; use the folder that "
            "it was exported from"
        )
    need("export", "onnxruntime", "onnx")
    _check_output(str(tagger), source, output)
    examples = _read_examples(source, data, reading, int8=int8)
    with publish_folder(output or source.path / onnx.FOLDER, overwrite=overwrite) as folder:
        inside = folder / onnx.FOLDER if output else folder
        inside.mkdir(exist_ok=True)
        task = ExportTask(source.name, inside, int(card.get("max_length") or LONGEST), int8, examples)
        facts, heads = exporter.export(task)
        agreement = _measure_agreement(heads, task, card, max_loss) if examples else {}
        versions = {name: version(name) for name in ("torch", "transformers", "onnxruntime", "onnx")}
        facts |= {
            "made_from": {"weights": onnx.weights_of(source.name)},
            "opset": OPSET,
            "versions": versions,
            "agreement": {name: asdict(measured) for name, measured in agreement.items()},
        }
        write_json(inside / onnx.CARD, {"format": onnx.FORMAT, **facts})
        if output:
            _copy_others(source, folder)
        sizes = {path.name: path.stat().st_size for path in inside.glob("*.onnx")}
    return Export(output or source.path, sizes, agreement)


def _read_examples(source: ModelFolder, data: AnyData | None, reading: Reading | None, *, int8: bool) -> list[Example]:
    """Return annotated sentences: the data's, else the first ones that a tagger was distilled from, else none."""
    silver = source.path / SILVER
    if data is None and not (int8 and silver.is_file() and silver.stat().st_size):
        return []
    examples = read_gold(silver if data is None else data, "test", reading_for(source.card, reading)).examples
    return examples if data is not None else examples[:_SILVER]


def _copy_others(source: ModelFolder, folder: Path) -> None:
    """Copy all of a tagger except its weights; write its card in any case, since it marks the folder as ours."""
    for file in {*source.files("small"), source.path / source.kind.marker}:
        (folder / file.relative_to(source.path)).parent.mkdir(exist_ok=True)
        shutil.copyfile(file, folder / file.relative_to(source.path))
    card, head = source.card, source.head_name
    write_json(folder / MODEL_CARD, card if head == TransformersKind.head else card | {"head": head})


def _check_output(tagger: str, source: ModelFolder, output: Path | None) -> None:
    if output is None and not Path(tagger).is_dir():
        named = find_named(tagger) != tagger
        origin = "part of the package, which is not written to" if named else "a model on the hub"
        raise InputError(f"{tagger}: is {origin}; name a folder to export into with -o")
    if output is not None:
        check_apart(output, [source.path])
        if output.is_dir() and ModelFolder(str(output)).files("weights"):
            raise OutputExists(f"{output}: holds a model's weights, so it is not replaced; delete it by hand")


def _measure_agreement(
    heads: Mapping[str, Head], task: ExportTask, card: Mapping[str, Any], max_loss: float
) -> dict[str, Agreement]:
    """Return each head's agreement with the first one on the data's types; raise InputError for none, or a bad int8."""
    torch = next(iter(heads.values()))
    examples = task.examples
    types = task.types()
    if torch.types:
        examples = [
            replace(example, spans=tuple(span for span in example.spans if span.type in torch.types))
            for example in examples
        ]
    if not any(example.spans for example in examples):
        raise InputError(
            f"{task.source}: finds none of the data's types ({few(types)}), so nothing can be compared; "
            f"give data with its own ({few(torch.types)})"
        )
    if not torch.types:  # labels at run time are the data's types, at the tagger's own thresholds
        bounds = thresholds_of(None, card.get("thresholds"), types, usual_threshold(torch, card))
        labels = as_learnt(types, card)
        least = [bounds[type_] for type_ in types]
        heads = {name: head.for_labels(labels, least) for name, head in heads.items()}
    agreement = agreement_of(heads, examples)
    if int8 := agreement.get("onnx int8"):
        check_loss("int8", int8, max_loss)
    return agreement


def agreement_of(heads: Mapping[str, Head], examples: Sequence[Example]) -> dict[str, Agreement]:
    """Return each head's agreement with the first one, for its types, on annotated sentences."""
    gold = list(map(word_spans, examples))
    predicted = {name: head.predict(examples) for name, head in heads.items()}
    torch = next(iter(predicted.values()))
    return {name: _compare_entities(gold, torch, entities) for name, entities in predicted.items()}


def _compare_entities(gold: Sequence[Sequence[WordSpan]], *of_heads: Entities) -> Agreement:
    counts = [span_counts(gold, entities.word_spans(len(gold))) for entities in of_heads]
    before, after = (Counts(*rows.sum(0).tolist()).f1 for rows in counts)
    interval = bootstrap_difference(*counts)
    torch, other = ({row[:4]: row[4] for row in entities.spans()} for entities in of_heads)
    both = torch.keys() & other.keys()
    return Agreement(
        after,
        sum(map(len, gold)),
        before - after,
        interval.low,
        interval.high,
        len(both) / len(torch) if torch else 1.0,
        len(other) - len(both),
        float(np.mean([abs(torch[span] - other[span]) for span in both])) if both else 0.0,
    )


def check_loss(name: str, agreement: Agreement, max_loss: float) -> None:
    """Raise InputError for a back end that loses over `max_loss` points of F1, or whose confidences differ too much."""
    loss, low, high = (100 * value for value in (agreement.loss, agreement.low, agreement.high))
    reasons = []
    if loss > max_loss:
        reasons.append(f"{loss:.1f} points of F1 [{low:.1f}, {high:.1f}] are lost (at most {max_loss:g} allowed)")
    if agreement.confidence > _MOVED:
        reasons.append(f"confidences differ by {agreement.confidence:.3f} on average (at most {_MOVED:g} allowed)")
    if reasons:
        why = "; ".join(reasons)
        raise InputError(f"{name}: {why}. Nothing is written; allow more with --max-loss, or leave out --int8")
