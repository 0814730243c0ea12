"""Weights in eight bits with a scale for each row: torch reads them as fp32, and constants of graphs are made of them.

A tensor `x` of int8 has `x.scale`, (rows, 1) in fp32, beside it. Cost: a number is off by up to a 254th of the largest
one in its row.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from nerbert.errors import InputError, need, refused
from nerbert.rng import Array

SCALE = ".scale"
_LARGEST = 127
_CONSTANTS, _GRAPH = 5, 7
"""The fields of a graph that hold its constants, and of a model that holds its graph, in ONNX's format."""
_NUMBERS = {np.dtype(np.float32): 1, np.dtype(np.int8): 3}


def to_int8(tensors: Mapping[str, Array]) -> dict[str, Array]:
    """Return tensors of two dimensions in int8, each with its scale, and others as they are."""
    made = dict[str, Array]()
    for name, tensor in tensors.items():
        made[name] = tensor
        if tensor.ndim == 2:
            # A row of zeros would divide by zero.
            scale = np.maximum(np.abs(tensor).max(1, keepdims=True), 1e-12).astype(np.float32) / _LARGEST
            made |= {name: np.rint(tensor / scale).astype(np.int8), name + SCALE: scale}
    return made


def read_int8(files: Sequence[Path]) -> dict[str, Array] | None:
    """Return the tensors of files, None if no weights are in int8; raise InputError for a file that can't be read."""
    need("onnx", "safetensors")
    from safetensors import safe_open
    from safetensors.numpy import load_file

    scaled = dict[str, Path]()
    for path in files:
        with refused(f"{path}: can't be read"), safe_open(path, "np") as content:
            names = [name for name in content.keys() if name.endswith(SCALE)]  # noqa: SIM118
        scaled |= {name.removesuffix(SCALE): path for name in names}
    if not scaled:
        return None
    tensors = dict[str, Array]()
    for path in files:
        with refused(f"{path}: can't be read"):
            tensors |= load_file(path)
    for name, path in scaled.items():
        tensor = tensors.get(name)
        scale = tensors[name + SCALE]
        if (
            tensor is None
            or tensor.dtype != np.int8
            or tensor.ndim != 2
            or scale.dtype != np.float32
            or scale.shape != (len(tensor), 1)
        ):
            raise InputError(f"{path}: {name} and its scale don't belong together")
    return tensors


def to_fp32(tensors: Mapping[str, Array]) -> dict[str, Array]:
    """Return tensors in fp32, those in int8 times their scales."""
    return {
        name: tensor * tensors[name + SCALE] if name + SCALE in tensors else tensor
        for name, tensor in tensors.items()
        if not name.endswith(SCALE)
    }


def constants_of(
    tensors: Mapping[str, Array], tables: Mapping[str, str], matrices: Mapping[str, str]
) -> dict[str, Array]:
    """Return the constants that a graph lacks; raise InputError for a tensor that is missing. By a constant's name
    `tables` are of what is looked up by rows, `matrices` of what is multiplied by (in 7 bits: `quantisation.quantise`).
    """
    for name in {*tables.values(), *matrices.values()}:
        if name + SCALE not in tensors:
            raise InputError(f"the weights have no {name!r:.80} in int8; they don't belong to the graph")
    made = dict[str, Array]()
    for constant, name in tables.items():
        made |= {constant: tensors[name], constant + "_scale": tensors[name + SCALE]}
    for constant, name in matrices.items():
        # From 8 bits to 7, rounded to even, without larger numbers in between, which int8 couldn't hold.
        down = (halves := tensors[name].T.copy()) >> 1
        halves &= down & 1
        halves += down
        made |= {constant + "_quantized": halves, constant + "_scale": 2 * tensors[name + SCALE][:, 0]}
    return made


def declared(constants: Mapping[str, Array]) -> bytes:
    """Return what joins a graph to constants in memory: in ONNX's format their sizes, kinds, names and a place."""
    made = b""
    for name, array in constants.items():
        sizes = b"".join(b"\x08" + _varint(size) for size in array.shape)
        # The values aren't copied into the message: onnxruntime gets them as arrays under the same names.
        place = _field(13, _field(1, b"location") + _field(2, b"memory")) + b"\x70\x01"
        made += _field(_CONSTANTS, sizes + b"\x10" + _varint(_NUMBERS[array.dtype]) + _field(8, name.encode()) + place)
    return _field(_GRAPH, made)


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    made = b""
    while number > 0x7F:
        made = made + bytes([number & 0x7F | 0x80])
        number = number >> 7
    return made + bytes([number])
