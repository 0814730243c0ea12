"""GLiNER's models as graphs: the same scores and entities as torch's, for any number of labels and any length."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
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
from nerbert.model.head_kinds import long_example
from nerbert.records import EntityLabel, Example, Span
from nerbert.tagger.export import export
from nerbert.tagger.gliner_onnx import OnnxGliner
from nerbert.tagger.tagger import Tagger
from tests.raised import raises

from .conftest import DEBERTA, Make, words_of, write_model

pytestmark = pytest.mark.extras
MODERN = {"model_type": "modernbert", "local_attention": 16, "pad_token_id": 0, "num_hidden_layers": 3}
KINDS: dict[str, dict[str, Any]] = {
    "markerV0": {},
    "marker": {"span_mode": "marker"},
    "token": {"span_mode": "token_level", "num_rnn_layers": 2},
    "single words": {"max_width": 1, "span_mode": "marker"},
    "two encoders": {"labels_encoder": "x/y"},
    "two encoders, token": {"labels_encoder": "x/y", "span_mode": "token_level", "hidden_size": 16},
    "mean": {"subtoken_pooling": "mean", "num_rnn_layers": 0},
    "max": {"subtoken_pooling": "max"},
    "last, DeBERTa": {"subtoken_pooling": "last", "body": {"model_type": "deberta-v2", **DEBERTA}},
    "ModernBERT": {"body": MODERN, "hidden_size": 16},
}
TEXT = "The ship left the port of Stockholm. It sank in the harbour, says the mayor of the city."
LABELS = [EntityLabel("ship"), EntityLabel("port", "where ships call"), EntityLabel("city")]
NAMES = [f"{name} of {what}" for name in ("name", "place", "price") for what in "abcdefghi"]
EXAMPLES = [words_of(TEXT), words_of("Paris"), words_of("The mayor of the port left."), long_example(1500)]


def odds(folder: Path, backend: str, labels: list[EntityLabel], precision: str = "fp32") -> list[Any]:
    """All log-odds of the texts' windows, read in batches."""
    head = Tagger.load(folder, backend=backend, precision=precision, device="cpu", threads=1).head
    assert isinstance(head, GlinerHead)
    assert isinstance(head.scorer, OnnxGliner) == (backend == "onnx")
    asked, found = head.for_labels(labels, [0.5] * len(labels)), list[Any]()
    for part, windows in asked.prompt_windows(EXAMPLES):
        found += [scores for _, scores in sorted(part.scores(windows), key=lambda each: each[0])]
    return found


def compared(folder: Path, labels: list[EntityLabel]) -> list[float]:
    """Assert that the graphs give torch's log-odds; return those of spans."""
    spread = list[float]()
    for theirs, ours in zip(odds(folder, "torch", labels), odds(folder, "onnx", labels), strict=True):
        assert theirs.shape == ours.shape
        inside = np.isfinite(theirs)
        assert (inside == np.isfinite(ours)).all()
        np.testing.assert_allclose(theirs[inside], ours[inside], atol=1e-4)
        spread += theirs[inside].tolist()
    return spread


def check_entities(folder: Path, labels: list[str], decoding: str = "") -> None:
    """Assert that graphs find what torch does, and that those in int8 find something."""
    found = [
        [
            *Tagger.load(folder, backend=backend, precision=precision, device="cpu", decoding=decoding).tag_many(
                [each.text for each in EXAMPLES], labels
            )
        ]
        for backend, precision in (("torch", "fp32"), ("onnx", "fp32"), ("onnx", "int8"))
    ]
    assert sum(map(len, found[0])) > 5
    for theirs, ours in zip(found[0], found[1], strict=True):
        assert list(map(row, theirs)) == list(map(row, ours))
        assert [each.confidence for each in theirs] == pytest.approx([each.confidence for each in ours], abs=1e-4)
    assert any(found[2])


def check_without_torch(light: Path) -> None:
    """Assert that a process without torch finds in an exported model alone what this one does."""
    wanted = [list(row(each)) for each in Tagger.load(light).tag(TEXT, ["ship", "city"])]
    assert wanted
    run = [sys.executable, "-W", "error", "-c", CHILD, str(light), TEXT]
    name, found = json.loads(subprocess.run(run, capture_output=True, text=True, check=True).stdout)
    assert (name, found) == ("onnx fp32 cpu", wanted)


@pytest.fixture(scope="module")
def exports(tokenizers: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a folder with an export of a kind of model; read only."""

    @cache
    def of(kind: str) -> Path:
        folder = write_model(tmp_path_factory.mktemp("gliner") / "model", tokenizers["wordpiece"], **KINDS[kind])
        export(folder)
        return folder

    return of


@pytest.fixture
def exported(exports: Callable[[str], Path], tmp_path: Path) -> Callable[..., Path]:
    """Return a copy of such a folder, to be broken."""
    return lambda kind="markerV0", name="copy": Path(shutil.copytree(exports(kind), tmp_path / name))


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_torchs(exports: Callable[[str], Path], capfd: pytest.CaptureFixture[str], kind: str) -> None:
    folder = exports(kind)
    assert capfd.readouterr() == ("", "")
    for labels in (LABELS, LABELS[:1], [*map(EntityLabel, NAMES)]):
        assert np.std(compared(folder, labels)) > 0.1  # the test can fail


@pytest.mark.parametrize("kind", ["markerV0", "token", "single words", "two encoders"])
def test_entities_are_torchs(make: Make, kind: str) -> None:
    folder = make(**KINDS[kind])
    export(folder, int8=True)
    write_thresholds(folder, ship=0.45)
    for decoding in ("", "nested", *["touching"] * (kind == "single words")):
        check_entities(folder, ["ship", "port: where ships call", "city"], decoding)


def write_thresholds(folder: Path, **thresholds: float) -> None:
    card = {
        "format": 1,
        "kind": "tagger",
        "word_splitter": "gliner-words-1",
        "calibration": {"temperature": 1.7},
        "thresholds": thresholds,
    }
    (folder / "nerbert.json").write_text(json.dumps(card))


def row(span: Span) -> tuple[Any, ...]:
    return span.start, span.end, span.type, span.text


CHILD = """
import sys
for name in ("torch", "transformers", "safetensors", "huggingface_hub", "pyarrow"):
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
    assert Tagger.load(light).fingerprint
    check_without_torch(light)


def test_vectors_of_labels_are_kept_by_content(exports: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = exports("two encoders")
    found = list(Tagger.load(folder, backend="onnx", thresholds=0.4).tag(TEXT, ["ship", "a new label"]))
    monkeypatch.setattr(OnnxGliner, "_open_labels", lambda *_: pytest.fail("no label is new"))
    again = Tagger.load(folder, backend="onnx", thresholds=0.4)
    assert list(again.tag(TEXT, ["ship", "a new label"])) == found
    assert again.tag("", ["ship"]) == []


def test_int8_is_compared(make: Make) -> None:
    folder = make()
    write_thresholds(folder, ship=0.3, city=0.3)
    gold = [Example(TEXT, EXAMPLES[0].words, (Span(4, 8, "ship"), Span(26, 35, "city")))]
    done = export(folder, int8=True, data=gold)
    assert done.agreement.keys() == {"torch fp32", "onnx fp32", "onnx int8"}
    assert done.agreement["torch fp32"].share == done.agreement["onnx fp32"].share == 1
    assert done.agreement["onnx fp32"].confidence < 1e-4
    assert 0 < done.agreement["onnx int8"].confidence < 0.1


def graph_of(folder: Path, name: str, change: Callable[[Any], None]) -> None:
    import onnx

    model = onnx.load(folder / "onnx" / name)
    change(model)
    onnx.save(model, folder / "onnx" / name)


def renamed(model: Any) -> None:
    model.graph.input[0].name = "other"


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


GRAPHS = ["model.onnx", "labels.onnx", "scores.onnx"]


@pytest.mark.parametrize(
    ("kind", "name", "change"),
    [
        *[("markerV0", name, change) for name in GRAPHS for change in (renamed, doubled, outside)],
        ("markerV0", "model.onnx", flattened),
        ("two encoders", "labels.onnx", narrowed),
    ],
)
def test_hostile_graphs_are_refused(
    exported: Callable[..., Path], kind: str, name: str, change: Callable[[Any], None]
) -> None:
    folder = exported(kind)
    graph_of(folder, name, change)
    with pytest.raises(NerbertError, match=name.replace(".", r"\.")):
        Tagger.load(folder, backend="onnx").tag(TEXT, ["ship", "a label that is new"])


CARD, CONFIG, MARKS = "onnx/nerbert-onnx.json", "gliner_config.json", {"<<ENT>>": [1], "<<SEP>>": [2]}
OTHER = "belongs to another model than gliner_config.json"


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        (CARD, {"marks": None}, "nerbert-onnx.json: own: marks = None"),
        (CARD, {"marks": {}}, f"nerbert-onnx.json: {OTHER}"),
        (CARD, {"marks": MARKS | {"<<SEP>>": [-1]}}, "own: marks.<<SEP>>[0] = -1"),
        (CARD, {"marks": MARKS | {"<<SEP>>": []}}, "own: marks.<<SEP>> = []"),
        (CARD, {"marks": MARKS}, "they don't belong together"),
        (CARD, {"config": {"span_mode": "marker"}}, f"{OTHER} beside it"),
        (CARD, {"labels": {"before": [], "after": [], "pad_id": 0, "room": 9, "vocabulary": 9}}, "belongs to another"),
        (CONFIG, {"num_rnn_layers": 2}, "or this was changed since; export the model again"),
        ("onnx/labels.onnx", None, "labels.onnx"),
        ("onnx/tokenizer.json", None, "tokenizer.json"),
    ],
)
def test_messages(exported: Callable[..., Path], name: str, values: dict[str, Any] | None, words: str) -> None:
    """Of files that are changed, or missing (None)."""
    path = exported() / name
    if values is None:
        path.unlink()
    else:
        known = json.loads(path.read_text())
        path.write_text(json.dumps(known | ({"own": known["own"] | values} if name == CARD else values)))
    with raises(InputError, words):
        Tagger.load(path.parents[name.count("/")], backend="onnx").tag(TEXT, ["ship"])


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
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    light = export(folder, output=tmp_path / "light").folder
    export(folder)
    for source, name in ((folder, "torch fp32 cpu"), (light, "onnx fp32 cpu")):
        Tagger.load(source, device="cpu").save_pretrained(tmp_path / name)
        assert Tagger.load(tmp_path / name, device="cpu").head.name == name
    (folder / "nerbert.json").write_text(
        json.dumps({"format": 1, "kind": "tagger", "word_splitter": "unicode-words-2"})
    )
    with raises(OutputExists, "holds a model's weights"):
        export(tmp_path / "torch fp32 cpu", output=folder, overwrite=True)


def test_sentences_without_pieces_are_no_reason_to_fail(make: Make) -> None:
    empty = [Example("\u00ad", ((0, 1),)) for _ in range(70)]
    assert export(make(), int8=True, data=[*empty, Example("Bob", ((0, 3),), (Span(0, 3, "person"),))]).agreement


def test_a_light_folder_is_a_models(make: Make, tmp_path: Path) -> None:
    folder = make()
    light = export(folder, output=tmp_path / "light").folder
    assert ModelFolder(str(light)).check().backend == "onnx"
    shutil.copytree(light / "onnx", folder / "onnx")
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes() + b" ")
    shutil.copytree(light, tmp_path / "bare", ignore=lambda *_: ["onnx"])
    for act, words in (
        (lambda: Tagger.load(light, backend="torch"), "no back end for backend = 'torch'"),
        (lambda: load_gliner(light), "an exported model alone, without the weights that torch needs"),
        (lambda: export(light), "an exported model alone, which can't be exported again"),
        (lambda: Tagger.load(tmp_path / "bare"), "its weights are missing"),
        (lambda: Tagger.load(folder, backend="onnx"), "made from other weights than model.safetensors"),
    ):
        with raises(InputError, words):
            act()
