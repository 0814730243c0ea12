"""Linear heads, and the back ends that compute their logits: torch, or an exported model on onnxruntime.

`auto`: an export on a CPU (int8 before fp32), else torch.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from nerbert.artifacts import write_json
from nerbert.errors import InputError, SettingsError, at, need
from nerbert.labels import OUTSIDE, check_tags, split_tag
from nerbert.model import onnx
from nerbert.model.backbone import load_tagger_model, tags_of
from nerbert.model.folder import ModelFolder, TransformersKind
from nerbert.model.head_kinds import ExportedHead, ExportTask, HeadKind, HeadOptions
from nerbert.model.heads import Head
from nerbert.model.linear import LinearHead
from nerbert.schema import read_json

_TOKENS = {"cpu": 512}
"""Padded subwords of a batch on a device: a CPU pays for padding and cache misses; a GPU takes more."""
_GPU_TOKENS = 16384
_GPU_DEVICES = ("/dev/nvidiactl", "/dev/dxg", "/dev/nvhost-gpu", "/dev/kfd")
"""Device files of GPUs that torch calls CUDA: NVIDIA's, WSL's, Tegra's, AMD's. Without one torch isn't imported."""


AnyHead = TypeVar("AnyHead", bound=Head)


class LinearHeadKind(HeadKind):
    """A linear layer over BIO tags."""

    starts = frozenset({"shared"})

    @classmethod
    def open(cls, folder: ModelFolder, options: HeadOptions) -> LinearHead:
        """Return the head on the requested back end; raise InputError or MissingExtra if it isn't available."""
        if not options.decoding:
            options = replace(options, decoding="greedy" if folder.card["kind"] == "foreign" else "legal")
        return on_back_end(folder, options, _on_onnx, _on_torch)

    @classmethod
    def export(cls, task: ExportTask) -> ExportedHead:
        """Write the graphs of its logits."""
        from nerbert.model.forward import TorchScorer

        model = load_tagger_model(task.source)
        tags = tags_of(model, task.source)
        pieces = task.pieces(model.config)

        def logits(ids: Any, mask: Any) -> Any:
            return model(input_ids=ids, attention_mask=mask).logits

        scorers = task.graphs([model], logits, TorchScorer(model, "fp32"), pieces, len(tags))
        heads = {name: LinearHead.of(scorer, pieces, tags, onnx.MAX_TOKENS) for name, scorer in scorers.items()}
        return {"tags": tags, **pieces.facts()}, heads

    @classmethod
    def rename_types(cls, folder: Path, names: Mapping[str, str]) -> None:
        """Rename its tags, in the configuration and an export; tags with the same name are merged (`merged_tags`)."""
        config = read_json(folder / TransformersKind.config, dict[str, Any])
        tags_by_index = {int(index): str(tag) for index, tag in config["id2label"].items()}
        tags = [_rename_tag(tags_by_index[index], names) for index in sorted(tags_by_index)]
        config |= {"id2label": dict(enumerate(tags)), "label2id": {tag: index for index, tag in enumerate(tags)}}
        write_json(folder / TransformersKind.config, config)
        if exported := onnx.read_exported(str(folder)):
            card = read_json(exported.folder / onnx.CARD, dict[str, Any])
            tags = [_rename_tag(tag, names) for tag in card["tags"]]
            write_json(exported.folder / onnx.CARD, {**card, "tags": tags, "agreement": {}})  # measured on other types


def _rename_tag(tag: str, names: Mapping[str, str]) -> str:
    """Return a tag with its type's new name, or O if it has none."""
    prefix, type_ = split_tag(tag)
    new = names.get(type_, type_)
    return f"{prefix}-{new}" if new else OUTSIDE


def _choose_graph(exported: onnx.Exported | None, options: HeadOptions, *, has_weights: bool) -> str:
    """Return the precision of the graph to compute with, "" for none."""
    order = {"auto": ("int8", "fp32")}.get(options.precision, (options.precision,))
    precision = next((name for name in order if exported and name in exported.graphs), "")
    if not precision or options.backend == "torch" or options.device.partition(":")[0] not in ("", "cpu"):
        return ""
    unfit = options.backend == "auto" and (find_spec("onnxruntime") is None or (has_weights and _on_gpu(options)))
    return "" if unfit else precision


def on_back_end(
    folder: ModelFolder,
    options: HeadOptions,
    on_onnx: Callable[[onnx.Exported, str, HeadOptions], AnyHead],
    on_torch: Callable[[str, HeadOptions], AnyHead],
) -> AnyHead:
    """Open a head by one of two functions, on an export or in torch; raise InputError or MissingExtra for none."""
    exported = onnx.read_exported(folder.name)
    has_weights = folder.backend == "torch"
    precision = _choose_graph(exported, options, has_weights=has_weights)
    if exported and precision:
        exported.check_weights(folder.name)
        return on_onnx(exported, precision, options)
    if has_weights and options.backend != "onnx" and options.precision != "int8":
        need("train", "torch", "transformers")
        return on_torch(folder.name, options)
    has = f"has {', '.join(exported.graphs) or 'none'}" if exported else "holds no onnx/"
    remedy = "run `nerbert export` (with --int8 for int8)" if has_weights else "the folder holds no weights for torch"
    raise InputError(
        f"{folder}: no back end for backend = {options.backend!r}, precision = {options.precision!r}, device = "
        f"{options.device!r}: torch computes in bf16 and fp32; onnx computes on a CPU in fp32 and int8, from onnx/, "
        f"and the folder {has}; {remedy}"
    )


def _on_gpu(options: HeadOptions) -> bool:
    """Return whether torch would compute on a GPU; torch, slow to import, is imported only if there may be one."""
    has_device = not options.device and options.precision != "int8" and any(map(os.path.exists, _GPU_DEVICES))
    if not has_device or find_spec("torch") is None:
        return False
    import torch

    return bool(torch.cuda.is_available())


def _on_onnx(exported: onnx.Exported, precision: str, options: HeadOptions) -> LinearHead:
    tags = exported.card.tags
    with at(exported.folder / onnx.CARD):
        check_tags(tags)
    scorer = onnx.OnnxScorer(exported.graphs[precision], len(tags), threads=options.threads)
    pieces = exported.pieces(options.longest, options.on_too_long, options.window)
    return LinearHead.of(scorer, pieces, tags, onnx.MAX_TOKENS, options.decoding, f"onnx {precision} cpu")


def _on_torch(source: str, options: HeadOptions) -> LinearHead:
    from nerbert.model.forward import TorchScorer

    model = load_tagger_model(source)
    tags = tags_of(model, source)
    pieces = options.pieces(source, model.config)
    name, tokens = place_model(model, options)
    return LinearHead.of(TorchScorer(model, options.precision), pieces, tags, tokens, options.decoding, name)


def place_model(model: Any, options: HeadOptions) -> tuple[str, int]:
    """Move a torch model to its device; return the head's name and the tokens of a micro-batch there."""
    import torch

    from nerbert.model.forward import precision_on, set_threads

    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if options.threads:
        set_threads(options.threads)
    try:
        device_type = torch.device(device).type
        model.to(device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).strip().split("\n")[0][:200]
        why = f"setting device = {device!r}: torch can't compute there: {reason}"
        raise SettingsError(why, setting="device") from error
    return f"torch {precision_on(device_type, options.precision)} {device}", _TOKENS.get(device_type, _GPU_TOKENS)
