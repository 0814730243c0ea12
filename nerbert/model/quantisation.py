"""A graph in fp32 → one whose products run in int8 (ONNX)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nerbert.model import onnx
from nerbert.model.backbone import quiet
from nerbert.rng import Array

_COARSE = 8.0
"""Maximum ratio of the range of all rows to that of the median row, which keeps 5 of 8 bits then. The highest ratio is
6 in MiniLM, 41 in MPNet."""
_TINY = "tiny"
"""Name of the constant that a row of zeros is divided by."""


def quantise(
    folder: Path,
    source: str = onnx.GRAPHS["fp32"],
    file: str = onnx.GRAPHS["int8"],
    operators: Sequence[str] = ("MatMul", "Gather"),
    inputs: Mapping[str, Array] = {},
) -> None:
    """Write a graph with int8 weights by channel, by default embeddings too: the largest part of many models.

    Weights keep 7 bits, since processors without VNNI sum 8-bit products in 16 bits. Activations of a product share one
    scale. Where that is too coarse for examples of `inputs`, each row is divided by its largest number before.
    """
    import onnx as library
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = library.load(folder / source)
    with quiet():
        if inputs:
            _scale_rows(model, inputs)
        quantize_dynamic(
            model,
            folder / file,
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=[*operators],
            extra_options={"MatMulConstBOnly": True},
        )


def _scale_rows(model: Any, inputs: Mapping[str, Array]) -> None:
    """Divide rows by their largest number before products with weights, where one scale is too coarse for all rows.

    Some encoders have a few tokens whose numbers are a hundred times those of others.
    """
    from onnx import helper, numpy_helper

    weights = {constant.name for constant in model.graph.initializer}
    products = [node.op_type == "MatMul" and node.input[1] in weights for node in model.graph.node]
    inner = {node.input[0] for node, is_product in zip(model.graph.node, products, strict=True) if is_product}
    states = _compute(model, inputs, sorted(inner))
    # Measured on real inputs: a few rows with large numbers leave the others no digits on one common scale.
    coarse = {name for name, array in states.items() if np.ptp(array) > _COARSE * np.median(np.ptp(array, -1))}
    nodes = list[Any]()
    for node, is_product in zip(model.graph.node, products, strict=True):
        nodes.append(node)
        if is_product and node.input[0] in coarse:
            # rows → |rows| → largest of each → divide → product → multiply again: in exact
            # numbers the same product.
            (rows, _), (output,) = node.input, node.output
            sizes, largest, scale, scaled, product = (
                f"{output}/{part}" for part in ("abs", "max", "scale", "rows", "product")
            )
            node.input[0], node.output[0] = scaled, product
            nodes[-1:] = [
                helper.make_node("Abs", [rows], [sizes]),
                helper.make_node("ReduceMax", [sizes], [largest], axes=[-1]),
                helper.make_node("Max", [largest, _TINY], [scale]),
                helper.make_node("Div", [rows, scale], [scaled]),
                node,
                helper.make_node("Mul", [product, scale], [output]),
            ]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.append(numpy_helper.from_array(np.array(1e-12, np.float32), _TINY))


def _compute(model: Any, inputs: Mapping[str, Array], names: Sequence[str]) -> dict[str, Array]:
    """Return what a graph's inner nodes compute, by name."""
    import onnxruntime
    from onnx import TensorProto, helper

    watched = type(model)()
    watched.CopyFrom(model)
    del watched.graph.output[:]
    watched.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    session = onnxruntime.InferenceSession(watched.SerializeToString(), providers=["CPUExecutionProvider"])
    return dict(
        zip(names, session.run(names, {node.name: inputs[node.name] for node in session.get_inputs()}), strict=True)
    )
