"""What computes a linear head's logits: torch, or an exported model on onnxruntime.

A back end is a scorer with the tokenizer, labels and batch size that fit it; the rest of the head is the same for all.
`auto` is a fixed rule: torch on a GPU if there is one; else the exported int8 model, else the exported fp32 model,
else torch. That is their order of speed on a CPU (docs/results/2026-11-21-tagger.md). int8 is there only if somebody
has exported it.
"""

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from nerbert.artifacts import sha256_of
from nerbert.config import Bounds, check
from nerbert.errors import InputError, SettingsError, need
from nerbert.model.backbone import embedded, load_tagger_model, load_tokenizer, tags_of
from nerbert.model.heads import Head
from nerbert.model.linear import LinearHead
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.tagger import onnx

LONGEST = 256
"""Pieces of a window where the card says nothing."""
_TOKENS = {"cpu": 512}
"""Padded pieces of a batch on a device: a CPU pays for padding and for what leaves its cache; a GPU takes more."""
_GPU_TOKENS = 16384
_GPU_DEVICES = ("/dev/nvidiactl", "/dev/nvidia0", "/proc/driver/nvidia/version", "/dev/dxg", "/dev/nvhost-gpu",
                "/dev/nvgpu", "/dev/nvmap", "/dev/kfd")  # fmt: skip
"""What the drivers of GPUs that torch calls CUDA make on Linux: NVIDIA's, WSL's, Tegra's, AMD's."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a tagger is to compute, what becomes of long sentences, and how tags are chosen."""

    backend: str = "auto"
    precision: str = "auto"
    device: str = ""
    threads: int = 0
    longest: int = LONGEST
    on_too_long: str = "window"
    decoding: str = "legal"

    def __post_init__(self) -> None:
        check("backend", self.backend, Literal["auto", "torch", "onnx"])
        check("precision", self.precision, Literal["auto", "bf16", "fp32", "int8"])
        check("threads", self.threads, Annotated[int, Bounds(at_least=0, at_most=4096)])

    @property
    def on_cpu(self) -> bool:
        """Return whether a CPU may compute."""
        return self.device.partition(":")[0] in ("", "cpu")


OpenHead: TypeAlias = Callable[[str, Wanted], Head]
"""Returns the head of a tagger's folder or hub name, ready to predict as is wanted."""


def open_linear(source: str, wanted: Wanted) -> LinearHead:
    """Return a linear head on a back end that is wanted; raise InputError or MissingExtra if there is none."""
    source = embedded(source)
    exported = onnx.read_exported(source)
    if exported is None or not installed("onnxruntime"):
        need("train", "torch", "transformers")
    has_weights = not Path(source).is_dir() or any(Path(source).glob("*.safetensors"))
    torch_fits = has_weights and wanted.backend != "onnx" and wanted.precision != "int8"
    precision = _exported_precision(exported, wanted)
    if torch_fits and (not precision or _on_gpu(wanted)):
        return _on_torch(source, wanted)
    if exported is None or not precision:
        raise InputError(f"{source}: {_missing(exported, wanted)}")
    _check_fresh(source, exported)
    scorer = onnx.OnnxScorer(exported.graphs[precision], len(exported.tags), threads=wanted.threads)
    pieces = exported.pieces(wanted.longest, wanted.on_too_long)
    name = f"onnx {precision} cpu"
    return LinearHead(scorer, pieces, exported.tags, onnx.MAX_TOKENS, wanted.decoding, name)


def _exported_precision(exported: onnx.Exported | None, wanted: Wanted) -> str:
    """Return the precision of the exported graph to take, int8 before fp32; "" if none can be."""
    if exported is None or wanted.backend == "torch" or not wanted.on_cpu:
        return ""
    if wanted.backend == "auto" and not installed("onnxruntime"):
        return ""
    order = ("int8", "fp32") if wanted.precision == "auto" else (wanted.precision,)
    return next((each for each in order if each in exported.graphs), "")


def _on_gpu(wanted: Wanted) -> bool:
    """Return whether torch would compute on a GPU; torch, seconds of import, is asked only where there may be one."""
    if wanted.device or not installed("torch") or not _may_have_gpu():
        return False
    import torch

    return bool(torch.cuda.is_available())


def _may_have_gpu() -> bool:
    """Return whether torch might find a GPU here: false only where no driver is that it can use."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"):
        return False
    if platform.system() == "Linux":
        return any(map(os.path.exists, _GPU_DEVICES))
    return platform.system() != "Darwin"  # Macs have no CUDA


def _on_torch(source: str, wanted: Wanted) -> LinearHead:
    need("train", "torch", "transformers")
    import torch

    from nerbert.model.forward import TorchScorer, precision_on

    model = load_tagger_model(source)
    tags = tags_of(model, source)
    pieces = SubwordTokenizer(load_tokenizer(source), model.config, wanted.longest, on_too_long=wanted.on_too_long)
    device = wanted.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if wanted.threads:
        torch.set_num_threads(wanted.threads)
    try:
        kind = torch.device(device).type
        model.to(device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).strip().split("\n")[0][:200]
        why = f"setting device = {device!r}: torch can't compute there: {reason}"
        raise SettingsError(why, setting="device") from error
    name = f"torch {precision_on(kind, wanted.precision)} {device}"
    scorer, tokens = TorchScorer(model, wanted.precision), _TOKENS.get(kind, _GPU_TOKENS)
    return LinearHead(scorer, pieces, tags, tokens, wanted.decoding, name)


def _check_fresh(source: str, exported: onnx.Exported) -> None:
    """Raise InputError if the weights are no longer those that were exported."""
    told = exported.made_from.get("weights")
    for path in sorted(Path(source).glob("*.safetensors")):
        if isinstance(told, dict) and told.get(path.name) != sha256_of(path):
            raise InputError(
                f"{exported.folder}: made from other weights than {path.name}; export the tagger again "
                "(`nerbert export --overwrite`), or delete the folder"
            )


def _missing(exported: onnx.Exported | None, wanted: Wanted) -> str:
    """Say what to do about a back end that isn't there."""
    asked = f"no back end for backend = {wanted.backend!r}, precision = {wanted.precision!r}"
    if not wanted.on_cpu:
        return f"{asked} on {wanted.device}: onnx computes on the CPU here"
    if wanted.precision == "bf16" or wanted.backend == "torch":
        return f"{asked}: torch computes in bf16 and fp32, from model.safetensors; int8 is onnx"
    has = f"has {', '.join(exported.graphs) or 'none'}" if exported else "holds no onnx/"
    return f"{asked}: the folder {has}; run `nerbert export` (with --int8 for int8)"


def installed(name: str) -> bool:
    """Return whether a library can be imported."""
    return find_spec(name) is not None
