"""Pack a trained folder of `names` for shipping: weights in int8, and graphs for onnxruntime without their weights.

`python pack.py TRAINED FOLDER` writes the folder: each weight is there once, for torch and for onnxruntime.
"""

import json
import shutil
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from safetensors.numpy import load_file, save_file

from nerbert.model import onnx as graphs
from nerbert.model.folder import WEIGHTS
from nerbert.model.int8 import SCALE, to_fp32, to_int8
from nerbert.tagger.export import export

CONCEPTS = f"concepts/{WEIGHTS}"


def pack(trained: Path, folder: Path) -> None:
    """Write the folder."""
    shutil.copytree(trained, folder, ignore=shutil.ignore_patterns("onnx", "*.safetensors", "log.jsonl"))
    for path in trained.glob("**/*.safetensors"):
        tensors = load_file(path)
        used = {name: tensor for name, tensor in tensors.items() if "pooler" not in name}
        kept = to_int8(used) if path.name == WEIGHTS else tensors
        save_file(kept, folder / path.relative_to(trained), {"format": "pt"})
    export(folder)
    inside = folder / graphs.FOLDER
    shared = not (folder / CONCEPTS).is_file()
    graphs_of = [
        (graphs.GRAPHS["fp32"], graphs.GRAPHS["int8"], WEIGHTS),
        (graphs.CONCEPTS_GRAPH, graphs.CONCEPTS_GRAPH, WEIGHTS if shared else CONCEPTS),
    ]
    constants = {file: strip(inside / source, inside / file, folder, weights) for source, file, weights in graphs_of}
    (inside / graphs.GRAPHS["fp32"]).unlink()
    card = json.loads((inside / graphs.CARD).read_text())
    (inside / graphs.CARD).write_text(json.dumps(card | {"constants": constants}, indent=2) + "\n")


def strip(source: Path, path: Path, folder: Path, weights: str) -> dict[str, Any]:
    """Write a graph of fp32 with products of int8, without what a file of weights has; return what it lacks."""
    stored = load_file(folder / weights)
    exact = {name: tensor for name, tensor in to_fp32(stored).items() if name + SCALE in stored}
    by_row = {_key(tensor): name for name, tensor in exact.items()}
    by_column = {_key(tensor.T): name for name, tensor in exact.items()}
    kinds = {
        node.input[position]: node
        for node in onnx.load(source).graph.node
        for position in {"Gather": [0], "MatMul": [1]}.get(node.op_type, [])
    }
    tables, matrices = {}, {}
    for constant in onnx.load(source).graph.initializer:
        node, key = kinds.get(constant.name), _key(numpy_helper.to_array(constant))
        if node and node.op_type == "Gather" and key in by_row:
            tables[constant.name] = by_row[key]
        elif node and node.op_type == "MatMul" and key in by_column:
            matrices[constant.name] = by_column[key]
    quantize_dynamic(
        source,
        path,
        per_channel=True,
        reduce_range=True,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["MatMul"],
        extra_options={"MatMulConstBOnly": True},
    )
    model = onnx.load(path)
    graph = model.graph
    taken = {*tables, *(name + end for name in matrices for end in ("_quantized", "_scale"))}
    kept = [each for each in graph.initializer if each.name not in taken]
    nodes = [new for node in graph.node for new in (_rows(node) if node.input and node.input[0] in tables else [node])]
    for field, entries in ((graph.initializer, kept), (graph.node, nodes)):
        copies = [type(each).FromString(each.SerializeToString()) for each in entries]
        del field[:]
        field.extend(copies)
    del graph.value_info[:]
    onnx.save(model, path)
    print(path.name, len(tables), "tables", len(matrices), "matrices", path.stat().st_size)
    return {"weights": weights, "tables": tables, "matrices": matrices}


def _rows(node: Any) -> list[Any]:
    """Return what looks up rows in int8 and multiplies them by their scales."""
    table, numbers, name = node.input[0], node.input[1], node.output[0]
    return [
        helper.make_node("Gather", [table, numbers], [name + "_rows"]),
        helper.make_node("Cast", [name + "_rows"], [name + "_cast"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Gather", [table + "_scale", numbers], [name + "_scales"]),
        helper.make_node("Mul", [name + "_cast", name + "_scales"], [name]),
    ]


def _key(array: Any) -> str:
    return sha256(np.ascontiguousarray(array, np.float32).tobytes()).hexdigest()


if __name__ == "__main__":
    pack(*map(Path, sys.argv[1:]))
