"""Graphs with int8 weights by channel; where answers suffer, the layers that lose most stay in fp32, found by trying.

Weights keep 7 bits, since processors without VNNI sum 8-bit products in 16 bits; by channel that costs little F1.
Embeddings are the largest part of many models, so they are int8 too.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nerbert.model.backbone import quiet
from nerbert.rng import Array

_ENOUGH = 0.05
"""Share (0–1) of the answers' confidence that may move: below, no more layers are kept in fp32."""
_TRIED = (0, 1, 2, 4, 8)
"""Numbers of layers that are kept in fp32, one after the other."""
_MOST = 10
"""At most this fraction (one over) of the layers is kept: each costs some 5 % of the time."""
_WORTH = 1.1
"""More layers are kept only if they make what moves less by this factor."""
TRIED = 64
"""Sentences that layers are tried on."""
_LEVELS = 255
_WEIGHT_LEVELS = 64


def quantise(graph: Path, target: Path, kept: Sequence[str] = ()) -> None:
    """Write a graph with int8 weights; the layers `kept`, by the names of their nodes, stay as they are."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with quiet():
        quantize_dynamic(
            graph, target, per_channel=True, reduce_range=True, weight_type=QuantType.QInt8,
            op_types_to_quantize=["MatMul", "Gather"], nodes_to_exclude=[*kept, *(f"{each}_MatMul" for each in kept)],
            extra_options={"MatMulConstBOnly": True},
        )  # fmt: skip


def share_moved(exact: Sequence[Array], rough: Sequence[Array]) -> float:
    """Return what share (0–1) of some answers, in batches, has moved."""
    moved = sum(float(np.abs(one - other).sum()) for one, other in zip(exact, rough, strict=True))
    return moved / max(sum(float(np.maximum(abs(a), abs(b)).sum()) for a, b in zip(exact, rough, strict=True)), 1e-9)


def quantise_by_trying(
    graph: Path, target: Path, feeds: Sequence[Mapping[str, Array]], moved: Callable[[], float]
) -> tuple[list[str], float]:
    """Write a graph with int8 weights; return the layers that it keeps in fp32, and how much its answers move.

    `feeds` are inputs of the graph, on which layers are compared; they may hold more. `moved` returns what share (0–1)
    of the answers' confidence moves with the graph at `target`.
    """
    worst = _losses(graph, feeds)
    found = dict[int, float]()
    for count in _TRIED:
        if count > len(worst) / _MOST:
            break
        quantise(graph, target, worst[:count])
        found[count] = moved()
        if found[count] <= _ENOUGH:
            return worst[:count], found[count]
    best = next(count for count in found if found[count] <= _WORTH * min(found.values()))
    if best != max(found):
        quantise(graph, target, worst[:best])
    return worst[:best], found[best]


def _losses(graph: Path, feeds: Sequence[Mapping[str, Array]]) -> list[str]:
    """Return the nodes that multiply with weights, those first whose products int8 changes most."""
    import onnx
    import onnxruntime

    model = onnx.load(graph)
    weights = {each.name: each for each in model.graph.initializer}
    nodes = [each for each in model.graph.node if each.op_type in ("MatMul", "Gemm") and each.input[1] in weights]
    read = {each.input[0]: onnx.ValueInfoProto(name=each.input[0]) for each in nodes if each.input[0] not in weights}
    known = {each.name for each in model.graph.output}
    model.graph.output.extend(each for name, each in read.items() if name not in known)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    errors, sizes = defaultdict[str, float](float), defaultdict[str, float](float)
    inputs = [each.name for each in session.get_inputs()]
    for feed in feeds:
        given = {name: feed[name] for name in inputs}
        values = dict(zip(read, session.run(list(read), given), strict=True))
        for node in nodes:
            if node.input[0] in values:
                error, size = _error(values[node.input[0]], _weight(node, weights))
                errors[node.name] += error
                sizes[node.name] += size
    return sorted(errors, key=lambda name: -errors[name] / max(sizes[name], 1e-30))


def _weight(node: Any, weights: Mapping[str, Any]) -> Array:
    """Return the weights that a node multiplies with, (inputs, outputs)."""
    from onnx import numpy_helper

    turned = any(each.name == "transB" and each.i for each in node.attribute)
    found: Array = numpy_helper.to_array(weights[node.input[1]])
    return found.T if turned else found


def _error(values: Array, weight: Array) -> tuple[float, float]:
    """Return the squared error of the product of int8 values and weights, and the squared size of the exact one."""
    flat = values.reshape(-1, values.shape[-1])
    low, high = min(0.0, float(flat.min(initial=0))), max(0.0, float(flat.max(initial=0)))
    step = (high - low) / _LEVELS or 1.0
    rough = np.rint((flat - low) / step) * step + low
    scale = np.maximum(np.abs(weight).max(0), 1e-30) / _WEIGHT_LEVELS
    exact = flat @ weight
    return float(np.square(rough @ (np.rint(weight / scale) * scale) - exact).sum()), float(np.square(exact).sum())
