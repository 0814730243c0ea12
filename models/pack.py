"""Pack a trained folder of `names` for shipping: weights in int8, and graphs for onnxruntime without their weights.

`python pack.py TRAINED FOLDER` writes the folder: each weight is there once, for torch and for onnxruntime, and so is
a tokenizer that texts and names share.
"""

import json
import shutil
import sys
from copy import deepcopy
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from huggingface_hub import save_torch_state_dict
from onnx import helper, numpy_helper
from safetensors.numpy import load_file
from transformers import AutoTokenizer

from nerbert.model import onnx as graphs
from nerbert.model.concept_encoder import LONGEST_NAME
from nerbert.model.folder import WEIGHTS, weight_files
from nerbert.model.head_kinds import TEXTS
from nerbert.model.int8 import SCALE, read_int8, to_fp32, to_int8
from nerbert.model.quantisation import quantise
from nerbert.tagger.export import export

CONCEPTS = f"concepts/{WEIGHTS}"
LARGEST = 90_000_000
"""Bytes of a file of weights: code hosts refuse files of 100 MB."""
FP32, INT8 = graphs.GRAPHS["fp32"], graphs.GRAPHS["int8"]


def pack(trained: Path, folder: Path) -> None:
    """Write the folder."""
    shutil.copytree(trained, folder, ignore=shutil.ignore_patterns("onnx", "log.jsonl", "README.md"))
    for path in folder.rglob(WEIGHTS):
        tensors = {name: torch.from_numpy(tensor) for name, tensor in to_int8(load_file(path)).items()}
        path.unlink()
        save_torch_state_dict(tensors, path.parent, max_shard_size=LARGEST)
        for file in weight_files(path.parent):
            file.chmod(0o644)  # safetensors makes its files private
    export(folder)
    inside = folder / graphs.FOLDER
    of_names = CONCEPTS if (folder / CONCEPTS).is_file() else WEIGHTS
    tokenizer = AutoTokenizer.from_pretrained(folder)
    encoded = tokenizer(" ".join(TEXTS), truncation=True, max_length=LONGEST_NAME, return_tensors="np")
    inputs = {name: encoded[name].astype(np.int64) for name in ("input_ids", "attention_mask")}
    constants = {
        INT8: strip(inside, FP32, INT8, WEIGHTS, inputs),
        graphs.CONCEPTS_GRAPH: strip(inside, graphs.CONCEPTS_GRAPH, graphs.CONCEPTS_GRAPH, of_names, inputs),
    }
    (inside / FP32).unlink()
    if of_names == WEIGHTS:  # one encoder, so one tokenizer
        for file in (graphs.TOKENIZER, graphs.CONCEPTS_TOKENIZER):
            (inside / file).unlink()
    card = json.loads((inside / graphs.CARD).read_text())
    (inside / graphs.CARD).write_text(json.dumps(card | {"constants": constants}, indent=2) + "\n")


def strip(inside: Path, source: str, file: str, weights: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """Write a graph of fp32 with products of int8, without what the weights have; return what it lacks."""
    stored = read_int8(weight_files((inside.parent / weights).parent)) or {}
    exact = {name: tensor for name, tensor in to_fp32(stored).items() if name + SCALE in stored}
    by_content = {
        "Gather": {_key(tensor): name for name, tensor in exact.items()},
        "MatMul": {_key(tensor.T): name for name, tensor in exact.items()},
    }
    graph = onnx.load(inside / source).graph
    used_by = {
        node.input[0 if node.op_type == "Gather" else 1]: node.op_type
        for node in graph.node
        if node.op_type in by_content
    }
    found: dict[str, dict[str, str]] = {operator: {} for operator in by_content}
    for constant in graph.initializer:
        operator = used_by.get(constant.name, "")
        if name := by_content.get(operator, {}).get(_key(numpy_helper.to_array(constant))):
            found[operator][constant.name] = name
    tables, matrices = found["Gather"], found["MatMul"]
    quantise(inside, source, file, ["MatMul"], inputs)
    model = onnx.load(inside / file)
    taken = {*tables, *(name + end for name in matrices for end in ("_quantized", "_scale"))}
    nodes = [new for node in model.graph.node for new in (_rows(node) if node.input[0] in tables else [node])]
    kept = [constant for constant in model.graph.initializer if constant.name not in taken]
    for field, entries in ((model.graph.node, deepcopy(nodes)), (model.graph.initializer, deepcopy(kept))):
        del field[:]
        field.extend(entries)
    del model.graph.value_info[:]
    onnx.save(model, inside / file)
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
