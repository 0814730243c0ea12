"""Weights in eight bits: what is read is what was written but for half a step, in torch and behind a graph."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import save_torch_state_dict
from safetensors.numpy import load_file, save_file

from nerbert.errors import InputError
from nerbert.model.backbone import Backbone
from nerbert.model.folder import WEIGHTS, find_named, weight_files
from nerbert.model.head_kinds import OPSET
from nerbert.model.int8 import SCALE, constants_of, declared, read_int8, to_fp32, to_int8
from nerbert.model.quantisation import quantise


@pytest.fixture
def compact(tmp_path: Path) -> Path:
    """The embedded encoder with weights of eight bits."""
    source = Path(find_named("embedded"))
    for path in source.glob("*.json"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    exact = {name: tensor.astype(np.float32) for name, tensor in load_file(source / WEIGHTS).items()}
    save_file(to_int8(exact), tmp_path / WEIGHTS, {"format": "pt"})
    return tmp_path


def test_torch_reads_them_as_fp32(compact: Path) -> None:
    assert read_int8(weight_files(Path(find_named("embedded")))) is None
    ours, theirs = (Backbone(str(folder), None, seed=0).load_body() for folder in (compact, find_named("embedded")))
    assert ours.config.name_or_path == str(compact)
    exact = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        largest = exact[name].abs().amax(-1, keepdim=True)
        assert bool(((parameter - exact[name]).abs() <= largest / 253).all()), name


def test_shards_are_one_model(compact: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """As Hugging Face's libraries write them, each tensor's scale in any of the files."""
    whole, folder = read_int8(weight_files(compact)), tmp_path_factory.mktemp("shards")
    assert whole is not None
    shutil.copytree(compact, folder, ignore=shutil.ignore_patterns(WEIGHTS), dirs_exist_ok=True)
    tensors = {name: torch.from_numpy(tensor) for name, tensor in whole.items()}
    save_torch_state_dict(tensors, folder, max_shard_size=200_000)
    assert len(weight_files(folder)) > 2
    ours, theirs = (Backbone(str(each), None, seed=0).load_body() for each in (folder, compact))
    assert all(map(torch.equal, ours.parameters(), theirs.parameters()))
    weight_files(folder)[1].rename(compact / "elsewhere")
    with pytest.raises(InputError, match=r"model-00002-of-.* is missing; copy the whole folder"):
        Backbone(str(folder), None, seed=0).load_body()
    index = folder / f"{WEIGHTS}.index.json"
    index.write_text(index.read_text().replace("model-00001", "../model-00001"))
    with pytest.raises(InputError, match=rf"{WEIGHTS}.index.json: .*\.\./model-00001"):
        Backbone(str(folder), None, seed=0).load_body()


def test_a_file_that_lies_is_named(compact: Path) -> None:
    tensors = read_int8(weight_files(compact))
    assert tensors is not None
    scaled = next(name for name in tensors if name.endswith(SCALE))
    save_file(tensors | {scaled: tensors[scaled][:-1]}, compact / WEIGHTS)
    with pytest.raises(InputError, match=rf"{WEIGHTS}: .* and its scale don't belong together"):
        Backbone(str(compact), None, seed=0).load_body()


@pytest.mark.extras
def test_a_graph_computes_with_what_is_joined_to_it() -> None:
    """What is joined is what the graph would have had: rows of a table, and a matrix of seven bits."""
    import onnx
    import onnxruntime

    helper, kinds, rng = onnx.helper, onnx.TensorProto, np.random.default_rng(0)
    stored = to_int8({"w": rng.normal(size=(3, 4)).astype(np.float32), "t": rng.normal(size=(5, 2)).astype(np.float32)})
    nodes = [
        helper.make_node(kind, taken, [made], **more)
        for kind, taken, made, more in (
            ("Gather", ["table", "ids"], "rows", {}),
            ("Cast", ["rows"], "r", {"to": 1}),
            ("Gather", ["table_scale", "ids"], "s", {}),
            ("Mul", ["r", "s"], "looked_up", {}),
            ("Cast", ["m_quantized"], "m", {"to": 1}),
            ("Mul", ["m", "m_scale"], "multiplied", {}),
        )
    ]
    of_type = {"ids": kinds.INT64, "looked_up": kinds.FLOAT, "multiplied": kinds.FLOAT}
    infos = [helper.make_tensor_value_info(name, kind, None) for name, kind in of_type.items()]
    graph = helper.make_model(
        helper.make_graph(nodes, "g", infos[:1], infos[1:]), ir_version=8, opset_imports=[helper.make_opsetid("", 17)]
    )
    constants = constants_of(stored, {"table": "t"}, {"m": "w"})
    assert np.array_equal(constants["m_quantized"], np.rint(stored["w"] / 2).T), "halves go to the even number"
    joined, options = graph.SerializeToString() + declared(constants), onnxruntime.SessionOptions()
    kept = list(map(onnxruntime.OrtValue.ortvalue_from_numpy, constants.values()))
    options.add_external_initializers([*constants], kept)
    session = onnxruntime.InferenceSession(joined, options, providers=["CPUExecutionProvider"])
    looked_up, multiplied = session.run(None, {"ids": np.array([4, 0])})
    exact = to_fp32(stored)
    assert np.array_equal(looked_up, exact["t"][[4, 0]])
    assert np.abs(multiplied - exact["w"].T).max() <= np.abs(exact["w"]).max() / 126
    with pytest.raises(InputError, match="have no 'x' in int8"):
        constants_of(stored, {"table": "x"}, {})


@pytest.mark.extras
def test_a_row_of_large_numbers_leaves_the_others_their_digits(tmp_path: Path) -> None:
    import onnx
    import onnxruntime

    rng, helper = np.random.default_rng(0), onnx.helper
    weights, rows = rng.normal(size=(16, 4)).astype(np.float32), rng.normal(size=(50, 16)).astype(np.float32)
    rows[0], rows[1] = rows[0] * 300, 0
    infos = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", None]) for name in ("x", "y")]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        infos[:1],
        infos[1:],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    opset = [helper.make_opsetid("", OPSET)]
    onnx.save(helper.make_model(graph, ir_version=8, opset_imports=opset), tmp_path / "exact.onnx")
    errors = []
    for inputs in ({}, {"x": rows}):
        quantise(tmp_path, "exact.onnx", "int8.onnx", inputs=inputs)
        session = onnxruntime.InferenceSession(tmp_path / "int8.onnx", providers=["CPUExecutionProvider"])
        errors.append(np.abs(session.run(None, {"x": rows})[0] - rows @ weights)[1:].max())
    assert errors[0] > 1
    assert errors[1] < 0.2
