"""GLiNER's models as graphs: the same scores and entities as torch's, for any number of labels and any length."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from nerbert.errors import InputError, NerbertError, OutputExists
from nerbert.model.folder import ModelFolder
from nerbert.model.gliner.folder import load_gliner
from nerbert.model.gliner.head import GlinerHead
from nerbert.records import EntityLabel, Example, Span
from nerbert.tagger.export import export, long_example
from nerbert.tagger.gliner_onnx import OnnxGliner
from nerbert.tagger.tagger import Tagger
from nerbert.words import split_words

from .conftest import Make

DEBERTA = {"model_type": "deberta-v2", "relative_attention": True, "position_buckets": 8,
           "pos_att_type": ["p2c", "c2p"], "position_biased_input": False, "share_att_key": True,
           "norm_rel_ebd": "layer_norm", "max_relative_positions": -1, "type_vocab_size": 0}  # fmt: skip
MODERN = {"model_type": "modernbert", "local_attention": 16, "pad_token_id": 0, "num_hidden_layers": 3}
KINDS: dict[str, dict[str, Any]] = {
    "markerV0": {}, "marker": {"span_mode": "marker"}, "token": {"span_mode": "token_level", "num_rnn_layers": 2},
    "single words": {"max_width": 1, "span_mode": "marker"}, "two encoders": {"labels_encoder": "x/y"},
    "two encoders, token": {"labels_encoder": "x/y", "span_mode": "token_level", "hidden_size": 16},
    "mean": {"subtoken_pooling": "mean", "num_rnn_layers": 0}, "max": {"subtoken_pooling": "max"},
    "last, DeBERTa": {"subtoken_pooling": "last", "body": DEBERTA}, "ModernBERT": {"body": MODERN, "hidden_size": 16},
}  # fmt: skip
TEXT = "The ship left the port of Stockholm. It sank in the harbour, says the mayor of the city."
LABELS = [EntityLabel("ship"), EntityLabel("port", "where ships call"), EntityLabel("city")]
NAMES = [f"{name} of {what}" for name in ("name", "place", "price") for what in "abcdefghi"]


def example(text: str) -> Example:
    return Example(text, split_words(text, "gliner-words-1"))


EXAMPLES = [example(TEXT), example("Paris"), example("The mayor of the port left."), long_example(1500)]


def odds(folder: Path, backend: str, labels: list[EntityLabel], precision: str = "fp32") -> list[Any]:
    """All log-odds of the texts' windows, read in batches."""
    head = Tagger.load(folder, backend=backend, precision=precision, device="cpu", threads=1).head
    assert isinstance(head, GlinerHead)
    assert isinstance(head.scorer, OnnxGliner) == (backend == "onnx")
    asked, found = head.for_labels(labels, [0.5] * len(labels)), list[Any]()
    for part, windows in asked.prompted(EXAMPLES):
        found += [scores for _, scores in sorted(part.scores(windows), key=lambda each: each[0])]
    return found


def compared(folder: Path, labels: list[EntityLabel]) -> list[float]:
    """Assert that the graphs give torch's log-odds; return those of spans."""
    spread = list[float]()
    for own, other in zip(odds(folder, "torch", labels), odds(folder, "onnx", labels), strict=True):
        assert own.shape == other.shape
        inside = np.isfinite(own)
        assert (inside == np.isfinite(other)).all()
        np.testing.assert_allclose(own[inside], other[inside], atol=1e-4)
        spread += own[inside].tolist()
    return spread


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_torchs(make: Make, capfd: pytest.CaptureFixture[str], kind: str) -> None:
    folder = make(**KINDS[kind])
    export(folder)
    assert capfd.readouterr() == ("", "")
    for labels in (LABELS, LABELS[:1], [*map(EntityLabel, NAMES)]):
        assert np.std(compared(folder, labels)) > 0.1  # the test can fail


@pytest.mark.parametrize("kind", ["markerV0", "token", "single words", "two encoders"])
@pytest.mark.parametrize("decoding", ["", "nested", "touching"])
def test_entities_are_torchs(make: Make, kind: str, decoding: str) -> None:
    if decoding == "touching" and kind != "single words":
        pytest.skip("for models of single words alone")
    folder, texts = make(**KINDS[kind]), [each.text for each in EXAMPLES]
    export(folder, int8=True)
    card = {"format": 1, "kind": "tagger", "word_splitter": "gliner-words-1", "calibration": {"temperature": 1.7},
            "thresholds": {"ship": 0.45}}  # fmt: skip
    (folder / "nerbert.json").write_text(json.dumps(card))
    found = [
        [*Tagger.load(folder, backend=backend, precision=precision, device="cpu", decoding=decoding)
         .tag_many(texts, ["ship", "port: where ships call", "city"])]
        for backend, precision in (("torch", "fp32"), ("onnx", "fp32"), ("onnx", "int8"))
    ]  # fmt: skip
    assert sum(map(len, found[0])) > 5
    for own, other in zip(found[0], found[1], strict=True):
        assert [each[:4] for each in map(row, own)] == [each[:4] for each in map(row, other)]
        assert [each.confidence for each in own] == pytest.approx([each.confidence for each in other], abs=1e-4)
    assert any(found[2])


def row(span: Span) -> tuple[Any, ...]:
    return span.start, span.end, span.type, span.text


CHILD = """
import sys
for name in ("torch", "transformers", "accelerate", "safetensors", "huggingface_hub", "pyarrow"):
    sys.modules[name] = None
import json
from nerbert import Tagger
tagger = Tagger.load(sys.argv[1])
spans = tagger.tag(sys.argv[2], ["ship", "city"])
print(json.dumps([tagger.head.name, [[s.start, s.end, s.type, s.text] for s in spans]]))
"""


@pytest.mark.parametrize("kind", ["markerV0", "two encoders"])
def test_without_torch(make: Make, tmp_path: Path, kind: str) -> None:
    light = export(make(**KINDS[kind]), output=tmp_path / "light").folder
    assert {path.suffix for path in light.rglob("*") if path.is_file()} <= {".json", ".onnx", ".md"}
    wanted = [list(row(each)) for each in Tagger.load(light).tag(TEXT, ["ship", "city"])]
    assert wanted
    run = [sys.executable, "-W", "error", "-c", CHILD, str(light), TEXT]
    name, found = json.loads(subprocess.run(run, capture_output=True, text=True, check=True).stdout)
    assert (name, found) == ("onnx fp32 cpu", wanted)
    assert Tagger.load(light).fingerprint


def test_vectors_of_labels_are_kept_by_content(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make(**KINDS["two encoders"])
    export(folder)
    tagger = Tagger.load(folder, backend="onnx", thresholds=0.4)
    found = list(tagger.tag(TEXT, ["ship", "a new label"]))
    monkeypatch.setattr(OnnxGliner, "_encoder", lambda *_: pytest.fail("no label is new"))
    again = Tagger.load(folder, backend="onnx", thresholds=0.4)
    assert list(again.tag(TEXT, ["ship", "a new label"])) == found
    assert again.tag("", ["ship"]) == []


def test_int8_is_tried_and_compared(make: Make) -> None:
    folder = make()
    card = {"format": 1, "kind": "tagger", "word_splitter": "gliner-words-1", "thresholds": {"ship": 0.3, "city": 0.3}}
    (folder / "nerbert.json").write_text(json.dumps(card))
    gold = [Example(TEXT, EXAMPLES[0].words, (Span(4, 8, "ship"), Span(26, 35, "city")))]
    done = export(folder, int8=True, data=gold)
    assert done.agreement.keys() == {"torch fp32", "onnx fp32", "onnx int8"}
    assert done.agreement["torch fp32"].share == done.agreement["onnx fp32"].share == 1
    assert done.agreement["onnx fp32"].confidence < 1e-4
    assert 0 < done.agreement["onnx int8"].confidence < 0.1
    card = json.loads((folder / "onnx" / "nerbert-onnx.json").read_text())
    assert card["kept_in_fp32"] == done.kept
    assert 0 < card["moved"] < 1


PRODUCTS = ("MatMul", "Gemm")


def test_layers_stay_in_fp32_until_little_moves(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnx

    folder = make(body={"num_hidden_layers": 4})
    moved = [json.loads((export(folder, int8=True, overwrite=True).folder / "onnx" / "nerbert-onnx.json").read_text())]
    for name, value in (("_ENOUGH", 0.0), ("_MOST", 2), ("_WORTH", 1.0)):
        monkeypatch.setattr(f"nerbert.tagger.quantise.{name}", value)
    done = export(folder, int8=True, overwrite=True)
    card = json.loads((folder / "onnx" / "nerbert-onnx.json").read_text())
    assert len(done.kept) in (1, 2, 4, 8)
    products = [each for each in onnx.load(folder / "onnx" / "model.onnx").graph.node if each.op_type in PRODUCTS]
    int8 = [each for each in onnx.load(folder / "onnx" / "model_int8.onnx").graph.node if "Integer" in each.op_type]
    fixed = {each.name for each in onnx.load(folder / "onnx" / "model.onnx").graph.initializer}
    assert len(int8) == sum(each.input[1] in fixed for each in products) - len(done.kept)
    assert card["moved"] < moved[0]["moved"]


def graph_of(folder: Path, name: str, change: Callable[[Any], None]) -> None:
    import onnx

    model = onnx.load(folder / "onnx" / name)
    change(model)
    onnx.save(model, folder / "onnx" / name)


def renamed(model: Any) -> None:
    model.graph.input[0].name = "other"


def spied(model: Any) -> None:
    model.opset_import.add(domain="evil", version=1)
    model.graph.node[0].domain, model.graph.node[0].op_type = "evil", "Spy"


def after(model: Any, output: int, operator: str, *more: str, **how: Any) -> Any:
    """Put an operator after an output; return that output's type."""
    import onnx

    last = model.graph.output[output]
    for node in model.graph.node:
        node.output[:] = ["whole" if name == last.name else name for name in node.output]
        node.input[:] = ["whole" if name == last.name else name for name in node.input]
    model.graph.node.append(onnx.helper.make_node(operator, ["whole", *more], [last.name], **how))
    return last.type.tensor_type


def doubled(model: Any) -> None:
    import onnx

    after(model, 0, "Cast", to=onnx.TensorProto.DOUBLE).elem_type = onnx.TensorProto.DOUBLE


def transposed(model: Any) -> None:
    after(model, 0, "Transpose", perm=[1, 0])


def flattened(model: Any) -> None:
    """Let the last output, a text's `states`, have one dimension."""
    summed(model, -1, [1, 2], keepdims=0)


def narrowed(model: Any) -> None:
    """Let a label's first part have one column."""
    summed(model, 0, [1], keepdims=1)


def summed(model: Any, output: int, axes: list[int], keepdims: int) -> None:
    import onnx

    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(axes), "axes"))
    del after(model, output, "ReduceSum", "axes", keepdims=keepdims).shape.dim[1:]


def outside(model: Any) -> None:
    model.graph.doc_string = "location"


@pytest.mark.parametrize("name", ["model.onnx", "labels.onnx", "scores.onnx"])
@pytest.mark.parametrize("change", [renamed, spied, doubled, transposed, outside])
def test_hostile_graphs_are_one_line(make: Make, name: str, change: Callable[[Any], None]) -> None:
    folder = make()
    export(folder)
    graph_of(folder, name, change)
    with pytest.raises(NerbertError, match=name.replace(".", r"\.")) as caught:
        Tagger.load(folder, backend="onnx").tag(TEXT, ["ship", "city"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"marks": None}, r"nerbert-onnx\.json: own: marks = None"),
        ({"marks": {}}, r"nerbert-onnx\.json: belongs to another model than gliner_config\.json"),
        ({"marks": {"<<ENT>>": [1], "<<SEP>>": [-1]}}, r"own: marks\.<<SEP>>\[0\] = -1"),
        ({"marks": {"<<ENT>>": [1], "<<SEP>>": []}}, r"own: marks\.<<SEP>> = \[\]"),
        ({"marks": {"<<ENT>>": [1], "<<SEP>>": [2]}}, "they don't belong together"),
        ({"marks": {"<<ENT>>": [1], "<<SEP>>": [1 << 30]}}, "don't belong together"),
        ({"config": {"span_mode": "marker"}}, r"belongs to another model than gliner_config\.json beside it"),
        ({"labels": {"before": [], "after": [], "pad_id": 0, "room": 9, "vocabulary": 9}}, "belongs to another model"),
    ],
)
def test_hostile_cards_are_one_line(make: Make, own: dict[str, Any], said: str) -> None:
    folder = make()
    export(folder)
    path = folder / "onnx" / "nerbert-onnx.json"
    card = json.loads(path.read_text())
    path.write_text(json.dumps(card | {"own": card["own"] | own}))
    with pytest.raises(InputError, match=said) as caught:
        Tagger.load(folder, backend="onnx").tag(TEXT, ["ship"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["labels.onnx", "scores.onnx", "tokenizer.json"])
def test_a_missing_file_is_one_line(make: Make, name: str) -> None:
    folder = make()
    export(folder)
    (folder / "onnx" / name).unlink()
    with pytest.raises(InputError, match=name.replace(".", r"\.")) as caught:
        Tagger.load(folder, backend="onnx")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["model.onnx", "labels.onnx"])
def test_outputs_of_another_rank_are_one_line(make: Make, name: str) -> None:
    folder = make(**KINDS["two encoders" if name == "labels.onnx" else "markerV0"])
    export(folder)
    graph_of(folder, name, flattened if name == "model.onnx" else narrowed)
    with pytest.raises(NerbertError, match=r"not a graph that nerbert made|can't be loaded") as caught:
        Tagger.load(folder, backend="onnx").tag(TEXT, ["a label that is new"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("entry", [("subtoken_pooling", "last"), ("num_rnn_layers", 2), ("class_token_index", 5)])
def test_a_configuration_that_was_changed_is_refused(make: Make, entry: tuple[str, Any]) -> None:
    folder = make()
    export(folder)
    path = folder / "gliner_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | dict([entry])))
    with pytest.raises(InputError, match="or this was changed since; export the model again"):
        Tagger.load(folder, backend="onnx")


def test_a_first_versions_folder_is_exported_whole(make: Make, tokenizers: dict[str, Any]) -> None:
    """Its configuration lacks the number of the mark, its tokenizer the marks."""
    folder = make()
    tokenizers["wordpiece"].save_pretrained(folder)
    path, weights = folder / "gliner_config.json", load_file(folder / "model.safetensors")
    config = json.loads(path.read_text()) | {"class_token_index": -1, "vocab_size": -1}
    path.write_text(json.dumps(config))
    name = "token_rep_layer.bert_layer.model.embeddings.word_embeddings.weight"
    save_file(weights | {name: torch.cat([weights[name], weights[name][:1]])}, folder / "model.safetensors")
    export(folder)
    wanted = Tagger.load(folder, backend="torch", device="cpu", thresholds=0.3).tag(TEXT, ["ship", "city"])
    found = Tagger.load(folder, backend="onnx", thresholds=0.3).tag(TEXT, ["ship", "city"])
    assert wanted
    assert list(map(row, found)) == list(map(row, wanted))


def test_exported_taggers_are_saved_whole(make: Make, tmp_path: Path) -> None:
    folder = make()
    weights = load_file(folder / "model.safetensors")
    torch.save(weights, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    light = export(folder, output=tmp_path / "light").folder
    export(folder)
    Tagger.load(folder, device="cpu").save_pretrained(tmp_path / "saved")
    assert Tagger.load(tmp_path / "saved", device="cpu").head.name == "torch fp32 cpu"
    Tagger.load(light).save_pretrained(tmp_path / "light again")
    assert Tagger.load(tmp_path / "light again").head.name == "onnx fp32 cpu"
    (folder / "nerbert.json").write_text(
        json.dumps({"format": 1, "kind": "tagger", "word_splitter": "unicode-words-2"})
    )
    with pytest.raises(OutputExists, match="holds a model's weights"):
        export(light.parent / "saved", output=folder, overwrite=True)
    with pytest.raises(InputError, match="an exported model alone, which can't be exported again"):
        export(light)


def test_sentences_without_pieces_are_no_reason_to_fail(make: Make) -> None:
    empty = [Example("\u00ad", ((0, 1),)) for _ in range(70)]
    assert export(make(), int8=True, data=[*empty, Example("Bob", ((0, 3),), (Span(0, 3, "person"),))]).agreement


def test_an_export_of_other_weights_is_refused(make: Make, tmp_path: Path) -> None:
    folder = make()
    export(folder)
    other = Path(shutil.copytree(make("other", max_width=2), tmp_path / "mixed"))
    shutil.copytree(folder / "onnx", other / "onnx")
    (other / "model.safetensors").write_bytes((other / "model.safetensors").read_bytes() + b" ")
    with pytest.raises(InputError, match=r"made from other weights than model\.safetensors"):
        Tagger.load(other, backend="onnx")


def test_a_light_folder_is_a_models(make: Make, tmp_path: Path) -> None:
    light = export(make(), output=tmp_path / "light").folder
    assert ModelFolder(str(light)).check().backend == "onnx"
    with pytest.raises(InputError, match="no back end for backend = 'torch'"):
        Tagger.load(light, backend="torch")
    with pytest.raises(InputError, match="an exported model alone, without the weights that torch needs"):
        load_gliner(light)
    shutil.rmtree(light / "onnx")
    with pytest.raises(InputError, match="its weights are missing"):
        Tagger.load(light)
