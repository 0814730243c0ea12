"""Precisions that a device computes in."""

from typing import Literal

import torch


def autocast(device: str, precision: str) -> torch.autocast:
    """A context that computes in bf16 if `precision` (`auto`: the device's best) says so; weights stay as they are."""
    return torch.autocast(device, torch.bfloat16, enabled=precision_on(device, precision) == "bf16")


def precision_on(device: str, precision: str) -> str:
    """`bf16` or `fp32`: what a setting of `precision` means on a device; `auto` is its best."""
    return precision if precision != "auto" else best_precision(device)


def best_precision(device: str = "") -> Literal["bf16", "fp32"]:
    """`bf16` where the device (`cuda`, `cpu` …; default: the GPU if there is one) computes in it, else `fp32`."""
    if (device or "cuda") == "cuda" and torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    if device not in ("", "cpu"):
        return "fp32"
    has = any(getattr(torch.cpu, name, bool)() for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return "bf16" if has else "fp32"
