"""Graphs that others have made: whatever they ask for or give back, it is one line."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerbert.errors import InputError, NerbertError
from nerbert.model.onnx import Exported, LightTokenizer, OnnxCard, OnnxScorer
from nerbert.model.tokenizer import SubwordTokenizer
from nerbert.model.windows import Padded
from nerbert.records import Example
from nerbert.words import split_words
from tests.raised import raises

Caught = pytest.CaptureFixture[str]
pytestmark = pytest.mark.extras
onnx = pytest.importorskip("onnx")
CLASSES, VOCABULARY = 3, 50
BATCH = Padded(np.arange(8).reshape(2, 4), np.ones((2, 4), bool), np.array([0, 1, 1]), np.array([3, 0, 1]))
INPUTS = ("input_ids", "attention_mask")
TABLE = np.arange(VOCABULARY * CLASSES, dtype=np.float32).reshape(VOCABULARY, CLASSES)


def graph(
    nodes: Sequence[Any] = (),
    *,
    inputs: Sequence[str] = INPUTS,
    outputs: Sequence[str] = ("logits",),
    shape: Sequence[Any] = ("batch", "pieces", CLASSES),
    kind: int = onnx.TensorProto.FLOAT,
    table: Any = None,
) -> bytes:
    """A model that looks up each piece's logits, unless it is told to do otherwise."""
    helper = onnx.helper
    nodes = nodes or [helper.make_node("Gather", ["table", "input_ids"], ["logits"])]
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.INT64, ["batch", "pieces"]) for name in inputs]
    given = [helper.make_tensor_value_info(name, kind, list(shape)) for name in outputs]
    weights = [table or onnx.numpy_helper.from_array(TABLE, "table")]
    made = helper.make_graph(nodes, "graph", ends, given, weights)
    opset = helper.make_opsetid("", 17)
    content: bytes = helper.make_model(made, opset_imports=[opset], ir_version=8).SerializeToString()
    return content


def outside(place: str) -> bytes:
    table = onnx.TensorProto(name="table", data_type=onnx.TensorProto.FLOAT, dims=TABLE.shape)
    table.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", place), ("offset", "0"), ("length", str(TABLE.nbytes))):
        entry = table.external_data.add()
        entry.key, entry.value = key, value
    return graph(table=table)


def node(*names: Any, **more: Any) -> Any:
    return onnx.helper.make_node(*names, **more)


def test_logits_are_read_off_at_rows_and_columns(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(graph(inputs=[*INPUTS, "token_type_ids"]))
    found = OnnxScorer(tmp_path / "model.onnx", CLASSES, threads=1)(BATCH)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, TABLE[[3, 4, 5]])


@pytest.mark.parametrize("place", ["weights.bin", "../weights.bin", "{folder}/weights.bin", "./down/../weights.bin"])
def test_no_file_beside_the_graph_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """Each of these places holds weights that would fit."""
    work = tmp_path / "work"
    (work / "down").mkdir(parents=True)
    for folder in (tmp_path, work):
        (folder / "weights.bin").write_bytes(TABLE.tobytes())
    monkeypatch.chdir(work)
    (work / "model.onnx").write_bytes(outside(place.format(folder=work)))
    with raises(InputError, "model.onnx: names files outside itself"):
        OnnxScorer(work / "model.onnx", CLASSES)


TWICE = ["table", "input_ids"]
REFUSED: dict[str, tuple[Callable[[], bytes] | None, str]] = {
    "other input": (lambda: graph(inputs=[*INPUTS, "labels"]), "takes input_ids, attention_mask, labels and gives"),
    "no pieces": (
        lambda: graph([node("Gather", ["table", "attention_mask"], ["logits"])], inputs=["attention_mask"]),
        "takes attention_mask and gives logits",
    ),
    "other output": (lambda: graph([node("Gather", TWICE, ["scores"])], outputs=["scores"]), ": not a graph"),
    "two outputs": (
        lambda: graph([node("Gather", TWICE, ["logits"]), node("Gather", TWICE, ["more"])], outputs=["logits", "more"]),
        "gives logits, more: not a graph",
    ),
    "told otherwise": (lambda: graph(shape=("batch", "pieces", 9)), "labels are 3"),
    "classes": (
        lambda: graph([node("Gather", TWICE, ["logits"], axis=1)], shape=(3, "batch", "pieces")),
        "labels are 3",
    ),
    "unknown operator": (lambda: graph([node("Spy", TWICE, ["logits"], domain="evil")]), "can't be loaded"),
    "nothing": (lambda: b"", "can't be loaded by onnxruntime"),
    "cut off": (lambda: graph()[:-40], "can't be loaded by onnxruntime"),
    "missing": (None, "no such file; export the tagger again"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_graph_that_is_no_taggers_is_refused(tmp_path: Path, capfd: Caught, name: str) -> None:
    content, words = REFUSED[name]
    if content is not None:
        (tmp_path / "model.onnx").write_bytes(content())
    with raises(InputError, words) as caught:
        OnnxScorer(tmp_path / "model.onnx", CLASSES)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "model.onnx"))
    assert capfd.readouterr() == ("", "")


def _turned() -> bytes:
    nodes = [node("Gather", TWICE, ["found"]), node("Transpose", ["found"], ["logits"], perm=[1, 0, 2])]
    return graph(nodes, shape=("one", "other", CLASSES))


def _doubles() -> bytes:
    kind = onnx.TensorProto.DOUBLE
    return graph([node("Gather", TWICE, ["found"]), node("Cast", ["found"], ["logits"], to=kind)], kind=kind)


@pytest.mark.parametrize(
    ("content", "first", "kind", "words"),
    [
        (graph, VOCABULARY, NerbertError, "model.onnx: can't be run by onnxruntime"),
        (_turned, 0, InputError, "gives float32 logits of the shape (4, 2, 3) for 2 rows: not a graph"),
        (_doubles, 0, InputError, "gives float64 logits of the shape (2, 4, 3) for 2 rows: not a graph"),
    ],
)
def test_a_graph_that_breaks_off_or_gives_other_logits_is_one_line(
    tmp_path: Path,
    capfd: Caught,
    content: Callable[[], bytes],
    first: int,
    kind: type[NerbertError],
    words: str,
) -> None:
    (tmp_path / "model.onnx").write_bytes(content())
    scorer = OnnxScorer(tmp_path / "model.onnx", CLASSES)
    with raises(kind, words) as caught:
        scorer(Padded(BATCH.ids + first, BATCH.mask, BATCH.rows, BATCH.columns))
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


LEVELS = ("byte-level", "byte-level, spaces in offsets")
ODD = ["Paris ", "[MASK]", "<s>", "é", "e\u0301", "北京", "\r\n"]
TEXTS = st.lists(st.characters(exclude_categories=["Cs"]) | st.sampled_from(ODD), max_size=30).map("".join)


def card(**facts: Any) -> OnnxCard:
    return OnnxCard(format=1, tags=["O"], made_from={}, **facts)


@pytest.fixture(scope="module", params=["wordpiece", *LEVELS, "unigram", "chinese"])
def both(request: pytest.FixtureRequest, tokenizers: dict[str, Any], config: Any, tmp_path_factory: Any) -> Any:
    """The cutter of a `transformers` tokenizer, and the one that is made of what an export holds."""
    tokenizer = tokenizers[request.param]
    own = SubwordTokenizer(tokenizer, config(), 32)
    path = tmp_path_factory.mktemp("light") / "tokenizer.json"
    path.write_text(tokenizer.backend_tokenizer.to_str(), encoding="utf-8")
    return own, Exported(path.parent, {}, card(**own.facts())).pieces(32, "window")


@given(texts=st.lists(TEXTS, max_size=3))
def test_windows_are_the_same(both: tuple[SubwordTokenizer, SubwordTokenizer], texts: list[str]) -> None:
    examples = [Example(text, split_words(text)) for text in ["plain words [SEP] </s>", *texts]]
    own, light = (list(pieces.windows(examples)) for pieces in both)
    assert own == light
    assert both[0].facts() == both[1].facts()


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"model": 1}', "\ud800"])
def test_what_is_no_tokenizer_is_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "tokenizer.json").write_bytes(content.encode("utf-8", "surrogatepass"))
    with raises(InputError, "tokenizer.json") as caught:
        LightTokenizer(tmp_path / "tokenizer.json", card(before=[], after=[], pad_id=0, room=8, vocabulary=9))
    assert "\n" not in str(caught.value)
